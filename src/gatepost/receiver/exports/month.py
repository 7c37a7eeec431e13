"""Attendance as a matrix for payroll: a row a person with totals, and a column a day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta

from msgspec import Struct

from gatepost.receiver.exports.attendance import PersonShift, attendance_pages, rows_of
from gatepost.receiver.exports.columns import HOURS, Cell, Column, Words, named
from gatepost.receiver.exports.marks import MARKS, mark_words
from gatepost.store.attendance.attendance import Attendance, PersonAttendance
from gatepost.store.attendance.schedules import Mark
from gatepost.store.people.person import PeopleQuery, Person

__all__ = [
    "COUNTED",
    "MAX_DAYS",
    "PersonDays",
    "Totals",
    "days_of_people",
    "frozen_of",
    "matrix",
    "row_of",
    "totals_of",
]

MAX_DAYS = 62
"""Days of one matrix: two months."""

FROZEN_COLUMNS = ("user_id", "name")
"""Columns that stay in sight while a spreadsheet is scrolled."""

COUNTED: tuple[Mark, ...] = ("late", "early", "missing", "absent", "holiday", "corrected")
"""Marks that are counted for each person."""


class Totals(Struct, frozen=True):
    """Hold the sums of a person."""

    days: int
    """Days on which a shift began."""
    shifts: int
    hours: float
    """Between first in and last out, where both are known."""
    worked_hours: float
    """The same without breaks."""
    planned_hours: float
    """Of the shifts and absences that a schedule planned."""
    marks: Counter[Mark]


class PersonDays(Struct, frozen=True):
    """Hold a row: a person, sums, and what was on each day."""

    person: Person
    names: tuple[str, ...]
    totals: Totals
    days: dict[date, list[PersonShift]]


def totals_of(item: PersonAttendance) -> Totals:
    """Return the sums of a person."""
    shifts = item.shifts
    marks: Counter[Mark] = Counter(mark for one in shifts for mark in one.marks)
    marks["absent"] += len(item.absences)
    # Several shifts may belong to one planned shift.
    planned = {one.planned for one in shifts if one.planned is not None} | set(item.absences)
    return Totals(
        days=len({one.day for one in shifts}),
        shifts=len(shifts),
        hours=_hours(sum(one.seconds or 0 for one in shifts)),
        worked_hours=_hours(sum(one.worked_seconds or 0 for one in shifts)),
        planned_hours=_hours(sum(one.work_ms for one in planned) / 1000),
        marks=marks,
    )


def _hours(seconds: float) -> float:
    return round(seconds / 3600, 2)


def days_of_people(
    attendance: Attendance, query: PeopleQuery, first: date, last: date, *, page: int
) -> Iterator[Sequence[PersonDays]]:
    """Yield pages of rows: everyone who fits. Raises as :meth:`Attendance.page` does."""
    for items in attendance_pages(attendance, query, first, last, page=page):
        yield [row_of(item) for item in items]


def row_of(item: PersonAttendance) -> PersonDays:
    """Return the row of a person."""
    days: dict[date, list[PersonShift]] = {}
    for row in rows_of(item):
        days.setdefault(row.day, []).append(row)
    return PersonDays(item.person, item.names, totals_of(item), days)


def frozen_of(columns: Sequence[Column[PersonDays]]) -> int:
    """Return how many of these columns stay in sight: those at the left that say who it is."""
    names = [column.name in FROZEN_COLUMNS for column in columns]
    return names.index(False) if False in names else len(names)


def _day(day: date) -> Callable[[PersonDays, Words], Cell]:
    return lambda row, words: "; ".join(_in_words(one, words) for one in row.days.get(day, ()))


def _in_words(row: PersonShift, words: Words) -> str:
    """Return a shift in a cell: ``08:12–17:00 (late)``; hours of the next day have ``+1``."""
    marks = ", ".join(mark_words(row.marks, words.language))
    attended = row.attended
    if attended is None:
        return marks
    where = words.of(attended.timezone)

    def clock(at: datetime) -> str:
        local = at.astimezone(where)
        later = (local.date() - attended.day).days
        return f"{local:%H:%M}" + (f"+{later}" if later else "")

    out = "?" if attended.last_out is None else clock(attended.last_out)
    return f"{clock(attended.first_in)}–{out}" + (f" ({marks})" if marks else "")


def _counted(mark: Mark) -> Column[PersonDays]:
    return Column(mark, MARKS[mark][0].capitalize(), MARKS[mark][1], lambda row, _: row.totals.marks[mark], 9)


def matrix(first: date, last: date) -> list[Column[PersonDays]]:
    """Return the columns of a matrix: the person, the totals, the days. Raises ``ValueError`` for too many days."""
    count = (last - first).days + 1
    if count > MAX_DAYS:
        raise ValueError(
            f"a matrix has at most {MAX_DAYS} days, not {count}; ask for fewer, or for layout=shifts"
        )
    days = [first + timedelta(number) for number in range(count)]
    return [
        Column("user_id", "Person ID", "人员编号", lambda row, _: row.person.user_id),
        Column("name", "Name", "姓名", lambda row, _: " / ".join(filter(None, row.names)), 16),
        Column("job_number", "Job number", "工号", lambda row, _: row.person.job_number),
        Column("groups", "Groups", "分组", lambda row, _: named(row.person.groups), 16),
        Column("site", "Site", "站点", lambda row, _: row.person.site, 14),
        Column("days", "Days", "出勤天数", lambda row, _: row.totals.days, 7),
        Column("hours", "Hours between", "间隔小时数", lambda row, _: row.totals.hours, 9, HOURS),
        Column(
            "worked_hours", "Worked hours", "工作小时数", lambda row, _: row.totals.worked_hours, 9, HOURS
        ),
        Column(
            "planned_hours", "Planned hours", "计划小时数", lambda row, _: row.totals.planned_hours, 9, HOURS
        ),
        *(_counted(mark) for mark in COUNTED),
        *(Column(f"{day}", f"{day}", f"{day}", _day(day), 13) for day in days),
    ]
