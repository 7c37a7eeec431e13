"""The passages that the benchmarks send."""

import io
from pathlib import Path

from benchmarks.payloads import IMAGE_BYTES, bodies, jpeg, template, write_template
from PIL import Image

from gatepost.wire import Record, decode

RUN = "0123456789ab"


def test_a_body_is_a_passage_that_a_strict_decoding_takes() -> None:
    event = decode(bodies(RUN, image=True, start=1_700_000_000)(7)).event
    assert isinstance(event, Record)
    assert event.uuid == "01234567-89ab-4000-8000-000000000007"
    assert event.image == jpeg(7, RUN)


def test_every_body_of_a_run_is_as_long_as_every_other() -> None:
    body = bodies(RUN, image=False)
    assert len({len(body(n)) for n in (0, 63, 64, 999, 1000, 123_456)}) == 1


def test_no_two_bodies_have_a_uuid_or_an_image_in_common() -> None:
    events = [decode(bodies(run, image=True)(n)).event for run in (RUN, "ba9876543210") for n in range(4)]
    assert len({event.uuid for event in events if isinstance(event, Record)}) == 8
    assert len({event.image for event in events if isinstance(event, Record)}) == 8


def test_an_image_is_a_picture_of_30_kilobytes_that_opens() -> None:
    data = jpeg(3, RUN)
    assert len(data) == IMAGE_BYTES
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert picture.size == (200, 240)


def test_the_load_generator_is_given_the_same_template(tmp_path: Path) -> None:
    folder = write_template(tmp_path / "wrk", image=False)
    assert (folder / "body.template").read_text(encoding="utf-8") == template(image=False)
