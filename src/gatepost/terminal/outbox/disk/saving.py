"""Write the states of events to a disk that may be full or failing.

Rules:

* A change is written before a caller is told, and not synced, unless a person asked for it.
* What the disk does not take is kept in memory, and written when it takes writes again.
* Some space is reserved, so that states can be written on a full disk, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from gatepost.journal.files import Files
from gatepost.terminal.outbox.disk.log import DiskLog
from gatepost.terminal.outbox.opening import explain, is_full
from gatepost.terminal.outbox.segments.segment import Segment
from gatepost.terminal.outbox.segments.segments import Segments
from gatepost.terminal.outbox.state.log import StateLog
from gatepost.terminal.outbox.state.operations import ACCEPTED, CLAIMED, DEAD, DONE, RETRY, Op
from gatepost.terminal.outbox.state.owner import Owner, read_owner, write_owner
from gatepost.terminal.outbox.state.state import State
from gatepost.terminal.outbox.status import free_bytes

__all__ = ["RESERVE_BYTES", "Saver"]

RESERVE_BYTES = 64 * 1024
"""Bytes reserved on the disk for the states of events."""

_ATTEMPTS = (CLAIMED, RETRY)
"""Operations that do not use the reserve. Without them an event is tried earlier, and none is lost."""


class Saver:
    """Writes the state of one outbox. One thread at a time."""

    def __init__(
        self,
        path: Path,
        state: State,
        segments: Segments,
        log: StateLog,
        *,
        files: Files,
        segment_bytes: int,
        now: Callable[[], float],
    ) -> None:
        self.log = log
        self.storage_error: str | None = None
        """Why the disk takes no writes now; ``None`` while it does."""
        self._path = path
        self._state = state
        self._segments = segments
        self._files = files
        self._segment_bytes = segment_bytes
        self._now = now
        self._disk_log = DiskLog()
        self._reserved = path / "reserve"
        self._has_reserve = False

    @property
    def unsaved(self) -> int:
        """Return how many events have a result that is not written yet."""
        return len({op[1] for op in self.log.unwritten if op[0] in (DONE, DEAD, RETRY)})

    def flush(self) -> None:
        """Write pending changes. What the disk does not take is kept, and the status reports it."""
        state, ops = self._state, self._state.ops
        if ops or self.log.unwritten:
            state.ops = []
            try:
                if all(op[0] in _ATTEMPTS for op in (*ops, *self.log.unwritten)):
                    self.log.write(ops)
                else:
                    self._with_reserve(lambda: self.log.write(ops))
            except OSError as error:
                self.log.keep(ops)
                self.failed(error)
            except BaseException:
                self.log.keep(ops)
                raise
        told, state.told = state.told, []
        for tell in told:
            tell()

    def save(self) -> OSError | None:
        """Write pending changes, synced; return why the disk did not take them."""
        if not self.log.is_writable:
            return self.begin_log()
        try:
            self._with_reserve(lambda: self.log.write([], sync=True))
        except OSError as error:
            self.failed(error)
            return error
        return None

    def decide(self, ops: Sequence[Op]) -> None:
        """Write operations, synced, and then apply them. Raises :class:`~gatepost.errors.OutboxUnavailable`."""
        self.flush()
        if not self.log.is_writable:
            self.begin_log()
        try:
            self.log.write(ops, sync=True)
        except OSError as error:
            self.failed(error, is_refused=True)
            raise explain(error, self._path) from error
        for op in ops:
            self._state.apply(op)

    def begin_log(self) -> OSError | None:
        """Start a new file of the state, with all changes; return why the disk did not take it."""
        ops, self._state.ops = self._state.ops, []
        try:
            self._with_reserve(lambda: self.log.begin(self._state.dump()))
        except OSError as error:
            self._state.ops = ops
            self.failed(error)
            return error
        return None

    def begin_log_if_due(self) -> None:
        """Start a new file of the state if it is due and the disk takes writes."""
        if self.log.is_due and self.storage_error is None:
            self.begin_log()

    def keep_owner(self) -> None:
        """Write serial and subscription to a second file, in case the state is lost."""
        if self._state.owner not in (Owner(), read_owner(self._path)):
            write_owner(self._path, self._state.owner, self._files)

    def mark(self, segments: Sequence[Segment] = ()) -> None:
        """Record which numbers are deleted, if the states of their events are on disk."""
        up_to = self._segments.deleted_up_to
        for segment in segments:
            up_to[segment.lane] = max(up_to[segment.lane], segment.columns.numbers[-1])
        if self.log.is_clean:
            self.log.mark(up_to)

    def try_again(self) -> None:
        """Try whether the disk takes writes again, and then write what is pending."""
        if self.log.is_writable:
            if not self.log.unwritten:
                self._state.ops.append((ACCEPTED, self._state.cursor.last))
            self.flush()
        else:
            self.begin_log()
        if self._free() >= self._segment_bytes:
            self.recovered()

    def failed(self, error: OSError, *, is_refused: bool = False) -> None:
        """Note that the disk refuses writes. ``is_refused``: a caller was refused."""
        self.storage_error = str(explain(error, self._path))
        self._disk_log.failed(self.storage_error, is_refused=is_refused, now=self._now())

    def recovered(self) -> None:
        """Note that the disk takes every write."""
        if self.storage_error is not None and self.log.is_clean:
            self.storage_error = None
            self._disk_log.ended(now=self._now())
        if self.storage_error is None:
            self._reserve()

    def close(self) -> None:
        """Write pending changes, and close the files."""
        self.flush()
        with contextlib.suppress(OSError):
            self.log.write([], sync=True)
            self.mark()
        self._segments.close()
        self.log.close()

    def _free(self) -> int:
        return free_bytes(self._path, self._files)

    def _reserve(self) -> None:
        """Take the reserve now, while there is space."""
        if self._has_reserve:
            return
        self._has_reserve = self._reserved.exists()
        if not self._has_reserve and self._free() >= 2 * self._segment_bytes:
            with contextlib.suppress(OSError):
                handle = self._files.create(self._reserved)
                try:
                    self._files.write(handle, bytes(RESERVE_BYTES), 0)
                finally:
                    self._files.close(handle)
                self._has_reserve = True

    def _with_reserve(self, write: Callable[[], None]) -> None:
        """Write; on a full disk write again without the reserve. Raises ``OSError``."""
        try:
            write()
        except OSError as error:
            if not is_full(error) or not self._reserved.exists():
                raise
            self._files.remove(self._reserved)
            self._has_reserve = False
            write()
