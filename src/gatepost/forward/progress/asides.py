"""The stretches of a terminal that a destination is sent later. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from gatepost.forward.progress.steps import Gathered
from gatepost.forward.progress.tracks import DELETED, Entry, Key, Track
from gatepost.store.forwarding.destinations import AsideRow

__all__ = ["Asides"]


class Asides:
    """The stretches that are aside, at most one per kind and terminal."""

    def __init__(self, rows: Iterable[AsideRow], gathered: Gathered) -> None:
        self._stored = {(row.kind, row.terminal_id): row for row in rows}
        self._gathered = gathered
        self._pending: dict[Key, int] = {}
        """Entries that will be aside, by key."""
        self.tracks = {
            key: Track(row.kind, row.after, row.after, row.until, row.terminal_id, row.events, deque())
            for key, row in self._stored.items()
        }

    def has(self, key: Key) -> bool:
        """Return whether anything of a terminal is aside, or will be."""
        return key in self.tracks or key in self._pending

    def mark(self, track: Track, entry: Entry) -> None:
        """Mark an entry, to be put aside once the position moves past it."""
        entry.fate = "aside"
        key = track.kind, entry.terminal_id
        self._pending[key] = self._pending.get(key, 0) + 1

    def add(self, track: Track, entry: Entry) -> None:
        """Put a marked entry aside: the position moves past it."""
        key = track.kind, entry.terminal_id
        self._pending[key] -= 1
        if not self._pending[key]:
            del self._pending[key]
        left = self.tracks.get(key)
        if left is None:
            before = entry.event_id - 1
            left = Track(track.kind, before, before, None, entry.terminal_id, 0, deque())
            self.tracks[key] = left
        left.until = entry.event_id
        left.aside += 1

    def store(self) -> None:
        """Add the present stretches to the step, if they have changed."""
        for track in list(self.tracks.values()):
            self._store(track)

    def _store(self, track: Track) -> None:
        key, asides = (track.kind, track.terminal_id or 0), self._gathered.step.asides
        if track.is_at_end and not track.entries:
            if track.aside:
                self._gathered.count("dropped", DELETED, track.aside)
            del self.tracks[key]
            if self._stored.pop(key, None) is not None:
                asides[key] = None
            else:
                asides.pop(key, None)
            return
        row = AsideRow(
            kind=track.kind,
            terminal_id=key[1],
            after=track.moved,
            until=track.until or track.moved,
            events=track.aside,
        )
        if row != self._stored.get(key):
            self._stored[key] = asides[key] = row
