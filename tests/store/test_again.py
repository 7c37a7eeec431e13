import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.store.events import JPEG, NOON, RECEIVED_MS, alarm, record

from gatepost import wire
from gatepost.store.again import decode_again
from gatepost.store.store import QuarantineRow
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
    }
    return QuarantineRow(**(values | fields))


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
    arrival = decode_again(row(wire.encode(event)), SECRET)
    assert arrival is not None
    assert (arrival.event, arrival.image) == (event, event.image)
    assert arrival.original == wire.encode(msgspec.structs.replace(event, image=None))
    assert (arrival.terminal_id, arrival.peer) == (3, "10.0.0.9")
    assert arrival.received_at_ms == RECEIVED_MS + 42
    assert arrival.dialect is Dialect.V1_3_0
    assert arrival.problems == ()


@pytest.mark.parametrize("event", [record(1, image=JPEG), record(1, uuid=None, image=JPEG), alarm(status=3)])
def test_it_is_the_same_event_as_the_one_that_the_terminal_pushes_again(
    event: wire.Record | wire.Alarm,
) -> None:
    arrival = decode_again(row(wire.encode(event)), SECRET)
    assert arrival is not None
    assert arrival.key == wire.key_digest(wire.key(event), SECRET)


def test_it_says_nothing_of_whose_address_that_is_now() -> None:
    arrival = decode_again(row(wire.encode(record(1))), SECRET)
    assert arrival is not None
    assert not arrival.bind_peer
    assert (arrival.sent_at_ms, arrival.model, arrival.disagreements) == (None, None, ())


def test_a_passage_with_a_broken_detail_is_one_and_the_detail_is_noted_anew() -> None:
    push = json.loads(wire.encode(record(1)))
    push["data"]["mask"] = "perhaps"
    arrival = decode_again(row(json.dumps(push).encode()), SECRET)
    assert arrival is not None
    assert arrival.problems == (Problem("data.mask", "must be an integer"),)
    assert isinstance(arrival.event, wire.Record)
    assert (arrival.event.uuid, arrival.event.mask) == ("uuid-000001", None)


def test_older_firmware_is_told_by_what_it_sent() -> None:
    arrival = decode_again(row(b'{"type":0,"data":{"TrackID":"OLD1","recognizeStatus":0.8}}'), SECRET)
    assert arrival is not None
    assert arrival.dialect is Dialect.BEFORE_1_0
    assert isinstance(arrival.event, wire.Record)
    assert (arrival.event.serial, arrival.event.score) == ("OLD1", 0.8)


def test_a_pin_that_came_into_the_quarantine_does_not_leave_it() -> None:
    event = record(1, user=wire.User(user_id="1", pin="4711"))
    arrival = decode_again(row(wire.encode(event)), SECRET)
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
    assert decode_again(row(original), SECRET) is None
