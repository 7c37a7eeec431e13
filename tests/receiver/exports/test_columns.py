"""What stands in which column, in which words and at which time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gatepost.receiver.exports.attendance import ATTENDANCE
from gatepost.receiver.exports.columns import ALARM, RECORD, Words, chosen
from gatepost.store.interface import AlarmRow, AlarmStep, PersonRow, RecordRow
from gatepost.store.local_days import UnknownZone

NOON = datetime(2024, 5, 6, 12, 0, 0, 500_000, tzinfo=UTC)


def wall(text: str) -> datetime:
    """What a clock on a wall in Shanghai shows."""
    return datetime.fromisoformat(text + "+08:00")


PLACE = {"serial": "SN-1", "terminal_name": "gate", "site_id": 1, "site": "east", "timezone": "Asia/Shanghai"}


def record(**values: Any) -> RecordRow:
    person = PersonRow(
        identity_id=1, user_id="5", name="王五", type=2, job_number="J", ic_number="C", id_number="I", remark="r",
        guest_from=None, guest_until=None, groups=({"id": "1", "name": "a"}, {"id": "2", "name": ""}),
    )  # fmt: skip
    known: dict[str, Any] = {
        "id": 7, "terminal_id": 1, **PLACE, "uuid": "u", "at": NOON, "recorded_at": NOON,
        "received_at": NOON, "recognition_type": 1, "passed": True, "entry_mode": 1, "abnormal_type": 0,
        "score": 0.5, "temperature": 36.5, "mask": 1, "mode": 3, "person": person, "has_image": True,
        "dialect": None, "peer": None, "problems": (), "original": None,
    }  # fmt: skip
    return RecordRow(**{**known, **values})


def alarm(**values: Any) -> AlarmRow:
    steps = tuple(
        AlarmStep(id=n, status=n, code=10001, at=NOON, listed_at=NOON, received_at=NOON, description=said,
                  user_id=who, has_image=False, problems=(), original=None)
        for n, said, who in ((1, "first", None), (2, "last", "9"), (3, "", None))
    )  # fmt: skip
    known: dict[str, Any] = {
        "id": 3, "terminal_id": 1, **PLACE, "trace_id": "T", "code": 10001, "state": "cleared",
        "first_at": NOON, "last_at": NOON, "history": steps, "acknowledged_at": None, "acknowledged_by": None,
        "note": None, "closed_at": None, "closed_by": None, "closed_note": None,
    }  # fmt: skip
    return AlarmRow(**{**known, **values})


def shown(columns: Any, row: Any, words: Words) -> dict[str, Any]:
    return {column.name: column.cell(row, words) for column in columns}


def test_a_record_in_english_by_the_terminals_own_clock() -> None:
    assert shown(RECORD, record(), Words("en")) == {
        "id": 7, "time": wall("2024-05-06T20:00:00"), "time_zone": "Asia/Shanghai",
        "utc_offset": "UTC+08:00", "terminal": "SN-1",
        "terminal_name": "gate", "site": "east", "user_id": "5", "name": "王五", "person_type": "visitor",
        "job_number": "J", "ic_number": "C", "id_number": "I", "groups": "a; 2", "remark": "r",
        "recognition_type": "employee", "passed": "yes", "entry_mode": "face", "abnormal_type": "nothing abnormal",
        "score": 0.5, "temperature": 36.5, "mask": "without mask", "mode": "face, card, QR code or PIN",
        "received_at": wall("2024-05-06T20:00:00"), "uuid": "u", "image": "/api/v1/records/7/image",
        "backfilled": "no",
    }  # fmt: skip


def test_codes_and_truths_in_chinese_times_in_the_zone_that_was_asked_for() -> None:
    words = Words("zh", timezone="Europe/Berlin")
    row = record(passed=False, recognition_type=3, mask=99, entry_mode=None)
    found = shown(RECORD, row, words)
    assert found["time"] == datetime.fromisoformat("2024-05-06T14:00:00+02:00")
    assert found["time"].utcoffset() == timedelta(hours=2)
    assert found["time_zone"] == "Europe/Berlin"
    assert (found["passed"], found["recognition_type"], found["mask"], found["entry_mode"]) == (
        "否", "陌生人", "未知 (99)", "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "at", "offset"),
    [
        ("Europe/Berlin", "2024-10-27T00:30:00+00:00", "UTC+02:00"),
        ("Europe/Berlin", "2024-10-27T01:30:00+00:00", "UTC+01:00"),
        ("America/St_Johns", "2024-01-01T00:00:00+00:00", "UTC-03:30"),
        ("Asia/Kathmandu", "2024-01-01T00:00:00+00:00", "UTC+05:45"),
        ("UTC", "2024-01-01T00:00:00+00:00", "UTC+00:00"),
    ],
)
def test_an_hour_that_comes_twice_is_told_apart_by_its_offset(zone: str, at: str, offset: str) -> None:
    words, when = Words("en"), datetime.fromisoformat(at)
    for found in (
        shown(RECORD, record(at=when, timezone=zone), words),
        shown(ALARM, alarm(first_at=when, timezone=zone), words),
    ):
        assert found["utc_offset"] == offset
        assert found["time"].isoformat().endswith(offset.removeprefix("UTC"))


def test_what_was_not_said_is_empty() -> None:
    row = record(
        person=None, passed=None, serial=None, uuid=None, score=None, has_image=False, terminal_name=None
    )
    found = shown(RECORD, row, Words("en"))
    for name in (
        "user_id",
        "name",
        "groups",
        "person_type",
        "passed",
        "terminal",
        "uuid",
        "image",
        "terminal_name",
    ):
        assert found[name] == "", name
    assert found["score"] is None


def test_an_alarm_says_what_was_said_last_and_who_reported_it() -> None:
    found = shown(ALARM, alarm(), Words("en"))
    assert (found["code"], found["state"], found["steps"]) == ("device tampered with", "cleared", 3)
    assert (found["description"], found["user_id"], found["acknowledged"]) == ("last", "9", "no")
    seen = alarm(acknowledged_at=NOON, acknowledged_by="anna", note="n", state="open")
    found = shown(ALARM, seen, Words("zh"))
    assert (found["acknowledged"], found["acknowledged_by"], found["note"]) == ("是", "anna", "n")
    assert found["acknowledged_at"] == wall("2024-05-06T20:00:00")
    assert found["state"] == "未解除"


@pytest.mark.parametrize("columns", [RECORD, ALARM, ATTENDANCE])
def test_every_column_has_a_name_and_headers_of_its_own_in_both_languages(columns: Any) -> None:
    for what in (lambda c: c.name, lambda c: c.header("en"), lambda c: c.header("zh")):
        found = [what(column) for column in columns]
        assert all(found)
        assert len(set(found)) == len(found)


def test_nothing_of_a_record_is_called_pin() -> None:
    assert not [column.name for column in RECORD if "pin" in column.name]


def test_columns_are_chosen_by_name_in_the_order_asked_for() -> None:
    assert [column.name for column in chosen(RECORD, ["name", "id", "name"])] == ["name", "id"]
    assert chosen(RECORD, []) == list(RECORD)
    with pytest.raises(ValueError, match="there is no column 'pin'; there are id, time"):
        chosen(RECORD, ["id", "pin"])


def test_a_zone_that_there_is_not_is_refused() -> None:
    with pytest.raises(UnknownZone):
        Words("en", timezone="Mars/Olympus")


@pytest.mark.parametrize("page", ["events.md", "events.zh.md"])
@pytest.mark.parametrize("columns", [RECORD, ALARM, ATTENDANCE])
def test_every_column_is_described(columns: Any, page: str) -> None:
    text = (Path(__file__).parents[3] / "docs" / "how-to" / page).read_text("utf-8")
    for column in columns:
        assert f"| `{column.name}` | {column.en} | {column.zh} |" in text, column.name
