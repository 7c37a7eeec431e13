"""What this process is doing right now, in numbers: for ``/api/v1/stats`` and whoever watches it."""

from __future__ import annotations

from gatepost.receiver.group_commit import GroupCommit
from gatepost.receiver.guard import Guard
from gatepost.receiver.tally import Tally

__all__ = ["Gauges"]


class Gauges:
    """Reads the parts of one receiver."""

    def __init__(self, group_commit: GroupCommit, guard: Guard, tally: Tally) -> None:
        self._group_commit = group_commit
        self._guard = guard
        self._tally = tally

    def read(self) -> dict[str, int]:
        """Answer every number by name; counts are since the start of the process."""
        group_commit, guard = self._group_commit, self._guard
        return {
            "connections": guard.connections,
            "bodies_bytes": guard.bodies_bytes,
            "waiting": group_commit.waiting,
            "commits": group_commit.commits,
            "committed": group_commit.committed,
            "failed": group_commit.failed,
            "refused": self._tally.refused_ever,
            **{f"guard.{name}": count for name, count in sorted(guard.counts.items())},
        }
