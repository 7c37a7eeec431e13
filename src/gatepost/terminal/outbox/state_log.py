"""The state on disk: checkpoints, and the operations behind each.

Rules:

* A file ``state-NNNNNNNN`` begins like a segment, goes on with a checkpoint (a whole state), and then with operations.
  A process writes only files that it made.
* An operation is written before anyone is told, and not synced: a power cut may take acknowledgements, and what they
  were about is sent once more. What must not be lost that way is synced (``sync=True``), and so is everything before a
  segment is deleted.
* The file before the last one is kept: its checkpoint and operations lead to the last checkpoint. So that one may be
  damaged. An operation that is damaged is left out.
* What the disk does not take stays in memory, and goes first when it takes something again.
* After a sync that failed a file takes nothing more, for a second sync may succeed without the data. Another has to be
  begun.
* Another file is begun when the operations have as many bytes as a checkpoint, but at least :data:`LEAST_BYTES`: so
  checkpoints at most double what is written, and a start reads little.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from gatepost.terminal.outbox.state import VERSION, Op

__all__ = ["LEAST_BYTES", "Kept", "StateLog"]

log = Log(__name__)

CHECKPOINT = 3
"""The kind of the frame of a checkpoint."""

LEAST_BYTES = 256 * 1024

_NAME = re.compile(r"state-(\d{8})")
_KEPT_FILES = 2
_TRIES = 100

_encoder = msgspec.msgpack.Encoder()


class Kept(Struct, frozen=True):
    """The state that a folder has."""

    checkpoint: dict[str, Any] | None
    """``None``: there is none that can be read."""
    ops: list[Op]
    """What was done since."""
    number: int
    """Of the last file; 0: there is none."""
    is_damaged: bool


class StateLog:
    """Writes the state of one outbox. One thread at a time."""

    def __init__(self, folder: Folder, number: int) -> None:
        """Write behind the files that are there; ``number``: of the last of them."""
        self._folder = folder
        self._files = folder.files
        self._number = number
        self._handle = -1
        self._framing: Framing | None = None
        self._end = self._begins = 0
        self._failed = False
        """The last sync of the file failed."""
        self._cause = errno.EIO
        """Why there is no file to write to: the number of the error."""
        self.unwritten: list[Op] = []
        """What the disk did not take."""

    @classmethod
    def read(cls, folder: Folder) -> Kept:
        """Read the last state that is whole, and what was done since.

        Raises :class:`~gatepost.errors.OutboxTooNew` and :class:`~gatepost.errors.OutboxUnavailable`.
        """
        for _ in range(_TRIES):
            try:
                kept = _read_all(folder)
                break
            except FileNotFoundError:
                continue  # its writer has begun another file meanwhile
            except OSError as error:
                raise OutboxUnavailable(
                    f"the outbox {folder.path} cannot be read: {error.strerror}"
                ) from error
        else:
            raise OutboxUnavailable(
                f"the outbox {folder.path} cannot be read: its files come and go; try again"
            )
        if kept.is_damaged:
            log.error("outbox.damaged", file=f"state-{kept.number:08d}")
        return kept

    @property
    def is_clean(self) -> bool:
        """Return whether everything that was done is in the file, and no sync of it has failed."""
        return not self.unwritten and self.is_writable

    @property
    def is_writable(self) -> bool:
        """Return whether there is a file to write to; else another has to be begun."""
        return self._handle >= 0 and not self._failed

    @property
    def is_due(self) -> bool:
        """Return whether another checkpoint is due."""
        return not self.is_writable or self._end - self._begins >= max(LEAST_BYTES, self._begins)

    def begin(self, state: dict[str, Any]) -> None:
        """Begin another file with this state, which has everything that was done. Raises ``OSError``."""
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
        self._files.remove(path)
        handle = self._files.create(path)
        try:
            self._files.write(handle, data, 0)
            self._files.sync(handle)
            self._files.sync_folder(self._folder.path)
        except BaseException:
            self._files.close(handle)
            with contextlib.suppress(OSError):
                self._files.remove(path)
            raise
        self.close()
        self._handle, self._framing, self._number = handle, framing, number
        self._end = self._begins = len(data)
        self._failed = False
        self.unwritten.clear()
        for earlier in _files_of(self._folder):
            if earlier <= number - _KEPT_FILES:
                self._files.remove(_path(self._folder, earlier))

    def write(self, ops: Sequence[Op], *, sync: bool = False) -> None:
        """Write operations behind what was not written yet. Raises ``OSError``: they are not written, then.

        What could not be written before stays in :attr:`unwritten` in that case, without ``ops``.
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
        self.unwritten.clear()

    def keep(self, ops: Sequence[Op]) -> None:
        """Keep in memory what the disk did not take."""
        self.unwritten += ops

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        if self._handle >= 0:
            self._files.close(self._handle)
            self._handle, self._framing = -1, None


def _files_of(folder: Folder) -> list[int]:
    """Return the numbers of the files that are there, in order."""
    return sorted(int(match[1]) for file in folder.path.iterdir() if (match := _NAME.fullmatch(file.name)))


def _path(folder: Folder, number: int) -> Path:
    return folder.path / f"state-{number:08d}"


def _read_all(folder: Folder) -> Kept:
    numbers = _files_of(folder)
    checkpoint: dict[str, Any] | None = None
    ops: list[Op] = []
    is_damaged = False
    for number in reversed(numbers):
        checkpoint, done, is_whole = _read(_path(folder, number), folder)
        ops[:0] = done
        is_damaged |= not is_whole
        if checkpoint is not None:
            break
    return Kept(checkpoint, ops, numbers[-1] if numbers else 0, is_damaged)


def _read(path: Path, folder: Folder) -> tuple[dict[str, Any] | None, list[Op], bool]:
    """Return the checkpoint of a file, its operations, and whether it is whole."""
    try:
        data = path.read_bytes()
        header = decode_header(data[:HEADER_BYTES])
    except FileNotFoundError:
        raise
    except JournalTooNew as error:
        raise OutboxTooNew(f"the outbox {folder.path} was written by a later gatepost: {error}") from error
    except (JournalCorrupt, OSError):
        return None, [], False
    if header.journal != folder.id:
        return None, [], False
    scan = Framing(header.seed).scan(data[HEADER_BYTES:], HEADER_BYTES, is_end=True)
    checkpoint: dict[str, Any] | None = None
    ops: list[Op] = []
    # What is behind the last frame may be the tail of a write that was cut short.
    is_whole = all(gap.end == scan.end for gap in scan.gaps)
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
    return checkpoint, ops, is_whole and checkpoint is not None
