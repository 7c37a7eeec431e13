"""Hand events in at a terminal's local socket, at the given rate, and record the replies.

Rules: an event without a reply stays ``UNKNOWN``, and is not handed in again. The judge finds out what became of it.

Flow: ``run``: wait until the terminal is up → ``visit``: lines out, replies in, until the connection breaks → again.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from gatepost.terminal.local_socket.client import address
from gatepost.torture.oracle import Fate, Oracle
from gatepost.torture.system.processes import End

__all__ = ["EventSource"]

PIPELINE = 32
"""Lines without a reply, at most."""
BURST = 12


class EventSource:
    """Issues events for terminal number ``terminal``, some ``rate`` per second, in bursts."""

    def __init__(
        self,
        terminal: int,
        end: End,
        oracle: Oracle,
        *,
        rate: float,
        rand: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.interruptions = 0
        """How often the socket closed while events waited for their reply."""
        self.refusals: Counter[str] = Counter()
        self._terminal = terminal
        self._end = end
        self._oracle = oracle
        self._rate = rate
        self._rand = rand
        self._sleep = sleep
        self._stopping = False
        self._open = False
        self._waiting: deque[str] = deque()
        self._room = asyncio.Event()
        self._surging = asyncio.Event()

    def surge(self, on: bool) -> None:
        """Issue without a pause, so that a fault at the terminal meets events that wait for their reply."""
        if on:
            self._surging.set()
        else:
            self._surging.clear()

    async def run(self) -> None:
        """Issue until :meth:`stop`, in every state of the terminal."""
        while not self._stopping:
            await self._end.up.wait()
            await self.visit()
            await self._sleep(0.05)

    def stop(self) -> None:
        """Issue no more. ``run`` ends when the replies are there, or the socket is closed."""
        self._stopping = True
        self._room.set()

    async def visit(self) -> None:
        """Issue over one connection until it breaks, or until :meth:`stop`."""
        try:
            with address(self._end.folder) as path:
                reader, writer = await asyncio.open_unix_connection(path)
        except OSError:
            return  # killed before the connection
        self._open = True
        answers = asyncio.create_task(self._listen(reader))
        try:
            with suppress(OSError):
                await self._talk(writer)
                writer.write_eof()
            await answers
        finally:
            answers.cancel()
            if self._waiting:
                self.interruptions += 1
            self._waiting.clear()
            writer.close()

    async def _talk(self, writer: asyncio.StreamWriter) -> None:
        while self._may_talk():
            for _ in range(self._rand.randint(1, BURST)):
                if len(self._waiting) >= PIPELINE:
                    self._room.clear()
                    await self._room.wait()
                if not self._may_talk():
                    return
                name, line = self._oracle.next(self._terminal)
                self._waiting.append(name)
                writer.write(line)
            await writer.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._rand.expovariate(2 * self._rate / (1 + BURST))):
                    await self._surging.wait()
            await self._sleep(0)  # without this, a surge never lets other tasks run

    def _may_talk(self) -> bool:
        return self._open and not self._stopping

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while (line := await reader.readline()).endswith(b"\n"):
                answer = msgspec.json.decode(line)
                name = self._waiting.popleft()
                if answer.get("ok") is True:
                    self._oracle.settle(name, Fate.ACCEPTED)
                else:
                    self._oracle.settle(name, Fate.REFUSED)
                    self.refusals[str(answer.get("error"))] += 1
                self._room.set()
        self._open = False
        self._room.set()
