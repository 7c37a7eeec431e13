"""Make files of attendance, and of who is inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Literal

from litestar.exceptions import ClientException
from litestar.response import Stream
from msgspec import Struct
from msgspec.structs import replace

from gatepost.items import SomeoneItem
from gatepost.receiver.api.access.authorization import Access, AnyRequest
from gatepost.receiver.api.exports.download import (
    PAGE,
    FileOptions,
    Rows,
    answer_file,
    pieces_of,
    table_of,
)
from gatepost.receiver.api.people.attended import AttendedItem, absence_item, attended_item
from gatepost.receiver.api.people.inside import people_items
from gatepost.receiver.api.people.people import someone_item
from gatepost.receiver.exports.attendance import ATTENDANCE, PersonShift, person_shifts
from gatepost.receiver.exports.formats import in_zone
from gatepost.receiver.exports.inside import INSIDE
from gatepost.receiver.exports.month import days_of_people, frozen_of, matrix
from gatepost.receiver.people_rules import Meaning
from gatepost.store.attendance.attended import Attended
from gatepost.store.people.inside import InsideQuery, PersonInside
from gatepost.store.people.person import PeopleQuery

__all__ = ["Layout", "attendance_file", "inside_file"]

Layout = Literal["shifts", "matrix"]
"""Of attendance: a row a shift, or a row a person with a column a day."""


async def attendance_file(
    request: AnyRequest,
    access: Access,
    meaning: Meaning,
    query: PeopleQuery,
    stretch: tuple[date, date],
    options: FileOptions,
    *,
    layout: Layout = "shifts",
) -> Stream:
    """Return everyone who fits with their shifts on these days, as a file."""

    def begin(count: Rows) -> Iterator[bytes]:
        if layout == "matrix":
            if options.format == "jsonl":
                raise ClientException("layout=matrix is for format=csv or xlsx; ask for one of them")
            people = count.of(lambda: days_of_people(meaning.attendance, query, *stretch, page=PAGE))
            month = table_of(matrix(*stretch), "attendance", options, people)
            return pieces_of(replace(month, frozen=frozen_of(month.columns)), options.format, list)
        pages = count.of(lambda: person_shifts(meaning.attendance, query, *stretch, page=PAGE))
        table = table_of(ATTENDANCE, "attendance", options, pages)

        def items(rows: Sequence[PersonShift]) -> list[Any]:
            return [in_zone(_shift_item(row), table.words.of(row.timezone)) for row in rows]

        return pieces_of(table, options.format, items)

    detail = _asked(query, stretch) | ({} if layout == "shifts" else {"layout": layout})
    return await answer_file(request, access, begin, what="attendance", form=options.format, detail=detail)


async def inside_file(
    request: AnyRequest,
    access: Access,
    meaning: Meaning,
    query: InsideQuery,
    options: FileOptions,
) -> Stream:
    """Return everyone who is inside, as a file."""

    def begin(count: Rows) -> Iterator[bytes]:
        pages = count.of(lambda: iter([meaning.inside.ask(query).people]))
        table = table_of(INSIDE, "inside", options, pages)

        def items(rows: Sequence[PersonInside]) -> list[Any]:
            shaped = people_items(meaning, rows)
            return [
                in_zone(item, table.words.of(row.timezone)) for item, row in zip(shaped, rows, strict=True)
            ]

        return pieces_of(table, options.format, items)

    detail = {name: getattr(query, name) for name in ("site_id", "group") if getattr(query, name)}
    detail |= {} if query.is_now else {"at": query.at.isoformat()}
    return await answer_file(request, access, begin, what="inside", form=options.format, detail=detail)


def _asked(query: PeopleQuery, stretch: tuple[date, date]) -> dict[str, object]:
    first, last = (day.isoformat() for day in stretch)
    found: dict[str, object] = {"first": first, "last": last}
    if query.q:
        found["q"] = "given"
    names = ("site_id", "group", "kind")
    return found | {name: getattr(query, name) for name in names if getattr(query, name)}


class AttendanceRow(Struct, frozen=True):
    """A line of the JSON lines."""

    person: SomeoneItem
    shift: AttendedItem


def _shift_item(row: PersonShift) -> AttendanceRow:
    what = row.what
    shift = attended_item(what) if isinstance(what, Attended) else absence_item(row.person, what)
    return AttendanceRow(someone_item(row.person), shift)
