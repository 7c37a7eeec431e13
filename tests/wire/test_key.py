import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.wire.examples import JPEG, JPEG_TEXT, PAGE_RECORD, json_values, records

from gatepost.wire import Alarm, Record, Unknown, decode, digest, encode, key, without_pins
from gatepost.wire.decoder import with_image

PASSAGE = Record(serial="S1", recorded_at=datetime(2023, 5, 29, tzinfo=UTC), image=JPEG)


def push(number: int, data: dict[str, Any]) -> bytes:
    return json.dumps({"type": number, "data": data}).encode()


def passage(**changes: Any) -> bytes:
    """A record of firmware that sends no ``uuid``."""
    known = {"deviceSN": "S1", "recognitionType": 1, "timestamp": 1685343715, "rgb_image": ""}
    return push(0, {**known, **changes})


def alarm(**changes: Any) -> bytes:
    return push(1, {"trace_id": "T", "status": 1, "event_time": 1684381433398, **changes})


def key_of(body: bytes) -> str:
    decoded = decode(body, lenient=True)
    assert not isinstance(decoded.event, Unknown)
    return key(decoded.event, decoded)


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


def test_keys_that_databases_hold_are_made_for_ever() -> None:
    assert key(PASSAGE) == "h:90c4cef6a1de7adb9902f3867a0df832"
    assert key_of(passage(user={"name": "王五", "user_id": 5})) == "h:99abb8e94dccc76080b220ee3fe12215"
    assert key_of(passage(rgb_image=JPEG_TEXT)) == "h:b1ccf2d21a9f870edea9919d2f508fc7"
    assert (
        key_of(passage(timestamp=1685343715000, rgb_image=JPEG_TEXT)) == "h:b1ccf2d21a9f870edea9919d2f508fc7"
    )
    assert key_of(json.dumps(PAGE_RECORD).encode()) == "u:4d3987c1-a3b3-470b-9fb7-e114772c069c"
    assert key_of(alarm()) == "a:T:1"


def test_the_milliseconds_that_were_sent_tell_two_passages_apart() -> None:
    keys = {key_of(passage(timestamp=1685343715000 + late)) for late in (0, 1, 399, 400, 999, 1000)}
    assert len(keys) == 6
    late = replace(PASSAGE, recorded_at=datetime(2023, 5, 29, tzinfo=UTC) + timedelta(milliseconds=400))
    assert key(late) != key(PASSAGE)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("timestamp", ["2024-05-06 08:00:00", "2024-05-06 17:00:00"]),
        ("timestamp", [1685343715000001, 1685343715400001]),
        ("timestamp", [1685343715.25, 1685343715.5]),
        ("rgb_image", ["%%%A", "%%%B"]),
        ("rgb_image", ["bm8ganBlZw==", "bm8gSlBFRw=="]),
        ("user", ["Ann", "Bob"]),
        ("user", [{"name": "Ann", "type": "?"}, {"name": "Ann", "type": "!"}]),
        ("recognizeScore", ["high", "low"]),
        ("uuid", [["a"], ["b"]]),
    ],
)
def test_records_that_differ_in_what_nobody_understood_are_two(name: str, values: list[Any]) -> None:
    bodies = [passage(**{name: value}) for value in values]
    assert len({key_of(body) for body in bodies}) == 2
    assert [key_of(body) for body in bodies] == [key_of(body) for body in bodies]


def test_records_with_something_broken_that_differ_in_what_was_understood_are_two() -> None:
    assert key_of(passage(mask="?")) != key_of(passage(mask="?", mode=3))
    assert len({key_of(passage(mask="?", rgb_image=text)) for text in ("", JPEG_TEXT, JPEG_TEXT[:-4])}) == 3


def test_a_record_with_a_uuid_is_known_by_that_whatever_is_broken_in_it() -> None:
    assert key_of(passage(uuid="a", timestamp="today")) == key_of(passage(uuid="a", user=5)) == "u:a"


def test_half_a_character_makes_no_two_names_one() -> None:
    first, second = (rb"Ann \ud83d", rb"Ann \ud83e")
    for body in (passage(uuid="Ann"), passage(user={"name": "Ann"}), alarm(trace_id="Ann")):
        assert key_of(body.replace(b"Ann", first)) != key_of(body.replace(b"Ann", second))
    assert key_of(alarm(trace_id="Ann", description="x").replace(b'"x"', rb'"\ud83d"')) == "a:Ann:1"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"status": "occurred"}, {"status": "cleared"}),
        ({"status": None}, {"status": None, "event_time": 1684381433399}),
        ({"status": "?", "event_time": "today"}, {"status": "?", "event_time": "tomorrow"}),
        ({"status": "?", "alarm_photo": JPEG_TEXT}, {"status": "?", "alarm_photo": "/9j/"}),
    ],
)
def test_steps_of_an_alarm_of_which_nobody_understood_which_they_are_are_known_by_what_was_sent(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    assert key_of(alarm(**first)) != key_of(alarm(**second))
    assert key_of(alarm(**first)) == key_of(alarm(**first))


def test_a_step_of_an_alarm_is_known_by_its_status_whatever_else_is_broken_in_it() -> None:
    assert key_of(alarm(event_time="today", alarm_photo="%%%", code="?")) == "a:T:1"


members = st.dictionaries(
    st.sampled_from([*PAGE_RECORD["data"], "trace_id", "status", "event_time", "alarm_photo", "x"]),
    st.one_of(json_values, st.sampled_from([JPEG_TEXT, 1685343715400, "a", 1])),
)


@given(st.sampled_from([0, 1]), members)
def test_what_went_through_the_quarantine_has_the_key_that_it_had(number: int, data: dict[str, Any]) -> None:
    body = push(number, data)
    decoded = decode(body, lenient=True)
    if not isinstance(decoded.event, Unknown):
        assert key_of(without_pins(body)) == key_of(body)
        if decoded.event.image is not None:
            assert key_of(with_image(decoded.original, decoded.event)) == key_of(body)


def test_a_pin_that_is_broken_is_in_no_key() -> None:
    keys = {key_of(passage(user={"name": "Ann", "pin": pin})) for pin in ("", ["1"], ["2"], {"x": 1})}
    assert len(keys) == 1


def test_a_digest_is_sixteen_bytes_whatever_the_key() -> None:
    assert len(digest("u:a")) == len(digest("u:" + "x" * 10_000)) == 16
    assert digest("u:a") != digest("u:b")
