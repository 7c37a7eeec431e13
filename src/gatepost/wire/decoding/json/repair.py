"""Repair what is nearly JSON, so that a decoder reads it. Pure.

Firmware that writes JSON by hand deviates from it (RFC 8259) in few ways, and each is a detail of an event:

* NUL bytes, control characters, blanks and byte order marks around the value: a C string with its end;
* the rest of an earlier text behind such a NUL, in a buffer that was not cleared;
* raw control characters in a string, which are themselves;
* an unknown escape in a string, such as ``\\d`` or ``\\x41``, which is its letter;
* half a character, ``\\ud83d`` without its other half, which becomes U+FFFD;
* numbers of printf, JavaScript or Python: ``NaN``, ``-inf``, ``1.#QNAN``, rounded to ``1.#J``, a lone ``-`` and their
  like are null; ``+5``, ``.5``, ``5.``, ``0.93f`` and ``1L`` are numbers; another one, such as ``007`` or ``1f``, which
  may be hexadecimal, is read as a text;
* a number too large for a float, which is read as a text;
* ``True``, ``FALSE``, ``None``, ``undefined`` without quotes, which are their JSON words;
* a comma before a closing bracket. The page's own example has it, so it is no problem.

Each kind is noted once. Every other deviation stays. The text that is kept is the original one.
"""

import re
from collections.abc import Callable

from gatepost.wire.decoding.fields import Problem

__all__ = ["AROUND", "first_end", "mended", "trimmed"]

_STRING = rb'"(?:[^"\\]|\\.)*+"?'
_TOKEN = re.compile(rb"(" + _STRING + rb")|,(?=\s*+[}\]])|[^\s\x00\[\]{},:\"]++", re.DOTALL)
"""A string, a superfluous comma, or a word without quotes."""

_IN_STRING = re.compile(
    rb"[\x00-\x1f]"
    rb"|\\[\"\\/bfnrt]"
    rb"|(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|(?P<whole>\\u[0-9a-fA-F]{4})"
    rb"|\\(?P<unknown>.)",
    re.DOTALL,
)
_NEEDS = re.compile(rb"[\x00-\x1f\\]")

_PROPER = re.compile(rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?\Z")
_NO_NUMBER = re.compile(
    rb"[+-]?(?:nan(?:\([^)]*+\)?|[qs])?|[qs]nan|inf(?:inity)?|\xe2\x88\x9e|1\.?[#$][a-z]{0,4}\d*+)\Z"
    rb"|(?:none|undefined|nil|null|n/a|-{1,4})\Z",
    re.IGNORECASE,
)
_NUMBER = re.compile(rb"\+?(-?)(?:(0|[1-9][0-9]*+)(\.[0-9]*+)?|(\.[0-9]++))([eE][+-]?[0-9]++)?\Z")
_SUFFIX = re.compile(rb"(?:(\.[0-9]*+)[fFdDmM]|([0-9])[uU]?[lL]{1,2})\Z")
"""Suffixes of a float, decimal or long, as in C, Java and C#."""

_TRUTHS = {b"true": b"true", b"false": b"false"}

_LARGE = 309
"""Digits of the largest float."""

_DIGITS = 4_000
"""Digits of a number, at most. Python reads no more than 4,300."""

_BLANKS = b" \t\r\n"
_PADDING = bytes(range(0x21)) + b"\x7f"
_MARKS = (b"\xef\xbb\xbf", b"\xc2\xa0")
"""A byte order mark and a no-break space, in UTF-8."""

_ROUNDS = 8
"""Marks that are removed at each end, at most."""

_STEP = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)

_MATCHES = 100_000
"""Tokens, and escapes of one string, that are read at most. An event has some hundreds."""

_REPLACEMENT = b"\\ufffd"

LEADING = Problem("", "has NUL bytes or something like blanks before the JSON")
TRAILING = Problem("", "has NUL bytes or something like blanks after the JSON")
REST = Problem("", "has the rest of another text after the JSON and a NUL, which is left out")
AROUND = frozenset({LEADING, TRAILING, REST})
"""Problems of the bytes around an event, which do not affect the event."""

CONTROL = Problem("", "has raw control characters in a text")
ESCAPE = Problem("", "has an unknown escape in a text, which is read as its letter")
HALF = Problem("", "has half a character in a text, which is shown as U+FFFD")
NO_NUMBER = Problem("", "has a number that is none, such as NaN, which is read as null")
NUMBER = Problem("", "has a number as JSON does not write it")
ENDLESS = Problem("", "has a number that is too large for any field, which is read as a text")
TRUTH = Problem("", "has a true or false as JSON does not write it")


def trimmed(text: bytes) -> tuple[bytes, tuple[Problem, ...]]:
    """Return a text without what is around the JSON, and the problems; blanks alone are none."""
    body = text.lstrip(_BLANKS)
    core = _without_padding(body, bytes.lstrip, bytes.removeprefix)
    leading = () if core == body else (LEADING,)
    body = core.rstrip(_BLANKS)
    core = _without_padding(body, bytes.rstrip, bytes.removesuffix)
    return core, leading if core == body else (*leading, TRAILING)


def _without_padding(
    text: bytes, strip: Callable[[bytes, bytes], bytes], remove: Callable[[bytes, bytes], bytes]
) -> bytes:
    for _ in range(_ROUNDS):
        before, text = text, strip(text, _PADDING)
        for mark in _MARKS:
            text = remove(text, mark)
        if text == before:
            break
    return text


def first_end(text: bytes) -> int | None:
    """Return the end of the object or array at the beginning of a text; ``None`` if it does not end."""
    depth = 0
    for step in _STEP.finditer(text):
        first = text[step.start() : step.start() + 1]
        if first in (b"{", b"["):
            depth += 1
        elif first != b'"':
            depth -= 1
        if depth <= 0:
            return step.end()
    return None


def mended(text: bytes) -> tuple[bytes, tuple[Problem, ...]]:
    """Return a text that may be decodable, and what was repaired; nothing if nothing was."""
    problems: dict[Problem, None] = {}

    def token(found: re.Match[bytes]) -> bytes:
        word = found[0]
        if found[1] is not None:
            return _IN_STRING.sub(in_string, word, _MATCHES) if _NEEDS.search(word) else word
        return b"" if word == b"," else _outside(word, problems)

    def in_string(found: re.Match[bytes]) -> bytes:
        escape = found[0]
        if found["half"] is not None:
            problems[HALF] = None
            return _REPLACEMENT
        if found["unknown"] is not None:
            problems[ESCAPE] = None
            letter = found["unknown"]
            return b"\\u%04x" % letter[0] if letter < b" " else letter
        if escape < b" ":
            problems[CONTROL] = None
            return b"\\u%04x" % escape[0]
        return escape

    return _TOKEN.sub(token, text, _MATCHES), tuple(problems)


def _outside(word: bytes, problems: dict[Problem, None]) -> bytes:
    """Return the JSON for a word outside of strings."""
    if word in (b"true", b"false", b"null"):
        return word
    if _PROPER.match(word):
        if len(word) < _LARGE and b"e" not in word and b"E" not in word:
            return word
        if len(word) < _DIGITS and abs(float(word)) != float("inf"):
            return word
        problems[ENDLESS] = None
        return b'"%b"' % word
    if (truth := _TRUTHS.get(word.lower())) is not None:
        problems[TRUTH] = None
        return truth
    if _NO_NUMBER.match(word):
        problems[NO_NUMBER] = None
        return b"null"
    if len(word) < _LARGE and (number := _NUMBER.match(_SUFFIX.sub(rb"\1\2", word))) is not None:
        problems[NUMBER] = None
        sign, whole, fraction, bare, exponent = number.groups(b"")
        mantissa = (whole or b"0") + (fraction if len(fraction) > 1 else b"") + bare
        return _outside(sign + mantissa + exponent, problems)
    if word[:1].isdigit() and word.isascii() and word.isalnum():
        problems[NUMBER] = None
        return b'"%b"' % word
    return word  # no JSON, and no known meaning
