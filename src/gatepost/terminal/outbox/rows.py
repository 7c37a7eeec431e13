"""The rows of an outbox and its ledger, changed together: the steps that the rules are made of.

Every function here changes rows and ledger so that the sum holds, within the transaction it is given. An event that
is given up is never silent, and the list of what was given up never endless: drops come in bursts (a receiver is
away for a weekend and ten thousand records make room, one by one), and a burst is one row (which events, how many,
why, when) and one line in the log.
"""

import sqlite3

import structlog

from gatepost.terminal.outbox.schema import PARKED
from gatepost.terminal.outbox.values import ALARMS
from gatepost.terminal.outbox.writer import Transaction

__all__ = [
    "count",
    "delete",
    "drop",
    "drop_dead",
    "forget",
    "forget_oldest",
    "forget_refusals",
    "note_refusal",
    "trace_head",
    "unpark",
]

log = structlog.get_logger(__name__)

BURST_MS = 60_000
"""A minute without a drop ends a burst."""

MAX_BURSTS = 1_000
"""Rows that are kept; from then on, drops are counted in the newest row of their kind."""


def count(transaction: Transaction, lane: int, events: int, size: int) -> None:
    """Count events, and bytes of theirs, into the pending ones of a lane, or out of them."""
    if lane == ALARMS:
        transaction.ledger.alarms += events
        transaction.ledger.alarm_bytes += size
    else:
        transaction.ledger.records += events
        transaction.ledger.record_bytes += size


def delete(db: sqlite3.Connection, seq: int) -> None:
    db.execute("DELETE FROM entry WHERE seq = ?", (seq,))
    db.execute("DELETE FROM body WHERE seq = ?", (seq,))


# --- given up -----------------------------------------------------------------------------------------------


def drop(transaction: Transaction, seq: int, reason: str, now: int) -> int:
    """Give an event up; answer its bytes. To count it out of where it was is the caller's."""
    lane, size, trace, happened_at, refusal = transaction.db.execute(
        "SELECT lane, bytes, trace, happened_at, refusal FROM entry WHERE seq = ?", (seq,)
    ).fetchone()
    note_refusal(transaction, seq, refusal, None)
    delete(transaction.db, seq)
    transaction.ledger.dropped += 1
    _record(transaction, seq, lane=lane, reason=reason, happened_at=happened_at, now=now)
    if trace is not None:
        unpark(transaction.db, trace)
    return int(size)


def drop_dead(transaction: Transaction, seq: int, reason: str, now: int) -> int:
    """Give a dead letter up; answer its bytes."""
    size = drop(transaction, seq, reason, now)
    transaction.ledger.dead -= 1
    transaction.ledger.dead_bytes -= size
    return size


def _record(
    transaction: Transaction, seq: int, *, lane: int, reason: str, happened_at: int | None, now: int
) -> None:
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


# --- remembered ---------------------------------------------------------------------------------------------


def forget(transaction: Transaction, seq: int, size: int) -> int:
    """Delete a delivered record from the history; answer its bytes."""
    delete(transaction.db, seq)
    transaction.ledger.history -= 1
    transaction.ledger.history_bytes -= size
    return size


def forget_oldest(transaction: Transaction) -> int:
    seq, size = transaction.db.execute(
        "SELECT seq, bytes FROM entry WHERE state = 1 AND lane = 1 ORDER BY due LIMIT 1"
    ).fetchone()
    return forget(transaction, seq, size)


# --- refused --------------------------------------------------------------------------------------------------


def note_refusal(transaction: Transaction, seq: int, before: str | None, kind: str | None) -> None:
    """Note the kind of an event's last refusal; ``None`` once it waits no longer.

    A kind begins with the first waiting event that was refused so, and ends with the last. Each is one line in the log.
    """
    if before == kind:
        return
    db = transaction.db
    begins = kind is not None and not _waits(db, kind)
    db.execute("UPDATE entry SET refusal = ? WHERE seq = ?", (kind, seq))
    if begins:
        transaction.after.append(lambda: log.warning("outbox.refused", reason=kind, first_id=seq))
    if before is not None and not _waits(db, before):
        _ended(transaction, before)


def forget_refusals(transaction: Transaction) -> None:
    """Forget every refusal of what waits: what one receiver said says nothing about the next."""
    db = transaction.db
    for (kind,) in db.execute("SELECT DISTINCT refusal FROM entry WHERE refusal IS NOT NULL").fetchall():
        _ended(transaction, kind)
    db.execute(
        "UPDATE entry SET refusals = 0, delivered_before = NULL, refusal = NULL WHERE state = 0 AND refusals > 0"
    )


def _ended(transaction: Transaction, kind: str) -> None:
    transaction.after.append(lambda: log.info("outbox.refusals_ended", reason=kind))


def _waits(db: sqlite3.Connection, kind: str) -> bool:
    return db.execute("SELECT 1 FROM entry WHERE refusal = ? LIMIT 1", (kind,)).fetchone() is not None


# --- alarms of one trace ------------------------------------------------------------------------------------


def trace_head(db: sqlite3.Connection, trace: str) -> int | None:
    """The oldest pending alarm of a trace: the only one that may be pushed."""
    (seq,) = db.execute("SELECT min(seq) FROM entry WHERE trace = ? AND state = 0", (trace,)).fetchone()
    return None if seq is None else int(seq)


def unpark(db: sqlite3.Connection, trace: str) -> None:
    """Let the oldest alarm of a trace go; the others wait for it, so that they arrive in order."""
    db.execute("UPDATE entry SET due = 0 WHERE seq = ? AND due = ?", (trace_head(db, trace), PARKED))
