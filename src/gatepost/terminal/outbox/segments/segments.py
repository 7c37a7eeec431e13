"""The segments of an outbox: the place of each event, and its bytes.

Rules:

* An event is a frame of the journal. It is on disk when :meth:`Segments.append` returns.
* Memory has some bytes per event: the columns of its segment. A closed segment has an index, so that a start does not
  read the events. If the index is missing or damaged, the segment is read, and the index made again. The index of an
  open segment has only its seed.
* Alarms have segments of their own, so that they keep no records on a full disk. A group with both is taken back if
  only one of them can be written.
* In a lane numbers ascend. Of two events with one number the later one counts: the earlier was part of an append that
  failed, and no caller was told of it. If the disk cannot remove an event, its number is not given again in that lane.
* A damaged frame costs its event only. Its bytes are set aside (:mod:`.set_aside`). So is a whole segment whose header
  is lost in both copies and in the index.
* A segment is deleted when none of its events is needed, which the caller decides. If some are needed, the bytes of the
  others can be given back (:mod:`.holes`). A file system that cannot make holes is tried once.
* A rescue reads what it can, also from segments of another journal and of a later version.
"""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path

from gatepost.errors import JournalUnavailable, OutboxUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.format import FRAME_BYTES
from gatepost.journal.streams import Position
from gatepost.journal.writer import Writer
from gatepost.terminal.outbox.segments.frames import Columns, Facts
from gatepost.terminal.outbox.segments.holes import PAGE, punch
from gatepost.terminal.outbox.segments.loader import SegmentLoader
from gatepost.terminal.outbox.segments.segment import (
    LANES,
    Segment,
    Staged,
    index_of,
    read_frame,
    write_index,
)
from gatepost.terminal.outbox.segments.set_aside import Aside
from gatepost.terminal.outbox.types import ALARMS, RECORDS

__all__ = ["Segments"]

_SURELY_BLOCKS = 64 * 1024
"""Least bytes in a row that surely contain whole blocks of the disk."""
_YEAR_S = 365 * 86_400.0
_OPEN = 4
"""Segments that stay open for reading."""
_ASIDE_SEGMENTS = 4
"""Segments whose space damaged bytes take at most."""


class Segments:
    """The segments of one folder. One thread at a time."""

    def __init__(
        self, folder: Folder, *, segment_bytes: int, segments: list[Segment], life: int, aside: Aside
    ) -> None:
        self.folder = folder
        self.aside = aside
        self.lanes = tuple([one for one in segments if one.lane == lane] for lane in (ALARMS, RECORDS))
        """The segments of each lane, by age."""
        self._files = folder.files
        self._segment_bytes = segment_bytes
        self._life = life
        self._writers: list[Writer | None] = [None, None]
        self._firsts = tuple([segment.columns.numbers[0] for segment in lane] for lane in self.lanes)
        self._handles: dict[Path, int] = {}
        self._staged: dict[int, Staged] = {}
        self.has_empty = False
        """There may be a segment without needed events."""
        self.has_waste = False
        """There may be a segment whose bytes can be given back."""
        self._makes_holes = True
        """The file system can make holes, as far as known."""
        self.deleted_up_to = [0, 0]
        """The highest number that was deleted, by lane."""
        self.may_remain = False
        """A start may find events that the last :meth:`append` refused, so their numbers are not free."""

    @classmethod
    def load(
        cls, folder: Folder, *, segment_bytes: int, is_writer: bool, is_rescue: bool = False
    ) -> Segments:
        """Read the places in every segment. ``is_writer``: damage is set aside, and indexes are made.

        Raises :class:`~gatepost.errors.OutboxTooNew` and :class:`~gatepost.errors.OutboxUnavailable`.
        """
        try:
            streams = sorted(folder.streams(), key=lambda stream: stream.name)
        except JournalUnavailable as error:
            raise OutboxUnavailable(str(error)) from error
        aside = Aside(folder.path, folder.files, most_bytes=_ASIDE_SEGMENTS * segment_bytes)
        loader = SegmentLoader(folder, aside, is_writer=is_writer, is_rescue=is_rescue)
        lanes: tuple[list[Segment], list[Segment]] = ([], [])
        for stream in streams:
            for number in stream.segments:
                segment = loader.load(stream, number)
                if segment is None:
                    continue
                first, lane = segment.columns.numbers[0], lanes[segment.lane]
                while lane and lane[-1].columns.numbers[-1] >= first:
                    lane[-1].columns.cut(bisect_left(lane[-1].columns.numbers, first))
                    if not len(lane[-1].columns):
                        lane.pop()
                lane.append(segment)
            if is_writer and not stream.segments:
                with contextlib.suppress(OSError):
                    folder.files.remove(folder.writer_file(stream.name))
        if is_writer:
            aside.trim()
        life = 1 + max((int(stream.name.partition("-")[0]) for stream in streams), default=0)
        segments = [*lanes[ALARMS], *lanes[RECORDS]]
        return cls(folder, segment_bytes=segment_bytes, segments=segments, life=life, aside=aside)

    # --- what is there ----------------------------------------------------------------------------------------

    def __contains__(self, number: int) -> bool:
        return self.facts(number) is not None

    @property
    def all(self) -> list[Segment]:
        """Return the segments, those of alarms first."""
        return [*self.lanes[ALARMS], *self.lanes[RECORDS]]

    @property
    def last(self) -> int:
        """Return the highest number; 0 without any."""
        return max((lane[-1].columns.numbers[-1] for lane in self.lanes if lane), default=0)

    @property
    def first(self) -> int:
        """Return the lowest number; 0 without any."""
        return min((firsts[0] for firsts in self._firsts if firsts), default=0)

    def of(self, number: int) -> Segment | None:
        """Return the segment of an event; ``None`` without one."""
        for lane in (RECORDS, ALARMS):
            at = bisect_right(self._firsts[lane], number) - 1
            if at >= 0 and self.lanes[lane][at].place(number) is not None:
                return self.lanes[lane][at]
        return None

    def facts(self, number: int) -> Facts | None:
        """Return the facts of an event; ``None``: it is not there."""
        staged = self._staged.get(number)
        if staged is not None:
            return staged.facts
        segment = self.of(number)
        return None if segment is None else segment.columns.facts(segment.place(number) or 0)

    def trace(self, number: int) -> str | None:
        """Return the trace of an alarm."""
        staged = self._staged.get(number)
        if staged is not None:
            return staged.texts[0]
        segment = self.of(number)
        if segment is None or segment.lane == RECORDS:
            return None
        at, texts = segment.place(number) or 0, segment.texts()
        return texts[at][0] if at < len(texts) else None

    def size(self) -> int:
        """Return the bytes of all files in the folder."""
        total = 0
        with contextlib.suppress(OSError), os.scandir(self.folder.path) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    about = entry.stat()
                    total += min(about.st_size, about.st_blocks * 512)  # holes take no space
        return total

    def read(self, number: int) -> bytes | None:
        """Return the body of an event; ``None``: its bytes are damaged, or it is not there. Raises ``OSError``."""
        segment = self.of(number)
        if segment is None:
            return None
        at = segment.place(number) or 0
        return read_frame(self._handle(segment), segment, at)

    def set_aside(self, number: int) -> None:
        """Move the damaged bytes of an event to a file of their own."""
        segment = self.of(number)
        if segment is not None:
            at = segment.place(number) or 0
            self.aside.take_part(segment.path, segment.columns.starts[at], segment.columns.ends[at])

    def _handle(self, segment: Segment) -> int:
        handle = self._handles.pop(segment.path, None)
        if handle is None:
            if len(self._handles) >= _OPEN:
                os.close(self._handles.pop(next(iter(self._handles))))
            handle = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        self._handles[segment.path] = handle
        return handle

    # --- what comes in ----------------------------------------------------------------------------------------

    def stage(self, event: Staged) -> None:
        """Prepare an event to be appended."""
        self._staged[event.number] = event

    def unstage(self, number: int) -> None:
        """Forget a staged event, which is not appended."""
        self._staged.pop(number, None)

    def append(self) -> None:
        """Append the staged events. They are on disk when this returns.

        Raises :class:`~gatepost.errors.JournalUnavailable`: none of them was appended. :attr:`may_remain` tells whether
        a start may find some of them.
        """
        self.may_remain = False
        places: list[tuple[Writer, Position, Position, list[Staged]]] = []
        for lane in (RECORDS, ALARMS):
            events = [event for event in self._staged.values() if event.facts.lane == lane]
            if not events:
                continue
            writer = self._writers[lane]
            try:
                if writer is None:
                    writer = self._writers[lane] = self._begin(lane)
                before = writer.position
                places.append((writer, before, writer.append([event.body for event in events]), events))
            except BaseException:
                self.may_remain = writer is not None and writer.may_remain
                for other, start, _, _ in places:
                    other.take_back(start)
                    self.may_remain |= other.may_remain
                for begun in self._writers:
                    if begun is not None:
                        begun.remove_blank()  # otherwise a full disk keeps one for each event
                raise
        for writer, _, place, events in places:
            self._appended(writer, place, events)
        self._staged.clear()

    def _appended(self, writer: Writer, place: Position, events: Sequence[Staged]) -> None:
        lane = events[0].facts.lane
        segments = self.lanes[lane]
        if not segments or segments[-1].seed != writer.seed:
            self._finish_last(lane)
            path = self.folder.segment(writer.stream, place.segment)
            segment = Segment(path, writer.seed, Columns(), [])
            # Both copies of the header are in one page of the disk. Without the seed no event can be read.
            write_index(self.folder, segment, [])
            segment.is_open = True
            segments.append(segment)
            self._firsts[lane].append(events[0].number)
        segment = segments[-1]
        start = place.offset - sum(FRAME_BYTES + len(event.body) for event in events)
        for event in events:
            end = start + FRAME_BYTES + len(event.body)
            segment.columns.append(event.number, event.facts, start, end)
            segment.texts().append(event.texts)
            start = end
        segment.live += len(events)

    def _begin(self, lane: int) -> Writer:
        life, self._life = self._life, self._life + 1
        return Writer(
            self.folder,
            LANES[lane],
            segment_bytes=self._segment_bytes,
            segment_s=_YEAR_S,
            # Names sort by age. They do not use a clock, which can be set back.
            now=lambda: (life + 0.5) / 1000,
        )

    def _finish_last(self, lane: int) -> None:
        """Write the index of the last segment, which takes no more events."""
        if self.lanes[lane] and self.lanes[lane][-1].is_open:
            segment = self.lanes[lane][-1]
            write_index(self.folder, segment, segment.texts())
            segment.close()
            self.has_waste |= segment.waste > 0

    # --- what goes --------------------------------------------------------------------------------------------

    def not_needed(self, number: int) -> None:
        """Count an event as no longer needed."""
        segment = self.of(number)
        if segment is not None:
            segment.live -= 1
            segment.waste += segment.bytes_of(segment.place(number) or 0)
            self.has_empty |= not segment.live
            self.has_waste = True

    def needed_again(self, number: int) -> None:
        """Undo :meth:`not_needed`."""
        segment = self.of(number)
        if segment is not None:
            segment.live += 1
            segment.waste -= segment.bytes_of(segment.place(number) or 0)

    def count_history(self, number: int, change: int) -> None:
        """Count an event as history, or no longer so."""
        segment = self.of(number)
        if segment is not None:
            segment.history += change

    @property
    def held(self) -> int:
        """Return the bytes that all segments take on the disk."""
        return sum(segment.size for segment in self.all)

    @property
    def wasteful(self) -> Segment | None:
        """Return the oldest closed segment with many bytes to give back; ``None`` without one."""
        if not (self.has_waste and self._makes_holes):
            return None
        least = max(self._segment_bytes // 4, 2 * PAGE)
        for segment in self.all:
            is_much = segment.waste >= least or segment.waste >= max(segment.size // 3, 2 * PAGE)
            if is_much and segment.live and not segment.is_open:
                return segment
        self.has_waste = False
        return None

    @property
    def makes_holes(self) -> bool:
        """Return whether the file system can make holes, as far as known."""
        return self._makes_holes

    def give_back(self, segment: Segment, is_needed: Callable[[int], bool]) -> int:
        """Give the bytes of unneeded events of a closed segment back; return how many.

        Raises ``OSError``. The caller has recorded on disk that these events are not needed.
        """
        texts = segment.texts()
        punched = punch(segment, self._files, is_needed)
        self._makes_holes = punched.has_gained or punched.longest < _SURELY_BLOCKS
        segment.waste = 0
        write_index(self.folder, segment, texts)
        return punched.freed if punched.has_gained else 0

    def finish(self, lane: int) -> None:
        """Close the last segment of a lane, so that it can be deleted."""
        writer = self._writers[lane]
        if writer is not None:
            writer.finish()
        self._finish_last(lane)

    def finish_unneeded(self) -> None:
        """Close the last segments without needed events, so that they can be deleted."""
        for lane in (ALARMS, RECORDS):
            last = self.lanes[lane][-1] if self.lanes[lane] else None
            if last is not None and last.is_open and not last.live:
                self.finish(lane)
                self.has_empty = True

    @property
    def closed(self) -> list[Segment]:
        """Return the segments that take no more events."""
        return [segment for segment in self.all if not segment.is_open]

    def empty(self) -> list[Segment]:
        """Return the closed segments without needed events."""
        return [segment for segment in self.all if not (segment.live or segment.is_open)]

    def remove(self, segment: Segment) -> None:
        """Delete a closed segment. Raises ``OSError``."""
        self._files.remove(segment.path)
        self._files.remove(index_of(segment.path))
        lane = segment.lane
        at = self.lanes[lane].index(segment)
        del self.lanes[lane][at], self._firsts[lane][at]
        handle = self._handles.pop(segment.path, None)
        if handle is not None:
            os.close(handle)
        stream, writer = segment.place_in_stream[0], self._writers[lane]
        if (writer is None or writer.stream != stream) and not any(
            other.place_in_stream[0] == stream for other in self.lanes[lane]
        ):
            self._files.remove(self.folder.writer_file(stream))

    def close(self) -> None:
        """End the streams, and close the files. Idempotent."""
        for lane in (ALARMS, RECORDS):
            writer, self._writers[lane] = self._writers[lane], None
            if writer is not None:
                writer.close()
            self._finish_last(lane)
        while self._handles:
            os.close(self._handles.popitem()[1])
