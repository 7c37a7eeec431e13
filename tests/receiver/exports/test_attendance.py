"""Attendance as rows."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from gatepost.receiver.exports.attendance import ATTENDANCE, PersonShift, person_shifts
from gatepost.receiver.exports.columns import Words
from gatepost.store.attendance.attendance import MAX_CELLS, PersonAttendance
from gatepost.store.attendance.attended import Attended
from gatepost.store.interface import Page
from gatepost.store.people.person import PeopleQuery, Person

IN, OUT = datetime(2024, 5, 6, 0, 15, 30, tzinfo=UTC), datetime(2024, 5, 6, 9, 0, tzinfo=UTC)
EAST = (1, "east", "Asia/Shanghai")
SOMEONE = Person(
    id="1", user_id="5", name="王五", type=1, job_number="J", ic_number="", id_number="", remark="", guest_from=None,
    guest_until=None, groups=({"id": "3", "name": "夜班"},), site_id=1, site="east", timezone="Asia/Shanghai",
    terminal_id=None, first_seen=IN, last_seen=OUT, last_terminal_id=1, identities=(1,),
)  # fmt: skip


class Attendance:
    """Three people, one of whom was never there."""

    def __init__(self) -> None:
        self.asked: list[PeopleQuery] = []

    def page(self, query: PeopleQuery, first: date, last: date) -> Page[PersonAttendance]:
        self.asked.append(query)
        number = int(query.cursor or 0)
        days = (
            tuple(Attended(day, IN, OUT, 4, "王五", 1, *EAST) for day in (first, last)) if number != 1 else ()
        )
        someone = replace(SOMEONE, user_id=str(number))
        return Page((PersonAttendance(someone, days),), None if number == 2 else str(number + 1))


def rows(attendance: Any, **query: Any) -> Iterator[PersonShift]:
    for page in person_shifts(attendance, PeopleQuery(**query), date(2024, 5, 6), date(2024, 5, 7), page=250):
        yield from page


def test_a_row_says_who_was_there_when_by_the_clocks_of_their_site() -> None:
    row = PersonShift(SOMEONE, Attended(date(2024, 5, 6), IN, OUT, 4, "王舞", 2, *EAST))
    words = Words("en")
    assert {column.name: column.cell(row, words) for column in ATTENDANCE} == {
        "day": "2024-05-06", "user_id": "5", "name": "王舞", "person_type": "visitor", "job_number": "J",
        "groups": "夜班", "site": "east",
        "first_in": datetime.fromisoformat("2024-05-06T08:15:30+08:00"),
        "last_out": datetime.fromisoformat("2024-05-06T17:00:00+08:00"),
        "hours": 8.74, "passages": 4, "time_zone": "Asia/Shanghai",
        "utc_offset": "UTC+08:00", "last_out_utc_offset": "UTC+08:00",
        "schedule": "", "planned_from": None, "planned_until": None, "worked_hours": 8.74, "marks": "",
        "corrections": "",
    }  # fmt: skip
    berlin = Words("en", timezone="Europe/Berlin")
    found = {column.name: column.cell(row, berlin) for column in ATTENDANCE}
    assert found["first_in"] == datetime.fromisoformat("2024-05-06T02:15:30+02:00")
    assert (found["time_zone"], found["utc_offset"]) == ("Europe/Berlin", "UTC+02:00")


def test_of_a_single_passage_neither_last_out_nor_hours_are_told() -> None:
    row = PersonShift(SOMEONE, Attended(date(2024, 5, 6), IN, None, 1, "王五", None, *EAST))
    found = {column.name: column.cell(row, Words("en")) for column in ATTENDANCE}
    assert (found["last_out"], found["hours"], found["passages"]) == (None, None, 1)
    assert found["last_out_utc_offset"] == ""


@pytest.mark.parametrize(
    ("begins", "ends", "offsets", "hours"),
    [
        ("2026-10-31T22:00-04:00", "2026-11-01T06:00-05:00", ("UTC-04:00", "UTC-05:00"), 9.0),
        ("2026-03-07T22:00-05:00", "2026-03-08T06:00-04:00", ("UTC-05:00", "UTC-04:00"), 7.0),
    ],
)
def test_a_shift_over_a_change_of_clocks_says_both_offsets(
    begins: str, ends: str, offsets: tuple[str, str], hours: float
) -> None:
    first, last = datetime.fromisoformat(begins), datetime.fromisoformat(ends)
    row = PersonShift(SOMEONE, Attended(first.date(), first, last, 2, "王五", 1, *EAST))
    there = Words("en", timezone="America/New_York")
    found = {column.name: column.cell(row, there) for column in ATTENDANCE}
    assert (found["utc_offset"], found["last_out_utc_offset"]) == offsets
    assert found["hours"] == hours


def test_everybody_who_was_there_has_a_row_a_day_across_pages() -> None:
    attendance = Attendance()
    found = [(row.person.user_id, row.day.day) for row in rows(attendance, q="王")]
    assert found == [("0", 6), ("0", 7), ("2", 6), ("2", 7)]
    assert {query.q for query in attendance.asked} == {"王"}


@pytest.mark.parametrize(("days", "limit"), [(1, 250), (400, 125)])
def test_a_page_is_never_more_than_may_be_asked_at_once(days: int, limit: int) -> None:
    attendance: Any = Attendance()
    last = date.fromordinal(date(2024, 1, 1).toordinal() + days - 1)
    assert list(person_shifts(attendance, PeopleQuery(), date(2024, 1, 1), last, page=250))
    assert {query.limit for query in attendance.asked} == {limit}
    assert limit * days <= MAX_CELLS
