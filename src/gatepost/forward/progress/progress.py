"""Decide what a destination is sent next, and what is settled. Pure: no I/O, no clock, no randomness.

Events are read in the order of the feed, with alarms, records and notices apart. Each is a *track*, and so is every
stretch of one terminal that is aside. An event is in its track until the track's position moves past it:

* The position moves past settled events (delivered, filtered, dropped) and past *exceptions*: an event that was
  refused, or that failed while a later one was delivered, gets a row of its own. So a destination that cannot be
  reached has no rows, and one that refuses a few events has a row for each of these.
* The position stops at events that are under way or were not tried. After a crash only events that were settled after
  them are sent again, at most as many as are read ahead.
* Events of a held terminal are *aside*: one row has the first and last id. With ``order: terminal``, so is what comes
  after an exception of the same terminal, and what comes after events that are aside.
* Steps of one alarm are always sent in their order. A step that waits for an exception becomes an exception, too.
* With ``order: terminal`` an event that was refused ``max_refusals`` times may be the only refused one of its terminal,
  while nothing else can be accepted. So the next one is tried at once, and after as many refusals again. If it is
  accepted, those before it are dead, because they were just refused. If not, the first is tried first again.

Every number of the ledger is counted when a position moves past an event, in the transaction that stores the position.
So none is counted twice or missed, whenever the process ends.

Flow: :meth:`Progress.wanted` → a page → :meth:`Progress.read` → :meth:`Progress.claim` → an attempt →
:meth:`Progress.delivered`, :meth:`Progress.retry` … → :meth:`Progress.take_step` → what is committed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

from gatepost.forward.progress.asides import Asides
from gatepost.forward.progress.events import Events
from gatepost.forward.progress.moves import Moves
from gatepost.forward.progress.passing import Passing
from gatepost.forward.progress.steps import Counted, Gathered
from gatepost.forward.progress.tracks import (
    DELETED,
    LANES,
    Entry,
    Item,
    Key,
    Track,
)
from gatepost.store.forwarding.destinations import Loaded, Step
from gatepost.store.interface import FeedKind, ToForward, happened_at, received_at

__all__ = ["DELETED", "MAX_EXCEPTIONS", "Item", "Progress", "Track"]

MAX_EXCEPTIONS = 10_000
"""Waiting exceptions of a kind at which no more of that kind are read."""


class Progress:
    """The progress of one destination."""

    def __init__(self, loaded: Loaded, *, keep_order: bool, max_refusals: int = 10) -> None:
        """``keep_order``: events of one terminal are sent one after the other."""
        self.gathered = Gathered(loaded)
        """What is committed next."""
        self._events = Events(self.gathered, keep_order=keep_order, max_refusals=max_refusals)
        self.cursor = self._events.cursor
        """The events that are read and not settled."""
        self._passing = Passing(self.cursor, max_refusals)
        self._asides = Asides(loaded.asides, self.gathered)
        self._moves = Moves(self._events, self._asides, self.gathered)
        self._tracks: dict[FeedKind, Track] = {}
        self._tried: dict[FeedKind, int] = {}
        self._accepted: dict[FeedKind, int] = {}
        for row in loaded.places:
            self._tracks[row.kind] = Track(row.kind, row.place, row.place, row.until, entries=deque())
            self._tried[row.kind], self._accepted[row.kind] = row.tried, row.accepted
        for exception in loaded.exceptions:
            self._events.load(exception)

    # --- what it knows ----------------------------------------------------------------------------------------

    @property
    def ahead(self) -> int:
        """Return how many events are read and to be sent, without exceptions."""
        return len(self._events.entries)

    @property
    def untried(self) -> int:
        """Return how many waiting events were not tried since they were read."""
        return len(self.cursor.waiting) - len(self.cursor.tried)

    @property
    def exceptions(self) -> int:
        """Return how many exceptions wait."""
        return sum(self._events.waiting.values())

    @property
    def is_finished(self) -> bool:
        """Return whether everything is read, and nothing waits."""
        return (
            all(track.is_at_end and not track.entries for track in self._tracks.values())
            and not self._asides.tracks
            and not self.cursor.waiting
        )

    def item(self, number: int) -> Item:
        """Return the event of a number. Raises ``KeyError`` if it is settled."""
        return self._events.items[number]

    def refusals(self, number: int) -> int:
        """Return the refusals of a waiting event."""
        return self._events.refusals(number)

    def attempts(self, number: int) -> int:
        """Return the attempts of a waiting event."""
        return self._events.attempts(number)

    def accepted_since(self, number: int) -> int:
        """Return how many events were accepted since the first refusal of one: of its kind, or in any order."""
        tried, kind = self.cursor.tried.get(number), self._events.items[number].kind
        return 0 if tried is None or tried.mark is None else self._accepted_of(kind) - tried.mark

    def _accepted_of(self, kind: FeedKind) -> int:
        # If a refused event delays those of its kind, none of them may be left to be accepted.
        return sum(self._accepted.values()) if self._events.keep_order else self._accepted[kind]

    def is_blocked(self, track: Track) -> bool:
        """Return whether a track is read only for one event to try."""
        return track.terminal_id is not None and self._passing.is_wanting((track.kind, track.terminal_id))

    # --- reading ----------------------------------------------------------------------------------------------

    def wanted(self, end: int, held: Collection[int], *, limit: int) -> list[Track]:
        """Return the tracks of which a page should be read, alarms first.

        ``end``: the feed's; ``held``: the terminals that are held; ``limit``: of events of a kind read ahead.
        """
        aside = [
            track
            for key, track in self._asides.tracks.items()
            if key[1] not in held and (key not in self._events.blocking or self._passing.is_wanting(key))
        ]
        found = [
            track
            for track in (*aside, *self._tracks.values())
            if not track.is_at_end
            and track.place < end
            and len(track.entries) < limit
            and self._events.waiting[track.kind] < MAX_EXCEPTIONS
        ]
        return sorted(found, key=lambda track: LANES[track.kind])

    def read(self, track: Track, page: ToForward) -> None:
        """Add the page after the position of a track."""
        if track.terminal_id is not None and any(item.is_held for item in page.items):
            return  # it is held now, so what is aside stays aside
        first = len(track.entries)
        for item in page.items:
            row = page.chosen.get(item.id)
            entry = Entry(item.id, item.terminal_id, "filtered")
            key = track.kind, item.terminal_id
            if track.terminal_id is None and (item.is_held or self._is_behind(key)):
                self._asides.mark(track, entry)
            elif row is not None:
                made = self._events.new_item(
                    item.id,
                    track.kind,
                    item.terminal_id,
                    round(received_at(row).timestamp() * 1000),
                    round(happened_at(row).timestamp() * 1000),
                    item.event_id if track.kind == "alarm" else None,
                )
                entry.fate, entry.number = "sent", made.number
                self._events.entries[made.number] = track, entry
                self._events.add(made)
            track.entries.append(entry)
        if page.deleted:
            read = [track.entries.pop() for _ in range(len(track.entries) - first)]
            read += [Entry(place, 0, "deleted", events=events) for place, events in page.deleted]
            track.entries.extend(sorted(read, key=lambda entry: entry.event_id))
        track.place = page.place
        if self.is_blocked(track):
            self._passing.was_read((track.kind, track.terminal_id or 0))

    def _is_behind(self, key: Key) -> bool:
        """Return whether events of a terminal have to wait for others of it."""
        return self._asides.has(key) or key in self._events.blocking

    # --- sending ----------------------------------------------------------------------------------------------

    def claim(self, limit: int, now: float) -> list[Item]:
        """Take up to ``limit`` events, alarms first, and count an attempt of each.

        Those with more attempts come after the others, so that one that always fails delays no other.
        """
        self._passing.want_no_more()
        found = self.cursor.claim(limit, now)
        if self.cursor.tried:
            found.sort(key=self.attempts)
        return self._attempted(found, now)

    def probe(self, now: float) -> list[Item]:
        """Take one event, due or not, to find out whether the destination is back: each time another one."""
        self._passing.want_no_more()
        found = self.cursor.probe()
        return [] if found is None else self._attempted([found], now)

    def _attempted(self, numbers: Sequence[int], now: float) -> list[Item]:
        found = [self._events.items[number] for number in numbers]
        for item in found:
            self.cursor.count_attempt(item.number, now)
            self._tried[item.kind] = max(self._tried[item.kind], item.event_id)
            if item.event_id in self._events.numbers:
                self._events.put(item)
        self.gathered.step.attempts += len(found)
        return found

    def give_back(self, items: Collection[Item]) -> None:
        """Return claimed events that were not sent. No attempt was made."""
        items = [item for item in items if item.number in self.cursor.in_flight]
        for item in items:
            tried = self.cursor.tried[item.number]
            tried.attempts -= 1
            if not tried.attempts and item.event_id not in self._events.numbers:
                del self.cursor.tried[item.number]
            if item.event_id in self._events.numbers:
                self._events.put(item)
        self.gathered.step.attempts -= len(items)
        self.cursor.release([item.number for item in items])

    def delivered(self, item: Item, at_ms: int) -> None:
        """Settle a delivered event."""
        self._accepted[item.kind] += 1
        self.gathered.accept(item.kind, at_ms)
        passed = self._passing.accepted(item.key)
        self._settle(item, "delivered")
        for number in passed:
            if number in self.cursor.waiting:
                tried = self.cursor.tried[number]
                tried.refusals -= 1  # it is not refused once more
                self.bury(self._events.items[number], tried.reason, at_ms / 1000)

    def dropped(self, item: Item, why: str) -> None:
        """Drop an event that is no longer sent."""
        self._settle(item, "dropped", why)
        self._passing.tidy(item.key)

    def left_out(self, item: Item, why: str) -> None:
        """Settle an event that the destination's own rules leave out. No attempt was made."""
        self.give_back([item])
        self._settle(item, "filtered", why)
        self._passing.tidy(item.key)

    def expire(self, before_ms: int, why: str) -> int:
        """Drop events that happened before a time and are not under way; return how many."""
        old = [
            item
            for number, item in self._events.items.items()
            if item.happened_at_ms < before_ms
            and number in self.cursor.waiting
            and number not in self.cursor.in_flight
        ]
        for item in old:
            self.dropped(item, why)
        return len(old)

    def _settle(self, item: Item, fate: Counted, why: str = "") -> None:
        was_refused = self._events.blocks(item)
        self.cursor.done_with(item.number)
        del self._events.items[item.number]
        if was_refused:
            self._events.unblock(item.key)
        place = self._events.entries.pop(item.number, None)
        if place is None:  # an exception
            del self._events.numbers[item.event_id]
            self._events.waiting[item.kind] -= 1
            self.gathered.remove(item)
            self.gathered.count(fate, why)
            return
        track, entry = place
        entry.fate, entry.why = fate, why
        track.delivered += fate == "delivered"

    def retry(self, item: Item, due: float, reason: str, *, refusal: str | None = None) -> None:
        """Let an event wait until ``due``. ``refusal``: the refusal, if it was one."""
        blocked = self._events.blocks(item)
        self.cursor.retry(item.number, due, reason=reason, kind=refusal, mark=self._accepted_of(item.kind))
        if item.event_id in self._events.numbers:
            self._events.put(item)
        elif refusal is not None and not blocked:
            self._moves.block_behind(item)
        if refusal is not None and self._events.keep_order:
            self._passing.next_goes(item)
        else:  # it says nothing of an event that is away: what was refused is tried first when it is back
            self._passing.all_first_go()

    def bury(self, item: Item, reason: str, at: float) -> None:
        """Make an event a dead letter."""
        if self._events.blocks(item):
            self._events.unblock(item.key)
        self.cursor.bury(item.number, reason=reason, at=at)
        if item.event_id in self._events.numbers:
            self._events.waiting[item.kind] -= 1
            self._events.put(item)
        self._passing.tidy(item.key)

    # --- what is stored ---------------------------------------------------------------------------------------

    def take_step(self) -> Step:
        """Return what is to be committed now, since the last step; ``None`` without changes."""
        for track in list(self._asides.tracks.values()):
            self._moves.move(track)
        self._asides.store()
        for track in self._tracks.values():
            self._moves.move(track)
        self._asides.store()
        return self.gathered.take(
            {kind: (each.moved, self._tried[kind]) for kind, each in self._tracks.items()}
        )

    def note_changes(self, loaded: Loaded, uncommitted: Step | None = None) -> None:
        """Take over the dead letters that people have retried or dropped.

        ``uncommitted``: the step that was taken and is not stored yet. People do not know its dead letters.
        """
        rows = {row.event_id: row for row in loaded.exceptions}
        unknown = self.gathered.step.put.keys() | (set() if uncommitted is None else uncommitted.put.keys())
        for event_id, number in list(self._events.numbers.items()):
            if number not in self.cursor.dead or event_id in unknown:
                continue
            row = rows.get(event_id)
            if row is not None and row.is_dead:
                continue
            item = self._events.items[number]
            if row is None:
                self.cursor.drop(number)
                del self._events.numbers[event_id], self._events.items[number]
            else:
                self.cursor.take_up(number, LANES[item.kind], self._events.line(item))
                self._events.waiting[item.kind] += 1
                self._events.block(item.key)
