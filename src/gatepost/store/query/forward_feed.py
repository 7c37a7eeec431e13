"""Read the feed for forwarding: a page of one kind, and the events on it that a filter chooses.

The filter is that of the lists, asked of the same database with the same conditions, so that a destination is sent what
the list shows for it. Page and events are of one moment: they are read in one transaction.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from gatepost.store.interface import (
    EVERYTHING,
    AlarmStepRow,
    FeedItem,
    FeedKind,
    RecordQuery,
    RecordRow,
    StepQuery,
    ToForward,
)
from gatepost.store.query import feed, record_search
from gatepost.store.query.page_bytes import fitting
from gatepost.store.query.records import alarm_steps_by_id, record_sizes, records_by_id, step_sizes
from gatepost.store.query.terminal_labels import terminals_asked
from gatepost.store.schema import tables as t
from gatepost.wire import AlarmStatus

__all__ = ["page", "page_of", "rows"]

_STATUS = {
    "open": AlarmStatus.OCCURRED,
    "clear_failed": AlarmStatus.CLEAR_FAILED,
    "cleared": AlarmStatus.CLEARED,
}


def page(db: Connection, after: int, end: int, query: RecordQuery | StepQuery, limit: int) -> ToForward:
    """See :meth:`gatepost.store.interface.Store.to_forward`. ``end``: ids up to it are settled."""
    kind = _kind(query)
    found = feed.items(db, after, end, limit, (kind,))
    chosen, fits = _chosen(db, query, found)
    is_end = len(found) < limit and fits == len(found)
    items = found[:fits]
    place = max(after, end) if is_end else items[-1].id
    return ToForward(items, chosen, place, _deleted(db, kind, after, [item.id for item in items], place))


def page_of(
    db: Connection, terminal_id: int, after: int, until: int, query: RecordQuery | StepQuery, limit: int
) -> ToForward:
    """See :meth:`gatepost.store.interface.Store.to_forward_of`."""
    items = feed.items(db, after, until, limit, (_kind(query),), terminal_id=terminal_id)
    chosen, fits = _chosen(db, query, items)
    is_end = len(items) < limit and fits == len(items)
    return ToForward(items[:fits], chosen, until if is_end else items[fits - 1].id)


def rows(db: Connection, kind: FeedKind, ids: Sequence[int]) -> dict[int, RecordRow | AlarmStepRow]:
    """Return those of these records or steps that there are, by id."""
    if kind == "record":
        return {row.id: row for row in records_by_id(db, ids, EVERYTHING)}
    return {row.step.id: row for row in alarm_steps_by_id(db, ids, EVERYTHING)}


def _deleted(
    db: Connection, kind: FeedKind, after: int, ids: Sequence[int], place: int
) -> tuple[tuple[int, int], ...]:
    """Count what is deleted between items: a place that stops at an item counts what is deleted before it, no more."""
    gaps = [*zip([after, *ids], [*(each - 1 for each in ids), place], strict=True)]

    def within(some: list[tuple[int, int]]) -> list[tuple[int, int]]:
        end = some[-1][1]
        events = feed.deleted(db, some[0][0], end, (kind,)).get(kind, 0)
        if not events or len(some) == 1:
            return [(end, events)] if events else []
        half = len(some) // 2
        return within(some[:half]) + within(some[half:])

    return tuple(within(gaps))


def _kind(query: RecordQuery | StepQuery) -> FeedKind:
    return "record" if isinstance(query, RecordQuery) else "alarm"


def _chosen(
    db: Connection, query: RecordQuery | StepQuery, items: Sequence[FeedItem]
) -> tuple[Mapping[int, RecordRow | AlarmStepRow], int]:
    """Return the rows that fit the query, and how many of the items are on the page."""
    shown = [item.id for item in items if not item.is_held]
    if not shown:
        return {}, len(items)
    conditions = _conditions(db, query)
    table = t.records if isinstance(query, RecordQuery) else t.alarm_events
    if conditions:
        wanted = select(table.c.id).where(table.c.id.in_(shown), *conditions)
        shown = list(db.execute(wanted).scalars())
    sizes = (record_sizes if isinstance(query, RecordQuery) else step_sizes)(db, shown)
    fits = fitting([sizes.get(item.id, 0) for item in items])
    last = items[fits - 1].id
    return rows(db, _kind(query), [each for each in shown if each <= last]), fits


def _conditions(db: Connection, query: RecordQuery | StepQuery) -> list[Any]:
    if isinstance(query, RecordQuery):
        return [] if query == RecordQuery() else record_search.all_conditions(db, query, EVERYTHING)
    c = t.alarm_events.c
    found: list[Any] = []
    if query.terminal is not None or query.without_serial or query.site_id is not None:
        here = select(t.terminals.c.id).where(*terminals_asked(db, query, EVERYTHING))
        found.append(c.terminal_id.in_(here))
    if query.code is not None:
        found.append(c.code == query.code)
    if query.state is not None:
        found.append(c.status == int(_STATUS[query.state]))
    return found
