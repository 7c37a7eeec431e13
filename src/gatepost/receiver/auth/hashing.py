"""Run what hashes passwords in threads of its own, so that no other request waits for it.

A hash takes 64 MB and a tenth of a second of every core. Each lane has one thread and a bounded queue; what does not
fit is refused at once. Known devices have a lane of their own: strangers cannot fill it.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["MAX_WAITING", "BusyError", "Lane"]

T = TypeVar("T")

MAX_WAITING = 16
"""How many wait for a lane at most, with the one that is at work."""

_NICENESS = 10
"""Of the threads that hash: where cores are short, requests come first."""


class BusyError(Exception):
    """Too many wait already."""


class Lane:
    """One thread and its queue. For one event loop at a time."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, f"gatepost-{name}", initializer=_step_back)
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in its turn. Raises :class:`BusyError` where :data:`MAX_WAITING` are before it."""
        if self._waiting >= MAX_WAITING:
            raise BusyError
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let the thread end when it has done what it is at."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _step_back() -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
