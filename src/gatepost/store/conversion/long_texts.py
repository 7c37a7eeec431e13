"""Long texts in JSON that a terminal sent: any of them may be an image where none is looked for. Pure.

The image of an event is taken out of its ``original`` when it is decoded. What could not be decoded stays there, and so
does an image in a field that the page does not know, or in something that is no event. Nothing else that terminals send
is as long. So every long text leaves the original: it is kept as the images are, or not at all where they are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

__all__ = ["LONG", "put_back", "take_out"]

LONG = 1024
"""Bytes. The smallest portrait that shows a face is longer, the longest name and remark are shorter."""

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_RUN = re.compile(rb"[A-Za-z0-9+/=_%%\\ \t\r\n-]{%d,}+" % LONG)
"""For an original that is no UTF-8: a byte of a letter may look like a quote there, so base64 is looked for."""

_Texts = list[tuple[int, bytes]]
"""The offset of each text in the shortened original, and its bytes."""
_decode = msgspec.msgpack.Decoder(_Texts).decode
_encode = msgspec.msgpack.Encoder().encode


def take_out(original: bytes) -> tuple[bytes, bytes]:
    """Return the same JSON with every text of :data:`LONG` bytes or more emptied, and what :func:`put_back` takes.

    The latter is empty where no text is long.
    """
    if len(original) < LONG:
        return original, b""
    texts: _Texts = []
    parts: list[bytes] = []
    end = length = 0
    for start, inner in _long(original):
        parts.append(original[end:start])
        length += start - end
        texts.append((length, inner))
        end = start + len(inner)
    if not texts:
        return original, b""
    return b"".join([*parts, original[end:]]), _encode(texts)


def _long(original: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield where each long text begins, and what stands between its quotes."""
    try:
        original.decode()
    except UnicodeDecodeError:
        for run in _RUN.finditer(original):
            yield run.start(), run[0]
        return
    for found in _TEXT.finditer(original):
        inner = found[0][1:].removesuffix(b'"') if len(found[0]) > LONG else b""
        if len(inner) >= LONG:
            yield found.start() + 1, inner


def put_back(shortened: bytes, texts: bytes) -> bytes:
    """Return the original. Raises ``ValueError`` where ``texts`` is not what :func:`take_out` returned."""
    parts: list[bytes] = []
    end = 0
    for at, inner in _decode(texts) if texts else ():
        parts += shortened[end:at], inner
        end = at
    return b"".join([*parts, shortened[end:]])
