"""Which numbers of a sequence are settled, which are tried next, and which are given up. Pure: no I/O, no clock.

What is sent on gets a number when it comes in, from 1. From then on it is in one place::

             add              claim                    done
    (new) ───────▶ waiting ──────────▶ in flight ─────────────▶ settled
                    │  ▲ ▲                │   │                     ▲
                    │  │ └─── retry ──────┘   │ bury                │ drop
                    │  └──────── take_up ── dead ───────────────────┤
                    └───────────────── drop ────────────────────────┘

Rules:

* Settled numbers are spans. The first span is the *front*: everything up to its end is settled. The others are islands
  behind it. So what is kept does not grow with what was settled, but for the gaps that wait.
* ``last = done + waiting + dead + dropped + skipped``: what is done is what is left, so that the sum always holds.
  A number is skipped that nothing came in under.
* Lanes: a number of lane 0 goes before all of lane 1, and so on. In a lane the lowest number that is due goes first;
  one that was refused so often that it only waits for a verdict goes behind the others.
* Numbers with the same key leave one after the other, in the order of their numbers; others pass them.
* Times are in Unix seconds. Who waits for a moment that was reckoned from a clock which has been set back since is due
  at once: its last attempt lies in the future.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gatepost.cursor.queue import Queue
from gatepost.cursor.spans import Spans
from gatepost.cursor.tried import Tried

__all__ = ["Cursor"]


class Cursor:
    """The state of one consumer of a sequence."""

    def __init__(self, *, lanes: int = 2, max_refusals: int = 10) -> None:
        """``max_refusals``: after so many a number waits for a verdict, and goes behind the others."""
        self.last = 0
        """The highest number that came in."""
        self.dropped = 0
        self.skipped = 0
        self.settled = Spans()
        self._queue = Queue(lanes, max_refusals)
        self.waiting = self._queue.waiting
        """The lane of each number that waits."""
        self.tried = self._queue.tried
        """Of those that wait, the ones that were tried."""
        self.dead: dict[int, Tried] = {}
        self.in_flight = self._queue.in_flight
        """Not part of what is kept: after a crash they wait."""
        self.kinds: dict[str, int] = {}
        """How many waiting numbers were last refused so."""
        self._clock = float("inf")
        """The latest moment that was claimed at; infinity: a clock that was set back is looked for."""

    # --- what it knows ----------------------------------------------------------------------------------------

    @property
    def done(self) -> int:
        """Return how many were settled without being dropped."""
        return self.taken - len(self.waiting) - len(self.dead) - self.dropped

    @property
    def taken(self) -> int:
        """Return how many came in."""
        return self.last - self.skipped

    def count(self, lane: int) -> int:
        """Return how many wait in a lane."""
        return self._queue.count(lane)

    def first_waiting(self) -> int | None:
        """Return the lowest number that waits."""
        return self._queue.first()

    def oldest(self, lane: int) -> int | None:
        """Return the lowest waiting number of a lane, in flight only where there is no other."""
        return self._queue.oldest(lane)

    def next_due(self) -> float | None:
        """Return from when on another claim finds something; ``None``: only what is yet to come. 0: now."""
        return self._queue.next_due(self._clock)

    # --- coming in --------------------------------------------------------------------------------------------

    def add(self, number: int, lane: int, key: str | None = None) -> None:
        """Take in a number that waits from now on; ``key``: numbers with the same one keep their order."""
        self.last = max(self.last, number)
        self._queue.add(number, lane, key)

    def add_all(self, numbers: Sequence[int], lane: int) -> None:
        """Take in many without a key at once, ascending, such as those of a file that is opened."""
        if numbers:
            self.last = max(self.last, numbers[-1])
            self._queue.add_all(numbers, lane)

    def take_back(self, number: int) -> None:
        """Take :meth:`add` of the highest number back."""
        self._leave(number)
        self.last = number - 1

    def settle_up_to(self, number: int) -> None:
        """Take everything up to a number as done: it was settled before anything is remembered."""
        if number > 0:
            self.settled.add(1, number)
            self.last = max(self.last, number)

    def lose(self, first: int, last: int) -> int:
        """Drop the numbers from ``first`` to ``last`` that are not settled; return how many these are."""
        lost = 0
        for number in range(first, last + 1):
            if number not in self.settled:
                self.drop(number)
                lost += 1
        return lost

    def skip(self, first: int, last: int) -> None:
        """Pass over the numbers from ``first`` to ``last``: nothing came in under them. None of them is known."""
        self.settled.add(first, last)
        self.skipped += last - first + 1

    # --- going out --------------------------------------------------------------------------------------------

    def claim(self, limit: int, now: float) -> list[int]:
        """Take up to ``limit`` numbers in flight, lanes in their order. Their attempts are counted by the caller."""
        self.look_at_clock(now)
        return self._queue.claim(limit, now)

    def probe(self) -> int | None:
        """Take one number in flight, due or not: the one whose last attempt lies farthest back; ``None``: none waits.

        Where one attempt at a time is made, none is made for ever with the same number while others wait.
        """
        found = min(self._queue.may_go(), key=self._last_attempt, default=None)
        if found is not None:
            self.in_flight.add(found)
        return found

    def _last_attempt(self, number: int) -> tuple[float, int, int]:
        tried = self.tried.get(number)
        at = None if tried is None else tried.attempted_at
        return (float("-inf") if at is None else at), self.waiting[number], number

    def count_attempt(self, number: int, at: float) -> None:
        """Count an attempt; do nothing for a number that does not wait."""
        if number in self.waiting:
            tried = self.tried.setdefault(number, Tried())
            tried.attempts += 1
            tried.attempted_at = at

    def look_at_clock(self, now: float) -> bool:
        """Let nothing wait for a moment that was reckoned from a fast clock; return whether the clock was set back."""
        was_set_back = now < self._clock
        self._clock = now
        if was_set_back:
            self.clock_was_set_back(now)
        return was_set_back

    def clock_was_set_back(self, now: float) -> None:
        """Let nothing wait whose last attempt lies in the future."""
        for tried in self.tried.values():
            if tried.attempted_at is not None and tried.attempted_at > now:
                tried.due = 0.0
        if self.tried:
            self._queue.sort()

    def hasten(self) -> None:
        """Let nothing wait for its moment any longer."""
        for tried in self.tried.values():
            tried.due = 0.0
        if self.tried:  # what was never tried waits for no moment
            self._queue.sort()

    def release(self, numbers: Iterable[int] | None = None) -> None:
        """Give numbers back that are in flight; ``None``: all. Their attempts stay counted."""
        for number in list(self.in_flight if numbers is None else numbers):
            if number in self.in_flight:
                self._queue.put_back(number)

    def done_with(self, number: int) -> None:
        """Settle a number that waits."""
        self._leave(number)
        self.settled.add(number)

    def retry(
        self, number: int, due: float, *, reason: str, kind: str | None = None, mark: int | None = None
    ) -> None:
        """Let a number wait until ``due``. ``kind``: it was refused so, and ``mark`` is noted at the first refusal."""
        tried = self.tried.setdefault(number, Tried())
        tried.due, tried.reason = due, reason
        if kind is not None:
            self._note_kind(tried, kind)
            tried.refusals += 1
            tried.mark = mark if tried.mark is None else tried.mark
        self._queue.put_back(number)

    def let_pass(self, number: int) -> bool:
        """Let the next number of the same key go, at once and before those up to ``number``; False if there is none."""
        return self._queue.let_pass(number)

    def in_turn(self, key: str) -> None:
        """Let the lowest number of a key go next again, unless another one is under way."""
        self._queue.in_turn(key)

    def head(self, key: str) -> int | None:
        """Return which number of a key goes next, or is under way."""
        return self._queue.head(key)

    def bury(self, number: int, *, reason: str, at: float) -> None:
        """Give a number up for a person to decide, as refused once more."""
        tried = self._leave(number)
        tried.refusals += 1
        tried.reason, tried.dead_since = reason, at
        self.dead[number] = tried

    def take_up(self, number: int, lane: int, key: str | None = None) -> None:
        """Let a dead number wait again, as if it had never been refused. Its attempts stay counted."""
        tried = self.dead.pop(number)
        self.tried[number] = Tried(attempts=tried.attempts, attempted_at=tried.attempted_at)
        self.add(number, lane, key)

    def drop(self, number: int) -> Tried | None:
        """Give a number up for good; return what :meth:`restore` needs."""
        tried = self.dead.pop(number, None)
        if tried is None and number in self.waiting:
            tried = self._leave(number)
        elif tried is None and (gone := self.tried.pop(number, None)) is not None:
            self._note_kind(gone, None)
        self.settled.add(number)
        self.last = max(self.last, number)
        self.dropped += 1
        return tried

    def restore(
        self, number: int, tried: Tried | None, lane: int | None, key: str | None, *, in_flight: bool
    ) -> None:
        """Take :meth:`drop` back; ``lane`` is ``None`` for one that was dead. ``in_flight``: it was."""
        self.settled.remove(number)
        self.dropped -= 1
        if lane is None:
            self.dead[number] = tried or Tried()
            return
        if tried is not None and tried.attempts:
            kind, tried.kind = tried.kind, None
            self.tried[number] = tried
            if kind is not None:
                self._note_kind(tried, kind)
        self.last = max(self.last, number)
        self._queue.add_before(number, lane, key)
        if in_flight:
            self.in_flight.add(number)

    def forget_refusals(self) -> None:
        """Forget every refusal of what waits."""
        for tried in self.tried.values():
            tried.refusals, tried.mark, tried.kind = 0, None, None
        self.kinds.clear()
        if self.tried:
            self._queue.sort()

    # --- kept -------------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Return what has to be kept, as plain values. What waits untried is not among it: it is what is left."""
        return {
            "last": self.last,
            "dropped": self.dropped,
            "skipped": self.skipped,
            "settled": [list(span) for span in self.settled],
            "tried": [(number, *msgspec.structs.astuple(tried)) for number, tried in self.tried.items()],
            "dead": [(number, *msgspec.structs.astuple(tried)) for number, tried in self.dead.items()],
        }

    def load(self, kept: dict[str, Any]) -> None:
        """Take over what :meth:`dump` returned. What waits has to be added after it."""
        self.last, self.dropped, self.skipped = kept["last"], kept["dropped"], kept["skipped"]
        self.settled = Spans(kept["settled"])
        self.tried.clear()
        self.tried.update((number, Tried(*fields)) for number, *fields in kept["tried"])
        self.dead = {number: Tried(*fields) for number, *fields in kept["dead"]}
        self.kinds = {}
        for tried in self.tried.values():
            if tried.kind is not None:
                self.kinds[tried.kind] = self.kinds.get(tried.kind, 0) + 1

    # --- within -----------------------------------------------------------------------------------------------

    def _leave(self, number: int) -> Tried:
        tried = self.tried.pop(number, None) or Tried()
        if tried.kind is not None:
            kind = tried.kind
            self._note_kind(tried, None)
            tried.kind = kind
        self._queue.remove(number)
        return tried

    def _note_kind(self, tried: Tried, kind: str | None) -> None:
        if tried.kind is not None:
            self.kinds[tried.kind] -= 1
            if not self.kinds[tried.kind]:
                del self.kinds[tried.kind]
        if kind is not None:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
        tried.kind = kind
