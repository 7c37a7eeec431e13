"""Commit the steps of a forwarder, and read the commands of people."""

from __future__ import annotations

from gatepost.forward.forwarder.surroundings import Lost
from gatepost.forward.options.destination import Destination
from gatepost.forward.progress.progress import Progress
from gatepost.store.forwarding.destinations import DestinationRow, Destinations, Loaded, Step

__all__ = ["Commits"]


class Commits:
    """Stores the steps of one destination while this process has its lease. Every method blocks."""

    def __init__(self, destinations: Destinations, row: DestinationRow, fence: int) -> None:
        """``fence``: of this process's lease."""
        self._destinations = destinations
        self._id, self._name = row.id, row.name
        self._fence = fence
        self._changes = row.changes
        self._steps = 0
        self._uncommitted: Step | None = None

    def load(self, told: Destination) -> Progress:
        """Return the progress of the destination. Raises :class:`~gatepost.forward.forwarder.surroundings.Lost`."""
        loaded = self._load()
        self._changes, self._steps = loaded.changes, loaded.steps
        return Progress(loaded, keep_order=told.order == "terminal", max_refusals=told.max_refusals)

    def commit(self, progress: Progress, changes: int) -> None:
        """Store the step. If that fails now, it is kept for the next time.

        ``changes``: number of known commands of people. Raises :class:`~gatepost.forward.forwarder.surroundings.Lost`.
        """
        if changes > self._changes:
            self._take_over(progress)
        while True:
            step = self._uncommitted or progress.take_step()
            if step.is_empty:
                return
            self._uncommitted = step
            verdict = self._destinations.commit(
                self._id, self._fence, step, changes=self._changes, steps=self._steps
            )
            if verdict == "lost":
                raise Lost(f"another process sends to {self._name}, or it is deleted")
            if verdict == "changed":
                self._take_over(progress)
                continue
            self._steps += 1
            self._uncommitted = None

    def _take_over(self, progress: Progress) -> None:
        loaded = self._load()
        progress.note_changes(loaded, self._uncommitted)
        self._changes = loaded.changes

    def _load(self) -> Loaded:
        loaded = self._destinations.load(self._id)
        if loaded is None:
            raise Lost(f"the destination {self._name} is deleted")
        return loaded
