"""The fast engine: many terminals in one process, to load a receiver.

Rules:

- A connection has one request under way, as a terminal has. A request that was not acknowledged is sent again with the
  same bytes.
- With `events`, exactly that many different events are sent, each terminal a share of them. They are the same for the
  same plan, with any number of connections.
- Only what `gatepost.wire.classify` calls delivered counts. Its commonest form, the documented reply, is recognised
  without parsing. Everything else goes through the terminal's own reply parser.
- With the plan's `dialect_faults`, one event in twenty has a fault of the field, drawn by its number.
- With `rate`, events become due at that rate whatever the receiver does. The reply time counts from the moment the
  event was due, so that a receiver that stalls gets no advantage.

Flow: `RequestSeries.request(number)` → `_Connection.send_next` → write → `data_received` → settled → the next one, or
the same again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from msgspec import Struct

from gatepost.simulator.engines.prepared import ImageTexts, RequestSeries
from gatepost.simulator.engines.virtual_terminals import VirtualTerminal, shares, spread
from gatepost.simulator.meter import Count, Meter
from gatepost.simulator.world.people import make_site
from gatepost.simulator.world.scenario import Plan, doors
from gatepost.terminal.push.http_response import BadReply, ResponseParser
from gatepost.terminal.push.target import Target, take_apart
from gatepost.wire import SUCCESS, Delivered, Refused, classify

__all__ = ["FastEngine", "FastOptions"]


FACES = 24
"""Number of people. Their portraits are drawn before the first event is sent, and kept."""

REPLY_S = 30.0
"""Seconds until a request without a reply is given up and sent again on a new connection."""

_OK = (b"HTTP/1.1 200 ", b"\r\n\r\n" + SUCCESS)


class FastOptions(Struct, kw_only=True):
    """The options of the fast engine. It ends after `events` or `seconds`, whichever comes first."""

    url: str
    connections: int = 64
    events: int | None = None
    seconds: float | None = None
    drain_s: float = 60.0
    """Seconds without an acknowledgement after which it ends, if ``seconds`` is not given."""
    rate: float | None = None
    """Events per second of all terminals; ``None``: as many as the receiver acknowledges."""
    tls: ssl.SSLContext | None = None


class FastEngine:
    """One run of the fast engine."""

    def __init__(
        self, plan: Plan, job: FastOptions, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Draw the people and prepare the requests, which takes seconds for thousands of terminals."""
        self.plan, self.job, self.clock = plan, job, clock
        self.target: Target = take_apart(job.url)
        fleet = doors(plan)
        self.meter = Meter(
            [Count(serial=door.serial, place=door.place, firmware=str(door.firmware)) for door in fleet]
        )
        site, gallery = make_site(plan.seed, employees=FACES), ImageTexts()
        events = shares(job.events, len(fleet))
        self._terminals = [
            VirtualTerminal(
                door, RequestSeries(plan, site, door, self.target, gallery=gallery), count, plan, share
            )
            for door, count, share in zip(fleet, self.meter.counts, events, strict=True)
        ]
        self.ended = asyncio.Event()
        self.began = self.finished = 0.0
        self.due: deque[float] = deque()
        self.idle: deque[_Connection] = deque()
        self._working = 0
        self._lines: list[_Connection] = []

    def stop(self) -> None:
        """Send nothing new. `run` returns when the requests under way have replies."""
        for line in self._lines:
            line.stop()

    async def run(self) -> None:
        """Send until there is nothing left or the time is over. Wait briefly for requests under way."""
        lines = [_Connection(self, share) for share in spread(self._terminals, self.job.connections)]
        self._lines = lines
        self._working = len(lines)
        self.began = self.finished = self.clock()
        for line in lines:
            line.start()
        pace = asyncio.create_task(self._pace()) if self.job.rate else None
        await self._wait()
        self.stop()
        if pace:
            pace.cancel()
            await asyncio.gather(pace, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self.ended.wait()
        if not self.ended.is_set():
            self.finished = self.clock()
            self.ended.set()
        await asyncio.gather(*(line.close() for line in lines))

    async def _wait(self) -> None:
        """Wait until all is sent or the time is over; without a time, until nothing was acknowledged for a while."""
        job, acknowledged = self.job, -1
        patience = job.drain_s + 1 / (job.rate or 1) if job.seconds is None else job.seconds
        while self.meter.acknowledged != acknowledged:
            acknowledged = self.meter.acknowledged
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self.ended.wait()
            if job.seconds is not None or self.ended.is_set():
                return

    @property
    def elapsed(self) -> float:
        """Return the seconds from the first connection to the last reply, or to now while it runs."""
        end = self.finished if self.ended.is_set() or not self.began else self.clock()
        return max(end - self.began, 1e-9)

    def done(self) -> None:
        """Note that a connection has nothing left to send."""
        self._working -= 1
        if self._working == 0:
            self.finished = self.clock()
            self.ended.set()

    async def _pace(self) -> None:
        """Let events become due at the rate, in steps of some milliseconds."""
        assert self.job.rate is not None  # noqa: S101 - started only with a rate
        begin, released = self.clock(), 0
        while True:
            await asyncio.sleep(0.002)
            until = int((self.clock() - begin) * self.job.rate)
            for number in range(released, until):
                self.due.append(begin + number / self.job.rate)
            released = until
            while self.due and self.idle:
                line = self.idle.popleft()
                if not line.request:  # one that lost its connection while idle may be here twice
                    line.send_next()


class _Connection(asyncio.Protocol):
    """A persistent connection that several terminals share in turn, one request at a time."""

    def __init__(self, fast: FastEngine, terminals: Sequence[VirtualTerminal]) -> None:
        self.fast = fast
        self.loop = asyncio.get_running_loop()
        self.terminals = deque(terminals)
        self.transport: asyncio.Transport | None = None
        self.request = b""
        self.count: Count | None = None
        self.events = 1
        self.twice = False
        self.fault = ""
        self.begun = 0.0
        self.parser: ResponseParser | None = None
        self.failures = 0
        self.stopping = self.over = False
        self.timer: asyncio.TimerHandle | None = None
        self.connecting: asyncio.Task[None] | None = None

    # -- the connection

    def start(self) -> None:
        """Begin to connect. The first request follows."""
        self.connecting = self.loop.create_task(self._connect())

    async def _connect(self) -> None:
        """Connect, and try again until it works or the run ends."""
        target = self.fast.target
        while not self.over:
            try:
                await self.loop.create_connection(
                    lambda: self,
                    target.host,
                    target.port,
                    ssl=self.fast.job.tls or (True if target.scheme == "https" else None),
                )
            except OSError as error:
                if self.stopping:
                    self._finish()
                    return
                self._failed(f"cannot connect: {error.strerror or type(error).__name__}", refused=False)
                await asyncio.sleep(self._pause())
            else:
                return

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parser = None
        if self.request:
            self._write()
        else:
            self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._disarm()
        if self.over:
            return
        if self.request:
            self._failed("the connection was lost", refused=False)
        self.connecting = self.loop.create_task(self._reconnect())

    async def _reconnect(self) -> None:
        await asyncio.sleep(self._pause() if self.request else 0)
        await self._connect()

    def stop(self) -> None:
        """Send nothing new."""
        self.stopping = True
        if not self.request:
            self._finish()

    async def close(self) -> None:
        self.over = True
        self._disarm()
        if self.connecting:
            self.connecting.cancel()
            await asyncio.gather(self.connecting, return_exceptions=True)
        if self.transport:
            self.transport.abort()

    # -- one request after the other

    def send_next(self) -> None:
        """Send the next event that is due; wait if none is; finish if there will be none."""
        if self.stopping:
            self._finish()
            return
        if self.fast.job.rate:
            if not self.fast.due:
                self.fast.idle.append(self)
                return
            self.begun = self.fast.due.popleft()
        while self.terminals:
            terminal = self.terminals[0]
            taken = terminal.take()
            if taken is None:
                self.terminals.popleft()
                continue
            self.terminals.rotate(-1)
            self.request, self.events, self.twice, self.fault = (
                taken.request,
                taken.events,
                taken.twice,
                taken.fault,
            )
            self.count = terminal.count
            self.count.recorded += self.events
            if self.fault:
                self.fast.meter.fault(self.fault, sent=self.events)
            if not self.fast.job.rate:
                self.begun = self.fast.clock()
            self._write()
            return
        self._finish()

    def _write(self) -> None:
        assert self.count is not None  # noqa: S101 - there is a request
        self.count.attempts += 1
        if self.transport is not None:
            self.transport.write(self.request)
            self.timer = self.timer or self.loop.call_later(REPLY_S, self._overdue, self.count.attempts)

    def data_received(self, data: bytes) -> None:
        if self.parser is None and data.startswith(_OK[0]) and data.endswith(_OK[1]) and self.request:
            self._settled()
            return
        try:
            self.parser = self.parser or ResponseParser()
            if not self.parser.feed(data):
                return
        except BadReply as error:
            self._abandon(error.reason)
            return
        reply, reusable = self.parser.reply(), self.parser.reusable
        self.parser = None
        outcome = classify(reply.status, reply.body, headers=reply.headers)
        if isinstance(outcome, Delivered):
            if not reusable and self.transport:
                self.transport.close()
            self._settled(go_on=reusable)
            return
        self._failed(outcome.reason, refused=isinstance(outcome, Refused))
        if reusable:
            self.loop.call_later(self._pause(), self._again)
        elif self.transport:
            self.transport.abort()

    def eof_received(self) -> bool:
        return False

    def _settled(self, *, go_on: bool = True) -> None:
        assert self.count is not None  # noqa: S101 - there is a request
        self.failures = 0
        self.fast.meter.answered(self.count, self.fast.clock() - self.begun, events=self.events)
        if self.fault:
            self.fast.meter.fault(self.fault, acknowledged=self.events)
            self.fault = ""
        if self.twice:
            self.twice = False
            self.count.again += self.events
            self.count.recorded += self.events
            self.begun = self.fast.clock()
            if go_on:
                self._write()
            return
        self.request = b""
        if go_on:
            self.send_next()

    def _again(self) -> None:
        if self.stopping:
            self._finish()
        elif self.request and self.transport:
            self._write()

    def _overdue(self, attempt: int) -> None:
        """Look, every `REPLY_S`, whether the same request is still under way."""
        self.timer = None
        if self.count is None or self.transport is None or not self.request:
            return
        if self.fast.clock() - self.begun > REPLY_S:
            self._abandon("time-out while waiting for the reply")
        else:
            self.timer = self.loop.call_later(REPLY_S, self._overdue, attempt)

    def _abandon(self, reason: str) -> None:
        self.fast.meter.errors[reason] += 1
        if self.transport:
            self.transport.abort()

    def _failed(self, reason: str, *, refused: bool) -> None:
        self.failures += 1
        count = self.count or self.terminals[0].count
        self.fast.meter.failed(count, reason, refused=refused)

    def _pause(self) -> float:
        """Return the seconds until the next attempt. They grow to one second only, to notice a recovery soon."""
        return float(min(1.0, 0.02 * 2 ** min(self.failures, 6)))

    def _disarm(self) -> None:
        if self.timer:
            self.timer.cancel()
            self.timer = None

    def _finish(self) -> None:
        if not self.over:
            self.over = True
            self._disarm()
            if self.transport:
                self.transport.close()
            self.fast.done()
