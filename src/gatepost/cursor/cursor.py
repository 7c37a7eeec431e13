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

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

import msgspec
from msgspec import Struct

__all__ = ["Cursor", "Spans", "Tried"]

_BEHIND = 1 << 62
"""Added to a number that waits for a verdict, where the next one is looked for."""

_SLACK = 1_000
"""Outdated entries that a heap may have before it is made again."""


class Spans:
    """A set of numbers as spans. Fast where there are few gaps."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, spans: Iterable[Sequence[int]] = ()) -> None:
        """``spans``: first and last number of each, ascending."""
        pairs = [(int(first), int(last)) for first, last in spans]
        self._starts = [first for first, _ in pairs]
        self._ends = [last for _, last in pairs]

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number <= self._ends[at]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __len__(self) -> int:
        """Return how many spans there are."""
        return len(self._starts)

    @property
    def front(self) -> int:
        """Return the number up to which all are in it, from 1; 0: the first is not."""
        return self._ends[0] if self._starts and self._starts[0] == 1 else 0

    def add(self, first: int, last: int | None = None) -> None:
        """Add a number, or all from ``first`` to ``last``."""
        last = first if last is None else last
        low = bisect_left(self._ends, first - 1)
        high = bisect_right(self._starts, last + 1)
        if low < high:
            first, last = min(first, self._starts[low]), max(last, self._ends[high - 1])
        self._starts[low:high] = [first]
        self._ends[low:high] = [last]

    def remove(self, number: int) -> None:
        """Take a number out; do nothing where it is not in it."""
        at = bisect_right(self._starts, number) - 1
        if at < 0 or number > self._ends[at]:
            return
        first, last = self._starts[at], self._ends[at]
        parts = [(a, b) for a, b in ((first, number - 1), (number + 1, last)) if a <= b]
        self._starts[at : at + 1] = [a for a, _ in parts]
        self._ends[at : at + 1] = [b for _, b in parts]

    def covers(self, first: int, last: int) -> bool:
        """Return whether all from ``first`` to ``last`` are in it."""
        at = bisect_right(self._starts, first) - 1
        return at >= 0 and last <= self._ends[at]

    def gaps(self, last: int) -> Iterator[tuple[int, int]]:
        """Return the spans from 1 to ``last`` that are not in it."""
        begin = 1
        for first, end in self:
            if first > last:
                break
            if begin < first:
                yield begin, first - 1
            begin = end + 1
        if begin <= last:
            yield begin, last


class Tried(Struct):
    """A number that was tried, while it waits or is dead."""

    attempts: int = 0
    attempted_at: float | None = None
    refusals: int = 0
    mark: int | None = None
    """A number of the caller's, from the time of the first refusal."""
    due: float = 0.0
    """Not before this moment; 0: at once."""
    reason: str = ""
    """Why the last attempt failed."""
    kind: str | None = None
    """The kind of its last refusal, while it waits."""
    dead_since: float = 0.0


class _Line(Struct):
    """The waiting numbers of one key: the one that may go, and a heap of those behind it."""

    head: int
    behind: list[int]


class Cursor:
    """The state of one consumer of a sequence."""

    def __init__(self, *, lanes: int = 2, max_refusals: int = 10) -> None:
        """``max_refusals``: after so many a number waits for a verdict, and goes behind the others."""
        self._max_refusals = max_refusals
        self.last = 0
        """The highest number that came in."""
        self.dropped = 0
        self.skipped = 0
        self.settled = Spans()
        self.waiting: dict[int, int] = {}
        """The lane of each number that waits."""
        self.tried: dict[int, Tried] = {}
        """Of those that wait, the ones that were tried."""
        self.dead: dict[int, Tried] = {}
        self.in_flight: set[int] = set()
        """Not part of what is kept: after a crash they wait."""
        self.kinds: dict[str, int] = {}
        """How many waiting numbers were last refused so."""
        self._counts = [0] * lanes
        self._oldest: list[list[int]] = [[] for _ in range(lanes)]
        self._ready: list[list[int]] = [[] for _ in range(lanes)]
        self._later: list[list[tuple[float, int]]] = [[] for _ in range(lanes)]
        self._keys: dict[int, str] = {}
        self._lines: dict[str, _Line] = {}
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
        return self._counts[lane]

    def first_waiting(self) -> int | None:
        """Return the lowest number that waits."""
        heads = [self._lowest(lane) for lane in range(len(self._counts))]
        return min((head for head in heads if head is not None), default=None)

    def oldest(self, lane: int) -> int | None:
        """Return the lowest waiting number of a lane, in flight only where there is no other."""
        heap, flying = self._oldest[lane], []
        while (head := self._lowest(lane)) is not None and head in self.in_flight:
            flying.append(heappop(heap))
        for number in flying:
            heappush(heap, number)
        return head if head is not None else min(flying, default=None)

    def next_due(self) -> float | None:
        """Return from when on another claim finds something; ``None``: only what is yet to come. 0: now."""
        soonest: list[float] = []
        for ready, later in zip(self._ready, self._later, strict=True):
            while ready and not self._may_go(ready[0] % _BEHIND, self._clock):
                heappop(ready)
            if ready:
                return 0.0
            while later and not self._is_later(*later[0]):
                heappop(later)
            soonest += [due for due, _ in later[:1]]
        return min(soonest, default=None)

    # --- coming in --------------------------------------------------------------------------------------------

    def add(self, number: int, lane: int, key: str | None = None) -> None:
        """Take in a number that waits from now on; ``key``: numbers with the same one keep their order."""
        self.last = max(self.last, number)
        self.waiting[number] = lane
        self._counts[lane] += 1
        heappush(self._oldest[lane], number)
        if key is not None:
            self._keys[number] = key
            line = self._lines.get(key)
            if line is not None:
                heappush(line.behind, number)
                return
            self._lines[key] = _Line(number, [])
        self._queue(number)

    def add_all(self, numbers: Sequence[int], lane: int) -> None:
        """Take in many without a key at once, ascending, such as those of a file that is opened."""
        if not numbers:
            return
        self.last = max(self.last, numbers[-1])
        self.waiting.update(dict.fromkeys(numbers, lane))
        self._counts[lane] += len(numbers)
        self._oldest[lane] += numbers
        heapify(self._oldest[lane])
        self._ready[lane] += [number for number in numbers if number not in self.tried]
        heapify(self._ready[lane])
        for number in self.tried.keys() & set(numbers) if self.tried else ():
            self._queue(number)

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
        chosen: list[int] = []
        for lane in range(len(self._counts)):
            later, ready = self._later[lane], self._ready[lane]
            while later and (later[0][0] <= now or not self._is_later(*later[0])):
                due, number = heappop(later)
                if self._is_later(due, number):
                    self._push_ready(number)
            while ready and len(chosen) < limit:
                number = heappop(ready) % _BEHIND
                if self.waiting.get(number) == lane and self._may_go(number, now):
                    chosen.append(number)
                    self.in_flight.add(number)
        return chosen

    def probe(self) -> int | None:
        """Take one number in flight, due or not: the one whose last attempt lies farthest back; ``None``: none waits.

        Where one attempt at a time is made, none is made for ever with the same number while others wait.
        """
        free = (number for number in self.waiting if self._may_go(number, float("inf")))
        found = min(free, key=self._last_attempt, default=None)
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
            self._queue_all()

    def hasten(self) -> None:
        """Let nothing wait for its moment any longer."""
        for tried in self.tried.values():
            tried.due = 0.0
        if self.tried:  # what was never tried waits for no moment
            self._queue_all()

    def release(self, numbers: Iterable[int] | None = None) -> None:
        """Give numbers back that are in flight; ``None``: all. Their attempts stay counted."""
        for number in list(self.in_flight if numbers is None else numbers):
            if number in self.in_flight:
                self.in_flight.discard(number)
                self._queue(number)

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
        self.in_flight.discard(number)
        if not self._is_held(number):
            self._queue(number)

    def let_pass(self, number: int) -> bool:
        """Let the next number of the same key go, at once and before those up to ``number``; False if there is none."""
        key = self._keys[number]
        line = self._lines[key]
        after = (
            each
            for each in line.behind
            if each > number and each in self.waiting and self._keys.get(each) == key
        )
        found = min(after, default=None)
        if found is None:
            return False
        line.behind.remove(found)
        heapify(line.behind)
        heappush(line.behind, line.head)
        line.head = found
        if found in self.tried:
            self.tried[found].due = 0.0
        self._queue(found)
        return True

    def in_turn(self, key: str) -> None:
        """Let the lowest number of a key go next again, unless another one is under way."""
        line = self._lines.get(key)
        if line is not None and line.head not in self.in_flight:
            heappush(line.behind, line.head)
            self._next_of(key)

    def head(self, key: str) -> int | None:
        """Return which number of a key goes next, or is under way."""
        line = self._lines.get(key)
        return None if line is None else line.head

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
        line = None if key is None else self._lines.get(key)
        self.add(number, lane, key)
        if line is not None and number < line.head and line.head not in self.in_flight:
            heappush(line.behind, line.head)
            line.head = number
            self._queue(number)
        if in_flight:
            self.in_flight.add(number)

    def forget_refusals(self) -> None:
        """Forget every refusal of what waits."""
        for tried in self.tried.values():
            tried.refusals, tried.mark, tried.kind = 0, None, None
        self.kinds.clear()
        if self.tried:
            self._queue_all()

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
        self.tried = {number: Tried(*fields) for number, *fields in kept["tried"]}
        self.dead = {number: Tried(*fields) for number, *fields in kept["dead"]}
        self.kinds = {}
        for tried in self.tried.values():
            if tried.kind is not None:
                self.kinds[tried.kind] = self.kinds.get(tried.kind, 0) + 1

    # --- within -----------------------------------------------------------------------------------------------

    def _leave(self, number: int) -> Tried:
        lane = self.waiting.pop(number)
        self._counts[lane] -= 1
        self.in_flight.discard(number)
        tried = self.tried.pop(number, None) or Tried()
        if tried.kind is not None:
            kind = tried.kind
            self._note_kind(tried, None)
            tried.kind = kind
        key = self._keys.pop(number, None)
        if key is not None and self._lines[key].head == number:
            self._next_of(key)
        self._tidy(lane)
        return tried

    def _next_of(self, key: str) -> None:
        behind = self._lines[key].behind
        while behind:
            number = heappop(behind)
            if number in self.waiting and self._keys.get(number) == key:
                self._lines[key].head = number
                self._queue(number)
                return
        del self._lines[key]

    def _note_kind(self, tried: Tried, kind: str | None) -> None:
        if tried.kind is not None:
            self.kinds[tried.kind] -= 1
            if not self.kinds[tried.kind]:
                del self.kinds[tried.kind]
        if kind is not None:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
        tried.kind = kind

    def _due(self, number: int) -> float:
        tried = self.tried.get(number)
        return 0.0 if tried is None else tried.due

    def _is_held(self, number: int) -> bool:
        """Return whether another number of its key goes first."""
        key = self._keys.get(number)
        return key is not None and self._lines[key].head != number

    def _may_go(self, number: int, now: float) -> bool:
        return (
            number in self.waiting
            and number not in self.in_flight
            and self._due(number) <= now
            and not self._is_held(number)
        )

    def _is_later(self, due: float, number: int) -> bool:
        return self._may_go(number, float("inf")) and self._due(number) == due

    def _queue(self, number: int) -> None:
        due = self._due(number)
        if due > 0.0:
            heappush(self._later[self.waiting[number]], (due, number))
        else:
            self._push_ready(number)

    def _push_ready(self, number: int) -> None:
        tried = self.tried.get(number)
        waits = tried is not None and tried.refusals >= self._max_refusals
        heappush(self._ready[self.waiting[number]], number + _BEHIND if waits else number)

    def _queue_all(self) -> None:
        for lane in range(len(self._counts)):
            self._ready[lane].clear()
            self._later[lane].clear()
        for number in self.waiting:
            if number not in self.in_flight and not self._is_held(number):
                self._queue(number)

    def _lowest(self, lane: int) -> int | None:
        heap = self._oldest[lane]
        while heap and self.waiting.get(heap[0]) != lane:
            heappop(heap)
        return heap[0] if heap else None

    def _tidy(self, lane: int) -> None:
        """Make heaps again that consist of outdated entries for the most part."""
        most = 2 * self._counts[lane] + _SLACK
        if len(self._oldest[lane]) > most:
            self._oldest[lane] = [number for number, its in self.waiting.items() if its == lane]
            heapify(self._oldest[lane])
        if len(self._ready[lane]) + len(self._later[lane]) > most:
            self._queue_all()
