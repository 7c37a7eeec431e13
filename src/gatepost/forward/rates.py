"""Count how many events each destination took, by minute, over the last hour. Pure; it is kept in memory alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import pairwise

__all__ = ["MINUTES", "Rates"]

MINUTES = 60


class Rates:
    """Hold what destinations had delivered at the end of each of the last minutes. For one thread at a time."""

    def __init__(self) -> None:
        self._minute = -1
        self._ends: dict[int, deque[int]] = {}
        """The count at the end of each minute, and the latest one last."""

    def note(self, delivered: Mapping[int, int], minute: int) -> None:
        """Take in how many events were delivered by now. ``minute``: of a clock that is never set."""
        passed = min(max(0, minute - self._minute), MINUTES) if self._minute >= 0 else 0
        self._minute = minute
        self._ends = {which: self._ends[which] for which in self._ends if which in delivered}
        for which, count in delivered.items():
            ends = self._ends.setdefault(which, deque([count, count], MINUTES + 1))
            for _ in range(passed):
                ends.append(ends[-1])
            ends[-1] = count

    def of(self, which: int) -> list[int]:
        """Return how many events a destination took in each minute, the current one last."""
        ends = list(self._ends.get(which, ()))
        found = [max(0, after - before) for before, after in pairwise(ends)]
        return [0] * (MINUTES - len(found)) + found
