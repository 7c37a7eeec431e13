"""A journal on disk: a folder, and the streams in it.

Rules:

* A folder has a random id, made with it. Positions are stored with this id, because another folder, or one that was
  emptied, has another id.
* The segments of a stream are numbered from 1 without a gap. No segment is ever opened again for appending, neither by
  another process nor after a restart.
* A writer holds a lock on its stream's file ``.writer`` and publishes in it how far its segments are synced. A reader
  reads no further. If the lock is free the writer has ended, and everything that it left is read.
* A writer that closes segment n without another event publishes the beginning of segment n + 1, which is made with the
  next event. So a reader leaves segment n, which can be deleted.
* A lock on the file with the id pins the journal: nothing is deleted then.
* A segment is deleted only when a position shows that all of it was read. A segment that is gone earlier is a loss, and
  reported.
* A stream is deleted only when its position shows that it has ended (:meth:`Position.behind_the_end`). So a stream that
  is gone earlier is reported as well, although perhaps nothing was unread.

Names: ``STREAM-000001.events``, ``STREAM.writer``; a stream's name is the moment at which it was begun, a random part,
and its lane, so names sort by age.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from gatepost.errors import JournalCorrupt, JournalUnavailable
from gatepost.journal.files import Files
from gatepost.journal.streams import PUBLICATION_BYTES, START, Backlog, Position, Stream, decode_publication

__all__ = ["Folder", "Removed", "try_lock"]

_ID = "journal"
_PACKS = "packs"
_ID_BYTES = 16
_STREAM = re.compile(r"(\d{13}-[0-9a-f]{8}-(?:records|alarms))(?:-(\d{6,})\.events|\.writer)")
_TRIES = 1000
"""How often an incomplete publication is read again. It has only 28 bytes, so after that it is damaged."""

_UNLOCKED: tuple[Position, bool, JournalUnavailable | None] = (START, False, None)
"""The state of a stream without a publication and without a writer, or before its begin."""


class Removed(Struct, frozen=True):
    """The result of :meth:`Folder.remove`."""

    segments: int
    """Number of deleted segments."""
    streams: tuple[str, ...]
    """Streams that are gone for good, so their positions are not needed any more."""
    is_pinned: bool = False
    """Nothing was deleted, because the journal is pinned."""


class Folder:
    """The folder of a journal. Thread-safe; several processes may have it open."""

    def __init__(self, path: Path, number: bytes, files: Files) -> None:
        self.path = path
        self.id = number
        """Sixteen random bytes."""
        self.files = files

    @classmethod
    def open(cls, path: Path, *, files: Files | None = None) -> Folder:
        """Open a journal, or make it if there is none.

        Raises :class:`~gatepost.errors.JournalCorrupt` for a folder with segments and without their id, and
        :class:`~gatepost.errors.JournalUnavailable`.
        """
        files = Files() if files is None else files
        try:
            files.make_folder(path)
            number = _look(path)
            if number is None:
                number = _make_id(path, files)
        except OSError as error:
            raise _cannot_open(path, error) from error
        return cls(path, number, files)

    @classmethod
    def find(cls, path: Path) -> Folder | None:
        """Open the journal of another process, and change nothing; ``None`` without one.

        Raises what :meth:`open` raises.
        """
        try:
            number = _look(path) if path.is_dir() else None
        except OSError as error:
            raise _cannot_open(path, error) from error
        return None if number is None else cls(path, number, Files())

    def segment(self, stream: str, number: int) -> Path:
        """Return the path of a segment."""
        return self.path / f"{stream}-{number:06d}.events"

    def writer_file(self, stream: str) -> Path:
        """Return the path of the file that a stream's writer locks."""
        return self.path / f"{stream}.writer"

    @property
    def packs(self) -> Path:
        """Return the path of the folder with the packs; it is made with the first one."""
        return self.path / _PACKS

    def streams(self) -> list[Stream]:
        """Return every stream, those of alarms first, each kind by age.

        Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        try:
            return self._streams()
        except OSError as error:
            raise JournalUnavailable(f"the journal {self.path} cannot be read: {error.strerror}") from error

    def _streams(self) -> list[Stream]:
        found: dict[str, dict[int, int]] = {}
        # First how far each is synced, then the segments, because a published segment exists.
        states = {name: self._known(name) for name in self._names()}
        with os.scandir(self.path) as entries:
            for entry in entries:
                match = _STREAM.fullmatch(entry.name)
                if match is None or match[2] is None:
                    continue
                with contextlib.suppress(FileNotFoundError):
                    found.setdefault(match[1], {})[int(match[2])] = entry.stat().st_size
        # A stream that was begun meanwhile seemed to have ended: its writer makes the file before it locks it, and
        # the first segment after that.
        for name in found:
            if states.get(name, _UNLOCKED) == _UNLOCKED:
                states[name] = self._known(name)
        streams = [
            Stream(name, dict(sorted(found.get(name, {}).items())), *states.get(name, _UNLOCKED))
            for name in states.keys() | found.keys()
        ]
        return sorted(streams, key=lambda stream: (not stream.is_alarms, stream.name))

    def size(self) -> int:
        """Return the bytes of all segments. Raises :class:`~gatepost.errors.JournalUnavailable`."""
        return sum(sum(stream.segments.values()) for stream in self.streams())

    def backlog(self, positions: Mapping[str, Position]) -> Backlog:
        """Return what readers at these positions have not read. Reads no segment.

        Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        parts = [stream.behind(positions.get(stream.name, START)) for stream in self.streams()]
        return Backlog(sum(part.events for part in parts), sum(part.bytes for part in parts))

    def waits_since(self, positions: Mapping[str, Position]) -> float | None:
        """Return when the oldest unread segment was last written, in Unix seconds; ``None``: all is read.

        The oldest event is at most :data:`~gatepost.journal.writer.SEGMENT_S` older. Raises
        :class:`~gatepost.errors.JournalUnavailable`.
        """
        times = []
        for stream in self.streams():
            position = positions.get(stream.name, START)
            if stream.behind(position).bytes:
                first = min(number for number in stream.segments if number >= position.segment)
                with contextlib.suppress(OSError):  # it was just read and deleted
                    times.append(self.segment(stream.name, first).stat().st_mtime)
        return min(times, default=None)

    def remove(self, positions: Mapping[str, Position]) -> Removed:
        """Delete the segments before these positions, and streams that have ended.

        A stream has ended if its position says so, or if it has no position and never had a segment.

        ``positions`` must be on disk, because deleted segments are nowhere else. Does nothing while the journal is
        pinned. Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        removed = 0
        ended: set[str] = set()
        try:
            with self.unpinned() as may_remove:
                if not may_remove:
                    return Removed(0, (), is_pinned=True)
                for stream in self.streams():
                    position = positions.get(stream.name, START)
                    for number in stream.segments:
                        if number < position.segment:
                            self.files.remove(self.segment(stream.name, number))
                            removed += 1
                    is_empty = position == START and not stream.last
                    if (position.has_ended or is_empty) and not stream.is_alive:
                        self._remove_writer_file(stream)
                ended = positions.keys() - {stream.name for stream in self.streams()}
                if ended:
                    # Otherwise a power cut may bring it back when its position is deleted.
                    self.files.sync_folder(self.path)
        except OSError as error:
            raise JournalUnavailable(
                f"a segment of {self.path} cannot be deleted: {error.strerror}"
            ) from error
        return Removed(removed, tuple(sorted(ended)))

    def _names(self) -> list[str]:
        with os.scandir(self.path) as entries:
            matches = [_STREAM.fullmatch(entry.name) for entry in entries]
        return [match[1] for match in matches if match is not None and match[2] is None]

    def _known(self, stream: str) -> tuple[Position, bool, JournalUnavailable | None]:
        """Return :meth:`_state`, or why it is unknown. In that case the writer counts as running."""
        try:
            return *self._state(stream), None
        except JournalUnavailable as error:
            return START, True, error
        except OSError as error:
            return START, True, JournalUnavailable(f"{stream}.writer cannot be read: {error.strerror}")

    def _state(self, stream: str) -> tuple[Position, bool]:
        """Return what a writer has published, and whether it runs."""
        try:
            handle = os.open(self.writer_file(stream), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return START, False
        try:
            is_alive = not try_lock(handle, fcntl.LOCK_SH)
            published = decode_publication(os.pread(handle, PUBLICATION_BYTES, 0))
            tries = 0
            while published is None and is_alive:  # it is being written
                if tries == _TRIES:
                    raise JournalUnavailable(
                        f"{stream}.writer is damaged; its writer writes it again with the next event"
                    )
                tries += 1
                published = decode_publication(os.pread(handle, PUBLICATION_BYTES, 0))
                is_alive = not try_lock(handle, fcntl.LOCK_SH)
            return published or START, is_alive
        finally:
            os.close(handle)

    def _remove_writer_file(self, stream: Stream) -> None:
        """Delete the file under its lock. A writer that is about to lock it notices that it is gone.

        The file stays if the writer has begun and ended since the stream was read.
        """
        path = self.writer_file(stream.name)
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if (
                    try_lock(handle, fcntl.LOCK_EX)
                    and (decode_publication(os.pread(handle, PUBLICATION_BYTES, 0)) or START)
                    == stream.published
                ):
                    self.files.remove(path)
            finally:
                os.close(handle)

    @contextlib.contextmanager
    def pinned(self) -> Iterator[None]:
        """Keep every segment during the ``with``, in all processes.

        Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        try:
            handle = os.open(self.path / _ID, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _cannot_open(self.path, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def unpinned(self) -> Iterator[bool]:
        """Keep the journal from being pinned during the ``with``; false: it is pinned.

        Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        try:
            handle = os.open(self.path / _ID, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _cannot_open(self.path, error) from error
        try:
            yield try_lock(handle, fcntl.LOCK_EX)
        finally:
            os.close(handle)


def try_lock(handle: int, kind: int) -> bool:
    """Lock a file, shared or exclusively; return ``False`` if another process holds the lock."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _look(path: Path) -> bytes | None:
    """Return the id of the journal in a folder; ``None`` without a journal."""
    number = _read_id(path)
    if number is None and any(_STREAM.fullmatch(name.name) for name in path.iterdir()):
        raise JournalCorrupt(
            f"{path} holds segments, but the file {_ID!r} with its id is missing or damaged;"
            " restore that file, or move the folder away to begin with an empty journal"
        )
    return number


def _cannot_open(path: Path, error: OSError) -> JournalUnavailable:
    return JournalUnavailable(f"the journal {path} cannot be opened: {error.strerror}")


def _read_id(path: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError, ValueError, UnicodeDecodeError):
        number = bytes.fromhex((path / _ID).read_text("ascii"))
        return number if len(number) == _ID_BYTES else None
    return None


def _make_id(path: Path, files: Files) -> bytes:
    """Make the id. A reader never sees a part of it. Of two processes that make one, the first wins."""
    number = os.urandom(_ID_BYTES)
    name = path / f"{_ID}.{number.hex()}"
    handle = files.create(name)
    try:
        files.write(handle, number.hex().encode(), 0)
        files.sync(handle)
    finally:
        files.close(handle)
    try:
        files.link(name, path / _ID)
    except FileExistsError:
        found = _read_id(path)
        if found is None:
            files.remove(path / _ID)  # damaged, and there are no segments
            files.link(name, path / _ID)
        else:
            number = found
    files.remove(name)
    files.sync_folder(path)
    return number
