"""Move the positions of tracks past settled events and past those with a row of their own. Pure.

Every number of the ledger is counted here, when a position moves past an event.
"""

from __future__ import annotations

from gatepost.cursor import Tried
from gatepost.forward.progress.asides import Asides
from gatepost.forward.progress.events import Events
from gatepost.forward.progress.steps import Gathered
from gatepost.forward.progress.tracks import DELETED, Entry, Item, Track

__all__ = ["Moves"]


class Moves:
    """Moves the positions of one destination."""

    def __init__(self, events: Events, asides: Asides, gathered: Gathered) -> None:
        self._events = events
        self._asides = asides
        self._gathered = gathered

    def block_behind(self, item: Item) -> None:
        """Put aside what was read after an event of the same terminal, which waits longer than is read ahead."""
        if not self._events.keep_order:
            return
        self._events.block(item.key)
        track, entry = self._events.entries[item.number]
        if track.terminal_id is not None:
            while track.entries[-1] is not entry:
                other = track.entries.pop()
                track.delivered -= other.fate == "delivered"
                self._withdraw(other)
            track.place = entry.event_id
            return
        is_after = False
        for other in track.entries:
            # Also events that the filter leaves out, because the stretch is read again with them.
            if is_after and other.terminal_id == item.terminal_id and other.fate not in ("aside", "deleted"):
                track.delivered -= other.fate == "delivered"
                self._withdraw(other)
                self._asides.mark(track, other)
            is_after = is_after or other is entry

    def _withdraw(self, entry: Entry) -> None:
        if entry.fate == "sent":
            self._events.cursor.drop(entry.number)
            del self._events.items[entry.number], self._events.entries[entry.number]

    def move(self, track: Track) -> None:
        """Move the position of a track past settled events and exceptions."""
        while track.entries and self._may_pass(track, track.entries[0]):
            self._pass(track, track.entries[0])
            track.moved = max(track.moved, track.entries.popleft().event_id)
        if not track.entries:
            track.moved = track.place

    def _may_pass(self, track: Track, entry: Entry) -> bool:
        if entry.fate != "sent":
            return True
        number = entry.number
        if number in self._events.cursor.dead:
            return True
        if number in self._events.cursor.in_flight:
            return False
        if number not in self._events.cursor.tried:
            return self._is_behind_exception(self._events.items[number])
        return self._events.refusals(number) > 0 or track.delivered > 0

    def _is_behind_exception(self, item: Item) -> bool:
        """Return whether a step waits for an exception of its alarm. It becomes one, too, and stops no position."""
        line = self._events.line(item)
        head = None if line is None or self._events.keep_order else self._events.cursor.head(line)
        return (
            head is not None
            and head < item.number
            and self._events.items[head].event_id in self._events.numbers
        )

    def _pass(self, track: Track, entry: Entry) -> None:
        if track.terminal_id is None:
            self._gathered.step.seen += entry.events
        else:
            track.aside -= entry.events
        if entry.fate == "sent":
            self._make_exception(entry)
        elif entry.fate == "aside":
            self._asides.add(track, entry)
        elif entry.fate == "deleted":
            self._gathered.count("dropped", DELETED, entry.events)
        else:
            track.delivered -= entry.fate == "delivered"
            self._gathered.count(entry.fate, entry.why)

    def _make_exception(self, entry: Entry) -> None:
        item = self._events.items[entry.number]
        is_dead = entry.number in self._events.cursor.dead
        if not is_dead and not self._events.blocks(item):
            self.block_behind(item)
        del self._events.entries[entry.number]
        self._events.numbers[item.event_id] = item.number
        self._events.waiting[item.kind] += not is_dead
        if not is_dead:
            self._events.cursor.tried.setdefault(item.number, Tried())
        self._events.put(item)
