"""Store the windows of a job in their order while the next ones are fetched.

Rules:

* One thread stores at a time. What is fetched meanwhile is stored together, with one append and one progress: where the
  disk is slower than the terminal, each sync is for more windows.
* At most :data:`MAX_READY` windows, or :data:`READY_BYTES`, wait to be stored; then fetching waits.
* Once a window is not stored, none after it is: progress has no gap.

Flow: :meth:`Storing.add` for each window → ``keep`` in a thread → :meth:`Storing.finish`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from msgspec import Struct

from gatepost.fleet.history.records import Window

__all__ = ["MAX_READY", "Fetched", "Storing"]

MAX_READY = 2

READY_BYTES = 4 * 1024 * 1024


class Fetched(Struct, frozen=True):
    """A window, and every item of it."""

    window: Window
    items: Sequence[bytes]

    @property
    def size(self) -> int:
        """Return the bytes of its items."""
        return sum(map(len, self.items))


class Storing:
    """Stores windows. Made and used on one event loop."""

    def __init__(self, keep: Callable[[Sequence[Fetched]], bool]) -> None:
        """``keep`` stores windows that follow each other; False: no more are to be stored. It blocks."""
        self._keep = keep
        self._ready: list[Fetched] = []
        self._task: asyncio.Task[bool] | None = None
        self._was_taken = asyncio.Event()
        """Set when the windows that were ready begin to be stored."""

    async def add(self, fetched: Fetched) -> bool:
        """Have a window stored; False: no more are to be. Raises what storing those before it has raised."""
        self._ready.append(fetched)
        if self._task is None or self._task.done():
            if not await self.finish():
                return False
            self._task = asyncio.create_task(self._store_ready())
        elif self._is_full():
            await self._wait_for_room(self._task)
        return True

    async def finish(self) -> bool:
        """Wait until what was added is stored; False: not all of it was to be. Raises what storing has raised."""
        return True if self._task is None else await self._task

    async def settle(self) -> None:
        """Wait until nothing is being stored any more, whatever came of it."""
        if self._task is not None:
            self._ready = []
            await asyncio.gather(self._task, return_exceptions=True)

    def _is_full(self) -> bool:
        return len(self._ready) >= MAX_READY or sum(one.size for one in self._ready) >= READY_BYTES

    async def _wait_for_room(self, task: asyncio.Task[bool]) -> None:
        self._was_taken.clear()
        room = asyncio.create_task(self._was_taken.wait())
        try:
            await asyncio.wait({task, room}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            room.cancel()

    async def _store_ready(self) -> bool:
        while self._ready:
            some, self._ready = self._ready, []
            self._was_taken.set()
            if not await asyncio.to_thread(self._keep, some):
                return False
        return True
