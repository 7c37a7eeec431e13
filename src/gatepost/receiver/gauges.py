"""What this process is doing right now, in numbers: for ``/api/v1/stats`` and whoever watches it."""

from __future__ import annotations

from gatepost.receiver.committer import Committer
from gatepost.receiver.guard import Guard
from gatepost.receiver.tally import Tally

__all__ = ["Gauges"]


class Gauges:
    """Reads the parts of one receiver."""

    def __init__(self, committer: Committer, guard: Guard, tally: Tally) -> None:
        self._committer = committer
        self._guard = guard
        self._tally = tally

    def read(self) -> dict[str, int]:
        """Answer every number by name; counts are since the start of the process."""
        committer, guard = self._committer, self._guard
        return {
            "connections": guard.connections,
            "bodies_bytes": guard.bodies_bytes,
            "waiting": committer.waiting,
            "commits": committer.commits,
            "committed": committer.committed,
            "failed": committer.failed,
            "refused": self._tally.refused_ever,
            **{f"guard.{name}": count for name, count in sorted(guard.counts.items())},
        }
