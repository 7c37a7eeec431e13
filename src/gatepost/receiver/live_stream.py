"""The live stream: what was committed is read once, encoded once, and handed to everyone who listens.

Rules:

* What is told is what the store's feed shows: committed, in order, without a gap. Nothing is told before its commit.
* One reader of the store a process, however many listen; while nobody listens it reads nothing.
* The latest stretch stands in one *window* that all listeners share. Nothing is kept for a single listener: one
  that falls out of the window is cut off, and comes back with ``Last-Event-ID``.
* A listener that comes back with a place before the window catches up from the store, two at a time, and then goes
  on in the window. Neither side of that seam skips or repeats an event: both count places of the same feed.
* A stream ends when its listener may no longer listen: asked at every heartbeat, and at once when this process withdrew
  something (:meth:`Live.ask_again`).

Flow: commit → :meth:`Live.wake` (or the poll, for what other processes commit) → :meth:`Live.once` → the window →
:meth:`Live.listen` of each listener. The format is server-sent events: HTML Living Standard, section 9.2.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

import structlog
from msgspec import Struct

from gatepost.errors import GatepostError, StoreError
from gatepost.store.terminals.terminal_labels import TerminalLabel

__all__ = ["Crowded", "Live", "Told", "Variant", "event_block", "place_block"]

log = structlog.get_logger(__name__)

_SAID_EVERY_S = 60.0
"""How often it is logged that the store is away."""

T = TypeVar("T")

BATCH = 100
"""Events that are read, and at most handed to a connection, at once: some 150 KB, all that a slow one can hold."""


Variant = Literal["usual", "original", "without_numbers"]
"""In which form a listener is sent an event."""


class Crowded(GatepostError):
    """As many listen as may."""


class Told(Struct, frozen=True):
    """One event of the stream, ready to be sent."""

    id: int
    kind: str
    """``record`` or ``alarm``."""
    terminal: TerminalLabel
    block: bytes
    original_block: bytes
    """With the JSON as it was pushed, for who asked for it."""

    bare_block: bytes
    """Without card and identity numbers, for who may not see them."""

    def shown(self, variant: Variant) -> bytes:
        """Return the block that a listener is sent."""
        if variant == "usual":
            return self.block
        return self.original_block if variant == "original" else self.bare_block


class Stretch(Struct, frozen=True):
    """The events whose places are after ``after`` and up to ``place``."""

    after: int
    place: int
    told: tuple[Told, ...]
    joined: bytes


def event_block(place: int, kind: str, data: bytes) -> bytes:
    """One event; ``data`` is JSON on one line."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (place, kind.encode(), data)


def place_block(place: int) -> bytes:
    """Move the listener's ``Last-Event-ID`` without an event: the standard dispatches nothing without data."""
    return b": alive\nid: %d\n\n" % place


async def _always() -> bool:
    return True


class Live:
    """Tells what arrives. Made and used on one event loop; ``read`` and ``end`` block, and run in own threads."""

    def __init__(
        self,
        read: Callable[[int, int], tuple[list[Told], int]],
        end: Callable[[], int],
        *,
        poll_s: float = 0.5,
        gather_s: float = 0.02,
        heartbeat_s: float = 15.0,
        max_listeners: int = 200,
        window_events: int = 4096,
        window_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        """``read(after, limit)`` answers what the feed shows and where it goes on, ``end()`` its end.

        ``poll_s``: how soon what nobody woke us for is seen; ``gather_s``: the least time between two readings.
        """
        self._read = read
        self._end = end
        self._poll_s = poll_s
        self._gather_s = gather_s
        self.heartbeat_s = heartbeat_s
        self.max_listeners = max_listeners
        self._window_events = window_events
        self._window_bytes = window_bytes
        self._loop = asyncio.get_running_loop()
        self._stretches: deque[Stretch] = deque()
        self._events = self._bytes = 0
        self._floor = self._place = 0
        self._listeners: set[asyncio.Event] = set()
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()
        self._closed = False
        self._forgotten = 0
        self._asks = 0
        self.cut_off = 0
        self._reader = ThreadPoolExecutor(1, "gatepost-live")
        self._catching_up = ThreadPoolExecutor(2, "gatepost-catch-up")

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def wake(self) -> None:
        """Something was committed: call it on the loop."""
        if self._listeners:
            self._woken.set()

    def forget(self) -> None:
        """Drop the window: what it holds has been erased. Whoever was behind comes back and asks the store.

        Everybody else is sent something, so that what they were sent last is let go of, all the way to the socket.
        """
        self._forgotten += 1
        self._stretches.clear()
        self._events = self._bytes = 0
        self._floor = self._place
        self._ring()

    def ask_again(self) -> None:
        """Ask of every listener whether it may still listen: an account, a token or a session was changed or withdrawn.

        Call it on the loop.
        """
        self._asks += 1
        self._ring()

    def close(self) -> None:
        """End every stream, and begin no other. Idempotent."""
        self._closed = True
        self._ring()

    async def once(self) -> bool:
        """Read the next stretch into the window; True if there may be more to read at once."""
        async with self._turn:
            if not self._listeners or self._closed:
                return False
            before, forgotten = self._place, self._forgotten
            told, place = await self._ask(self._reader, lambda: self._read(before, BATCH))
            if place == before:
                return False
            if self._forgotten != forgotten:
                return True  # what was read may have been erased since
            self._add(Stretch(before, place, tuple(told), b"".join(one.block for one in told)))
            # A stretch without any event was of terminals that are held.
            return len(told) >= BATCH or not told

    async def run(self) -> None:
        """Read whenever there is something new, until it is cancelled."""
        said_at = -_SAID_EVERY_S
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_s):
                        await self._woken.wait()
                self._woken.clear()
                try:
                    while await self.once():
                        pass
                except StoreError as error:
                    if self._loop.time() - said_at >= _SAID_EVERY_S:
                        said_at = self._loop.time()
                        log.warning("live.read_failed", why=str(error))
                    await asyncio.sleep(self._poll_s)
                # What is committed within this time is read together.
                await asyncio.sleep(self._gather_s)
        finally:
            self.close()
            self._reader.shutdown(wait=False)
            self._catching_up.shutdown(wait=False)

    async def listen(
        self,
        after: int | None = None,
        *,
        wanted: Callable[[Told], bool] | None = None,
        variant: Variant = "usual",
        allowed: Callable[[], Awaitable[bool]] = _always,
    ) -> AsyncGenerator[bytes, None]:
        """Yield what arrives after a place (``None``: from now on), in pieces of the stream.

        Raises :class:`Crowded`, and :class:`~gatepost.errors.StoreUnavailable` while it catches up.
        """
        if self._closed or len(self._listeners) >= self.max_listeners:
            raise Crowded(f"{self.max_listeners} streams are open already; close one, or try again later")
        bell, asks = asyncio.Event(), self._asks
        try:
            place = await self._join(bell, after)
            yield b"retry: 2000\n" + place_block(place)
            async for block, reached in self._catch_up(place, wanted, variant):
                place = reached
                if asks != self._asks:
                    asks = self._asks
                    if not await allowed():
                        return
                yield block
            async for block in self._follow(bell, place, wanted, variant, allowed, asks):
                yield block
        finally:
            self._listeners.discard(bell)
            if not self._listeners:
                self.forget()

    async def _join(self, bell: asyncio.Event, after: int | None) -> int:
        async with self._turn:
            if after is not None or not self._listeners:
                end = await self._ask(self._reader, self._end)
                if not self._listeners:
                    self.forget()
                    self._floor = self._place = end
                # A place that was never reached is another store's; to wait for it would be to wait for ever.
                after = None if after is None else min(after, max(end, self._place))
            self._listeners.add(bell)
            return self._place if after is None else after

    async def _catch_up(
        self, place: int, wanted: Callable[[Told], bool] | None, variant: Variant
    ) -> AsyncIterator[tuple[bytes, int]]:
        while place < self._floor and not self._closed:
            floor, start = self._floor, place
            told, place = await self._ask(self._catching_up, functools.partial(self._read, start, BATCH))
            if place == start:
                # This is the feed's end, and up to the floor all was settled before: there is nothing in between.
                place = floor
            yield _join(told, wanted, variant) or place_block(place), place

    async def _follow(
        self,
        bell: asyncio.Event,
        place: int,
        wanted: Callable[[Told], bool] | None,
        variant: Variant,
        allowed: Callable[[], Awaitable[bool]],
        asks: int,
    ) -> AsyncIterator[bytes]:
        due = self._loop.time() + self.heartbeat_s
        forgotten, stretch, block = self._forgotten, None, b""
        while not self._closed:
            if place < self._floor:
                self.cut_off += 1
                log.warning("live.cut_off", listeners=self.listeners)
                return
            if self._loop.time() >= due or asks != self._asks:
                due, asks = self._loop.time() + self.heartbeat_s, self._asks
                if not await allowed():
                    return
                yield place_block(place)
                continue
            if forgotten != self._forgotten:
                forgotten, stretch, block = self._forgotten, None, place_block(place)
                yield block
                continue
            bell.clear()
            stretch = self._next(place)
            if stretch is not None:
                block = _part(stretch, place, wanted, variant)
                place = stretch.place
                if block:
                    yield block
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await bell.wait()

    def _next(self, place: int) -> Stretch | None:
        """Return the first stretch of the window that goes beyond a place; most listeners are at its end."""
        found = None
        for stretch in reversed(self._stretches):
            if stretch.place <= place:
                break
            found = stretch
        return found

    def _add(self, stretch: Stretch) -> None:
        self._place = stretch.place
        if stretch.told:
            self._stretches.append(stretch)
            self._events += len(stretch.told)
            self._bytes += _size(stretch)
            while self._events > self._window_events or self._bytes > self._window_bytes:
                gone = self._stretches.popleft()
                self._events -= len(gone.told)
                self._bytes -= _size(gone)
                self._floor = gone.place
            self._ring()

    def _ring(self) -> None:
        for bell in self._listeners:
            bell.set()

    async def _ask(self, pool: ThreadPoolExecutor, what: Callable[[], T]) -> T:
        # In the context of whoever asks: what is rendered has addresses in it.
        return await self._loop.run_in_executor(pool, contextvars.copy_context().run, what)


def _size(stretch: Stretch) -> int:
    return len(stretch.joined) + sum(len(one.original_block) + len(one.bare_block) for one in stretch.told)


def _join(
    told: list[Told] | tuple[Told, ...], wanted: Callable[[Told], bool] | None, variant: Variant
) -> bytes:
    return b"".join(one.shown(variant) for one in told if wanted is None or wanted(one))


def _part(stretch: Stretch, place: int, wanted: Callable[[Told], bool] | None, variant: Variant) -> bytes:
    if place <= stretch.after and wanted is None and variant == "usual":
        return stretch.joined
    return _join([one for one in stretch.told if one.id > place], wanted, variant)
