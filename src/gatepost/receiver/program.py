"""``gatepost serve`` as a process: open, listen, serve, stop.

Signals: SIGTERM and SIGINT stop; a second one ends the process at once, by that signal. SIGHUP takes over a new
certificate.

A stop, in ``stop_timeout_s`` and :data:`MARGIN_S` at most, whatever the database or a thread does:

* No new connection. What was accepted is committed and answered, and so is every other request.
* When ``stop_timeout_s`` is over, whoever still waits is answered 503: a push that is not committed, a request that is
  still worked on. What is being committed may yet be stored; it was not acknowledged, and comes again.
* A thread that hangs cannot be ended, and Python would wait for it: a thread of ours ends the process, then. What it
  does not close is what a kill would not close either, and nothing that was acknowledged is lost by one.

The exit code is 0 if all of that came to its end by itself, and 1 if something was left undone: then one line of the
log says what.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog
import uvloop
from msgspec import Struct

from gatepost.errors import SettingsError
from gatepost.journal.folder import Folder
from gatepost.receiver.app import SPARE_FILES, MakePages, Receiver, open_journal, open_store
from gatepost.receiver.auth import first_administrator
from gatepost.receiver.logs import loop_failed
from gatepost.receiver.serving import Certificate, Place, Server, listen
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts import Accounts
from gatepost.store.store import Store

__all__ = ["Listening", "run"]

log = structlog.get_logger(__name__)

MARGIN_S = 3.0
"""How long a stop may take beyond ``stop_timeout_s``: for what is said and closed then."""

TWICE_S = 0.2
"""A signal that comes again so soon is the same one: a shell, a wrapper, both tell us."""

_STOPPING = (signal.SIGTERM, signal.SIGINT)

_WORKERS = "gatepost-"
"""How the names of our threads begin."""


class Listening(Struct, frozen=True):
    """Where it listens, once requests are answered: ``http://HOST:PORT``, with the prefix if there is one."""

    pages: str
    """API and console."""
    pushes: str


def run(
    settings: ReceiverSettings,
    data: Path,
    *,
    pages: MakePages | None = None,
    listening: Callable[[Listening], None] = lambda _: None,
    administrator: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or SIGINT. Ends the process where a stop had to leave something undone.

    ``administrator`` is told the password of the first account, if one was made up.
    """
    handles = _raise_file_limit()
    if handles - SPARE_FILES < settings.max_connections:
        fitting = max(1, handles - SPARE_FILES)
        log.warning("receiver.few_files", files=handles, connections=fitting)
    certificate, door_certificate = _certificates(settings)
    stop = _Stop(settings.stop_timeout_s)
    with contextlib.ExitStack() as stack:
        desk = listen(settings.listen)
        door = listen(settings.ingest_listen, setting="ingest_listen") if settings.ingest_listen else []
        for each in (*desk, *door):
            stack.enter_context(each)
        store = stack.enter_context(contextlib.closing(open_store(settings, data)))
        journal = open_journal(data)
        password = first_administrator(
            Accounts(store), password=settings.admin_password or None, now_ms=int(time.time() * 1000)
        )

        def ready(where: Listening) -> None:
            listening(where)
            if password is not None:
                administrator(password)

        def places(receiver: Receiver) -> tuple[Place, Place | None]:
            return (
                Place(desk, receiver.desk_guard, certificate),
                Place(door, receiver.guard, door_certificate) if door else None,
            )

        _tune()
        uvloop.run(_serve(store, journal, settings, pages, places, ready, stop))
    stop.end()


async def _serve(
    store: Store,
    journal: Folder,
    settings: ReceiverSettings,
    pages: MakePages | None,
    places: Callable[[Receiver], tuple[Place, Place | None]],
    ready: Callable[[Listening], None],
    stop: _Stop,
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(loop_failed)
    loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix=f"{_WORKERS}work"))
    async with Receiver(store, journal, settings, pages=pages) as receiver:
        desk, door = places(receiver)
        prefix = settings.path_prefix.rstrip("/")
        where = Listening(desk.address + prefix, desk.address + prefix if door is None else door.address)
        servers: list[Server] = []

        def one_more() -> None:
            if all(server.started for server in servers):
                ready(where)

        servers.append(
            Server(
                receiver.app if door is None else receiver.desk,
                desk,
                stop_timeout_s=settings.stop_timeout_s,
                listening=one_more,
                stopping=receiver.live.close,
            )
        )
        if door is not None:
            timeout_s = settings.stop_timeout_s
            servers.append(Server(receiver.door, door, stop_timeout_s=timeout_s, listening=one_more))

        for number in _STOPPING:
            loop.add_signal_handler(number, stop.begin, receiver, servers)
        served = [place for place in (desk, door) if place is not None]
        loop.add_signal_handler(signal.SIGHUP, _renew, [place.certificate for place in served])
        await asyncio.gather(*(server.serve() for server in servers))


class _Stop:
    """The end of the process, in time: see the module."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._receiver: Receiver | None = None
        self._servers: Sequence[Server] = ()
        self._refused = 0
        self._leaving = threading.Lock()
        self._began = 0.0

    def begin(self, receiver: Receiver, servers: Sequence[Server]) -> None:
        """On the loop, at the first signal."""
        self._receiver, self._servers = receiver, servers
        self._began = time.monotonic()
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.remove_signal_handler(number)
            signal.signal(number, self._again)
        watch = threading.Timer(self._timeout_s + MARGIN_S, self._leave)
        watch.daemon = True
        watch.start()
        for server in servers:
            server.should_exit = True
        loop.call_later(self._timeout_s, self._give_up)

    def end(self) -> None:
        """All is closed."""
        if self._undone():
            self._leave()

    def _give_up(self) -> None:
        if self._receiver is not None:
            self._receiver.errands.give_up()
            self._refused = self._receiver.group_commit.give_up()

    def _again(self, number: int, _: object) -> None:
        """The second signal: as if nobody had caught it."""
        if time.monotonic() - self._began < TWICE_S:
            return
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        # The first process of a container is not ended by a signal that it does not catch.
        os._exit(128 + number)

    def _undone(self) -> list[str]:
        receiver = self._receiver
        waiting = 0 if self._refused or receiver is None else receiver.group_commit.unanswered
        counts = {
            "events answered 503, for the store had not taken them": self._refused,
            "events not answered": waiting,
            "requests cut off": sum(server.cut_off for server in self._servers),
        }
        return [f"{what}: {count}" for what, count in counts.items() if count]

    def _leave(self) -> None:
        """End the process: nobody else will."""
        if not self._leaving.acquire(blocking=False):
            return
        left = self._undone()
        # Those of the pools: whoever is idle has ended.
        threads = [one for one in threading.enumerate() if one.name.startswith(_WORKERS) and not one.daemon]
        if threads:
            left.append(f"threads still at work: {len(threads)}")
        log.error(
            "receiver.stopped_short",
            after_s=self._timeout_s,
            left=left,
            why="the time to stop was over; nothing that was acknowledged is lost",
        )
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _renew(certificates: Sequence[Certificate | None]) -> None:
    """Take over what stands in the files of the certificates now."""
    present = [certificate for certificate in certificates if certificate is not None]
    try:
        for certificate in present:
            certificate.reload()
    except SettingsError as error:
        log.error("receiver.certificate_kept", why=str(error))
    else:
        if present:
            log.info("receiver.certificate_renewed")


def _certificates(settings: ReceiverSettings) -> tuple[Certificate | None, Certificate | None]:
    """Load the certificate of ``listen`` and that of ``ingest_listen``; clients show theirs where they push."""
    client_ca = Path(settings.client_ca_file) if settings.client_ca_file else None
    apart = bool(settings.ingest_listen)
    if client_ca is not None and (
        not (settings.certificate_file or settings.key_file) or (apart and not settings.ingest_tls)
    ):
        raise SettingsError(
            "client_ca_file", "needs TLS where terminals push: set certificate_file, key_file and ingest_tls"
        )
    if not apart:
        return _certificate(settings, client_ca), None
    return _certificate(settings, None), _certificate(settings, client_ca) if settings.ingest_tls else None


def _certificate(settings: ReceiverSettings, client_ca: Path | None) -> Certificate | None:
    if not settings.certificate_file and not settings.key_file:
        return None
    if not settings.certificate_file or not settings.key_file:
        missing = "key_file" if settings.certificate_file else "certificate_file"
        raise SettingsError(missing, "is missing; TLS needs a certificate and its key")
    return Certificate(Path(settings.certificate_file), Path(settings.key_file), client_ca)


def _tune() -> None:
    """Suit the interpreter to one loop and the threads that write: 14,800 events a second instead of 12,000.

    What is there at start is there to the end, so collections need not look at it. And where a thread comes
    back from the disk it shall not wait five milliseconds, the interpreter's default, for the loop to let it go on.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    sys.setswitchinterval(0.0002)


def _raise_file_limit() -> int:
    """Allow as many open files as the system lets us; answer how many. Each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return 1 << 30 if soft == resource.RLIM_INFINITY else soft
