"""``/api/v1/records/export``, ``alarms/export``, ``attendance/export``: what lists show, as a file to take away.

Rules:

* A file leaves the doors behind which it was made, so it needs the role ``operator``; a viewer looks.
* Each export is one line in the audit log, written before its first byte.
* Whatever goes wrong on the way cuts the connection: a file that seems whole is whole.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeVar

import structlog
from litestar import Controller, get
from litestar.exceptions import ClientException, HTTPException
from litestar.params import FromQuery
from litestar.response import Stream
from msgspec import Struct
from msgspec.structs import replace

from gatepost.errors import ImageUnavailable, StoreError
from gatepost.items import SomeoneItem
from gatepost.receiver.api.access.authorization import OPERATOR, Access, AnyRequest, TheAccess
from gatepost.receiver.api.events.alarms import alarm_item
from gatepost.receiver.api.events.filters import AlarmFilters, AtSite, RecordFilters, told
from gatepost.receiver.api.events.images import suffix_of
from gatepost.receiver.api.events.records import record_items
from gatepost.receiver.api.people.attendance import OfKind
from gatepost.receiver.api.people.attended import AttendedItem, absence_item, attended_item
from gatepost.receiver.api.people.inside import asked, people_items
from gatepost.receiver.api.people.people import someone_item
from gatepost.receiver.api.shapes import Include, TheMeaning, TheStore, answering, days, word
from gatepost.receiver.api.streaming import streamed
from gatepost.receiver.exports.attendance import ATTENDANCE, PersonShift, person_shifts
from gatepost.receiver.exports.columns import ALARM, RECORD, Column, Words, chosen
from gatepost.receiver.exports.formats import (
    Picture,
    Table,
    csv_pieces,
    in_zone,
    jsonl_pieces,
    xlsx_pieces,
    zip_pieces,
)
from gatepost.receiver.exports.inside import INSIDE
from gatepost.receiver.exports.month import FROZEN_COLUMNS, days_of_people, matrix
from gatepost.receiver.people_rules import Meaning
from gatepost.store.attendance.attended import Attended
from gatepost.store.interface import AlarmQuery, AlarmRow, Page, RecordQuery, RecordRow
from gatepost.store.local_days import days_between
from gatepost.store.people.inside import InsideQuery, PersonInside
from gatepost.store.people.person import PeopleQuery
from gatepost.store.questions import UserStore
from gatepost.wire.codes import Language

__all__ = [
    "ExportsController",
    "Format",
    "Layout",
    "alarms_file",
    "answer_file",
    "attendance_file",
    "inside_file",
    "records_file",
]

log = structlog.get_logger(__name__)

PAGE = 250
"""Rows that are read at once: more of them cost memory and save hardly any time."""

TIDY = 20
"""Pages, after which what they left behind is collected."""

AT_ONCE = 4
"""Exports under way in one process."""

Query = TypeVar("Query", RecordQuery, AlarmQuery)

Format = Literal["csv", "xlsx", "jsonl", "zip"]

Layout = Literal["shifts", "matrix"]
"""Of attendance: a row a shift, or a row a person with a column a day."""

_TYPES: dict[Format, str] = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jsonl": "application/jsonl",
    "zip": "application/zip",
}

AS_FILES = {"types": tuple(_TYPES.values())}
"""Media types of exports in the OpenAPI document: see :mod:`gatepost.receiver.api.problem_details`."""

_turns = threading.BoundedSemaphore(AT_ONCE)


class ExportsController(Controller):
    path = "/api/v1"
    opt = OPERATOR
    tags = ("exports",)

    @get("/records/export", summary="Records as a file", opt=AS_FILES)
    async def export_records(
        self,
        request: AnyRequest,
        store: TheStore,
        meaning: TheMeaning,
        access: TheAccess,
        record_filters: RecordFilters,
        format: FromQuery[Format] = "csv",
        order: FromQuery[Literal["newest", "oldest"]] = "oldest",
        columns: FromQuery[str | None] = None,
        lang: FromQuery[Literal["en", "zh"]] = "en",
        tz: FromQuery[str | None] = None,
        include: Include = None,
    ) -> Stream:
        """Every record that the filters leave, in CSV, XLSX, JSON lines, or a ZIP of CSV and images.

        ``columns``: names of columns with commas in between, in the order wanted. ``lang``: of headers and codes.
        ``tz``: the zone of the times; each terminal's own without it. All times say their offset. JSON lines have the
        items of ``/api/v1/records``, ``include=original`` there too.
        """
        return await records_file(
            request,
            store,
            meaning,
            access,
            replace(record_filters, order=order),
            format=format,
            columns=columns,
            lang=lang,
            tz=tz,
            include=_included(include, format),
        )

    @get("/alarms/export", summary="Alarms as a file", opt=AS_FILES)
    async def export_alarms(
        self,
        request: AnyRequest,
        store: TheStore,
        access: TheAccess,
        alarm_filters: AlarmFilters,
        format: FromQuery[Format] = "csv",
        columns: FromQuery[str | None] = None,
        lang: FromQuery[Literal["en", "zh"]] = "en",
        tz: FromQuery[str | None] = None,
        include: Include = None,
    ) -> Stream:
        """Every alarm that the filters leave, newest first; otherwise as for records."""
        return await alarms_file(
            request,
            store,
            access,
            alarm_filters,
            format=format,
            columns=columns,
            lang=lang,
            tz=tz,
            include=_included(include, format),
        )

    @get("/attendance/export", summary="Attendance as a file", opt={"types": tuple(_TYPES.values())[:3]})
    async def export_attendance(
        self,
        request: AnyRequest,
        access: TheAccess,
        meaning: TheMeaning,
        at_site: AtSite,
        day: FromQuery[str | None] = None,
        month: FromQuery[str | None] = None,
        first: FromQuery[str | None] = None,
        last: FromQuery[str | None] = None,
        q: FromQuery[str | None] = None,
        group: FromQuery[str | None] = None,
        kind: OfKind = "employees",
        format: FromQuery[Literal["csv", "xlsx", "jsonl"]] = "csv",
        layout: FromQuery[Layout] = "shifts",
        columns: FromQuery[str | None] = None,
        lang: FromQuery[Literal["en", "zh"]] = "en",
        tz: FromQuery[str | None] = None,
    ) -> Stream:
        """Return attendance of one ``day``, a ``month``, or ``first`` to ``last`` for payroll.

        ``layout``: ``shifts`` is a row a shift, absences among them; ``matrix`` a row a person with totals and a column
        a day, as CSV or XLSX. Filters are those of ``/api/v1/attendance``; otherwise as for records.
        """
        stretch = days(day=day, month=month, first=first, last=last)
        query = PeopleQuery(q=word("q", q), site_id=at_site, group=word("group", group), kind=kind)
        with answering():
            days_between(*stretch)
        return await attendance_file(
            request,
            access,
            meaning,
            query,
            stretch,
            layout=layout,
            format=format,
            columns=columns,
            lang=lang,
            tz=tz,
        )

    @get("/inside/export", summary="Who is inside as a file", opt={"types": tuple(_TYPES.values())[:3]})
    async def export_inside(
        self,
        request: AnyRequest,
        access: TheAccess,
        meaning: TheMeaning,
        at_site: AtSite,
        at: FromQuery[str | None] = None,
        group: FromQuery[str | None] = None,
        kind: OfKind = "all",
        format: FromQuery[Literal["csv", "xlsx", "jsonl"]] = "csv",
        columns: FromQuery[str | None] = None,
        lang: FromQuery[Literal["en", "zh"]] = "en",
        tz: FromQuery[str | None] = None,
    ) -> Stream:
        """Return who is inside now, or was at a time, a row a person. Filters are those of ``/api/v1/inside``."""
        query = asked(at=at, now_ms=access.doors.now_ms(), site_id=at_site, group=group, kind=kind)
        return await inside_file(
            request, access, meaning, query, format=format, columns=columns, lang=lang, tz=tz
        )


async def records_file(
    request: AnyRequest,
    store: UserStore,
    meaning: Meaning,
    access: Access,
    query: RecordQuery,
    *,
    format: Format,
    columns: str | None = None,
    lang: Language = "en",
    tz: str | None = None,
    include: str | None = None,
) -> Stream:
    """Every record of a query, whatever its limit, as a file."""
    query = replace(query, limit=PAGE, cursor=None)

    def begin(count: Rows) -> Iterator[bytes]:
        table = _table(RECORD, "records", columns, lang, tz, count.of(lambda: _pages(store.records, query)))

        def items(rows: Sequence[RecordRow]) -> list[Any]:
            shaped = record_items(meaning, rows, include=include)
            return [in_zone(item, table.words.zone(row)) for item, row in zip(shaped, rows, strict=True)]

        return _pieces(table, format, items, lambda row: _portrait(store, table.words, row))

    return await answer_file(request, access, begin, what="records", form=format, detail=told(query))


async def alarms_file(
    request: AnyRequest,
    store: UserStore,
    access: Access,
    query: AlarmQuery,
    *,
    format: Format,
    columns: str | None = None,
    lang: Language = "en",
    tz: str | None = None,
    include: str | None = None,
) -> Stream:
    """Every alarm of a query, whatever its limit, as a file."""
    query = replace(query, limit=PAGE, cursor=None)

    def begin(count: Rows) -> Iterator[bytes]:
        table = _table(ALARM, "alarms", columns, lang, tz, count.of(lambda: _pages(store.alarms, query)))

        def items(rows: Sequence[AlarmRow]) -> list[Any]:
            return [in_zone(alarm_item(row, include=include), table.words.zone(row)) for row in rows]

        return _pieces(table, format, items, lambda row: _scene(store, table.words, row))

    return await answer_file(request, access, begin, what="alarms", form=format, detail=told(query))


async def attendance_file(
    request: AnyRequest,
    access: Access,
    meaning: Meaning,
    query: PeopleQuery,
    stretch: tuple[date, date],
    *,
    format: Format,
    layout: Layout = "shifts",
    columns: str | None = None,
    lang: Language = "en",
    tz: str | None = None,
) -> Stream:
    """Everyone who fits with their shifts on these days, as a file."""

    def begin(count: Rows) -> Iterator[bytes]:
        if layout == "matrix":
            if format == "jsonl":
                raise ClientException("layout=matrix is for format=csv or xlsx; ask for one of them")
            pages = count.of(lambda: days_of_people(meaning.attendance, query, *stretch, page=PAGE))
            table = _table(matrix(*stretch), "attendance", columns, lang, tz, pages)
            return _pieces(replace(table, frozen=FROZEN_COLUMNS), format, list, lambda _: None)
        pages = count.of(lambda: person_shifts(meaning.attendance, query, *stretch, page=PAGE))
        table = _table(ATTENDANCE, "attendance", columns, lang, tz, pages)

        def items(rows: Sequence[PersonShift]) -> list[Any]:
            return [in_zone(_shift_item(row), table.words.of(row.timezone)) for row in rows]

        return _pieces(table, format, items, lambda _: None)

    detail = _asked(query, stretch) | ({} if layout == "shifts" else {"layout": layout})
    return await answer_file(request, access, begin, what="attendance", form=format, detail=detail)


async def inside_file(
    request: AnyRequest,
    access: Access,
    meaning: Meaning,
    query: InsideQuery,
    *,
    format: Format,
    columns: str | None = None,
    lang: Language = "en",
    tz: str | None = None,
) -> Stream:
    """Everyone who is inside, as a file."""

    def begin(count: Rows) -> Iterator[bytes]:
        pages = count.of(lambda: iter([meaning.inside.ask(query).people]))
        table = _table(INSIDE, "inside", columns, lang, tz, pages)

        def items(rows: Sequence[PersonInside]) -> list[Any]:
            shaped = people_items(meaning, rows)
            return [
                in_zone(item, table.words.of(row.timezone)) for item, row in zip(shaped, rows, strict=True)
            ]

        return _pieces(table, format, items, lambda _: None)

    detail = {name: getattr(query, name) for name in ("site_id", "group") if getattr(query, name)}
    detail |= {} if query.is_now else {"at": query.at.isoformat()}
    return await answer_file(request, access, begin, what="inside", form=format, detail=detail)


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


def _pages(ask: Callable[[Query], Page[Any]], query: Query) -> Iterator[Sequence[Any]]:
    """Every page of a question.

    What asking leaves behind in circles is collected on the way: by itself the receiver's collector waits until a
    hundred thousand objects have gathered, and that are 20 MB of them.
    """
    for number in itertools.count(1):
        page = ask(query)
        yield page.items
        if page.next_cursor is None:
            return
        query = replace(query, cursor=page.next_cursor)
        if number % TIDY == 0:
            gc.collect(0)


class Rows:
    """Counts what an export has read so far."""

    def __init__(self) -> None:
        self.count = 0

    def of(self, pages: Callable[[], Iterator[Sequence[Any]]]) -> Callable[[], Iterator[Sequence[Any]]]:
        """Return what yields these pages, counted."""

        def counted() -> Iterator[Sequence[Any]]:
            for page in pages():
                self.count += len(page)
                yield page

        return counted


def _included(include: str | None, form: Format) -> str | None:
    if include is not None and form != "jsonl":
        raise ClientException(f"include={include} is for format=jsonl; leave it out, or ask for that format")
    return include


def _table(
    columns: Sequence[Column[Any]],
    title: str,
    names: str | None,
    lang: Language,
    tz: str | None,
    pages: Callable[[], Iterator[Sequence[Any]]],
) -> Table:
    wanted = [name.strip() for name in (names or "").split(",") if name.strip()]
    words = Words(lang, timezone=tz or None)
    return Table(title, chosen(columns, wanted), words, pages)


def _pieces(
    table: Table,
    form: Format,
    items: Callable[[Sequence[Any]], list[Any]],
    picture: Callable[[Any], Picture | None],
) -> Iterator[bytes]:
    match form:
        case "csv":
            return csv_pieces(table)
        case "xlsx":
            return xlsx_pieces(table)
        case "jsonl":
            return jsonl_pieces(table.pages(), items)
        case "zip":
            return zip_pieces(table, picture)


def _image(store: UserStore, event_id: int) -> bytes | None:
    """Return an image; ``None`` where it has left, or is not here: the list of the archive says so by its name."""
    try:
        return store.image(event_id)
    except ImageUnavailable as error:
        log.warning("export.image_unavailable", why=str(error))
        return None


def _portrait(store: UserStore, words: Words, row: RecordRow) -> Picture | None:
    data = _image(store, row.id) if row.has_image else None
    if data is None:
        return None
    day = (words.local(row, row.at) or row.at).date().isoformat()
    return Picture(f"{day}/{row.id}.{suffix_of(data)}", data)


def _scene(store: UserStore, words: Words, row: AlarmRow) -> Picture | None:
    """The first step that has a picture."""
    for step in row.history:
        data = _image(store, step.id) if step.has_image else None
        if data is not None:
            day = (words.local(row, row.first_at) or row.first_at).date().isoformat()
            return Picture(f"{day}/{step.id}.{suffix_of(data)}", data)
    return None


async def answer_file(
    request: AnyRequest,
    access: Access,
    begin: Callable[[Rows], Iterator[bytes]],
    *,
    what: str,
    form: Format,
    detail: dict[str, object],
) -> Stream:
    """Send what ``begin`` makes as a file, in its turn, with a line in the audit log before it and one behind it."""
    access.shares.exports.take(request.user)
    if not _turns.acquire(blocking=False):
        access.shares.exports.give_back(request.user)
        raise HTTPException(
            f"{AT_ONCE} exports are under way already; try again when one has ended",
            status_code=503,
            headers={"retry-after": "30"},
        )

    rows = Rows()

    def noted() -> Iterator[bytes]:
        with answering():
            pieces = begin(rows)
        access.note(request, f"{what}.exported", form, **detail)
        return ended(pieces)

    def ended(pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
        finally:  # also where the client left
            try:
                access.note(request, f"{what}.export_ended", form, rows=rows.count)
            except StoreError as error:
                log.warning("export.end_not_noted", rows=rows.count, why=str(error))

    moment = datetime.fromtimestamp(access.doors.now_ms() / 1000, UTC)
    name = f"{what}-{moment:%Y%m%dT%H%M%SZ}.{form}"
    return await streamed(
        request,
        _steps(noted, lambda: access.shares.exports.give_back(request.user)),
        media_type=_TYPES[form],
        headers={
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        },
    )


async def _steps(
    begin: Callable[[], Iterator[bytes]], ended: Callable[[], None]
) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of an export, each made in the export's own thread: one at a time, and one heap for all of them.

    Gives the turn back, and calls ``ended``, when the last step has ended, also where nobody waits for it any more.
    """
    loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(1, "gatepost-export")
    pieces: Iterator[bytes] = iter(())
    try:
        pieces = await loop.run_in_executor(pool, begin)
        yield b""
        while (piece := await loop.run_in_executor(pool, next, pieces, None)) is not None:
            yield piece
    finally:
        pool.submit(_finish, pieces, ended)
        pool.shutdown(wait=False)


def _finish(pieces: Iterator[bytes], ended: Callable[[], None]) -> None:
    try:
        if isinstance(pieces, Generator):
            pieces.close()
    finally:
        _turns.release()
        ended()
