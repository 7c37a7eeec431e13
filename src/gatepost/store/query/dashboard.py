"""Count what the dashboard shows, however much is stored: today, open alarms, who is present.

Functions on a connection, in the caller's transaction. Held terminals do not count.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, func, select

from gatepost.store.conversion.terminal_counters import HISTORY
from gatepost.store.conversion.values import moment, ms
from gatepost.store.interface import AlarmCounts, RecordQuery, TerminalState, Visible
from gatepost.store.query import record_search
from gatepost.store.query.alarms import alarm_counts
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import at_sites, hidden_terminals
from gatepost.wire.codes import RecognitionType

__all__ = ["DashboardCounts", "TerminalActivity", "Since", "glance", "latest", "portrait"]


class Since(Struct, frozen=True, kw_only=True):
    """Records since a moment, and how they went."""

    records: int = 0
    refused: int = 0
    strangers: int = 0
    abnormal: int = 0


class TerminalActivity(Struct, frozen=True):
    """A terminal's signs of life."""

    id: int
    last_seen: datetime | None
    interval_ms: int | None


class DashboardCounts(Struct, frozen=True, kw_only=True):
    """Hold what was counted at one moment."""

    since: Since
    alarms: AlarmCounts
    heard: list[TerminalActivity]
    states: dict[TerminalState, int]


def glance(db: Connection, at: datetime, visible: Visible) -> DashboardCounts:
    """Count. ``at``: from when on records count as of today."""
    return DashboardCounts(
        since=since(db, at, visible),
        alarms=alarm_counts(db, visible),
        heard=heard_of(db, visible),
        states=states(db, visible),
    )


def since(db: Connection, at: datetime, visible: Visible) -> Since:
    """Count the records from a moment on: out of the index by facet and time, and only that stretch of it."""
    hidden = hidden_terminals(db, visible)
    r = t.records.c
    found = {"records": 0, "refused": 0, "strangers": 0, "abnormal": 0}
    for facet in db.execute(select(t.facets)).all():
        counted = select(func.count()).where(r.facet_id == facet.id, r.at_ms >= ms(at))
        count = db.execute(counted).scalar_one()
        if count and hidden:
            count -= db.execute(counted.where(r.terminal_id.in_(hidden))).scalar_one()
        found["records"] += count
        found["refused"] += count if facet.passed == 0 else 0
        found["strangers"] += count if facet.recognition_type == RecognitionType.STRANGER else 0
        found["abnormal"] += count if facet.abnormal_type not in (-1, 0) else 0
    return Since(**found)


def latest(db: Connection, limit: int, visible: Visible) -> list[int]:
    """Return the ids of the records that arrived last, latest first.

    To a user who sees some terminals only, those that happened last, for in order of arrival theirs may be rare.
    """
    if not visible.every_terminal:
        found = record_search.find(db, RecordQuery(limit=limit), visible, None)
        return sorted(found, reverse=True)[:limit]
    r = t.records.c
    statement = select(r.id).join(t.terminals, t.terminals.c.id == r.terminal_id)
    return list(
        db.execute(
            statement.where(t.terminals.c.state != "held").order_by(r.id.desc()).limit(limit)
        ).scalars()
    )


def portrait(db: Connection, identities: Sequence[int], visible: Visible) -> int | None:
    """Find the latest record with an image of these identities, among the last thousand of each."""
    r = t.records.c
    best: tuple[int, int] | None = None
    for identity in identities:
        recent = (
            select(r.id, r.at_ms, r.has_image, r.terminal_id)
            .where(r.identity_id == identity)
            .order_by(r.at_ms.desc(), r.id.desc())
            .limit(1000)
            .subquery()
        )
        found = (
            select(recent.c.at_ms, recent.c.id)
            .join(t.terminals, t.terminals.c.id == recent.c.terminal_id)
            .where(recent.c.has_image == 1, t.terminals.c.state != "held", *at_sites(visible))
            .order_by(recent.c.at_ms.desc())
            .limit(1)
        )
        row = db.execute(found).one_or_none()
        if row is not None and (best is None or row.at_ms > best[0]):
            best = (row.at_ms, row.id)
    return None if best is None else best[1]


def states(db: Connection, visible: Visible) -> dict[TerminalState, int]:
    """How many terminals are in each state."""
    c = t.terminals.c.state
    rows = db.execute(select(c, func.count().label("many")).where(*at_sites(visible)).group_by(c))
    return {row.state: row.many for row in rows}


def heard_of(db: Connection, visible: Visible) -> list[TerminalActivity]:
    """Signs of life of every terminal that is in use."""
    c = t.tallies.c
    last = func.max(c.last_at_ms).label("last_ms")
    statement = (
        select(t.terminals.c.id, last, func.max(c.interval_ms).label("interval_ms"))
        .select_from(
            t.terminals.outerjoin(t.tallies, (c.terminal_id == t.terminals.c.id) & (c.writer != HISTORY))
        )
        .where(t.terminals.c.state.in_(("new", "approved")), *at_sites(visible))
        .group_by(t.terminals.c.id)
    )
    return [
        TerminalActivity(row.id, None if row.last_ms is None else moment(row.last_ms), row.interval_ms)
        for row in db.execute(statement)
    ]
