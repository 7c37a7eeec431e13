"""A port in front of a server on this machine, which can be closed, or fall silent.

Rules:

- *Closed*: connections end, and no new ones are taken, as if the server's machine were switched off.
- *Silent*: connections stay, new ones are taken, and nothing is carried, as if a cable were pulled. What was silent
  ends when the relay is opened again.
- With several servers, each connection goes to the next one that takes it, as a balancer in front of receivers has it.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

__all__ = ["Relay"]

CHUNK = 1 << 16


class Relay:
    """A port; ``to`` returns the ports behind it."""

    def __init__(self, to: Callable[[], Sequence[int]]) -> None:
        self.port = 0
        self._to = to
        self._turn = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._carries = asyncio.Event()

    async def open(self) -> None:
        """Carry, on the port that it had before if it had one. Idempotent."""
        if not self._carries.is_set():
            await self._end_all()
        self._carries.set()
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self.port, reuse_address=True, backlog=512
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Take no connections, and end those that are open. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self._end_all()
        if server is not None:
            await server.wait_closed()

    def silence(self) -> None:
        """Carry nothing, and keep every connection."""
        self._carries.clear()

    async def _end_all(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (a server's callback is a task)
        self._tasks.add(task)
        try:
            await self._carries.wait()
            await self._connected(reader, writer)
        except asyncio.CancelledError:
            pass  # the relay closes
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports = self._to()
        self._turn += 1
        for number in range(len(ports)):
            try:
                there, out = await asyncio.open_connection(
                    "127.0.0.1", ports[(self._turn + number) % len(ports)]
                )
            except OSError:
                continue
            try:
                both = (self._carry(reader, out), self._carry(there, writer))
                await asyncio.gather(*both)
            finally:
                out.transport.abort()
            return

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                await self._carries.wait()
                target.write(data)
                await target.drain()
        with suppress(OSError, RuntimeError):
            if target.can_write_eof():
                target.write_eof()
