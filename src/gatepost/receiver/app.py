"""The receiver, wired: the only place that knows all its parts.

Rules:

* Nothing is reached through a global. Whoever wants another part hands it in here.
* Start: open the store (its locks, its migrations), then the socket; so a receiver that answers can store.
* Stop: no new connection, then the replies to what was accepted, then the last commit, then the store. Each step
  has a bound, and a kill in between loses nothing that was acknowledged.

Flow of a request: guard → ``dispatch``: a push → ingest; everything else → Litestar.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler

from gatepost import __version__
from gatepost.errors import SettingsError, StoreError
from gatepost.receiver import guard as guarding
from gatepost.receiver.api import CONTROLLERS, OPEN_CONTROLLERS, problem
from gatepost.receiver.api.access import OPEN, Access, Authentication
from gatepost.receiver.api.live import tell
from gatepost.receiver.auth import Doors, first_administrator
from gatepost.receiver.committer import Committer
from gatepost.receiver.connection import GuardedProtocol
from gatepost.receiver.gauges import Gauges
from gatepost.receiver.headers import secured
from gatepost.receiver.identify import Directory, Known, Networks, Policy, Unknowns
from gatepost.receiver.ingest import Ingest, Options
from gatepost.receiver.live import Live
from gatepost.receiver.logs import loop_failed
from gatepost.receiver.meaning import Meaning
from gatepost.receiver.metrics import Measured, Metrics
from gatepost.receiver.registrar import Registrar
from gatepost.receiver.retention import Keeper, limits_of
from gatepost.receiver.tally import Tally
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts import Accounts
from gatepost.store.store import Store

__all__ = ["Pages", "Receiver", "Server", "listen", "open_store", "run"]

log = structlog.get_logger(__name__)

Pages = Callable[[Store, ReceiverSettings], Sequence[ControllerRouterHandler]]
"""What is served beside the API and stands above it: the console. Its routes are handed what the API's are."""

SPARE_FILES = 256
"""File handles that are not for connections: the store, images, replies of the API."""

FRESH_S = 5.0
"""How soon a change of a terminal by another process is seen here, at most."""


def open_store(settings: ReceiverSettings, data: Path) -> Store:
    """Open the store that the settings name. Raises :class:`~gatepost.errors.StoreError`."""
    if settings.database:
        from gatepost.store.postgres import PostgresStore  # an extra: only who uses it installs it

        return PostgresStore.open(settings.database)
    from gatepost.store.sqlite import SqliteStore

    return SqliteStore.open(data)


class Receiver:
    """One receiver on one event loop. ``async with`` starts and stops it; :attr:`app` is what it serves."""

    def __init__(
        self,
        store: Store,
        settings: ReceiverSettings,
        *,
        pages: Pages | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises :class:`~gatepost.errors.SettingsError` for what only shows when it is put together."""
        self.store = store
        self.settings = settings
        self._now = now
        self.directory = Directory()
        self.tally = Tally()
        # Several processes may write to a server; what the others commit is found by asking.
        self.live = Live(tell(store), store.end_of_feed, poll_s=0.1 if settings.database else 0.5)
        self.metrics = Metrics()
        self.committer = Committer(
            Measured(store, self.metrics),
            max_batch=settings.max_batch_events,
            max_queue=settings.max_queue_events,
            max_queue_bytes=settings.max_bodies_bytes,
            on_commit=self.live.wake,
        )
        proxies = self._proxies = Networks(settings.trusted_proxies, setting="trusted_proxies")
        options = _options(settings, proxies)
        self.ingest = Ingest(self.committer, store, self.directory, self.tally, options=options, now=now)
        self.guard = guarding.Guard(
            _limits(settings),
            now=monotonic,
            on_refused=self.ingest.count_refusal,
            shares_address=proxies.__contains__,
            express=self.ingest,
        )
        self.gauges = Gauges(self.committer, self.guard, self.tally)
        doors = Doors(
            Accounts(store),
            now=now,
            session_s=settings.session_hours * 3600,
            idle_s=settings.session_idle_hours * 3600,
        )
        self.access = Access(doors, proxies)
        self.keeper = Keeper(store, limits_of(settings), now=now)
        self.metrics.watch(store, self.committer, self.guard, self.tally, self.keeper, now=now)
        self.api = _framework(
            {
                "store": store,
                "gauges": self.gauges,
                "access": self.access,
                "meaning": Meaning(store, settings),
                "registrar": Registrar(store, settings, self.refresh),
                "live": self.live,
                "keeper": self.keeper,
                "metrics": self.metrics,
                "metrics_networks": Networks(settings.metrics_networks, setting="metrics_networks"),
            },
            pages(store, settings) if pages is not None else (),
        )
        self._served = {route.path.split("/")[1] for route in self.api.routes} - {""}
        self._tasks: list[asyncio.Task[None]] = []

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            return await self.api(scope, receive, send)
        path = scope["path"]
        if self.ingest.address(path) is not None:
            return await self.ingest(scope, receive, send)
        if scope["method"] == "POST" and f"{path}/".split("/")[1] not in self._served:
            return await self.ingest.misdirected(scope, receive, send)
        try:
            await self.api(scope, receive, secured(scope, send, self._proxies))
        except Exception as error:
            # Half-way through an answer nothing can be said any more: the server cuts the connection when we return.
            # The kind only, as in api/problem.py.
            log.error("api.broke_off", kind=_kind(error))

    async def refresh(self) -> None:
        """Take over what the store knows of terminals: call it after a change of one."""
        terminals, peers = await asyncio.to_thread(lambda: (self.store.terminals(), self.store.peers()))
        self.directory.feed([Known.of(row) for row in terminals], peers)

    async def flush(self) -> None:
        """Hand what was counted to the store. Raises :class:`~gatepost.errors.StoreUnavailable`."""
        now_ms = int(self._now() * 1000)
        await self.committer.call(lambda: self.tally.flush(self.store, now_ms=now_ms))

    async def keep(self) -> None:
        """Flush and refresh once; what fails is tried again the next time."""
        for step in (self.flush, self.refresh):
            try:
                await step()
            except StoreError as error:
                log.warning("receiver.housekeeping_failed", step=step.__name__, why=str(error))

    async def __aenter__(self) -> Receiver:
        await self.refresh()
        steps = (self.guard.run(), self._keep_house(), self.live.run(), self.keeper.run())
        self._tasks = [asyncio.create_task(step) for step in steps]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(StoreError):  # counts of refusals; no event is among them
            await asyncio.wait_for(self.flush(), self.settings.stop_timeout_s)
        drained = await self.committer.close(timeout_s=self.settings.stop_timeout_s)
        self.guard.close()
        log.info("receiver.stopped", drained=drained, committed=self.committer.committed)

    async def _keep_house(self) -> None:
        while True:
            for _ in range(int(FRESH_S)):
                await asyncio.sleep(1.0)
                with contextlib.suppress(StoreError):
                    await self.flush()
            await self.keep()


def _kind(error: BaseException) -> str:
    """What it was, beneath what frameworks wrap around it."""
    while isinstance(error, BaseExceptionGroup) or error.__cause__ is not None:
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error
    return type(error).__name__


class Server(uvicorn.Server):
    """uvicorn without its own handling of signals, which would end the process before the last commit."""

    def __init__(
        self,
        config: uvicorn.Config,
        listening: Callable[[], None],
        stopping: Callable[[], None] = lambda: None,
    ) -> None:
        """``stopping`` is called before it waits for replies: what would never end is to end now."""
        super().__init__(config)
        self._listening = listening
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(
    settings: ReceiverSettings,
    data: Path,
    *,
    pages: Pages | None = None,
    listening: Callable[[str], None] = lambda _: None,
    administrator: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or SIGINT. ``listening`` is told the address once requests are answered.

    ``administrator`` is told the password of the first account, if one was made up.
    """
    handles = _raise_file_limit()
    if handles - SPARE_FILES < settings.max_connections:
        fitting = max(1, handles - SPARE_FILES)
        log.warning("receiver.few_files", files=handles, connections=fitting)
    sockets = listen(settings.listen)
    store: Store | None = None
    try:
        store = open_store(settings, data)
        with contextlib.closing(store):
            password = first_administrator(
                Accounts(store), password=settings.admin_password or None, now_ms=int(time.time() * 1000)
            )

            def ready(address: str) -> None:
                listening(address)
                if password is not None:
                    administrator(password)

            _tune()
            uvloop.run(_serve(store, settings, pages, sockets, ready))
    finally:
        for each in sockets:
            each.close()


def _tune() -> None:
    """Suit the interpreter to one loop and one committer: 14,800 events a second instead of 12,000.

    What is there at start is there to the end, so collections need not look at it. And where the committer comes
    back from the disk it shall not wait five milliseconds, the interpreter's default, for the loop to let it go on.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    sys.setswitchinterval(0.0002)


async def _serve(
    store: Store,
    settings: ReceiverSettings,
    pages: Pages | None,
    sockets: Sequence[socket.socket],
    listening: Callable[[str], None],
) -> None:
    async with Receiver(store, settings, pages=pages) as receiver:
        config = uvicorn.Config(
            receiver.app,
            http=functools.partial(GuardedProtocol, guard=receiver.guard),  # type: ignore[arg-type] # is called like a class
            ws="none",
            interface="asgi3",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=2048,
            timeout_graceful_shutdown=max(1, round(settings.stop_timeout_s)),
        )
        server = Server(config, lambda: listening(_address(sockets[0])), receiver.live.close)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(loop_failed)

        def stop() -> None:
            server.force_exit = server.should_exit  # the second signal does not wait for replies
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        await server.serve(sockets=list(sockets))


def listen(address: str) -> list[socket.socket]:
    """Bind ``HOST:PORT``. Raises :class:`~gatepost.errors.SettingsError`."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise SettingsError("listen", f"must be HOST:PORT, such as 127.0.0.1:8080, not {address!r}")
    try:
        infos = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, name = infos[0]
        both = host == "::" and socket.has_dualstack_ipv6()  # "everywhere" means IPv4 as well
        bound = socket.create_server(name[:2], family=family, backlog=2048, dualstack_ipv6=both)
    except OSError as error:
        why = error.strerror or str(error)
        raise SettingsError("listen", f"cannot be {address}: {why}; give another HOST:PORT") from None
    bound.setblocking(False)
    return [bound]


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _raise_file_limit() -> int:
    """Allow as many open files as the system lets us; answer how many. Each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return 1 << 30 if soft == resource.RLIM_INFINITY else soft


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
        trusted_proxies=proxies,
        policy=Policy(
            unknowns=Unknowns(settings.unknown_terminals),
            allowed=Networks(settings.allowed_networks, setting="allowed_networks"),
            max_terminals=settings.max_terminals,
        ),
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


def _framework(parts: Mapping[str, Any], pages: Sequence[ControllerRouterHandler]) -> Litestar:
    """``parts`` are handed to the routes by name."""
    return Litestar(
        middleware=[DefineMiddleware(Authentication, access=parts["access"])],
        route_handlers=[*CONTROLLERS, *OPEN_CONTROLLERS, *pages],
        dependencies={name: _provide(part) for name, part in parts.items()},
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


def _provide(part: Any) -> Provide:
    return Provide(lambda: part, sync_to_thread=False)
