"""Read the feed for forwarding: a page of one kind, and the events on it that a filter chooses.

The filter is that of the lists, asked of the same database with the same conditions, so that a destination is sent what
the list shows for it. Page and events are of one moment: they are read in one transaction.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, func, literal, or_, select

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
from gatepost.store.page_bytes import fitting
from gatepost.store.query import feed, notices, record_search
from gatepost.store.query.alarms import STEP_BYTES, alarm_steps_by_id
from gatepost.store.query.records import RECORD_BYTES, records_between, records_by_id
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import hidden_terminals, terminals_asked
from gatepost.wire import AlarmStatus

__all__ = ["latest", "latest_serial", "page", "page_of", "rows"]

_STATUS = {
    "open": AlarmStatus.OCCURRED,
    "clear_failed": AlarmStatus.CLEAR_FAILED,
    "cleared": AlarmStatus.CLEARED,
}

_TABLES: Mapping[FeedKind, Table] = {"record": t.records, "alarm": t.alarm_events, "notice": t.notices}


@cache
def _items_asked(kind: FeedKind, *, of_terminal: bool) -> Select[Any]:
    """Return what is asked for a page, with the size of each event; made once, as the events of a page are few."""
    c = _TABLES[kind].c
    # Notices are short.
    size = {"record": RECORD_BYTES, "alarm": STEP_BYTES, "notice": literal(0)}[kind]
    event_id = c.alarm_id if kind == "alarm" else c.id
    asked = select(c.id, event_id, func.coalesce(c.terminal_id, 0), size).order_by(c.id)
    if kind == "record":
        asked = asked.outerjoin(t.identities, t.identities.c.id == c.identity_id)
    if of_terminal:
        asked = asked.where(c.terminal_id == bindparam("terminal_id"))
    return asked.where(c.id > bindparam("after"), c.id <= bindparam("until")).limit(bindparam("most"))


def page(db: Connection, after: int, end: int, query: ForwardQuery, limit: int) -> ToForward:
    """See :meth:`gatepost.store.interface.Store.to_forward`. ``end``: ids up to it are settled."""
    kind = _kind(query)
    items, is_end = _items(db, kind, after, end, limit)
    place = max(after, end) if is_end else items[-1].id
    deleted = _deleted(db, kind, after, items, place)
    return ToForward(items, _chosen(db, query, after, items), place, deleted)


def page_of(
    db: Connection, terminal_id: int, after: int, until: int, query: ForwardQuery, limit: int
) -> ToForward:
    """See :meth:`gatepost.store.interface.Store.to_forward_of`."""
    items, is_end = _items(db, _kind(query), after, until, limit, terminal_id=terminal_id)
    return ToForward(items, _chosen(db, query, None, items), until if is_end else items[-1].id)


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


def _items(
    db: Connection, kind: FeedKind, after: int, until: int, limit: int, *, terminal_id: int | None = None
) -> tuple[tuple[FeedItem, ...], bool]:
    """Return the events on a page, and whether there are no more."""
    held = set(hidden_terminals(db, EVERYTHING))
    told = {"after": after, "until": until, "most": limit, "terminal_id": terminal_id}
    found = db.execute(_items_asked(kind, of_terminal=terminal_id is not None), told).all()
    fits = fitting([size for *_, size in found])
    items = tuple(
        # What happens to a terminal is told, held or not.
        FeedItem(number, kind, event_id, terminal, terminal in held and kind != "notice")
        for number, event_id, terminal, _ in found[:fits]
    )
    return items, len(found) < limit and fits == len(found)


def _deleted(
    db: Connection, kind: FeedKind, after: int, items: Sequence[FeedItem], place: int
) -> tuple[tuple[int, int], ...]:
    """Count what is deleted between items: a place that stops at an item counts what is deleted before it, no more."""
    if not feed.deleted(db, after, place, (kind,)):
        return ()
    ids = [item.id for item in items]
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
    db: Connection, query: ForwardQuery, after: int | None, items: Sequence[FeedItem]
) -> Mapping[int, Forwarded]:
    """Return the events on a page that fit the query. ``after``: where the page has all that follows."""
    shown = [item.id for item in items if not item.is_held]
    if not shown:
        return {}
    kind, conditions = _kind(query), _conditions(db, query)
    if conditions:
        c = _TABLES[kind].c
        shown = list(db.execute(select(c.id).where(c.id.in_(shown), *conditions)).scalars())
    elif kind == "record" and after is not None and len(shown) == len(items):
        return {row.id: row for row in records_between(db, after, shown[-1])}
    return rows(db, kind, shown)


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
