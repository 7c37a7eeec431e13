"""Attendance as a file: a row a shift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from msgspec import Struct
from msgspec.structs import replace

from gatepost.receiver.exports.columns import Column, Words, named, offset
from gatepost.store.local_days import days_between
from gatepost.store.people.attendance import MAX_CELLS, Attendance
from gatepost.store.people.attended import Attended
from gatepost.store.people.people import PeopleQuery, Person
from gatepost.wire.codes import UserType

__all__ = ["ATTENDANCE", "PersonShift", "person_shifts"]


class PersonShift(Struct, frozen=True):
    """A row."""

    person: Person
    attended: Attended


def _hours(row: PersonShift, _: Words) -> float | None:
    seconds = row.attended.seconds
    return None if seconds is None else round(seconds / 3600, 2)


def _last_out(row: PersonShift, words: Words) -> datetime | None:
    last_out = row.attended.last_out
    return None if last_out is None else words.wall(last_out, words.of(row.attended.timezone))


def _last_out_offset(row: PersonShift, words: Words) -> str:
    """Return the offset of ``last_out``: another one than of ``first_in`` in the night in which clocks are changed."""
    last_out = row.attended.last_out
    return "" if last_out is None else offset(last_out, words.of(row.attended.timezone))


ATTENDANCE: tuple[Column[PersonShift], ...] = (
    Column("day", "Day", "日期", lambda row, _: row.attended.day.isoformat(), 11),
    Column("user_id", "Person ID", "人员编号", lambda row, _: row.person.user_id),
    Column("name", "Name", "姓名", lambda row, _: row.attended.name, 16),
    Column(
        "person_type",
        "Kind of person",
        "人员类型",
        lambda row, words: words.word(UserType, row.attended.type),
    ),
    Column("job_number", "Job number", "工号", lambda row, _: row.person.job_number),
    Column("groups", "Groups", "分组", lambda row, _: named(row.person.groups), 16),
    Column("site", "Site", "站点", lambda row, _: row.attended.site, 14),
    Column(
        "first_in",
        "First in",
        "首次进入",
        lambda row, words: words.wall(row.attended.first_in, words.of(row.attended.timezone)),
        19,
    ),
    Column(
        "last_out",
        "Last out",
        "末次离开",
        _last_out,
        19,
    ),
    Column("hours", "Hours between", "间隔小时数", _hours, 8),
    Column("passages", "Passages", "通行次数", lambda row, _: row.attended.passages, 8),
    Column("time_zone", "Time zone", "时区", lambda row, words: words.of(row.attended.timezone).key, 14),
    Column(
        "utc_offset",
        "UTC offset",
        "UTC 偏移",
        lambda row, words: offset(row.attended.first_in, words.of(row.attended.timezone)),
        11,
    ),
    Column("last_out_utc_offset", "UTC offset of last out", "末次离开 UTC 偏移", _last_out_offset, 11),
)


def person_shifts(
    attendance: Attendance, query: PeopleQuery, first: date, last: date, *, page: int
) -> Iterator[Sequence[PersonShift]]:
    """Pages of rows: everybody who fits, each with their shifts by date. Raises as :meth:`Attendance.page` does."""
    query = replace(query, limit=max(1, min(page, MAX_CELLS // days_between(first, last))))
    while True:
        found = attendance.page(query, first, last)
        yield [PersonShift(item.person, one) for item in found.items for one in item.shifts]
        if found.next_cursor is None:
            return
        query = replace(query, cursor=found.next_cursor)
