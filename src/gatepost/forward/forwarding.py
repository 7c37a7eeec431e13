"""All destinations of a receiver: one forwarder each, with its lease.

Rules:

* Every destination has an owner, also one that is paused: it takes over what people do with dead letters.
* A lease lasts :data:`LEASE_S` and is renewed three times within that. On a server with several receivers, another one
  sends :data:`LEASE_S` after this one was last heard of; what this one commits afterwards changes nothing.
* A destination that has nothing to be sent costs no query of its own: one look is for all, and wakes those for which
  something has changed.
* A destination that is changed is begun anew with what it is told then. What was under way may be sent again.
* A defect of ours ends one forwarder, which begins again after a while, and no other.
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
"""So often is looked for destinations that another process has changed."""

BEHIND_S = 0.25
"""So long it is known whether much is acknowledged and not yet listed."""

CLOSE_S = 1.0
"""So long a stop waits for what is under way, and for the database."""

AGAIN_S = 30.0
"""So long after a defect a forwarder begins again."""

THREADS = 4
"""For all forwarders together: what they do there is ask the store."""


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
        """``source`` returns what tells this receiver's database from every other; it may block.

        ``owner``: who has the leases; by default a made-up name. ``poll_s``: so often is looked for events that another
        process has listed. ``is_behind`` returns whether much is acknowledged and not yet listed.
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
        """The last event, and which terminals were held, at the last look."""
        self._not_before: dict[int, tuple[int, float]] = {}
        """Of a destination that could not be begun: its revision, and when it is tried again."""
        self.troubles: dict[int, str] = {}
        """Why nothing is sent to a destination, where this process cannot begin and no other one sends."""
        self.rates = Rates()
        self._stopped: list[DestinationRow] = []
        """Those that are closed or could not be begun, at the last look."""
        self._turn = asyncio.Lock()

    def wake(self) -> None:
        """Say that events are listed. On the loop."""
        for running in self._running.values():
            running.forwarder.wake()

    async def refresh(self) -> None:
        """Take over what was changed about destinations: call it after a change of one."""
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
        """Run until it is cancelled."""
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
        """Return the destinations that are closed or broken, without asking the store. On any thread."""
        found = [(row, self.standing(row)) for row in self._stopped if row.replay_of is None]
        return [(row, standing) for row, standing in found if standing.state in ("closed", "broken")]

    def check(self, told: Destination, kept: Secrets) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` for what nothing can be sent with. Blocks."""
        check_told(told, kept, self._around.store.sites(), self.egress, self._around.links)

    async def test(self, row: DestinationRow) -> Trial:
        """Send a made-up event to a destination; it counts in no ledger.

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

        Raises :class:`~gatepost.errors.SettingsError` for a filter that cannot be.
        """
        around = self._around
        return example(self.destinations, around.store, around.people, told, source=around.source())

    def linked_image(self, text: str) -> tuple[DestinationRow, int, bytes] | None:
        """Return the destination, the event and its image that a link leads to; ``None`` where it is over. Blocks.

        Raises :class:`~gatepost.errors.ImageUnavailable`.
        """
        link = self._around.links.read(text, self._now())
        row = None if link is None else self.destinations.one(link.destination_id)
        if link is None or row is None or decode(row.config).images != "link":
            return None
        image = self._around.store.seen_by(Visible(held=False)).image(link.event_id)
        return None if image is None else (row, link.event_id, image)

    def _is_behind(self) -> bool:
        """Return what was found out a moment ago, once for all forwarders."""
        tick = self._monotonic()
        if tick >= self._behind_until:
            self._behind_until = tick + BEHIND_S
            self._was_behind = self._behind()
        return self._was_behind

    async def _poll(self) -> None:
        """Wake all if another process has listed something, or another terminal is held."""
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
        """Begin to send to a destination, or tell its forwarder what has changed."""
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
        """Give back the lease of a destination to which this process cannot send: another one may be able to."""
        await self._in_thread(lambda: self.destinations.let_go(self.owner, which))

    def _is_well(self, which: int) -> bool:
        """Return whether this process has begun to send to a destination."""
        running = self._running.get(which)
        return running is not None and running.forwarder.has_begun and not running.task.done()

    def _is_too_soon(self, state: State) -> bool:
        revision, moment = self._not_before.get(state.id, (0, 0.0))
        return revision == state.revision and self._monotonic() < moment

    def _start(self, row: DestinationRow, fence: int) -> bool:
        """Begin to send to a destination; return whether its settings allow it."""
        try:
            told = decode(row.config)
            if told.kind == "webhook" and not row.secrets:
                # Unsigned, the other end would have to refuse all of it, or take what anyone sends.
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
        """End all forwarders; what a database does not take meanwhile is sent again."""
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
