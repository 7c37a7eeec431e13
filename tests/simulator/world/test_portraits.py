import base64
import io
import random

import pytest
from PIL import Image, ImageChops

from gatepost.simulator.world import portraits


@pytest.fixture
def face() -> portraits.FaceTraits:
    return portraits.look(random.Random(7))


def opened(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg))
    image.load()
    return image


def test_the_same_look_and_shot_give_the_same_bytes(face: portraits.FaceTraits) -> None:
    first = portraits.draw(face, shot=1)
    portraits.draw.cache_clear()
    assert portraits.draw(face, shot=1) == first


def test_another_shot_or_a_mask_or_another_person_gives_another_picture(face: portraits.FaceTraits) -> None:
    pictures = {
        portraits.draw(face),
        portraits.draw(face, shot=1),
        portraits.draw(face, mask=True),
        portraits.draw(portraits.look(random.Random(8))),
    }
    assert len(pictures) == 4


@pytest.mark.parametrize("seed", range(12))
def test_a_portrait_is_a_jpeg_of_fifteen_to_thirty_five_kilobytes(seed: int) -> None:
    jpeg = portraits.draw(portraits.look(random.Random(seed)), mask=seed % 3 == 0)
    image = opened(jpeg)
    assert (image.format, image.size) == ("JPEG", (400, 500))
    assert 15_000 <= len(jpeg) <= 35_000


def test_a_stamp_makes_a_capture_unique_and_leaves_the_picture_alone(face: portraits.FaceTraits) -> None:
    jpeg = portraits.draw(face)
    one, two = (portraits.stamp(jpeg, mark) for mark in (b"mark number1", b"mark number2"))
    assert one != two
    assert ImageChops.difference(opened(jpeg), opened(one)).getbbox() is None
    assert opened(one).info["comment"] == b"mark number1"


def test_the_mark_stands_alone_in_the_base64_text(face: portraits.FaceTraits) -> None:
    stamped = portraits.stamp(portraits.draw(face), b"mark number1")
    begin = portraits.MARK_AT * 4 // 3
    text = base64.b64encode(stamped)
    assert text[begin : begin + 16] == base64.b64encode(b"mark number1")


@pytest.mark.parametrize(
    ("jpeg", "mark"),
    [(b"no picture at all", b"mark number1"), (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", b"short")],
)
def test_what_cannot_be_stamped_is_refused(jpeg: bytes, mark: bytes) -> None:
    with pytest.raises(ValueError, match="JFIF"):
        portraits.stamp(jpeg, mark)
