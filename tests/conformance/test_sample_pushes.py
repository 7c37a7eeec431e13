import base64
import io
import json
import random

import pytest
from PIL import Image

from gatepost.conformance.sample_pushes import DIALECTS, SERIAL, Samples, jpeg, write
from gatepost.wire import Alarm, Record, decode


def samples() -> Samples:
    return Samples(random.Random(7), lambda: 1_700_000_000.0)


@pytest.mark.parametrize("size", [200, 161, 163, 164, 30 * 1024, 65_700, 131_231, 1 << 20, 4 << 20])
def test_a_portrait_is_a_jpeg_of_the_size_that_was_asked_for(size: int) -> None:
    image = jpeg(size)
    assert abs(len(image) - size) < 4
    Image.open(io.BytesIO(image)).load()


@pytest.mark.parametrize("version", DIALECTS)
def test_a_dialect_is_recognised_as_what_it_is_meant_to_be(version: str) -> None:
    event, headers = samples().dialect(version)
    decoded = decode(write(event))
    assert decoded.dialect == version
    assert isinstance(decoded.event, Record)
    assert decoded.event.serial is not None
    assert decoded.event.serial.startswith(SERIAL)
    assert bool(headers) == (version in ("1.3.0", "1.2.1"))


def test_an_alarm_is_one_by_the_page() -> None:
    assert isinstance(decode(write(samples().alarm())).event, Alarm)


def test_every_event_is_new_and_the_same_seed_makes_the_same() -> None:
    made, again = samples(), samples()
    first, second = made.record(), made.record()
    assert first["data"]["uuid"] != second["data"]["uuid"]
    assert first == again.record()


def test_a_field_is_left_out_by_dots_and_changed_by_a_value() -> None:
    event = samples().record({"uuid": ..., "mode": 9}, name=..., type=2)
    assert "uuid" not in event["data"]
    assert event["data"]["mode"] == 9
    assert "name" not in event["data"]["user"]
    assert event["data"]["user"]["type"] == 2


def test_names_are_written_as_they_are() -> None:
    body = write(samples().record())
    assert "王五".encode() in body
    assert json.loads(body)["type"] == 0


def test_no_image_is_the_empty_string() -> None:
    assert samples().portrait(0) == ""
    assert base64.b64decode(samples().portrait(500)).startswith(b"\xff\xd8")
