"""What the tests of sinks share: loopback is allowed, and what each event was told is kept."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from tests.forward.kit import Line

from gatepost.egress import Egress
from gatepost.forward.sinks import Closed, Outgoing, Result, Sink
from gatepost.wire import Delivered, Outcome

LOOPBACK = Egress(["127.0.0.0/8"])


class Watched:
    """A sink whose results are kept."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.results: list[Result] = []
        self.began = 0
        """How many events it was handed."""

    @property
    def outcomes(self) -> list[Outcome | Closed]:
        return [result.outcome for result in self.results]

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Result]:
        self.began += len(batch)
        results = await self._sink.send(batch)
        self.results += results
        return results

    async def close(self) -> None:
        await self._sink.close()


async def deliver(line: Line, watched: Watched) -> None:
    """Send until an event is delivered: on a busy machine the time-out of a test may be over before."""
    while Delivered() not in watched.outcomes:
        line.clock.at += 60
        await line.turn()


async def eventually(condition: Callable[[], Awaitable[bool]], timeout: float = 60.0) -> None:
    """Wait until something is so that only asking tells."""
    async with asyncio.timeout(timeout):
        while not await condition():  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.02)
