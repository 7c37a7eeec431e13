"""Append to a stream.

Rules:

* When :meth:`Writer.append` returns, its bodies are on disk. Many bodies share one write and one sync.
* Images go into packs, and only events have their places. Segment and packs are synced at the same time, then the
  position is published.
* A failed write or sync fails all callers, and closes the segment and the packs for ever, because a second sync may
  succeed without the data. The next append starts new ones.
* The bytes of a failed append are cut off the segment, and that is synced. If the disk refuses that:
  :attr:`Writer.may_remain`.
* A new segment or pack counts once its folder is synced.
* A file that was deleted under the writer takes nothing more. The append fails, and the next one starts another
  segment, or another stream if its ``.writer`` is gone.
* A segment or pack that is full or old is closed by the next append, or without one by :meth:`Writer.finish_if_due`. So
  read events leave the disk also when nothing follows.
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
"""A segment is closed when it has that many bytes, or that many seconds after its first event."""


class _Segment(Struct):
    """The segment that is being written."""

    number: int
    handle: int
    seed: bytes
    framing: Framing
    began: float
    end: int
    """Offset up to which it is written and synced."""


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
        """Start a stream. Its first segment is made with the first append, a pack with the first image of a kind.

        ``closes_packs``: close them with each append, so that images can be moved to an archive at once. ``random``
        returns that many random bytes. Raises :class:`~gatepost.errors.JournalUnavailable`.
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
        """A reader may find events that the last append refused, because the disk did not allow a cut."""
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
        """Number of the last segment."""
        self.position = START
        """How far the stream is synced and published."""

    def _new_stream(self) -> tuple[str, int]:
        while True:
            stream = f"{int(self._now() * 1000):013d}-{self._random(4).hex()}-{self._lane}"
            path = self._folder.writer_file(stream)
            handle = self._files.create(path)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                self._files.write(handle, encode_publication(START), 0)
                if os.fstat(handle).st_nlink:  # otherwise it was deleted before it was locked
                    return stream, handle
            except BaseException:
                os.close(handle)
                with contextlib.suppress(OSError):
                    self._files.remove(path)
                raise
            os.close(handle)

    def append(self, bodies: Sequence[bytes]) -> Position:
        """Append event frames, and return the position after them when they are on disk.

        Raises :class:`~gatepost.errors.JournalUnavailable`: none of them may be acknowledged, although a reader may
        find some. Raises ``ValueError`` for a body that is too large; then nothing is written.
        """
        return self.append_with_images((), lambda places: bodies)

    def append_with_images(
        self, images: Sequence[Image], encode: Callable[[Sequence[Place]], Sequence[bytes]]
    ) -> Position:
        """Append images, and the event frames with their places; return when all is on disk.

        ``encode`` gets the places, in the order of the images, and returns the bodies. If it raises, nothing is
        appended. Raises what :meth:`append` raises.
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
        """Return the seed of the segment of the last append; empty: it is closed."""
        return b"" if self._segment is None else self._segment.seed

    def take_back(self, place: Position) -> None:
        """Cut off everything after ``place``, and close the segment. None of it was acknowledged.

        Never raises. If the disk refuses, the bytes may be read after the end of this stream, and :attr:`may_remain` is
        set.
        """
        segment = self._segment
        if segment is not None:
            segment.end = max(HEADER_BYTES, place.offset if place.segment == segment.number else 0)
            self._cut_off()
            self._abandon()
            self.position = Position(segment.number, segment.end, place.events)
            self._publish()

    def remove_blank(self) -> None:
        """Delete the last segment if it was closed empty. Its number is not used again.

        Only for streams whose readers do not go from number to number. Never raises.
        """
        if self._segment is None and self._last:
            path = self._folder.segment(self.stream, self._last)
            with contextlib.suppress(OSError):
                if path.stat().st_size <= HEADER_BYTES:
                    self._files.remove(path)

    def finish(self) -> None:
        """Close the segment, so that a reader leaves it and it can be deleted. Does nothing without one.

        Never raises, because everything in it is synced. The next append starts another one.
        """
        self._end_segment()
        place = Position(self._last + 1, 0, self.position.events)
        if self.position != place:
            self.position = place
            self._publish()

    def finish_if_due(self) -> None:
        """Close what is full, old or failed. To be called now and then while nothing is appended."""
        self._packs.finish_if_due()
        if self._segment is None or self._is_due(self._segment):
            self.finish()

    def close(self) -> None:
        """End the stream. Idempotent."""
        self._end_segment()
        self._packs.finish()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _current(self) -> _Segment:
        """Return the segment to append to; a new one if the last is full, old, or failed."""
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
            # Left by a failed attempt on a failing disk. It is empty.
            self._files.remove(path)
            handle = self._files.create(path)
        try:
            self._files.write(handle, encode_header(Header(self._folder.id, number, seed)), 0)
            self._files.sync(handle)
            self._files.sync_folder(self._folder.path)
        except OSError:
            # It is empty, so the next one may have its number.
            self._files.close(handle)
            with contextlib.suppress(OSError):
                self._files.remove(path)
            raise
        self._last = number
        return _Segment(number, handle, seed, Framing(seed), self._monotonic(), HEADER_BYTES)

    def _end_segment(self) -> None:
        """Close the segment with a commit of its last batch, by which a reader recognises damage."""
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
        """On any failure close segment and packs for ever: written bytes must not count with the next append."""
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
        """Cut unsynced bytes off the segment, if the disk lets it. None of them was acknowledged.

        The cut is synced, because a power cut could undo it.
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
        """Publish the position for other processes. It is not synced: after a power cut the writer has ended."""
        with contextlib.suppress(OSError):
            self._files.write(self._lock, encode_publication(self.position), 0)
