"""All destinations of a receiver: one forwarder each, with its lease.

Rules:

* Every destination has an owner, also one that is paused: it takes over what people do with dead letters.
* A lease lasts :data:`LEASE_S` and is renewed three times within that. On a server with several receivers, another one
  sends :data:`LEASE_S` after this one was last heard of; what this one commits afterwards changes nothing.
* A destination that is changed is begun anew with what it is told then. What was under way may be sent again.
* A defect of ours ends one forwarder, which begins again after a while, and no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import urlsplit

import structlog
from msgspec import Struct

from gatepost.errors import GatepostError, SettingsError, StoreError
from gatepost.forward.admin import Admin
from gatepost.forward.destination import Destination, Secrets, decode, decode_secrets, queries
from gatepost.forward.egress import Egress, Forbidden
from gatepost.forward.forwarder import Forwarder, Lost, Surroundings
from gatepost.forward.sinks import Sink
from gatepost.forward.sinks.webhook import Webhook
from gatepost.forward.state import Reach, Standing, standing
from gatepost.forward.trial import Example, Trial, example, send_test
from gatepost.store.interface import Store
from gatepost.store.people.people import People
from gatepost.store.query.destinations import DestinationRow, Destinations

__all__ = ["LEASE_S", "Forwarding", "open_sink"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

LEASE_S = 15.0

LOOK_S = 2.0
"""So often destinations are looked for that another process has changed."""

AGAIN_S = 30.0
"""So long after a defect a forwarder begins again."""

THREADS = 4
"""For all forwarders together: what they do there is ask the store."""


def open_sink(told: Destination, secrets: Secrets, egress: Egress) -> Sink:
    """Return what sends to a destination. Raises :class:`~gatepost.errors.SettingsError`."""
    makers: Mapping[str, Callable[[Destination, Secrets, Egress], Sink]] = {"webhook": Webhook}
    return makers[told.kind](told, secrets, egress)


class _Running(Struct):
    """A forwarder, and the task that runs it."""

    forwarder: Forwarder
    task: asyncio.Task[None]
    revision: int


class Forwarding:
    """Starts and stops forwarders. Made and used on one event loop."""

    def __init__(
        self,
        store: Store,
        destinations: Destinations,
        people: People,
        egress: Egress,
        *,
        source: Callable[[], str],
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        rand: random.Random | None = None,
        owner: str = "",
    ) -> None:
        """``source`` returns what tells this receiver's database from every other; it may block.

        ``owner``: who has the leases; by default a made-up name.
        """
        self.destinations = destinations
        self.admin = Admin(destinations, now=now, check=self.check)
        self.egress = egress
        self.owner = owner or secrets.token_hex(8)
        self._now = now
        self._monotonic = monotonic
        self._threads = ThreadPoolExecutor(THREADS, "gatepost-forward")
        self._around = Surroundings(
            store=store,
            destinations=destinations,
            people=people,
            source=lambda: f"urn:gatepost:{source()}",
            now=now,
            monotonic=monotonic,
            rand=(rand or random.Random()).random,  # noqa: S311 - jitter is no secret
            in_thread=self._in_thread,
        )
        self._running: dict[int, _Running] = {}
        self._renew_at: dict[int, float] = {}
        self._not_before: dict[int, tuple[int, float]] = {}
        """Of a destination that could not be begun: its revision, and when it is tried again."""
        self.troubles: dict[int, str] = {}
        """Why nothing is sent to a destination, where it cannot be begun."""
        self._bell = asyncio.Event()
        self._turn = asyncio.Lock()

    def wake(self) -> None:
        """Say that events are listed. On the loop."""
        for running in self._running.values():
            running.forwarder.wake()

    async def refresh(self) -> None:
        """Take over what was changed about destinations: call it after a change of one."""
        async with self._turn:
            rows = await self._in_thread(self.destinations.all)
            here = {row.id for row in rows}
            for gone in self._running.keys() - here:
                await self._stop(gone)
            for row in rows:
                await self._look_at(row)

    async def run(self) -> None:
        """Run until it is cancelled."""
        try:
            while True:
                try:
                    await self.refresh()
                except StoreError as error:
                    log.debug("forwarding.store_away", why=str(error))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._bell.wait()
        finally:
            await self._close()

    def standing(self, row: DestinationRow) -> Standing:
        """Return the state of a destination. On any thread."""
        running = self._running.get(row.id)
        reach = None
        if running is not None:
            reach = Reach(failures=running.forwarder.failures, wait_s=running.forwarder.wait_s)
        return standing(row, trouble=self.troubles.get(row.id), reach=reach)

    def check(self, told: Destination, kept: Secrets) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` for what nothing can be sent with. Blocks."""
        host = urlsplit(told.url).hostname or ""
        try:
            self.egress.check_literal(host)
        except Forbidden as error:
            raise SettingsError("url", f"cannot be used: {error}") from None
        queries(told.filter, self._around.store.sites())
        open_sink(told, kept, self.egress)  # it connects when it sends

    async def test(self, row: DestinationRow) -> Trial:
        """Send a made-up event to a destination; it counts in no ledger.

        Raises :class:`~gatepost.errors.SettingsError`.
        """
        told = decode(row.config)
        source = await self._in_thread(self._around.source)
        sink = open_sink(told, decode_secrets(row.secrets), self.egress)
        return await send_test(sink, told, source=source, now=self._now, monotonic=self._monotonic)

    def example(self, told: Destination) -> Example | None:
        """Return the latest event that a filter chooses, as it would be sent. Blocks.

        Raises :class:`~gatepost.errors.SettingsError` for a filter that cannot be.
        """
        around = self._around
        return example(around.store, around.people, told, source=around.source())

    async def _look_at(self, row: DestinationRow) -> None:
        running = self._running.get(row.id)
        if running is not None and (running.revision != row.revision or running.task.done()):
            await self._stop(row.id)
            running = None
        if running is not None:
            running.forwarder.wake(row)
            if self._monotonic() < self._renew_at[row.id]:
                return
        elif self._is_too_soon(row) or row.finished_at is not None:
            return
        now_ms = int(self._now() * 1000)
        fence = await self._in_thread(
            lambda: self.destinations.lease(row.id, self.owner, now_ms=now_ms, for_ms=int(LEASE_S * 1000))
        )
        if fence is None:
            await self._stop(row.id)
            return
        self._renew_at[row.id] = self._monotonic() + LEASE_S / 3
        if running is None:
            self._start(row, fence)

    def _is_too_soon(self, row: DestinationRow) -> bool:
        revision, moment = self._not_before.get(row.id, (0, 0.0))
        return revision == row.revision and self._monotonic() < moment

    def _start(self, row: DestinationRow, fence: int) -> None:
        try:
            told = decode(row.config)
            sink = open_sink(told, decode_secrets(row.secrets), self.egress)
        except SettingsError as error:
            self._give_up(row, str(error))
            return
        self.troubles.pop(row.id, None)
        forwarder = Forwarder(row, told, sink, fence, self._around)
        task = asyncio.get_running_loop().create_task(self._guard(row, forwarder))
        self._running[row.id] = _Running(forwarder, task, row.revision)

    async def _guard(self, row: DestinationRow, forwarder: Forwarder) -> None:
        try:
            await forwarder.run()
        except Lost as error:
            log.warning("forwarding.lost", destination=row.name, why=str(error))
        except GatepostError as error:
            self._give_up(row, str(error))
        except Exception as error:
            log.exception("forwarding.failed", destination=row.name)
            self._give_up(row, f"a defect of gatepost: {type(error).__name__}; see its log")

    def _give_up(self, row: DestinationRow, why: str) -> None:
        if self.troubles.get(row.id) != why:
            log.error("forwarding.cannot_begin", destination=row.name, why=why)
        self.troubles[row.id] = why
        self._not_before[row.id] = row.revision, self._monotonic() + AGAIN_S

    async def _stop(self, which: int) -> None:
        running = self._running.pop(which, None)
        if running is not None:
            running.task.cancel()
            await asyncio.gather(running.task, return_exceptions=True)

    async def _close(self) -> None:
        async with self._turn:
            for which in list(self._running):
                await self._stop(which)
            with contextlib.suppress(StoreError):
                await self._in_thread(lambda: self.destinations.let_go(self.owner))
            self._threads.shutdown(wait=False)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
