import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.wire.examples import JPEG, JPEG_TEXT, PAGE_RECORD, json_values, records

from gatepost.wire import (
    Key,
    Record,
    Unknown,
    decode,
    digest,
    encode,
    is_real_id,
    key,
    key_digest,
    without_pins,
)
from gatepost.wire.decoding.decoded import NO_REAL_ID
from gatepost.wire.decoding.decoder import with_image

TRACE = "SPX-1684381418208-004-3Adb4v"
PASSAGE = Record(serial="S1", recorded_at=datetime(2023, 5, 29, tzinfo=UTC), image=JPEG)


def push(number: int, data: dict[str, Any]) -> bytes:
    return json.dumps({"type": number, "data": data}).encode()


def passage(**changes: Any) -> bytes:
    """A record of firmware that sends no ``uuid``."""
    known = {"deviceSN": "S1", "recognitionType": 1, "timestamp": 1685343715, "rgb_image": ""}
    return push(0, {**known, **changes})


def alarm(**changes: Any) -> bytes:
    return push(1, {"trace_id": TRACE, "status": 1, "event_time": 1684381433398, **changes})


def key_of(body: bytes) -> Key:
    decoded = decode(body, lenient=True)
    assert not isinstance(decoded.event, Unknown)
    return key(decoded.event, decoded)


UUID = "4d3987c1-a3b3-470b-9fb7-e114772c069c"
ANN = {"user_id": "5", "name": "Ann", "type": 1}


def identified(**changes: Any) -> bytes:
    """A record with a real id."""
    return passage(**{"uuid": UUID, "user": ANN, **changes})


# --- with a real id ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"recognizeScore": 0.5},
        {"mode": 7},
        {"entry_mode": 3},
        {"pass": False},
        {"rgb_image": JPEG_TEXT},
        {"user": {**ANN, "type": 5}},
        {"user": {**ANN, "name": "Anna"}},
        {"user": {**ANN, "remark": "x", "groups": [{"id": "3", "name": "a"}]}},
        {"user": ANN, "groups": [{"id": "3", "name": "a"}]},
        {"timestamp": 1685343715.0},
        {"timestamp": "1685343715"},
        {"timestamp": "2023-05-29T15:01:55+08:00"},
        {"user": {**ANN, "user_id": 5}},
        {"user": {**ANN, "user_id": 5.0}},
        {"user": {**ANN, "user_id": " 5\0\0"}},
        {"user": {**ANN, "job_number": "77"}},
        {"deviceSN": "S2"},
        {"bodyTemperature": "high"},
    ],
)
def test_a_record_is_known_by_id_time_and_the_persons_number_whatever_else_it_says(
    changes: dict[str, Any],
) -> None:
    assert key_of(identified(**changes)) == key_of(identified())


@pytest.mark.parametrize(
    "changes",
    [
        {"uuid": UUID.replace("4", "5")},
        {"timestamp": 1685343716},
        {"timestamp": 1685343715001},
        {"timestamp": 1685343715.5},
        {"timestamp": 1685343715000001},
        {"timestamp": 1685343715000000001},
        {"timestamp": "2023-05-29 15:01:55"},
        {"user": {**ANN, "user_id": "6"}},
        {"user": {**ANN, "user_id": ""}},
        {"user": {"job_number": "5"}},
        {"user": None},
    ],
)
def test_another_time_or_person_makes_another_event_of_the_same_id(changes: dict[str, Any]) -> None:
    assert key_of(identified(**changes)) != key_of(identified())


def test_the_first_number_of_a_person_counts_and_the_name_only_without_any() -> None:
    without = {"job_number": "", "ic_number": "", "id_number": ""}
    for field in ("user_id", "job_number", "ic_number", "id_number"):
        first, second = ({**without, "name": name, field: "5"} for name in ("Ann", "Bob"))
        assert key_of(identified(user=first)) == key_of(identified(user=second))
    assert key_of(identified(user={"name": "Ann"})) != key_of(identified(user={"name": "Bob"}))


@pytest.mark.parametrize("broken", [{"timestamp": "today"}, {"user": 5}, {"user": {**ANN, "user_id": [5]}}])
def test_without_a_known_time_or_number_an_event_is_known_by_all_that_was_written(
    broken: dict[str, Any],
) -> None:
    first, second = (identified(**broken, recognizeScore=score) for score in (0.5, 0.6))
    assert key_of(first) == key_of(first)
    assert key_of(first) != key_of(second)
    assert not key_of(first).identity


@pytest.mark.parametrize("clock", [0, 1, 946_684_799])
def test_a_clock_that_was_never_set_tells_no_time(clock: int) -> None:
    assert not key_of(identified(timestamp=clock)).identity


def test_an_alarm_is_known_by_its_trace_the_step_its_time_and_its_code() -> None:
    first = alarm(code=10003)
    assert key_of(first) == key_of(alarm(code=10003, description="x", alarm_photo=JPEG_TEXT))
    assert key_of(alarm(code=10003.0, event_time="1684381433398")) == key_of(first)
    others = [
        alarm(code=20003),
        alarm(code=10003, status=2),
        alarm(code=10003, event_time=1684381433399),
        alarm(code=10003, user_id=5),
        alarm(code=10003, trace_id="SPX-1684381418208-004-3Adb4w"),
    ]
    assert len({key_of(body) for body in [first, *others]}) == 6


def test_a_name_is_known_by_its_bytes_as_they_came() -> None:
    bodies = [
        identified(user={"name": "NAME", "type": 1}).replace(b"NAME", name)
        for name in (
            "张伟".encode("gbk"),
            "张偉".encode("gbk"),
            "张伟".encode()[:-1],
            "张侟".encode()[:-1] + b"x",
            b"Jos\xe9",
        )
    ]
    assert len({key_of(body) for body in bodies}) == len(bodies)
    for body in bodies:
        other = body.replace(b'"recognitionType": 1', b'"recognitionType": 2')
        assert key_of(other) == key_of(body)
        assert key_of(body).identity


def test_half_a_character_makes_no_two_names_one() -> None:
    first, second = (rb"Ann \ud83d", rb"Ann \ud83e")
    for body in (
        identified(uuid="Ann" + UUID),
        identified(user={"name": "Ann"}),
        identified(user={"user_id": "Ann"}),
        alarm(trace_id="Ann" + UUID),
    ):
        assert key_of(body.replace(b"Ann", first)) != key_of(body.replace(b"Ann", second))


# --- without one ------------------------------------------------------------------------------------------------

PLACEHOLDERS = [
    *[
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "F" * 32,
        "{00000000-0000-0000",
    ],
    *["null", "0", "N/A", "undefined", "none", "1", "12345678", "(null)", "Not available", "[object Object]"],
    *["urn:uuid:00000000-0000-0000-0000-000000000000", "----------", "         1         ", "xxxxxxxx-xxxx"],
    *[
        "0x0000000000000000",
        "0x00000000",
        "0.000000000",
        "A" * 22 + "==",
        "00000000-0000-4000-8000-000000000000",
    ],
    *[
        "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx",
        "ffffffff-ffff-4fff-bfff-ffffffffffff",
        "0" * 12 + "70008" + "0" * 15,
    ],
    *[
        "nullnullnull",
        "null-null",
        "none-none",
        "N/A-N/A-N/A",
        "(null)(null)",
        "NaN-NaN-NaN",
        "<null pointer>",
    ],
    *[
        "not_applicable",
        "no id available",
        "unknown-id",
        "unknown uuid",
        "empty-uuid",
        "default-uuid",
        "uuid-null",
    ],
    *[
        "UNDEFINED\0",
        "not yet assigned",
        "NULLPTR NULLPTR",
        "No UUID found",
        "invalid_guid",
        "暂无暂无暂无暂无暂无",
    ],
]


@pytest.mark.parametrize("name", PLACEHOLDERS)
def test_what_tells_no_events_apart_is_no_id(name: str) -> None:
    assert not is_real_id(name)
    bodies = [
        passage(uuid=name, timestamp=1685343715 + place, user={"user_id": str(person)})
        for place, person in ((0, 1), (0, 2), (600, 1))
    ]
    assert len({key_of(body) for body in bodies}) == 3
    assert [key_of(body) for body in bodies] == [key_of(body) for body in bodies]
    decoded = decode(bodies[0], lenient=True)
    assert [(found.where, found.why) for found in decoded.problems] == [("data.uuid", NO_REAL_ID)]
    assert len({key_of(alarm(trace_id=name, code=code)) for code in (10003, 20003)}) == 2


@pytest.mark.parametrize(
    "name",
    [
        *[UUID, UUID.upper(), UUID.replace("-", ""), "SN1-000000001", "0a0000000", "aa1111111", TRACE],
        *[
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "0000000000000001",
            "00000000-0000-0000-0000-000000000001",
            "cm9vdG5vZGU=",
        ],
        *[
            "ffffffff-ffff-4fff-bfff-fffffffffffe",
            "00000000-0000-4000-8000-000000000001",
            "1685343715042",
            "0x1234567",
        ],
        *["null-00000001", "no-1234567890"],
        *["AAAAAAAAAAAAAAAAAAAAAQ==", "deadbeefdeadbeef", "nanobotid", "SPX-1684381418208"],
    ],
)
def test_what_is_longer_than_a_counter_and_no_placeholder_is_an_id(name: str) -> None:
    assert is_real_id(name)


def test_a_record_without_uuid_is_known_by_everything_that_it_says() -> None:
    assert key(PASSAGE).identity == b""
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
        ("timestamp", ["soon", "late"]),
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


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"status": "occurred"}, {"status": "cleared"}),
        ({"status": None}, {"status": None, "event_time": 1684381433399}),
        ({"status": "?", "event_time": "today"}, {"status": "?", "event_time": "tomorrow"}),
        ({"event_time": "today"}, {"event_time": "tomorrow"}),
        ({"code": "?"}, {"code": "!"}),
        ({"user_id": [1]}, {"user_id": [2]}),
        ({"user_id": "A7"}, {"user_id": "A8"}),
        ({"status": "?", "alarm_photo": JPEG_TEXT}, {"status": "?", "alarm_photo": "/9j/"}),
    ],
)
def test_steps_of_an_alarm_of_which_nobody_understood_which_they_are_are_known_by_what_was_sent(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    assert key_of(alarm(**first)) != key_of(alarm(**second))
    assert key_of(alarm(**first)) == key_of(alarm(**first))


# --- any two events ---------------------------------------------------------------------------------------------

ids = st.sampled_from([*PLACEHOLDERS, UUID, "SN1-000000001"])
times = st.sampled_from(
    [
        1685343715,
        1685343715001,
        1685343715.25,
        "2023-05-29T15:01:55.5+08:00",
        "2023-05-29 15:01:55",
        0,
        "?",
        10**18,
    ]
)
people = st.fixed_dictionaries(
    {},
    optional={
        "user_id": st.sampled_from(["5", 6, 7.5]),
        "name": st.sampled_from(["Ann", "Bob"]),
    },
)
passages = st.builds(
    lambda uuid, at, user: passage(uuid=uuid, timestamp=at, user=dict(sorted(user.items()))),
    ids,
    times,
    people,
)
alarms = st.builds(
    lambda trace, at, code, status: alarm(trace_id=trace, event_time=at, code=code, status=status),
    ids,
    times,
    st.sampled_from([10003, 20003, "?", None]),
    st.sampled_from([1, 2, 3, "?"]),
)


@given(st.lists(passages | alarms, min_size=2, max_size=8))
def test_events_are_one_exactly_if_they_were_sent_alike(bodies: list[bytes]) -> None:
    keys = [(b'"type": 1' in body, key_of(body)) for body in bodies]
    assert len(set(keys)) == len(set(bodies))


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
    for body in (passage(), identified(), identified(uuid="x" * 10_000 + UUID), alarm()):
        assert len(key_digest(key_of(body), b"secret")) == 16
    assert len(digest("u:a")) == len(digest("u:" + "x" * 10_000, b"secret")) == 16
    assert digest("u:a") != digest("u:b")


def test_a_digest_needs_the_secret_that_it_was_made_with() -> None:
    for body in (passage(), identified()):
        digests = {key_digest(key_of(body), secret) for secret in (b"", b"one", b"other")}
        assert len(digests) == 3
    assert digest("a", b"one") != digest("a", b"other")


def test_digests_of_events_that_repeat_an_id_begin_alike_and_others_do_not() -> None:
    first, second = (key_digest(key_of(identified(timestamp=at)), b"s") for at in (1685343715, 1685343716))
    assert first[:8] == second[:8]
    assert first[8:] != second[8:]
    other = key_digest(key_of(identified(uuid=UUID.replace("4", "5"))), b"s")
    assert other[:8] != first[:8]
    assert other[8:] != first[8:]


@given(st.uuids() | st.uuids(version=4))
def test_every_uuid_but_a_placeholder_is_an_id(one: uuid.UUID) -> None:
    real = len(set(one.hex)) > 4
    assert is_real_id(str(one)) or not real
    assert is_real_id(one.hex) or not real
