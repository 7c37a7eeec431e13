"""Refusals, counted in memory by terminal and reason, and stored every second.

A refusal must not cost a write each: whoever sends nonsense would wear the disk out. Memory is bounded; what does not
fit is counted for nobody in particular. Counts of a terminal that the store does not have yet wait until it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

__all__ = ["MAX_KEYS", "Tally"]

MAX_KEYS = 1000


class Tally:
    """Counts until they are taken."""

    def __init__(self, stored_id: Callable[[int], int | None] = lambda terminal_id: terminal_id) -> None:
        """``stored_id`` returns the store's id of a terminal, ``None`` while the store does not have it."""
        self._stored_id = stored_id
        self.by_reason: Counter[str] = Counter()
        """Since the start of the process. Reasons are ours and few."""
        self._refused: Counter[tuple[int, str]] = Counter()

    def refused(self, terminal_id: int | None, reason: str) -> None:
        """Count a refusal; ``None`` where nobody could say whose push it was."""
        self.by_reason[reason] += 1
        key = (terminal_id or 0, reason)
        full = key not in self._refused and len(self._refused) >= MAX_KEYS
        self._refused[(0, reason) if full else key] += 1

    def take(self) -> Mapping[tuple[int, str], int]:
        """Take what is counted since the last call, by the store's id of the terminal, 0 for none, and the reason."""
        counted, self._refused = self._refused, Counter()
        taken: Counter[tuple[int, str]] = Counter()
        for (terminal_id, reason), count in counted.items():
            stored_id = self._stored_id(terminal_id)
            if stored_id is None:
                self._refused[terminal_id, reason] += count
            else:
                taken[stored_id, reason] += count
        return taken

    def put_back(self, counts: Mapping[tuple[int, str], int]) -> None:
        """Keep what could not be stored, for the next time. What was counted meanwhile is bounded too."""
        self._refused.update(dict(Counter(counts).most_common(MAX_KEYS)))
