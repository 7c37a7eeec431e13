"""Gather the changes of a forwarder since its last commit. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from gatepost.cursor import Tried
from gatepost.forward.progress.tracks import Item, row_of
from gatepost.store.forwarding.destinations import AttemptRow, Loaded, Step
from gatepost.store.interface import FORWARD_KINDS, FeedKind

__all__ = ["Counted", "Gathered"]

Counted = Literal["filtered", "delivered", "dropped"]
"""How a settled event is counted."""


class Gathered:
    """The next step to commit."""

    def __init__(self, loaded: Loaded) -> None:
        self.step = Step()
        self._is_away = loaded.is_away
        self._stored = {row.kind: (row.place, row.tried) for row in loaded.places}
        self._accepted = dict.fromkeys(FORWARD_KINDS, 0)

    def take(self, places: Mapping[FeedKind, tuple[int, int]]) -> Step:
        """Return the step, and start the next one. ``places``: position and highest tried id of each kind."""
        step, self.step = self.step, Step()
        if not step.is_empty:
            step.places = {
                kind: (*place, self._accepted[kind])
                for kind, place in places.items()
                if place != self._stored[kind] or self._accepted[kind]
            }
            self._stored = dict(places)
            self._accepted = dict.fromkeys(FORWARD_KINDS, 0)
        return step

    def accept(self, kind: FeedKind, at_ms: int) -> None:
        """Note that an event was accepted."""
        self._accepted[kind] += 1
        self.step.delivered_at_ms = at_ms

    def count(self, fate: Counted, why: str = "", events: int = 1) -> None:
        """Count settled events."""
        step = self.step
        if fate == "filtered":
            step.filtered += events
            if why:  # else the filter left it out
                step.left_out[why] = step.left_out.get(why, 0) + events
        elif fate == "delivered":
            step.delivered += events
        else:
            step.dropped[why] = step.dropped.get(why, 0) + events

    def put(self, item: Item, tried: Tried, *, is_dead: bool) -> None:
        """Store the present row of an exception."""
        self.step.gone.discard(item.event_id)
        self.step.put[item.event_id] = row_of(item, tried, is_dead=is_dead)

    def remove(self, item: Item) -> None:
        """Delete the row of an event."""
        self.step.put.pop(item.event_id, None)
        self.step.gone.add(item.event_id)

    def note_try(self, row: AttemptRow) -> None:
        """Keep an attempt."""
        self.step.tries.append(row)
        if row.outcome not in ("delivered", "closed"):
            self.step.failure = row.at_ms, row.reply or row.status

    def note_away(self, *, is_away: bool) -> None:
        """Store whether the destination can be reached, if that has changed."""
        if is_away != self._is_away:
            self._is_away = self.step.is_away = is_away

    def note_closed(self, at_ms: int, why: str) -> None:
        """Store that the destination closed itself."""
        self.step.closed = at_ms, why

    def note_finished(self, at_ms: int) -> None:
        """Store that a replay is over."""
        self.step.finished_at_ms = at_ms
