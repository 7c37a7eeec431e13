"""``make demo``: three terminals, a receiver that is killed while they record, and a table of the losses: none.

Rules:

- Everything is real: a receiver process on SQLite, terminals with their outboxes, HTTP, SIGKILL.
- What is stored is read from the receiver's API and compared with what was recorded, by event and by image.
- The exit code is 1 if anything differs, and also if the outage had no effect, because such a demo shows nothing.
- Everything is in one temporary folder, removed at the end unless `--keep` is given.

Flow: receiver up → terminals record → SIGKILL → they go on → receiver up again → drained → compared → table, exit code.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from msgspec import Struct
from rich.console import Console
from rich.live import Live

from gatepost.cli_text import t
from gatepost.errors import GatepostError
from gatepost.simulator.demo import view as view
from gatepost.simulator.demo.inventory import Api, Expected, compare
from gatepost.simulator.demo.receiver_process import ReceiverProcess
from gatepost.simulator.engines.faithful import Clock, NetworkLink, SimulatedTerminal
from gatepost.simulator.engines.services import ServiceOptions, offered
from gatepost.simulator.meter import Count, Meter
from gatepost.simulator.world import passages
from gatepost.simulator.world.passages import Door, Moment
from gatepost.simulator.world.people import Site, make_site
from gatepost.simulator.world.rng import rng
from gatepost.simulator.world.scenario import SITE_TIME, Plan, doors
from gatepost.terminal.push.tls import Trust
from gatepost.wire import Alarm, Dialect, Record
from gatepost.wire.codes import AlarmCode, AlarmStatus


class Timing(Struct, frozen=True, kw_only=True):
    """How long each part takes, in seconds, and how many events per second each terminal records."""

    before_s: float = 6.0
    away_s: float = 6.0
    after_s: float = 5.0
    drain_s: float = 30.0
    rate: float = 9.0

    @property
    def recording_s(self) -> float:
        return self.before_s + self.away_s + self.after_s


class DemoTerminal:
    """A terminal of the demo: what it recorded, and its ledger."""

    def __init__(self, door: Door, terminal: SimulatedTerminal, count: Count) -> None:
        self.door, self.terminal, self.count = door, terminal, count
        self.expected: list[Expected] = []
        self.longest_backlog = 0

    @property
    def resent(self) -> int:
        """Return the requests beyond one per event: the cost of the outage."""
        return self.count.attempts - self.count.acknowledged


class Demo:
    """The demonstration. `run` returns the exit code."""

    def __init__(self, folder: Path, console: Console, *, timing: Timing | None = None) -> None:
        self.folder, self.console, self.timing = folder, console, timing or Timing()
        self.receiver = ReceiverProcess(folder)
        self.day = datetime.now(SITE_TIME).replace(hour=0, minute=0, second=0, microsecond=0)
        plan = Plan(seed=1, terminals=3, day=self.day, mix={Dialect.V1_3_0: 1}, faults=False)
        self.doors = doors(plan)
        self.site: Site = make_site(plan.seed, employees=20, visitors=6, blacklist=2, strangers=4)
        self.meter = Meter(
            [Count(serial=door.serial, place=door.place, firmware="1.3.0") for door in self.doors]
        )
        self.posts: list[DemoTerminal] = []
        self.recording = asyncio.Event()
        self.stage = view.Stage.STARTING

    async def run(self, *, keep: bool) -> int:
        """Run it. `keep`: stay up afterwards until interrupted."""
        try:
            async with AsyncExitStack() as stack:
                await self._prepare(stack)
                async with self._picture():
                    await self._play()
                async with Api(self.receiver.url, token=self.receiver.make_token) as api:
                    good = await self._judge(api)
                if keep:
                    await self._stay(stack)
            return 0 if good else 1
        finally:
            await asyncio.shield(self.receiver.stop())

    # -- the parts

    async def _prepare(self, stack: AsyncExitStack) -> None:
        """Start the receiver, and draw the portraits meanwhile."""
        self.console.print(
            t("starting a receiver on SQLite, drawing portraits …", "正在启动接收端（SQLite）并绘制人像……")
        )
        await asyncio.gather(self.receiver.start(), asyncio.to_thread(self._draw))
        clock = Clock(datetime.now(SITE_TIME), 1.0)
        for door, count in zip(self.doors, self.meter.counts, strict=True):
            folder = self.folder / door.serial

            def cable(door: Door = door, count: Count = count) -> NetworkLink:
                return NetworkLink(door, count, self.meter, clock=clock, trust=Trust())

            folder.mkdir(parents=True)
            terminal = await stack.enter_async_context(SimulatedTerminal(door, folder, seed=1, cable=cable))
            await terminal.subscribe(f"{self.receiver.url}/Record")
            self.posts.append(DemoTerminal(door, terminal, count))

    def _draw(self) -> None:
        for person in self.site.people:
            for shot in range(passages.SHOTS):
                person.portrait(shot=shot)

    async def _play(self) -> None:
        timing = self.timing
        self.recording.set()
        recorders = [asyncio.create_task(self._record(post)) for post in self.posts]
        try:
            self._stage(view.Stage.UP)
            await asyncio.sleep(timing.before_s)
            await self.receiver.kill()
            self._stage(view.Stage.KILLED)
            await asyncio.sleep(timing.away_s)
            self._stage(view.Stage.BACK)
            await self.receiver.start()
            await asyncio.sleep(timing.after_s)
        finally:
            self.recording.clear()
            await asyncio.gather(*recorders)
        self._stage(view.Stage.DRAINING)
        await self._drain()

    async def _record(self, post: DemoTerminal) -> None:
        """Record passages at about the rate, and an alarm with its clearing now and then."""
        rand = rng("demo", post.door.serial)
        number = 0
        while self.recording.is_set():
            for event in self._events(post.door, number):
                await post.terminal.outbox.put(event)
                post.expected.append(Expected.of(event))
                post.count.recorded += 1
            number += 1
            post.longest_backlog = max(post.longest_backlog, post.count.backlog)
            await asyncio.sleep(rand.uniform(0.5, 1.5) / self.timing.rate)

    def _events(self, door: Door, number: int) -> Iterable[Record | Alarm]:
        at = datetime.now(SITE_TIME)
        moment = Moment(int(time.time()), self.day, at, number)
        yield passages.passage(moment, self.site, door)
        if number % 40 == 20:
            began = at - timedelta(seconds=20)
            for status, when in ((AlarmStatus.OCCURRED, began), (AlarmStatus.CLEARED, at)):
                step = Moment(1, self.day, when, number)
                yield passages.alarm(step, self.site, door, life=(AlarmCode.DOOR_HELD, status, began))

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.timing.drain_s):
                for post in self.posts:
                    while (await post.terminal.status()).pending:  # noqa: ASYNC110 (the ledger is in the file)
                        await asyncio.sleep(0.05)

    async def _judge(self, api: Api) -> bool:
        """Compare and print. True if nothing is lost, doubled, altered or misfiled, and the outage had an effect."""
        self._stage(view.Stage.COMPARING)
        inventory = await api.inventory()
        verdicts, strangers = compare({post.door.serial: post.expected for post in self.posts}, inventory)
        rows = [
            view.Row(
                serial=post.door.serial,
                place=post.door.place,
                verdict=verdicts[post.door.serial],
                waited=post.longest_backlog,
                resent=post.resent,
            )
            for post in self.posts
        ]
        images = sum(event.image is not None for post in self.posts for event in post.expected)
        self.console.print(view.result(rows))
        felt = all(post.longest_backlog > 0 for post in self.posts) and any(
            post.resent > 0 for post in self.posts
        )
        good = all(verdict.holds for verdict in verdicts.values()) and not strangers and felt
        self.console.print(view.verdict(rows, good=good, felt=felt, strangers=len(strangers), images=images))
        return good

    async def _stay(self, stack: AsyncExitStack) -> None:
        """Let the terminals go on, slowly, until Ctrl-C."""
        terminals = [post.terminal for post in self.posts]
        models = [post.door.model for post in self.posts]
        services = offered(terminals, models, ServiceOptions(), folder=self.folder)
        found = await stack.enter_async_context(services)
        addresses = {
            post.door.serial: f"{address}/v1/event/subscribe"
            for post, address in zip(self.posts, found, strict=True)
        }
        self.console.print(view.addresses(self.receiver.url, self.receiver.password, self.folder, addresses))
        self.timing = Timing(rate=0.4)
        self.recording.set()
        recorders = [asyncio.create_task(self._record(post)) for post in self.posts]
        try:
            await asyncio.gather(*recorders)
        finally:
            self.recording.clear()
            for task in recorders:
                task.cancel()
            await asyncio.gather(*recorders, return_exceptions=True)

    # -- showing

    def _stage(self, stage: view.Stage) -> None:
        self.stage = stage
        if not self.console.is_terminal:
            self.console.print(f"· {stage.text()}", highlight=False)

    @contextlib.asynccontextmanager
    async def _picture(self) -> AsyncIterator[None]:
        """Show the progress. If the output is no terminal, print only the stages."""
        if not self.console.is_terminal:
            yield
            return
        began = time.monotonic()
        whole = self.timing.recording_s + 2.5

        async def redraw(picture: Live) -> None:
            while True:
                done = (time.monotonic() - began) / whole
                picture.update(view.progress(self.stage, self.meter.counts, done), refresh=True)
                await asyncio.sleep(0.1)

        with Live(console=self.console, auto_refresh=False, transient=True) as picture:
            drawing = asyncio.create_task(redraw(picture))
            try:
                yield
            finally:
                drawing.cancel()
                await asyncio.gather(drawing, return_exceptions=True)


async def main(*, keep: bool, console: Console, timing: Timing | None = None) -> int:
    """Run the demo in a temporary folder; return the exit code. SIGTERM ends it as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this is a coroutine of asyncio.run
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="gatepost-demo-"))
    try:
        return await Demo(folder, console, timing=timing).run(keep=keep)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def cli(argv: list[str] | None = None, *, timing: Timing | None = None) -> int:
    """Run `python -m gatepost.simulator.demo.run [--keep]`."""
    parser = argparse.ArgumentParser(
        prog="make demo", description=t("See nothing get lost.", "看看事件如何一条不丢。")
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help=t("stay up afterwards (make demo KEEP=1)", "结束后保持运行（make demo KEEP=1）"),
    )
    keep = parser.parse_args(argv).keep
    # The pushers would log the outage, which is deliberate.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    console = Console()
    try:
        return asyncio.run(main(keep=keep, console=console, timing=timing))
    except GatepostError as error:
        console.print(f"gatepost: {error}", style="bold red", highlight=False, markup=False)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 0 if keep else 130


if __name__ == "__main__":
    sys.exit(cli())
