"""Give the bytes of unneeded events back to the disk, in a segment in which others are needed.

A *hole* replaces them: a frame of zeros without blocks on the disk. Needed events stay in place, so readers are not
disturbed, and a crash in between damages only unneeded ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from msgspec import Struct

from gatepost.journal.files import Files
from gatepost.journal.format import FRAME_BYTES, Framing
from gatepost.terminal.outbox.segments.frames import Columns
from gatepost.terminal.outbox.segments.segment import Segment

__all__ = ["PAGE", "Punched", "bytes_to_free", "punch"]

PAGE = 4096
"""Bytes of a block of the file system."""

_HOLE = 4
"""The kind of the frame in place of events whose bytes were given back."""


class Punched(Struct, frozen=True):
    """The result of :func:`punch`."""

    freed: int
    """Bytes of the events whose bytes were given back."""
    longest: int
    """Bytes of the longest hole."""
    has_gained: bool
    """The file takes fewer blocks than before."""


def bytes_to_free(segment: Segment, is_needed: Callable[[int], bool]) -> int:
    """Return the bytes of the whole blocks that :func:`punch` would free."""
    starts, ends = segment.columns.starts, segment.columns.ends
    rows = ((starts[first], ends[last]) for first, last in _rows(segment.columns, is_needed))
    return sum(max(0, end // PAGE - -(-start // PAGE)) * PAGE for start, end in rows)


def punch(segment: Segment, files: Files, is_needed: Callable[[int], bool]) -> Punched:
    """Make holes of the unneeded events of a closed segment. Raises ``OSError``."""
    columns, freed = segment.columns, 0
    handle = files.open(segment.path, writes=True)
    try:
        before, longest = os.fstat(handle).st_blocks, 0
        for first, last in _rows(columns, is_needed):
            start, end = columns.starts[first], columns.ends[last]
            longest = max(longest, end - start)
            files.punch(handle, start, end - start)
            head = Framing(segment.seed).head(_HOLE, bytes(end - start - FRAME_BYTES))
            files.write(handle, head, start)
            for at in range(first, last + 1):
                size = 0 if columns.is_gone(at) else segment.bytes_of(at)
                freed += size
                segment.given_back += size
                columns.mark_gone(at)
        return Punched(freed, longest, os.fstat(handle).st_blocks < before)
    finally:
        files.close(handle)


def _rows(columns: Columns, is_needed: Callable[[int], bool]) -> Iterator[tuple[int, int]]:
    """Yield first and last place of each row of unneeded events, without those that are gone already."""
    first: int | None = None
    has_more = False
    for at, number in enumerate(columns.numbers):
        if is_needed(number):
            if first is not None and has_more:
                yield first, at - 1
            first, has_more = None, False
            continue
        first = at if first is None else first
        has_more |= not columns.is_gone(at)
    if first is not None and has_more:
        yield first, len(columns) - 1
