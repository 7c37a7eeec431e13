"""The unsettled part of the feed, as a destination has read it: events, tracks, and the rows of exceptions. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from gatepost.cursor import Tried
from gatepost.store.forwarding.destinations import ExceptionRow
from gatepost.store.interface import FeedKind

__all__ = ["DELETED", "LANES", "Entry", "Item", "Key", "Track", "line_of", "row_of", "tried_of"]

LANES: Mapping[FeedKind, int] = {"alarm": 0, "notice": 0, "record": 1}

DELETED = "deleted by retention"
"""Reason for an event that was not sent in time."""

Key = tuple[FeedKind, int]
"""Kind and terminal."""


class Item(Struct, frozen=True):
    """An event to send to a destination."""

    number: int
    """Number in the cursor, which is not stored."""
    event_id: int
    kind: FeedKind
    terminal_id: int
    received_at_ms: int
    happened_at_ms: int
    """For a stored exception the time of receipt, because its row does not have the other."""
    alarm_id: int | None = None
    """The alarm of a step."""

    @property
    def key(self) -> Key:
        """Return the key of its order."""
        return self.kind, self.terminal_id


class Entry(Struct):
    """An entry of a track, in the order in which it was read."""

    event_id: int
    terminal_id: int
    fate: Literal["sent", "aside", "filtered", "delivered", "dropped", "deleted"]
    """``sent``: it waits or is dead; ``deleted``: it represents deleted events."""
    number: int = 0
    """Number in the cursor, if it is to be sent."""
    why: str = ""
    events: int = 1


class Track(Struct):
    """A reader of the feed: of a kind, or of a stretch of one terminal that is aside."""

    kind: FeedKind
    place: int
    """The last id that was read."""
    moved: int
    """The last id up to which everything is settled or has a row."""
    until: int | None = None
    """The last id, if it ends."""
    terminal_id: int | None = None
    """The terminal that it reads; ``None``: all."""
    aside: int = 0
    """Events that are aside and not settled."""
    entries: deque[Entry] = deque()
    delivered: int = 0
    """Entries that are delivered."""

    @property
    def is_at_end(self) -> bool:
        """Return whether everything is read."""
        return self.until is not None and self.place >= self.until


def line_of(key: Key) -> str:
    """Return the name of the line whose events are sent one after the other."""
    return f"{key[0]} {key[1]}"


def tried_of(row: ExceptionRow) -> Tried:
    """Return the attempts of an exception, from its row."""
    attempted = None if row.attempted_at_ms is None else row.attempted_at_ms / 1000
    kind = row.reason.partition(":")[0] if row.refusals and not row.is_dead else None
    return Tried(
        attempts=row.attempts,
        attempted_at=attempted,
        refusals=row.refusals,
        mark=row.mark,
        due=row.due_ms / 1000,
        reason=row.reason,
        kind=kind,
        dead_since=(row.dead_at_ms or 0) / 1000,
    )


def row_of(item: Item, tried: Tried, *, is_dead: bool) -> ExceptionRow:
    """Return the present row of an exception."""
    return ExceptionRow(
        event_id=item.event_id,
        kind=item.kind,
        terminal_id=item.terminal_id,
        received_at_ms=item.received_at_ms,
        alarm_id=item.alarm_id,
        is_dead=is_dead,
        attempts=tried.attempts,
        refusals=tried.refusals,
        mark=tried.mark,
        attempted_at_ms=_ms(tried.attempted_at),
        due_ms=_ms(tried.due) or 0,
        reason=tried.reason,
        dead_at_ms=_ms(tried.dead_since) if is_dead else None,
    )


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
