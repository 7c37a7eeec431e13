"""All destinations of a receiver: one forwarder each, with its lease.

Rules:

* Every destination has an owner, also a paused one: it carries out commands about dead letters.
* A lease lasts :data:`LEASE_S` and is renewed three times within that. With several receivers, another one takes over
  :data:`LEASE_S` after the last renewal. Later commits of the former owner change nothing.
* A destination without new events costs no query of its own: one look is for all, and wakes those that have changed.
* A changed destination is restarted with its new settings. Events under way may be sent again.
* A defect ends one forwarder, which is restarted after a while, and no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from msgspec import Struct

from gatepost.egress import Egress
from gatepost.errors import GatepostError, SettingsError, StoreError
from gatepost.forward.admin import Admin
from gatepost.forward.forwarder.forwarder import Forwarder
from gatepost.forward.forwarder.reader import questions
from gatepost.forward.forwarder.surroundings import Lost, Surroundings
from gatepost.forward.image_links import ImageLinks
from gatepost.forward.opening import check_told, open_sink
from gatepost.forward.options.destination import Destination, decode
from gatepost.forward.options.secrets import Secrets, decode_secrets
from gatepost.forward.rates import Rates
from gatepost.forward.state import Reach, Standing, standing
from gatepost.forward.trial import Example, Trial, example, send_test
from gatepost.store.forwarding.destinations import DestinationRow, Destinations, State
from gatepost.store.interface import Store, Visible
from gatepost.store.people.people import People

__all__ = ["LEASE_S", "LOOK_S", "Forwarding"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

LEASE_S = 15.0

LOOK_S = 2.0
"""Seconds between looks for destinations that another process has changed."""

BEHIND_S = 0.25
"""Seconds for which the result of ``is_behind`` is cached."""

CLOSE_S = 1.0
"""Seconds for which a stop waits for requests under way and the database."""

AGAIN_S = 30.0
"""Seconds after a defect until a forwarder is restarted."""

THREADS = 4
"""Threads of all forwarders together, for queries of the store."""


class _Running(Struct):
    """A forwarder, and the task that runs it."""

    forwarder: Forwarder
    task: asyncio.Task[None]
    revision: int
    changes: int
    fence: int


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
        links: ImageLinks,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        rand: random.Random | None = None,
        owner: str = "",
        poll_s: float = LOOK_S,
        is_behind: Callable[[], bool] = bool,
    ) -> None:
        """``source`` returns a URI that identifies this receiver's database; it may block.

        ``owner``: the name of the leases' owner, by default a random one. ``poll_s``: seconds between looks for events
        that another process has listed. ``is_behind`` tells whether many acknowledged events are not listed yet.
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
            links=links,
            is_behind=self._is_behind,
        )
        self._behind = is_behind
        self._behind_until = 0.0
        self._was_behind = False
        self._running: dict[int, _Running] = {}
        self._poll_s = min(poll_s, LOOK_S)
        self._renew_at = 0.0
        self._seen: tuple[int, frozenset[int]] | None = None
        """The last event, and the held terminals, at the last look."""
        self._not_before: dict[int, tuple[int, float]] = {}
        """Destinations that could not be started: revision, and time of the next attempt."""
        self.troubles: dict[int, str] = {}
        """Reasons why this process cannot start a destination that no other one sends to."""
        self.rates = Rates()
        self._stopped: list[DestinationRow] = []
        """Destinations that were closed or not startable at the last look."""
        self._turn = asyncio.Lock()

    def wake(self) -> None:
        """Note that events were listed. On the loop."""
        for running in self._running.values():
            running.forwarder.wake()

    async def refresh(self) -> None:
        """Read the destinations again. To be called after a change of one."""
        async with self._turn:
            await self._renew()
            now_ms = int(self._now() * 1000)
            states = await self._in_thread(lambda: self.destinations.states(self.owner, now_ms=now_ms))
            here = {state.id: state for state in states}
            for which, running in list(self._running.items()):
                state = here.get(which)
                if state is None or state.is_finished or self._is_over(running, state):
                    await self._stop(which)
                    if which in self.troubles:
                        await self._let_others(which)
            changed = [state.id for state in states if self._has_changed(state)]
            for row in await self._in_thread(lambda: self.destinations.some(changed)):
                await self._take_up(row)
            for which in list(self.troubles):
                if self._is_well(which) or which not in here or not here[which].is_free:
                    del self.troubles[which]
            self.rates.note({state.id: state.delivered for state in states}, int(self._monotonic() // 60))
            stopped = [state.id for state in states if state.is_closed or state.id in self.troubles]
            self._stopped = await self._in_thread(lambda: self.destinations.some(stopped))

    async def run(self) -> None:
        """Run until cancelled."""
        look_at = self._monotonic()
        try:
            while True:
                try:
                    if self._monotonic() >= look_at:
                        look_at = self._monotonic() + LOOK_S
                        await self.refresh()
                    await self._poll()
                except StoreError as error:
                    log.debug("forwarding.store_away", why=str(error))
                await asyncio.sleep(self._poll_s)
        finally:
            await self._close()

    def sends_to(self) -> set[int]:
        """Return the destinations whose leases this process has."""
        return set(self._running)

    def standing(self, row: DestinationRow) -> Standing:
        """Return the state of a destination. On any thread."""
        running = self._running.get(row.id)
        reach, trouble = None, self.troubles.get(row.id)
        if self._is_well(row.id):
            trouble = None
        if running is not None:
            reach = Reach(failures=running.forwarder.failures, wait_s=running.forwarder.wait_s)
        return standing(row, trouble=trouble, reach=reach)

    def stopped(self) -> list[tuple[DestinationRow, Standing]]:
        """Return the closed and broken destinations, without a query. On any thread."""
        found = [(row, self.standing(row)) for row in self._stopped if row.replay_of is None]
        return [(row, standing) for row, standing in found if standing.state in ("closed", "broken")]

    def check(self, told: Destination, kept: Secrets) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` for settings that cannot be used. Blocks."""
        check_told(told, kept, self._around.store.sites(), self.egress, self._around.links)

    async def test(self, row: DestinationRow) -> Trial:
        """Send a test event to a destination. It counts in no ledger.

        Raises :class:`~gatepost.errors.SettingsError`.
        """
        told = decode(row.config)
        source = await self._in_thread(self._around.source)
        kept = decode_secrets(row.secrets)
        serial = await self._in_thread(
            lambda: self.destinations.latest_serial(questions(told, self._around.store.sites())[:2])
        )
        sink = open_sink(told, kept, self.egress)
        return await send_test(
            sink, told, kept, source=source, now=self._now, monotonic=self._monotonic, serial=serial
        )

    def example(self, told: Destination) -> Example | None:
        """Return the latest event that a filter chooses, as it would be sent. Blocks.

        Raises :class:`~gatepost.errors.SettingsError` for an invalid filter.
        """
        around = self._around
        return example(self.destinations, around.store, around.people, told, source=around.source())

    def linked_image(self, text: str) -> tuple[DestinationRow, int, bytes] | None:
        """Return destination, event and image of a link; ``None`` if it has expired. Blocks.

        Raises :class:`~gatepost.errors.ImageUnavailable`.
        """
        link = self._around.links.read(text, self._now())
        row = None if link is None else self.destinations.one(link.destination_id)
        if link is None or row is None or decode(row.config).images != "link":
            return None
        image = self._around.store.seen_by(Visible(held=False)).image(link.event_id)
        return None if image is None else (row, link.event_id, image)

    def _is_behind(self) -> bool:
        """Return the cached result of ``is_behind``, for all forwarders."""
        tick = self._monotonic()
        if tick >= self._behind_until:
            self._behind_until = tick + BEHIND_S
            self._was_behind = self._behind()
        return self._was_behind

    async def _poll(self) -> None:
        """Wake all if another process has listed events, or if the held terminals have changed."""
        if self._running:
            seen = await self._in_thread(self.destinations.latest)
            if seen != self._seen:
                self._seen = seen
                self.wake()

    async def _renew(self) -> None:
        if not self._running or self._monotonic() < self._renew_at:
            return
        now_ms = int(self._now() * 1000)
        mine = await self._in_thread(
            lambda: self.destinations.renew(self.owner, now_ms=now_ms, for_ms=int(LEASE_S * 1000))
        )
        self._renew_at = self._monotonic() + LEASE_S / 3
        for which, running in list(self._running.items()):
            if mine.get(which) != running.fence:
                await self._stop(which)

    def _is_over(self, running: _Running, state: State) -> bool:
        return running.revision != state.revision or running.task.done()

    def _has_changed(self, state: State) -> bool:
        running = self._running.get(state.id)
        if running is not None:
            return running.changes != state.changes
        return state.is_free and not state.is_finished and not self._is_too_soon(state)

    async def _take_up(self, row: DestinationRow) -> None:
        """Start a destination, or update its forwarder."""
        running = self._running.get(row.id)
        if running is not None:
            running.changes = row.changes
            running.forwarder.wake(row)
            return
        now_ms = int(self._now() * 1000)
        fence = await self._in_thread(
            lambda: self.destinations.lease(row.id, self.owner, now_ms=now_ms, for_ms=int(LEASE_S * 1000))
        )
        if fence is not None and not self._start(row, fence):
            await self._let_others(row.id)

    async def _let_others(self, which: int) -> None:
        """Give back the lease of a destination that this process cannot send to: another one may be able to."""
        await self._in_thread(lambda: self.destinations.let_go(self.owner, which))

    def _is_well(self, which: int) -> bool:
        """Return whether this process has started a destination."""
        running = self._running.get(which)
        return running is not None and running.forwarder.has_begun and not running.task.done()

    def _is_too_soon(self, state: State) -> bool:
        revision, moment = self._not_before.get(state.id, (0, 0.0))
        return revision == state.revision and self._monotonic() < moment

    def _start(self, row: DestinationRow, fence: int) -> bool:
        """Start a destination; return whether its settings allow it."""
        try:
            told = decode(row.config)
            if told.kind == "webhook" and not row.secrets:
                # Without a signature the other end would have to refuse everything, or accept it from anyone.
                raise SettingsError(
                    "secret", "was not in the backup that was restored; rotate it, and resume"
                )
            if told.images == "link":
                self._around.links.check()
            sink = open_sink(told, decode_secrets(row.secrets), self.egress)
        except SettingsError as error:
            self._give_up(row, str(error))
            return False
        forwarder = Forwarder(row, told, sink, fence, self._around)
        task = asyncio.get_running_loop().create_task(self._guard(row, forwarder))
        self._running[row.id] = _Running(forwarder, task, row.revision, row.changes, fence)
        return True

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
        """End all forwarders. Results that the database does not take in time are sent again."""
        closing = asyncio.create_task(self._let_go())
        done, _ = await asyncio.wait([closing], timeout=CLOSE_S)
        if not done:
            log.warning("forwarding.stopped_short", destinations=len(self._running))
            rest = [closing, *(running.task for running in self._running.values())]
            for task in rest:
                task.cancel()
            await asyncio.wait(rest, timeout=CLOSE_S)  # for connections to be closed
        self._threads.shutdown(wait=False)

    async def _let_go(self) -> None:
        async with self._turn:
            tasks = [running.task for running in self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._running.clear()
            with contextlib.suppress(StoreError):
                await self._in_thread(lambda: self.destinations.let_go(self.owner))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
