"""The segments of an outbox: where each event stands, and its bytes.

Rules:

* An event is a frame of the journal; what is returned for by :meth:`Segments.append` is on disk.
* In memory there are some bytes an event: the columns of its segment. A closed segment has an index next to it, so that
  a start does not read the events; where that is missing or damaged, the segment is read, and the index made again. The
  index of an open segment has its seed alone.
* Alarms have segments of their own, so that they keep no records when the disk is full. What is stored together and has
  both is taken back where only one of them can be written.
* In a lane numbers ascend. Where a number stands twice, the later one counts: the earlier was part of an append that
  failed, and no caller was told that it was taken. That holds within a lane: a number whose event the disk did not let
  go is not given again.
* A frame that is damaged costs its event, no other. Its bytes are set aside (:mod:`.set_aside`); so is a whole segment
  whose header is gone in both copies and in the index.
* A segment is deleted when no event in it is needed; the caller says when that is. Where some of its events are needed,
  the others' bytes can be given back: a *hole* takes their place, a frame of zeros without blocks on the disk. What is
  needed stays where it is, so readers go on, and a crash in between harms only what was not needed. A file system that
  cannot make holes is asked once.
* A rescue reads what it can, from segments of another journal and of a later version as well.
"""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from gatepost.errors import JournalCorrupt, JournalTooNew, JournalUnavailable, OutboxTooNew, OutboxUnavailable
from gatepost.journal import folder as folder_module
from gatepost.journal.folder import Folder, Position, Stream
from gatepost.journal.format import (
    EVENT,
    FRAME_BYTES,
    HEADER_BYTES,
    Frame,
    Framing,
    Gap,
    decode_header,
    encode_commit,
    last_commit,
)
from gatepost.journal.writer import Writer
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.segments.frames import (
    Columns,
    Facts,
    Index,
    Texts,
    decode_facts,
    decode_index,
    encode_index,
)
from gatepost.terminal.outbox.segments.set_aside import Aside
from gatepost.terminal.outbox.state.log import marked_id
from gatepost.terminal.outbox.types import ALARMS, RECORDS

__all__ = ["Segment", "Segments", "Staged", "index_of", "most_likely_id", "read_frame"]

log = Log(__name__)

LANES: dict[int, str] = {ALARMS: folder_module.ALARMS, RECORDS: folder_module.RECORDS}
"""The journal's name of each lane."""

_HOLE = 4
"""The kind of the frame that stands in place of events whose bytes were given back."""

_COMMIT_BYTES = FRAME_BYTES + len(encode_commit(0))
"""Between two events of a segment stands at most one commit."""
_STEP = 1024 * 1024
_PAGE = 4096
_SURELY_BLOCKS = 64 * 1024
"""So many bytes in a row have blocks of the disk that nothing else stands in."""
_YEAR_S = 365 * 86_400.0
_OPEN = 4
"""Segments that are kept open for reading."""
_ASIDE_SEGMENTS = 4
"""Damaged bytes take the space of so many segments at most."""


class Staged(Struct, frozen=True):
    """An event that is about to be appended."""

    number: int
    facts: Facts
    texts: Texts
    body: bytes


class Segment:
    """One segment, and what is known of its events."""

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
        """How many of its events are still needed."""
        self.history = 0
        """How many of these are delivered records."""
        self.waste = 0
        """Bytes of events that are not needed, and were not given back."""
        self.seen = (0, 0)
        """How many were needed, and were history, when so little could be given back that it was let be."""
        at_hand = range(len(columns)) if columns.gone() else ()
        self.given_back = sum(self.bytes_of(at) for at in at_hand if columns.is_gone(at))
        """Bytes of events that take no space any more."""
        self.is_open = False
        self.synced: int | None = None
        """Up to where it is known to have been synced, where a start has read all of it; ``None``: to its end."""

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
        """Return the texts of each event; of a closed segment they are read. Empty: they cannot be."""
        if self._texts is not None:
            return self._texts
        try:
            index = decode_index(index_of(self.path).read_bytes())
            if index is not None and index.name == self.path.name and len(index.columns) >= len(self.columns):
                return index.decode_texts()
            return list(_Scanned.of(self.path, self.seed).texts)
        except (OSError, JournalCorrupt):
            return []

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
        """Return what another thread may read."""
        if not self.is_open:
            return self
        return Segment(self.path, self.seed, self.columns.copy(), list(self._texts or ()))


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
        self.has_waste = False
        """A segment may be among them of which bytes can be given back."""
        self._makes_holes = True
        """A segment may be among them of which no event is needed."""
        self.deleted_up_to = [0, 0]
        """The highest number that was deleted, by lane."""
        self.may_remain = False
        """Events that the last :meth:`append` refused may be found at a start: their numbers are not free."""

    @classmethod
    def load(
        cls, folder: Folder, *, segment_bytes: int, is_writer: bool, is_rescue: bool = False
    ) -> Segments:
        """Look at every segment. ``is_writer``: damage is set aside, and indexes are made.

        Raises :class:`~gatepost.errors.OutboxTooNew` and :class:`~gatepost.errors.OutboxUnavailable`.
        """
        try:
            streams = sorted(folder.streams(), key=lambda stream: stream.name)
        except JournalUnavailable as error:
            raise OutboxUnavailable(str(error)) from error
        aside = Aside(folder.path, folder.files, most_bytes=_ASIDE_SEGMENTS * segment_bytes)
        loader = _Loader(folder, aside, is_writer=is_writer, is_rescue=is_rescue)
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
        """Return the highest number; 0: there is none."""
        return max((lane[-1].columns.numbers[-1] for lane in self.lanes if lane), default=0)

    @property
    def first(self) -> int:
        """Return the lowest number; 0: there is none."""
        return min((firsts[0] for firsts in self._firsts if firsts), default=0)

    def of(self, number: int) -> Segment | None:
        """Return the segment that an event stands in, if it does."""
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

    def spans(self) -> Iterator[tuple[int, int]]:
        """Return the first and last number of each unbroken row of events."""
        for segment in self.all:
            numbers = segment.columns.numbers
            start = 0
            if numbers[-1] - numbers[0] + 1 == len(numbers):
                yield numbers[0], numbers[-1]
                continue
            for at in range(1, len(numbers) + 1):
                if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
                    yield numbers[start], numbers[at - 1]
                    start = at

    def deleted(self) -> Iterator[tuple[int, int]]:
        """Return the spans of numbers that may have stood in segments that were deleted."""
        for lane, up_to in zip(self.lanes, self.deleted_up_to, strict=True):
            before: Segment | None = None
            for segment in lane:
                first = segment.columns.numbers[0]
                if before is None:
                    yield 1, first - 1
                else:
                    stream, number = before.place_in_stream
                    # A stream that ended may have had segments behind the last one that is there.
                    if segment.place_in_stream != (stream, number + 1):
                        yield before.columns.numbers[-1] + 1, first - 1
                before = segment
            yield 1 if before is None else before.columns.numbers[-1] + 1, up_to

    def damaged(self) -> Iterator[tuple[int, int]]:
        """Return the spans of numbers between two events of a segment with bytes between them that are no event.

        Not so those of a write that a power cut has cut short: none of it was told to a caller.
        """
        for segment in self.all:
            numbers, starts, ends = segment.columns.numbers, segment.columns.starts, segment.columns.ends
            for at in range(1, len(numbers)):
                is_tail = segment.synced is not None and ends[at - 1] >= segment.synced
                has_bytes = starts[at] - ends[at - 1] > _COMMIT_BYTES
                if numbers[at] > numbers[at - 1] + 1 and has_bytes and not is_tail:
                    yield numbers[at - 1] + 1, numbers[at] - 1

    def size(self) -> int:
        """Return the bytes of all files in the folder."""
        total = 0
        with contextlib.suppress(OSError), os.scandir(self.folder.path) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    about = entry.stat()
                    total += min(about.st_size, about.st_blocks * 512)  # holes take nothing
        return total

    def read(self, number: int) -> bytes | None:
        """Return the body of an event; ``None``: its bytes are damaged, or it is not there. Raises ``OSError``."""
        segment = self.of(number)
        if segment is None:
            return None
        at = segment.place(number) or 0
        return read_frame(self._handle(segment), segment, at)

    def set_aside(self, number: int) -> None:
        """Keep the damaged bytes of an event in a file of their own."""
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
        """Let an event be known that is about to be appended."""
        self._staged[event.number] = event

    def unstage(self, number: int) -> None:
        """Forget an event that was staged: it is not appended."""
        self._staged.pop(number, None)

    def append(self) -> None:
        """Append what was staged; it is on disk when this returns.

        Raises :class:`~gatepost.errors.JournalUnavailable`: none of it was appended; :attr:`may_remain` says whether
        some of it may be found at a start.
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
                        begun.remove_blank()  # else a full disk keeps one for each event
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
            # Both copies of the header stand in one page of the disk; without the seed no event can be read.
            _write_index(self.folder, segment, [])
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
            # Names sort by age; an age that no clock tells cannot be set back.
            now=lambda: (life + 0.5) / 1000,
        )

    def _finish_last(self, lane: int) -> None:
        """Write the index of the segment that was written last: it takes nothing more."""
        if self.lanes[lane] and self.lanes[lane][-1].is_open:
            segment = self.lanes[lane][-1]
            segment.is_open = False
            _write_index(self.folder, segment, segment.texts())
            segment._texts = None
            self.has_waste |= segment.waste > 0

    # --- what goes --------------------------------------------------------------------------------------------

    def left(self, number: int) -> None:
        """Count an event as needed no longer."""
        segment = self.of(number)
        if segment is not None:
            segment.live -= 1
            segment.waste += segment.bytes_of(segment.place(number) or 0)
            self.has_empty |= not segment.live
            self.has_waste = True

    def came_back(self, number: int) -> None:
        """Take :meth:`left` back."""
        segment = self.of(number)
        if segment is not None:
            segment.live += 1
            segment.waste -= segment.bytes_of(segment.place(number) or 0)

    def kept(self, number: int, change: int) -> None:
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
        """Return the oldest closed segment of which many bytes can be given back; ``None``: there is none."""
        if not (self.has_waste and self._makes_holes):
            return None
        least = max(self._segment_bytes // 4, 2 * _PAGE)
        for segment in self.all:
            is_much = segment.waste >= least or segment.waste >= max(segment.size // 3, 2 * _PAGE)
            if is_much and segment.live and not segment.is_open:
                return segment
        self.has_waste = False
        return None

    def worth(self, segment: Segment, is_needed: Callable[[int], bool]) -> int:
        """Return the bytes of the whole blocks that :meth:`give_back` would free."""
        starts, ends = segment.columns.starts, segment.columns.ends
        rows = ((starts[first], ends[last]) for first, last in _rows(segment.columns, is_needed))
        return sum(max(0, end // _PAGE - -(-start // _PAGE)) * _PAGE for start, end in rows)

    @property
    def makes_holes(self) -> bool:
        """Return whether the file system gives bytes back, as far as it is known."""
        return self._makes_holes

    def give_back(self, segment: Segment, is_needed: Callable[[int], bool]) -> int:
        """Give the bytes of events back that are not needed, of a closed segment; return how many.

        Raises ``OSError``. The caller has on disk that these events are not needed.
        """
        columns, texts, freed = segment.columns, segment.texts(), 0
        handle = self._files.open(segment.path, writes=True)
        try:
            before, longest = os.fstat(handle).st_blocks, 0
            for first, last in _rows(columns, is_needed):
                start, end = columns.starts[first], columns.ends[last]
                longest = max(longest, end - start)
                self._files.punch(handle, start, end - start)
                head = Framing(segment.seed).head(_HOLE, bytes(end - start - FRAME_BYTES))
                self._files.write(handle, head, start)
                for at in range(first, last + 1):
                    size = 0 if columns.is_gone(at) else segment.bytes_of(at)
                    freed += size
                    segment.given_back += size
                    columns.mark_gone(at)
            gained = os.fstat(handle).st_blocks < before
            self._makes_holes = gained or longest < _SURELY_BLOCKS
        finally:
            self._files.close(handle)
        segment.waste = 0
        _write_index(self.folder, segment, texts)
        return freed if gained else 0

    def finish(self, lane: int) -> None:
        """Close the last segment of a lane, so that it can be deleted."""
        writer = self._writers[lane]
        if writer is not None:
            writer.finish()
        self._finish_last(lane)

    def finish_unneeded(self) -> None:
        """Close the last segments of which no event is needed, so that they can be deleted."""
        for lane in (ALARMS, RECORDS):
            last = self.lanes[lane][-1] if self.lanes[lane] else None
            if last is not None and last.is_open and not last.live:
                self.finish(lane)
                self.has_empty = True

    @property
    def closed(self) -> list[Segment]:
        """Return the segments that take nothing more."""
        return [segment for segment in self.all if not segment.is_open]

    def empty(self) -> list[Segment]:
        """Return the closed segments of which no event is needed."""
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
        """End the streams, and let go of the files. May be called twice."""
        for lane in (ALARMS, RECORDS):
            writer, self._writers[lane] = self._writers[lane], None
            if writer is not None:
                writer.close()
            self._finish_last(lane)
        while self._handles:
            os.close(self._handles.popitem()[1])


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


def _write_index(folder: Folder, segment: Segment, texts: Sequence[Texts]) -> None:
    """Write the index of a segment, as far as the disk lets it: it can be made again."""
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


def _rows(columns: Columns, is_needed: Callable[[int], bool]) -> Iterator[tuple[int, int]]:
    """Yield first and last place of each row of events that are not needed, but for those that are gone already."""
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


class _Scanned:
    """What a segment says that is read from its beginning."""

    def __init__(self) -> None:
        self.columns = Columns()
        self.texts: list[Texts] = []
        self.gaps: list[Gap] = []
        self.committed = 0
        """Up to where it is known to have been synced."""

    @classmethod
    def of(cls, path: Path, seed: bytes) -> _Scanned:
        """Read a segment; what the disk does not give is damaged. Raises ``OSError`` where it cannot be opened."""
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


class _Loader:
    """Looks at the segments of a folder, one after the other."""

    def __init__(self, folder: Folder, aside: Aside, *, is_writer: bool, is_rescue: bool) -> None:
        self._folder = folder
        self._aside = aside
        self._is_writer = is_writer
        self._is_rescue = is_rescue

    def load(self, stream: Stream, number: int) -> Segment | None:
        """Return a segment; ``None``: there is nothing in it that can be used."""
        path, size = self._folder.segment(stream.name, number), stream.segments[number]
        try:
            index = self._index(path)
            if index is not None and index.size == size and len(index.columns):
                return Segment(path, index.seed, index.columns, None)
            seed = self._seed(path, index)
            if seed is None:
                self._without_header(path, size)
                return None
            scanned = _Scanned.of(path, seed)
        except FileNotFoundError:
            return None
        except OSError as error:
            if self._is_rescue:
                return None
            raise OutboxUnavailable(f"the outbox cannot be read: {path}: {error.strerror}") from error
        published = stream.published.offset if stream.published.segment == number else 0
        synced = max(scanned.committed, published)
        for gap in scanned.gaps:
            # What lies behind the last sync is the tail of a write that was cut short.
            if gap.start < synced:
                log.error("outbox.damaged", file=path.name, start=gap.start, end=gap.end)
                if self._is_writer:
                    self._aside.take_part(path, gap.start, gap.end)
        if not len(scanned.columns):
            if self._is_writer:
                self._remove(path)
            return None
        segment = Segment(path, seed, scanned.columns, None)
        segment.synced = synced
        if self._is_writer and not stream.is_alive:
            _write_index(self._folder, segment, scanned.texts)
        else:
            segment._texts = scanned.texts
        return segment

    def _index(self, path: Path) -> Index | None:
        try:
            index = decode_index(index_of(path).read_bytes())
        except OSError:
            return None
        if index is None or index.name != path.name or not self._is_ours(index.journal):
            return None
        return index

    def _is_ours(self, journal: bytes) -> bool:
        return self._is_rescue or journal == self._folder.id

    def _seed(self, path: Path, index: Index | None) -> bytes | None:
        """Return the seed of a segment; ``None``: it is lost."""
        try:
            with path.open("rb") as file:
                header = decode_header(file.read(HEADER_BYTES), reads_later=self._is_rescue)
        except JournalTooNew as error:
            raise OutboxTooNew(
                f"the outbox {self._folder.path} was written by a later gatepost: {error}"
            ) from error
        except (JournalCorrupt, OSError):
            return None if index is None else index.seed
        return header.seed if self._is_ours(header.journal) else None

    def _without_header(self, path: Path, size: int) -> None:
        if size <= HEADER_BYTES:
            if self._is_writer:
                self._remove(path)  # it was being made when the power went
            return
        log.error("outbox.damaged", file=path.name, start=0, end=size)
        if self._is_writer:
            self._aside.take(path)

    def _remove(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            self._folder.files.remove(path)
            self._folder.files.remove(index_of(path))


def _pread(handle: int, size: int, offset: int) -> bytes:
    """Read a part of a file, with zeros for the pages that the disk does not give."""
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


def most_likely_id(path: Path) -> bytes | None:
    """Return the id that most files of a folder name as that of their journal; ``None``: none does."""
    votes: Counter[bytes] = Counter()
    for file in path.iterdir():
        if file.suffix == ".events" or file.name.startswith("state-"):
            with contextlib.suppress(OSError, JournalCorrupt, JournalTooNew), file.open("rb") as begin:
                votes[decode_header(begin.read(HEADER_BYTES)).journal] += 1
    if not votes:  # each of these has lost its first page: the others are asked
        marked = marked_id(path)
        votes.update([] if marked is None else [marked])
        for file in path.glob("*.index"):
            with contextlib.suppress(OSError):
                index = decode_index(file.read_bytes())
                votes.update([] if index is None else [index.journal])
    return votes.most_common(1)[0][0] if votes else None
