"""Fold text for search: what people type finds what terminals sent, however either of them writes it.

Rules:

* Compatibility forms become plain ones (NFKD): full-width letters, half-width katakana, ligatures, the ideographic
  space. Letters lose their case by full case folding, so ``ß`` is ``ss``.
* Marks are removed where people leave them out: accents of Latin, Greek and Cyrillic letters, Hebrew points, Arabic
  vowel signs. They stay where they make another letter: the voicing marks of kana (``が`` is not ``か``), vowel signs,
  nuktas and viramas of Indic scripts, the signs of Thai, Lao and Tibetan. The combining class tells which is which.
* What remains is composed again (NFC), so that a Korean syllable is compared whole.
* A small table has the letters that Unicode does not decompose (``đ``, ``ł``, ``ø``, ``æ``, ``ı``), and the signs that
  are written in several ways (apostrophes, hyphens, the middle dot of names).
* A run of blanks is one blank. Between two letters of Chinese, Japanese or Korean it is none: ``王　伟`` is ``王伟``.
  Control characters and invisible characters are left out.

Simplified and traditional Chinese, hiragana and katakana, and two scripts of one name stay different.

Pure. A store keeps the folded text of each person in one column, and compares it with a folded query.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

__all__ = ["ENDS", "ESCAPE", "alike", "fold", "fold_person", "like"]

ENDS = ("\x01", "\x02", "\x03", "\x04", "\x05")
"""End the fields of a folded person. No folded text contains one."""

ESCAPE = "/"
"""In patterns of :func:`like`."""

_LONGEST = 4_000
"""Characters of a pattern. SQLite refuses one of 50,000 bytes, and nobody types a name as long."""

_LETTERS = {
    "æ": "ae", "ð": "d", "ø": "o", "þ": "th", "đ": "d", "ħ": "h", "ı": "i", "ł": "l", "ŋ": "n", "œ": "oe", "ŧ": "t",
    "ƀ": "b", "ɓ": "b", "ȼ": "c", "ɖ": "d", "ɗ": "d", "ə": "e", "ɇ": "e", "ǥ": "g", "ɣ": "g", "ɨ": "i", "ƙ": "k",
    "ĸ": "k", "ɫ": "l", "ⱥ": "a", "ʉ": "u", "ƴ": "y", "ƶ": "z",
}  # fmt: skip
_SIGNS = {"'": "`´ʹʻʼ‘’′", "-": "‐‑‒–—―−", "·": "•‧∙⋅・"}
_TABLE = str.maketrans(_LETTERS | {written: sign for sign, ways in _SIGNS.items() for written in ways})

_REMOVED = frozenset({1, *range(10, 37), *range(200, 241)})
"""Canonical combining classes: overlays, Hebrew and Arabic points, and marks attached to, above or below a letter."""

_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_BLANKS = re.compile(r"\s+")
# After NFKD a Korean syllable is jamo, and every form of a kana is the plain one.
_EAST_ASIAN = (
    "[\u1100-\u11ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\ua960-\ua97f\ud7b0-\ud7ff\U00020000-\U0003ffff]"
)
_BETWEEN = re.compile(f"(?<={_EAST_ASIAN}) (?={_EAST_ASIAN})")


def fold(text: str) -> str:
    """Return the form of ``text`` in which it is searched and compared.

    Folding twice changes nothing more, and canonically equivalent texts fold to the same. Text of nothing but blanks,
    marks and invisible characters folds to the empty string.
    """
    if text.isascii() and text.isprintable():
        return _BLANKS.sub(" ", text.lower().translate(_TABLE)).strip()
    # Twice, for a folded letter may have a mark of its own, and a plain form may be a capital.
    folded = unicodedata.normalize("NFC", _visible(text))
    for _ in range(2):
        folded = unicodedata.normalize("NFKD", folded.translate(_TABLE).casefold())
        folded = "".join([letter for letter in folded if unicodedata.combining(letter) not in _REMOVED])
    folded = _BETWEEN.sub("", _BLANKS.sub(" ", folded).strip())
    return unicodedata.normalize("NFC", folded.translate(_TABLE))


def alike(name: str) -> str:
    """Return what is the same of names that differ only in case, blanks and compatibility forms (NFKC)."""
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()


def fold_person(fields: Sequence[str]) -> str:
    """Return name, user id, job number, IC number and ID number as one folded text.

    Each is followed by its own of :data:`ENDS`, so a condition can tell in which field a match is.
    """
    return "".join([fold(field) + end for field, end in zip(fields, ENDS, strict=True)])


def like(text: str, field: Literal["any", "name", "job_number"]) -> str:
    """Return the LIKE pattern of the folded people in which ``text`` is found.

    It is contained in any field or in the name, or it is the whole job number. ``%`` and ``_`` in it are literal.
    Nobody who was erased is found, whatever the text.
    """
    folded = fold(text)
    if len(folded) > _LONGEST:
        return ENDS[-1] * 2  # nobody's
    literal = re.sub(f"[{ESCAPE}%_]", rf"{ESCAPE}\g<0>", folded)
    name, user_id, job_number, _, last = ENDS
    if field == "any":
        return f"%{literal}%{last}"
    if field == "name":
        return f"%{literal}%{name}%"
    return f"%{user_id}{literal}{job_number}%"


def _visible(text: str) -> str:
    visible = [
        letter
        for letter in text
        if letter.isspace() or unicodedata.category(letter) not in ("Cc", "Cf", "Cs")
    ]
    return _INVISIBLE.sub("", "".join(visible))
