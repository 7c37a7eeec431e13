"""How an event comes into an outbox, and what has to leave for it.

Rules, at the cap (``overflow = "drop-oldest"``):

* The oldest record makes room. An alarm is given up only when nothing but alarms is left, and only for an alarm: a
  record that finds nothing but alarms is refused.
* For ``capacity_bytes``, history goes first, then dead letters that are records: they are worth less than what still
  waits. Dead letters that are alarms are alarms.
* A limit that was lowered below what is stored drops nothing by itself; from then on each event makes room for
  itself, so that a start with other settings never throws a backlog away.
* With ``refuse-newest`` only history makes room, and the caller is told.
"""

from collections.abc import Collection, Sequence

import msgspec

from gatepost.errors import OutboxFull
from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.rows import count, drop, drop_dead, forget_oldest, trace_head
from gatepost.terminal.outbox.schema import PARKED
from gatepost.terminal.outbox.values import ALARMS, RECORDS, NewEvent
from gatepost.terminal.outbox.writer import Transaction

__all__ = ["accept_all"]


def accept_all(
    transaction: Transaction,
    events: Sequence[NewEvent],
    *,
    settings: TerminalSettings,
    in_flight: Collection[int],
    now: int,
) -> list[int]:
    """Store events, all or none, making room for each first; return their numbers. ``now`` is in Unix milliseconds."""
    if len(events) == 1:
        return [_accept(transaction, events[0], settings, in_flight, now)]
    ledger, after = msgspec.structs.replace(transaction.ledger), len(transaction.after)
    transaction.db.execute("SAVEPOINT events")
    try:
        numbers = [_accept(transaction, event, settings, in_flight, now) for event in events]
    except OutboxFull:
        transaction.db.execute("ROLLBACK TO events")
        transaction.db.execute("RELEASE events")
        transaction.ledger = msgspec.structs.replace(ledger, refused_full=ledger.refused_full + len(events))
        del transaction.after[after:]
        raise
    transaction.db.execute("RELEASE events")
    return numbers


def _accept(
    transaction: Transaction,
    event: NewEvent,
    settings: TerminalSettings,
    in_flight: Collection[int],
    now: int,
) -> int:
    _make_room(transaction, event, settings, in_flight, now)
    ledger = transaction.ledger
    ledger.accepted += 1
    seq = ledger.accepted
    due = 0
    if event.trace is not None and trace_head(transaction.db, event.trace) is not None:
        due = PARKED
    transaction.db.execute(
        "INSERT INTO entry (seq, state, lane, due, accepted_at, happened_at, bytes, trace, user_id, job_number,"
        " ic_number, with_image) VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            seq,
            event.lane,
            due,
            now,
            event.happened_at,
            event.size,
            event.trace,
            event.user_id,
            event.job_number,
            event.ic_number,
            event.image is not None,
        ),
    )
    transaction.db.execute(
        "INSERT INTO body (seq, head, tail, image) VALUES (?, ?, ?, ?)",
        (seq, event.head, event.tail, event.image),
    )
    count(transaction, event.lane, 1, event.size)
    return seq


def _make_room(
    transaction: Transaction,
    event: NewEvent,
    settings: TerminalSettings,
    in_flight: Collection[int],
    now: int,
) -> None:
    """Drop what the limits ask for; raise before anything is dropped if that would not be enough."""
    ledger = transaction.ledger
    too_many = ledger.pending >= settings.capacity
    if too_many and settings.overflow == "refuse-newest":
        _refuse(transaction, f"the outbox is full: {ledger.pending} events wait for delivery")
    if too_many and event.lane == RECORDS and not ledger.records:
        _refuse(transaction, "the outbox is full of alarms, which do not make room for records")
    if settings.capacity_bytes is not None:
        _make_bytes(transaction, event, settings, in_flight, now)
    if too_many and ledger.pending >= settings.capacity:
        _drop_pending(transaction, "capacity", in_flight, now)


def _make_bytes(
    transaction: Transaction,
    event: NewEvent,
    settings: TerminalSettings,
    in_flight: Collection[int],
    now: int,
) -> None:
    ledger, budget = transaction.ledger, settings.capacity_bytes or 0
    held = ledger.record_bytes + ledger.alarm_bytes + ledger.dead_bytes + ledger.history_bytes
    # A budget that was lowered below what is stored drops nothing by itself: each event makes room for one.
    need = min(held + event.size - budget, event.size)
    if need <= 0:
        return
    lanes = () if settings.overflow == "refuse-newest" else (RECORDS, ALARMS)[: 2 - event.lane]
    free = ledger.history_bytes + sum(_bytes(transaction, lane) for lane in lanes)
    if need > free or event.size > budget:
        _refuse(
            transaction, f"the outbox may hold {budget} bytes, and this event of {event.size} does not fit"
        )
    while need > 0 and ledger.history:
        need -= forget_oldest(transaction)
    for lane in lanes:
        while need > 0 and (dead := _oldest_dead(transaction, lane)) is not None:
            need -= drop_dead(transaction, dead, "capacity_bytes", now)
        while need > 0 and (ledger.records if lane == RECORDS else ledger.alarms):
            need -= _drop_pending(transaction, "capacity_bytes", in_flight, now)


def _bytes(transaction: Transaction, lane: int) -> int:
    """Of the events of a lane that wait or are dead letters."""
    (dead,) = transaction.db.execute(
        "SELECT ifnull(sum(bytes), 0) FROM entry WHERE state = 2 AND lane = ?", (lane,)
    ).fetchone()
    ledger = transaction.ledger
    return int(dead) + (ledger.record_bytes if lane == RECORDS else ledger.alarm_bytes)


def _refuse(transaction: Transaction, why: str) -> None:
    transaction.ledger.refused_full += 1
    raise OutboxFull(f"{why}; nothing was stored: raise the limit, or bring the receiver back")


def _drop_pending(transaction: Transaction, reason: str, in_flight: Collection[int], now: int) -> int:
    """Drop the oldest record, or the oldest alarm if there is no record; answer the bytes that it frees.

    One that is in flight is dropped only if there is no other: it may be arriving just now.
    """
    lane = RECORDS if transaction.ledger.records else ALARMS
    seq = min(
        (
            row[0]
            for bounds in ("due = 0", "due > 0")
            for row in transaction.db.execute(
                f"SELECT seq FROM entry WHERE state = 0 AND lane = ? AND {bounds} ORDER BY seq LIMIT ?",
                (lane, len(in_flight) + 1),
            )
        ),
        key=lambda seq: (seq in in_flight, seq),
    )
    size = drop(transaction, seq, reason, now)
    count(transaction, lane, -1, -size)
    return size


def _oldest_dead(transaction: Transaction, lane: int) -> int | None:
    (seq,) = transaction.db.execute(
        "SELECT min(seq) FROM entry WHERE state = 2 AND lane = ?", (lane,)
    ).fetchone()
    return None if seq is None else int(seq)
