"""Keep a set of numbers as spans. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Spans"]


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
