"""The matrix of a month: totals and cells, by the right values written by hand."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from tests.receiver.exports.test_attendance import SOMEONE

from gatepost.receiver.exports.attendance import ATTENDANCE, rows_of
from gatepost.receiver.exports.columns import Words
from gatepost.receiver.exports.month import MAX_DAYS, matrix, row_of
from gatepost.store.attendance.attendance import PersonAttendance
from gatepost.store.attendance.attended import Attended
from gatepost.store.attendance.corrections import Correction
from gatepost.store.attendance.schedules import Mark, Planned, Schedule, planned

FIRST, LAST = date(2024, 5, 6), date(2024, 5, 12)
ZONE = "Asia/Shanghai"
NIGHT = Schedule(name="Night", start_min=22 * 60, end_min=6 * 60, break_min=30, days=frozenset(range(1, 8)))


def plan(day: int) -> Planned:
    found = planned(NIGHT, date(2024, 5, day), ZONE)
    assert found is not None
    return found


def shift(day: int, first: str, last: str | None, marks: tuple[Mark, ...], one: Planned | None) -> Attended:
    """Return a shift by the clocks of Shanghai."""

    def at(text: str) -> datetime:
        return datetime.fromisoformat(f"2024-05-{text}+08:00").astimezone(UTC)

    last_out = None if last is None else at(last)
    return Attended(
        date(2024, 5, day), at(first), last_out, 2, "王五", 1, 1, "east", ZONE, planned=one, judged=marks
    )


CORRECTION = Correction(
    id=1, kind="added", identity_id=1, at=datetime(2024, 5, 8, 22, 0, tzinfo=UTC),
    until=datetime(2024, 5, 8, 22, 0, tzinfo=UTC), terminal_id=None, record_id=None, user_id="5", name="王五",
    site_id=1, timezone=ZONE, note="=left by the gate", made_by="office", made_at=datetime(2024, 5, 9, tzinfo=UTC),
    withdrawn_by=None, withdrawn_at=None,
)  # fmt: skip

ITEM = PersonAttendance(
    SOMEONE,
    (
        shift(6, "06T22:12", "07T06:00", ("late",), plan(6)),
        shift(7, "07T22:00", "08T05:00", ("early", "holiday"), plan(7)),
        shift(8, "08T22:00", None, ("missing",), plan(8)),
        shift(11, "11T12:00", "11T15:00", (), None),
    ),
    (plan(9), plan(10)),
    (CORRECTION,),
)


def cells(language: Any = "en") -> dict[str, object]:
    row, words = row_of(ITEM), Words(language)
    return {column.name: column.cell(row, words) for column in matrix(FIRST, LAST)}


def test_a_row_of_the_matrix_has_totals_and_a_cell_a_day() -> None:
    assert cells() == {
        "user_id": "5", "name": "王五", "job_number": "J", "groups": "夜班", "site": "east",
        "days": 4,
        "hours": 17.8,  # 7:48, 7:00, unknown, 3:00
        "worked_hours": 16.8,  # without half an hour in each of the two nights
        "planned_hours": 37.5,  # five nights of seven and a half hours
        "late": 1, "early": 1, "missing": 1, "absent": 2, "holiday": 1, "corrected": 0,
        "2024-05-06": "22:12–06:00+1 (late)",
        "2024-05-07": "22:00–05:00+1 (left early, holiday)",
        "2024-05-08": "22:00–? (passage missing)",
        "2024-05-09": "absent", "2024-05-10": "absent",
        "2024-05-11": "12:00–15:00", "2024-05-12": "",
    }  # fmt: skip
    chinese = cells("zh")
    assert (chinese["2024-05-06"], chinese["2024-05-09"]) == ("22:12–06:00+1 (迟到)", "缺勤")


def test_two_shifts_of_one_planned_are_planned_once() -> None:
    twice = replace(
        ITEM,
        shifts=(
            shift(6, "06T21:00", "06T23:00", (), plan(6)),
            shift(7, "07T00:30", "07T06:00", (), plan(6)),
        ),
        absences=(),
    )
    assert row_of(twice).totals.planned_hours == 7.5


def test_a_matrix_has_two_months_at_most() -> None:
    assert len(matrix(date(2024, 5, 1), date(2024, 7, 1))) == 15 + MAX_DAYS
    with pytest.raises(ValueError, match="at most 62 days, not 63"):
        matrix(date(2024, 5, 1), date(2024, 7, 2))


def test_a_row_a_shift_has_schedule_marks_and_corrections_and_absences_are_rows() -> None:
    words = Words("en")
    found = [{column.name: column.cell(row, words) for column in ATTENDANCE} for row in rows_of(ITEM)]
    assert [(row["day"][-2:], row["marks"]) for row in found] == [  # type: ignore[index]
        ("06", "late"), ("07", "left early, holiday"), ("08", "passage missing"), ("09", "absent"),
        ("10", "absent"), ("11", ""),
    ]  # fmt: skip
    absence = found[3]
    assert {name: value for name, value in absence.items() if value not in (None, "")} == {
        "day": "2024-05-09", "user_id": "5", "name": "王五", "person_type": "employee", "job_number": "J",
        "groups": "夜班", "site": "east", "time_zone": ZONE, "schedule": "Night", "marks": "absent",
        "planned_from": datetime.fromisoformat("2024-05-09T22:00:00+08:00"),
        "planned_until": datetime.fromisoformat("2024-05-10T06:00:00+08:00"),
        "corrections": "06:00 added (office): =left by the gate",
    }  # fmt: skip
    assert (found[0]["worked_hours"], found[0]["hours"], found[2]["worked_hours"]) == (7.3, 7.8, None)
