"""Count what an ingest does, for ``/api/v1/stats``, ``/metrics`` and the console."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate

from msgspec import Struct, field

__all__ = ["REPLY_SECONDS", "Gauges", "ReplyTimes"]

REPLY_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0)
"""Up to how many seconds each count of reply times goes; one more count has the longer ones."""


class ReplyTimes(Struct):
    """Count how long pushes waited for their replies, from the last byte in to the reply out."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(REPLY_SECONDS) + 1))
    """By :data:`REPLY_SECONDS`."""
    seconds: float = 0.0
    """All of them together."""

    def observe(self, seconds: float) -> None:
        """Count one reply."""
        self.counts[bisect_left(REPLY_SECONDS, seconds)] += 1
        self.seconds += seconds

    @property
    def total(self) -> int:
        """Return how many replies are counted."""
        return sum(self.counts)

    def within(self, share: float) -> float | None:
        """Return within how many seconds this share of the replies came; ``None`` if there is no such bound.

        It is the bound of a count, so the true time may be shorter.
        """
        for bound, count in zip(REPLY_SECONDS, accumulate(self.counts), strict=False):
            if count and count >= share * self.total:
                return bound
        return None

    def __add__(self, other: ReplyTimes) -> ReplyTimes:
        """Return the sum of both."""
        counts = [here + there for here, there in zip(self.counts, other.counts, strict=True)]
        return ReplyTimes(counts, self.seconds + other.seconds)


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
    replies: ReplyTimes = field(default_factory=ReplyTimes)

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
            replies=self.replies + other.replies,
        )

    def counts(self) -> Gauges:
        """Return what stays counted when the ingest has ended."""
        return Gauges(
            commits=self.commits,
            committed=self.committed,
            failed=self.failed,
            refused=self.refused,
            guard=self.guard,
            replies=self.replies,
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
