import json
from datetime import UTC, datetime, timedelta, timezone

import pybase64
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.wire.examples import JPEG, PAGE_RECORD, alarms, records

from gatepost.errors import EncodeError
from gatepost.wire import Alarm, AlarmStatus, Record, Unknown, User, decode, encode, encode_parts

PAGE_ORDER = [
    "deviceSN", "recognitionType", "uuid", "recognizeScore", "mask", "mode", "rgb_image", "pass", "timestamp",
    "bodyTemperature", "entry_mode", "abnormal_type", "user",
]  # fmt: skip


def test_the_record_that_the_page_shows_is_written_as_the_page_writes_it() -> None:
    written = json.loads(encode(decode(json.dumps(PAGE_RECORD).encode()).event))  # type: ignore[arg-type]
    expected = {"type": 0, "data": {**PAGE_RECORD["data"], "rgb_image": ""}}
    assert written == expected
    assert list(written["data"]) == PAGE_ORDER


@given(records)
def test_any_valid_record_survives_encoding_decoding_and_encoding(record: Record) -> None:
    once = encode(record)
    again = decode(once)
    assert again.event == record
    assert again.problems == ()
    assert encode(again.event) == once


@given(alarms)
def test_any_valid_alarm_survives_encoding_decoding_and_encoding(alarm: Alarm) -> None:
    once = encode(alarm)
    again = decode(once)
    assert again.event == alarm
    assert encode(again.event) == once


@given(records)
def test_the_parts_around_the_image_make_the_whole(record: Record) -> None:
    head, tail = encode_parts(record)
    assert head + pybase64.b64encode(record.image or b"") + tail == encode(record)


def test_the_image_travels_as_base64() -> None:
    assert json.loads(encode(Record(image=JPEG)))["data"]["rgb_image"] == pybase64.b64encode(JPEG).decode()


def test_times_are_seconds_in_a_record_and_milliseconds_in_an_alarm_whatever_the_zone() -> None:
    moment = datetime(2023, 5, 29, 15, 1, 55, 250000, tzinfo=timezone(timedelta(hours=8)))
    assert json.loads(encode(Record(recorded_at=moment)))["data"]["timestamp"] == 1685343715
    alarm = Alarm(trace_id="t", status=1, event_time=moment)
    assert json.loads(encode(alarm))["data"]["event_time"] == 1685343715250


def test_enumeration_members_are_written_as_their_numbers() -> None:
    alarm = Alarm(trace_id="t", status=AlarmStatus.CLEARED, event_time=datetime.now(UTC))
    assert json.loads(encode(alarm))["data"]["status"] == 3


@pytest.mark.parametrize(
    ("event", "where"),
    [
        (Record(serial=5), "data.deviceSN"),  # type: ignore[arg-type]
        (Record(score=float("nan")), "data.recognizeScore"),
        (Record(passed=1), "data.pass"),  # type: ignore[arg-type]
        (Record(mask=True), "data.mask"),
        (Record(image="text"), "data.rgb_image"),  # type: ignore[arg-type]
        (Record(recorded_at=datetime(2023, 1, 1)), "data.timestamp"),  # noqa: DTZ001  # naive on purpose
        (Record(user=User(name=5)), "data.user.name"),  # type: ignore[arg-type]
        (Alarm(trace_id=" ", status=1, event_time=datetime(2023, 1, 1, tzinfo=UTC)), "data.trace_id"),
        (Alarm(trace_id="t", status=1, event_time=None), "data.event_time"),
        (Record(extra={"x": object()}), ""),
    ],
)
def test_what_is_no_valid_event_is_not_written_and_the_error_names_the_field(
    event: Record | Alarm, where: str
) -> None:
    with pytest.raises(EncodeError) as raised:
        encode(event)
    assert raised.value.where == where


def test_an_alarm_whose_status_is_unknown_is_written_without_one() -> None:
    unknown = Alarm(trace_id="t", status=None, event_time=datetime(2023, 1, 1, tzinfo=UTC))
    assert "status" not in json.loads(encode(unknown))["data"]


NAMES = {
    0: (
        "deviceSN", "recognitionType", "uuid", "recognizeScore", "mask", "mode", "rgb_image", "pass", "timestamp",
        "bodyTemperature", "entry_mode", "abnormal_type",
    ),
    1: ("trace_id", "description", "code", "user_id", "event_time", "status", "alarm_photo"),
}  # fmt: skip
USER = (
    "name", "user_id", "type", "ic_number", "job_number", "id_number", "guest_time_start", "guest_time_end",
    "remark", "groups",
)  # fmt: skip
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["1685343715", "2023-05-29T15:01:55+08:00", "1e999", "0x10", "SU1H", "true", "无", "\0\0"]
    ),
    st.lists(st.fixed_dictionaries({"id": st.integers(), "name": st.text(max_size=3)}), max_size=2),
)


@given(st.data())
@settings(max_examples=400)
def test_whatever_is_read_can_be_written(data: st.DataObject) -> None:
    """What a door takes it can push, whatever its details are like."""
    kind = data.draw(st.sampled_from([0, 1]))
    said = data.draw(st.dictionaries(st.sampled_from(NAMES[kind]), ANYTHING))
    if kind == 0:
        said["user"] = data.draw(st.one_of(ANYTHING, st.dictionaries(st.sampled_from(USER), ANYTHING)))
    event = decode(json.dumps({"type": kind, "data": said}).encode(), lenient=True).event
    if isinstance(event, Alarm) and event.event_time is None:
        event = replace(event, event_time=datetime(2023, 5, 29, tzinfo=UTC))  # as a terminal does
    if not isinstance(event, Unknown):
        assert json.loads(encode(event))["type"] == kind
