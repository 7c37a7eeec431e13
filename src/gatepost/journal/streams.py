"""The streams of a journal, as values: how far one is written, published and read. Pure.

A *stream* is what one writer appends in its life. The writer publishes, in a file of its own, how far it is synced.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from zlib import crc32

from msgspec import Struct

from gatepost.errors import JournalUnavailable

__all__ = [
    "ALARMS",
    "PUBLICATION_BYTES",
    "RECORDS",
    "START",
    "Backlog",
    "Position",
    "Stream",
    "decode_publication",
    "encode_publication",
]

RECORDS, ALARMS = "records", "alarms"
"""The lanes. A reader takes every stream of alarms first."""

_PUBLISHED = struct.Struct("<QQQ")
_CHECK = struct.Struct("<I")
PUBLICATION_BYTES = _PUBLISHED.size + _CHECK.size

_ENDED = 1 << 62
"""In place of a segment's number. No stream has so many segments."""


class Position(Struct, frozen=True):
    """A place in a stream: everything before it was read."""

    segment: int
    """The number of the segment, from 1."""
    offset: int
    """Offset in its file; 0: the beginning."""
    events: int
    """Number of events of the stream before it."""

    def is_before(self, other: Position) -> bool:
        """Return whether there is something between the two positions."""
        return (self.segment, self.offset) < (other.segment, other.offset)

    def behind_the_end(self) -> Position:
        """Return the position of a stream that has ended and was read completely. Nothing can follow."""
        return Position(_ENDED, 0, self.events)

    @property
    def has_ended(self) -> bool:
        """Return whether the stream has ended, and all of it was read."""
        return self.segment == _ENDED


START = Position(1, 0, 0)


class Stream(Struct, frozen=True):
    """The segments of one writer."""

    name: str
    segments: Mapping[int, int]
    """The size of each segment that is there, by its number, in order."""
    published: Position
    """How far it is synced, as published by its writer."""
    is_alive: bool
    """The writer runs."""
    trouble: JournalUnavailable | None = None
    """Why it is unknown how far it is synced. Until that is known, nothing of it may be read."""

    @property
    def last(self) -> int:
        """Return the number of the last segment that must exist; 0: none was started."""
        begun = self.published.segment if self.published.offset else self.published.segment - 1
        return begun if self.is_alive else max(begun, max(self.segments, default=0))

    @property
    def is_alarms(self) -> bool:
        """Return whether it is a stream of alarms, which a reader takes first."""
        return self.name.endswith(ALARMS)

    def behind(self, position: Position) -> Backlog:
        """Return what a reader at this position of the stream has not read."""
        size = sum(
            max(0, self._readable(number) - (position.offset if number == position.segment else 0))
            for number in self.segments
            if number >= position.segment
        )
        return Backlog(max(self.published.events - position.events, 1) if size else 0, size)

    def _readable(self, number: int) -> int:
        """Return the offset up to which a reader may read a segment."""
        if self.trouble is not None or not self.is_alive or number < self.published.segment:
            return self.segments[number]
        return min(self.segments[number], self.published.offset) if number == self.published.segment else 0


class Backlog(Struct, frozen=True):
    """The events and bytes that are synced and not yet read."""

    events: int
    """At least one per stream with unread bytes. After a power cut or a failed write only reading tells the number."""
    bytes: int


def encode_publication(position: Position) -> bytes:
    """Return the content of a writer's file: how far its stream is synced."""
    data = _PUBLISHED.pack(position.segment, position.offset, position.events)
    return data + _CHECK.pack(crc32(data))


def decode_publication(data: bytes) -> Position | None:
    """Return the position in a writer's file; ``None``: it is incomplete."""
    head, check = data[: _PUBLISHED.size], data[_PUBLISHED.size :]
    if len(check) < _CHECK.size or _CHECK.unpack(check)[0] != crc32(head):
        return None
    return Position(*_PUBLISHED.unpack(head))
