"""Drawn faces in place of a terminal's camera, without a photograph of anyone.

Rules:

- A portrait depends only on its arguments: the same `FaceTraits`, `mask` and `shot` give the same JPEG bytes (with the
  same Pillow and libjpeg), on any machine, in any order.
- Nothing is read from disk. Every shape is drawn here, at twice the size, and scaled down to smooth the edges.
- `stamp` makes any number of captures unique without drawing again. It writes a mark of twelve bytes into a JPEG
  comment (ITU-T T.81, B.2.4.5) at a multiple of three, so that the mark is sixteen characters of the base64, which the
  fast engine can replace.

Flow: `look(rand)` once per person → `draw(look, …)` once per capture → `stamp(jpeg, mark)` per event.
How a face is painted: `gatepost.simulator.world.face`.
"""

from __future__ import annotations

import functools
import io
import random

from PIL import Image, ImageDraw, ImageFilter

from gatepost.simulator.world.face import (
    HEIGHT,
    SCALE,
    STYLES,
    WIDTH,
    FacePainter,
    FaceTraits,
    Rgb,
    darker,
    lighter,
)
from gatepost.simulator.world.rng import rng

MARK_BYTES = 12
"""Length of the mark that `stamp` writes."""

MARK_AT = 24
"""Offset of the mark in a stamped JPEG: after SOI (2), the JFIF header (18), the comment's marker and length (4)."""

_JFIF = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"

SKINS: tuple[Rgb, ...] = (
    (255, 224, 196), (248, 210, 178), (241, 194, 158), (229, 178, 138),
    (209, 154, 112), (178, 122, 84), (141, 92, 62), (104, 67, 46),
)  # fmt: skip
HAIRS: tuple[Rgb, ...] = (
    (28, 24, 26), (40, 31, 29), (58, 42, 34), (86, 58, 40),
    (128, 86, 50), (176, 130, 78), (150, 70, 44), (150, 150, 154),
)  # fmt: skip
CLOTHES: tuple[Rgb, ...] = (
    (47, 72, 112), (86, 124, 141), (196, 90, 82), (226, 160, 84), (96, 138, 98), (122, 98, 148),
    (60, 64, 74), (232, 232, 228), (190, 110, 140), (38, 118, 122),
)  # fmt: skip
WALLS: tuple[Rgb, ...] = ((205, 217, 226), (222, 214, 202), (208, 220, 208), (216, 210, 222), (226, 222, 212))


def look(rand: random.Random) -> FaceTraits:
    """Draw the traits of one face. Every value comes from `rand`."""
    feminine = rand.random() < 0.5
    if feminine:
        style = rand.choices(STYLES, (5, 0, 0, 10, 24, 26, 12, 14, 0, 6))[0]
    else:
        style = rand.choices(STYLES, (34, 26, 18, 10, 0, 2, 1, 2, 7, 0))[0]
    skin = rand.choice(SKINS)
    dark = SKINS.index(skin) >= 5
    hair = rand.choices(HAIRS, (40, 30, 15, 4, 1, 0, 0, 6) if dark else (24, 20, 16, 14, 9, 7, 5, 7))[0]
    beard = "none" if feminine else rand.choices(("none", "stubble", "moustache", "full"), (70, 12, 7, 11))[0]
    return FaceTraits(
        skin=skin,
        hair=hair,
        style=style,
        clothes=rand.choice(CLOTHES),
        garment=rand.choice(("shirt", "tee", "suit", "hoodie", "blouse")),
        wall=rand.choice(WALLS),
        face_width=rand.uniform(0.93, 1.06),
        face_height=rand.uniform(0.95, 1.05),
        jaw=rand.uniform(0.0, 1.0) * (0.7 if feminine else 1.0),
        eyes=rand.uniform(0.9, 1.15),
        brows=rand.uniform(-1.0, 1.0),
        mouth=rand.uniform(0.2, 1.0),
        glasses=rand.random() < 0.24,
        beard=beard,
        blush=rand.random() < 0.5,
    )


@functools.lru_cache(maxsize=1024)
def draw(face: FaceTraits, *, mask: bool = False, shot: int = 0, quality: int = 88) -> bytes:
    """Draw one capture of `face` and return it as JPEG, some 15 to 35 KB.

    `shot` varies what changes between two passages of one person: position, light, and the camera's grain.
    The last thousand captures are cached, some 25 MB.
    """
    rand = rng("shot", shot, face.style, f"{face.jaw:.6f}", f"{face.mouth:.6f}")
    size = (WIDTH * SCALE, HEIGHT * SCALE)
    image = _backdrop(face, size, rand)
    FacePainter(image, face, rand).paint(mask=mask)
    return _expose(image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS), rand, quality)


def stamp(jpeg: bytes, mark: bytes) -> bytes:
    """Return `jpeg` with `mark` (exactly `MARK_BYTES`) in a comment segment. The image is unchanged.

    A JPEG that does not begin with a JFIF header of 18 bytes, or a mark of another length, raises ValueError.
    """
    if not jpeg.startswith(_JFIF) or len(mark) != MARK_BYTES:
        raise ValueError(f"stamp needs a plain JFIF image and a mark of {MARK_BYTES} bytes")
    return b"".join((jpeg[:20], b"\xff\xfe", (MARK_BYTES + 2).to_bytes(2, "big"), mark, jpeg[20:]))


def _backdrop(face: FaceTraits, size: tuple[int, int], rand: random.Random) -> Image.Image:
    """Draw a blurred entrance hall: wall, floor, a doorway or a window, lamps. It is drawn small."""
    w, h = size[0] // 8, size[1] // 8
    image = Image.new("RGB", (w, h), face.wall)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, round(h * 0.78), w, h), fill=darker(face.wall, 0.22))
    x = rand.choice((0.02, 0.66)) * w
    pen.rectangle((x, h * 0.16, x + w * 0.32, h * 0.8), fill=lighter(face.wall, 0.55))
    pen.rectangle((x + w * 0.15, h * 0.16, x + w * 0.17, h * 0.8), fill=darker(face.wall, 0.12))
    for k in range(3):
        lx = w * (0.2 + 0.3 * k) + rand.uniform(-3, 3)
        pen.ellipse((lx - 4, 2, lx + 4, 6), fill=(255, 252, 240))
    return image.filter(ImageFilter.GaussianBlur(2.2)).resize(size, Image.Resampling.BICUBIC)


def _expose(image: Image.Image, rand: random.Random, quality: int) -> bytes:
    """Add the lamp's light and a little grain, as a door camera does, and encode it."""
    side = rand.uniform(-0.5, 0.5)
    light = Image.new("L", (8, 8))
    light.putdata(
        [
            max(0, min(255, round(128 + 26 * (side * (x - 3.5) / 3.5 - (y - 3.5) / 5))))
            for y in range(8)
            for x in range(8)
        ]
    )
    shade = light.resize(image.size, Image.Resampling.BICUBIC)
    white, black = Image.new("RGB", image.size, (255, 250, 240)), Image.new("RGB", image.size, (24, 24, 44))
    image = Image.composite(white, image, shade.point([max(0, v - 128) * 2 for v in range(256)]))
    image = Image.composite(black, image, shade.point([max(0, 128 - v) * 2 for v in range(256)]))
    grain = Image.frombytes("L", (WIDTH, HEIGHT), rand.randbytes(WIDTH * HEIGHT)).point(
        [96 + v // 4 for v in range(256)]
    )
    image = Image.blend(image, Image.merge("RGB", (grain, grain, grain)), 0.075)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=False)
    return out.getvalue()
