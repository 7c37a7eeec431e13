"""Attendance as a file: a row a shift, absences among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime

from msgspec import Struct
from msgspec.structs import replace

from gatepost.receiver.exports.columns import HOURS, Cell, Column, Words, named, offset
from gatepost.receiver.exports.marks import mark_words
from gatepost.store.attendance.attendance import MAX_CELLS, Attendance, PersonAttendance
from gatepost.store.attendance.attended import Attended
from gatepost.store.attendance.corrections import Correction
from gatepost.store.attendance.schedules import Mark, Planned
from gatepost.store.conversion.values import moment
from gatepost.store.local_days import days_between
from gatepost.store.people.person import PeopleQuery, Person
from gatepost.wire.codes import UserType

__all__ = ["ATTENDANCE", "PersonShift", "attendance_pages", "person_shifts", "rows_of"]


class PersonShift(Struct, frozen=True):
    """Hold a row: a shift, or what was planned and had no passage."""

    person: Person
    what: Attended | Planned
    corrections: tuple[Correction, ...] = ()
    """Those of the day."""

    @property
    def day(self) -> date:
        """Return the day on which the shift began, or was planned to."""
        return self.what.day

    @property
    def attended(self) -> Attended | None:
        """Return the shift; ``None`` for an absence."""
        return self.what if isinstance(self.what, Attended) else None

    @property
    def planned(self) -> Planned | None:
        """Return what was planned."""
        return self.what.planned if isinstance(self.what, Attended) else self.what

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Return what is unusual about it."""
        return self.what.marks if isinstance(self.what, Attended) else ("absent",)

    @property
    def judged(self) -> tuple[Mark, ...]:
        """Return the marks that times do not show by themselves."""
        return self.what.judged if isinstance(self.what, Attended) else ("absent",)

    @property
    def timezone(self) -> str:
        """Return the zone of the site where the shift began, or the person's."""
        return self.what.timezone if isinstance(self.what, Attended) else self.person.timezone


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / 3600, 2)


def _of_shift(cell: Callable[[Attended, Words], Cell]) -> Callable[[PersonShift, Words], Cell]:
    """Return a cell that is empty for an absence."""
    return lambda row, words: None if row.attended is None else cell(row.attended, words)


def _last_out(attended: Attended, words: Words) -> datetime | None:
    last_out = attended.last_out
    return None if last_out is None else words.wall(last_out, words.of(attended.timezone))


def _last_out_offset(attended: Attended, words: Words) -> str:
    """Return the offset of ``last_out``: another one than of ``first_in`` in the night in which clocks are changed."""
    last_out = attended.last_out
    return "" if last_out is None else offset(last_out, words.of(attended.timezone))


def _planned(begins: bool) -> Callable[[PersonShift, Words], Cell]:
    def cell(row: PersonShift, words: Words) -> datetime | None:
        if row.planned is None:
            return None
        at_ms = row.planned.begin_ms if begins else row.planned.end_ms
        return words.wall(moment(at_ms), words.of(row.timezone))

    return cell


def _notes(row: PersonShift, words: Words) -> str:
    """Return each correction of the day: the time of the passage, what was done, by whom, and why."""
    where = words.of(row.timezone)
    done = {"added": ("added", "补录"), "struck": ("struck", "划除")}
    return "; ".join(
        f"{one.at.astimezone(where):%H:%M} {done[one.kind][words.language == 'zh']} ({one.made_by}): {one.note}"
        for one in row.corrections
    )


ATTENDANCE: tuple[Column[PersonShift], ...] = (
    Column("day", "Day", "日期", lambda row, _: row.day.isoformat(), 11),
    Column("user_id", "Person ID", "人员编号", lambda row, _: row.person.user_id),
    Column(
        "name",
        "Name",
        "姓名",
        lambda row, _: (row.attended and row.attended.name) or row.person.name,
        16,
    ),
    Column(
        "person_type",
        "Kind of person",
        "人员类型",
        lambda row, words: words.word(
            UserType, row.person.type if row.attended is None else row.attended.type
        ),
    ),
    Column("job_number", "Job number", "工号", lambda row, _: row.person.job_number),
    Column("groups", "Groups", "分组", lambda row, _: named(row.person.groups), 16),
    Column(
        "site", "Site", "站点", lambda row, _: (row.person if row.attended is None else row.attended).site, 14
    ),
    Column(
        "first_in",
        "First in",
        "首次进入",
        _of_shift(lambda one, words: words.wall(one.first_in, words.of(one.timezone))),
        19,
    ),
    Column("last_out", "Last out", "末次离开", _of_shift(_last_out), 19),
    Column("hours", "Hours between", "间隔小时数", _of_shift(lambda one, _: _hours(one.seconds)), 8, HOURS),
    Column("passages", "Passages", "通行次数", _of_shift(lambda one, _: one.passages), 8),
    Column("time_zone", "Time zone", "时区", lambda row, words: words.of(row.timezone).key, 14),
    Column(
        "utc_offset",
        "UTC offset",
        "UTC 偏移",
        _of_shift(lambda one, words: offset(one.first_in, words.of(one.timezone))),
        11,
    ),
    Column(
        "last_out_utc_offset", "UTC offset of last out", "末次离开 UTC 偏移", _of_shift(_last_out_offset), 11
    ),
    Column("schedule", "Schedule", "排班", lambda row, _: row.planned.schedule if row.planned else "", 14),
    Column("planned_from", "Planned from", "计划上班", _planned(begins=True), 19),
    Column("planned_until", "Planned until", "计划下班", _planned(begins=False), 19),
    Column(
        "worked_hours",
        "Worked hours",
        "工作小时数",
        _of_shift(lambda one, _: _hours(one.worked_seconds)),
        8,
        HOURS,
    ),
    Column("marks", "Marks", "标记", lambda row, words: ", ".join(mark_words(row.marks, words.language)), 18),
    Column("corrections", "Corrections", "更正", _notes, 30),
)


def attendance_pages(
    attendance: Attendance, query: PeopleQuery, first: date, last: date, *, page: int
) -> Iterator[Sequence[PersonAttendance]]:
    """Yield everyone who fits, page by page. Raises as :meth:`Attendance.page` does."""
    query = replace(query, limit=max(1, min(page, MAX_CELLS // days_between(first, last))))
    while True:
        found = attendance.page(query, first, last)
        yield found.items
        if found.next_cursor is None:
            return
        query = replace(query, cursor=found.next_cursor)


def person_shifts(
    attendance: Attendance, query: PeopleQuery, first: date, last: date, *, page: int
) -> Iterator[Sequence[PersonShift]]:
    """Pages of rows: everybody who fits, each with their shifts by date. Raises as :meth:`Attendance.page` does."""
    for items in attendance_pages(attendance, query, first, last, page=page):
        yield [row for item in items for row in rows_of(item)]


def rows_of(item: PersonAttendance) -> list[PersonShift]:
    """Return the shifts and absences of a person by day, each with the corrections of its day."""

    def of_day(day: date, timezone: str) -> tuple[Correction, ...]:
        return tuple(one for one in item.corrections if one.day(timezone) == day)

    rows = [
        PersonShift(item.person, one, of_day(one.day, one.timezone) if item.corrections else ())
        for one in item.shifts
    ]
    rows += [PersonShift(item.person, one, of_day(one.day, item.person.timezone)) for one in item.absences]
    return sorted(rows, key=lambda row: row.day) if item.absences else rows
