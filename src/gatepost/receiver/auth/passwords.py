"""Which passwords are taken. Pure.

Rules:

* 12 to 256 characters. No kinds of characters are asked for: a passphrase of a few words is long, and good.
* What is guessed first is refused. A common word, the account's name, a run such as ``12345`` or ``qwerty``, a year and
  a repetition count as one character each, also with digits in the place of letters. What then counts fewer than
  :data:`MIN_UNFORESEEN` is too common.
* Passwords are compared and hashed after NFKC, as RFC 8265 has it.
"""

import re
import unicodedata

from gatepost.errors import SettingsError

__all__ = ["MAX_PASSWORD", "MIN_PASSWORD", "check_password", "normal_password"]

MIN_PASSWORD = 12
MAX_PASSWORD = 256

MIN_UNFORESEEN = 8
"""How many characters a password has at least, when what is guessed first counts as one character each."""

_WORDS = re.findall(
    r"\S+",
    """
    password passwort passwd pass admin administrator root user guest test demo login welcome willkommen letmein
    changeme change default secret geheim master manager operator viewer system server access gate gatepost
    terminal receiver camera face door security office company monkey dragon football baseball soccer princess
    sunshine superman batman shadow killer hello iloveyou love lovely whatever trustno flower summer winter
    spring autumn january february march april june july august september october november december monday
    tuesday wednesday thursday friday saturday sunday michael jordan charlie daniel jessica ashley thomas
    mima guanli guanliyuan ceshi woaini nihao zhongguo beijing shanghai shenzhen hangzhou zhang wang
    5201314 1314520 520 1314 888 666
    """,
)

_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "azertyuiop",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "1q2w3e4r5t6y7u8i9o0p",
    "!@#$%^&*()",
)
_RUNS = (*_ROWS, *(row[::-1] for row in _ROWS))
_SHORTEST_RUN = 3

_YEAR = re.compile(r"(?:19|20)\d\d")
_REPETITION = re.compile(r"(.{1,32}?)\1+", re.DOTALL)
_AS_LETTERS = tuple(str.maketrans("013457890@$!", f"o{one}eastbgoas{one}") for one in "il")
"""The digits and signs that stand for letters: 1 for an i, or for an l."""


def normal_password(password: str) -> str:
    """Return a password as it is hashed."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *, name: str = "", setting: str = "password") -> str:
    """Return the password of the account ``name`` as it is hashed; raise ``SettingsError`` if it is too weak."""
    normal = normal_password(password)
    if not MIN_PASSWORD <= len(normal) <= MAX_PASSWORD:
        raise SettingsError(
            setting, f"must have {MIN_PASSWORD} to {MAX_PASSWORD} characters; a few words are a good one"
        )
    if _unforeseen(normal, name) < MIN_UNFORESEEN:
        raise SettingsError(
            setting, "is one of those that are guessed first; take a few words that do not belong together"
        )
    return normal


def _unforeseen(password: str, name: str) -> int:
    """Return how many characters a password has when what is guessed first counts as one."""
    plain = _REPETITION.sub(r"\1", password.casefold())
    spellings = {plain, *(plain.translate(table) for table in _AS_LETTERS)}
    words = [*_WORDS, *re.findall(r"\w{3,}", unicodedata.normalize("NFKC", name).casefold())]
    words += [_REPETITION.sub(r"\1", word) for word in words]
    count = place = 0
    while place < len(plain):
        longest = max(
            (len(word) for word in words for text in spellings if text.startswith(word, place)), default=1
        )
        if year := _YEAR.match(plain, place):
            longest = max(longest, len(year[0]))
        place += max(longest, _run(plain, place))
        count += 1
    return count


def _run(text: str, place: int) -> int:
    """Return the length of the run of neighbours that begins at a place; 1 where none does."""
    longest = 1
    for row in _RUNS:
        size = _SHORTEST_RUN
        while place + size <= len(text) and text[place : place + size] in row:
            longest, size = size, size + 1
    return longest
