"""Count what an ingest does, for ``/api/v1/stats``, ``/metrics`` and the console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

__all__ = ["Gauges"]


class Gauges(Struct, frozen=True, kw_only=True):
    """The numbers of one ingest, or the sum of several. What is counted is counted since the start."""

    connections: int = 0
    bodies_bytes: int = 0
    """Of bodies in memory, until their replies."""
    waiting: int = 0
    """Events that are in no sync yet."""
    commits: int = 0
    """Syncs."""
    committed: int = 0
    failed: int = 0
    """Events that could not be written to the journal."""
    refused: Mapping[str, int] = {}
    """Pushes, by the reason."""
    guard: Mapping[str, int] = {}
    """``shed``, ``refused.<status>``: connections, by what became of them."""

    def __add__(self, other: Gauges) -> Gauges:
        """Return the sum of both."""
        return Gauges(
            connections=self.connections + other.connections,
            bodies_bytes=self.bodies_bytes + other.bodies_bytes,
            waiting=self.waiting + other.waiting,
            commits=self.commits + other.commits,
            committed=self.committed + other.committed,
            failed=self.failed + other.failed,
            refused=Counter(self.refused) + Counter(other.refused),
            guard=Counter(self.guard) + Counter(other.guard),
        )

    def counts(self) -> Gauges:
        """Return what stays counted when the ingest has ended."""
        return Gauges(
            commits=self.commits,
            committed=self.committed,
            failed=self.failed,
            refused=self.refused,
            guard=self.guard,
        )

    def by_name(self) -> dict[str, int]:
        """Return every number by its name in ``process`` of ``/api/v1/stats``."""
        return {
            "connections": self.connections,
            "bodies_bytes": self.bodies_bytes,
            "waiting": self.waiting,
            "commits": self.commits,
            "committed": self.committed,
            "failed": self.failed,
            "refused": sum(self.refused.values()),
            **{f"guard.{name}": count for name, count in sorted(self.guard.items())},
        }
