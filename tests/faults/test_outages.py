"""The outage matrix: what happens to a terminal while its receiver is away, times how the receiver is away.

Each cell: a backlog, a third of which is delivered before the receiver goes away in the middle of the stream;
the disturbance; the receiver comes back. Nothing is lost, and what arrives twice is at most the window.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.faults import bad_receiver as bad
from tests.faults import processes
from tests.faults.bad_receiver import BadReceiver, Behaviour, Peer, until
from tests.faults.line import HASTY, Line, line, names, settings

from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.reader import Reader
from gatepost.terminal.outbox.types import State
from gatepost.wire import Subscription

EVENTS = [f"r{n}" for n in range(300)]
BEFORE = 100
WINDOW = 8
RECOVERY_S = 10.0

AWAY: dict[str, Behaviour | None] = {
    "refuses": None,
    "answers 500": bad.answer(500, b"oops"),
    "hangs": bad.silence,
    "answers nonsense": bad.answer(200, b"<html>Welcome to nginx</html>"),
}


class Receiver(BadReceiver):
    """Good for the first events, then away, until `come_back`."""

    def __init__(self, away: str) -> None:
        super().__init__(self._good_then_away)
        self.away = AWAY[away]
        self.is_away = False

    async def _good_then_away(self, peer: Peer) -> None:
        if len(self.stored) < BEFORE:
            await bad.good(peer)
            return
        self.is_away = True
        if self.away is not None:
            await self.away(peer)
            return
        if self._server is not None:
            self._server.close()
            self._server = None
        peer.reset()

    async def come_back(self) -> None:
        self.behave(bad.good)
        if self._server is None:
            await self.listen()

    def nothing_lost(self, *others: BadReceiver) -> None:
        arrived = [name for receiver in (self, *others) for name in names(receiver)]
        assert set(arrived) == set(EVENTS)
        assert len(arrived) - len(EVENTS) <= WINDOW


def limits(away: str) -> TerminalSettings:
    """Short ones for a receiver that hangs."""
    return settings(**(HASTY if away == "hangs" else {}))


async def attempts_after(folder: Path, least: int) -> None:
    """Wait until the terminal has tried so often in vain since the receiver went away, as its own file
    says."""

    def count() -> int:
        waiting = Reader(folder / "outbox").step([State.PENDING], 0)
        return sum(max(0, event.attempts - 1) for event in waiting)

    await until(lambda: count() >= least)


@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
async def test_the_terminal_is_ended_and_started_again(tmp_path, number, away):
    async with Receiver(away) as receiver:
        async with line(tmp_path, receiver.url) as made:
            await made.records(EVENTS)
        async with processes.terminal(tmp_path, hasty=away == "hangs") as terminal:
            await until(lambda: receiver.is_away)
            await attempts_after(tmp_path, 2)
            await terminal.end(number)
        await receiver.come_back()
        async with processes.terminal(tmp_path) as terminal:
            await until(lambda: set(names(receiver)) == set(EVENTS), RECOVERY_S)
            await terminal.end(signal.SIGTERM)
        receiver.nothing_lost()
        async with line(tmp_path, None) as made:
            status = await made.status()
    assert (status.accepted, status.delivered) == (len(EVENTS), len(EVENTS))


async def _posted_again(made: Line, receiver: Receiver, clock: list[float]) -> None:
    for _ in range(3):
        await made.outbox.subscribe(Subscription(receiver.url, enabled=True))


async def _disabled_and_enabled(made: Line, receiver: Receiver, clock: list[float]) -> None:
    await made.outbox.subscribe(Subscription(receiver.url, enabled=False))
    await made.when(lambda status: not status.in_flight)
    asked = len(receiver.requests)
    await made.outbox.subscribe(Subscription(receiver.url, enabled=False))
    assert len(receiver.requests) == asked
    await made.outbox.subscribe(Subscription(receiver.url, enabled=True))


async def _clock_forward_and_back(made: Line, receiver: Receiver, clock: list[float]) -> None:
    clock[0] = 86_400.0
    failures = made.pusher.status().failures
    await until(lambda: made.pusher.status().failures >= failures + 2)
    clock[0] = 0.0


Disturbance = Callable[[Line, Receiver, list[float]], Awaitable[None]]


@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize("disturbance", [_posted_again, _disabled_and_enabled, _clock_forward_and_back])
async def test_the_terminal_is_disturbed(tmp_path, disturbance: Disturbance, away):
    clock = [0.0]

    def now() -> float:
        return time.time() + clock[0]

    async with (
        Receiver(away) as receiver,
        line(tmp_path, receiver.url, now=now, settings=limits(away)) as made,
    ):
        await made.records(EVENTS)
        made.start()
        await until(lambda: made.pusher.status().failures >= 2)
        await disturbance(made, receiver, clock)
        await receiver.come_back()
        status = await made.drained(RECOVERY_S)
        receiver.nothing_lost()
    assert (status.delivered, status.dead, status.dropped) == (len(EVENTS), 0, 0)


@pytest.mark.parametrize("away", AWAY)
async def test_the_address_is_changed(tmp_path, away):
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(Receiver(away))
        other = await stack.enter_async_context(BadReceiver(bad.good))
        made = await stack.enter_async_context(line(tmp_path, receiver.url, settings=limits(away), run=True))
        await made.records(EVENTS)
        await until(lambda: receiver.is_away and made.pusher.status().failures >= 2)
        await made.outbox.subscribe(Subscription(other.url, enabled=True))
        status = await made.drained(RECOVERY_S)
        receiver.nothing_lost(other)
        assert len(other.stored) >= len(EVENTS) - BEFORE - WINDOW
    assert (status.delivered, status.dead, status.dropped) == (len(EVENTS), 0, 0)
