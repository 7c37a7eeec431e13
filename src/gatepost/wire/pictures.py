"""Read a picture out of the base64 text of a push. Pure.

The page has base64 (RFC 4648, section 4) of a JPEG. What also comes is wrapped, padded with NUL, url-safe,
percent-encoded, prefixed like a data URL, or has lost its ``+`` to a form decoder that made them blanks.

Only the last is a guess, and every way that is not the page's is told, so that no picture is stored without a note
that may be another one.
"""

import re
from urllib.parse import unquote_to_bytes

import pybase64
from msgspec import Struct

__all__ = ["Picture", "media_type", "read_picture"]

_WRAPPING = re.compile(r"[\t\r\n]+")
_NUMBER_OF_LETTERS = 4
"""Base64 is written in groups of so many."""


class Picture(Struct, frozen=True):
    """The bytes of a picture, and what is to be said of how they were written."""

    data: bytes
    why: str | None = None


def media_type(image: bytes) -> str | None:
    """Return the media type of a picture by its first bytes; ``None`` for what is no JPEG, PNG, WebP or BMP."""
    if image[:2] == b"\xff\xd8":
        return "image/jpeg"
    if image[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "image/webp"
    if image[:2] == b"BM" and image[6:10] == b"\0\0\0\0":
        return "image/bmp"
    return None


def read_picture(text: str) -> Picture | None:
    """Decode a text of base64; ``None`` where it is none. Blanks alone are an empty picture."""
    try:
        return Picture(pybase64.b64decode(text, validate=True))
    except ValueError:
        pass
    why: list[str] = []
    text = text.strip(" \t\r\n\0")
    text = _WRAPPING.sub("", text.rpartition("base64,")[2])
    if "%" in text:
        text = _WRAPPING.sub("", unquote_to_bytes(text).decode("latin-1"))
        why.append("is percent-encoded")
    if "-" in text or "_" in text:
        text = text.replace("-", "+").replace("_", "/")
        why.append("is base64 with the letters for URLs")
    if " " in text:
        text = _without_blanks(text, why)
    data = _decoded(text)
    return None if data is None else Picture(data, " and ".join(why) or None)


def _without_blanks(text: str, why: list[str]) -> str:
    """Return the text without the blanks that wrap it, or with the ``+`` that they were: its length tells which."""
    *lines, last = text.strip(" ").split(" ")
    restored, joined = text.strip(" ").replace(" ", "+"), "".join([*lines, last])
    widths = {len(line) for line in lines}
    wrapped = len(widths) == 1 and _is_whole(lines[0]) and len(last) <= len(lines[0])
    if wrapped or (_is_whole(joined) and not _is_whole(restored)):
        why.append("has blanks in its base64, which are left out")
        return joined
    why.append("has blanks in its base64, which are read as +")
    return restored


def _is_whole(text: str) -> bool:
    return len(text) % _NUMBER_OF_LETTERS == 0


def _decoded(text: str) -> bytes | None:
    text = text.rstrip("=")
    try:
        return pybase64.b64decode(text + "=" * (-len(text) % _NUMBER_OF_LETTERS), validate=True)
    except ValueError:
        return None
