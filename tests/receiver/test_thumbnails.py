"""Small pictures, and what is not decoded at all."""

import io
import struct
import sys
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gatepost.receiver.thumbnails import MAX_PARTS, MAX_PIXELS, MAX_SCANS, NotAPicture, dimensions, thumbnail


def picture(width: int = 640, height: int = 480, **options: object) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(out, "JPEG", **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("size", "becomes"), [((640, 480), (128, 96)), ((480, 640), (96, 128)), ((50, 40), (50, 40))]
)
def test_a_thumbnail_keeps_the_shape_and_never_grows(size: tuple[int, int], becomes: tuple[int, int]) -> None:
    small = Image.open(io.BytesIO(thumbnail(picture(*size), 128)))
    assert small.format == "JPEG"
    assert small.size == becomes


def test_progressive_grey_and_cmyk_pictures_become_thumbnails_too() -> None:
    assert thumbnail(picture(progressive=True), 64)
    for mode in ("L", "CMYK"):
        out = io.BytesIO()
        Image.new(mode, (300, 200)).save(out, "JPEG")
        assert Image.open(io.BytesIO(thumbnail(out.getvalue(), 64))).size == (64, 43)


def test_a_thumbnail_says_nothing_but_what_is_seen() -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    small = thumbnail(picture(exif=exif, comment=b"somebody's name"), 64)
    assert b"camera" not in small
    assert b"name" not in small


def corners(image: Image.Image) -> list[str]:
    """Which colour is in which corner, from the upper left one clockwise."""
    right, lower = image.width - 4, image.height - 4
    seen = [
        image.convert("RGB").getpixel(place) for place in ((3, 3), (right, 3), (right, lower), (3, lower))
    ]
    return ["".join("rgb"[n] for n in range(3) if pixel[n] > 128) for pixel in seen]  # type: ignore[index]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_thumbnail_stands_as_browsers_show_the_image_and_no_longer_says_so(orientation: int) -> None:
    flag = Image.new("RGB", (120, 60))
    for place, colour in (((0, 0), "red"), ((60, 0), "lime"), ((60, 30), "blue"), ((0, 30), "yellow")):
        flag.paste(colour, (*place, place[0] + 60, place[1] + 30))
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112], exif[0x010F] = orientation, "a camera"
    flag.save(out, "JPEG", exif=exif, quality=95)
    small = Image.open(io.BytesIO(thumbnail(out.getvalue(), 64)))
    # EXIF 2.3, 4.6.4: where row 0 and column 0 are.
    upright = {
        1: ["r", "g", "b", "rg"], 2: ["g", "r", "rg", "b"], 3: ["b", "rg", "r", "g"], 4: ["rg", "b", "g", "r"],
        5: ["r", "rg", "b", "g"], 6: ["rg", "r", "g", "b"], 7: ["b", "g", "r", "rg"], 8: ["g", "b", "rg", "r"],
    }  # fmt: skip
    assert small.size == ((64, 32) if orientation < 5 else (32, 64))
    assert corners(small) == upright[orientation]
    assert not small.getexif()
    assert set(small.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_there_is_not_turns_nothing(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert Image.open(io.BytesIO(thumbnail(picture(exif=exif), 64))).size == (64, 48)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"\xff" * 99]
)
def test_broken_exif_data_cost_no_thumbnail(exif: bytes) -> None:
    plain = picture()
    whole = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + plain[2:]
    assert Image.open(io.BytesIO(thumbnail(whole, 64))).size == (64, 48)


def test_a_picture_that_claims_more_pixels_than_any_camera_has_is_not_decoded() -> None:
    bomb = bytearray(picture())
    place = bomb.index(b"\xff\xc0") + 5
    bomb[place : place + 4] = struct.pack(">HH", 65_000, 65_000)
    assert dimensions(bytes(bomb)) == (65_000, 65_000)
    with pytest.raises(NotAPicture):
        thumbnail(bytes(bomb), 64)
    assert MAX_PIXELS < 65_000**2


def test_a_picture_of_thousands_of_scans_is_not_decoded() -> None:
    whole = picture(progressive=True)
    scan = whole[whole.index(b"\xff\xda") : -2]
    with pytest.raises(NotAPicture):
        thumbnail(whole[:-2] + scan * MAX_SCANS + whole[-2:], 64)


def test_a_picture_hidden_behind_the_first_head_is_not_decoded() -> None:
    small, large = picture(8, 8), picture(5000, 3000)
    with pytest.raises(NotAPicture):
        thumbnail(small[:2] + large[2 : large.index(b"\xff\xda")] + small[2:][:-2], 64)


def test_a_picture_whose_size_its_reader_finds_elsewhere_is_not_decoded() -> None:
    """The reader passes over what is no marker, and over the comment in which the first head stands."""
    small, large = picture(8, 8), picture(200, 100)
    head = small[(start := small.index(b"\xff\xc0")) : start + 19] + b"\xff\xda\0\2"
    comment = b"\xff\xe1" + (len(head) + 2).to_bytes(2) + head
    hidden = large[:2] + b"\xff\0\0\6" + comment + large[2:]
    with Image.open(io.BytesIO(hidden)) as opened:
        assert opened.size == dimensions(large) == (200, 100)
    assert dimensions(hidden) == (8, 8)
    with pytest.raises(NotAPicture):
        thumbnail(hidden, 64)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xd8", b"\xff\xd8\xff\xd9", b"GIF89a", b"\xff\xd8\xff\xc0\x00\x11\x08", picture()[:300]],
)
def test_what_is_no_picture_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(NotAPicture, match="no picture"):
        thumbnail(data, 64)


def drawn(kind: str, size: tuple[int, int] = (400, 300), mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(out, kind, **options)
    return out.getvalue()


KINDS = [
    *(drawn("PNG", mode=mode) for mode in ("RGB", "P", "LA", "1")),
    *(drawn("BMP", mode=mode) for mode in ("RGB", "L")),
    *(drawn("WEBP", lossless=lossless, mode=mode) for lossless in (True, False) for mode in ("RGB", "RGBA")),
    drawn("WEBP", exif=b"Exif\0\0"),
]


@pytest.mark.parametrize("image", KINDS)
def test_png_webp_and_bmp_become_thumbnails_in_jpeg_too(image: bytes) -> None:
    assert dimensions(image) == (400, 300)
    small = Image.open(io.BytesIO(thumbnail(image, 64)))
    assert (small.format, small.size) == ("JPEG", (64, 48))


def test_what_is_transparent_is_white() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(out, "PNG")
    assert Image.open(io.BytesIO(thumbnail(out.getvalue(), 32))).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize(
    "bomb",
    [
        drawn("PNG")[:16] + struct.pack(">II", 65_000, 65_000) + drawn("PNG")[24:],
        drawn("BMP")[:18] + struct.pack("<ii", 65_000, -65_000) + drawn("BMP")[26:],
        drawn("WEBP", lossless=True)[:21] + b"\xff\xff\xff\x0f" + drawn("WEBP", lossless=True)[25:],
        drawn("WEBP")[:26] + b"\xff\x3f\xff\x3f" + drawn("WEBP")[30:],
    ],
)
def test_a_picture_of_another_kind_that_claims_too_many_pixels_is_not_decoded_either(bomb: bytes) -> None:
    width, height = dimensions(bomb) or (0, 0)
    assert width * height > MAX_PIXELS
    with pytest.raises(NotAPicture):
        thumbnail(bomb, 64)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PPM", "ICO"])
def test_nothing_else_is_tried(kind: str) -> None:
    with pytest.raises(NotAPicture):
        thumbnail(drawn(kind, size=(64, 64)), 64)
    with pytest.raises(NotAPicture):
        thumbnail(b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', 64)


@given(st.data())
def test_no_damage_to_another_kind_makes_it_fail_in_another_way(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(KINDS))
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, min(len(damaged) - 1, 200)))] = data.draw(st.integers(0, 255))
    with suppress(NotAPicture):
        thumbnail(bytes(damaged), 32)


@given(st.binary(max_size=200).map(lambda tail: b"\xff\xd8" + tail))
def test_no_bytes_make_it_fail_in_another_way(data: bytes) -> None:
    with suppress(NotAPicture):
        assert thumbnail(data, 64)[:2] == b"\xff\xd8"


@given(st.data())
def test_no_damage_makes_it_fail_in_another_way(data: st.DataObject) -> None:
    damaged = bytearray(picture(64, 48))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(NotAPicture):
        assert dimensions(bytes(damaged)) is None or thumbnail(bytes(damaged), 32)


MILLION = 1_000_000


def bombs() -> dict[str, bytes]:
    """Pictures that are well-formed, small to look at, and have a million parts."""
    whole, out = picture(64, 64), io.BytesIO()
    Image.new("L", (64, 64)).save(out, "PNG")
    png = out.getvalue()
    scan = whole.index(b"\xff\xda")
    text = b"\0\0\0\0tEXt" + zlib.crc32(b"tEXt").to_bytes(4)
    return {
        "fill before the frame": whole[:2] + b"\xff" * MILLION + whole[2:],
        "empty comments before the frame": whole[:2] + b"\xff\xfe\0\2" * MILLION + whole[2:],
        "empty comments after the frame": whole[:scan] + b"\xff\xfe\0\2" * MILLION + whole[scan:],
        "chunks before the pixels": png[:33] + text * MILLION + png[33:],
        "chunks behind the pixels": png[:-12] + text * MILLION + png[-12:],
    }


@pytest.mark.parametrize("name", list(bombs()))
def test_a_picture_of_a_million_parts_costs_no_more_than_a_few_thousand_steps(name: str) -> None:
    bomb, steps = bombs()[name], 0

    def count(*_: object) -> Any:
        nonlocal steps
        steps += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        with pytest.raises(NotAPicture):
            thumbnail(bomb, 64)
    finally:
        sys.settrace(before)
    assert steps < 20 * MAX_PARTS


def test_a_picture_with_many_parts_is_still_one() -> None:
    whole = picture(64, 64)
    assert thumbnail(whole[:2] + b"\xff\xfe\0\2" * 1000 + whole[2:], 64)
    out = io.BytesIO()
    Image.new("L", (64, 64)).save(out, "PNG")
    png = out.getvalue()
    text = b"\0\0\0\0tEXt" + zlib.crc32(b"tEXt").to_bytes(4)
    assert thumbnail(png[:33] + text * 1000 + png[33:], 64)
