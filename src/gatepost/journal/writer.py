"""Appending to a stream.

Rules:

* What :meth:`Writer.append` returned for is on disk. Many bodies share one write and one sync.
* Images go into packs, and only events say where. Segment and packs are synced at the same time, then what was
  appended is published.
* A failed write or sync fails everyone who waits, and closes the segment and the packs for ever: nothing in them counts
  that a second sync would be for, because that may succeed without the data. The next append begins new ones.
* What failed is cut off the segment, and that is synced. Where the disk does not let it, :attr:`Writer.may_remain`.
* A new segment or pack counts once its folder is synced.
* A file that was deleted under the writer takes nothing more: what is appended fails, and the next append begins
  another segment, or another stream where its ``.writer`` is gone.
* A segment or pack that is full or old is closed by the next append, and where none comes, by
  :meth:`Writer.finish_if_due`: what was read leaves the disk also when nothing follows.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from gatepost.errors import JournalUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.format import (
    COMMIT,
    EVENT,
    HEADER_BYTES,
    SEED_BYTES,
    Framing,
    Header,
    encode_commit,
    encode_header,
)
from gatepost.journal.packs.writer import PACK_BYTES, PACK_S, PackWriter
from gatepost.journal.places import Image, Place
from gatepost.journal.streams import RECORDS, START, Position, encode_publication

__all__ = ["SEGMENT_BYTES", "SEGMENT_S", "Writer"]

SEGMENT_BYTES = 64 * 1024 * 1024
SEGMENT_S = 60.0
"""A segment is closed when it has so many bytes, or so long after its first event."""


class _Segment(Struct):
    """The segment that is being written."""

    number: int
    handle: int
    seed: bytes
    framing: Framing
    began: float
    end: int
    """Up to where it is written and synced."""


class Writer:
    """Appends to one stream, which begins and ends with it. One thread at a time."""

    def __init__(
        self,
        folder: Folder,
        lane: str = RECORDS,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segment_s: float = SEGMENT_S,
        pack_bytes: int = PACK_BYTES,
        pack_s: float = PACK_S,
        closes_packs: bool = False,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Begin a stream; its first segment is made with the first append, and a pack with the first image of a kind.

        ``closes_packs``: with each append, so that its images can be moved to an archive at once. ``random`` returns
        so many random bytes. Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        self._folder = folder
        self._files = folder.files
        self._segment_bytes = segment_bytes
        self._segment_s = segment_s
        self._monotonic = monotonic
        self._random = random
        self._lane, self._now = lane, now
        self._closes_packs = closes_packs
        self.may_remain = False
        """Whether a reader may find what the last append refused: the disk did not let the writer cut it off."""
        self._segment: _Segment | None = None
        self._lock = -1
        try:
            self._begin_stream()
        except OSError as error:
            raise JournalUnavailable(
                f"the journal {folder.path} takes no new file: {error.strerror}; make room, or let the program"
                " write there"
            ) from error
        self._packs = PackWriter(
            folder,
            self.stream,
            pack_bytes=pack_bytes,
            pack_s=pack_s,
            now=now,
            monotonic=monotonic,
            random=random,
        )

    def _begin_stream(self) -> None:
        self.stream, lock = self._new_stream()
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = lock
        self._last = 0
        """The number of the last segment that was made."""
        self.position = START
        """Up to where the stream is synced, and published."""

    def _new_stream(self) -> tuple[str, int]:
        while True:
            stream = f"{int(self._now() * 1000):013d}-{self._random(4).hex()}-{self._lane}"
            path = self._folder.writer_file(stream)
            handle = self._files.create(path)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                self._files.write(handle, encode_publication(START), 0)
                if os.fstat(handle).st_nlink:  # else it was deleted before it was locked
                    return stream, handle
            except BaseException:
                os.close(handle)
                with contextlib.suppress(OSError):
                    self._files.remove(path)
                raise
            os.close(handle)

    def append(self, bodies: Sequence[bytes]) -> Position:
        """Append event frames, and return the place behind them when they are on disk.

        Raises :class:`~gatepost.errors.JournalUnavailable`: then none of them may be acknowledged, though some of
        them may be read. Raises ``ValueError`` for a body that is too large; nothing was written then.
        """
        return self.append_with_images((), lambda places: bodies)

    def append_with_images(
        self, images: Sequence[Image], encode: Callable[[Sequence[Place]], Sequence[bytes]]
    ) -> Position:
        """Append images, and the event frames that have their places; return when all of it is on disk.

        ``encode`` gets the places, in the order of the images, and returns the bodies. What it raises is raised here;
        nothing was appended then. Raises what :meth:`append` raises.
        """
        self.may_remain = False
        with self._closing_on_failure():
            places = self._packs.write(images)
        bodies = encode(places)
        with self._closing_on_failure():
            segment = self._current()
        parts = [part for body in bodies for part in (segment.framing.head(EVENT, body), body)]
        if segment.end > HEADER_BYTES:
            parts.insert(0, segment.framing.encode(COMMIT, encode_commit(segment.end)))
        data = b"".join(parts)
        with self._closing_on_failure():
            self._files.write(segment.handle, data, segment.end)
            written = [segment.handle, *self._packs.unsynced]
            self._files.sync_all(written)
            if not all(map(self._files.is_named, [*written, self._lock])):
                raise OSError(errno.ENOENT, "one of its files was deleted")
            segment.end += len(data)
        self._packs.mark_synced()
        if self._closes_packs:
            self._packs.finish()
        self.position = Position(segment.number, segment.end, self.position.events + len(bodies))
        self._publish()
        return self.position

    @property
    def seed(self) -> bytes:
        """Return the seed of the segment that was appended to last; empty: it is closed."""
        return b"" if self._segment is None else self._segment.seed

    def take_back(self, place: Position) -> None:
        """Cut off what was appended behind ``place``, and close the segment. Nothing of it was acknowledged.

        Never raises: where the disk does not let it, what was appended may be read after the end of this stream, and
        :attr:`may_remain` says so.
        """
        segment = self._segment
        if segment is not None:
            segment.end = max(HEADER_BYTES, place.offset if place.segment == segment.number else 0)
            self._cut_off()
            self._abandon()
            self.position = Position(segment.number, segment.end, place.events)
            self._publish()

    def remove_blank(self) -> None:
        """Delete the segment that was begun last where it was closed with nothing in it. Its number is not used again.

        For streams whose readers do not go from number to number. Never raises.
        """
        if self._segment is None and self._last:
            path = self._folder.segment(self.stream, self._last)
            with contextlib.suppress(OSError):
                if path.stat().st_size <= HEADER_BYTES:
                    self._files.remove(path)

    def finish(self) -> None:
        """Close the segment, so that a reader passes it and it can be deleted. Does nothing where none was begun.

        Never raises: everything in it was synced before. The next append begins another one.
        """
        self._end_segment()
        place = Position(self._last + 1, 0, self.position.events)
        if self.position != place:
            self.position = place
            self._publish()

    def finish_if_due(self) -> None:
        """Close what is full, old or failed. Call it now and then while nothing is appended."""
        self._packs.finish_if_due()
        if self._segment is None or self._is_due(self._segment):
            self.finish()

    def close(self) -> None:
        """End the stream. May be called twice."""
        self._end_segment()
        self._packs.finish()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _current(self) -> _Segment:
        """Return the segment to append to: another one where the last is full, old, or failed."""
        if self._segment is not None and self._is_due(self._segment):
            self._end_segment()
        if self._segment is None:
            self._segment = self._begin()
        return self._segment

    def _is_due(self, segment: _Segment) -> bool:
        return segment.end >= self._segment_bytes or self._monotonic() - segment.began >= self._segment_s

    def _begin(self) -> _Segment:
        if not self._files.is_named(self._lock):
            self._begin_stream()
        number = self._last + 1
        seed = self._random(SEED_BYTES)
        path = self._folder.segment(self.stream, number)
        try:
            handle = self._files.create(path)
        except FileExistsError:
            # Of an attempt that failed, on a disk that did not take it away then: nothing is in it.
            self._files.remove(path)
            handle = self._files.create(path)
        try:
            self._files.write(handle, encode_header(Header(self._folder.id, number, seed)), 0)
            self._files.sync(handle)
            self._files.sync_folder(self._folder.path)
        except OSError:
            # Nothing is in it: the next one may have its number.
            self._files.close(handle)
            with contextlib.suppress(OSError):
                self._files.remove(path)
            raise
        self._last = number
        return _Segment(number, handle, seed, Framing(seed), self._monotonic(), HEADER_BYTES)

    def _end_segment(self) -> None:
        """Close the segment with a commit of its last batch, so that a reader can tell damage from a tail."""
        segment = self._segment
        if segment is None:
            return
        with contextlib.suppress(OSError):
            frame = segment.framing.encode(COMMIT, encode_commit(segment.end))
            self._files.write(segment.handle, frame, segment.end)
            self._files.sync(segment.handle)
        self._abandon()

    @contextlib.contextmanager
    def _closing_on_failure(self) -> Iterator[None]:
        """Close segment and packs for ever, whatever fails: what was written must not count with the next append."""
        try:
            yield
        except BaseException as error:
            self._packs.abandon()
            self._cut_off()
            self._abandon()
            if isinstance(error, OSError):
                raise JournalUnavailable(f"the journal cannot be written: {error.strerror}") from error
            raise

    def _cut_off(self) -> None:
        """Take what was not synced off the segment, as far as the disk lets it: nothing of it was acknowledged.

        It is synced, else a power cut would bring it back.
        """
        if self._segment is not None:
            try:
                if os.fstat(self._segment.handle).st_size > self._segment.end:
                    self._files.truncate(self._segment.handle, self._segment.end)
                    self._files.sync(self._segment.handle)
            except OSError:
                self.may_remain = True

    def _abandon(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            with contextlib.suppress(OSError):
                self._files.close(segment.handle)

    def _publish(self) -> None:
        """Tell readers in other processes. It is not synced: after a power cut there is no writer to wait for."""
        with contextlib.suppress(OSError):
            self._files.write(self._lock, encode_publication(self.position), 0)
