"""The ingest, wired: what takes pushes, and hands everything else to the desk. It knows no database.

Rules:

* Nothing is reached through a global: what a part needs is handed in here.
* It owns every port, and adds to each response what a browser is told to be careful with. What is no push goes to the
  desk as it came; while the desk is away, pushes are taken, and whether
  the receiver is there and ready is said here.
* What needs the database before a reply is a token that is not known yet, and the first use of one.
* A push that goes to a path where none is received is answered as a push, and shown, whatever else is served there:
  ``/records`` is a page of the console, and a typing mistake away from ``/Record``. What a push is, out of all that
  may be posted, is said in one place: :func:`~gatepost.receiver.ingest.posts.is_push`.
* With the role ``ingest`` there are pushes, health and metrics, and nothing else; with the role ``desk`` a
  push gets 503, which costs no event where a proxy is set up wrongly.
* Stop: the replies to what was accepted, then the last sync, then what was counted. Each step has a bound, and a kill
  in between loses nothing that was acknowledged.

Flow of a request: guard → ``dispatch``: a push → ingest; everything else → the desk.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping

import structlog
from msgspec import structs

from gatepost.errors import SettingsError, StoreError
from gatepost.journal.folder import Folder
from gatepost.journal.packs.files import bytes_in
from gatepost.receiver.http.asgi import Application, Receive, Scope, Send, respond
from gatepost.receiver.http.connections import limits as guarding
from gatepost.receiver.http.console_access import ConsoleAccess
from gatepost.receiver.http.security_headers import nothing_here, refuse, secured
from gatepost.receiver.http.url_prefix import below, checked_prefix
from gatepost.receiver.ingest import health
from gatepost.receiver.ingest.asgi import AsgiPushes
from gatepost.receiver.ingest.commit.disk import journal_bytes, room
from gatepost.receiver.ingest.commit.frames import Frames, image_keys
from gatepost.receiver.ingest.commit.group_commit import GroupCommit
from gatepost.receiver.ingest.commit.space import JournalSpace
from gatepost.receiver.ingest.commit.until_listed import UntilListed
from gatepost.receiver.ingest.endpoint import Ingest
from gatepost.receiver.ingest.options import Options
from gatepost.receiver.ingest.paths import PushPaths
from gatepost.receiver.ingest.posts import Routes
from gatepost.receiver.ingest.push.arrivals import Arrivals
from gatepost.receiver.ingest.quotas import Amounts
from gatepost.receiver.ingest.refusals.counters import Tally
from gatepost.receiver.ingest.refusals.refusals import Refusals
from gatepost.receiver.ingest.refusals.refused_pushes import RefusedPushes
from gatepost.receiver.processes.desk_line import DeskLine
from gatepost.receiver.processes.gauges import Gauges
from gatepost.receiver.processes.link import (
    Changed,
    Counted,
    Forget,
    Handler,
    Listed,
    Made,
    Numbers,
    Refused,
    Table,
    Welcome,
)
from gatepost.receiver.processes.memory import hand_back
from gatepost.receiver.terminals.claims import Policy
from gatepost.receiver.terminals.directory import Directory
from gatepost.receiver.terminals.networks import Networks
from gatepost.settings import ReceiverSettings, changed
from gatepost.wire import forget_people

__all__ = ["IngestApp", "check"]

log = structlog.get_logger(__name__)

METRICS = "/metrics"

SILENT_S = 5.0
"""The desk says every second how far the journal is listed; after so long without it, it is away."""

LINGER_S = 0.05
"""For so long pushes gather where each batch makes objects in a bucket before it is acknowledged."""


class IngestApp:
    """One ingest on one event loop. ``async with`` starts and stops it; :attr:`app` is what it serves."""

    def __init__(
        self,
        journal: Folder,
        settings: ReceiverSettings,
        desk: DeskLine,
        welcome: Welcome,
        *,
        pages: Application,
        on_append: Callable[[], None],
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``pages``: the application to which everything goes that is no push. ``on_append``: as of ``GroupCommit``.

        Raises :class:`~gatepost.errors.SettingsError` for what only shows when it is put together.
        """
        self.settings = settings
        self._journal = journal
        self._desk = desk
        self._pages = pages
        self._now = now
        self._monotonic = monotonic
        self.directory = Directory(now=now)
        self.tally = Tally(self.directory.stored_id)
        self.refused = RefusedPushes(now=now)
        self.listed = welcome.listed
        """How far the desk has listed the journal."""
        self._listed_at = 0.0
        self._changes: Mapping[str, int | float | str] = {}
        """Settings that were changed since the start."""
        self._prefix = checked_prefix(settings.path_prefix)
        proxies = self._proxies = Networks(settings.trusted_proxies, setting="trusted_proxies")
        self._access = _console_access(settings, proxies)
        self._takes_pushes = settings.role != "desk"
        self._has_pages = settings.role != "ingest"
        frames = Frames(welcome.secret, image_keys(settings))
        self.group_commit = self._group_commit(frames, on_append)
        self._wire_pushes(frames, welcome.secret)
        self._wire_guards()
        self.take_over(welcome)
        self._flushing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def _group_commit(self, frames: Frames, on_append: Callable[[], None]) -> GroupCommit:
        """Return what writes into the journal."""
        settings, journal = self.settings, self._journal
        waits_for_store = settings.acknowledge_after == "store"
        return GroupCommit(
            journal,
            frames.join,
            max_batch=settings.max_batch_events,
            max_queue=settings.max_queue_events,
            max_queue_bytes=settings.max_bodies_bytes,
            space=JournalSpace(
                max_unread_bytes=settings.journal_max_bytes or journal_bytes(journal.path),
                unread_bytes=lambda: journal.backlog(self.listed.positions).bytes,
                unmoved_bytes=lambda: bytes_in(journal.packs) if settings.has_bucket else 0,
                has_room=room(journal.path, settings),
            ),
            on_append=on_append,
            linger_s=LINGER_S if waits_for_store and settings.has_bucket else 0.0,
            until_listed=UntilListed(monotonic=self._monotonic) if waits_for_store else None,
        )

    def _wire_pushes(self, frames: Frames, secret: bytes) -> None:
        """Make what takes pushes."""
        options = Options.of(self.settings, self._proxies)
        directory, now = self.directory, self._now
        self._paths = PushPaths(options.paths)
        self._refusals = Refusals(self._paths, directory, self.tally, self.refused, options=options)
        self._arrivals = Arrivals(
            self.group_commit, frames, directory, options=options, secret=secret, now=now
        )
        self.pushes = Ingest(
            self._paths, directory, self._desk, self._arrivals, self._refusals, options=options, now=now
        )
        self.asgi_pushes = AsgiPushes(self.pushes, self._refusals, options=options)

    def _wire_guards(self) -> None:
        """Make what limits connections."""
        limits, shares_address = guarding.Limits.of(self.settings), self._proxies.__contains__
        self.guard = self.pages_guard = guarding.Guard(
            limits,
            now=self._monotonic,
            on_refused=self._count_refusal,
            on_refused_body=self._sample_refusal,
            shares_address=shares_address,
            express=self.pushes if self._takes_pushes else None,
        )
        if self.settings.ingest_listen:
            # Budgets of their own: load on the console takes nothing from the terminals.
            self.pages_guard = guarding.Guard(limits, now=self._monotonic, shares_address=shares_address)

    @property
    def gauges(self) -> Gauges:
        """Return what it is doing now."""
        group_commit, guard = self.group_commit, self.guard
        return Gauges(
            connections=guard.connections,
            bodies_bytes=guard.bodies_bytes,
            waiting=group_commit.waiting,
            commits=group_commit.commits,
            committed=group_commit.committed,
            failed=group_commit.failed,
            refused=self.tally.by_reason,
            guard=guard.counts,
            replies=self.pushes.replies,
        )

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve everything on one address, as an ASGI application."""
        await self._dispatch(scope, receive, send, pushes=True, pages=True)

    async def pushes_alone(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what comes to ``ingest_listen``: pushes, and health checks."""
        await self._dispatch(scope, receive, send, pushes=True, pages=False)

    async def pages_alone(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what comes to ``listen`` where pushes have an address of their own: everything else."""
        await self._dispatch(scope, receive, send, pushes=False, pages=True)

    async def _dispatch(
        self, scope: Scope, receive: Receive, send: Send, *, pushes: bool, pages: bool
    ) -> None:
        path = below(self._prefix, scope["path"])
        is_push_path = self._paths.token_in(path) is not None
        if not self._has_pages and path != METRICS:
            pages = False
        if not self._takes_pushes and is_push_path:
            await self.asgi_pushes.turned_away(scope, receive, send)
        elif pushes and is_push_path:
            await self.asgi_pushes({**scope, "path": path}, receive, send)
        elif scope["method"] == "POST" and not (pages and self._routes.take(path, scope["headers"])):
            await self.asgi_pushes.misdirected({**scope, "path": path}, receive, send)
        elif path in health.PATHS and scope["method"] in ("GET", "HEAD"):
            await self._tell_health(path, secured(scope, send, self._proxies))
        elif pages and (refusal := self._access.refusal({**scope, "path": path})) is not None:
            await refuse(secured(scope, send, self._proxies), *refusal)
        elif pages:
            await self._pages(scope, receive, secured(scope, send, self._proxies))
        else:
            await nothing_here(secured(scope, send, self._proxies))

    async def _tell_health(self, path: str, send: Send) -> None:
        status, content_type, body = health.health(
            path,
            self._journal,
            self.group_commit,
            self.listed,
            has_desk=self.has_desk,
            needs_store=self.settings.acknowledge_after == "store",
        )
        await respond(send, status, body, content_type=content_type)

    def _count_refusal(self, refusal: guarding.Refusal) -> None:
        if (push := self._as_push(refusal)) is not None:
            self._refusals.count(push)

    def _sample_refusal(self, refusal: guarding.Refusal) -> None:
        if (push := self._as_push(refusal)) is not None:
            self._refusals.sample(push)

    def _as_push(self, refusal: guarding.Refusal) -> guarding.Refusal | None:
        """Return what the guard refused with its plain path; ``None`` if it was for the console or the API."""
        scope = refusal.scope
        if scope is None:
            return refusal  # there is no telling
        path = below(self._prefix, scope["path"])
        push = self._paths.token_in(path) is not None or (
            scope["method"] == "POST" and not self._routes.take(path, list(scope["headers"]))
        )
        return structs.replace(refusal, scope={**scope, "path": path}) if push else None

    # What the desk says.

    def take_over(self, welcome: Welcome) -> None:
        """Take over what the desk says first at a new connection."""
        # A desk does not know what the one before it passed without rows.
        self._listed_up_to(welcome.listed, in_doubt=True)
        self._routes = Routes(welcome.paths)
        self._feed(welcome.table)

    def handlers(self) -> Mapping[type, Handler]:
        """Return what is done with each message of the desk."""

        async def feed(table: Table) -> None:
            self._feed(table)

        async def learn(changed: Changed) -> None:
            self.directory.learn(changed.terminals)

        async def learn_new(made: Made) -> None:
            self.directory.learn_new(made.terminals)

        async def listed(told: Listed) -> None:
            self._listed_up_to(told, in_doubt=told.damaged != self.listed.damaged)

        return {Table: feed, Changed: learn, Made: learn_new, Listed: listed, Forget: self._forget}

    def _listed_up_to(self, listed: Listed, *, in_doubt: bool) -> None:
        self.listed, self._listed_at = listed, self._monotonic()
        self.group_commit.hear(listed.positions, in_doubt=in_doubt)

    @property
    def has_desk(self) -> bool:
        """Return whether the desk is there, and says so from time to time."""
        return self._desk.is_up and self._monotonic() - self._listed_at < SILENT_S

    def _come_back(self, welcome: Welcome) -> None:
        """Take over what the desk says after it was away: somebody may have been erased meanwhile."""
        self.refused.forget()
        forget_people()
        self.take_over(welcome)

    def _feed(self, table: Table) -> None:
        if table.settings != self._changes:
            self._changes = table.settings
            settings = changed(self.settings, table.settings)
            self.pushes.decide_by(Policy.of(settings), Amounts.of(settings))
        peers = {(address, terminal_id): at_ms for address, terminal_id, at_ms in table.peers}
        self.directory.feed(table.terminals, peers, table.tokens, new_timezone=table.new_timezone)

    async def _forget(self, _: Forget) -> None:
        """Let go of samples that may hold an erased person, of names, and of what the journal has listed."""
        self.group_commit.tend(finish=True)
        async with self._flushing:  # none is on its way to the store then
            self.refused.forget()
        forget_people()
        hand_back()

    # What it does by itself.

    async def flush(self) -> None:
        """Hand what was counted to the desk. Raises :class:`~gatepost.errors.StoreError`; nothing is lost then."""
        await self._desk.tell(Numbers(self.gauges, self._arrivals.take_heard()))
        async with self._flushing:
            counts = self.tally.take()
            if counts:
                rows = [(terminal_id, reason, count) for (terminal_id, reason), count in counts.items()]
                try:
                    await self._desk.call(Counted(rows, int(self._now() * 1000)))
                except BaseException:
                    self.tally.put_back(counts)
                    raise
            pushes, samples = self.refused.take()
            if pushes or samples:
                kept = [(peer, reason, sample) for (peer, reason), sample in samples.items()]
                try:
                    await self._desk.call(Refused(list(pushes.items()), kept))
                except BaseException:
                    self.refused.put_back(pushes, samples)
                    raise

    def give_up(self) -> int:
        """Refuse every push that waits, and return how many events were not acknowledged."""
        return self.group_commit.give_up()

    async def __aenter__(self) -> IngestApp:
        steps = [self._desk.run(self.handlers(), self._come_back), self._tend(), self._report()]
        steps += [guard.run() for guard in {self.guard, self.pages_guard}]
        self._tasks = [asyncio.create_task(step) for step in steps]
        return self

    async def __aexit__(self, *_: object) -> None:
        ends_at = time.monotonic() + self.settings.stop_timeout_s

        def left_s() -> float:
            return max(0.1, ends_at - time.monotonic())

        drained = await self.group_commit.close(timeout_s=left_s())
        with contextlib.suppress(StoreError, TimeoutError):  # counts of refusals; no event is among them
            await asyncio.wait_for(self.flush(), left_s())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._desk.close()
        for guard in {self.guard, self.pages_guard}:
            guard.close()
        log.info("ingest.stopped", drained=drained, committed=self.group_commit.committed)

    async def _tend(self) -> None:
        """Look after the journal: a desk that hangs does not hold this up."""
        while True:
            await asyncio.sleep(1.0)
            self.group_commit.tend()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            with contextlib.suppress(StoreError):
                await self.flush()


def check(settings: ReceiverSettings) -> None:
    """Raise :class:`~gatepost.errors.SettingsError` for what no ingest can be made with."""
    image_keys(settings)
    checked_prefix(settings.path_prefix)
    proxies = Networks(settings.trusted_proxies, setting="trusted_proxies")
    Options.of(settings, proxies)
    _console_access(settings, proxies)
    if settings.role != "all" and not settings.database:
        raise SettingsError(
            "role",
            f"is {settings.role}, and only receivers of one database of PostgreSQL share the work: set database",
        )


def _console_access(settings: ReceiverSettings, proxies: Networks) -> ConsoleAccess:
    return ConsoleAccess(settings.allowed_hosts, settings.console_networks, proxies)
