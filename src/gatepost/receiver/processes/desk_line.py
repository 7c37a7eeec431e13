"""The ingest's end of the line to the desk, made again whenever it breaks.

Rules:

* While the desk is not there, or does not respond in :data:`PATIENCE_S`, a call raises
  :class:`~gatepost.errors.StoreUnavailable`, and what is told is lost.
* At every connection the desk says first what an ingest has to know
  (:class:`~gatepost.receiver.processes.link.Welcome`).

Flow: :meth:`DeskLine.connect` → the ingest is made → :meth:`DeskLine.run`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gatepost.errors import StoreError, StoreUnavailable
from gatepost.receiver.processes.link import (
    AWAY,
    Changed,
    Forget,
    Handler,
    Hello,
    Holder,
    Link,
    Listed,
    Made,
    Message,
    Table,
    Use,
    Welcome,
)
from gatepost.receiver.terminals.claims import Known

__all__ = ["DeskLine"]

RETRY_S = 0.1
"""Between two attempts to reach the desk."""

PATIENCE_S = 20.0
"""How long a call waits. The desk itself finds out sooner that a database hangs."""

MAX_UNSENT = 1024 * 1024
"""Bytes. Where more waits to be sent, the desk hangs, and nothing is added."""

_SAID = (Table, Changed, Made, Listed, Forget)
"""The messages that the desk sends."""


class DeskLine:
    """The line of one ingest. Made and used on one event loop."""

    def __init__(self, path: str) -> None:
        """``path`` is that of the desk's socket for lines."""
        self._path = path
        self._process = os.urandom(16)
        self._link: Link | None = None
        self._reading: asyncio.Task[None] | None = None
        self._handlers: asyncio.Future[Mapping[type, Handler]] = asyncio.get_running_loop().create_future()

    @property
    def is_up(self) -> bool:
        """Return whether the desk is there."""
        return self._link is not None

    async def connect(self) -> Welcome:
        """Wait until the desk is there, and return what it says first."""
        while True:
            try:
                return await self._connect()
            except (OSError, StoreError):
                await asyncio.sleep(RETRY_S)

    async def _connect(self) -> Welcome:
        reader, writer = await asyncio.open_unix_connection(self._path)
        link = Link(reader, writer, {kind: partial(self._handle, kind) for kind in _SAID})
        self._reading = asyncio.create_task(link.run())
        try:
            welcome: Welcome = await link.call(Hello(self._process), returns=Welcome)
        except BaseException:
            link.close()
            raise
        self._link = link
        return welcome

    async def run(self, handlers: Mapping[type, Handler], take_over: Callable[[Welcome], None]) -> None:
        """Hand on what the desk says, and connect again whenever the line breaks.

        ``take_over`` is called with what the desk says first at a new connection, before anything that follows.
        """
        self._handlers.set_result(handlers)
        while self._reading is not None:
            await asyncio.shield(self._reading)
            self._link = None
            take_over(await self.connect())

    async def holder(self, digest: bytes) -> Known | None:
        """Return the terminal that has a token. Raises :class:`~gatepost.errors.StoreError`."""
        found: Known | None = await self.call(Holder(digest), returns=Known | None)
        return found

    async def use(self, digest: bytes, *, at_ms: int) -> Known | None:
        """Store that a token was used, and return its terminal. Raises :class:`~gatepost.errors.StoreError`."""
        found: Known | None = await self.call(Use(digest, at_ms), returns=Known | None)
        return found

    async def call(self, message: Message, returns: Any = None) -> Any:
        """Return what the desk returns. Raises :class:`~gatepost.errors.StoreError`."""
        if self._link is None or self._link.unsent_bytes > MAX_UNSENT:
            raise StoreUnavailable(AWAY)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._link.call(message, returns)
        except TimeoutError:
            raise StoreUnavailable(AWAY) from None

    async def tell(self, message: Message) -> None:
        """Send a message that nothing is returned to. Raises nothing."""
        if self._link is not None:
            await self._link.tell(message)

    async def close(self) -> None:
        """Close the line, and fail every call that waits. Idempotent."""
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _handle(self, kind: type, message: Any) -> Any:
        handlers = self._handlers.result() if self._handlers.done() else await asyncio.shield(self._handlers)
        return await handlers[kind](message)
