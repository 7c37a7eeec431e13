"""What was not stored, counted: refusals per terminal, and pushes that went to a path which nobody serves.

A refusal must cost less than a passage, or refusing becomes a way to hurt. So these counts gather in memory and
go to the store together, about once a second; a crash loses a second of them, and of nothing else. Memory is
bounded: beyond :data:`MAX_KEYS` different ones between two flushes, the rest is counted under one key.
"""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

__all__ = ["Misdirected", "Refused", "Tally"]

MAX_KEYS = 1000


class Refused(Struct, frozen=True):
    """Why pushes of a terminal were refused. ``terminal_id`` is 0 where nobody could say whose they were."""

    terminal_id: int
    reason: str


class Misdirected(Struct, frozen=True):
    """A push to a path that is not configured: from where, whereto, and whose, as far as it said."""

    peer: str
    path: str
    serial: str


class Tally:
    """Counts until they are taken."""

    def __init__(self) -> None:
        self.refused_ever = 0
        """Since the start of the process."""
        self._counts: Counter[Refused | Misdirected] = Counter()

    def refused(self, terminal_id: int | None, reason: str) -> None:
        """Count a refusal."""
        self.refused_ever += 1
        key = Refused(terminal_id or 0, reason)
        self._counts[key if self._has_room(key) else Refused(0, reason)] += 1

    def misdirected(self, peer: str, path: str, serial: str | None) -> None:
        """Count a push that went to a wrong path."""
        key = Misdirected(peer, _shown(path), _shown(serial or ""))
        if self._has_room(key):
            self._counts[key] += 1

    def take(self) -> dict[Refused | Misdirected, int]:
        """Answer what was counted since the last time, and start anew."""
        taken, self._counts = self._counts, Counter()
        return taken

    def put_back(self, counts: dict[Refused | Misdirected, int]) -> None:
        """The store did not take them: keep them for the next time."""
        for key, count in counts.items():
            if self._has_room(key):
                self._counts[key] += count

    def _has_room(self, key: Refused | Misdirected) -> bool:
        return key in self._counts or len(self._counts) < MAX_KEYS


def _shown(text: str) -> str:
    """At most 200 printable characters: what a stranger sends is shown to an operator."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:200])
