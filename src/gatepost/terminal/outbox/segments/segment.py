"""One segment of an outbox: the place of each event in it, its texts, and the bytes of one event."""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from gatepost.errors import JournalCorrupt
from gatepost.journal import streams
from gatepost.journal.folder import Folder
from gatepost.journal.format import Framing
from gatepost.terminal.outbox.segments.frames import Columns, Facts, Texts, decode_index, encode_index
from gatepost.terminal.outbox.segments.scan import Scanned
from gatepost.terminal.outbox.types import ALARMS, RECORDS

__all__ = ["LANES", "Segment", "Staged", "index_of", "read_frame", "write_index"]

LANES: dict[int, str] = {ALARMS: streams.ALARMS, RECORDS: streams.RECORDS}
"""The journal's name of each lane."""


class Staged(Struct, frozen=True):
    """An event that is about to be appended."""

    number: int
    facts: Facts
    texts: Texts
    body: bytes


class Segment:
    """A segment, and the state of its events."""

    __slots__ = (
        "_texts",
        "columns",
        "given_back",
        "history",
        "is_open",
        "live",
        "path",
        "seed",
        "seen",
        "synced",
        "waste",
    )

    def __init__(self, path: Path, seed: bytes, columns: Columns, texts: list[Texts] | None) -> None:
        self.path = path
        self.seed = seed
        self.columns = columns
        self._texts = texts
        self.live = 0
        """Number of events that are needed."""
        self.history = 0
        """Number of these that are delivered records."""
        self.waste = 0
        """Bytes of unneeded events that were not given back."""
        self.seen = (0, 0)
        """``live`` and ``history`` when too little could be given back."""
        at_hand = range(len(columns)) if columns.gone() else ()
        self.given_back = sum(self.bytes_of(at) for at in at_hand if columns.is_gone(at))
        """Bytes of events that no longer take space."""
        self.is_open = False
        self.synced: int | None = None
        """Offset up to which it is known to be synced, if a start has read all of it; ``None``: to its end."""

    def place(self, number: int) -> int | None:
        """Return the place of an event in the columns."""
        numbers = self.columns.numbers
        at = bisect_left(numbers, number)
        return at if at < len(numbers) and numbers[at] == number else None

    def bytes_of(self, at: int) -> int:
        """Return the bytes of the frame at a place."""
        return self.columns.ends[at] - self.columns.starts[at]

    @property
    def size(self) -> int:
        """Return the bytes that it takes on the disk."""
        return (self.columns.ends[-1] if len(self.columns) else 0) - self.given_back

    def texts(self) -> list[Texts]:
        """Return the texts of each event; of a closed segment they are read from the index. Empty: unreadable."""
        if self._texts is not None:
            return self._texts
        try:
            index = decode_index(index_of(self.path).read_bytes())
            if index is not None and index.name == self.path.name and len(index.columns) >= len(self.columns):
                return index.decode_texts()
            return list(Scanned.of(self.path, self.seed).texts)
        except (OSError, JournalCorrupt):
            return []

    def close(self) -> None:
        """Take no more events. Drop the texts from memory: the index has them."""
        self.is_open = False
        self._texts = None

    @property
    def lane(self) -> int:
        """Return the lane of its events."""
        return ALARMS if self.path.stem.rpartition("-")[0].endswith(LANES[ALARMS]) else RECORDS

    @property
    def place_in_stream(self) -> tuple[str, int]:
        """Return its stream, and its number in it."""
        stream, _, number = self.path.stem.rpartition("-")
        return stream, int(number)

    def copy(self) -> Segment:
        """Return a copy that another thread may read."""
        if not self.is_open:
            return self
        return Segment(self.path, self.seed, self.columns.copy(), list(self._texts or ()))


def index_of(path: Path) -> Path:
    """Return the path of a segment's index."""
    return path.with_suffix(".index")


def read_frame(handle: int, segment: Segment, at: int) -> bytes | None:
    """Return the body of the event at a place of a segment; ``None``: it is damaged. Raises ``OSError``."""
    start, end = segment.columns.starts[at], segment.columns.ends[at]
    data = os.pread(handle, end - start, start)
    frames = Framing(segment.seed).scan(data, start, is_end=True).frames
    if len(frames) != 1 or frames[0].end != end:
        return None
    return frames[0].body


def write_index(folder: Folder, segment: Segment, texts: Sequence[Texts]) -> None:
    """Write the index of a segment, if the disk takes it. It can be made again."""
    files, path = folder.files, index_of(segment.path)
    with contextlib.suppress(OSError):
        data = encode_index(
            segment.columns,
            list(texts),
            journal=folder.id,
            name=segment.path.name,
            seed=segment.seed,
            size=segment.path.stat().st_size,
        )
        files.remove(path)
        handle = files.create(path)
        try:
            files.write(handle, data, 0)
        finally:
            files.close(handle)
