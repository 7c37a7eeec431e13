"""The state of an outbox: waiting events, the history, dead letters, drops, the subscription. Pure.

Every change is an *operation*, a tuple of plain values. :meth:`State.do` applies it and adds it to those that are to be
written. A start calls :meth:`State.apply` alone, with the operations that it reads. So the state that is read is the
state that was written.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec.structs import astuple, replace

from gatepost.cursor import Cursor
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.segments.frames import Facts
from gatepost.terminal.outbox.state.drops import DAMAGED, with_drop
from gatepost.terminal.outbox.state.operations import (
    ACCEPTED,
    CLAIMED,
    CLOCK_SET_BACK,
    DEAD,
    DONE,
    DROPPED,
    FORGOTTEN,
    LOST,
    REFUSALS_FORGOTTEN,
    REFUSED_FULL,
    RETRY,
    SERIAL,
    SKIPPED,
    SUBSCRIBED,
    TAKEN_UP,
    VERSION,
    Op,
)
from gatepost.terminal.outbox.state.owner import Owner
from gatepost.terminal.outbox.state.snapshot import Snapshot
from gatepost.terminal.outbox.types import RECORDS, Dropped
from gatepost.wire import Subscription

__all__ = ["State"]

log = Log(__name__)


class State:
    """The state of each event. One thread at a time."""

    def __init__(
        self,
        *,
        facts: Callable[[int], Facts | None],
        trace: Callable[[int], str | None],
        max_refusals: int = 10,
        not_needed: Callable[[int], None] = lambda number: None,
        needed_again: Callable[[int], None] = lambda number: None,
        history_changed: Callable[[int, int], None] = lambda number, change: None,
    ) -> None:
        """``facts`` and ``trace`` look an event up; ``None``: it is not there.

        ``not_needed`` is called with each number whose bytes are no longer needed; ``needed_again``, when that is
        undone; ``history_changed``, when a number becomes history (1), or is no longer history (-1).
        """
        self.cursor = Cursor(lanes=2, max_refusals=max_refusals)
        self.history: OrderedDict[int, float] = OrderedDict()
        """The time of delivery of each kept record, in that order."""
        self.waiting_bytes = [0, 0]
        self.dead_bytes = [0, 0]
        """Bytes of dead letters, by lane."""
        self.history_bytes = 0
        self.delivered = [0, 0, 0, 0]
        """Delivered events by kind: the lane, plus 2 for those with an image."""
        self.refused_full = 0
        self.last_error: str | None = None
        self.last_error_at: float | None = None
        self.last_success_at: float | None = None
        self.drops: tuple[Dropped, ...] = ()
        self.subscription: Subscription | None = None
        self.receiver = ""
        """The last ``event_dest`` that was not empty."""
        self.serial: str | None = None
        self.ops: list[Op] = []
        """Operations that are not written yet."""
        self.told: list[Callable[[], object]] = []
        """Log lines that are due once the operations are written."""
        self._facts, self._trace = facts, trace
        self._not_needed, self._needed_again, self._history_changed = (
            not_needed,
            needed_again,
            history_changed,
        )

    def do(self, *op: Any) -> None:
        """Apply an operation, and add it to those to be written."""
        self.apply(op)
        self.ops.append(op)

    def apply(self, op: Op) -> None:
        """Apply an operation. It does nothing if its event has another state by now."""
        _APPLY[op[0]](self, *op[1:])

    # --- operations -------------------------------------------------------------------------------------------

    def _accepted(self, last: int) -> None:
        self.cursor.last = max(self.cursor.last, last)

    def _claimed(self, at: float, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.cursor.count_attempt(number, at)

    def _retry(
        self, number: int, due: float, reason: str, kind: str | None, mark: int | None, at: float
    ) -> None:
        if number not in self.cursor.waiting:
            return
        before = dict(self.cursor.kinds)
        self.cursor.retry(number, due, reason=reason, kind=kind, mark=mark)
        if kind is not None and kind not in before:
            self.told.append(lambda: log.warning("outbox.refused", reason=kind, first_id=number))
        self._tell_ended(before)
        self.last_error, self.last_error_at = reason, at

    def _done(self, number: int, at: float, lane: int, with_image: bool, is_kept: bool) -> None:
        self.last_success_at = at
        before = dict(self.cursor.kinds)
        if number in self.cursor.waiting:
            size = self._size(number)
            self.waiting_bytes[lane] -= size
            self.cursor.done_with(number)
            if is_kept:
                self.history[number] = at
                self.history_bytes += size
                self._history_changed(number, 1)
            else:
                self._not_needed(number)
        elif number not in self.cursor.settled:
            # It is no longer there, so it was delivered.
            self.cursor.dead.pop(number, None)
            self.cursor.settled.add(number)
            self.cursor.last = max(self.cursor.last, number)
        else:
            return
        self.delivered[lane] += 1
        self.delivered[lane + 2] += with_image
        self._tell_ended(before)

    def _dead(self, number: int, at: float, reason: str) -> None:
        if number not in self.cursor.waiting:
            return
        before = dict(self.cursor.kinds)
        lane, size = self.cursor.waiting[number], self._size(number)
        self.waiting_bytes[lane] -= size
        self.dead_bytes[lane] += size
        self.cursor.bury(number, reason=reason, at=at)
        self.last_error, self.last_error_at = reason, at
        self._tell_ended(before)

    def _forgotten(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            if self.history.pop(number, None) is not None:
                self.history_bytes -= self._size(number)
                self._history_changed(number, -1)
                self._not_needed(number)

    def _dropped(self, number: int, reason: str, lane: int, happened_at: int | None, at: float) -> None:
        if number in self.cursor.settled:
            return
        before = dict(self.cursor.kinds)
        size = self._size(number)
        if number in self.cursor.waiting:
            self.waiting_bytes[lane] -= size
        elif number in self.cursor.dead:
            self.dead_bytes[lane] -= size
        self.cursor.drop(number)
        self._not_needed(number)
        self._tell_ended(before)
        self._note_drop(number, number, 1, reason, lane, happened_at, at)

    def _lost(self, first: int, last: int, at: float) -> None:
        count = self.cursor.lose(first, last)
        if count:
            # Its lane is in the lost bytes. Most events are records.
            self._note_drop(first, last, count, DAMAGED, RECORDS, None, at)

    def _skipped(self, first: int, last: int) -> None:
        self.cursor.skip(first, last)

    def _taken_up(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            facts = self._facts(number)
            if number in self.cursor.dead and facts is not None:
                self.dead_bytes[facts.lane] -= facts.size
                self.waiting_bytes[facts.lane] += facts.size
                self.cursor.take_up(number, facts.lane, self._trace(number))

    def _subscribed(self, event_dest: str, enabled: bool, receiver: str) -> None:
        self.subscription = Subscription(event_dest, enabled)
        self.receiver = receiver
        self.cursor.hasten()

    def _refusals_forgotten(self) -> None:
        before = dict(self.cursor.kinds)
        self.cursor.forget_refusals()
        self._tell_ended(before)

    def _clock_set_back(self, now: float) -> None:
        self.cursor.clock_was_set_back(now)

    def _serial(self, serial: str) -> None:
        self.serial = serial

    def _refused_full(self, count: int) -> None:
        self.refused_full += count

    # --- events come in, and can be taken back ------------------------------------------------------------------

    def accept(self, number: int, facts: Facts, trace: str | None) -> None:
        """Add an event that waits from now on. The event itself is what is written."""
        self.cursor.add(number, facts.lane, trace)
        self.waiting_bytes[facts.lane] += facts.size

    def take_back(self, number: int, facts: Facts) -> None:
        """Undo :meth:`accept` of the last event."""
        self.cursor.take_back(number)
        self.waiting_bytes[facts.lane] -= facts.size

    def drop(self, number: int, reason: str, at: float) -> Callable[[], None]:
        """Drop an event that waits or is a dead letter; return how to undo it."""
        facts = self._facts(number) or Facts(RECORDS, 0, False, 0.0, None)
        lane = self.cursor.waiting.get(number)
        flies = number in self.cursor.in_flight
        tried = self.cursor.tried.get(number) if lane is not None else self.cursor.dead.get(number)
        kept = None if tried is None else replace(tried)
        trace, drops, ops, told = self._trace(number), self.drops, len(self.ops), len(self.told)
        self.do(DROPPED, number, reason, facts.lane, facts.happened_at, at)

        def take_back() -> None:
            bytes_ = self.dead_bytes if lane is None else self.waiting_bytes
            bytes_[facts.lane] += facts.size
            self.cursor.restore(number, kept, lane, trace, in_flight=flies)
            self._needed_again(number)
            self.drops = drops
            del self.ops[ops:], self.told[told:]

        return take_back

    def forget_oldest(self) -> tuple[int, Callable[[], None]]:
        """Forget the record that was delivered first; return its bytes, and how to undo it."""
        number, at = next(iter(self.history.items()))
        size, ops = self._size(number), len(self.ops)
        self.do(FORGOTTEN, (number,))

        def take_back() -> None:
            self.history[number] = at
            self.history.move_to_end(number, last=False)
            self.history_bytes += size
            self._history_changed(number, 1)
            self._needed_again(number)
            del self.ops[ops:]

        return size, take_back

    # --- owner ------------------------------------------------------------------------------------------

    @property
    def owner(self) -> Owner:
        """Return the owner of the events, and the address to push to."""
        if self.subscription is None:
            return Owner(self.serial)
        return Owner(self.serial, self.subscription.event_dest, self.subscription.enabled, self.receiver)

    def take_owner(self, owner: Owner) -> None:
        """Take over an owner from the second file, because this state is incomplete."""
        self.serial = owner.serial or self.serial
        if owner.event_dest is not None:
            self.subscription = Subscription(owner.event_dest, owner.enabled)
            self.receiver = owner.receiver

    # --- kept -------------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Return everything except the events themselves, as plain values."""
        return {
            "version": VERSION,
            "cursor": self.cursor.dump(),
            "history": list(self.history.items()),
            "delivered": self.delivered,
            "refused_full": self.refused_full,
            "last": (self.last_error, self.last_error_at, self.last_success_at),
            "drops": [astuple(each) for each in self.drops],
            "subscription": None
            if self.subscription is None
            else (self.subscription.event_dest, self.subscription.enabled),
            "receiver": self.receiver,
            "serial": self.serial,
        }

    def load(self, kept: dict[str, Any]) -> None:
        """Take over what :meth:`dump` returned."""
        self.cursor.load(kept["cursor"])
        self.history = OrderedDict((number, at) for number, at in kept["history"])
        self.delivered = list(kept["delivered"])
        self.refused_full = kept["refused_full"]
        self.last_error, self.last_error_at, self.last_success_at = kept["last"]
        self.drops = tuple(Dropped(*each) for each in kept["drops"])
        subscription = kept["subscription"]
        self.subscription = None if subscription is None else Subscription(*subscription)
        self.receiver = kept["receiver"]
        self.serial = kept["serial"]

    def copy(self) -> Snapshot:
        """Return a copy that another thread may read."""
        cursor = self.cursor
        return Snapshot(
            dict(cursor.waiting),
            {number: replace(tried) for number, tried in cursor.tried.items()},
            dict(cursor.dead),
            dict(self.history),
        )

    def recount(self, segments: Iterable[Iterable[tuple[int, int, int]]]) -> None:
        """Count the bytes of the present events: number, lane and size of each. Forget the log lines."""
        self.waiting_bytes, self.dead_bytes, self.history_bytes = [0, 0], [0, 0], 0
        there: set[int] = set()
        waiting, dead, history = self.cursor.waiting, self.cursor.dead, self.history
        for events in segments:
            for number, lane, size in events:
                if number in waiting:
                    self.waiting_bytes[lane] += size
                elif number in dead:
                    self.dead_bytes[lane] += size
                elif number in history:
                    self.history_bytes += size
                    there.add(number)
        for number in history.keys() - there:
            del history[number]
        self.told.clear()

    def count_needed(self, numbers: Sequence[int]) -> tuple[int, int]:
        """Return how many of these events are needed (they wait, are dead letters, or history), and are history."""
        waiting, dead, history = self.cursor.waiting, self.cursor.dead, self.history
        kept = sum(number in history for number in numbers)
        return kept + sum(number in waiting or number in dead for number in numbers), kept

    def is_needed(self, number: int) -> bool:
        """Return whether an event waits, is a dead letter, or history."""
        return number in self.cursor.waiting or number in self.cursor.dead or number in self.history

    def is_gone(self, number: int) -> None:
        """Take an event whose bytes were given back as settled, because the stored state does not say so."""
        if number in self.cursor.waiting:
            self.cursor.done_with(number)
        self.history.pop(number, None)

    # --- within -----------------------------------------------------------------------------------------------

    def _size(self, number: int) -> int:
        facts = self._facts(number)
        return 0 if facts is None else facts.size

    def _tell_ended(self, before: dict[str, int]) -> None:
        for kind in [kind for kind in before if kind not in self.cursor.kinds]:
            self.told.append(lambda kind=kind: log.info("outbox.refusals_ended", reason=kind))  # type: ignore[misc]

    def _note_drop(
        self, first: int, last: int, count: int, reason: str, lane: int, happened_at: int | None, at: float
    ) -> None:
        self.drops, has_begun = with_drop(
            self.drops, first, last, count, reason=reason, lane=lane, happened_at=happened_at, at=at
        )
        if has_begun:
            kind = self.drops[-1].lane
            self.told.append(lambda: log.warning("outbox.dropping", reason=reason, lane=kind, first_id=first))


_APPLY: dict[str, Callable[..., None]] = {
    ACCEPTED: State._accepted,
    CLAIMED: State._claimed,
    RETRY: State._retry,
    DONE: State._done,
    DEAD: State._dead,
    FORGOTTEN: State._forgotten,
    DROPPED: State._dropped,
    LOST: State._lost,
    TAKEN_UP: State._taken_up,
    SUBSCRIBED: State._subscribed,
    REFUSALS_FORGOTTEN: State._refusals_forgotten,
    CLOCK_SET_BACK: State._clock_set_back,
    SERIAL: State._serial,
    REFUSED_FULL: State._refused_full,
    SKIPPED: State._skipped,
}
