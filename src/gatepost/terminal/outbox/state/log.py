"""The state on disk: checkpoints, and the operations after each.

Rules:

* A file ``state-NNNNNNNN`` begins like a segment, then has a checkpoint (a whole state), then operations. A process
  writes only to files that it made. A file gets its name once it is synced with its checkpoint, so that one that is
  half-written after a kill or a power cut does not count.
* An operation is written before a caller is told, and not synced. After a power cut acknowledgements may be missing,
  and their events are pushed again. What must not be lost is synced (``sync=True``), and so is everything before a
  segment is deleted.
* The file before the last one is kept. Its checkpoint and operations lead to the last checkpoint, so one file may be
  damaged. A damaged operation is skipped. After the end that the mark records, missing operations are no damage,
  because a power cut may lose some and leave later ones.
* What the disk does not take stays in memory, and is written first when it takes writes again. If there are many, only
  operations that end an event are kept. The next checkpoint has the rest.
* The end of a file may be missing without a trace. So before a segment is deleted, and at a stop, a *mark* records how
  far the operations are synced, and which numbers are deleted. It costs no sync: without it, or with an older one,
  deleted events may count as damaged.
* After a failed sync a file takes nothing more, because a second sync may succeed without the data. A new file is
  started.
* A new file is started when the operations have as many bytes as a checkpoint, but at least :data:`LEAST_BYTES`. So
  checkpoints at most double the written bytes, and a start reads little.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
from msgspec import Struct

from gatepost.errors import JournalCorrupt, JournalTooNew, OutboxTooNew, OutboxUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.format import (
    EVENT,
    HEADER_BYTES,
    SEED_BYTES,
    Framing,
    Header,
    decode_header,
    encode_header,
)
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.state.operations import ENDS, VERSION, Op
from gatepost.terminal.outbox.types import DAMAGE

__all__ = ["LEAST_BYTES", "MOST_UNWRITTEN", "Kept", "Mark", "StateLog", "marked_id"]

log = Log(__name__)

CHECKPOINT = 3
"""The kind of the frame of a checkpoint."""

LEAST_BYTES = 256 * 1024

MOST_UNWRITTEN = 10_000
"""Operations kept in memory that only a checkpoint needs."""

_MARK = "deleted"
_MARKED = struct.Struct("<16s4Q")
"""Id of the journal, number of a file of the state, its end, the highest deleted number of each lane."""
_CHECK = struct.Struct("<I")

_NAME = re.compile(r"state-(\d{8})")
_KEPT_FILES = 2
_TRIES = 100

_encoder = msgspec.msgpack.Encoder()


class Mark(Struct, frozen=True):
    """The end of the state when a segment was last deleted."""

    number: int = 0
    """Number of a file of the state."""
    end: int = 0
    """Offset up to which it was synced."""
    deleted_up_to: tuple[int, int] = (0, 0)
    """The highest deleted number, by lane."""


class Kept(Struct, frozen=True):
    """The state in a folder."""

    checkpoint: dict[str, Any] | None
    """``None``: none can be read."""
    ops: list[Op]
    """The operations since."""
    number: int
    """Number of the last file; 0 without one."""
    damaged: tuple[Path, ...]
    """Incomplete files."""
    is_damaged: bool
    """Operations are missing."""
    mark: Mark


class StateLog:
    """Writes the state of one outbox. One thread at a time."""

    def __init__(self, folder: Folder, number: int) -> None:
        """Write after the present files. ``number``: of the last one."""
        self._folder = folder
        self._files = folder.files
        self._number = number
        self._handle = -1
        self._framing: Framing | None = None
        self._end = self._begins = 0
        self._failed = False
        """The last sync of the file failed."""
        self._cause = errno.EIO
        """The error number for which there is no file to write to."""
        self.unwritten: list[Op] = []
        """Operations that the disk did not take."""
        self._most_unwritten = MOST_UNWRITTEN
        self._lacks_some = False
        """The file lacks operations, which the next checkpoint has."""
        self._mark = -1

    @classmethod
    def read(cls, folder: Folder, *, is_rescue: bool = False) -> Kept:
        """Read the last complete state, and the operations since.

        ``is_rescue``: the state of a later version is skipped.
        Raises :class:`~gatepost.errors.OutboxTooNew` and :class:`~gatepost.errors.OutboxUnavailable`.
        """
        for _ in range(_TRIES):
            try:
                kept = _read_all(folder)
                break
            except OutboxTooNew:
                if not is_rescue:
                    raise
                kept = Kept(None, [], 0, (), False, Mark())
                break
            except FileNotFoundError:
                continue  # the writer has started another file meanwhile
            except OSError as error:
                if is_rescue:
                    kept = Kept(None, [], 0, (), False, Mark())
                    break
                raise OutboxUnavailable(
                    f"the outbox {folder.path} cannot be read: {error.strerror}"
                ) from error
        else:
            raise OutboxUnavailable(
                f"the outbox {folder.path} cannot be read: its files come and go; try again"
            )
        if kept.is_damaged:
            log.error("outbox.damaged", file=(kept.damaged or (_path(folder, kept.number),))[0].name)
        return kept

    @property
    def is_clean(self) -> bool:
        """Return whether every operation is in the file, and no sync of it has failed."""
        return not self.unwritten and self.is_writable

    @property
    def is_writable(self) -> bool:
        """Return whether there is a file to write to. If not, a new one has to be started."""
        return self._handle >= 0 and not self._failed

    @property
    def is_due(self) -> bool:
        """Return whether another checkpoint is due."""
        return (
            self._lacks_some
            or not self.is_writable
            or self._end - self._begins >= max(LEAST_BYTES, self._begins)
        )

    def begin(self, state: dict[str, Any]) -> None:
        """Start a new file with this state, which includes every operation. Raises ``OSError``."""
        try:
            self._begin(state)
        except OSError as error:
            self._cause = error.errno or errno.EIO
            raise

    def _begin(self, state: dict[str, Any]) -> None:
        number, seed = self._number + 1, os.urandom(SEED_BYTES)
        framing = Framing(seed)
        data = encode_header(Header(self._folder.id, number, seed))
        data += framing.encode(CHECKPOINT, _encoder.encode(state))
        path = _path(self._folder, number)
        unfinished = path.with_suffix(".part")
        self._files.remove(unfinished)
        handle = self._files.create(unfinished)
        try:
            self._files.write(handle, data, 0)
            self._files.sync(handle)
            self._files.rename(unfinished, path)
            self._files.sync_folder(self._folder.path)
        except BaseException:
            self._files.close(handle)
            for made in (unfinished, path):
                with contextlib.suppress(OSError):
                    self._files.remove(made)
            raise
        self._close_file()
        self._handle, self._framing, self._number = handle, framing, number
        self._end = self._begins = len(data)
        self._failed = self._lacks_some = False
        self._wrote()
        for earlier in _files_of(self._folder):
            if earlier <= number - _KEPT_FILES:
                self._files.remove(_path(self._folder, earlier))

    def write(self, ops: Sequence[Op], *, sync: bool = False) -> None:
        """Write pending operations, then these. Raises ``OSError``: then they are not written.

        In that case the earlier ones stay in :attr:`unwritten`, without ``ops``.
        """
        if self._framing is None or self._failed:
            raise OSError(self._cause, os.strerror(self._cause))
        every = [*self.unwritten, *ops]
        if every:
            frame = self._framing.encode(EVENT, _encoder.encode(every))
            try:
                self._files.write(self._handle, frame, self._end)
            except OSError:
                with contextlib.suppress(OSError):
                    self._files.truncate(self._handle, self._end)
                raise
            self._end += len(frame)
        if sync:
            try:
                self._files.sync(self._handle)
            except OSError as error:
                self._failed, self._cause = True, error.errno or errno.EIO
                raise
        self._wrote()

    def keep(self, ops: Sequence[Op]) -> None:
        """Keep operations in memory that the disk did not take; the number of attempts among them is bounded."""
        self.unwritten += ops
        if len(self.unwritten) > self._most_unwritten:
            self.unwritten = [op for op in self.unwritten if op[0] in ENDS]
            self._most_unwritten = max(MOST_UNWRITTEN, 2 * len(self.unwritten))
            self._lacks_some = True

    def _wrote(self) -> None:
        self.unwritten.clear()
        self._most_unwritten = MOST_UNWRITTEN

    def mark(self, deleted_up_to: Sequence[int]) -> None:
        """Write the mark, if the disk takes it: the synced end, and the deleted numbers."""
        head = _MARKED.pack(self._folder.id, self._number, self._end, *deleted_up_to)
        with contextlib.suppress(OSError):
            if self._mark < 0:
                path = self._folder.path / _MARK
                self._files.remove(path)
                self._mark = self._files.create(path)
            self._files.write(self._mark, head + _CHECK.pack(crc32(head)), 0)

    def close(self) -> None:
        """Close the files. Idempotent."""
        self._close_file()
        if self._mark >= 0:
            self._files.close(self._mark)
            self._mark = -1

    def _close_file(self) -> None:
        if self._handle >= 0:
            self._files.close(self._handle)
            self._handle, self._framing = -1, None


def _files_of(folder: Folder) -> list[int]:
    """Return the numbers of the present files, in order."""
    return sorted(int(match[1]) for file in folder.path.iterdir() if (match := _NAME.fullmatch(file.name)))


def _path(folder: Folder, number: int) -> Path:
    return folder.path / f"state-{number:08d}"


def _read_all(folder: Folder) -> Kept:
    mark = _read_mark(folder)  # first, because the files are complete up to it
    numbers = _files_of(folder)
    checkpoint: dict[str, Any] | None = None
    ops: list[Op] = []
    damaged: list[Path] = []
    is_damaged = bool(mark.number) and (not numbers or numbers[-1] < mark.number)
    for number in reversed(numbers):
        path = _path(folder, number)
        checkpoint, done, end, is_whole = _read(path, folder, mark.end if number == mark.number else 0)
        ops[:0] = done
        if not is_whole or (number == mark.number and end < mark.end):
            damaged.append(path)
        if checkpoint is not None:
            break
    last = numbers[-1] if numbers else 0
    return Kept(checkpoint, ops, last, tuple(damaged), is_damaged or bool(damaged), mark)


def _read_mark(folder: Folder) -> Mark:
    journal, mark = _marked(folder.path)
    return mark if journal == folder.id else Mark()


def marked_id(path: Path) -> bytes | None:
    """Return the journal id in the mark of a folder; ``None`` without a complete mark."""
    return _marked(path)[0]


def _marked(path: Path) -> tuple[bytes | None, Mark]:
    try:
        data = (path / _MARK).read_bytes()
    except OSError:
        return None, Mark()
    head, check = data[: _MARKED.size], data[_MARKED.size :]
    if len(head) < _MARKED.size or check != _CHECK.pack(crc32(head)):
        return None, Mark()
    journal, number, end, *deleted_up_to = _MARKED.unpack(head)
    return journal, Mark(number, end, (deleted_up_to[0], deleted_up_to[1]))


def _read(path: Path, folder: Folder, synced: int) -> tuple[dict[str, Any] | None, list[Op], int, bool]:
    """Return the checkpoint of a file, its operations, their end, and whether it is complete.

    ``synced``: offset up to which its operations are known to be synced.
    """
    try:
        data = path.read_bytes()
        header = decode_header(data[:HEADER_BYTES])
    except FileNotFoundError:
        raise
    except JournalTooNew as error:
        raise OutboxTooNew(f"the outbox {folder.path} was written by a later gatepost: {error}") from error
    except JournalCorrupt:
        return None, [], 0, False
    except OSError as error:
        if error.errno not in DAMAGE:
            raise
        return None, [], 0, False
    if header.journal != folder.id:
        return None, [], 0, False
    scan = Framing(header.seed).scan(data[HEADER_BYTES:], HEADER_BYTES, is_end=True)
    checkpoint: dict[str, Any] | None = None
    ops: list[Op] = []
    # Bytes after the last sync may be left by a power cut, and bytes after the last frame by a kill.
    is_whole = all(gap.start >= synced or gap.end == scan.end for gap in scan.gaps)
    for frame in scan.frames:
        try:
            if frame.kind == CHECKPOINT:
                checkpoint = msgspec.msgpack.decode(frame.body, type=dict[str, Any])
            elif frame.kind == EVENT:
                ops += (tuple(op) for op in msgspec.msgpack.decode(frame.body, type=list[list[Any]]))
        except msgspec.MsgspecError:
            is_whole = False
    if checkpoint is not None and checkpoint["version"] > VERSION:
        raise OutboxTooNew(
            f"the outbox {folder.path} was written by a later gatepost (version {checkpoint['version']} of its "
            f"state, this one knows {VERSION}); install that version again"
        )
    end = scan.frames[-1].end if scan.frames else HEADER_BYTES
    return checkpoint, ops, end, is_whole and checkpoint is not None
