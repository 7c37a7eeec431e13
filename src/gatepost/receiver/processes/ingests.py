"""The desk's end of the line to every ingest.

Rules:

* An ingest is counted in when it is told the table of terminals, so that no change passes it by.
* What an ingest counted stays counted when it ends, also where another one takes its place.
* A change of a terminal is in force when every ingest has it. One that fails to take it, or does not in
  :data:`PATIENCE_S`, is ended: it decides by what is not true any more. The supervisor starts it again, and it is told
  all.

Flow: :meth:`Ingests.accept` → Hello → Welcome → calls both ways until one of both ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from gatepost.errors import StoreError, StoreUnavailable
from gatepost.receiver.processes.gauges import Gauges
from gatepost.receiver.processes.link import Handler, Hello, Link, Listed, Message, Numbers, Welcome

__all__ = ["PATIENCE_S", "Ingests"]

log = structlog.get_logger(__name__)

PATIENCE_S = 10.0

LISTED_EVERY_S = 1.0
"""How often it is told at least how far the journal is listed."""


def _pid_of(writer: asyncio.StreamWriter) -> int:
    """Return the process at the other end of a local socket (unix(7))."""
    with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as bound:
        pid, _, _ = struct.unpack("3i", bound.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)


def _end(pid: int) -> None:
    if pid != os.getpid():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class _Ingest:
    """One ingest that is connected."""

    def __init__(self, link: Link, pid: int) -> None:
        self.link = link
        self.pid = pid
        self.process = b""
        self.gauges = Gauges()
        self.news = asyncio.Event()
        """More is listed than it was told."""


class Ingests:
    """Every ingest of this desk. Made and used on one event loop."""

    def __init__(
        self,
        handlers: Mapping[type, Handler],
        *,
        welcome: Callable[[], Welcome],
        listed: Callable[[], Listed],
        end: Callable[[int], None] = _end,
    ) -> None:
        """``handlers``: what is done with what an ingest asks and tells. ``end`` ends a process."""
        self._handlers = handlers
        self._welcome = welcome
        self._listed = listed
        self._ingests: set[_Ingest] = set()
        self.heard: dict[int, int] = {}
        """When terminals last pushed, in milliseconds, by their ids; it may not be listed yet."""
        self._ended: dict[bytes, Gauges] = {}
        """The counts of ingests that have ended, by their processes."""
        self._end = end
        self._gone = asyncio.Event()
        self._gone.set()

    def __len__(self) -> int:
        """Return how many are connected."""
        return len(self._ingests)

    @property
    def gauges(self) -> Gauges:
        """Return the numbers of all of them, a second old at most."""
        return sum((one.gauges for one in self._ingests), sum(self._ended.values(), Gauges()))

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Work with an ingest until one of both ends."""
        link = Link(reader, writer, {})
        ingest = _Ingest(link, _pid_of(writer))
        link.handlers = {
            **self._handlers,
            Hello: partial(self._hello, ingest),
            Numbers: partial(self._numbers, ingest),
        }
        telling = asyncio.create_task(self._tell_listed(ingest))
        try:
            await link.run()
        finally:
            telling.cancel()
            if ingest in self._ingests:
                self._ingests.remove(ingest)
                self._ended[ingest.process] = ingest.gauges.counts()
            if not self._ingests:
                self._gone.set()

    async def all_gone(self) -> None:
        """Wait until no ingest is connected."""
        await self._gone.wait()

    def wake(self) -> None:
        """Tell every ingest soon how far the journal is listed."""
        for ingest in self._ingests:
            ingest.news.set()

    async def tell(self, message: Message) -> None:
        """Send every ingest a message."""
        await asyncio.gather(*(ingest.link.tell(message) for ingest in list(self._ingests)))

    async def call(self, message: Message) -> None:
        """Send every ingest a message, and wait until all have it; one that ends meanwhile needs it no more."""
        await asyncio.gather(*(self._call(ingest, message) for ingest in list(self._ingests)))

    async def _call(self, ingest: _Ingest, message: Message) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await ingest.link.call(message)
        except StoreUnavailable:  # it has ended
            return
        except (TimeoutError, StoreError) as error:
            log.error("ingests.one_ended", pid=ingest.pid, why=str(error) or "it did not respond")
            ingest.link.close()
            self._end(ingest.pid)

    def close(self) -> None:
        """Close every line. Idempotent."""
        for ingest in list(self._ingests):
            ingest.link.close()

    async def _hello(self, ingest: _Ingest, hello: Hello) -> Welcome:
        ingest.process = hello.process
        ingest.gauges = self._ended.pop(hello.process, ingest.gauges)
        self._ingests.add(ingest)
        self._gone.clear()
        return self._welcome()

    async def _numbers(self, ingest: _Ingest, told: Numbers) -> None:
        ingest.gauges = told.gauges
        for terminal_id, at_ms in told.heard:
            self.heard[terminal_id] = max(at_ms, self.heard.get(terminal_id, 0))

    async def _tell_listed(self, ingest: _Ingest) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LISTED_EVERY_S):
                    await ingest.news.wait()
            ingest.news.clear()
            if ingest in self._ingests:
                await ingest.link.tell(self._listed())
