"""What happens to the events that an outbox holds: claimed, settled, forgotten.

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

from gatepost.retry import Done, RetryAt, Step
from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.dead import keep_within_bound
from gatepost.terminal.outbox.rows import count, delete, forget, forget_oldest, note_refusal, unpark
from gatepost.terminal.outbox.schema import PARKED
from gatepost.terminal.outbox.values import ALARMS, RECORDS, Claimed
from gatepost.terminal.outbox.writer import Ledger, Transaction

__all__ = ["Queue"]

_NEVER = PARKED - 1

DAY_MS = 86_400_000

_CANDIDATE = (
    "SELECT seq, attempts, refusals, attempted_at, with_image, delivered_before"
    " FROM entry WHERE state = 0 AND lane = ?"
)

_Row = tuple[int, int, int, int | None, int, int | None]

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
        claimed = self._load(transaction.db, transaction.ledger, chosen)
        transaction.after.append(lambda: self.in_flight.update(chosen))
        return claimed, self._due_after(transaction.db, chosen, limit)

    def claim_unsaved(self, db: sqlite3.Connection, limit: int, now: float) -> Claim:
        """The same on a disk that takes nothing: what is stored keeps draining, only the attempts are not counted."""
        for seq, step in list(self.unsaved.items()):
            if isinstance(step, RetryAt) and step.at <= now:
                del self.unsaved[seq]
        chosen = self._choose(db, limit, now)
        claimed = self._load(db, Ledger.load(db), chosen)
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
            # The oldest first, but what was refused so often that it only waits for a verdict holds up nobody.
            rows = sorted(
                (row for row in rows if row[0] not in busy),
                key=lambda row: (row[2] >= self._settings.max_refusals, row[0]),
            )
            chosen.update((row[0], row) for row in rows[: limit - len(chosen)])
        return chosen

    def _load(self, db: sqlite3.Connection, ledger: Ledger, chosen: dict[int, _Row]) -> list[Claimed]:
        marks = ", ".join("?" * len(chosen))
        rows = db.execute(
            f"SELECT seq, lane, head, image, tail FROM entry JOIN body USING (seq) WHERE seq IN ({marks})",
            list(chosen),
        )
        claimed = []
        for seq, lane, head, image, tail in rows:
            _, attempts, refusals, at, with_image, before = chosen[seq]
            last = None if at is None else at / 1000
            since = 0 if before is None else ledger.delivered_of(lane, with_image=bool(with_image)) - before
            claimed.append(Claimed(seq, lane, head, image, tail, attempts + 1, refusals, since, last))
        return sorted(claimed, key=lambda event: (event.lane, event.id))

    def _clock_was_set_back(self, db: sqlite3.Connection, now: float) -> None:
        """Let nothing wait for a moment that was reckoned from a clock which turned out to be fast.

        An attempt that lies in the future tells which events these are.
        """
        db.execute(
            "UPDATE entry SET due = 1 WHERE state = 0 AND lane IN (0, 1) AND due BETWEEN 2 AND ? AND attempted_at > ?",
            (_NEVER, int(now * 1000)),
        )

    def hasten(self, db: sqlite3.Connection) -> None:
        """Let nothing wait for the end of a back-off any longer."""
        db.execute(
            "UPDATE entry SET due = 1 WHERE state = 0 AND lane IN (0, 1) AND due BETWEEN 2 AND ?", (_NEVER,)
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
        keep_within_bound(transaction, now)
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
            "SELECT lane, bytes, trace, with_image, delivered_before, refusal FROM entry WHERE seq = ? AND state = 0",
            (seq,),
        ).fetchone()
        if row is None:
            return
        lane, size, trace, with_image, before, refusal = row
        if isinstance(step, RetryAt):
            if step.refused:
                note_refusal(transaction, seq, refusal, step.kind)
                before = ledger.delivered_of(lane, with_image=bool(with_image)) if before is None else before
            db.execute(
                "UPDATE entry SET due = ?, refusals = refusals + ?, delivered_before = ?, reason = ? WHERE seq = ?",
                (max(1, min(int(step.at * 1000), _NEVER)), step.refused, before, step.reason, seq),
            )
            ledger.last_error, ledger.last_error_at = step.reason, now
            return
        count(transaction, lane, -1, -size)
        note_refusal(transaction, seq, refusal, None)
        if isinstance(step, Done):
            ledger.count_delivered(lane, with_image=bool(with_image))
            ledger.last_success_at = now
            if lane == RECORDS and self._settings.history_events:
                ledger.history += 1
                ledger.history_bytes += size
                db.execute("UPDATE entry SET state = 1, due = ?, reason = '' WHERE seq = ?", (now, seq))
            else:
                delete(db, seq)
        else:
            ledger.dead += 1
            ledger.dead_bytes += size
            ledger.last_error, ledger.last_error_at = step.reason, now
            db.execute(
                "UPDATE entry SET state = 2, due = ?, refusals = refusals + 1, reason = ? WHERE seq = ?",
                (now, step.reason, seq),
            )
        if trace is not None:
            unpark(db, trace)

    def _trim_history(self, transaction: Transaction, now: int, at_most: int) -> None:
        """Forget delivered records beyond the limits, a bounded number each time."""
        surplus = min(transaction.ledger.history - self._settings.history_events, at_most)
        for _ in range(surplus):
            forget_oldest(transaction)
        if transaction.ledger.history:
            old = transaction.db.execute(
                "SELECT seq, bytes FROM entry WHERE state = 1 AND lane = 1 AND due < ? ORDER BY due LIMIT ?",
                (now - int(self._settings.history_days * DAY_MS), at_most),
            ).fetchall()
            for seq, size in old:
                forget(transaction, seq, size)

    def _ms(self) -> int:
        return int(self._now() * 1000)
