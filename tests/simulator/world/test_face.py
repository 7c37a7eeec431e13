import random

import msgspec
import pytest
from PIL import Image

from gatepost.simulator.world.face import HEIGHT, SCALE, STYLES, WIDTH, FacePainter, FaceTraits
from gatepost.simulator.world.portraits import look


def painted(face: FaceTraits, *, mask: bool = False) -> Image.Image:
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), (1, 2, 3))
    FacePainter(image, face, random.Random(1)).paint(mask=mask)
    return image


@pytest.mark.parametrize("style", STYLES)
def test_every_hair_style_leaves_the_face_uncovered(style: str) -> None:
    face = msgspec.structs.replace(look(random.Random(5)), style=style, glasses=False, beard="none")
    image = painted(face)
    cheeks = [image.getpixel((round(WIDTH * x) * SCALE, 265 * SCALE)) for x in (0.44, 0.56)]
    assert cheeks.count(face.skin) >= 1


@pytest.mark.parametrize("garment", ["shirt", "tee", "suit", "hoodie", "blouse"])
def test_every_garment_covers_the_shoulders(garment: str) -> None:
    face = msgspec.structs.replace(look(random.Random(5)), garment=garment, style="short")
    assert painted(face).getpixel((60 * SCALE, 480 * SCALE)) == face.clothes


def test_a_mask_covers_mouth_and_beard() -> None:
    face = msgspec.structs.replace(look(random.Random(5)), style="short", beard="full")
    bare, masked = painted(face), painted(face, mask=True)
    mouth = (WIDTH * SCALE // 2, 295 * SCALE)
    assert bare.getpixel(mouth) != masked.getpixel(mouth)
