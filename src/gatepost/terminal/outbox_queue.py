"""What happens to events inside an outbox: accepted, claimed, settled, dropped, revived.

Every method with a ``transaction`` runs in the writer's thread and changes rows and ledger together. What is in
memory (who is in flight, which results could not be written) changes only after the commit, or when it is known
that there will be none.

::

             accept                claim                      settle(Done)
    (new) ───────────▶ pending ───────────▶ pending, in flight ───────────▶ delivered (history) ──▶ (forgotten)
                        │  ▲                  │          │
               make room│  └──────────────────┘          │ settle(DeadLetter)
                        ▼     settle(RetryAt)            ▼
                     dropped ◀──── discard ──────────── dead ── retry ──▶ pending

*In flight* is not written: after a crash every event that was in flight is simply pending again.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence

import structlog

from gatepost.errors import OutboxFull
from gatepost.retry import Done, RetryAt, Step
from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox_drops import record_drop
from gatepost.terminal.outbox_schema import PARKED
from gatepost.terminal.outbox_values import ALARMS, RECORDS, Claimed, NewEvent
from gatepost.terminal.outbox_writer import Transaction

__all__ = ["Queue"]

log = structlog.get_logger(__name__)

PENDING, DELIVERED, DEAD = 0, 1, 2

_NEVER = PARKED - 1

MAX_DEAD = 10_000
"""Dead letters that are kept; beyond, the oldest are dropped, and counted."""

DAY_MS = 86_400_000

_CANDIDATE = "SELECT seq, attempts, refusals, attempted_at FROM entry WHERE state = 0 AND lane = ?"

_Row = tuple[int, int, int, int | None]

Claim = tuple[list[Claimed], float | None]
"""What was claimed, and from when on there is more."""


class Queue:
    """The rules of one outbox, and the little that has to be kept in memory."""

    def __init__(self, settings: TerminalSettings, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._clock = float("inf")
        """The latest moment that was claimed at; infinity makes the first claim look for a clock that was set back."""
        self.in_flight: set[int] = set()
        self.unsaved: dict[int, Step] = {}
        """Results that the disk did not take. They count as settled, and are written when it takes them."""

    # --- accepting ------------------------------------------------------------------------------------------

    def accept(self, transaction: Transaction, event: NewEvent) -> int:
        """Store an event, making room for it first; answer its number."""
        now = self._ms()
        self._make_room(transaction, event, now)
        ledger = transaction.ledger
        ledger.accepted += 1
        seq = ledger.accepted
        due = 0
        if event.trace is not None and self._trace_head(transaction.db, event.trace) is not None:
            due = PARKED
        transaction.db.execute(
            "INSERT INTO entry (seq, state, lane, due, accepted_at, happened_at, bytes, trace, user_id, job_number,"
            " ic_number) VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
            ),
        )
        transaction.db.execute(
            "INSERT INTO body (seq, head, tail, image) VALUES (?, ?, ?, ?)",
            (seq, event.head, event.tail, event.image),
        )
        _count(transaction, event.lane, 1, event.size)
        return seq

    def _make_room(self, transaction: Transaction, event: NewEvent, now: int) -> None:
        """Drop what the limits ask for; raise before anything is dropped if that would not be enough."""
        ledger, limits = transaction.ledger, self._settings
        refuse = limits.overflow == "refuse-newest"
        too_many = ledger.pending >= limits.capacity
        if too_many and refuse:
            self._refuse(transaction, f"the outbox is full: {ledger.pending} events wait for delivery")
        if too_many and event.lane == RECORDS and not ledger.records:
            self._refuse(transaction, "the outbox is full of alarms, which do not make room for records")
        too_large = 0
        if limits.capacity_bytes is not None:
            pending = ledger.record_bytes + ledger.alarm_bytes
            held = pending + ledger.dead_bytes + ledger.history_bytes
            # A budget that was lowered below what is stored drops nothing by itself: each event makes room for one.
            too_large = min(held + event.size - limits.capacity_bytes, event.size)
            free = ledger.history_bytes
            if not refuse:
                free += ledger.dead_bytes + ledger.record_bytes
                free += ledger.alarm_bytes if event.lane == ALARMS else 0
            if event.size > limits.capacity_bytes or too_large > free:
                self._refuse(
                    transaction,
                    f"the outbox may hold {limits.capacity_bytes} bytes, and this event of {event.size} does not fit",
                )
        while too_large > 0 and ledger.history:
            too_large -= self._forget_oldest(transaction)
        while too_large > 0 and ledger.dead:
            too_large -= self._drop_dead(transaction, "capacity_bytes", now)
        while too_large > 0:
            too_large -= self._drop_pending(transaction, "capacity_bytes", now)
        if too_many and ledger.pending >= limits.capacity:
            self._drop_pending(transaction, "capacity", now)

    def _refuse(self, transaction: Transaction, why: str) -> None:
        transaction.ledger.refused_full += 1
        raise OutboxFull(f"{why}; nothing was stored: raise the limit, or bring the receiver back")

    def _drop_pending(self, transaction: Transaction, reason: str, now: int) -> int:
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
                    (lane, len(self.in_flight) + 1),
                )
            ),
            key=lambda seq: (seq in self.in_flight, seq),
        )
        size = self._remove(transaction, seq, reason, now)
        _count(transaction, lane, -1, -size)
        return size

    def _drop_dead(self, transaction: Transaction, reason: str, now: int) -> int:
        (seq,) = transaction.db.execute("SELECT min(seq) FROM entry WHERE state = 2").fetchone()
        size = self._remove(transaction, seq, reason, now)
        transaction.ledger.dead -= 1
        transaction.ledger.dead_bytes -= size
        return size

    def _remove(self, transaction: Transaction, seq: int, reason: str, now: int) -> int:
        lane, size, trace, happened_at = transaction.db.execute(
            "SELECT lane, bytes, trace, happened_at FROM entry WHERE seq = ?", (seq,)
        ).fetchone()
        _delete(transaction.db, seq)
        transaction.ledger.dropped += 1
        record_drop(transaction, seq, lane=lane, reason=reason, happened_at=happened_at, now=now)
        if trace is not None:
            self._unpark(transaction.db, trace)
        return int(size)

    # --- claiming -------------------------------------------------------------------------------------------

    def claim(self, transaction: Transaction, limit: int, now: float) -> Claim:
        """Choose what to push next, and write the attempts before they are made."""
        if now < self._clock:
            self._clock_was_set_back(transaction.db, now)
        self._clock = now
        chosen = self._choose(transaction.db, limit, now)
        transaction.db.executemany(
            "UPDATE entry SET attempts = attempts + 1, attempted_at = ? WHERE seq = ?",
            [(int(now * 1000), seq) for seq in chosen],
        )
        claimed = self._load(transaction.db, chosen)
        transaction.after.append(lambda: self.in_flight.update(chosen))
        return claimed, self._due_after(transaction.db, chosen, limit)

    def claim_unsaved(self, db: sqlite3.Connection, limit: int, now: float) -> Claim:
        """The same on a disk that takes nothing: what is stored keeps draining, only the attempts are not counted."""
        for seq, step in list(self.unsaved.items()):
            if isinstance(step, RetryAt) and step.at <= now:
                del self.unsaved[seq]
        chosen = self._choose(db, limit, now)
        claimed = self._load(db, chosen)
        self.in_flight.update(chosen)
        return claimed, self._due_after(db, chosen, limit)

    def _choose(self, db: sqlite3.Connection, limit: int, now: float) -> dict[int, _Row]:
        chosen: dict[int, _Row] = {}
        busy = self.in_flight | self.unsaved.keys()
        for lane in (ALARMS, RECORDS):
            rows: list[_Row] = []
            for bounds, order, values in (
                ("due = 0", "seq", ()),
                ("due BETWEEN 1 AND ?", "due", (int(now * 1000),)),
            ):
                rows += db.execute(
                    f"{_CANDIDATE} AND {bounds} ORDER BY {order} LIMIT ?",
                    (lane, *values, limit + len(busy)),
                )
            rows = sorted(row for row in rows if row[0] not in busy)
            chosen.update((row[0], row) for row in rows[: limit - len(chosen)])
        return chosen

    def _load(self, db: sqlite3.Connection, chosen: dict[int, _Row]) -> list[Claimed]:
        marks = ", ".join("?" * len(chosen))
        rows = db.execute(
            f"SELECT seq, lane, head, image, tail FROM entry JOIN body USING (seq) WHERE seq IN ({marks})",
            list(chosen),
        )
        claimed = []
        for seq, lane, head, image, tail in rows:
            _, attempts, refusals, at = chosen[seq]
            last = None if at is None else at / 1000
            claimed.append(Claimed(seq, lane, head, image, tail, attempts + 1, refusals, last))
        return sorted(claimed, key=lambda event: (event.lane, event.id))

    def _clock_was_set_back(self, db: sqlite3.Connection, now: float) -> None:
        """Let nothing wait for a moment that was reckoned from a clock which turned out to be fast.

        An attempt that lies in the future tells which events these are.
        """
        db.execute(
            "UPDATE entry SET due = 1 WHERE state = 0 AND lane IN (0, 1) AND due BETWEEN 2 AND ? AND attempted_at > ?",
            (_NEVER, int(now * 1000)),
        )

    def _due_after(self, db: sqlite3.Connection, chosen: dict[int, _Row], limit: int) -> float | None:
        """From when on, in Unix seconds, another claim finds something; ``None``: only what is yet to come."""
        if len(chosen) == limit:
            return 0.0
        busy = self.in_flight | self.unsaved.keys() | chosen.keys()
        soonest = [int(step.at * 1000) for step in self.unsaved.values() if isinstance(step, RetryAt)]
        for lane in (ALARMS, RECORDS):
            for due, seq in db.execute(
                "SELECT due, seq FROM entry WHERE state = 0 AND lane = ? AND due <= ? ORDER BY due LIMIT ?",
                (lane, _NEVER, len(busy) + 1),
            ):
                if seq not in busy:
                    soonest.append(due)
                    break
        return min(soonest) / 1000 if soonest else None

    # --- settling -------------------------------------------------------------------------------------------

    def settle(self, transaction: Transaction, results: Sequence[tuple[int, Step]]) -> None:
        """Write what became of attempts. An event that was dropped meanwhile stays dropped."""
        now = self._ms()
        for seq, step in results:
            self._settle(transaction, seq, step, now)
        while transaction.ledger.dead > MAX_DEAD:
            self._drop_dead(transaction, "dead-letters", now)
        self._trim_history(transaction, now, len(results) + 64)
        transaction.after.append(lambda: self.in_flight.difference_update([seq for seq, _ in results]))

    def settle_unsaved(self, results: Iterable[tuple[int, Step]]) -> None:
        """Remember what could not be written: it must not be pushed again, and will be written later."""
        for seq, step in results:
            self.unsaved[seq] = step
            self.in_flight.discard(seq)

    def write_unsaved(self, transaction: Transaction) -> None:
        """Write what could not be written before."""
        if self.unsaved:
            self.settle(transaction, list(self.unsaved.items()))
            transaction.after.append(self.unsaved.clear)

    def _settle(self, transaction: Transaction, seq: int, step: Step, now: int) -> None:
        db, ledger = transaction.db, transaction.ledger
        row = db.execute(
            "SELECT lane, bytes, trace FROM entry WHERE seq = ? AND state = 0", (seq,)
        ).fetchone()
        if row is None:
            return
        lane, size, trace = row
        if isinstance(step, RetryAt):
            db.execute(
                "UPDATE entry SET due = ?, refusals = refusals + ?, reason = ? WHERE seq = ?",
                (max(1, min(int(step.at * 1000), _NEVER)), step.refused, step.reason, seq),
            )
            ledger.last_error, ledger.last_error_at = step.reason, now
            return
        _count(transaction, lane, -1, -size)
        if isinstance(step, Done):
            ledger.delivered += 1
            ledger.last_success_at = now
            if lane == RECORDS and self._settings.history_events:
                ledger.history += 1
                ledger.history_bytes += size
                db.execute("UPDATE entry SET state = 1, due = ?, reason = '' WHERE seq = ?", (now, seq))
            else:
                _delete(db, seq)
        else:
            ledger.dead += 1
            ledger.dead_bytes += size
            ledger.last_error, ledger.last_error_at = step.reason, now
            db.execute(
                "UPDATE entry SET state = 2, due = ?, refusals = refusals + 1, reason = ? WHERE seq = ?",
                (now, step.reason, seq),
            )
        if trace is not None:
            self._unpark(db, trace)

    # --- dead letters ---------------------------------------------------------------------------------------

    def retry_dead(self, transaction: Transaction, ids: Sequence[int] | None, limit: int) -> list[int]:
        """Make dead letters pending again, as if they had never been refused, as far as there is room."""
        room = max(0, min(limit, self._settings.capacity - transaction.ledger.pending))
        revived = self._dead(transaction.db, ids, room)
        for seq, lane, size, trace in revived:
            transaction.ledger.dead -= 1
            transaction.ledger.dead_bytes -= size
            _count(transaction, lane, 1, size)
            parked = trace is not None and self._trace_head(transaction.db, trace) is not None
            transaction.db.execute(
                "UPDATE entry SET state = 0, due = ?, refusals = 0 WHERE seq = ?",
                (PARKED if parked else 0, seq),
            )
        return [row[0] for row in revived]

    def discard_dead(self, transaction: Transaction, ids: Sequence[int] | None, limit: int) -> list[int]:
        """Give dead letters up; they count as dropped."""
        now = self._ms()
        given_up = self._dead(transaction.db, ids, limit)
        for seq, _lane, size, _trace in given_up:
            self._remove(transaction, seq, "discarded", now)
            transaction.ledger.dead -= 1
            transaction.ledger.dead_bytes -= size
        return [row[0] for row in given_up]

    def _dead(
        self, db: sqlite3.Connection, ids: Sequence[int] | None, limit: int
    ) -> list[tuple[int, int, int, str | None]]:
        dead = "SELECT seq, lane, bytes, trace FROM entry WHERE state = 2"
        if ids is None:
            return db.execute(f"{dead} ORDER BY seq LIMIT ?", (limit,)).fetchall()
        found = (db.execute(f"{dead} AND seq = ?", (seq,)).fetchone() for seq in dict.fromkeys(ids))
        return [row for row in found if row is not None][:limit]

    # --- history --------------------------------------------------------------------------------------------

    def _trim_history(self, transaction: Transaction, now: int, at_most: int) -> None:
        """Forget delivered records beyond the limits, a bounded number each time."""
        surplus = min(transaction.ledger.history - self._settings.history_events, at_most)
        for _ in range(surplus):
            self._forget_oldest(transaction)
        if transaction.ledger.history:
            old = transaction.db.execute(
                "SELECT seq, bytes FROM entry WHERE state = 1 AND lane = 1 AND due < ? ORDER BY due LIMIT ?",
                (now - int(self._settings.history_days * DAY_MS), at_most),
            ).fetchall()
            for seq, size in old:
                self._forget(transaction, seq, size)

    def _forget_oldest(self, transaction: Transaction) -> int:
        seq, size = transaction.db.execute(
            "SELECT seq, bytes FROM entry WHERE state = 1 AND lane = 1 ORDER BY due LIMIT 1"
        ).fetchone()
        return self._forget(transaction, seq, size)

    def _forget(self, transaction: Transaction, seq: int, size: int) -> int:
        _delete(transaction.db, seq)
        transaction.ledger.history -= 1
        transaction.ledger.history_bytes -= size
        return size

    # --- alarms of one trace --------------------------------------------------------------------------------

    def _trace_head(self, db: sqlite3.Connection, trace: str) -> int | None:
        (seq,) = db.execute("SELECT min(seq) FROM entry WHERE trace = ? AND state = 0", (trace,)).fetchone()
        return None if seq is None else int(seq)

    def _unpark(self, db: sqlite3.Connection, trace: str) -> None:
        """The oldest alarm of a trace may go; the others wait for it, so that they arrive in order."""
        db.execute(
            "UPDATE entry SET due = 0 WHERE seq = ? AND due = ?", (self._trace_head(db, trace), PARKED)
        )

    def _ms(self) -> int:
        return int(self._now() * 1000)


def _count(transaction: Transaction, lane: int, events: int, size: int) -> None:
    if lane == ALARMS:
        transaction.ledger.alarms += events
        transaction.ledger.alarm_bytes += size
    else:
        transaction.ledger.records += events
        transaction.ledger.record_bytes += size


def _delete(db: sqlite3.Connection, seq: int) -> None:
    db.execute("DELETE FROM entry WHERE seq = ?", (seq,))
    db.execute("DELETE FROM body WHERE seq = ?", (seq,))
