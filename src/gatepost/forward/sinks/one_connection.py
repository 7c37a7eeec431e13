"""Keep one connection to a broker. A lost one is replaced, not repaired."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from gatepost.egress import Forbidden
from gatepost.forward.sinks import Outgoing, Result
from gatepost.forward.sinks.http import why
from gatepost.wire import Unreachable

__all__ = ["LostConnection", "OneConnection"]


class LostConnection(Exception):
    """There is no connection, for the reason that it has."""


class _Connection(Protocol):
    @property
    def is_lost(self) -> bool: ...

    async def close(self) -> None: ...


C = TypeVar("C", bound=_Connection)


class OneConnection(Generic[C]):
    """The connection of one destination. Made and used on one event loop."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[C]],
        timeout_s: float,
        errors: tuple[type[Exception], ...] = (),
    ) -> None:
        """``errors``: of the library, that say the broker cannot be reached."""
        self._connect = connect
        self._timeout_s = timeout_s
        self._errors: tuple[type[Exception], ...] = (Forbidden, OSError, ValueError, *errors)
        self._connection: C | None = None
        self._connecting = asyncio.Lock()

    async def send(
        self, event: Outgoing, publish: Callable[[C, Outgoing], Awaitable[Result]]
    ) -> list[Result]:
        """Publish an event. A time-out, or an error of the connection, does not concern the event."""
        connection = None
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await self._open()
                return [await publish(connection, event)]
        except TimeoutError:
            if connection is not None:
                # What is under way on it may come later, and is sent again then.
                await self._drop(connection)
            reason = f"no acknowledgement within {self._timeout_s:g} s"
        except LostConnection as error:
            reason = str(error)
        except self._errors as error:
            reason = why(error)
        return [Result(outcome=Unreachable(reason))]

    async def close(self) -> None:
        """Close the connection. Idempotent."""
        if self._connection is not None:
            await self._drop(self._connection)

    async def _open(self) -> C:
        if self._connection is not None and not self._connection.is_lost:
            return self._connection
        async with self._connecting:
            if self._connection is not None and self._connection.is_lost:
                await self._drop(self._connection)
            if self._connection is None:
                self._connection = await self._connect()
            return self._connection

    async def _drop(self, connection: C) -> None:
        if self._connection is connection:
            self._connection = None
        await connection.close()
