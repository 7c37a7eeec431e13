"""Read a segment from its beginning, without its index."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from gatepost.errors import JournalCorrupt
from gatepost.journal.format import EVENT, HEADER_BYTES, Frame, Framing, Gap, last_commit
from gatepost.terminal.outbox.segments.frames import Columns, Texts, decode_facts

__all__ = ["Scanned"]

_STEP = 1024 * 1024
"""Bytes that are read at once."""

_PAGE = 4096
"""Bytes that the disk returns, or fails to return, together."""


class Scanned:
    """The events of a segment, and the bytes that are none."""

    def __init__(self) -> None:
        self.columns = Columns()
        self.texts: list[Texts] = []
        self.gaps: list[Gap] = []
        self.committed = 0
        """Offset up to which it is known to be synced."""

    @classmethod
    def of(cls, path: Path, seed: bytes) -> Scanned:
        """Read a segment. Unreadable bytes are damaged. Raises ``OSError`` if it cannot be opened."""
        found, framing = cls(), Framing(seed)
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size, at, step = os.fstat(handle).st_size, HEADER_BYTES, _STEP
            while at < size:
                data = _pread(handle, min(step, size - at), at)
                scan = framing.scan(data, at, is_end=at + len(data) >= size)
                found._add(scan.frames, scan.gaps)
                step = max(2 * step, scan.needs) if scan.needs and scan.end == at else _STEP
                at = scan.end
        finally:
            os.close(handle)
        return found

    def _add(self, frames: Sequence[Frame], gaps: Sequence[Gap]) -> None:
        self.gaps += gaps
        for frame in frames:
            if frame.kind != EVENT:
                continue
            try:
                number, facts, texts = decode_facts(frame.body)
            except JournalCorrupt:
                continue
            if self.columns.numbers and number <= self.columns.numbers[-1]:
                at = bisect_left(self.columns.numbers, number)
                self.columns.cut(at)
                del self.texts[at:]
            self.columns.append(number, facts, frame.start, frame.end)
            self.texts.append(texts)
        self.committed = max(self.committed, last_commit(frames))


def _pread(handle: int, size: int, offset: int) -> bytes:
    """Read a part of a file, with zeros for pages that the disk does not return."""
    try:
        return os.pread(handle, size, offset)
    except OSError:
        parts = []
        for at in range(offset, offset + size, _PAGE):
            length = min(_PAGE, offset + size - at)
            try:
                parts.append(os.pread(handle, length, at))
            except OSError:
                parts.append(bytes(length))
        return b"".join(parts)
