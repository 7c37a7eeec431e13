"""Read the feed: what arrived, in the order of its ids, and how much of that is deleted by now.

Rules:

* An item is a record or a step of an alarm, as it was received. A quarantined push is none until it is listed.
* A place is an id. Up to a place everything is settled, so that a reader who keeps one never misses an event
  (``docs/decisions/cursor.md``).
* Events of held terminals stand in their places, and are marked.
* Of what retention deletes, kind and id are kept, in the same transaction. So behind any place, items and deleted are
  together what was ever stored there (``docs/decisions/feed.md``). An erasure deletes no item.
* A page is of one moment of the store: it is read in one transaction.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate, pairwise

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, literal, or_, select, union_all

from gatepost.store.interface import (
    EVERYTHING,
    FEED_KINDS,
    AlarmRow,
    FeedItem,
    FeedKind,
    FeedPage,
    RecordRow,
    Visible,
)
from gatepost.store.page_bytes import fitting
from gatepost.store.query.alarms import alarms_by_id, sizes_of
from gatepost.store.query.records import records_by_id
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import at_sites, hidden_terminals

__all__ = ["deleted", "happened", "items", "keep_deleted", "page", "place_before", "rows_of"]

_GAPS = msgspec.msgpack.Decoder(list[int])

_D = t.deleted_events.c
_TOUCHED = (
    _D.kind.in_(bindparam("kinds", expanding=True)),
    _D.last_id > bindparam("after"),
    _D.first_id <= bindparam("until"),
)
_IS_ACROSS = or_(_D.first_id <= bindparam("after"), _D.last_id > bindparam("until"))
_DELETED_WITHIN = (
    select(_D.kind, func.sum(_D.events).label("events")).where(*_TOUCHED, ~_IS_ACROSS).group_by(_D.kind)
)
_DELETED_ACROSS = select(_D.kind, _D.first_id, _D.gaps).where(*_TOUCHED, _IS_ACROSS)


def page(
    db: Connection, after: int, limit: int, kinds: Collection[FeedKind], visible: Visible, *, horizon: int
) -> FeedPage:
    """See :meth:`gatepost.store.interface.Store.read_feed`. ``horizon``: ids below it are settled.

    To a user of some sites what is deleted is not counted, for nothing tells of which site it was.
    """
    whole = _page(db, after, limit, kinds, horizon=horizon)
    if visible.every_terminal:
        return whole
    here = set(db.execute(select(t.terminals.c.id).where(*at_sites(visible))).scalars())
    return FeedPage(tuple(item for item in whole.items if item.terminal_id in here), whole.place, {})


def _page(db: Connection, after: int, limit: int, kinds: Collection[FeedKind], *, horizon: int) -> FeedPage:
    found = items(db, after, horizon - 1, limit, kinds)
    place = found[-1].id if found else after
    d = t.deleted_events.c
    latest = db.execute(select(func.max(d.last_id))).scalar()
    if latest is None or latest <= after:
        return FeedPage(found, place, {})
    if len(found) < limit:
        unread = select(func.max(d.last_id)).where(d.kind.in_(kinds), d.last_id > place, d.last_id < horizon)
        place = db.execute(unread).scalar() or place
    return FeedPage(found, place, deleted(db, after, place, kinds))


def items(
    db: Connection,
    after: int,
    until: int,
    limit: int,
    kinds: Collection[FeedKind],
    *,
    terminal_id: int | None = None,
) -> tuple[FeedItem, ...]:
    """Return the first items with ids above ``after`` and up to ``until``, of all terminals or of one."""
    r, e = t.records.c, t.alarm_events.c
    sources = {
        "record": (t.records, r.id),
        "alarm": (t.alarm_events, e.alarm_id),
        "notice": (t.notices, t.notices.c.id),
    }
    parts = []
    for kind in kinds:
        table, event_id = sources[kind]
        c = table.c
        terminal = func.coalesce(c.terminal_id, 0).label("terminal_id")
        part = select(c.id, literal(kind).label("kind"), event_id.label("event_id"), terminal)
        part = part.where(c.id > after, c.id <= until)
        if terminal_id is not None:
            part = part.where(c.terminal_id == terminal_id)
        parts.append(select(part.order_by(c.id).limit(limit).subquery()))
    if not parts:
        return ()
    both = union_all(*parts).subquery()
    held = set(hidden_terminals(db, EVERYTHING))
    rows = db.execute(select(both).order_by(both.c.id).limit(limit))
    return tuple(
        FeedItem(
            row.id,
            row.kind,
            row.event_id,
            row.terminal_id,
            # What happens to a terminal is told, held or not.
            row.terminal_id in held and row.kind != "notice",
        )
        for row in rows
    )


def place_before(db: Connection, events: int, *, horizon: int) -> int:
    """Return the place that the latest so many events are after; 0 where there are no more than these."""
    latest: list[int] = []
    for table in (t.records, t.alarm_events):
        c = table.c
        asked = select(c.id).where(c.id < horizon).order_by(c.id.desc()).limit(events + 1)
        latest += db.execute(asked).scalars()
    latest.sort(reverse=True)
    return latest[events] if len(latest) > events else 0


def deleted(db: Connection, after: int, until: int, kinds: Collection[FeedKind]) -> dict[FeedKind, int]:
    """Count what is deleted with ids above ``after`` and up to ``until``."""
    told = {"kinds": list(kinds), "after": after, "until": until}
    counts: dict[FeedKind, int] = {row.kind: int(row.events) for row in db.execute(_DELETED_WITHIN, told)}
    for row in db.execute(_DELETED_ACROSS, told):
        inside = sum(
            after < number <= until for number in accumulate(_GAPS.decode(row.gaps), initial=row.first_id)
        )
        if inside:
            counts[row.kind] = counts.get(row.kind, 0) + inside
    return counts


def keep_deleted(db: Connection, kind: FeedKind, ids: Iterable[int]) -> None:
    """Keep that these items were deleted, in the transaction that deletes them."""
    gone = sorted(ids)
    if gone:
        db.execute(
            insert(t.deleted_events).values(
                last_id=gone[-1],
                kind=kind,
                first_id=gone[0],
                events=len(gone),
                gaps=msgspec.msgpack.encode([after - before for before, after in pairwise(gone)]),
            )
        )


def happened(
    db: Connection, after: int, limit: int, visible: Visible, *, horizon: int
) -> tuple[list[tuple[FeedItem, RecordRow | AlarmRow]], int]:
    """See :meth:`gatepost.store.interface.Store.happened`; no more than a page has bytes."""
    found = page(db, after, limit, FEED_KINDS, visible, horizon=horizon)
    ids = {
        kind: {one.event_id for one in found.items if one.kind == kind and not one.is_held}
        for kind in FEED_KINDS
    }
    sizes = sizes_of(db, sorted(ids["record"]), sorted(ids["alarm"]))
    fits = fitting([sizes.get((item.kind, item.event_id), 0) for item in found.items])
    if fits == len(found.items):
        return rows_of(db, found.items, visible), found.place
    return rows_of(db, found.items[:fits], visible), found.items[fits - 1].id


def rows_of(
    db: Connection, found: Sequence[FeedItem], visible: Visible
) -> list[tuple[FeedItem, RecordRow | AlarmRow]]:
    """Return the visible records and alarms that items are about, those of held terminals left out."""
    shown = [item for item in found if not item.is_held]
    records = records_by_id(db, [item.event_id for item in shown if item.kind == "record"], visible)
    alarms = alarms_by_id(db, sorted({item.event_id for item in shown if item.kind == "alarm"}), visible)
    rows: dict[tuple[str, int], RecordRow | AlarmRow] = {("record", row.id): row for row in records}
    rows.update({("alarm", row.id): row for row in alarms})
    found_rows = ((item, rows.get((item.kind, item.event_id))) for item in shown)
    return [(item, row) for item, row in found_rows if row is not None]
