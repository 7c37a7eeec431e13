"""Count the delivered events of each destination, by minute, over the last hour. Pure; in memory only."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import pairwise

__all__ = ["MINUTES", "Rates"]

MINUTES = 60


class Rates:
    """The delivered events at the end of each of the last minutes. For one thread at a time."""

    def __init__(self) -> None:
        self._minute = -1
        self._ends: dict[int, deque[int]] = {}
        """The count at the end of each minute, the latest one last."""

    def note(self, delivered: Mapping[int, int], minute: int) -> None:
        """Note the events delivered so far. ``minute``: of a clock that is never set."""
        passed = min(max(0, minute - self._minute), MINUTES) if self._minute >= 0 else 0
        self._minute = minute
        self._ends = {which: self._ends[which] for which in self._ends if which in delivered}
        for which, count in delivered.items():
            ends = self._ends.setdefault(which, deque([count, count], MINUTES + 1))
            for _ in range(passed):
                ends.append(ends[-1])
            ends[-1] = count

    def of(self, which: int) -> list[int]:
        """Return the delivered events of a destination in each minute, the current one last."""
        ends = list(self._ends.get(which, ()))
        found = [max(0, after - before) for before, after in pairwise(ends)]
        return [0] * (MINUTES - len(found)) + found
