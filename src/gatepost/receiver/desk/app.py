"""The desk, wired: the projector, the store, API and console, and the jobs. No push waits for it.

Rules:

* Nothing is reached through a global: what a part needs is handed in here.
* What an ingest has to know of terminals it is told before a change of one is answered.
* With the role ``ingest`` there is no console, and what concerns the whole database is left to other receivers.
* Stop: the requests of others first, then what the journal still holds is listed, then the store is closed. Each step
  has a bound, and a kill in between loses nothing that was acknowledged.

Flow of a request: ingest → local socket → :meth:`DeskApp.app` → Litestar.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from msgspec import structs

from gatepost.egress import Egress
from gatepost.errors import GatepostError, JournalError, StoreError, StoreUnavailable
from gatepost.fleet.client import Seen
from gatepost.fleet.finding.finder import Finder
from gatepost.fleet.history.backfill import Around
from gatepost.fleet.history.histories import Histories
from gatepost.fleet.managing import Fleet
from gatepost.fleet.surroundings import Surroundings
from gatepost.forward.forwarding import LOOK_S, Forwarding
from gatepost.forward.image_links import ImageLinks
from gatepost.journal.folder import Folder
from gatepost.receiver.api.access.authorization import PARTS, Access
from gatepost.receiver.api.application import MakePages, Pages, framework
from gatepost.receiver.api.events.live import tell
from gatepost.receiver.api.streaming import close as close_streams
from gatepost.receiver.auth.authenticator import Doors
from gatepost.receiver.auth.openid.provider import provider_of
from gatepost.receiver.http.head import head_as_get
from gatepost.receiver.http.url_prefix import ROOT, below, checked_prefix
from gatepost.receiver.ingest.commit.disk import room
from gatepost.receiver.ingest.commit.frames import Frames, image_keys
from gatepost.receiver.jobs.archiving import Archiving
from gatepost.receiver.jobs.desk_writer import DeskWriter
from gatepost.receiver.jobs.errands import Errands
from gatepost.receiver.jobs.forgetting import Forgetting
from gatepost.receiver.jobs.moving import Mover
from gatepost.receiver.jobs.projector.projector import GATHER_S, Projector
from gatepost.receiver.jobs.reprocessing import Reprocessing
from gatepost.receiver.jobs.retention import Keeper, limits_of
from gatepost.receiver.jobs.watching import Watcher
from gatepost.receiver.live_stream import Live
from gatepost.receiver.observability.diagnosis import Diagnosis
from gatepost.receiver.observability.prometheus import Measured, Metrics
from gatepost.receiver.observability.system import System
from gatepost.receiver.people_rules import Meaning, rules_of
from gatepost.receiver.processes.desk_proxy import as_it_was_asked
from gatepost.receiver.processes.ingests import PATIENCE_S, Ingests
from gatepost.receiver.processes.link import (
    Changed,
    Counted,
    Forget,
    Holder,
    Listed,
    Made,
    Refused,
    Table,
    Use,
    Welcome,
)
from gatepost.receiver.processes.memory import hand_back
from gatepost.receiver.processes.wake import Wake
from gatepost.receiver.settings_in_force import SettingsInForce
from gatepost.receiver.terminals.admin import Registrar, new_token
from gatepost.receiver.terminals.claims import Claim, Known, Policy
from gatepost.receiver.terminals.directory import Directory
from gatepost.receiver.terminals.networks import Networks
from gatepost.receiver.terminals.preview import Preview
from gatepost.receiver.terminals.sources import token_digest
from gatepost.settings import Origin, ReceiverSettings
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.names import PROGRAM
from gatepost.store.attendance.stored_schedules import Schedules
from gatepost.store.forwarding.destinations import Destinations
from gatepost.store.interface import Arrival, Store, TerminalRow
from gatepost.store.people.staff import Staff
from gatepost.store.query.notices import Notices
from gatepost.store.receivers.leases import Leases
from gatepost.store.terminals.adopted import AdoptedRow
from gatepost.store.terminals.adoptions import Adoptions
from gatepost.store.terminals.fleet import Adopted
from gatepost.store.terminals.fleet_jobs import FleetJobs

__all__ = ["DeskApp"]

log = structlog.get_logger(__name__)

BURST = 1_000
"""Events that are acknowledged and not yet listed, from which on destinations are sent less."""

FLEET_THREADS = 2
"""For all adopted terminals together: what they do there is ask the store."""

SOON_S = 0.5
"""How soon it counts what is changed about terminals that are adopted."""

FRESH_S = 5.0
"""How soon a change of a terminal by another process is seen here, at most."""

ANALYZED_EVERY_S = 3600.0
"""How often it is looked whether the database has counted its tables lately."""

SAID_EVERY_S = 60.0
"""How often it is logged that the store is away."""


class DeskApp:
    """The desk on one event loop. ``async with`` starts and stops it; :attr:`app` is what it serves."""

    def __init__(
        self,
        store: Store,
        journal: Folder,
        settings: ReceiverSettings,
        *,
        pages: MakePages | None = None,
        origins: Mapping[str, Origin] | None = None,
        appended: Wake,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wire the parts. ``appended`` is set when the journal has more; ``origins``: where settings are set.

        Raises :class:`~gatepost.errors.SettingsError` for what only shows when it is put together.
        """
        self.store = store
        self.settings = settings
        self._journal = journal
        self._host = socket.gethostname()
        self._now = now
        self._monotonic = monotonic
        self._said_at = -SAID_EVERY_S
        self._analyzed_at = -ANALYZED_EVERY_S
        self._directory = Directory(now=now)
        self._table = Table((), (), {}, "UTC")
        self._changes = 0
        """How often what the ingests know of terminals has changed."""
        self._policy = Policy.of(settings)
        self.in_force = SettingsInForce(settings, origins or {}, store, take_over=self.refresh)
        self._loop = asyncio.get_running_loop()
        self.ingests = Ingests(
            {
                Holder: self._holder,
                Use: self._use,
                Counted: self._count,
                Refused: self._note_refused,
            },
            welcome=self._welcome,
            listed=self._progress,
        )
        # Several processes may write to a server; what the others commit is found by asking.
        meaning = self._meaning = Meaning(store, rules_of(settings))
        self.live = Live(tell(store, meaning), store.end_of_feed, poll_s=0.1 if settings.database else 0.5)
        self.metrics = Metrics()
        frames = Frames(store.secret, image_keys(settings))
        self.projector = Projector(
            journal,
            Measured(store, self.metrics),
            frames,
            packs=store.packs,
            archives_first=settings.acknowledge_after == "store" and settings.has_bucket,
            appended=appended,
            may_hold=self._may_hold,
            on_listed=self._listed,
            on_terminals=self._learn,
            now=now,
            # A push that waits is itself what lets more gather: the next batch is what came during a transaction.
            gather_s=0.0 if settings.acknowledge_after == "store" else GATHER_S,
        )
        self.errands = Errands()
        self._prefix = checked_prefix(settings.path_prefix)
        proxies = Networks(settings.trusted_proxies, setting="trusted_proxies")
        doors = Doors(
            Accounts(store, withdrawn=lambda: self._on_loop(self.live.ask_again)),
            now=now,
            monotonic=monotonic,
            session_s=settings.session_hours * 3600,
            idle_s=settings.session_idle_hours * 3600,
        )
        provider = provider_of(
            settings, lambda: doors.accounts.key("openid connect"), now=now, monotonic=monotonic
        )
        self.access = Access(doors, proxies, provider)
        self.forgetting = Forgetting(store)
        self.keeper = Keeper(
            store,
            limits_of(settings),
            now=now,
            keys=image_keys(settings),
            catch_up=self.projector.catch_up,
            forget=self.forgetting.now,
            on_erased=self._drop_traces,
            forget_unlisted=self.projector.forget,
            oldest_unlisted=self.projector.files.oldest,
            expire_unlisted=self.projector.expire,
            is_away=lambda: self.projector.is_away,
        )
        packs = store.packs
        self.archiving = (
            None
            if packs is None or not packs.has_archive
            else Archiving(store, packs, now=now, monotonic=monotonic)
        )
        self.mover = Mover(store, is_away=lambda: self.projector.is_away)
        writer = DeskWriter(journal, frames, keep_images=settings.images != "off")
        self.reprocessing = Reprocessing(store, writer, self.projector.catch_up)
        self.destinations = Destinations(store)
        self.forwarding = Forwarding(
            store,
            self.destinations,
            meaning.people,
            Egress(settings.forward_networks),
            source=lambda: doors.accounts.key("forwarding").hex()[:32],
            links=ImageLinks(settings.public_url, lambda: doors.accounts.key("image links")),
            # Of a data folder there is one process, so that none has to wait for the lease of one that was killed.
            owner="" if settings.database else "the one process",
            now=now,
            monotonic=monotonic,
            poll_s=0.1 if settings.database else LOOK_S,
            is_behind=self._is_behind,
        )
        self.notices = Notices(store)
        registrar = Registrar(
            store, settings, self.refresh, self.mover.wake, remove=self.keeper.remove_terminal
        )
        self.fleet = self._managing(doors.accounts, registrar)
        self.histories = self._fetching(writer)
        self.finder = Finder(self.fleet.around.egress)
        has_room = room(journal.path, settings)
        self.watcher = Watcher(
            store,
            self.notices,
            host=self._host,
            heard=self.ingests.heard,
            lag=self.projector.lag,
            has_room=lambda: has_room(self.projector.lag().bytes),
            locked=doors.locked,
            broken=lambda: [row.name for row, how in self.forwarding.stopped() if how.state == "broken"],
            on_told=lambda: self._on_loop(self.forwarding.wake),
            now=now,
            is_away=lambda: self.projector.is_away,
        )
        self.metrics.watch(
            store,
            self.ingests,
            self.projector,
            self.keeper,
            self.forwarding,
            self.fleet,
            now=now,
            per_terminal=settings.metrics_per_terminal == "on",
        )
        self._preview = Preview(store, settings, now)
        made = (
            Pages()
            if pages is None
            else pages(store, settings, self.projector.lag, self.ingests.heard, lambda: self.keeper.asks)
        )
        self._parts = {
            "store": store,
            "ingests": self.ingests,
            "projector": self.projector,
            "access": self.access,
            "meaning": meaning,
            "registrar": registrar,
            "preview": self._preview,
            "settings": self.in_force,
            "system": System(
                store, journal, self.in_force, self.projector, self.keeper, self.archiving, now=now
            ),
            "diagnosis": Diagnosis(self.fleet.adopted, self.projector.lag, self.ingests.heard, now=now),
            "live": self.live,
            "keeper": self.keeper,
            "reprocessing": self.reprocessing,
            "forwarding": self.forwarding,
            "fleet": self.fleet,
            "histories": self.histories,
            "finder": self.finder,
            "notices": self.notices,
            "schedules": Schedules(store),
            "staff": Staff(store),
            "metrics": self.metrics,
            "metrics_networks": Networks(settings.metrics_networks, setting="metrics_networks"),
            "unknown_page": made.unknown,
            **made.parts,
        }
        self.api = framework(made.routes, tuple(self._parts))
        self._served: Any = head_as_get(made.around(self.api))
        self._has_traces = False
        """Somebody was erased, and not every ingest has let go of what it holds."""
        self._refreshing = asyncio.Lock()
        self._refreshing_soon: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self.stop_timeout_s = settings.stop_timeout_s
        """How long a stop may take to list what the journal holds."""

    def _managing(self, accounts: Accounts, registrar: Registrar) -> Fleet:
        """Return what manages real terminals."""

        async def take_in(seen: Seen, name: str | None, site_id: int | None) -> int:
            return await registrar.take_in(seen.serial, name, site_id, now_ms=int(self._now() * 1000))

        def note(action: str, row: AdoptedRow, detail: Mapping[str, Any]) -> None:
            accounts.note(
                now_ms=int(self._now() * 1000),
                actor=PROGRAM,
                address="",
                action=action,
                subject=str(row.terminal_id),
                detail=detail,
            )

        around = Surroundings(
            adopted=Adopted(self.store),
            notices=self.notices,
            egress=Egress(self.settings.fleet_networks, setting="fleet_networks"),
            threads=ThreadPoolExecutor(FLEET_THREADS, "gatepost-fleet"),
            digest=token_digest,
            new_token=new_token,
            take_in=take_in,
            refresh=self.refresh_soon,
            note=note,
            told=lambda: self._on_loop(self.forwarding.wake),
            heard=self.ingests.heard,
            now=self._now,
            rand=random.Random().random,  # noqa: S311 - jitter is no secret
            hand_back=hand_back,
        )
        # Of a data folder there is one process, so that none has to wait for the lease of one that was killed.
        owner = secrets.token_hex(8) if self.settings.database else "the one process"
        return Fleet(around, Adoptions(self.store), Leases(self.store), owner=owner)

    def _fetching(self, writer: DeskWriter) -> Histories:
        """Return what fetches the histories of adopted terminals."""
        store, settings, fleet = self.store, self.settings, self.fleet

        def take(arrivals: Sequence[Arrival]) -> None:
            writer.append([writer.encoded(one) for one in arrivals])
            self.projector.wake()

        around = Around(
            jobs=FleetJobs(store),
            adopted=fleet.adopted,
            leases=Leases(store),
            notices=self.notices,
            talk=fleet.visitor.talk,
            take=take,
            catch_up=self.projector.catch_up,
            secret=store.secret,
            owner=secrets.token_hex(8) if settings.database else "the one process, fetching",
            now=self._now,
            monotonic=self._monotonic,
            told=lambda: self._on_loop(self.forwarding.wake),
        )
        return Histories(
            around,
            lambda: {label.id: label.timezone for label in store.all_labels()},
            starts=settings.fleet_backfill == "start",
            keep_days=settings.retention_records_days,
        )

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request that an ingest hands on, as an ASGI application."""
        ROOT.set(self._prefix)
        scope = as_it_was_asked(scope)
        # As ASGI has it: the path with its prefix, whether the proxy left it there or not.
        path = self._prefix + below(self._prefix, scope["path"])
        scope = {**scope, "root_path": self._prefix, "path": path, PARTS: self._parts}
        try:
            await self._served(scope, receive, send)
        except Exception as error:
            # Half-way through an answer nothing can be said any more: the server cuts the connection when we return.
            # The kind only, as in api/problem.py.
            log.error("api.broke_off", kind=_kind(error))
        finally:
            await close_streams(scope)

    # What the ingests ask and are told.

    def _welcome(self) -> Welcome:
        paths = [route.path for route in self.api.routes]
        return Welcome(self.store.secret, self._table, self._progress(), paths)

    def _progress(self) -> Listed:
        projector = self.projector
        positions, damaged = projector.progress()
        return Listed(positions, projector.is_away, damaged, projector.waiting, projector.damages)

    async def _holder(self, asked: Holder) -> Known | None:
        while True:
            changes = self._changes
            row = await self.errands.call(lambda: self.store.terminal_by_token(asked.digest))
            if changes == self._changes:  # else what was read may be older than what the ingest was told
                return None if row is None else Known.of(row)

    async def _use(self, asked: Use) -> Known | None:
        row = await self.errands.call(lambda: self.store.use_token(asked.digest, now_ms=asked.at_ms))
        if row is None:
            return None
        known = Known.of(row)
        # From here on this terminal is taken only with its token, by every ingest, also by one that is only starting.
        self._changes += 1
        others = [one for one in self._table.terminals if one.id != known.id]
        self._table = structs.replace(self._table, terminals=[*others, known])
        self._directory.learn([known])
        await self.ingests.call(Changed([known]))
        return known

    async def _count(self, told: Counted) -> None:
        counts = {(terminal_id, reason): count for terminal_id, reason, count in told.counts}
        await self.errands.call(lambda: self.store.count_refused(counts, now_ms=told.at_ms))

    async def _note_refused(self, told: Refused) -> None:
        samples = {(peer, reason): sample for peer, reason, sample in told.samples}
        await self.errands.call(lambda: self.store.note_refused(dict(told.pushes), samples))

    async def refresh(self) -> None:
        """Hand what the store knows of terminals to every ingest: call it after a change of one.

        Raises :class:`~gatepost.errors.StoreUnavailable`.
        """
        async with self._refreshing:
            store = self.store
            changes = -1
            while changes != self._changes:  # a token was used meanwhile: this may be from before
                changes = self._changes
                is_new, terminals, peers, tokens, sites = await asyncio.to_thread(
                    lambda: (
                        self.in_force.refresh(),
                        store.terminals(),
                        store.peers(),
                        store.tokens(),
                        store.sites(),
                    )
                )
                if is_new:
                    self._take_over_settings()
            known = [Known.of(row) for row in terminals]
            seen = [(address, terminal_id, at_ms) for (address, terminal_id), at_ms in peers.items()]
            table = Table(known, seen, tokens, sites[0].timezone, self.in_force.changes)
            if table == self._table:
                return
            self._changes += 1
            self._table = table
            self._directory.feed(known, peers, tokens, new_timezone=table.new_timezone)
            await self.ingests.call(table)

    def _take_over_settings(self) -> None:
        """Let every part of the desk work by the settings that are in force now."""
        settings = self.in_force.current
        self._policy = Policy.of(settings)
        self._preview.settings = settings
        self._meaning.rules = rules_of(settings)
        self.keeper.limits = limits_of(settings)
        self.histories.keep_days = settings.retention_records_days
        log.info("settings.changed", **self.in_force.changes)

    def refresh_soon(self) -> None:
        """Refresh within :data:`SOON_S`, once however often this is called: for what is changed many times in a row.

        Until then an ingest asks the store for a token that it does not know, and takes one that was replaced.
        """
        if self._refreshing_soon is None or self._refreshing_soon.done():
            self._refreshing_soon = self._loop.create_task(self._refresh_later())

    async def _refresh_later(self) -> None:
        await asyncio.sleep(SOON_S)
        with contextlib.suppress(StoreError):  # it is refreshed every few seconds all the same
            await self.refresh()

    async def forget(self) -> None:
        """Let go of people in memory if somebody was erased, by whichever process of this database."""
        if await asyncio.to_thread(self.forgetting.once):
            self._has_traces = True
            self.live.forget()
        if self._has_traces:
            await asyncio.to_thread(self._drop_traces)
            self._has_traces = False

    def _may_hold(self, candidates: Sequence[int], peer: str) -> int | None:
        return self._directory.holder(candidates, Claim(None, None, None, peer), self._policy)

    def _is_behind(self) -> bool:
        """Return whether there is a burst, in which nothing should take time from those who push."""
        with contextlib.suppress(JournalError):
            return self.projector.lag().events >= BURST
        return False

    def _on_loop(self, call: Callable[[], None]) -> None:
        """Call something on the loop. Any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(call)

    def _listed(self) -> None:
        """Tell live stream and ingests that events are listed. Any thread."""

        def wake() -> None:
            self.live.wake()
            self.ingests.wake()
            self.forwarding.wake()

        self._on_loop(wake)

    def _learn(self, terminals: Sequence[TerminalRow]) -> None:
        """Tell every ingest of terminals that the projector made. Any thread."""
        known = [Known.of(row) for row in terminals]

        def learn() -> None:
            self._directory.learn_new(known)
            task = self._loop.create_task(self.ingests.tell(Made(known)))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

        self._on_loop(learn)

    def _drop_traces(self) -> None:
        """Delete samples of refused bodies that may hold an erased person, and what the journal has listed. Blocks."""
        forgotten = asyncio.run_coroutine_threadsafe(self.ingests.call(Forget()), self._loop)
        try:
            forgotten.result(2 * PATIENCE_S)
        except TimeoutError:
            raise StoreUnavailable("the ingest did not let go of what it holds; try again") from None
        if self.projector.is_running:
            self.projector.let_go()
        self.store.drop_refusal_samples()

    async def announce(self) -> None:
        """Tell the other receivers of this database that this one is there."""
        if self.settings.database:
            events, now_ms = self.projector.lag().events, int(self._now() * 1000)
            await asyncio.to_thread(
                self.store.note_receiver, self._journal.id, host=self._host, events=events, now_ms=now_ms
            )

    async def note_groups(self) -> None:
        """Write the lines of the audit log whose minute is over."""
        await asyncio.to_thread(self.access.groups.flush)

    async def analyze(self) -> None:
        """Have the database count how its tables are filled: looked at each hour, done once a day."""
        if self._monotonic() - self._analyzed_at >= ANALYZED_EVERY_S:
            self._analyzed_at = self._monotonic()
            await asyncio.to_thread(self.store.analyze)

    async def keep(self) -> None:
        """Refresh, forget, announce, note and analyze once; what fails is tried again the next time."""
        for step in (self.refresh, self.forget, self.announce, self.note_groups, self.analyze):
            try:
                await step()
            except Exception as error:
                why = str(error) if isinstance(error, GatepostError) else type(error).__name__
                if self.projector.is_away:  # it says so itself
                    log.debug("desk.housekeeping_failed", step=step.__name__, why=why)
                elif self._monotonic() - self._said_at >= SAID_EVERY_S:
                    self._said_at = self._monotonic()
                    log.warning("desk.housekeeping_failed", step=step.__name__, why=why)

    async def __aenter__(self) -> DeskApp:
        await self.refresh()
        await self.forget()
        await self.announce()
        self.projector.start()
        if self.archiving is not None:
            self.archiving.start()
        # Of its own journal, its own images and its own disk each receiver keeps care, whatever its role.
        steps = [self._keep_house(), self.keeper.run(), self.watcher.run()]
        if self.settings.role != "ingest":
            steps += [
                self.live.run(),
                self.mover.run(),
                self.forwarding.run(),
                self.fleet.run(),
                self.histories.run(),
            ]
        self._tasks = [asyncio.create_task(step) for step in steps]
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [*self._tasks, *([] if self._refreshing_soon is None else [self._refreshing_soon])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.fleet.close()
        await self.finder.close()
        if self.archiving is not None:
            self.archiving.stop()
        self.errands.give_up()
        self.access.doors.close()
        with contextlib.suppress(StoreError):
            await asyncio.to_thread(self.access.groups.flush, all_of_them=True)
        self.ingests.close()
        listed = await asyncio.to_thread(self.projector.close, timeout_s=self.stop_timeout_s)
        if listed and self.settings.database:
            with contextlib.suppress(StoreError):
                await asyncio.to_thread(self.store.forget_receiver, self._journal.id)
        log.info("desk.stopped", listed=listed)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(FRESH_S)
            await self.keep()


def _kind(error: BaseException) -> str:
    """Return the kind of an error, without what frameworks wrap around it."""
    while isinstance(error, BaseExceptionGroup) or error.__cause__ is not None:
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error
    return type(error).__name__
