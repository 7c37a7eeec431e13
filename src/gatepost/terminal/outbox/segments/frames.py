"""Events as the bodies of journal frames, and the index of a segment. Pure.

A body is ``length of the facts (2) | facts, msgpack | head | tail | image``: the JPEG as bytes, and the JSON around it.

The index of a segment has the place of each event, in columns, so that a start reads some bytes per event and not the
events. It has a file of its own, is written when the segment is closed, and can be made again from the segment at any
time::

    index   "gpindex1" | length of the header (4) | header, msgpack | columns | texts, msgpack | CRC-32 of all before it
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from zlib import crc32

import msgspec
from msgspec import Struct

from gatepost.errors import JournalCorrupt
from gatepost.journal.format import FRAME_BYTES
from gatepost.terminal.outbox.types import RECORDS, NewEvent

__all__ = [
    "Columns",
    "Facts",
    "Index",
    "Texts",
    "decode_body",
    "decode_facts",
    "decode_index",
    "encode_body",
    "encode_index",
    "frame_bytes",
]

_LENGTH = struct.Struct("<H")
_INDEX_LENGTH = struct.Struct("<I")
_CHECK = struct.Struct("<I")
_INDEX_MAGIC = b"gpindex1"
_NEVER = -(1 << 63)
_IMAGE = 2
_GONE = 4

Texts = tuple[str | None, str, str, str]
"""Trace of an alarm; user, job and card number of a record."""


class Facts(Struct, frozen=True, gc=False):
    """The parts of an event that the rules of the outbox need."""

    lane: int
    size: int
    """Bytes of JSON and image."""
    with_image: bool
    accepted_at: float
    """Unix seconds."""
    happened_at: int | None
    """Unix seconds."""


class _Facts(Struct, array_like=True, frozen=True):
    id: int
    lane: int
    accepted_at: int
    happened_at: int | None
    head: int
    tail: int
    with_image: bool
    texts: Texts


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Facts)


def encode_body(event: NewEvent, number: int, accepted_ms: int) -> bytes:
    """Return the body of the frame of an event."""
    texts = (event.trace, event.user_id, event.job_number, event.ic_number)
    facts = _encoder.encode(
        _Facts(
            number,
            event.lane,
            accepted_ms,
            event.happened_at,
            len(event.head),
            len(event.tail),
            event.image is not None,
            texts,
        )
    )
    return b"".join((_LENGTH.pack(len(facts)), facts, event.head, event.tail, event.image or b""))


def frame_bytes(event: NewEvent) -> int:
    """Return how many bytes the frame of an event takes at most."""
    return FRAME_BYTES + len(encode_body(event, -_NEVER, -_NEVER))


def decode_facts(body: bytes) -> tuple[int, Facts, Texts]:
    """Return number and facts of an event. Raises :class:`~gatepost.errors.JournalCorrupt`."""
    facts, start = _facts(body)
    size = len(body) - start
    return (
        facts.id,
        Facts(facts.lane, size, facts.with_image, facts.accepted_at / 1000, facts.happened_at),
        facts.texts,
    )


def decode_body(body: bytes) -> tuple[int, bytes, bytes, bytes | None]:
    """Return number, head, tail and image. Raises :class:`~gatepost.errors.JournalCorrupt`."""
    facts, start = _facts(body)
    middle, end = start + facts.head, start + facts.head + facts.tail
    return facts.id, body[start:middle], body[middle:end], body[end:] if facts.with_image else None


def _facts(body: bytes) -> tuple[_Facts, int]:
    try:
        (length,) = _LENGTH.unpack_from(body)
        start = _LENGTH.size + length
        return _decoder.decode(body[_LENGTH.size : start]), start
    except (struct.error, msgspec.MsgspecError) as error:
        raise JournalCorrupt("a frame of it holds no event") from error


class Columns:
    """The events of a segment, by their place in it. Some bytes per event."""

    __slots__ = ("_accepted", "_flags", "_happened", "_sizes", "ends", "numbers", "starts")

    def __init__(self) -> None:
        self.numbers = array("q")
        self.starts = array("q")
        self.ends = array("q")
        """Ends of their frames, in the segment."""
        self._sizes = array("q")
        self._accepted = array("q")
        self._happened = array("q")
        self._flags = array("B")

    def __len__(self) -> int:
        return len(self.numbers)

    def append(self, number: int, facts: Facts, start: int, end: int) -> None:
        """Add an event after all others."""
        self.numbers.append(number)
        self.starts.append(start)
        self.ends.append(end)
        self._sizes.append(facts.size)
        self._accepted.append(round(facts.accepted_at * 1000))
        self._happened.append(_NEVER if facts.happened_at is None else facts.happened_at)
        self._flags.append(facts.lane | (_IMAGE if facts.with_image else 0))

    def facts(self, at: int) -> Facts:
        """Return the facts of the event at a place."""
        flags, happened = self._flags[at], self._happened[at]
        return Facts(
            flags & RECORDS,
            self._sizes[at],
            bool(flags & _IMAGE),
            self._accepted[at] / 1000,
            None if happened == _NEVER else happened,
        )

    def lane(self, at: int) -> int:
        """Return the lane of the event at a place."""
        return self._flags[at] & RECORDS

    def mark_gone(self, at: int) -> None:
        """Note that the bytes of the event at a place were given back."""
        self._flags[at] |= _GONE

    def is_gone(self, at: int) -> bool:
        """Return whether the bytes of the event at a place were given back: it was settled and is not needed."""
        return bool(self._flags[at] & _GONE)

    def gone(self) -> list[int]:
        """Return the numbers of the events whose bytes were given back."""
        if max(self._flags, default=0) < _GONE:
            return []
        return [number for number, flags in zip(self.numbers, self._flags, strict=True) if flags & _GONE]

    def happened(self, at: int) -> int | None:
        """Return when the event at a place happened, in Unix seconds."""
        found = self._happened[at]
        return None if found == _NEVER else found

    def summary(self) -> Iterator[tuple[int, int, int]]:
        """Return number, lane and size of each event."""
        return zip(self.numbers, (flags & RECORDS for flags in self._flags), self._sizes, strict=True)

    def cut(self, count: int) -> None:
        """Keep the first ``count``."""
        for column in self._all():
            del column[count:]

    def copy(self) -> Columns:
        """Return a copy, for another thread."""
        other = Columns()
        for to, column in zip(other._all(), self._all(), strict=True):
            to.extend(column)
        return other

    def _all(self) -> Iterator[array[int]]:
        yield from (
            self.numbers,
            self.starts,
            self.ends,
            self._sizes,
            self._accepted,
            self._happened,
            self._flags,
        )

    def to_bytes(self) -> bytes:
        """Return the columns, little-endian."""
        return b"".join(_swapped(column).tobytes() for column in self._all())

    @classmethod
    def of(cls, data: bytes, count: int) -> Columns:
        """Read what :meth:`to_bytes` returned for ``count`` events. Raises ``ValueError``."""
        columns, at = cls(), 0
        for column in columns._all():
            end = at + count * column.itemsize
            column.frombytes(data[at:end])
            if len(column) != count:
                raise ValueError("a column is cut off")
            if _BIG_ENDIAN:
                column.byteswap()
            at = end
        return columns


_BIG_ENDIAN = struct.pack("=H", 1) == b"\0\1"


def _swapped(column: array[int]) -> array[int]:
    if not _BIG_ENDIAN:
        return column
    other = column[:]
    other.byteswap()
    return other


def encode_index(
    columns: Columns, texts: list[Texts], *, journal: bytes, name: str, seed: bytes, size: int
) -> bytes:
    """Return the index of the segment ``name`` with so many bytes."""
    header = _encoder.encode((journal, name, seed, size, len(columns)))
    parts = (
        _INDEX_MAGIC,
        _INDEX_LENGTH.pack(len(header)),
        header,
        columns.to_bytes(),
        _encoder.encode(texts),
    )
    data = b"".join(parts)
    return data + _CHECK.pack(crc32(data))


class Index(Struct, frozen=True):
    """The content of an index."""

    journal: bytes
    name: str
    seed: bytes
    size: int
    columns: Columns
    texts: bytes
    """Encoded, because they are rarely used."""

    def decode_texts(self) -> list[Texts]:
        """Return the texts of each event."""
        return msgspec.msgpack.decode(self.texts, type=list[Texts])


def decode_index(data: bytes) -> Index | None:
    """Read an index; ``None``: it is damaged or of another version, and has to be made again."""
    body, check = data[: -_CHECK.size], data[-_CHECK.size :]
    start = len(_INDEX_MAGIC) + _INDEX_LENGTH.size
    if len(body) < start or not body.startswith(_INDEX_MAGIC) or _CHECK.pack(crc32(body)) != check:
        return None
    try:
        middle = start + _INDEX_LENGTH.unpack_from(body, len(_INDEX_MAGIC))[0]
        journal, name, seed, size, count = msgspec.msgpack.decode(
            body[start:middle], type=tuple[bytes, str, bytes, int, int]
        )
        columns = Columns.of(body[middle:], count)
    except (msgspec.MsgspecError, ValueError):
        return None
    end = middle + len(columns) * sum(column.itemsize for column in columns._all())
    return Index(journal, name, seed, size, columns, body[end:])
