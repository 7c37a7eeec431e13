"""The receiver, wired: the only place that knows all its parts.

Rules:

* Nothing is reached through a global. Whoever wants another part hands it in here.
* Start: open the store (its locks, its migrations), then the socket; so a receiver that answers can store.
* Stop: no new connection, then the replies to what was accepted, then the last commit, then the store. Each step
  has a bound, and a kill in between loses nothing that was acknowledged.

* A push that goes to a path where none is received is answered as a push, and shown, whatever else is served there:
  ``/records`` is a page of the console, and a typing mistake away from ``/Record``. What a push is, out of all that
  may be posted, is said in one place: :func:`is_push`.

Flow of a request: guard → ``dispatch``: a push → ingest; everything else → Litestar.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import resource
import shutil
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler, Scope
from msgspec import Struct, structs

from gatepost import __version__
from gatepost.errors import SettingsError, StoreError
from gatepost.journal.folder import Folder
from gatepost.receiver import guard as guarding
from gatepost.receiver.api import CONTROLLERS, OPEN_CONTROLLERS, problem
from gatepost.receiver.api.access import OPEN, PARTS, Access, Authentication
from gatepost.receiver.api.filters import FILTERS
from gatepost.receiver.api.live import tell
from gatepost.receiver.api.parameters import KnownParameters
from gatepost.receiver.api.streams import close as close_streams
from gatepost.receiver.auth import Doors
from gatepost.receiver.errands import Errands
from gatepost.receiver.forgetting import Forgetting
from gatepost.receiver.frames import Frames
from gatepost.receiver.gauges import Gauges
from gatepost.receiver.group_commit import GroupCommit
from gatepost.receiver.headers import nothing_here, secured
from gatepost.receiver.identify import Claim, Directory, Known, Networks, Policy
from gatepost.receiver.ingest import Ingest, Options
from gatepost.receiver.links import ROOT, checked_prefix
from gatepost.receiver.live import Live
from gatepost.receiver.meaning import Meaning
from gatepost.receiver.metrics import Measured, Metrics
from gatepost.receiver.moving import Mover
from gatepost.receiver.preview import Preview
from gatepost.receiver.projector import Lag, Projector
from gatepost.receiver.refused import RefusedPushes
from gatepost.receiver.registrar import Registrar
from gatepost.receiver.retention import Keeper, limits_of
from gatepost.receiver.tally import Tally
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts import Accounts
from gatepost.store.folder import JOURNAL
from gatepost.store.sealing import ImageKeys, read_keys
from gatepost.store.store import Store, TerminalRow

__all__ = ["MakePages", "Pages", "Receiver", "is_push", "open_journal", "open_store"]

log = structlog.get_logger(__name__)


class Pages(Struct, frozen=True):
    """Hold what is served with the API and stands above it: the console."""

    routes: tuple[ControllerRouterHandler, ...] = ()
    """The same for every receiver of a process."""
    parts: Mapping[str, Any] = {}
    """Parts for these routes, by name, in addition to those of the API's routes."""


MakePages = Callable[[Store, ReceiverSettings, Callable[[], Lag]], Pages]

HEALTH = ("/healthz", "/readyz")
"""What also the address for pushes answers."""

API = "/api/v1/"
"""Below which programs post."""

_FORMS = frozenset({b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"})

SPARE_FILES = 256
"""File handles that are not for connections: the store, images, replies of the API."""

MAX_JOURNAL_BYTES = 16 * 1024**3
"""By default as many bytes may wait in the journal, and a tenth of the disk at most."""

MAX_FREE_BYTES = 1024**3
"""By default a hundredth of the disk stays free, and so many bytes at most."""

FRESH_S = 5.0
"""How soon a change of a terminal by another process is seen here, at most."""

SAID_EVERY_S = 60.0
"""How often it is logged that the store is away."""


def open_store(settings: ReceiverSettings, data: Path) -> Store:
    """Open the store that the settings name. Raises :class:`~gatepost.errors.StoreError`, or ``SettingsError``."""
    keys = image_keys(settings)
    if settings.database:
        from gatepost.store.folder import check_restored
        from gatepost.store.postgres import PostgresStore  # an extra: only who uses it installs it

        check_restored(data)
        return PostgresStore.open(settings.database, keys=keys)
    from gatepost.store.sqlite import SqliteStore

    return SqliteStore.open(data, keys=keys)


def open_journal(data: Path) -> Folder:
    """Open the journal of a data folder. Raises :class:`~gatepost.errors.JournalError`."""
    return Folder.open(data / JOURNAL)


def image_keys(settings: ReceiverSettings) -> ImageKeys:
    """Raises :class:`~gatepost.errors.SettingsError`."""
    return read_keys(settings.image_keys, file=settings.image_key_file or None)


class _Tokens:
    """Asks the store whose a token is, in the thread of the errands."""

    def __init__(self, store: Store, errands: Errands) -> None:
        self._store = store
        self._errands = errands

    async def holder(self, digest: bytes) -> Known | None:
        row = await self._errands.call(lambda: self._store.terminal_by_token(digest))
        return None if row is None else Known.of(row)

    async def use(self, digest: bytes, *, at_ms: int) -> Known | None:
        row = await self._errands.call(lambda: self._store.use_token(digest, now_ms=at_ms))
        return None if row is None else Known.of(row)


class Receiver:
    """One receiver on one event loop. ``async with`` starts and stops it; :attr:`app` is what it serves."""

    def __init__(
        self,
        store: Store,
        journal: Folder,
        settings: ReceiverSettings,
        *,
        pages: MakePages | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises :class:`~gatepost.errors.SettingsError` for what only shows when it is put together."""
        self.store = store
        self.settings = settings
        self._journal = journal
        self._host = socket.gethostname()
        self._now = now
        self._monotonic = monotonic
        self._said_at = -SAID_EVERY_S
        self.directory = Directory(now=now)
        self.tally = Tally(self.directory.stored_id)
        self.refused = RefusedPushes(now=now)
        # Several processes may write to a server; what the others commit is found by asking.
        meaning = Meaning(store, settings)
        self.live = Live(tell(store, meaning), store.end_of_feed, poll_s=0.1 if settings.database else 0.5)
        self.metrics = Metrics()
        frames = Frames(store.secret, image_keys(settings))
        self._loop = asyncio.get_running_loop()
        self.projector = Projector(
            journal,
            Measured(store, self.metrics),
            frames,
            may_hold=self._may_hold,
            on_listed=self._listed,
            on_terminals=self._learn,
            now=now,
        )
        self.group_commit = GroupCommit(
            journal,
            max_batch=settings.max_batch_events,
            max_queue=settings.max_queue_events,
            max_queue_bytes=settings.max_bodies_bytes,
            max_unread_bytes=settings.journal_max_bytes or _journal_bytes(journal.path),
            unread_bytes=self.projector.unread_bytes,
            has_room=_room(journal.path, settings),
            on_append=self.projector.wake,
        )
        self.errands = Errands()
        self._prefix = checked_prefix(settings.path_prefix)
        proxies = self._proxies = Networks(settings.trusted_proxies, setting="trusted_proxies")
        options = _options(settings, proxies)
        self._policy = options.policy
        self.ingest = Ingest(
            self.group_commit,
            frames,
            _Tokens(store, self.errands),
            self.directory,
            self.tally,
            self.refused,
            options=options,
            secret=store.secret,
            now=now,
        )
        self.guard = self.desk_guard = guarding.Guard(
            _limits(settings),
            now=monotonic,
            on_refused=self._count_refusal,
            on_refused_body=self._sample_refusal,
            shares_address=proxies.__contains__,
            express=self.ingest,
        )
        if settings.ingest_listen:
            # Budgets of their own: whoever storms the console takes nothing from the terminals.
            self.desk_guard = guarding.Guard(
                _limits(settings), now=monotonic, shares_address=proxies.__contains__
            )
        self.gauges = Gauges(self.group_commit, self.guard, self.tally)
        doors = Doors(
            Accounts(store),
            now=now,
            session_s=settings.session_hours * 3600,
            idle_s=settings.session_idle_hours * 3600,
        )
        self.access = Access(doors, proxies)
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
            expire_unlisted=self.projector.files.expire,
        )
        self.mover = Mover(store)
        self.metrics.watch(
            store, self.group_commit, self.projector, self.guard, self.tally, self.keeper, now=now
        )
        made = pages(store, settings, self.projector.lag) if pages is not None else Pages()
        self._parts = {
            "store": store,
            "gauges": self.gauges,
            "projector": self.projector,
            "group_commit": self.group_commit,
            "access": self.access,
            "meaning": meaning,
            "registrar": Registrar(store, settings, self.refresh, self.mover.wake),
            "preview": Preview(store, settings, now),
            "live": self.live,
            "keeper": self.keeper,
            "metrics": self.metrics,
            "metrics_networks": Networks(settings.metrics_networks, setting="metrics_networks"),
            **made.parts,
        }
        self.api = framework(made.routes, tuple(self._parts))
        self._served = {route.path.split("/")[1] for route in self.api.routes} - {""}
        self._routes = _below(API, [route.path for route in self.api.routes])
        self._refreshing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application: everything on one address."""
        await self._dispatch(scope, receive, send, pushes=True, pages=True)

    async def door(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application of ``ingest_listen``: pushes, and whether we are there."""
        await self._dispatch(scope, receive, send, pushes=True, pages=False)

    async def desk(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application of ``listen`` where pushes have an address of their own: everything else."""
        await self._dispatch(scope, receive, send, pushes=False, pages=True)

    async def _dispatch(self, scope: Any, receive: Any, send: Any, *, pushes: bool, pages: bool) -> None:
        ROOT.set(self._prefix)
        path = self._plain(scope["path"])
        if pushes and self.ingest.address(path) is not None:
            return await self.ingest({**scope, "path": path}, receive, send)
        if scope["method"] == "POST" and not (pages and self._is_posted(path, scope["headers"])):
            return await self.ingest.misdirected({**scope, "path": path}, receive, send)
        send = secured(scope, send, self._proxies)
        if not pages and path not in HEALTH:
            return await nothing_here(send)
        # As ASGI has it: the path with its prefix, whether the proxy left it there or not.
        scope = {**scope, "root_path": self._prefix, "path": self._prefix + path, PARTS: self._parts}
        try:
            await self.api(scope, receive, send)
        except Exception as error:
            # Half-way through an answer nothing can be said any more: the server cuts the connection when we return.
            # The kind only, as in api/problem.py.
            log.error("api.broke_off", kind=_kind(error))
        finally:
            await close_streams(scope)

    def _count_refusal(self, refusal: guarding.Refusal) -> None:
        if (push := self._as_push(refusal)) is not None:
            self.ingest.count_refusal(push)

    def _sample_refusal(self, refusal: guarding.Refusal) -> None:
        if (push := self._as_push(refusal)) is not None:
            self.ingest.sample_refusal(push)

    def _as_push(self, refusal: guarding.Refusal) -> guarding.Refusal | None:
        """Return what the guard refused with its plain path; ``None`` if it was for the console or the API."""
        scope = refusal.scope
        if scope is None:
            return refusal  # nobody can tell
        path = self._plain(scope["path"])
        push = self.ingest.address(path) is not None or (
            scope["method"] == "POST" and not self._is_posted(path, list(scope["headers"]))
        )
        return structs.replace(refusal, scope={**scope, "path": path}) if push else None

    def _is_posted(self, path: str, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether what is posted to a path is for console or API."""
        if self._routes.fullmatch(path):
            return True
        return f"{path}/".split("/")[1] in self._served and not is_push(dict(headers))

    def _plain(self, path: str) -> str:
        prefix = self._prefix
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            return path[len(prefix) :] or "/"
        return path

    async def refresh(self) -> None:
        """Take over what the store knows of terminals: call it after a change of one."""
        async with self._refreshing:
            store = self.store
            found = await asyncio.to_thread(
                lambda: (store.terminals(), store.peers(), store.tokens(), store.sites())
            )
            terminals, peers, tokens, sites = found
            known = [Known.of(row) for row in terminals]
            self.directory.feed(known, peers, tokens, new_timezone=sites[0].timezone)

    async def forget(self) -> None:
        """Let go of people in memory if somebody was erased, by whichever process of this database."""
        if await asyncio.to_thread(self.forgetting.once):
            self.live.forget()
            await asyncio.to_thread(self._drop_traces)

    def _may_hold(self, candidates: Sequence[int], peer: str) -> int | None:
        return self.directory.holder(candidates, Claim(None, None, None, peer), self._policy)

    def _listed(self) -> None:
        """Tell the live stream that events are listed. Any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self.live.wake)

    def _learn(self, terminals: Sequence[TerminalRow]) -> None:
        """Take over terminals that the projector made. Any thread."""
        known = [Known.of(row) for row in terminals]
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self.directory.learn_new, known)

    def _drop_traces(self) -> None:
        """Delete samples of refused bodies that may hold an erased person, and what the journal has listed. Blocks."""
        self._loop.call_soon_threadsafe(functools.partial(self.group_commit.tend, finish=True))
        self.refused.forget()
        self.store.drop_refusal_samples()

    async def flush(self) -> None:
        """Hand what was counted to the store. Raises :class:`~gatepost.errors.StoreUnavailable`."""
        now_ms = int(self._now() * 1000)
        await self.errands.call(lambda: self.tally.flush(self.store, now_ms=now_ms))
        pushes = self.refused.take()
        try:
            await self.errands.call(lambda: self.refused.store(self.store, pushes))
        except StoreError:
            self.refused.put_back(pushes)
            raise

    async def announce(self) -> None:
        """Tell the other receivers of this database that this one is there."""
        if self.settings.database:
            events, now_ms = self.projector.lag().events, int(self._now() * 1000)
            await asyncio.to_thread(
                self.store.note_receiver, self._journal.id, host=self._host, events=events, now_ms=now_ms
            )

    async def keep(self) -> None:
        """Flush, refresh, forget and announce once; what fails is tried again the next time."""
        for step in (self.flush, self.refresh, self.forget, self.announce):
            try:
                await step()
            except StoreError as error:
                if self._monotonic() - self._said_at >= SAID_EVERY_S:
                    self._said_at = self._monotonic()
                    log.warning("receiver.housekeeping_failed", step=step.__name__, why=str(error))

    async def __aenter__(self) -> Receiver:
        await self.refresh()
        await self.forget()
        await self.announce()
        self.projector.start()
        ROOT.set(self._prefix)
        steps = [self._tend(), self._keep_house(), self.live.run(), self.keeper.run(), self.mover.run()]
        steps += [guard.run() for guard in {self.guard, self.desk_guard}]
        self._tasks = [asyncio.create_task(step) for step in steps]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        ends_at = time.monotonic() + self.settings.stop_timeout_s

        def left_s() -> float:
            return max(0.1, ends_at - time.monotonic())

        drained = await self.group_commit.close(timeout_s=left_s())
        with contextlib.suppress(StoreError, TimeoutError):  # counts of refusals; no event is among them
            await asyncio.wait_for(self.flush(), left_s())
        self.errands.give_up()
        listed = await asyncio.to_thread(self.projector.close, timeout_s=left_s())
        if listed and self.settings.database:
            with contextlib.suppress(StoreError):
                await asyncio.to_thread(self.store.forget_receiver, self._journal.id)
        for guard in {self.guard, self.desk_guard}:
            guard.close()
        log.info("receiver.stopped", drained=drained, listed=listed, committed=self.group_commit.committed)

    async def _tend(self) -> None:
        """Look after the journal: a database that hangs does not hold this up."""
        while True:
            await asyncio.sleep(1.0)
            self.group_commit.tend()

    async def _keep_house(self) -> None:
        while True:
            for _ in range(int(FRESH_S)):
                await asyncio.sleep(1.0)
                with contextlib.suppress(StoreError):
                    await self.flush()
            await self.keep()


def is_push(headers: Mapping[bytes, bytes]) -> bool:
    """Tell a push from a form of the console by the head of a POST; names in lower case.

    A push says nothing of who asks, neither by a token in ``Authorization`` nor by the ``Cookie`` of a session, and is
    of no content type that the form of a page can have (HTML § 4.10.21.6): it is ``application/json``, or says nothing
    of that either. What posts to the console is a form, and nearly always has a cookie.

    The API cannot be told from it so: to log in there is to post JSON, without a token. What is posted to a route of
    the API is the API's therefore, whatever it looks like. No terminal is told to push there.
    """
    if b"authorization" in headers or b"cookie" in headers:
        return False
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower() not in _FORMS


def _journal_bytes(folder: Path) -> int:
    """Return how much of a journal may wait by default."""
    return min(MAX_JOURNAL_BYTES, shutil.disk_usage(folder).total // 10)


def _room(folder: Path, settings: ReceiverSettings) -> Callable[[int], bool]:
    """Return the function that tells whether the disk has room beyond so many bytes that are not listed."""
    # In a database on this disk they take as much again for its log, and for what it needs while it writes.
    needed = 0 if settings.database else 2
    reserve = settings.min_free_bytes or min(MAX_FREE_BYTES, shutil.disk_usage(folder).total // 100)
    return lambda unread: shutil.disk_usage(folder).free >= reserve + needed * unread


def _below(start: str, paths: Sequence[str]) -> re.Pattern[str]:
    """What the paths of routes below ``start`` match, with or without a slash at the end."""
    parts = [re.split(r"\{[^}]*\}", path.rstrip("/")) for path in paths if path.startswith(start)]
    return re.compile("(?:" + "|".join("[^/]+".join(map(re.escape, each)) for each in parts) + ")/?")


def _kind(error: BaseException) -> str:
    """What it was, beneath what frameworks wrap around it."""
    while isinstance(error, BaseExceptionGroup) or error.__cause__ is not None:
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error
    return type(error).__name__


def _options(settings: ReceiverSettings, proxies: Networks) -> Options:
    for path in settings.ingest_paths:
        if not path.startswith("/") or not path.isascii() or not path.strip("/"):
            raise SettingsError("ingest_paths", f"has {path!r}; a path is like /Record")
    return Options(
        paths=settings.ingest_paths,
        max_body_bytes=settings.max_body_bytes,
        max_depth=settings.max_json_depth,
        on_invalid=settings.on_invalid,
        retry_after_s=settings.retry_after_s,
        images=settings.images,
        pictures=settings.images == "store" and not (settings.image_keys or settings.image_key_file),
        trusted_proxies=proxies,
        client_certificates=bool(settings.client_ca_file),
        policy=Policy.of(settings),
    )


def _limits(settings: ReceiverSettings) -> guarding.Limits:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    handles = 1 << 30 if soft == resource.RLIM_INFINITY else soft
    return guarding.Limits(
        head_s=settings.head_timeout_s,
        body_s=settings.body_timeout_s,
        idle_s=settings.idle_timeout_s,
        body_bytes=settings.max_body_bytes,
        bodies_bytes=max(settings.max_bodies_bytes, settings.max_body_bytes),
        connections=max(1, min(settings.max_connections, handles - SPARE_FILES)),
        connections_per_address=settings.max_connections_per_address,
        retry_after_s=settings.retry_after_s,
    )


@functools.cache
def framework(pages: tuple[ControllerRouterHandler, ...], parts: tuple[str, ...]) -> Litestar:
    """Make the application of all routes, once in a process: it takes a sixth of a second.

    What a receiver hands to the routes by name, its ``parts``, comes with each request.
    """
    return Litestar(
        middleware=[Authentication],
        route_handlers=[
            Router("/", route_handlers=CONTROLLERS, guards=[KnownParameters()]),
            *OPEN_CONTROLLERS,
            *pages,
        ],
        dependencies={**{name: _provide(name) for name in parts}, **FILTERS},
        exception_handlers=problem.HANDLERS,
        openapi_config=OpenAPIConfig(
            title="gatepost",
            version=__version__,
            # Nothing but the document: the usual viewers load their scripts from elsewhere.
            openapi_router=Router("/api", route_handlers=[], opt=OPEN),
            render_plugins=[problem.OpenApiDocument("/openapi.json")],
        ),
        logging_config=None,
    )


def _provide(name: str) -> Provide:
    def part(scope: Scope) -> Any:
        return scope[PARTS][name]  # type: ignore[literal-required]  # a key of ours

    return Provide(part, sync_to_thread=False)
