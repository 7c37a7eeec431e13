"""Read the feed for forwarding: a page of one kind, and the events on it that a filter chooses.

The filter is that of the lists, asked of the same database with the same conditions, so that a destination is sent what
the list shows for it. Page and events are of one moment: they are read in one transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, or_, select

from gatepost.store.interface import (
    EVERYTHING,
    FeedItem,
    FeedKind,
    Forwarded,
    ForwardQuery,
    NoticeQuery,
    RecordQuery,
    ToForward,
)
from gatepost.store.query import feed, notices, record_search
from gatepost.store.query.page_bytes import fitting
from gatepost.store.query.records import alarm_steps_by_id, record_sizes, records_by_id, step_sizes
from gatepost.store.query.terminal_labels import hidden_terminals, terminals_asked
from gatepost.store.schema import tables as t
from gatepost.wire import AlarmStatus

__all__ = ["latest", "latest_serial", "page", "page_of", "rows"]

_STATUS = {
    "open": AlarmStatus.OCCURRED,
    "clear_failed": AlarmStatus.CLEAR_FAILED,
    "cleared": AlarmStatus.CLEARED,
}

_TABLES: Mapping[FeedKind, Table] = {"record": t.records, "alarm": t.alarm_events, "notice": t.notices}

_SIZES: Mapping[FeedKind, Callable[[Connection, Sequence[int]], dict[int, int]]] = {
    "record": record_sizes,
    "alarm": step_sizes,
    "notice": lambda db, ids: {},  # they are short
}


def page(db: Connection, after: int, end: int, query: ForwardQuery, limit: int) -> ToForward:
    """See :meth:`gatepost.store.interface.Store.to_forward`. ``end``: ids up to it are settled."""
    kind = _kind(query)
    found = feed.items(db, after, end, limit, (kind,))
    chosen, fits = _chosen(db, query, found)
    is_end = len(found) < limit and fits == len(found)
    items = found[:fits]
    place = max(after, end) if is_end else items[-1].id
    return ToForward(items, chosen, place, _deleted(db, kind, after, [item.id for item in items], place))


def page_of(
    db: Connection, terminal_id: int, after: int, until: int, query: ForwardQuery, limit: int
) -> ToForward:
    """See :meth:`gatepost.store.interface.Store.to_forward_of`."""
    items = feed.items(db, after, until, limit, (_kind(query),), terminal_id=terminal_id)
    chosen, fits = _chosen(db, query, items)
    is_end = len(items) < limit and fits == len(items)
    return ToForward(items[:fits], chosen, until if is_end else items[fits - 1].id)


def rows(db: Connection, kind: FeedKind, ids: Sequence[int]) -> dict[int, Forwarded]:
    """Return those of these events that there are, by id."""
    if kind == "record":
        return {row.id: row for row in records_by_id(db, ids, EVERYTHING)}
    if kind == "notice":
        return {row.id: row for row in notices.by_id(db, ids)}
    return {row.step.id: row for row in alarm_steps_by_id(db, ids, EVERYTHING)}


def latest(db: Connection, query: ForwardQuery) -> tuple[int, int | None] | None:
    """Return id and terminal of the latest event that fits and is not held back."""
    c = _TABLES[_kind(query)].c
    held = hidden_terminals(db, EVERYTHING)
    shown = [or_(c.terminal_id.is_(None), c.terminal_id.not_in(held))] if held else []
    found = select(c.id, c.terminal_id).where(*_conditions(db, query), *shown).order_by(c.id.desc()).limit(1)
    row = db.execute(found).one_or_none()
    return None if row is None else (row.id, row.terminal_id)


def latest_serial(db: Connection, query: ForwardQuery) -> str | None:
    """Return the serial of the terminal of the latest event that fits."""
    found = latest(db, query)
    terminal_id = None if found is None else found[1]
    return db.execute(select(t.terminals.c.serial).where(t.terminals.c.id == terminal_id)).scalar()


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


def _kind(query: ForwardQuery) -> FeedKind:
    if isinstance(query, NoticeQuery):
        return "notice"
    return "record" if isinstance(query, RecordQuery) else "alarm"


def _chosen(
    db: Connection, query: ForwardQuery, items: Sequence[FeedItem]
) -> tuple[Mapping[int, Forwarded], int]:
    """Return the rows that fit the query, and how many of the items are on the page."""
    shown = [item.id for item in items if not item.is_held]
    if not shown:
        return {}, len(items)
    conditions = _conditions(db, query)
    table = _TABLES[_kind(query)]
    if conditions:
        wanted = select(table.c.id).where(table.c.id.in_(shown), *conditions)
        shown = list(db.execute(wanted).scalars())
    sizes = _SIZES[_kind(query)](db, shown)
    fits = fitting([sizes.get(item.id, 0) for item in items])
    last = items[fits - 1].id
    return rows(db, _kind(query), [each for each in shown if each <= last]), fits


def _conditions(db: Connection, query: ForwardQuery) -> list[Any]:
    if isinstance(query, RecordQuery):
        return [] if query == RecordQuery() else record_search.all_conditions(db, query, EVERYTHING)
    if isinstance(query, NoticeQuery):
        return [t.notices.c.kind.in_(query.kinds)]
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
