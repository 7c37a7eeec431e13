"""The pusher: takes events out of the outbox and pushes them, after outages of any length.

Rules:

- **An attempt is written before it is made** (`Outbox.claim`), and an event is in flight until its acknowledgement is
  committed (`Outbox.settle`). So after a crash only events in flight are pushed again. No event is tried twice within
  the first back-off, so a terminal that crashes and restarts in a loop does not overload the receiver.
- **Delivered** is only what `wire.classify` calls delivered.
- **Unreachable** and **refused** are distinguished by `wire.classify`. The first is retried for ever. The second may
  end in the dead letters (`gatepost.retry`). `circuit_breaker` decides what each means for the other events.
- **The address** is read before every claim. Pushes in flight to the old one end there, and their failures do not count
  for the new one.
- **The number of pushes at once** depends on the link, and `window` learns it. Attempts that hang since before an
  outage take no place in the window, but count in ``max_in_flight``.
- Waits use a clock that is never set. Only times in the outbox are in Unix seconds.

Flow of one turn: results of finished attempts → `settle`, and in the same commit `claim` for the places that become
free → an attempt each (`HttpClient.post` → `wire.classify` → `retry.next_step`) → wait until one ends, something new is
recorded, a back-off ends, or an event is due.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import pybase64
from msgspec import Struct

from gatepost.errors import OutboxError
from gatepost.retry import Backoff, DeadLetter, RetryAt, Step, next_step
from gatepost.settings import TerminalSettings
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.outbox import Claimed, Outbox
from gatepost.terminal.push.circuit_breaker import CircuitBreaker
from gatepost.terminal.push.http_client import HttpClient, NoReply, client_for
from gatepost.terminal.push.target import header_lines
from gatepost.terminal.push.window import Window
from gatepost.wire import Outcome, Refused, Subscription, Unreachable, classify

__all__ = ["Pusher", "PusherStatus"]

log = Log(__name__)

LONGEST_LOOK_AWAY = 5.0
"""Seconds after which the outbox's clock is read again, because it may have been set."""

LONGEST_WAIT_FOR_A_PLACE = 1.0
"""Seconds after which the address is read again while all places are taken: hanging pushes may have the old one."""

BURST_S = 60.0
"""Seconds of dead letters that share one line of the log."""


class PusherStatus(Struct, frozen=True):
    """The state of pushing at this moment."""

    in_flight: int
    failures: int
    """Failures in a row to reach the receiver; 0 while it can be reached."""
    backoff_s: float
    """Seconds until the next attempt while it cannot."""
    reason: str | None
    """Why it cannot."""


class _Attempt(Struct, frozen=True, eq=False):
    event: Claimed
    subscription: Subscription
    epoch: int


class Pusher:
    """Pushes the events of an outbox. One per outbox, for one `run`.

    ``headers``: headers of every push besides ``timestamp``: ``sn``, ``model``, ``account``. ``now``: Unix seconds.
    ``monotonic``: seconds of a clock that is never set. ``rand``: for the jitter. ``client``: by default the one of the
    ``settings``; it is closed when the pusher ends. ``window``: by default one that begins with a single push.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        settings: TerminalSettings | None = None,
        headers: Mapping[str, str] | None = None,
        client: HttpClient | None = None,
        window: Window | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        rand: random.Random | None = None,
    ) -> None:
        self._outbox = outbox
        self._settings = settings or TerminalSettings()
        self._policy = Backoff(
            first=self._settings.retry_first_s,
            cap=self._settings.retry_cap_s,
            max_refusals=self._settings.max_refusals,
        )
        self._head = header_lines(headers or {})
        self._client = client or client_for(self._settings)
        self._now = now
        self._monotonic = monotonic
        self._rand = (rand or random.Random()).random  # noqa: S311 - jitter is no secret
        self._circuit = CircuitBreaker(self._policy, self._rand)
        self._window = window or Window(self._settings.max_in_flight)
        self._under_way: dict[asyncio.Task[None], _Attempt] = {}
        self._results: list[tuple[int, Step]] = []
        self._claimed: list[Claimed] = []
        self._settling: asyncio.Task[None] | None = None
        self._replied = asyncio.Event()
        self._stopping = False
        self._defect: BaseException | None = None
        self._subscription: Subscription | None = None
        self._dead_letters = 0
        self._dead_letters_logged_at: float | None = None
        self._storage_wait = 0.0

    # -- running

    async def run(self) -> None:
        """Push until `stop` is called; then let pushes in flight end, within ``drain_timeout_s``.

        Cancelling it gives up pushes in flight at once. Either way nothing is lost: unacknowledged events are pending,
        and the receiver may get them once more.
        """
        if not self._settings.verify and self._settings.fingerprint is None:
            log.warning(
                "pusher.certificate_not_verified", advice="set ca_file or fingerprint instead of verify=false"
            )
        try:
            while not self._stopping:
                await self._turn()
                await self._wait()
            await self._drain(self._settings.drain_timeout_s)
        finally:
            await self._give_up()
        if self._defect is not None:
            raise self._defect

    async def stop(self) -> None:
        """Ask `run` to end. Returns at once; await the task that runs it. Idempotent."""
        self._stopping = True
        self._replied.set()

    async def push_once(self) -> int:
        """Push what the window allows now, and settle all of it. Return the number of attempts."""
        began = await self._turn()
        await self._drain(None)
        return began

    async def close(self) -> None:
        """Give up pushes in flight and close the connections. Only needed after `push_once`. Idempotent."""
        await self._give_up()

    def status(self) -> PusherStatus:
        """Return the state of pushing."""
        circuit = self._circuit
        return PusherStatus(
            len(self._under_way), circuit.failures, circuit.backoff(self._monotonic()), circuit.reason
        )

    # -- one turn

    async def _turn(self) -> int:
        """Write the results of finished attempts, and begin as many new ones as there is room for."""
        self._outbox.kicked.clear()
        self._replied.clear()
        results, self._results = self._results, []
        room = self._room()
        loop = asyncio.get_running_loop()
        if results:
            # Submitted together with the claim, it shares its commit. As a task, a cancelled turn writes it, too.
            self._settling = loop.create_task(self._outbox.settle(results))
        if room:
            await loop.create_task(self._claim(room))
        if self._settling is not None:
            await asyncio.shield(self._settling)
            self._settling = None
        claimed, self._claimed = self._claimed, []
        for event in claimed:  # only now, because events are in flight until their acknowledgement is written
            self._begin(event)
        return len(claimed)

    async def _claim(self, room: int) -> None:
        try:
            self._claimed = await self._outbox.claim(room, now=self._now())
            self._storage_wait = 0.0
        except OutboxError as error:
            if not self._storage_wait:
                log.error("pusher.outbox_unavailable", error=str(error))
            self._storage_wait = self._monotonic() + self._policy.first

    def _room(self) -> int:
        """Return how many attempts may begin now."""
        subscription = self._outbox.current_subscription
        if subscription is None or not subscription.enabled or self._stopping:
            return 0
        if subscription is not self._subscription:
            self._subscribed(subscription)
        tick = self._monotonic()
        if self._storage_wait > tick:
            return 0
        return self._circuit.allowed(self._free(), self._epochs(), tick)

    def _free(self) -> int:
        """Return the number of free places, 0 or more."""
        in_window = self._epochs().count(self._circuit.epoch)
        return max(0, min(self._window.size - in_window, self._window.most - len(self._under_way)))

    def _epochs(self) -> list[int]:
        return [attempt.epoch for attempt in self._under_way.values()]

    def _subscribed(self, subscription: Subscription) -> None:
        """Take over a subscription. Its receiver is there now, so a back-off ends."""
        before, self._subscription = self._subscription, subscription
        if before is None or before.event_dest == subscription.event_dest:
            self._circuit.retry_now()
            return
        log.info("pusher.address_changed")
        self._client.drop_idle()
        self._circuit.reset()
        self._window.readdress()

    def _begin(self, event: Claimed) -> None:
        assert self._subscription is not None  # noqa: S101 - no claim without one
        attempt = _Attempt(event, self._subscription, self._circuit.epoch)
        task = asyncio.get_running_loop().create_task(self._attempt(attempt))
        self._under_way[task] = attempt
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)
        self._replied.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._defect = error  # a defect: `run` ends with it, and the event stays as it is
            self._stopping = True

    async def _attempt(self, attempt: _Attempt) -> None:
        event = attempt.event
        await self._not_at_once_again(event)
        if self._outbox.current_subscription is not attempt.subscription:
            await self._outbox.release([event.id])  # changed since the claim
            return
        parts = (event.head, pybase64.b64encode(event.image) if event.image else b"", event.tail)
        head = b"%btimestamp: %d\r\n" % (self._head, self._now() * 1000)
        began = self._monotonic()
        reply = await self._client.post(attempt.subscription.event_dest, head, parts)
        if isinstance(reply, NoReply):
            outcome: Outcome = Unreachable(reply.reason)
            connected = reply.connected
            if reply.timed_out and self._is_current(attempt):
                self._window.timed_out(began, self._monotonic())
        else:
            if self._is_current(attempt):
                self._window.replied(sum(map(len, parts)), began, self._monotonic())
            outcome = classify(reply.status, reply.body, headers=reply.headers, now=self._now())
            connected = True
        self._results.append((event.id, self._decide(attempt, outcome, connected=connected)))

    async def _not_at_once_again(self, event: Claimed) -> None:
        """Delay an event whose last attempt was just now, which happens only after a process has died."""
        if event.last_attempt_at is not None:
            since = self._now() - event.last_attempt_at
            if 0 <= since < self._policy.first:
                await asyncio.sleep(self._policy.first - since)

    # -- what an outcome means

    def _is_current(self, attempt: _Attempt) -> bool:
        """Return whether an attempt used the present address. Only then its result counts for it."""
        current = self._outbox.current_subscription
        return current is not None and attempt.subscription.event_dest == current.event_dest

    def _decide(self, attempt: _Attempt, outcome: Outcome, *, connected: bool) -> Step:
        event, circuit, tick = attempt.event, self._circuit, self._monotonic()
        counts = self._is_current(attempt)
        failures = circuit.failures
        step: Step
        if isinstance(outcome, Unreachable):
            if not connected:
                if counts:
                    circuit.connect_failed(attempt.epoch, outcome, tick)
                step = RetryAt(0.0, reason=outcome.reason)  # the first in line as before
            else:
                again = circuit.unreachable(event.id, attempt.epoch, outcome, tick) if counts else 0.0
                step = RetryAt(self._now() + again, reason=outcome.reason)
        elif isinstance(outcome, Refused) and not counts:
            step = RetryAt(self._now(), reason=outcome.reason)
        else:
            if counts and isinstance(outcome, Refused):
                circuit.refused(event.id, attempt.epoch, outcome, tick)
            elif counts:
                circuit.delivered(event.id)
            step = self._next_step(event, outcome)
        if circuit.failures and not failures:
            log.warning("pusher.unreachable", reason=circuit.reason)
        elif failures and not circuit.failures:
            log.info("pusher.recovered", failures=failures)
        return step

    def _next_step(self, event: Claimed, outcome: Outcome) -> Step:
        step = next_step(
            outcome,
            refusals=event.refusals,
            delivered_since=event.delivered_since,
            failures=0,
            now=self._now(),
            rand=self._rand,
            policy=self._policy,
        )
        if isinstance(step, DeadLetter):
            self._dead_letters += 1
            tick, logged = self._monotonic(), self._dead_letters_logged_at
            if logged is None or tick - logged >= BURST_S:
                # the receiver's message may be about a person
                log.warning(
                    "pusher.dead_letters", count=self._dead_letters, reason=step.reason.partition(":")[0]
                )
                self._dead_letters, self._dead_letters_logged_at = 0, tick
        return step

    # -- waiting

    async def _wait(self) -> None:
        """Wait until there may be something to do."""
        if self._results or self._stopping:
            return
        if not self._free():
            again = asyncio.get_running_loop().call_later(LONGEST_WAIT_FOR_A_PLACE, self._replied.set)
            try:
                await self._replied.wait()
            finally:
                again.cancel()
        else:
            await _first_of(self._pause(), self._replied, self._outbox.kicked)

    def _pause(self) -> float | None:
        """Return the seconds after which to look again; ``None``: only when something happens."""
        subscription = self._outbox.current_subscription
        if subscription is None or not subscription.enabled:
            return None
        tick = self._monotonic()
        if self._storage_wait > tick:
            return self._storage_wait - tick
        wait_s = self._circuit.wait(self._epochs(), tick)
        if wait_s is None or wait_s > 0.0:
            return wait_s
        due = self._outbox.next_due()
        if due is None:
            return None
        # No busy loop if a claim finds nothing although something should be due
        return min(max(due - self._now(), 0.001), LONGEST_LOOK_AWAY)

    # -- ends

    async def _drain(self, seconds: float | None) -> None:
        """Settle pushes under way as they end, for at most ``seconds``."""
        with suppress(TimeoutError):  # the others are given up and stay pending
            async with asyncio.timeout(seconds):
                while self._under_way:
                    self._replied.clear()
                    await self._replied.wait()
                    await self._settle()
        await self._settle()

    async def _settle(self) -> None:
        results, self._results = self._results, []
        if results:
            await self._outbox.settle(results)

    async def _give_up(self) -> None:
        """Cancel pushes under way, release their events, and close the connections."""
        tasks = list(self._under_way)
        unfinished = {attempt.event.id for attempt in self._under_way.values()}
        for task in tasks:
            task.cancel()
        await self._client.close()
        if tasks:
            await asyncio.wait(tasks)
        if self._settling is not None:
            await self._settling
        unfinished.update(event.id for event in self._claimed)
        unfinished.difference_update(event_id for event_id, _ in self._results)
        self._claimed.clear()
        await self._settle()
        if unfinished:
            await self._outbox.release(sorted(unfinished))


async def _first_of(seconds: float | None, *events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
