"""Dead letters: events that the receiver refused too often, until a person decides about them.

An event is refused too often when ``retry.next_step`` says so. A receiver at another host or path has not refused
anything yet, so that all of them are taken up again for it, as far as there is room.

They are no part of ``capacity``, have a bound of their own, and the oldest of too many are given up, which is
counted. Taken up again, a dead letter is pending as on its first day, but for its attempts, which stay counted.
"""

import sqlite3
from collections.abc import Sequence

from gatepost.terminal.outbox.rows import count, drop_dead, trace_head
from gatepost.terminal.outbox.schema import PARKED
from gatepost.terminal.outbox.writer import Transaction

__all__ = ["MAX_DEAD", "retry_dead", "discard_dead", "keep_within_bound"]

MAX_DEAD = 10_000
"""Dead letters that are kept."""


def retry_dead(
    transaction: Transaction, ids: Sequence[int] | None, *, limit: int, capacity: int
) -> list[int]:
    """Make dead letters pending again, as if they had never been refused, as far as there is room."""
    room = max(0, min(limit, capacity - transaction.ledger.pending))
    revived = _dead(transaction.db, ids, room)
    for seq, lane, size, trace in revived:
        transaction.ledger.dead -= 1
        transaction.ledger.dead_bytes -= size
        count(transaction, lane, 1, size)
        parked = trace is not None and trace_head(transaction.db, trace) is not None
        transaction.db.execute(
            "UPDATE entry SET state = 0, due = ?, refusals = 0, delivered_before = NULL WHERE seq = ?",
            (PARKED if parked else 0, seq),
        )
    return [row[0] for row in revived]


def discard_dead(transaction: Transaction, ids: Sequence[int] | None, *, limit: int, now: int) -> list[int]:
    """Give dead letters up; they count as dropped."""
    given_up = _dead(transaction.db, ids, limit)
    for seq, _lane, _size, _trace in given_up:
        drop_dead(transaction, seq, "discarded", now)
    return [row[0] for row in given_up]


def _dead(
    db: sqlite3.Connection, ids: Sequence[int] | None, limit: int
) -> list[tuple[int, int, int, str | None]]:
    dead = "SELECT seq, lane, bytes, trace FROM entry WHERE state = 2"
    if ids is None:
        return db.execute(f"{dead} ORDER BY seq LIMIT ?", (limit,)).fetchall()
    found = (db.execute(f"{dead} AND seq = ?", (seq,)).fetchone() for seq in dict.fromkeys(ids))
    return [row for row in found if row is not None][:limit]


def keep_within_bound(transaction: Transaction, now: int) -> None:
    """Give up the oldest of too many, records before alarms."""
    surplus = transaction.ledger.dead - MAX_DEAD
    if surplus > 0:
        oldest = "SELECT seq FROM entry WHERE state = 2 ORDER BY lane DESC, seq LIMIT ?"
        for (seq,) in transaction.db.execute(oldest, (surplus,)).fetchall():
            drop_dead(transaction, seq, "dead-letters", now)
