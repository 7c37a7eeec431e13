"""Decide what a destination is sent next, and what of it is settled. Pure: no I/O, no clock, no randomness.

Events are read in the order of the feed, alarms, records and notices apart: each is a *track*, and so is every stretch
of one terminal that was left aside. What is read stands in its track until the place of the track moves over it:

* It moves over what is settled (delivered, filtered, dropped) and over what gets a row of its own by that: an event
  that was refused, or that failed while a later one was delivered, is an *exception*. So a destination that is away has
  no rows, and one that refuses a few events has one for each of these.
* It stops at what is under way or was not tried. What was settled behind it is sent again after a crash, and nothing
  else: no more than are read ahead.
* Events of a terminal that is held are *left aside*: one row says between which ids they are. So is, with
  ``order: terminal``, what comes after an exception of the same terminal; and what comes after events left aside.
* Steps of one alarm leave in their order whatever ``order`` says: one that waits behind an exception is one, too.
* With ``order: terminal`` an event that was refused ``max_refusals`` times may be the only one of its terminal that is
  refused, while nothing else can be accepted. So the one behind it is tried at once, and after as many refusals again.
  If that is accepted, those before it are dead: they were refused a moment ago. If not, the first goes first again.

Every number of the ledger is counted where a place moves over an event, in the transaction that stores the place: none
is counted twice or forgotten, whenever the process ends.

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
"""While so many events of a kind wait for another attempt, no more of that kind are read."""


class Progress:
    """How far one destination is."""

    def __init__(self, loaded: Loaded, *, keep_order: bool, max_refusals: int = 10) -> None:
        """``keep_order``: events of one terminal leave one after the other."""
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
        """Return how many events are read and to be sent, exceptions not counted."""
        return len(self._events.entries)

    @property
    def untried(self) -> int:
        """Return how many events wait that were not tried since they were read."""
        return len(self.cursor.waiting) - len(self.cursor.tried)

    @property
    def exceptions(self) -> int:
        """Return how many exceptions wait."""
        return sum(self._events.waiting.values())

    @property
    def is_finished(self) -> bool:
        """Return whether everything is read that there is to be read, and nothing waits."""
        return (
            all(track.is_at_end and not track.entries for track in self._tracks.values())
            and not self._asides.tracks
            and not self.cursor.waiting
        )

    def item(self, number: int) -> Item:
        """Return what a number stands for. Raises ``KeyError`` for one that is settled."""
        return self._events.items[number]

    def refusals(self, number: int) -> int:
        """Return how often an event that waits was refused."""
        return self._events.refusals(number)

    def attempts(self, number: int) -> int:
        """Return how often an event that waits was tried."""
        return self._events.attempts(number)

    def accepted_since(self, number: int) -> int:
        """Return how many were accepted since an event was refused first: of its kind, or of any that keeps order."""
        tried, kind = self.cursor.tried.get(number), self._events.items[number].kind
        return 0 if tried is None or tried.mark is None else self._accepted_of(kind) - tried.mark

    def _accepted_of(self, kind: FeedKind) -> int:
        # Where a refused event holds up those of its kind, none of them may be left to be accepted.
        return sum(self._accepted.values()) if self._events.keep_order else self._accepted[kind]

    def is_blocked(self, track: Track) -> bool:
        """Return whether a track is read for one event that is to be tried, and no more."""
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
        """Take in the page after the place of a track."""
        if track.terminal_id is not None and any(item.is_held for item in page.items):
            return  # it is held since: what was left aside stays so
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

        Those that were tried more often go behind the others: one that always fails delays no other.
        """
        self._passing.want_no_more()
        found = self.cursor.claim(limit, now)
        if self.cursor.tried:
            found.sort(key=self.attempts)
        return self._attempted(found, now)

    def probe(self, now: float) -> list[Item]:
        """Take one event, due or not, to see whether the destination is there: each time another one."""
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
        """Let events wait again that were claimed and not sent: no attempt was made."""
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
        """Settle an event that was delivered."""
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
        """Give an event up that is not sent any more."""
        self._settle(item, "dropped", why)
        self._passing.tidy(item.key)

    def left_out(self, item: Item, why: str) -> None:
        """Settle an event that the destination is not sent, by its own rules: no attempt was made."""
        self.give_back([item])
        self._settle(item, "filtered", why)
        self._passing.tidy(item.key)

    def expire(self, before_ms: int, why: str) -> int:
        """Give up what happened before a moment and is not under way; return how many these are."""
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
        """Let an event wait until ``due``. ``refusal``: it was refused so."""
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
        """Return what is to be committed now: what was done since the last step, or nothing."""
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
        """Take over which dead letters people have retried or dropped.

        ``uncommitted``: the step that was taken and is not stored yet. People know nothing of what is dead in it.
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
