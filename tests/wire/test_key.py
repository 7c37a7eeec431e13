import json
from datetime import UTC, datetime

from hypothesis import given
from msgspec.structs import replace
from tests.wire.examples import JPEG, records

from gatepost.wire import Alarm, Record, decode, digest, encode, key

PASSAGE = Record(serial="S1", recorded_at=datetime(2023, 5, 29, tzinfo=UTC), image=JPEG)


def test_a_record_is_known_by_its_uuid_alone() -> None:
    assert key(replace(PASSAGE, uuid="a")) == "u:a"
    assert key(replace(PASSAGE, uuid="a", score=0.5)) == "u:a"


def test_an_alarm_is_known_by_its_trace_and_the_step_of_its_life() -> None:
    alarm = Alarm(trace_id="t:1", status=1, event_time=datetime(2023, 5, 29, tzinfo=UTC))
    assert key(alarm) == "a:t:1:1"
    assert key(replace(alarm, status=3)) == "a:t:1:3"


def test_a_record_without_uuid_is_known_by_everything_that_it_says() -> None:
    assert key(PASSAGE).startswith("h:")
    assert key(PASSAGE) == key(replace(PASSAGE))
    assert key(replace(PASSAGE, image=JPEG[:-1])) != key(PASSAGE)
    assert key(replace(PASSAGE, score=0.25)) != key(PASSAGE)


@given(records)
def test_an_event_that_is_pushed_again_has_the_same_key(record: Record) -> None:
    again = decode(encode(record)).event
    assert isinstance(again, Record)
    assert key(again) == key(record)


def test_the_order_of_the_fields_does_not_change_the_key() -> None:
    data = {"deviceSN": "S1", "timestamp": 1685343715, "recognitionType": 3}
    bodies = [
        json.dumps({"type": 0, "data": dict(pairs)}).encode()
        for pairs in (data.items(), reversed(data.items()))
    ]
    assert len({key(decode(body).event) for body in bodies}) == 1  # type: ignore[arg-type]


def test_a_digest_is_sixteen_bytes_whatever_the_key() -> None:
    assert len(digest("u:a")) == len(digest("u:" + "x" * 10_000)) == 16
    assert digest("u:a") != digest("u:b")
