"""From bytes to a JSON value, also if they are nearly JSON or not UTF-8.

Flow: :func:`parse` → msgspec; if that fails :class:`Tidy`: what is around the JSON, its charset → ``mended``.
"""

import re
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from gatepost.errors import DecodeError
from gatepost.wire.decoding.fields import Problem
from gatepost.wire.decoding.json.charset import Converted, is_wide, outline, to_utf8
from gatepost.wire.decoding.json.repair import REST, first_end, mended, trimmed

__all__ = ["MAX_DEPTH", "Tidy", "is_json", "parse", "tidied", "without_bom"]

MAX_DEPTH = 64
"""Nesting that no terminal reaches. A deeper value is refused before any recursion."""

_BOM = b"\xef\xbb\xbf"

_TRAILING_COMMA = re.compile(rb'("(?:[^"\\]|\\.)*+"?)|,(?=\s*+[}\]])', re.DOTALL)
"""An unterminated string extends to the end. Otherwise each quote in it would be tried as a beginning."""

_HALF_OF_A_QUOTE = re.compile(rb'([\x81-\xfe]\\)(?=(?:\\\\)*+")')
"""The last character of a text in Big5, Shift-JIS or GBK. Its second byte may be 0x5C, which escapes no quote."""

_LOST = "\ufffd".encode()

_END_AND_NUL = re.compile(rb"[}\]]\0")
_ENDS = 8
"""Places that are tried as the end of the JSON, if something follows it."""


def without_bom(body: bytes) -> bytes:
    """Return a body without the byte order mark of UTF-8."""
    return body.removeprefix(_BOM)


def parse(
    body: bytes, max_depth: int, problems: list[Problem] | None, charset: str | None
) -> tuple[bytes, bytes, dict[str, Any]]:
    """Return the text to keep, its outline, and its value."""
    text = plan = without_bom(body)
    try:
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            text, plan, value = _read_again(text, problems, charset)
    except UnicodeDecodeError:
        raise DecodeError("", "is no UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise DecodeError("", f"is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise DecodeError("", "is no JSON object")
    _check_depth(value, max_depth)
    return text, plan, value


def is_json(text: bytes) -> bool:
    """Return whether a text is JSON, or nearly."""
    try:
        msgspec.json.decode(mended(text)[0])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _read_again(text: bytes, problems: list[Problem] | None, charset: str | None) -> tuple[bytes, bytes, Any]:
    """Read what is nearly JSON and, with ``problems``, what exceeds JSON's numbers or is not UTF-8.

    If the second byte of a character is taken for the escape of a quote, it is escaped, and the text is read again.
    """
    if problems is None:
        return text, text, msgspec.json.decode(_TRAILING_COMMA.sub(rb"\1", text))
    tidy = tidied(text, charset)
    try:
        return _readtidied(tidy, problems)
    except msgspec.DecodeError:
        parted = text if tidy.converted is None else _HALF_OF_A_QUOTE.sub(rb"\1\\", text)
        if parted == text:
            raise
        return _readtidied(tidied(parted, charset), problems)


def _readtidied(tidy: "Tidy", problems: list[Problem]) -> tuple[bytes, bytes, Any]:
    plain = tidy.plain
    if tidy.converted is not None and tidy.converted.replaced:
        plain = plain.replace(_LOST + rb"\\", _LOST)  # of one character
    plain, found = mended(plain)
    value = msgspec.json.decode(plain)
    problems += tidy.problems
    if tidy.converted is not None:
        problems.append(tidy.converted.problem)
    problems += found
    before, _, after = tidy.text.partition(tidy.core)
    return tidy.text, before + outline(tidy.core, tidy.encoding) + after, value


class Tidy(Struct, frozen=True):
    """A text, and the JSON in it."""

    text: bytes
    """The text to keep. UTF-16 and UTF-32 are converted to UTF-8, in which an image and a ``pin`` can be found."""
    core: bytes
    """The text without what is around the JSON."""
    converted: Converted | None
    """The core converted to UTF-8, if it is in another charset."""
    problems: tuple[Problem, ...]
    """Problems of what is around the JSON, and of UTF-16 and UTF-32."""

    @property
    def plain(self) -> bytes:
        return self.core if self.converted is None else self.converted.text

    @property
    def encoding(self) -> str:
        return "utf-8" if self.converted is None else self.converted.encoding


def tidied(text: bytes, charset: str | None) -> Tidy:
    """Find the JSON in a text, and its charset."""
    problems: tuple[Problem, ...] = ()
    if is_wide(text) and (wide := to_utf8(text)) is not None:
        text, problems = wide.text, (wide.problem,)
    core, around = trimmed(text)
    for found in islice(_END_AND_NUL.finditer(core), _ENDS):
        head = core[: found.start() + 1]
        converted = to_utf8(head, charset)  # the rest may be in any encoding
        plan = outline(head, "utf-8" if converted is None else converted.encoding)
        if first_end(plan) == len(head):
            if trimmed(core[found.end() :])[0][:1] in (b"{", b"["):
                break  # another event
            return Tidy(head, head, converted, (*problems, *around, REST))
    return Tidy(text, core, to_utf8(core, charset), problems + around)


def _check_depth(value: dict[str, Any], max_depth: int) -> None:
    level: list[Any] = [value]
    for _ in range(max_depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise DecodeError("", f"nests deeper than {max_depth} levels")
