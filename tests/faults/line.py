"""An outbox, a pusher and what they are told, for the tests that break the line between them and a
receiver."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from tests.faults.bad_receiver import BadReceiver, until

from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.outbox import Outbox, OutboxStatus
from gatepost.terminal.push.pusher import Pusher
from gatepost.terminal.push.window import Window
from gatepost.wire import Alarm, Record, Subscription

QUICK = TerminalSettings(
    retry_first_s=0.01,
    retry_cap_s=0.05,
    connect_timeout_s=10.0,
    send_timeout_s=10.0,
    reply_timeout_s=10.0,
    drain_timeout_s=0.25,
)
"""Back-offs a hundred times shorter than the defaults. Not so the time limits: a machine that stands still for half a
second must not pass for a receiver that does."""

HASTY: dict[str, Any] = {"connect_timeout_s": 0.5, "send_timeout_s": 0.5, "reply_timeout_s": 0.5}
"""Time limits for receivers that hang. With them what was stored may be sent again, if the machine itself hangs."""

HEADERS = {"sn": "T1", "model": "SPS-1", "account": "admin"}

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 8 + b"\xff\xd9"


def settings(**changes: Any) -> TerminalSettings:
    return msgspec.structs.replace(QUICK, **changes)


def record(name: str, *, image: bytes | None = JPEG) -> Record:
    return Record(serial="T1", uuid=name, recognition_type=1, passed=True, recorded_at=_AT, image=image)


def alarm(trace: str, status: int) -> Alarm:
    return Alarm(trace_id=trace, code=20003, status=status, event_time=_AT)


_AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


class Clock:
    """Unix seconds and a clock that is never set, both standing still until told otherwise."""

    def __init__(self) -> None:
        self.unix = 1_772_000_000.0
        self.ticks = 100.0

    def now(self) -> float:
        return self.unix

    def monotonic(self) -> float:
        return self.ticks

    def pass_(self, seconds: float) -> None:
        self.unix += seconds
        self.ticks += seconds


@dataclass
class Line:
    outbox: Outbox
    pusher: Pusher
    task: asyncio.Task[None] | None = None

    async def put(self, *events: Record | Alarm) -> None:
        for event in events:
            await self.outbox.put(event)

    async def records(self, names: Iterable[str]) -> None:
        await asyncio.gather(*(self.outbox.put(record(name)) for name in names))

    async def status(self) -> OutboxStatus:
        status = await self.outbox.status()
        assert status.accepted == status.delivered + status.pending + status.dead + status.dropped
        return status

    async def when(self, condition: Callable[[OutboxStatus], object], seconds: float = 120.0) -> OutboxStatus:
        """Wait until the ledger is so; it adds up each time that it is looked at."""
        async with asyncio.timeout(seconds):
            while not condition(status := await self.status()):  # noqa: ASYNC110 - the ledger is in a file
                await asyncio.sleep(0.002)
        return status

    async def drained(self, seconds: float = 120.0) -> OutboxStatus:
        """Wait until nothing is pending."""
        return await self.when(lambda status: not status.pending, seconds)

    def start(self) -> None:
        self.task = asyncio.create_task(self.pusher.run())

    async def stop(self) -> None:
        if self.task is not None:
            await self.pusher.stop()
            await self.task
            self.task = None


@asynccontextmanager
async def line(
    folder: Path,
    event_dest: str | None,
    *,
    clock: Clock | None = None,
    settings: TerminalSettings = QUICK,
    run: bool = False,
    **pusher: Any,
) -> AsyncIterator[Line]:
    """``clock``: one that stands still, for `Pusher.push_once`; ``run``: push in the background.

    The window is open from the beginning, unless another one is given.
    """
    times = {} if clock is None else {"now": clock.now}
    outbox = await Outbox.open(folder / "outbox", settings=settings, **times)
    if event_dest is not None:
        await outbox.subscribe(Subscription(event_dest, enabled=True))
    if clock is not None:
        pusher |= {"now": clock.now, "monotonic": clock.monotonic}
    pusher.setdefault("window", Window(settings.max_in_flight, size=settings.max_in_flight))
    made = Line(outbox, Pusher(outbox, settings=settings, headers=HEADERS, rand=random.Random(1), **pusher))
    if run:
        made.start()
    try:
        yield made
        await made.stop()
    finally:
        if made.task is not None:
            made.task.cancel()
            await asyncio.wait([made.task])
        await made.pusher.close()
        await outbox.close()


def names(receiver: BadReceiver) -> list[str]:
    """What the receiver acknowledged, in the order in which it did."""
    return [request.name() for request in receiver.stored]


async def attempted(receiver: BadReceiver, times: int) -> None:
    """Wait until the receiver has seen so many whole requests."""
    await until(lambda: len(receiver.requests) >= times)
