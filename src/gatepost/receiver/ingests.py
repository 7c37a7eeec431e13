"""The desk's end of the line to every ingest.

Rules:

* An ingest is counted in when it is told the table of terminals, so that no change passes it by.
* What an ingest counted stays counted when it ends, also where another one takes its place.
* A change of a terminal is in force when every ingest has it. One that hangs is waited for :data:`PATIENCE_S`.

Flow: :meth:`Ingests.accept` → Hello → Welcome → calls both ways until one of both ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from gatepost.errors import StoreUnavailable
from gatepost.receiver.gauges import Gauges
from gatepost.receiver.link import Handler, Hello, Link, Listed, Message, Numbers, Welcome

__all__ = ["PATIENCE_S", "Ingests"]

PATIENCE_S = 10.0

LISTED_EVERY_S = 1.0
"""How often it is told at least how far the journal is listed."""


class _Ingest:
    """One ingest that is connected."""

    def __init__(self, link: Link) -> None:
        self.link = link
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
    ) -> None:
        """``handlers``: what is done with what an ingest asks and tells."""
        self._handlers = handlers
        self._welcome = welcome
        self._listed = listed
        self._ingests: set[_Ingest] = set()
        self.heard: dict[int, int] = {}
        """When terminals last pushed, in milliseconds, by their ids; it may not be listed yet."""
        self._ended = Gauges()
        """What those counted that have ended."""
        self._gone = asyncio.Event()
        self._gone.set()

    def __len__(self) -> int:
        """Return how many are connected."""
        return len(self._ingests)

    @property
    def gauges(self) -> Gauges:
        """Return the numbers of all of them, a second old at most."""
        return sum((one.gauges for one in self._ingests), self._ended)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Work with an ingest until one of both ends."""
        link = Link(reader, writer, {})
        ingest = _Ingest(link)
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
                self._ended += ingest.gauges.counts()
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

    async def call(self, message: Message, *, but: Link | None = None) -> None:
        """Send every ingest a message, and wait until all have it; one that ends meanwhile needs it no more.

        Raises :class:`~gatepost.errors.StoreUnavailable` if one does not take it in time.
        """
        calls = [ingest.link.call(message) for ingest in list(self._ingests) if ingest.link is not but]
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*(_unless_it_ends(call) for call in calls))
        except TimeoutError:
            raise StoreUnavailable(
                "this is stored, but the ingest has not taken it over yet, for it does not respond; see the log"
            ) from None

    def close(self) -> None:
        """Close every line. Idempotent."""
        for ingest in list(self._ingests):
            ingest.link.close()

    async def _hello(self, ingest: _Ingest, _: Hello) -> Welcome:
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


async def _unless_it_ends(call: Awaitable[Any]) -> None:
    with contextlib.suppress(StoreUnavailable):
        await call
