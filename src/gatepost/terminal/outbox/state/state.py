"""The state of an outbox: the cursor, the history, dead letters, drops, the subscription. Pure.

Nothing here touches the disk. Whatever changes is an *operation*, a tuple of plain values: :meth:`State.do` applies it
and puts it among those that are to be written; :meth:`State.apply` alone is what a start does with those that it reads.
So the state that is read is the state that was written.
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

        ``not_needed`` gets each number whose bytes are needed no longer; ``needed_again``, each for which that is taken
        back; ``history_changed``, each that becomes history (1), or is history no longer (-1).
        """
        self.cursor = Cursor(lanes=2, max_refusals=max_refusals)
        self.history: OrderedDict[int, float] = OrderedDict()
        """When each record that is kept was delivered, in that order."""
        self.waiting_bytes = [0, 0]
        self.dead_bytes = [0, 0]
        """By lane."""
        self.history_bytes = 0
        self.delivered = [0, 0, 0, 0]
        """Delivered events of each kind: lane, and 2 more for those with an image."""
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
        """Lines for the log, once what was done holds."""
        self._facts, self._trace = facts, trace
        self._not_needed, self._needed_again, self._history_changed = (
            not_needed,
            needed_again,
            history_changed,
        )

    def do(self, *op: Any) -> None:
        """Apply an operation, and have it written."""
        self.apply(op)
        self.ops.append(op)

    def apply(self, op: Op) -> None:
        """Apply an operation; one about an event that is elsewhere by now does nothing."""
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
            # It is not there any more, so it was delivered, also where a dead letter was taken up for it.
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
            # What it was is in the bytes that were lost; most events are records.
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
        """Take in an event that waits from now on. What is written of it is the event itself."""
        self.cursor.add(number, facts.lane, trace)
        self.waiting_bytes[facts.lane] += facts.size

    def take_back(self, number: int, facts: Facts) -> None:
        """Take :meth:`accept` of the last event back."""
        self.cursor.take_back(number)
        self.waiting_bytes[facts.lane] -= facts.size

    def drop(self, number: int, reason: str, at: float) -> Callable[[], None]:
        """Drop an event that waits or is a dead letter; return what takes it back."""
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
        """Forget the record that was delivered first; return its bytes, and what takes it back."""
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
        """Return whose events these are, and where they are pushed to."""
        if self.subscription is None:
            return Owner(self.serial)
        return Owner(self.serial, self.subscription.event_dest, self.subscription.enabled, self.receiver)

    def take_owner(self, owner: Owner) -> None:
        """Take over what was kept apart from this state, which says less than it should."""
        self.serial = owner.serial or self.serial
        if owner.event_dest is not None:
            self.subscription = Subscription(owner.event_dest, owner.enabled)
            self.receiver = owner.receiver

    # --- kept -------------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Return everything, as plain values, but for the events themselves."""
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
        """Return what another thread may read meanwhile."""
        cursor = self.cursor
        return Snapshot(
            dict(cursor.waiting),
            {number: replace(tried) for number, tried in cursor.tried.items()},
            dict(cursor.dead),
            dict(self.history),
        )

    def recount(self, segments: Iterable[Iterable[tuple[int, int, int]]]) -> None:
        """Count the bytes of the events that are there: number, lane and size of each. Forget the lines for the log."""
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
        """Take an event as settled whose bytes are gone because it was: what was read does not say so."""
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
