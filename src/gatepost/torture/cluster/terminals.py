"""Terminals that record and push, in this process: the load of a cell.

Rules: each is the real thing with an outbox on disk. What ``store`` has returned is accepted, and must be listed, wait
in the outbox, be a dead letter or be counted as dropped.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from gatepost.errors import GatepostError
from gatepost.settings import TerminalSettings
from gatepost.terminal import Terminal
from gatepost.terminal.outbox.types import State
from gatepost.torture.oracle import Fate, Oracle, name_of
from gatepost.wire import Unknown, decode_many

__all__ = ["Terminals"]

LOOK_S = 0.05
AGAIN_S = 120.0
"""For how long nothing may be acknowledged."""
SETTINGS = TerminalSettings(retry_first_s=0.1, retry_cap_s=1.0, connect_timeout_s=2.0, drain_timeout_s=2.0)


class NothingAcknowledged(GatepostError):
    """The cell acknowledges nothing any more."""


class Terminals:
    """``count`` terminals that push to ``destination``, each ``rate`` events a second."""

    def __init__(
        self,
        folder: Path,
        oracle: Oracle,
        *,
        count: int,
        rate: float,
        rand: random.Random,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self._oracle = oracle
        self._rate = rate
        self._rand = rand
        self._sleep = sleep
        self._clock = clock
        self._stopping = False
        self._terminals = [
            Terminal(f"CELL-{number}", folder / f"terminal-{number}", settings=SETTINGS)
            for number in range(count)
        ]

    async def start(self, destination: str) -> None:
        """Open the outboxes, and push to that address from now on."""
        for terminal in self._terminals:
            await terminal.__aenter__()
            await terminal.subscribe(destination)

    async def run(self) -> None:
        """Record until :meth:`stop_recording`."""
        await asyncio.gather(*(self._record(number) for number in range(len(self._terminals))))

    def stop_recording(self) -> None:
        """Record no more; what waits is pushed."""
        self._stopping = True

    async def _record(self, number: int) -> None:
        while not self._stopping:
            name, line = self._oracle.next(number)
            events = [one.event for one in decode_many(line) if not isinstance(one.event, Unknown)]
            await self._terminals[number].store(events)
            self._oracle.settle(name, Fate.ACCEPTED)
            await self._sleep(self._rand.expovariate(self._rate))

    async def delivered(self) -> int:
        """Return how many events were acknowledged."""
        return sum([(await terminal.status()).delivered for terminal in self._terminals])

    async def acknowledged(self) -> None:
        """Wait until one more is. Raises NothingAcknowledged."""
        before = await self.delivered()
        end = self._clock() + AGAIN_S
        while await self.delivered() == before:
            if self._clock() > end:
                raise NothingAcknowledged(
                    f"nothing was acknowledged for {AGAIN_S:.0f} s; a terminal says: "
                    f"{(await self._terminals[0].status()).last_error}"
                )
            await self._sleep(LOOK_S)

    async def drain(self, seconds: float) -> list[str]:
        """Wait until everything is delivered; return which terminals have something left after so long."""
        end = self._clock() + seconds
        left = []
        for terminal in self._terminals:
            while (status := await terminal.status()).pending:
                if self._clock() > end:
                    left.append(f"{terminal.serial}: {status.pending} pending, {status.last_error}")
                    break
                await self._sleep(LOOK_S)
        return left

    async def ledgers(self) -> list[Mapping[str, int]]:
        """Return the ledger of each."""
        parts = ("accepted", "delivered", "pending", "dead", "dropped")
        found = [await terminal.status() for terminal in self._terminals]
        return [{part: getattr(status, part) for part in parts} for status in found]

    async def held(self, state: State) -> frozenset[str]:
        """Return the names of the events in that state."""
        names = set()
        for terminal in self._terminals:
            async for line in terminal.outbox.export((state,)):
                names.add(name_of(json.loads(line)["data"]))
        return frozenset(names)

    async def close(self) -> None:
        """Stop."""
        self._stopping = True
        for terminal in self._terminals:
            await terminal.close()
