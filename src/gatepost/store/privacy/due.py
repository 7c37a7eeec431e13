"""Count what retention deletes next: what is due now, and what becomes due at the next midnight, UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, func, select

from gatepost.store.conversion.values import DAY_MS
from gatepost.store.interface import Transactions
from gatepost.store.privacy.retention import KINDS, PARTS, RECEIVED, Limits
from gatepost.store.schema import tables as t

__all__ = ["MOST", "Due", "due_until"]

MOST = 100_000
"""No more is counted of one part, so that a page that shows it takes no longer with a larger store."""


class Due(Struct, frozen=True):
    """How many of one part; :data:`MOST` stands for that many and more. Of images, those that have one."""

    now: int
    next_day: int
    """More than now, at the next midnight."""


def due_until(store: Transactions, limits: Limits, *, now_ms: int, until: datetime) -> dict[str, Due]:
    """Return what is due of every part now, and from ``until`` on. Raises ``StoreUnavailable``."""
    today, next_day = now_ms // DAY_MS, int(until.timestamp() * 1000) // DAY_MS
    with store.reading() as db:
        return {part: _due(db, part, limits.days(part), today, next_day) for part in PARTS}


def _due(db: Connection, part: str, days: int, today: int, next_day: int) -> Due:
    if not days:
        return Due(0, 0)
    now = _count(db, _before(part, today - days))
    return Due(now, _count(db, _before(part, next_day - days)) - now)


def _before(part: str, day: int) -> Select[Any]:
    if part in KINDS and part != "quarantine":
        c, p = t.images.c, t.packs.c
        return select(c.event_id).join(t.packs, c.pack_id == p.id).where(p.kind.in_(KINDS[part]), p.day < day)
    at_ms = t.audit.c.at_ms if part == "audit" else RECEIVED[part]
    return select(at_ms).where(at_ms < day * DAY_MS)


def _count(db: Connection, rows: Select[Any]) -> int:
    counted = select(func.count()).select_from(rows.limit(MOST).subquery())
    return int(db.execute(counted).scalar_one())
