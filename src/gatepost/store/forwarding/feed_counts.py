"""Count the events of one kind between two places of the feed, and find the place of a moment."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from gatepost.store.forwarding.destination_rows import AsideRow
from gatepost.store.interface import FeedKind
from gatepost.store.query import feed
from gatepost.store.schema import tables as t

__all__ = ["count", "left", "received", "span_of"]


def _columns(kind: FeedKind) -> tuple[Any, Any]:
    """Return the columns of the table of a kind, and the one that tells when an event was received."""
    if kind == "notice":
        return t.notices.c, t.notices.c.at_ms
    c = (t.records if kind == "record" else t.alarm_events).c
    return c, c.received_at_ms


def span_of(db: Connection, kind: FeedKind, since_ms: int, until_ms: int) -> tuple[int, int]:
    """Return the places between which all events of a kind lie that were received in a span."""
    c, at_ms = _columns(kind)
    inside = (at_ms >= since_ms, at_ms < until_ms)
    first, last = db.execute(select(func.min(c.id), func.max(c.id)).where(*inside)).one()
    return (0, 0) if first is None else (int(first) - 1, int(last))


def received(
    db: Connection, kind: FeedKind, after: int, until: int, terminal_id: int | None = None
) -> int | None:
    """Return when the first event with an id above ``after`` and up to ``until`` was received."""
    c, at_ms = _columns(kind)
    asked = select(at_ms).where(c.id > after, c.id <= until)
    if terminal_id is not None:
        asked = asked.where(c.terminal_id == terminal_id)
    return db.execute(asked.order_by(c.id).limit(1)).scalar()


def count(db: Connection, kind: FeedKind, after: int, until: int) -> int:
    """Return how many events of a kind were ever stored with ids above ``after`` and up to ``until``."""
    if until <= after:
        return 0
    c, _ = _columns(kind)
    there = db.execute(select(func.count()).where(c.id > after, c.id <= until)).scalar_one()
    return int(there) + feed.deleted(db, after, until, (kind,)).get(kind, 0)


def left(db: Connection, row: AsideRow) -> int:
    """Return how many events that were left aside are there still."""
    c = (t.records if row.kind == "record" else t.alarm_events).c
    mine = (c.terminal_id == row.terminal_id, c.id > row.after, c.id <= row.until)
    return int(db.execute(select(func.count()).where(*mine)).scalar_one())
