"""Decide which number goes next. Pure: no I/O, no clock.

Each lane has heaps of what is ready, of what waits for a moment, and of all that waits. An entry of a heap may be
outdated: whether it still holds is looked at when it comes up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush

from msgspec import Struct

from gatepost.cursor.tried import Tried

__all__ = ["Queue"]

_BEHIND = 1 << 62
"""Added to a number that waits for a verdict, where the next one is looked for."""

_SLACK = 1_000
"""Outdated entries that a heap may have before it is made again."""


class _Line(Struct):
    """The waiting numbers of one key: the one that may go, and a heap of those behind it."""

    head: int
    behind: list[int]


class Queue:
    """The numbers that wait, in the order in which they go."""

    def __init__(self, lanes: int, max_refusals: int) -> None:
        """``max_refusals``: after so many a number waits for a verdict, and goes behind the others."""
        self._max_refusals = max_refusals
        self.waiting: dict[int, int] = {}
        """The lane of each number that waits."""
        self.tried: dict[int, Tried] = {}
        """Of those that wait, the ones that were tried. Kept by the cursor."""
        self.in_flight: set[int] = set()
        self._counts = [0] * lanes
        self._oldest: list[list[int]] = [[] for _ in range(lanes)]
        self._ready: list[list[int]] = [[] for _ in range(lanes)]
        self._later: list[list[tuple[float, int]]] = [[] for _ in range(lanes)]
        self._keys: dict[int, str] = {}
        self._lines: dict[str, _Line] = {}

    # --- what it knows ----------------------------------------------------------------------------------------

    def count(self, lane: int) -> int:
        """Return how many wait in a lane."""
        return self._counts[lane]

    def first(self) -> int | None:
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

    def next_due(self, now: float) -> float | None:
        """Return from when on :meth:`claim` finds something; ``None``: only what is yet to come. 0: now."""
        soonest: list[float] = []
        for ready, later in zip(self._ready, self._later, strict=True):
            while ready and not self._may_go(ready[0] % _BEHIND, now):
                heappop(ready)
            if ready:
                return 0.0
            while later and not self._is_later(*later[0]):
                heappop(later)
            soonest += [due for due, _ in later[:1]]
        return min(soonest, default=None)

    def may_go(self) -> Iterator[int]:
        """Return the numbers that wait for no other one, due or not."""
        return (number for number in self.waiting if self._may_go(number, float("inf")))

    def head(self, key: str) -> int | None:
        """Return which number of a key goes next, or is under way."""
        line = self._lines.get(key)
        return None if line is None else line.head

    # --- coming and going -------------------------------------------------------------------------------------

    def add(self, number: int, lane: int, key: str | None) -> None:
        """Take in a number; ``key``: numbers with the same one keep their order."""
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
        self._put(number)

    def add_all(self, numbers: Sequence[int], lane: int) -> None:
        """Take in many without a key at once."""
        self.waiting.update(dict.fromkeys(numbers, lane))
        self._counts[lane] += len(numbers)
        self._oldest[lane] += numbers
        heapify(self._oldest[lane])
        self._ready[lane] += [number for number in numbers if number not in self.tried]
        heapify(self._ready[lane])
        for number in self.tried.keys() & set(numbers) if self.tried else ():
            self._put(number)

    def add_before(self, number: int, lane: int, key: str | None) -> None:
        """Take in a number that was there before: of its key it goes first again where it is the lowest."""
        line = None if key is None else self._lines.get(key)
        self.add(number, lane, key)
        if line is not None and number < line.head and line.head not in self.in_flight:
            heappush(line.behind, line.head)
            line.head = number
            self._put(number)

    def claim(self, limit: int, now: float) -> list[int]:
        """Take up to ``limit`` numbers in flight, lanes in their order."""
        chosen: list[int] = []
        for lane in range(len(self._counts)):
            later, ready = self._later[lane], self._ready[lane]
            while later and (later[0][0] <= now or not self._is_later(*later[0])):
                due, number = heappop(later)
                if self._is_later(due, number):
                    self._put_ready(number)
            while ready and len(chosen) < limit:
                number = heappop(ready) % _BEHIND
                if self.waiting.get(number) == lane and self._may_go(number, now):
                    chosen.append(number)
                    self.in_flight.add(number)
        return chosen

    def put_back(self, number: int) -> None:
        """Let a number wait again that was in flight."""
        self.in_flight.discard(number)
        if not self._is_held(number):
            self._put(number)

    def remove(self, number: int) -> None:
        """Let a number leave; the next one of its key may go then."""
        lane = self.waiting.pop(number)
        self._counts[lane] -= 1
        self.in_flight.discard(number)
        key = self._keys.pop(number, None)
        if key is not None and self._lines[key].head == number:
            self._next_of(key)
        self._tidy(lane)

    def sort(self) -> None:
        """Make the heaps again: moments or refusals have changed."""
        for lane in range(len(self._counts)):
            self._ready[lane].clear()
            self._later[lane].clear()
        for number in self.waiting:
            if number not in self.in_flight and not self._is_held(number):
                self._put(number)

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
        self._put(found)
        return True

    def in_turn(self, key: str) -> None:
        """Let the lowest number of a key go next again, unless another one is under way."""
        line = self._lines.get(key)
        if line is not None and line.head not in self.in_flight:
            heappush(line.behind, line.head)
            self._next_of(key)

    # --- within -----------------------------------------------------------------------------------------------

    def _next_of(self, key: str) -> None:
        behind = self._lines[key].behind
        while behind:
            number = heappop(behind)
            if number in self.waiting and self._keys.get(number) == key:
                self._lines[key].head = number
                self._put(number)
                return
        del self._lines[key]

    def _due(self, number: int) -> float:
        tried = self.tried.get(number)
        return 0.0 if tried is None else tried.due

    def _is_held(self, number: int) -> bool:
        """Return whether another number of its key goes first."""
        key = self._keys.get(number)
        return key is not None and self._lines[key].head != number

    def _may_go(self, number: int, now: float) -> bool:
        if number not in self.waiting or number in self.in_flight or self._is_held(number):
            return False
        tried = self.tried.get(number)
        return tried is None or tried.due <= now

    def _is_later(self, due: float, number: int) -> bool:
        return self._may_go(number, float("inf")) and self._due(number) == due

    def _put(self, number: int) -> None:
        due = self._due(number)
        if due > 0.0:
            heappush(self._later[self.waiting[number]], (due, number))
        else:
            self._put_ready(number)

    def _put_ready(self, number: int) -> None:
        tried = self.tried.get(number)
        waits = tried is not None and tried.refusals >= self._max_refusals
        heappush(self._ready[self.waiting[number]], number + _BEHIND if waits else number)

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
            self.sort()
