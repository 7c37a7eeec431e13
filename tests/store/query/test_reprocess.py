import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.store.events import JPEG, NOON, RECEIVED_MS, alarm, record

from gatepost import wire
from gatepost.journal.places import Image
from gatepost.store.conversion.long_texts import LONG, put_back
from gatepost.store.images.images import ALARMS, PEOPLE, QUARANTINE, STRANGERS
from gatepost.store.interface import Arrival, QuarantineRow
from gatepost.store.query.reprocess import decode_again, separated
from gatepost.wire import Dialect, Problem

SECRET = b"of the store"


def row(original: bytes, **fields: Any) -> QuarantineRow:
    values: dict[str, Any] = {
        "id": 9,
        "terminal_id": 3,
        "serial": "SN-1",
        "received_at": NOON + timedelta(milliseconds=42),
        "peer": "10.0.0.9",
        "problems": (Problem("", "could not be decoded"),),
        "tries": 2,
        "original": original,
        "size": len(original),
    }
    return QuarantineRow(**(values | fields))


def again(whole: bytes) -> Arrival | None:
    """What a row has is without images and long texts, so that is not what is decoded."""
    return decode_again(row(b"{}"), whole, SECRET)


@pytest.mark.parametrize(
    "event",
    [
        record(1),
        record(1, image=JPEG),
        record(1, uuid=None, image=JPEG),
        alarm(trace_id="trace-00001"),
        alarm(trace_id="trace-00002", image=JPEG),
    ],
    ids=["record", "image", "no uuid", "alarm", "photo"],
)
def test_what_is_known_by_now_is_the_arrival_that_it_was(event: wire.Record | wire.Alarm) -> None:
    arrival = again(wire.encode(event))
    assert arrival is not None
    assert (arrival.event, arrival.image, arrival.texts) == (event, None, None)
    assert arrival.original == wire.encode(msgspec.structs.replace(event, image=None))
    assert (arrival.terminal_id, arrival.peer) == (3, "10.0.0.9")
    assert arrival.received_at_ms == RECEIVED_MS + 42
    assert arrival.dialect is Dialect.V1_3_0
    assert arrival.problems == ()


@pytest.mark.parametrize("event", [record(1, image=JPEG), record(1, uuid=None, image=JPEG), alarm(status=3)])
def test_it_is_the_same_event_as_the_one_that_the_terminal_pushes_again(
    event: wire.Record | wire.Alarm,
) -> None:
    arrival = again(wire.encode(event))
    assert arrival is not None
    assert arrival.key == wire.key_digest(wire.key(event), SECRET)


def test_it_says_nothing_of_whose_address_that_is_now() -> None:
    arrival = again(wire.encode(record(1)))
    assert arrival is not None
    assert not arrival.bind_peer
    assert (arrival.sent_at_ms, arrival.model, arrival.disagreements) == (None, None, ())


def test_a_passage_with_a_broken_detail_is_one_and_the_detail_is_noted_anew() -> None:
    push = json.loads(wire.encode(record(1)))
    push["data"]["mask"] = "perhaps"
    arrival = again(json.dumps(push).encode())
    assert arrival is not None
    assert arrival.problems == (Problem("data.mask", "must be an integer"),)
    assert isinstance(arrival.event, wire.Record)
    assert (arrival.event.uuid, arrival.event.mask) == ("uuid-000001", None)


def test_older_firmware_is_told_by_what_it_sent() -> None:
    arrival = again(b'{"type":0,"data":{"TrackID":"OLD1","recognizeStatus":0.8}}')
    assert arrival is not None
    assert arrival.dialect is Dialect.BEFORE_1_0
    assert isinstance(arrival.event, wire.Record)
    assert (arrival.event.serial, arrival.event.score) == ("OLD1", 0.8)


def test_a_pin_that_came_into_the_quarantine_does_not_leave_it() -> None:
    event = record(1, user=wire.User(user_id="1", pin="4711"))
    arrival = again(wire.encode(event))
    assert arrival is not None
    assert b"4711" not in arrival.original


@pytest.mark.parametrize(
    "original",
    [
        b'{"type":7,"data":{}}',
        b'{"type":0,"data":[]}',
        b'{"type":1,"data":{"status":1}}',
        b"{}",
        b"[]",
        b"",
        b'{"type":0,"data":{',
        b"\xff\xfe",
        b'{"type":0,"data":{"x":' + b"[" * 100 + b"]" * 100 + b"}}",
    ],
)
def test_what_is_still_no_known_event_is_none(original: bytes) -> None:
    assert again(original) is None


STRANGER = record(1, user=wire.User(user_id="", name=""), recognition_type=0, passed=False)


@pytest.mark.parametrize(
    ("event", "kind"),
    [(record(1), PEOPLE), (record(1, user=None), STRANGERS), (STRANGER, STRANGERS), (alarm(), ALARMS)],
    ids=["person", "nobody", "stranger", "alarm"],
)
def test_an_image_is_of_the_kind_of_its_event_and_long_texts_are_too(
    event: wire.Record | wire.Alarm, kind: str
) -> None:
    with_image = msgspec.structs.replace(event, image=JPEG)
    assert separated(with_image, b"{}") == (event, b"{}", [Image(kind, JPEG)], False)
    assert separated(event, b"{}") == (event, b"{}", [], False)
    original = b'{"snapshot": "' + b"x" * LONG + b'"}'
    bare, shortened, images, has_texts = separated(with_image, original)
    assert (bare, shortened, has_texts) == (event, b'{"snapshot": ""}', True)
    assert [image.kind for image in images] == [kind, kind]
    assert put_back(shortened, images[-1].data) == original
    assert separated(event, original)[2:] == (images[1:], True)


def test_what_may_be_an_image_in_no_known_event_is_of_the_quarantine() -> None:
    event = wire.Unknown({"type": 9})
    original = b'{"type": 9, "photo": "' + b"x" * LONG + b'"}'
    same, shortened, (texts,), has_texts = separated(event, original)
    assert (same, shortened, texts.kind, has_texts) == (event, b'{"type": 9, "photo": ""}', QUARANTINE, True)
