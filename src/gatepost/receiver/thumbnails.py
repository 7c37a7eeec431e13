"""Small pictures of large ones, made of what strangers sent.

Rules:

* Nothing is decoded before its head was read: more pixels than a camera at a door has, or more scans than an
  encoder writes, and it is no picture to us. A few kilobytes can claim gigabytes otherwise, or take hours.
* Only JPEG is tried, whatever else the library could open; and only so many are decoded at once.
* The result says nothing but what is seen: no comments, no place, no camera. It stands upright as browsers show the
  image itself, by the orientation that its EXIF data has (JEITA CP-3451, tag 274).

Source of the markers: ITU-T T.81, annex B.
"""

import io
import threading

from PIL import Image, ImageOps

from gatepost.errors import GatepostError

__all__ = ["MAX_PIXELS", "MAX_SCANS", "SIZES", "NotAPicture", "dimensions", "thumbnail"]

MAX_PIXELS = 16_000_000
"""A progressive JPEG of this size takes some 100 MB while it is decoded."""

MAX_SCANS = 64
"""Encoders write ten or so; each one costs a pass over the whole picture."""

SIZES = (32, 320)
"""The least and the largest edge of a thumbnail, in pixels."""

_AT_ONCE = threading.BoundedSemaphore(2)

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, *range(0xD0, 0xDA)})


class NotAPicture(GatepostError):
    """There is an image, but none that a thumbnail can be made of."""

    def __str__(self) -> str:
        return "the image is no picture that a thumbnail can be made of; ask for the image itself"


def dimensions(jpeg: bytes) -> tuple[int, int] | None:
    """Width and height as the frame's header says them; ``None`` if there is no such header."""
    place = 2
    while jpeg[:2] == b"\xff\xd8" and place + 4 <= len(jpeg):
        if jpeg[place] != 0xFF:
            return None
        marker = jpeg[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker in _BARE:
            place += 2
        elif marker in _FRAMES:
            head = jpeg[place + 5 : place + 9]
            return (int.from_bytes(head[2:]), int.from_bytes(head[:2])) if len(head) == 4 else None
        else:
            place += 2 + int.from_bytes(jpeg[place + 2 : place + 4])
    return None


def _upright(picture: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF data says; as it is where they are broken."""
    exif = picture.info.get("exif")
    picture.info = {} if exif is None else {"exif": exif}  # and not by XMP, which browsers do not look at
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:
        # They are a stranger's bytes, and their reader raises whatever comes of them.
        return picture


def thumbnail(jpeg: bytes, size: int) -> bytes:
    """A JPEG whose longer edge has at most ``size`` pixels. Raises :class:`NotAPicture`."""
    found = dimensions(jpeg)
    if found is None or not 0 < found[0] * found[1] <= MAX_PIXELS or jpeg.count(b"\xff\xda") > MAX_SCANS:
        raise NotAPicture
    with _AT_ONCE:
        try:
            with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as picture:
                if picture.size != found:
                    raise NotAPicture
                picture.draft("RGB", (size, size))  # decodes at an eighth, a quarter or half of the size
                small = picture.convert("RGB")
                small.thumbnail((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            raise NotAPicture from None
    small = _upright(small)
    small.info.clear()  # a comment would be written again
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()
