"""Say which process sends to a destination: the one with its lease, until that is over.

Functions on a connection, in the caller's transaction. The time is that of the database's server where it has one, so
that receivers need not agree on the time.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from gatepost.store.forwarding.destination_rows import State
from gatepost.store.receivers.leases import server_ms
from gatepost.store.schema import tables as t

__all__ = ["MAX_LEASE_MS", "lease", "let_go", "renew", "states"]

MAX_LEASE_MS = 60_000
"""No lease is for longer."""


def states(db: Connection, owner: str, *, now_ms: int) -> list[State]:
    """Return what of every destination is looked at again and again, in one question."""
    c = t.destinations.c
    now = server_ms(db, now_ms)
    asked = select(c.id, c.revision, c.changes, c.finished_at_ms, c.closed_at_ms, c.delivered)
    asked = asked.add_columns(c.owner, c.lease_until_ms)
    return [
        State(
            id=row.id,
            revision=row.revision,
            changes=row.changes,
            is_finished=row.finished_at_ms is not None,
            is_closed=row.closed_at_ms is not None,
            delivered=row.delivered,
            is_free=row.owner == owner or not _is_leased(row, now),
        )
        for row in db.execute(asked.order_by(c.id))
    ]


def renew(db: Connection, owner: str, *, now_ms: int, for_ms: int) -> dict[int, int]:
    """Renew every lease of an owner; return the fence of each destination that it still has."""
    c = t.destinations.c
    until = server_ms(db, now_ms) + for_ms
    renewed = update(t.destinations).where(c.owner == owner).values(lease_until_ms=until)
    return {row.id: int(row.fence) for row in db.execute(renewed.returning(c.id, c.fence))}


def lease(db: Connection, which: int, owner: str, *, now_ms: int, for_ms: int) -> int | None:
    """Take or renew the lease of a destination; return the fence, ``None`` while another process has it.

    The time is that of the database's server where it has one, so that receivers need not agree on the time.
    """
    c = t.destinations.c
    now = server_ms(db, now_ms)
    row = db.execute(
        select(c.owner, c.fence, c.lease_until_ms).where(c.id == which).with_for_update()
    ).one_or_none()
    if row is None:
        return None
    fence = int(row.fence)
    if row.owner != owner:
        if _is_leased(row, now):
            return None
        fence += 1
    values = {"owner": owner, "fence": fence, "lease_until_ms": now + for_ms}
    db.execute(update(t.destinations).where(c.id == which).values(values))
    return fence


def let_go(db: Connection, owner: str, which: int | None = None) -> None:
    """Give back the lease of a destination that an owner has, or every lease of it."""
    c = t.destinations.c
    mine = [c.owner == owner] if which is None else [c.owner == owner, c.id == which]
    db.execute(update(t.destinations).where(*mine).values({"owner": None, "lease_until_ms": 0}))


def _is_leased(row: Any, now_ms: int) -> bool:
    """Return whether an owner has its lease; one that lasts longer than any is from before the clock was set back."""
    return row.owner is not None and now_ms < row.lease_until_ms <= now_ms + MAX_LEASE_MS
