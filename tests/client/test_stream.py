"""Server-sent events, line by line."""

import msgspec
import pytest

from gatepost.client.stream import Happened, happened
from gatepost.errors import ClientError
from gatepost.items import AlarmItem

ALARM = (
    b'{"id":2,"terminal":null,"terminal_id":1,"terminal_name":null,"site_id":1,"site":"","timezone":"UTC",'
    b'"trace_id":"T","code":null,"state":"open","first_at":"2024-05-06T08:00:00Z",'
    b'"last_at":"2024-05-06T08:00:00Z","history":[],"acknowledged":false,'
    b'"acknowledged_at":null,"acknowledged_by":null,"note":null}'
)


def test_events_places_and_comments() -> None:
    text = b"retry: 2000\n: alive\nid: 7\n\nid: 9\nevent: alarm\ndata: " + ALARM + b"\n\n: alive\nid:12\n\n"
    assert list(happened(text.split(b"\n"))) == [
        Happened(7, None),
        Happened(9, "alarm", alarm=msgspec.json.decode(ALARM, type=AlarmItem)),
        Happened(12, None),
    ]


def test_a_kind_that_is_not_known_yet_moves_the_place_and_nothing_else() -> None:
    assert list(happened([b"id: 3", b"event: weather", b"data: {}", b""])) == [Happened(3, None)]


def test_a_block_without_a_place_or_without_its_end_is_nothing() -> None:
    assert list(happened([b": hello", b"", b"id: 3", b"event: alarm", b"data: " + ALARM])) == []


def test_an_event_that_is_not_as_it_should_be_is_said_to_be_so() -> None:
    with pytest.raises(ClientError, match="event 3 is not understood"):
        list(happened([b"id: 3", b"event: record", b"data: {}", b""]))
