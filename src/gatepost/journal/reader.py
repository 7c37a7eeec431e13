"""Read every stream of a journal, and keep the position.

Rules:

* Of a running writer only published, synced frames are read. Of a writer that has ended everything is read: a frame
  after the last sync was never acknowledged, but its check shows that it is complete.
* A body that no commit covers was perhaps never synced, and its images may be missing. It is in
  :attr:`Batch.uncommitted`.
* A damaged frame is skipped and reported, and the reader goes on after it.
* A stream that cannot be read now, because a later version wrote it or the disk fails, waits. Nothing of it is skipped,
  and the others are read.
* Streams of alarms are read first, so that an alarm never waits for records.
* The reader changes nothing on disk. The caller stores the positions, together with its results.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from gatepost.errors import JournalCorrupt, JournalError, JournalTooNew, JournalUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.format import (
    COMMIT_BYTES,
    EVENT,
    HEADER_BYTES,
    Framing,
    Gap,
    Scan,
    decode_header,
    last_commit,
)
from gatepost.journal.streams import START, Position, Stream

__all__ = ["Batch", "Damage", "Reader"]

_STEP = 1024 * 1024
"""Bytes that are read at once."""

_GONE = "it is gone, and was not read to its end"


class Damage(Struct, frozen=True):
    """Acknowledged bytes that cannot be read."""

    stream: str
    segment: int
    start: int
    end: int
    """Offsets of the bytes in the segment; both 0 if the segment itself is missing or unreadable."""
    why: str

    @property
    def is_gone(self) -> bool:
        """Return whether the file is gone, with everything in it."""
        return self.why == _GONE


class Batch(Struct, frozen=True):
    """The bodies of one read."""

    bodies: tuple[bytes, ...]
    positions: Mapping[str, Position]
    """The position after the bodies, of each stream that was read."""
    damages: tuple[Damage, ...]
    waiting: Mapping[str, JournalError] = {}
    """Why a stream cannot be read now: :class:`~gatepost.errors.JournalTooNew` or ``JournalUnavailable``."""
    uncommitted: tuple[int, ...] = ()
    """Indexes of bodies that their writer perhaps never reported as written: it was killed, or the disk failed.

    A body with an incomplete image (see :meth:`~gatepost.journal.packs.packs.Packs.confirm`) was never acknowledged. It
    must not be used, or it would make a duplicate of the same event when the terminal pushes it again.
    """


class _Open(Struct):
    """The segment of a stream that is being read."""

    number: int
    handle: int
    framing: Framing
    committed: int | None = None
    """Offset up to which it is known to be synced, once it is closed."""


class Reader:
    """Reads a journal on from known positions. One thread at a time."""

    def __init__(
        self,
        folder: Folder,
        positions: Mapping[str, Position],
        streams: Sequence[Stream] | None = None,
    ) -> None:
        """``positions``: the position of each stream up to which the caller is done.

        ``streams``: read only these, and only what was synced when they were listed.
        """
        self._folder = folder
        self._only = streams
        self._positions = dict(positions)
        self._open: dict[str, _Open] = {}

    def rewind(self, positions: Mapping[str, Position]) -> None:
        """Go back to these positions, to read again what was not finished."""
        self._positions = dict(positions)

    def read(self, *, max_bodies: int, max_bytes: int) -> Batch:
        """Return the next bodies: of alarms first, else of the oldest stream.

        At most ``max_bodies``, and ``max_bytes`` of them, but at least one if there is any. An empty batch: there is
        nothing yet. Raises :class:`~gatepost.errors.JournalUnavailable` if the folder cannot be read; then no position
        has changed.
        """
        bodies: list[bytes] = []
        damages: list[Damage] = []
        moved: dict[str, Position] = {}
        uncommitted: list[int] = []
        waiting: dict[str, JournalError] = {}
        streams = self._folder.streams() if self._only is None else self._only
        self._look_for_gone({stream.name for stream in streams}, damages)
        for stream in streams:
            while len(bodies) < max_bodies and max_bytes > 0:
                before = self._positions.get(stream.name, START)
                try:
                    found = self._step(stream, before, max_bodies - len(bodies), max_bytes, damages)
                except JournalError as error:
                    waiting[stream.name] = error
                    break
                if found is None:
                    break
                read, doubtful, after = found
                uncommitted += range(len(bodies) + len(read) - doubtful, len(bodies) + len(read))
                bodies += read
                max_bytes -= sum(map(len, read))
                self._positions[stream.name] = moved[stream.name] = after
        self._close_others({stream.name for stream in streams})
        return Batch(tuple(bodies), moved, tuple(damages), waiting, tuple(uncommitted))

    def close(self) -> None:
        """Close every file. Idempotent."""
        self._close_others(set())

    def _look_for_gone(self, streams: set[str], damages: list[Damage]) -> None:
        """Delete the positions of streams that are gone."""
        for name in sorted(self._positions.keys() - streams):
            position = self._positions.pop(name)
            if not position.has_ended:
                damages.append(Damage(name, position.segment, 0, 0, _GONE))

    def _step(
        self, stream: Stream, position: Position, max_bodies: int, max_bytes: int, damages: list[Damage]
    ) -> tuple[list[bytes], int, Position] | None:
        """Read on in one segment; ``None``: there is nothing more yet. Appends to ``damages``.

        Return the bodies, how many of the last ones no commit covers, and the position after them.
        """
        if stream.trouble is not None:
            raise stream.trouble
        if position.segment > stream.last and not stream.is_alive:
            # A stream without a segment has perhaps not begun. Its writer makes the file before it locks it.
            has_begun = position != START and not position.has_ended
            return ([], 0, position.behind_the_end()) if has_begun else None
        if position.segment > stream.last or (stream.is_alive and not position.is_before(stream.published)):
            return None
        is_open = stream.is_alive and position.segment == stream.published.segment
        path = self._folder.segment(stream.name, position.segment)
        if not stream.is_alive and position.segment == stream.last and _is_unbegun(path):
            return [], 0, Position(position.segment + 1, 0, position.events)
        try:
            segment = self._segment(stream.name, position.segment, path)
            size = os.fstat(segment.handle).st_size
            limit = min(size, stream.published.offset) if is_open else size
            start = max(position.offset, HEADER_BYTES)
            scan = _scan(segment, start, limit, max_bodies, max_bytes)
            committed = stream.published.offset if is_open else _committed(stream, segment, start, size)
            damages += _damages(stream, segment, scan, size, committed, is_open=is_open)
        except (FileNotFoundError, JournalCorrupt) as error:
            why = str(error) if isinstance(error, JournalCorrupt) else _GONE
            damages.append(Damage(stream.name, position.segment, 0, 0, why))
            # A running writer will start another segment. The rest of this one is lost.
            return [], 0, stream.published if is_open else _next(stream, position.segment, position.events)
        except JournalTooNew as error:
            raise JournalTooNew(f"{path.name}: {error}") from error
        except OSError as error:
            raise JournalUnavailable(f"{path.name} cannot be read: {error.strerror}") from error
        bodies = [frame.body for frame in scan.frames if frame.kind == EVENT]
        doubtful = sum(frame.kind == EVENT and frame.end > committed for frame in scan.frames)
        events = position.events + len(bodies)
        if scan.end < limit:
            return bodies, doubtful, Position(position.segment, scan.end, events)
        if is_open:
            return bodies, doubtful, stream.published
        self._forget(stream.name)
        return bodies, doubtful, _next(stream, position.segment, events)

    def _segment(self, stream: str, number: int, path: Path) -> _Open:
        found = self._open.get(stream)
        if found is not None and found.number == number:
            return found
        self._forget(stream)
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            header = decode_header(os.pread(handle, HEADER_BYTES, 0))
            if header.journal != self._folder.id or header.number != number:
                raise JournalCorrupt("it belongs to another journal, or has another number; put it back")
        except BaseException:
            os.close(handle)
            raise
        found = self._open[stream] = _Open(number, handle, Framing(header.seed))
        return found

    def _forget(self, stream: str) -> None:
        found = self._open.pop(stream, None)
        if found is not None:
            os.close(found.handle)

    def _close_others(self, streams: set[str]) -> None:
        for name in [name for name in self._open if name not in streams]:
            self._forget(name)


def _next(stream: Stream, segment: int, events: int) -> Position:
    """Return the begin of the next segment. For the last segment, the writer published the number of events."""
    published = stream.published
    if (published.segment, published.offset) == (segment + 1, 0):
        return published
    return Position(segment + 1, 0, events)


def _is_unbegun(path: Path) -> bool:
    """Return whether a segment has only an incomplete header, which was never synced."""
    try:
        data = path.read_bytes() if path.stat().st_size <= HEADER_BYTES else None
        if data is not None:
            decode_header(data)
    except JournalCorrupt:
        return True
    except (JournalTooNew, OSError):
        pass  # reported where it is read
    return False


def _scan(segment: _Open, start: int, limit: int, max_events: int, max_bytes: int) -> Scan:
    """Read frames from ``start`` on, up to ``limit``."""
    step = _STEP
    while True:
        end = min(limit, start + step)
        data = _pread(segment.handle, end - start, start)
        scan = segment.framing.scan(
            data, start, is_end=end == limit, max_events=max_events, max_bytes=max_bytes
        )
        if not scan.needs or scan.frames or scan.gaps:
            return scan
        step = max(2 * step, scan.needs)


def _committed(stream: Stream, segment: _Open, start: int, size: int) -> int:
    """Return the offset up to which a closed segment is known to be synced, from the frames after ``start``.

    A segment that was closed properly ends with a commit. The rest of any other one is read, once.
    """
    if segment.committed is None:
        at = max(start, size - COMMIT_BYTES)
        end = last_commit(segment.framing.scan(_pread(segment.handle, size - at, at), at, is_end=True).frames)
        if not end:
            rest = segment.framing.scan(_pread(segment.handle, size - start, start), start, is_end=True)
            end = last_commit(rest.frames)
        published = stream.published.offset if segment.number == stream.published.segment else 0
        segment.committed = max(end, published)
    return segment.committed


def _damages(
    stream: Stream, segment: _Open, scan: Scan, size: int, committed: int, *, is_open: bool
) -> list[Damage]:
    """Return the acknowledged bytes among the gaps of a scan, and those that are missing after the segment.

    In a closed segment, bytes after the last commit and after the published end may be the rest of an incomplete write.
    """
    gaps = [gap for gap in scan.gaps if is_open or gap.start < committed]
    if size < committed and scan.end >= size:
        gaps.append(Gap(size, committed))
    return [
        Damage(stream.name, segment.number, gap.start, gap.end, "these bytes are no whole frame")
        for gap in gaps
    ]


def _pread(handle: int, size: int, offset: int) -> bytes:
    """Read ``size`` bytes at an offset, fewer at the end of the file."""
    parts: list[bytes] = []
    while size > 0 and (part := os.pread(handle, size, offset)):
        parts.append(part)
        size -= len(part)
        offset += len(part)
    return b"".join(parts)
