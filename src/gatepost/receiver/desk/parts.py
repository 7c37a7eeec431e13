"""The parts of the desk, made and connected.

Nothing is reached through a global: what a part needs is handed in here.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Mapping

from gatepost.egress import Egress
from gatepost.errors import JournalError
from gatepost.fleet.finding.finder import Finder
from gatepost.forward.forwarding import LOOK_S, Forwarding
from gatepost.forward.image_links import ImageLinks
from gatepost.journal.folder import Folder
from gatepost.receiver.api.access.authorization import Access
from gatepost.receiver.api.events.live import tell
from gatepost.receiver.auth.authenticator import Doors
from gatepost.receiver.auth.openid.provider import provider_of
from gatepost.receiver.desk.erased_people import ErasedPeople
from gatepost.receiver.desk.fleet import histories_of, managing
from gatepost.receiver.desk.housekeeping import Housekeeping
from gatepost.receiver.desk.terminal_table import TerminalTable
from gatepost.receiver.ingest.commit.disk import room
from gatepost.receiver.ingest.commit.frames import Frames, image_keys
from gatepost.receiver.jobs.archiving import Archiving
from gatepost.receiver.jobs.desk_writer import DeskWriter
from gatepost.receiver.jobs.forgetting import Forgetting
from gatepost.receiver.jobs.moving import Mover
from gatepost.receiver.jobs.projector.projector import GATHER_S, Projector
from gatepost.receiver.jobs.reprocessing import Reprocessing
from gatepost.receiver.jobs.retention import RetentionJob, limits_of
from gatepost.receiver.jobs.watching import Watcher
from gatepost.receiver.live_stream import Live
from gatepost.receiver.observability.diagnosis import Diagnosis
from gatepost.receiver.observability.prometheus import Measured, Metrics
from gatepost.receiver.observability.system import System
from gatepost.receiver.people_rules import Meaning, rules_of
from gatepost.receiver.processes.link import Listed
from gatepost.receiver.processes.wake import Wake
from gatepost.receiver.settings_in_force import SettingsInForce
from gatepost.receiver.terminals.admin import Registrar
from gatepost.receiver.terminals.networks import Networks
from gatepost.receiver.terminals.preview import Preview
from gatepost.settings import Origin, ReceiverSettings
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.attendance.stored_schedules import Schedules
from gatepost.store.forwarding.destinations import Destinations
from gatepost.store.interface import Store
from gatepost.store.people.staff import Staff
from gatepost.store.query.notices import Notices

__all__ = ["DeskParts"]

BURST = 1_000
"""Events that are acknowledged and not yet listed, from which on destinations are sent less."""


class DeskParts:
    """Makes the parts. On one event loop."""

    def __init__(
        self,
        store: Store,
        journal: Folder,
        settings: ReceiverSettings,
        *,
        origins: Mapping[str, Origin],
        appended: Wake,
        paths: Callable[[], list[str]],
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the parts. ``appended`` is set when the journal has more; ``origins``: where settings are set.

        ``paths`` returns those of console and API. Raises :class:`~gatepost.errors.SettingsError` for what only shows
        when it is put together.
        """
        self.store = store
        self.settings = settings
        self._journal = journal
        self._host = socket.gethostname()
        self._now = now
        self._monotonic = monotonic
        self._loop = asyncio.get_running_loop()
        self._frames = Frames(store.secret, image_keys(settings))
        self._writer = DeskWriter(journal, self._frames, keep_images=settings.images != "off")
        self.notices = Notices(store)
        self.metrics = Metrics()
        # Several processes may write to a server; what the others commit is found by asking.
        self.meaning = Meaning(store, rules_of(settings))
        self.live = Live(
            tell(store, self.meaning), store.end_of_feed, poll_s=0.1 if settings.database else 0.5
        )
        self.in_force = SettingsInForce(settings, origins, store, take_over=self._refresh)
        self.table = TerminalTable(
            store,
            self.in_force,
            progress=self._progress,
            paths=paths,
            on_settings=self._take_over_settings,
            now=now,
        )
        self.ingests = self.table.ingests
        self._list_events(appended)
        self._let_in()
        self._keep_and_erase()
        self._forward()
        self._manage_terminals()
        self._watch()

    def _list_events(self, appended: Wake) -> None:
        """Make what brings events from the journal into the store."""
        settings = self.settings
        waits_for_store = settings.acknowledge_after == "store"
        self.projector = Projector(
            self._journal,
            Measured(self.store, self.metrics),
            self._frames,
            packs=self.store.packs,
            archives_first=waits_for_store and settings.has_bucket,
            appended=appended,
            may_hold=self.table.may_hold,
            on_listed=self._listed,
            on_terminals=self.table.learn,
            now=self._now,
            # A push that waits is itself what lets more gather: the next batch is what came during a transaction.
            gather_s=0.0 if waits_for_store else GATHER_S,
        )
        self.reprocessing = Reprocessing(self.store, self._writer, self.projector.catch_up)

    def _let_in(self) -> None:
        """Make what decides who a client is, and what it may do."""
        settings, now, monotonic = self.settings, self._now, self._monotonic
        doors = Doors(
            Accounts(self.store, withdrawn=lambda: self._on_loop(self.live.ask_again)),
            now=now,
            monotonic=monotonic,
            session_s=settings.session_hours * 3600,
            idle_s=settings.session_idle_hours * 3600,
        )
        provider = provider_of(
            settings, lambda: doors.accounts.key("openid connect"), now=now, monotonic=monotonic
        )
        proxies = Networks(settings.trusted_proxies, setting="trusted_proxies")
        self.access = Access(doors, proxies, provider)

    def _keep_and_erase(self) -> None:
        """Make what deletes, erases, archives and moves what is stored."""
        store, settings, projector = self.store, self.settings, self.projector
        forgetting = Forgetting(store)
        self.erased = ErasedPeople(store, forgetting, self.live, self.ingests, projector)
        self.keeper = RetentionJob(
            store,
            limits_of(settings),
            now=self._now,
            keys=image_keys(settings),
            catch_up=projector.catch_up,
            forget=forgetting.now,
            on_erased=self.erased.drop_traces,
            forget_unlisted=projector.forget,
            oldest_unlisted=projector.files.oldest,
            expire_unlisted=projector.expire,
            is_away=self._is_away,
        )
        packs = store.packs
        self.archiving = (
            None
            if packs is None or not packs.has_archive
            else Archiving(store, packs, now=self._now, monotonic=self._monotonic)
        )
        self.mover = Mover(store, is_away=self._is_away)
        self.housekeeping = Housekeeping(
            store,
            self.table,
            self.erased,
            projector,
            self.access.groups,
            journal_id=self._journal.id if settings.database else None,
            host=self._host,
            now=self._now,
            monotonic=self._monotonic,
        )

    def _forward(self) -> None:
        """Make what passes events on to destinations."""
        settings, accounts = self.settings, self.access.doors.accounts
        self.destinations = Destinations(self.store)
        self.forwarding = Forwarding(
            self.store,
            self.destinations,
            self.meaning.people,
            Egress(settings.forward_networks),
            source=lambda: accounts.key("forwarding").hex()[:32],
            links=ImageLinks(settings.public_url, lambda: accounts.key("image links")),
            # Of a data folder there is one process, so that none has to wait for the lease of one that was killed.
            owner="" if settings.database else "the one process",
            now=self._now,
            monotonic=self._monotonic,
            poll_s=0.1 if settings.database else LOOK_S,
            is_behind=self._is_behind,
        )

    def _manage_terminals(self) -> None:
        """Make what administers terminals, and manages those that are adopted."""
        self.registrar = Registrar(
            self.store,
            self.settings,
            self.table.refresh,
            self.mover.wake,
            remove=self.keeper.remove_terminal,
        )
        self.fleet = managing(
            self.store,
            self.settings,
            self.access.doors.accounts,
            self.registrar,
            self.notices,
            refresh=self.table.refresh_soon,
            told=self._noticed,
            heard=self.ingests.heard,
            now=self._now,
        )
        self.histories = histories_of(
            self.fleet,
            self.store,
            self.settings,
            self._writer,
            self.projector,
            self.notices,
            told=self._noticed,
            now=self._now,
            monotonic=self._monotonic,
        )
        self.finder = Finder(self.fleet.around.egress)

    def _watch(self) -> None:
        """Make what tells operators how the receiver does."""
        store, settings = self.store, self.settings
        has_room = room(self._journal.path, settings)
        self.watcher = Watcher(
            store,
            self.notices,
            host=self._host,
            heard=self.ingests.heard,
            lag=self.projector.lag,
            has_room=lambda: has_room(self.projector.lag().bytes),
            locked=self.access.doors.locked,
            broken=lambda: [row.name for row, how in self.forwarding.stopped() if how.state == "broken"],
            on_told=self._noticed,
            now=self._now,
            is_away=self._is_away,
        )
        self.metrics.watch(
            store,
            self.ingests,
            self.projector,
            self.keeper,
            self.forwarding,
            self.fleet,
            now=self._now,
            per_terminal=settings.metrics_per_terminal == "on",
        )
        self.preview = Preview(store, settings, self._now)

    def for_routes(self) -> dict[str, object]:
        """Return what is handed to the routes of the API, by name."""
        store, now = self.store, self._now
        return {
            "store": store,
            "ingests": self.ingests,
            "projector": self.projector,
            "access": self.access,
            "meaning": self.meaning,
            "registrar": self.registrar,
            "preview": self.preview,
            "settings": self.in_force,
            "system": System(
                store, self._journal, self.in_force, self.projector, self.keeper, self.archiving, now=now
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
            "metrics_networks": Networks(self.settings.metrics_networks, setting="metrics_networks"),
        }

    async def _refresh(self) -> None:
        await self.table.refresh()

    def _take_over_settings(self, settings: ReceiverSettings) -> None:
        """Let every part work by the settings that are in force now."""
        self.preview.settings = settings
        self.meaning.rules = rules_of(settings)
        self.keeper.limits = limits_of(settings)
        self.histories.keep_days = settings.retention_records_days

    def _progress(self) -> Listed:
        """Return how far the journal is listed."""
        projector = self.projector
        positions, damaged = projector.progress()
        return Listed(positions, projector.is_away, damaged, projector.waiting, projector.damages)

    def _is_away(self) -> bool:
        return self.projector.is_away

    def _is_behind(self) -> bool:
        """Return whether there is a burst, in which nothing should take time from those who push."""
        with contextlib.suppress(JournalError):
            return self.projector.lag().events >= BURST
        return False

    def _listed(self) -> None:
        """Tell live stream, ingests and destinations that events are listed. Any thread."""

        def wake() -> None:
            self.live.wake()
            self.ingests.wake()
            self.forwarding.wake()

        self._on_loop(wake)

    def _noticed(self) -> None:
        """Wake the destinations for a notice. Any thread."""
        self._on_loop(self.forwarding.wake)

    def _on_loop(self, call: Callable[[], None]) -> None:
        """Call something on the loop. Any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(call)
