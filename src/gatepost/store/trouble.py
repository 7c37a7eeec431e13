"""What did not go straight through: the quarantine, refusals, and pushes that went to a wrong path.

Functions on a connection, in the caller's transaction. Every table here is bounded, for anyone who can reach
the receiver can fill it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from gatepost.store import schema as t
from gatepost.store.arrivals import decode_problems, moment, text
from gatepost.store.pages import decode_cursor, encode_cursor
from gatepost.store.registry import insert
from gatepost.store.store import MisdirectedRow, Page, QuarantineRow

__all__ = [
    "MAX_MISDIRECTED",
    "count_refused",
    "note_misdirected",
    "misdirected",
    "quarantined",
    "quarantined_by_id",
    "discard_quarantined",
    "tried_quarantined",
]

MAX_MISDIRECTED = 1000
"""Rows that are kept; beyond it the longest unseen ones go."""

_MAX_REASON = 100


def count_refused(db: Connection, counts: Mapping[tuple[int, str], int], *, writer: int, now_ms: int) -> None:
    rows = [
        {
            "terminal_id": terminal_id,
            "writer": writer,
            "reason": text(reason[:_MAX_REASON]),
            "count": count,
            "last_at_ms": now_ms,
        }
        for (terminal_id, reason), count in sorted(counts.items())
    ]
    if not rows:
        return
    statement = insert(db, t.refusals)
    new = statement.excluded
    db.execute(
        statement.on_conflict_do_update(
            index_elements=["terminal_id", "writer", "reason"],
            set_={"count": t.refusals.c.count + new.count, "last_at_ms": new.last_at_ms},
        ),
        rows,
    )


def note_misdirected(db: Connection, counts: Mapping[tuple[str, str, str], int], *, now_ms: int) -> None:
    c = t.misdirected.c
    for (peer, path, serial), count in sorted(counts.items()):
        statement = insert(db, t.misdirected).values(
            peer=text(peer),
            path=text(path),
            serial=text(serial),
            count=count,
            first_at_ms=now_ms,
            last_at_ms=now_ms,
        )
        db.execute(
            statement.on_conflict_do_update(
                index_elements=["peer", "path", "serial"],
                set_={"count": c.count + statement.excluded.count, "last_at_ms": now_ms},
            )
        )
    kept = db.execute(select(func.count()).select_from(t.misdirected)).scalar_one()
    if kept > MAX_MISDIRECTED:
        limit = (
            select(c.last_at_ms).order_by(c.last_at_ms.desc()).limit(1).offset(MAX_MISDIRECTED - 1)
        ).scalar_subquery()
        db.execute(delete(t.misdirected).where(c.last_at_ms < limit))
        # Rows of one moment cannot be told apart by age.
        excess = db.execute(select(func.count()).select_from(t.misdirected)).scalar_one() - MAX_MISDIRECTED
        for row in db.execute(select(t.misdirected).order_by(c.last_at_ms).limit(max(excess, 0))).all():
            db.execute(
                delete(t.misdirected).where(c.peer == row.peer, c.path == row.path, c.serial == row.serial)
            )


def misdirected(db: Connection) -> list[MisdirectedRow]:
    rows = db.execute(select(t.misdirected).order_by(t.misdirected.c.last_at_ms.desc()))
    return [
        MisdirectedRow(
            peer=row.peer,
            path=row.path,
            serial=row.serial or None,
            count=row._mapping["count"],
            first_at=moment(row.first_at_ms),
            last_at=moment(row.last_at_ms),
        )
        for row in rows
    ]


def quarantined(db: Connection, *, limit: int, cursor: str | None) -> Page[QuarantineRow]:
    """Newest first."""
    c = t.quarantine.c
    statement = (
        select(t.quarantine, t.terminals.c.serial)
        .join(t.terminals, t.terminals.c.id == c.terminal_id)
        .order_by(c.id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        statement = statement.where(c.id < decode_cursor(cursor, "quarantine")[1])
    rows = db.execute(statement).all()
    items = tuple(_row(row) for row in rows[:limit])
    return Page(items, encode_cursor("quarantine", 0, items[-1].id) if len(rows) > limit else None)


def quarantined_by_id(db: Connection, ids: Sequence[int]) -> list[QuarantineRow]:
    c = t.quarantine.c
    rows = db.execute(
        select(t.quarantine, t.terminals.c.serial)
        .join(t.terminals, t.terminals.c.id == c.terminal_id)
        .where(c.id.in_(ids))
        .order_by(c.id)
    )
    return [_row(row) for row in rows]


def _row(row: Row[Any]) -> QuarantineRow:
    return QuarantineRow(
        id=row.id,
        terminal_id=row.terminal_id,
        serial=row.serial,
        received_at=moment(row.received_at_ms),
        peer=row.peer or "",
        problems=decode_problems(row.problems),
        tries=row.tries,
        original=row.original,
    )


def discard_quarantined(db: Connection, ids: Iterable[int]) -> int:
    """Answer how many there were. What is pushed again after this comes into the quarantine again."""
    return db.execute(delete(t.quarantine).where(t.quarantine.c.id.in_(list(ids)))).rowcount


def tried_quarantined(db: Connection, ids: Iterable[int]) -> None:
    c = t.quarantine.c
    db.execute(update(t.quarantine).where(c.id.in_(list(ids))).values(tries=c.tries + 1))
