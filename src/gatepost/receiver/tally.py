"""Refusals, counted in memory by terminal and reason, and flushed to the store every second.

A refusal must not cost a write each: whoever sends nonsense would wear the disk out. Memory is bounded; what does not
fit is counted for nobody in particular. Counts of a terminal that the store does not have yet wait until it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from gatepost.errors import StoreError

__all__ = ["MAX_KEYS", "Tally"]

MAX_KEYS = 1000


class Counts(Protocol):
    """The part of a store that counts are handed to."""

    def count_refused(self, counts: Mapping[tuple[int, str], int], *, now_ms: int) -> None: ...


class Tally:
    """Counts until they are flushed."""

    def __init__(self, stored_id: Callable[[int], int | None] = lambda terminal_id: terminal_id) -> None:
        """``stored_id`` returns the store's id of a terminal, ``None`` while the store does not have it."""
        self._stored_id = stored_id
        self.refused_ever = 0
        """Since the start of the process."""
        self.by_reason: Counter[str] = Counter()
        """The same, by reason. Reasons are ours and few."""
        self._refused: Counter[tuple[int, str]] = Counter()

    def refused(self, terminal_id: int | None, reason: str) -> None:
        """Count a refusal; ``None`` where nobody could say whose push it was."""
        self.refused_ever += 1
        self.by_reason[reason] += 1
        key = (terminal_id or 0, reason)
        full = key not in self._refused and len(self._refused) >= MAX_KEYS
        self._refused[(0, reason) if full else key] += 1

    def flush(self, store: Counts, *, now_ms: int) -> None:
        """Hand the counts to the store. If it cannot take them now they are kept, and the error is raised."""
        counted, self._refused = self._refused, Counter()
        refused: Counter[tuple[int, str]] = Counter()
        for (terminal_id, reason), count in counted.items():
            stored_id = self._stored_id(terminal_id)
            if stored_id is None:
                self._refused[terminal_id, reason] += count
            else:
                refused[stored_id, reason] += count
        if not refused:
            return
        try:
            store.count_refused(dict(refused), now_ms=now_ms)
        except StoreError:
            # Whatever was counted meanwhile came into a new counter; both together stay bounded.
            self._refused.update(dict(refused.most_common(MAX_KEYS)))
            raise
