"""What was given up: never silent, and never an endless list.

Drops come in bursts: a receiver is away for a weekend and ten thousand records make room, one by one. A burst is
one row (which events, how many, why, when) and one line in the log.
"""

import structlog

from gatepost.terminal.outbox_values import ALARMS
from gatepost.terminal.outbox_writer import Transaction

__all__ = ["record_drop"]

log = structlog.get_logger(__name__)

BURST_MS = 60_000
"""A minute without a drop ends a burst."""

MAX_BURSTS = 1_000
"""Rows that are kept; from then on, drops are counted in the newest row of their kind."""


def record_drop(
    transaction: Transaction, seq: int, *, lane: int, reason: str, happened_at: int | None, now: int
) -> None:
    """Write that an event was dropped; the ledger's ``dropped`` is the caller's."""
    db = transaction.db
    last = db.execute(
        "SELECT id, last_at FROM drops WHERE reason = ? AND lane = ? ORDER BY id DESC LIMIT 1", (reason, lane)
    ).fetchone()
    if last is not None and abs(now - last[1]) > BURST_MS:
        (rows,) = db.execute("SELECT count(*) FROM drops").fetchone()
        if rows < MAX_BURSTS:
            last = None
    if last is not None:
        db.execute(
            "UPDATE drops SET count = count + 1, first_seq = min(first_seq, ?1), last_seq = max(last_seq, ?1),"
            " oldest_event_at = min(ifnull(oldest_event_at, ?2), ifnull(?2, oldest_event_at)),"
            " newest_event_at = max(ifnull(newest_event_at, ?2), ifnull(?2, newest_event_at)),"
            " last_at = ?3 WHERE id = ?4",
            (seq, happened_at, now, last[0]),
        )
        return
    db.execute(
        "INSERT INTO drops (reason, lane, count, first_seq, last_seq, oldest_event_at, newest_event_at, first_at,"
        " last_at) VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?)",
        (reason, lane, seq, seq, happened_at, happened_at, now, now),
    )
    kind = "alarms" if lane == ALARMS else "records"
    transaction.after.append(lambda: log.warning("outbox.dropping", reason=reason, lane=kind, first_id=seq))
