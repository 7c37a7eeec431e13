"""JSON that no decoder of ours holds, made into JSON that one does: half characters, and numbers without end.

Both are JSON by its grammar (RFC 8259, sections 7 and 6, and section 8.2 on the first), and both are a detail of an
event: a name that was cut in the middle of an emoji, a temperature of ``1e999``. So they are mended for decoding, said
to be wrong, and the text itself is kept as it came.

What is no JSON at all is left as it is.
"""

import re

from gatepost.wire.fields import Problem

__all__ = ["mended"]

_ESCAPE = re.compile(
    rb"\\[^u]|(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}",
    re.DOTALL,
)
_STRING_OR_NUMBER = re.compile(
    rb'"(?:[^"\\]|\\.)*+"?'
    rb"|(?<![-+.0-9eE])-?(?:[0-9]{309,}+(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|[0-9]++(?:\.[0-9]++)?[eE]\+?[0-9]{3,}+)",
    re.DOTALL,
)
"""Of the numbers those that may be too large; the largest that a float holds has 309 digits."""

_REPLACEMENT = b"\\ufffd"

_DIGITS = 4_000
"""Python makes no number of more than 4,300."""

_MATCHES = 100_000
"""Strings and escapes that are looked at. An event has some hundreds; who sends millions gets no seconds of ours."""

HALF = Problem("", "has half a character in a text, which is shown as U+FFFD")
ENDLESS = Problem("", "has a number that is too large for any field, which is read as a text")


def mended(text: bytes) -> tuple[bytes, tuple[Problem, ...]]:
    """A text that may be decoded where ``text`` was not, and what was wrong; nothing, if there was nothing to mend."""
    problems: list[Problem] = []
    new = _ESCAPE.sub(_whole, text, _MATCHES) if b"\\u" in text else text
    if new != text:
        problems.append(HALF)
    text = _STRING_OR_NUMBER.sub(_bounded, new, _MATCHES)
    if new != text:
        problems.append(ENDLESS)
    return text, tuple(problems)


def _whole(found: re.Match[bytes]) -> bytes:
    kept = found[0][1:2] != b"u" or found["pair"] is not None
    return found[0] if kept else _REPLACEMENT


def _bounded(found: re.Match[bytes]) -> bytes:
    token = found[0]
    if token[:1] == b'"' or (len(token) < _DIGITS and abs(float(token)) != float("inf")):
        return token
    return b'"%b"' % token
