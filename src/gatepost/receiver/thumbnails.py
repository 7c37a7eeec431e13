"""Small pictures of large ones, made of what strangers sent.

Rules:

* Nothing is decoded before its head was read: more pixels than a camera at a door has, or more scans or parts than an
  encoder writes, and it is no picture to us. A few kilobytes can claim gigabytes otherwise, or take hours.
* Only JPEG, PNG, WebP and BMP are tried, each by its own reader, whatever else the library could open; and only so
  many are decoded at once.
* The result says nothing but what is seen: no comments, no place, no camera. It stands upright as browsers show the
  image itself, by the orientation that its EXIF data has (JEITA CP-3451, tag 274).

Sources: ITU-T T.81, annex B (markers of a JPEG); W3C PNG, section 11.2.2 (IHDR); RFC 9649 (WebP); Microsoft's
BITMAPINFOHEADER.
"""

import io
import threading

from PIL import Image, ImageOps

from gatepost.errors import GatepostError
from gatepost.wire import media_type

__all__ = ["MAX_PARTS", "MAX_PIXELS", "MAX_SCANS", "SIZES", "NotAPicture", "dimensions", "thumbnail"]

MAX_PIXELS = 16_000_000
"""A progressive JPEG of this size takes some 100 MB while it is decoded."""

MAX_SCANS = 64
"""Encoders write ten or so; each one costs a pass over the whole picture."""

MAX_PARTS = 4096
"""Markers of a JPEG up to its first scan, and chunks of a PNG. The library takes each of them apart in Python."""

SIZES = (32, 320)
"""The least and the largest edge of a thumbnail, in pixels."""

_READERS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/bmp": "BMP"}

_AT_ONCE = threading.BoundedSemaphore(2)

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, *range(0xD0, 0xDA)})
_SCAN = 0xDA


class NotAPicture(GatepostError):
    """There is an image, but none that a thumbnail can be made of."""

    def __str__(self) -> str:
        return "the image is no picture that a thumbnail can be made of; ask for the image itself"


def dimensions(image: bytes) -> tuple[int, int] | None:
    """Return width and height as an image's header has them; ``None`` if there is no such header."""
    match media_type(image):
        case "image/jpeg":
            return _of_jpeg(image)
        case "image/png" if image[12:16] == b"IHDR":
            return int.from_bytes(image[16:20]), int.from_bytes(image[20:24])
        case "image/webp":
            return _of_webp(image)
        case "image/bmp" if image[14:18] == b"\x0c\0\0\0":
            return _little(image[18:20]), _little(image[20:22])
        case "image/bmp":
            height = int.from_bytes(image[22:26], "little", signed=True)  # below zero: from top to bottom
            return _little(image[18:22]), abs(height)
    return None


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _of_webp(webp: bytes) -> tuple[int, int] | None:
    match webp[12:16]:
        case b"VP8X":
            return _little(webp[24:27]) + 1, _little(webp[27:30]) + 1
        case b"VP8L" if webp[20:21] == b"\x2f":
            bits = _little(webp[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 " if webp[23:26] == b"\x9d\x01\x2a":
            return _little(webp[26:28]) & 0x3FFF, _little(webp[28:30]) & 0x3FFF
    return None


def _of_jpeg(jpeg: bytes) -> tuple[int, int] | None:
    place, found = 2, None
    for _ in range(MAX_PARTS):
        if jpeg[:2] != b"\xff\xd8" or place + 4 > len(jpeg):
            return found
        if jpeg[place] != 0xFF:
            return None
        marker = jpeg[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker in _BARE:
            place += 2
        elif marker == _SCAN:
            return found
        else:
            if marker in _FRAMES:
                head = jpeg[place + 5 : place + 9]
                found = (int.from_bytes(head[2:]), int.from_bytes(head[:2])) if len(head) == 4 else None
            place += 2 + int.from_bytes(jpeg[place + 2 : place + 4])
    return None


def _has_too_many_chunks(png: bytes) -> bool:
    place = 8
    for _ in range(MAX_PARTS):
        if place >= len(png):
            return False
        place += 12 + int.from_bytes(png[place : place + 4])
    return True


def _opaque(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layers = picture.convert("RGBA")
    white = Image.new("RGB", picture.size, "white")
    white.paste(layers, mask=layers.getchannel("A"))
    white.info = layers.info
    return white


def _upright(picture: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF data says; as it is where they are broken."""
    exif = picture.info.get("exif")
    picture.info = {} if exif is None else {"exif": exif}  # and not by XMP, which browsers do not look at
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:
        # They are a stranger's bytes, and their reader raises whatever comes of them.
        return picture


def thumbnail(image: bytes, size: int) -> bytes:
    """Return a JPEG whose longer edge has at most ``size`` pixels, on white where the image is transparent.

    Raises :class:`NotAPicture`.
    """
    kind, found = _READERS.get(media_type(image) or "", ""), dimensions(image)
    if found is None or not 0 < found[0] * found[1] <= MAX_PIXELS:
        raise NotAPicture
    if kind == "JPEG" and image.count(b"\xff\xda") > MAX_SCANS:
        raise NotAPicture
    if kind == "PNG" and _has_too_many_chunks(image):
        raise NotAPicture
    with _AT_ONCE:
        try:
            with Image.open(io.BytesIO(image), formats=[kind]) as picture:
                if picture.size != found:
                    raise NotAPicture
                picture.draft("RGB", (size, size))  # decodes at an eighth, a quarter or half of the size
                small = _opaque(picture)
                small.thumbnail((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            raise NotAPicture from None
    small = _upright(small)
    small.info.clear()  # a comment would be written again
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()
