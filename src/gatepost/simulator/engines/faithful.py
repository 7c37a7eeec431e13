"""The faithful engine: every simulated terminal is the real one, with its outbox, its pusher, and a simulated network.

Rules:

- Storing before replying, back-off, pushing again and dead letters are those of `gatepost.terminal`. Simulated are the
  events (who passes, when), the network (outages), and what each firmware writes.
- The outbox holds events as current firmware writes them. The network link rewrites them as the door's firmware writes
  them, each time in the same way, so that an event that is pushed again has the same bytes.
- With the plan's `dialect_faults` the link puts a fault of the field into one event in twenty.
- Time at the site runs `speed` times as fast as real time. Back-offs and time-outs are in real time.

Flow: `happenings` → at its time `Outbox.put` → `Pusher` → `NetworkLink.post` → receiver; then the ledgers are read.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec import Struct

from gatepost.errors import NotSubscribed, SettingsError
from gatepost.settings import TerminalSettings
from gatepost.simulator.engines.faulty import Faults
from gatepost.simulator.engines.services import ServiceOptions, offered
from gatepost.simulator.meter import Count, Meter
from gatepost.simulator.world import dialects
from gatepost.simulator.world.passages import Door
from gatepost.simulator.world.people import Site, make_site
from gatepost.simulator.world.rng import rng
from gatepost.simulator.world.scenario import Plan, PlannedEvent, doors, happenings
from gatepost.terminal.push.http_client import HttpClient, NoReply, Timeouts
from gatepost.terminal.push.http_response import HttpResponse
from gatepost.terminal.push.pusher import Pusher
from gatepost.terminal.push.target import header_lines
from gatepost.terminal.push.tls import Trust
from gatepost.terminal.terminal import Terminal
from gatepost.wire import Delivered, Refused, classify

SETTINGS = TerminalSettings(retry_first_s=0.25, retry_cap_s=4.0, history_events=1_000)
"""The back-off is shorter than in life: a day that takes a minute has outages of seconds."""

FILES_A_TERMINAL = 12
"""Open files that one terminal needs: segments, state and lock of its outbox, its connections."""


class FaithfulOptions(Struct, kw_only=True):
    """The options of the faithful engine."""

    url: str | None
    """Address to push to; `{sn}` stands for the serial. ``None``: wait until each terminal is subscribed."""
    folder: Path
    """Folder of the outboxes, one subfolder per terminal."""
    speed: float = 720.0
    drain_s: float = 60.0
    """Seconds to wait after the day until everything is acknowledged."""
    trust: Trust = msgspec.field(default_factory=Trust)
    offer: ServiceOptions | None = None
    """How the terminals' own HTTP services are served; ``None``: not at all."""


class Clock:
    """The site's time: from `begins` on, `speed` times as fast as `monotonic`."""

    def __init__(
        self, begins: datetime, speed: float, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._begins, self._speed, self._monotonic = begins, speed, monotonic
        self._zero = monotonic()

    def start(self) -> None:
        """Start at `begins`."""
        self._zero = self._monotonic()

    def now(self) -> datetime:
        return self._begins + timedelta(seconds=(self._monotonic() - self._zero) * self._speed)

    def wait(self, at: datetime) -> float:
        """Return the real seconds until `at`; 0.0 if that is past."""
        return max(0.0, (at - self.now()).total_seconds() / self._speed)


class NetworkLink(HttpClient):
    """The network between a terminal and the receiver. It writes the firmware's dialect, fails, and measures."""

    def __init__(
        self,
        door: Door,
        count: Count,
        meter: Meter,
        *,
        clock: Clock,
        trust: Trust,
        faults: Faults | None = None,
    ) -> None:
        super().__init__(trust=trust, limits=Timeouts(reply_s=10.0))
        self._faults = faults
        self._faulty: dict[bytes, bool] = {}
        """Bodies that were sent with a fault, by digest, and whether they were acknowledged."""
        self._door, self._count, self._meter, self._clock = door, count, meter, clock

    async def post(self, url: str, head: bytes, parts: Sequence[bytes]) -> HttpResponse | NoReply:
        """Send a push in its three parts (before the image, its base64, after it), as `HttpClient.post` does."""
        door, at = self._door, self._clock.now()
        self._count.attempts += 1
        self._count.away = door.cut_off(at)
        if self._count.away:
            self._meter.failed(self._count, "outage", refused=False)
            return NoReply("the network is away", connected=False)
        begin, image, end = parts
        begin, end = dialects.translate(
            begin, end, door.firmware, image=bool(image), trailing_comma=door.index % 5 == 4
        )
        ours = dialects.headers(door.firmware, serial=door.serial, model=door.model, at=at + door.clock_error)
        sent: Sequence[bytes] = (begin, image, end)
        fault = None if self._faults is None else self._faults.of_body(b"".join(sent))
        if fault is not None:
            sent = (fault[1],)
            self._count_fault(*fault, acknowledged=False)
        began = time.perf_counter()
        answer = await super().post(url, header_lines(ours), sent)
        if isinstance(answer, NoReply):
            self._meter.failed(self._count, answer.reason, refused=False)
            return answer
        outcome = classify(answer.status, answer.body, headers=answer.headers)
        if isinstance(outcome, Delivered):
            self._meter.answered(self._count, time.perf_counter() - began)
            if fault is not None:
                self._count_fault(*fault, acknowledged=True)
        else:
            self._meter.failed(self._count, outcome.reason, refused=isinstance(outcome, Refused))
        return answer

    def _count_fault(self, name: str, body: bytes, *, acknowledged: bool) -> None:
        """Count an event with a fault once as sent and once as acknowledged, however often it is pushed."""
        key = blake2b(body, digest_size=8).digest()
        before = self._faulty.get(key)
        self._faulty[key] = acknowledged or bool(before)
        self._meter.fault(name, sent=before is None, acknowledged=acknowledged and not before)


class SimulatedTerminal(Terminal):
    """A terminal whose network is simulated. Everything else is real."""

    def __init__(self, door: Door, folder: Path, *, seed: int, cable: Callable[[], HttpClient]) -> None:
        super().__init__(door.serial, folder, settings=SETTINGS, rand=rng("terminal", seed, door.serial))
        self._cable = cable

    def _new_pusher(self) -> Pusher:
        return Pusher(
            self.outbox, settings=self.settings, client=self._cable(), now=self._now, rand=self._rand
        )


class FaithfulEngine:
    """One run of the faithful engine."""

    def __init__(self, plan: Plan, task: FaithfulOptions, *, site: Site | None = None) -> None:
        self.plan, self.task = plan, task
        self.site = site or make_site(plan.seed)
        self.doors = doors(plan)
        self.meter = Meter(
            [Count(serial=door.serial, place=door.place, firmware=str(door.firmware)) for door in self.doors]
        )
        self.clock = Clock(plan.begins, task.speed)
        self.terminals: list[Terminal] = []
        self._earlier: dict[str, int] = {}
        self.addresses: list[str] = []
        """Addresses of the terminals' own HTTP services, in the order of the doors."""
        self.phase = "opening"
        """`opening`, `day`, `draining` or `over`, for display."""
        self.began = self.finished = time.perf_counter()
        self._over = asyncio.Event()

    @property
    def elapsed(self) -> float:
        end = self.finished if self.phase == "over" else time.perf_counter()
        return max(end - self.began, 1e-9)

    def stop(self) -> None:
        """End the day now. Recorded events are still delivered, within `drain_s`."""
        self._over.set()

    async def run(self) -> None:
        """Run the day, wait until everything is acknowledged, read the ledgers.

        Raises SettingsError if the machine allows too few open files, and what `Terminal` raises when it opens.
        """
        _allow_files(len(self.doors) * FILES_A_TERMINAL + 256)
        with ThreadPoolExecutor(1, thread_name_prefix="painter") as painter:
            async with AsyncExitStack() as stack:
                await self._open(stack)
                self.phase = "day"
                self.clock.start()
                self.began = time.perf_counter()
                await self._day(painter)
                self.phase = "draining"
                await self._drain()
                await self._read_ledgers()
                self.finished = time.perf_counter()
                self.phase = "over"

    async def _open(self, stack: AsyncExitStack) -> None:
        a_few = asyncio.Semaphore(16)  # opening waits for the disk

        async def one(door: Door, count: Count) -> Terminal:
            folder = self.task.folder / door.serial

            def cable() -> HttpClient:
                return NetworkLink(
                    door,
                    count,
                    self.meter,
                    clock=self.clock,
                    trust=self.task.trust,
                    faults=Faults(self.plan, door.serial) if self.plan.dialect_faults else None,
                )

            async with a_few:
                await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
                terminal = SimulatedTerminal(door, folder, seed=self.plan.seed, cable=cable)
                await terminal.__aenter__()
                stack.push_async_callback(terminal.close)
                state = await terminal.status()
                count.recorded += state.pending  # from an earlier run in the same folder
                self._earlier[door.serial] = state.accepted - state.pending
                if self.task.url is not None:
                    await terminal.subscribe(self.task.url.replace("{sn}", door.serial))
                return terminal

        self.terminals = list(await asyncio.gather(*map(one, self.doors, self.meter.counts)))
        if self.task.offer is not None:
            models = [door.model for door in self.doors]
            services = offered(self.terminals, models, self.task.offer, folder=self.task.folder)
            self.addresses = await stack.enter_async_context(services)

    async def _day(self, painter: ThreadPoolExecutor) -> None:
        living = [
            asyncio.create_task(self._live(terminal, door, count, painter))
            for terminal, door, count in zip(self.terminals, self.doors, self.meter.counts, strict=True)
        ]
        try:
            await asyncio.gather(*living)
        finally:
            for task in living:
                task.cancel()
            await asyncio.gather(*living, return_exceptions=True)

    async def _live(self, terminal: Terminal, door: Door, count: Count, painter: ThreadPoolExecutor) -> None:
        """Let one door's day happen. Another thread draws the portraits, which takes some 20 ms each."""
        loop = asyncio.get_running_loop()
        day = happenings(self.plan, self.site, door)
        while (happening := await loop.run_in_executor(painter, _next, day)) is not None:
            if await self._ended_within(self.clock.wait(happening.at)):
                return
            try:
                # Not `terminal.record`: it would give a `uuid` to the terminal that never sends one.
                await terminal.outbox.put(happening.event)
            except NotSubscribed:
                count.unheard += 1
                continue
            count.recorded += 1
            count.again += happening.again

    async def _ended_within(self, seconds: float) -> bool:
        """Wait; return True at once when the day is ended earlier."""
        if not seconds:
            return self._over.is_set()
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    async def _drain(self) -> None:
        """Wait until every outbox is empty, or `drain_s` are over. No outages happen after the day."""
        deadline = time.perf_counter() + self.task.drain_s
        while time.perf_counter() < deadline:
            states = await asyncio.gather(*(terminal.status() for terminal in self.terminals))
            if not any(state.pending for state in states):
                return
            await asyncio.sleep(0.2)

    async def _read_ledgers(self) -> None:
        for terminal, count in zip(self.terminals, self.meter.counts, strict=True):
            state = await terminal.status()
            count.recorded = state.accepted - self._earlier[terminal.serial]
            count.dead, count.dropped = state.dead, state.dropped


def _next(day: Iterator[PlannedEvent]) -> PlannedEvent | None:
    return next(day, None)


def _allow_files(wanted: int) -> None:
    """Raise the limit of open files as far as this user may. Raises SettingsError if that is not enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SettingsError(
            "terminals", f"needs {wanted} open files and this user may have {hard}: raise `ulimit -n`"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
