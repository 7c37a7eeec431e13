"""Wake a thread of another process: the ingest tells the projector that something was appended.

An ``eventfd(2)``, made before the processes are forked, so that all of them have it. To set it costs a microsecond, and
whether the other process is there does not matter.
"""

from __future__ import annotations

import contextlib
import os
import select

__all__ = ["Wake"]


class Wake:
    """An event that stays set until it is cleared. Any thread, any process that was forked since."""

    def __init__(self) -> None:
        self._handle = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def set(self) -> None:
        """Wake who waits, now or next. Does nothing after :meth:`close`."""
        if self._handle >= 0:
            with contextlib.suppress(BlockingIOError):  # it is set as often as the system counts
                os.eventfd_write(self._handle, 1)

    def clear(self) -> None:
        """Take back every :meth:`set` until now."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._handle)

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set; False if that takes longer than ``timeout_s``."""
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def close(self) -> None:
        """Give the handle back. Idempotent."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __del__(self) -> None:
        self.close()
