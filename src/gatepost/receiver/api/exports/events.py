"""Make files of records and alarms."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import structlog
from litestar.response import Stream
from msgspec.structs import replace

from gatepost.errors import ImageUnavailable
from gatepost.receiver.api.access.authorization import Access, AnyRequest
from gatepost.receiver.api.events.alarms import alarm_item
from gatepost.receiver.api.events.filters import told
from gatepost.receiver.api.events.images import suffix_of
from gatepost.receiver.api.events.records import record_items
from gatepost.receiver.api.exports.download import (
    PAGE,
    FileOptions,
    Rows,
    answer_file,
    pieces_of,
    table_of,
)
from gatepost.receiver.exports.columns import ALARM, RECORD, Column, Words
from gatepost.receiver.exports.formats import (
    Picture,
    in_zone,
)
from gatepost.receiver.people_rules import Meaning
from gatepost.store.interface import AlarmQuery, AlarmRow, Page, RecordQuery, RecordRow
from gatepost.store.questions import UserStore

__all__ = ["TIDY", "alarms_file", "records_file"]

log = structlog.get_logger(__name__)

TIDY = 20
"""Pages, after which what they left behind is collected."""

Query = TypeVar("Query", RecordQuery, AlarmQuery)
Row = TypeVar("Row", RecordRow, AlarmRow)


async def records_file(
    request: AnyRequest,
    store: UserStore,
    meaning: Meaning,
    access: Access,
    query: RecordQuery,
    options: FileOptions,
) -> Stream:
    """Return every record of a query, whatever its limit, as a file."""

    def items(rows: Sequence[RecordRow]) -> Sequence[object]:
        return record_items(meaning, rows, include=options.include)

    return await _events_file(
        request,
        access,
        query,
        options,
        what="records",
        columns=RECORD,
        ask=store.records,
        items=items,
        picture=lambda words, row: _portrait(store, words, row),
    )


async def alarms_file(
    request: AnyRequest,
    store: UserStore,
    access: Access,
    query: AlarmQuery,
    options: FileOptions,
) -> Stream:
    """Return every alarm of a query, whatever its limit, as a file."""

    def items(rows: Sequence[AlarmRow]) -> Sequence[object]:
        return [alarm_item(row, include=options.include) for row in rows]

    return await _events_file(
        request,
        access,
        query,
        options,
        what="alarms",
        columns=ALARM,
        ask=store.alarms,
        items=items,
        picture=lambda words, row: _scene(store, words, row),
    )


async def _events_file(
    request: AnyRequest,
    access: Access,
    query: Query,
    options: FileOptions,
    *,
    what: str,
    columns: Sequence[Column[Row]],
    ask: Callable[[Query], Page[Row]],
    items: Callable[[Sequence[Row]], Sequence[object]],
    picture: Callable[[Words, Row], Picture | None],
) -> Stream:
    query = replace(query, limit=PAGE, cursor=None)

    def begin(count: Rows) -> Iterator[bytes]:
        table = table_of(columns, what, options, count.of(lambda: _pages(ask, query)))

        def zoned(rows: Sequence[Row]) -> Sequence[object]:
            return [in_zone(item, table.words.zone(row)) for item, row in zip(items(rows), rows, strict=True)]

        return pieces_of(table, options.format, zoned, lambda row: picture(table.words, row))

    return await answer_file(request, access, begin, what=what, form=options.format, detail=told(query))


def _pages(ask: Callable[[Query], Page[Row]], query: Query) -> Iterator[Sequence[Row]]:
    """Yield every page of a question.

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
    """Return the image of the first step that has one."""
    for step in row.history:
        data = _image(store, step.id) if step.has_image else None
        if data is not None:
            day = (words.local(row, row.first_at) or row.first_at).date().isoformat()
            return Picture(f"{day}/{step.id}.{suffix_of(data)}", data)
    return None
