"""A terminal for the first look at the console, which starts it as a child process.

Rules:

- It is :class:`gatepost.terminal.Terminal`, at a door of the simulator, in real time: a passage every few seconds, now
  and then an alarm that is cleared half a minute later.
- It reads the address to push to from standard input, one line. An address has a token in it, and every user of the
  machine sees a command line. When standard input ends, its parent has ended, and it ends, too.
- It ends after ``--seconds``. Its outbox is in a temporary folder, which is removed.

Flow: address → terminal → ``step`` again and again → drained. Exit code 1 if nothing was ever delivered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import logging
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import structlog

from gatepost.simulator.world import passages
from gatepost.simulator.world.passages import Door, Moment
from gatepost.simulator.world.people import make_site
from gatepost.simulator.world.scenario import SITE_TIME, Plan, doors
from gatepost.terminal import Terminal
from gatepost.wire import Alarm, Dialect, Record
from gatepost.wire.codes import AlarmCode, AlarmStatus

__all__ = ["EventScript", "main", "play"]

PAUSE_S = (0.8, 2.6)
"""Least and most seconds between two passages."""

ALARM_AT = 6
ALARM_EVERY = 40
"""Passages from one alarm to the next. The first alarm comes soon."""

CLEARED_AFTER = 14
"""Passages until an alarm is cleared."""


class EventScript:
    """The events at one door, one after the other. ``now``: the time at the site."""

    def __init__(self, *, seed: int, now: datetime) -> None:
        self.day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        plan = Plan(seed=seed, terminals=1, day=self.day, mix={Dialect.V1_3_0: 1}, faults=False)
        self.door: Door = doors(plan)[0]
        self._seed = seed
        self._site = make_site(seed, employees=24, visitors=6, blacklist=2, strangers=4)
        self._numbers = itertools.count()
        self._alarm: tuple[int, datetime] | None = None

    def step(self, now: datetime) -> Iterator[Record | Alarm]:
        """Return the next passage, and what else happens at that time."""
        number = next(self._numbers)
        yield passages.passage(Moment(self._seed, self.day, now, number), self._site, self.door)
        if number % ALARM_EVERY == ALARM_AT:
            self._alarm = (number, now)
            yield self._report(now, AlarmStatus.OCCURRED)
        elif self._alarm is not None and number == self._alarm[0] + CLEARED_AFTER:
            yield self._report(now, AlarmStatus.CLEARED)
            self._alarm = None

    def _report(self, now: datetime, status: AlarmStatus) -> Alarm:
        assert self._alarm is not None  # noqa: S101 - both callers have just seen it
        number, began = self._alarm
        life = (AlarmCode.DOOR_HELD, status, began)
        return passages.alarm(Moment(self._seed, self.day, now, number), self._site, self.door, life=life)


async def play(address: str, *, seconds: float, gone: asyncio.Event, seed: int) -> int:
    """Push to ``address`` for ``seconds``, or until ``gone``; return how many events were delivered."""
    step = EventScript(seed=seed, now=datetime.now(SITE_TIME))
    rand = random.Random(seed)  # noqa: S311 (a simulation)
    ends = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="gatepost-doorstep-") as folder:
        # This machine's own receiver. Its certificate is for its public name, not for loopback.
        async with Terminal(step.door.serial, folder, model=step.door.model, verify=False) as terminal:
            await terminal.subscribe(address, enabled=True)
            while not gone.is_set() and time.monotonic() < ends:
                for event in await asyncio.to_thread(lambda: list(step.step(datetime.now(SITE_TIME)))):
                    await (terminal.alarm(event) if isinstance(event, Alarm) else terminal.record(event))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(rand.uniform(*PAUSE_S)):
                        await gone.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(3):
                    while (await terminal.status()).pending:  # noqa: ASYNC110 (the ledger is in the file)
                        await asyncio.sleep(0.05)
            return (await terminal.status()).delivered


async def _main(seconds: float) -> int:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    address = (await reader.readline()).decode().strip()
    gone = asyncio.Event()

    async def leash() -> None:
        await reader.read()
        gone.set()

    watching = asyncio.create_task(leash())
    try:
        delivered = await play(address, seconds=seconds, gone=gone, seed=int(time.time()))
    finally:
        watching.cancel()
    return 0 if delivered else 1


def main(argv: list[str] | None = None) -> int:
    """Run ``python -m gatepost.simulator.demo_terminal --seconds N < ADDRESS``."""
    parser = argparse.ArgumentParser(prog="doorstep")
    parser.add_argument("--seconds", type=float, default=180.0)
    seconds = min(parser.parse_args(argv).seconds, timedelta(hours=1).total_seconds())
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return asyncio.run(_main(seconds))


if __name__ == "__main__":
    sys.exit(main())
