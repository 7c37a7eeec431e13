"""Read an image from the base64 text of a push. Pure.

The page has base64 (RFC 4648, section 4) of a JPEG. Other senders wrap it, pad it with NUL, use the url-safe or a
percent-encoded form, prefix it like a data URL, or lose its ``+`` to a form decoder, which makes them blanks.

The last is a guess, and so is missing padding, because the text may have been cut. Every guess, and every change of the
letters, is a problem of the event, so that no possibly different image is stored without a note.
"""

import re
from urllib.parse import unquote_to_bytes

import pybase64
from msgspec import Struct

__all__ = ["Picture", "media_type", "read_picture"]

_WRAPPING = re.compile(r"[\t\r\n]+")
_END = re.compile(r"\0[ \0]*+\Z")
_BLANK = re.compile(" ")
_NUMBER_OF_LETTERS = 4
"""Letters of a group in base64."""

_WIDEST = 1024
"""Letters of a line, at most. Usual are 64 and 76."""

_LEFT_OUT = "has blanks in its base64, which are left out"
_READ_AS_PLUS = "has blanks in its base64, which are read as +"


class Picture(Struct, frozen=True):
    """The bytes of an image, and what was unusual about how they were written."""

    data: bytes
    whys: tuple[str, ...] = ()


def media_type(image: bytes) -> str | None:
    """Return the media type of an image by its first bytes; ``None`` if it is no JPEG, PNG, WebP or BMP."""
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
    """Decode a text of base64; ``None`` if it is none. Blanks alone are an empty image."""
    try:
        return Picture(pybase64.b64decode(text, validate=True))
    except ValueError:
        pass
    whys: list[str] = []
    text = text.strip("\t\r\n\0")
    text = _END.sub("", _WRAPPING.sub("", text.rpartition("base64,")[2]))
    if "%" in text:
        text = _WRAPPING.sub("", unquote_to_bytes(text).decode("latin-1"))
        whys.append("is percent-encoded")
    if "-" in text or "_" in text:
        text = text.replace("-", "+").replace("_", "/")
        whys.append("is base64 with the letters for URLs")
    text = _without_blanks(text.lstrip(" "), whys)  # no image begins with a +
    data = _decoded(text, whys)
    return None if data is None else Picture(data, tuple(whys))


def _without_blanks(text: str, whys: list[str]) -> str:
    """Return the text without its wrapping, and with ``+`` in place of other blanks: its length tells which.

    Blanks at the end are removed if it is complete without them.
    """
    stripped = text.rstrip(" ")
    if " " not in stripped and _is_whole(stripped):
        if stripped != text and not stripped.endswith("="):
            whys.append(_LEFT_OUT)  # an image may end with four +
        return stripped
    for candidate in (stripped, text):
        unwrapped = _unwrapped(candidate)
        if unwrapped is not None:
            whys += [_LEFT_OUT, _READ_AS_PLUS] if " " in unwrapped else [_LEFT_OUT]
            return unwrapped.replace(" ", "+")
    joined = text.replace(" ", "")
    if joined == text:
        return text
    for candidate in (stripped, text):
        if _is_whole(candidate):
            whys.append(_READ_AS_PLUS)
            return candidate.replace(" ", "+")
    if _is_whole(joined):
        whys.append(_LEFT_OUT)
        return joined
    whys.append(_READ_AS_PLUS)
    return text.replace(" ", "+")


def _unwrapped(text: str) -> str | None:
    """Return a text without the blanks between its lines; ``None`` without lines of one width.

    Other blanks stay. Without its wrapping the text must be complete, so that one blank at the right place is no
    wrapping.
    """
    for blank in _BLANK.finditer(text, 0, _WIDEST + 1):
        width = blank.start()
        if width % _NUMBER_OF_LETTERS == 0 and not text[width :: width + 1].strip(" "):
            joined = "".join([text[at : at + width] for at in range(0, len(text), width + 1)])
            if _is_whole(joined):
                return joined
    return None


def _is_whole(text: str) -> bool:
    return len(text) % _NUMBER_OF_LETTERS == 0


def _decoded(text: str, whys: list[str]) -> bytes | None:
    letters = text.rstrip("=")
    padded = letters + "=" * (-len(letters) % _NUMBER_OF_LETTERS)
    try:
        data = pybase64.b64decode(padded, validate=True)
    except ValueError:
        return None
    if padded != text:
        whys.append("has no or the wrong padding at its end")  # it may have been cut, or have lost letters
    return data
