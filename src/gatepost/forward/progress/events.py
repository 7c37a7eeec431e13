"""The events that a destination has read and not settled, and which of them others wait for. Pure."""

from __future__ import annotations

from gatepost.cursor import Cursor, Tried
from gatepost.forward.progress.steps import Gathered
from gatepost.forward.progress.tracks import LANES, Entry, Item, Key, Track, line_of, tried_of
from gatepost.store.forwarding.destinations import ExceptionRow
from gatepost.store.interface import FORWARD_KINDS, FeedKind

__all__ = ["Events"]


class Events:
    """The events of one destination that wait, are under way, or are dead."""

    def __init__(self, gathered: Gathered, *, keep_order: bool, max_refusals: int) -> None:
        """``gathered``: the next step; ``keep_order``: events of one terminal are sent one after the other."""
        self._gathered = gathered
        self.keep_order = keep_order
        self.cursor = Cursor(max_refusals=max_refusals)
        """The events that are read and not settled."""
        self._last = 0
        self.items: dict[int, Item] = {}
        self.entries: dict[int, tuple[Track, Entry]] = {}
        """The track and the entry of each event that is to be sent and is no exception."""
        self.numbers: dict[int, int] = {}
        """The number of each exception, by its event."""
        self.waiting = dict.fromkeys(FORWARD_KINDS, 0)
        """Waiting exceptions, by kind."""
        self.blocking: dict[Key, int] = {}
        """Events that later ones wait for, by key."""

    def load(self, row: ExceptionRow) -> None:
        """Add a stored exception."""
        received = row.received_at_ms
        item = self.new_item(row.event_id, row.kind, row.terminal_id, received, received, row.alarm_id)
        self.numbers[row.event_id] = item.number
        tried = tried_of(row)
        if row.is_dead:
            self.cursor.dead[item.number] = tried
            return
        self.waiting[row.kind] += 1
        self.block(item.key)
        self.cursor.tried[item.number] = tried
        if tried.kind is not None:
            self.cursor.kinds[tried.kind] = self.cursor.kinds.get(tried.kind, 0) + 1
        self.add(item)

    def new_item(
        self,
        event_id: int,
        kind: FeedKind,
        terminal_id: int,
        received_at_ms: int,
        happened_at_ms: int,
        alarm_id: int | None,
    ) -> Item:
        """Give an event a number."""
        self._last += 1
        item = Item(self._last, event_id, kind, terminal_id, received_at_ms, happened_at_ms, alarm_id)
        self.items[item.number] = item
        return item

    def add(self, item: Item) -> None:
        """Add a waiting event."""
        self.cursor.add(item.number, LANES[item.kind], self.line(item))

    def line(self, item: Item) -> str | None:
        """Return the line in which an event keeps its order; ``None`` without one."""
        if self.keep_order:
            return line_of(item.key)
        return None if item.alarm_id is None else f"alarm {item.alarm_id}"

    def refusals(self, number: int) -> int:
        """Return the refusals of a waiting event."""
        tried = self.cursor.tried.get(number)
        return 0 if tried is None else tried.refusals

    def attempts(self, number: int) -> int:
        """Return the attempts of a waiting event."""
        tried = self.cursor.tried.get(number)
        return 0 if tried is None else tried.attempts

    def blocks(self, item: Item) -> bool:
        """Return whether later events wait for this one."""
        return item.event_id in self.numbers or self.refusals(item.number) > 0

    def block(self, key: Key) -> None:
        """Note that later events wait for one more event."""
        if self.keep_order:
            self.blocking[key] = self.blocking.get(key, 0) + 1

    def unblock(self, key: Key) -> None:
        """Note that later events no longer wait for an event."""
        if self.keep_order:
            self.blocking[key] -= 1
            if not self.blocking[key]:
                del self.blocking[key]

    def put(self, item: Item) -> None:
        """Add the present row of an exception to the step."""
        dead = self.cursor.dead.get(item.number)
        tried = dead or self.cursor.tried.get(item.number) or Tried()
        self._gathered.put(item, tried, is_dead=dead is not None)
