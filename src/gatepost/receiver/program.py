"""``gatepost serve``: the supervisor, and the processes that it keeps running: ingest and desk.

Signals: SIGTERM and SIGINT stop; a second one ends all at once, by that signal. SIGHUP takes over a new certificate.

A stop and its exit code: see :mod:`gatepost.receiver.processes.stop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
import uvloop
from msgspec import Struct

from gatepost.certificate import fingerprint
from gatepost.errors import GatepostError, StoreError
from gatepost.journal.files import Files
from gatepost.receiver.api.application import MakePages
from gatepost.receiver.auth.issuing import first_administrator
from gatepost.receiver.desk.app import DeskApp
from gatepost.receiver.http.certificates import load_certificates, renew
from gatepost.receiver.http.connections.limits import SPARE_FILES, Guard, Limits
from gatepost.receiver.http.console_access import is_own_machine
from gatepost.receiver.http.server import Certificate, Place, Server, address, listen, listen_locally
from gatepost.receiver.ingest.app import IngestApp, check
from gatepost.receiver.observability.logs import loop_failed
from gatepost.receiver.opening import open_journal, open_store
from gatepost.receiver.processes.desk_line import DeskLine
from gatepost.receiver.processes.desk_proxy import DeskProxy
from gatepost.receiver.processes.stop import MARGIN_S, STOPPING, WORKERS, Stop
from gatepost.receiver.processes.supervisor import Child, Supervisor
from gatepost.receiver.processes.wake import Wake
from gatepost.settings import Origin, ReceiverSettings
from gatepost.store.accounts.accounts import Accounts

__all__ = ["Listening", "run"]

log = structlog.get_logger(__name__)

TEMPORARY = "temporary"
"""The folder of the data folder in which exports are made. What is there at a start is of a process that was killed."""

MAX_LOCAL = 90
"""Bytes of the path of a folder in which local sockets can be: the path of a socket has at most 107 (unix(7))."""


class Listening(Struct, frozen=True):
    """Where it listens, once requests are answered: ``http://HOST:PORT``, with the prefix if there is one."""

    pages: str
    """API and console."""
    pushes: str
    fingerprint: str
    """SHA-256 of the certificate that it made itself, hexadecimal; empty for none."""
    plain: tuple[str, ...]
    """Addresses beyond loopback at which it speaks plain HTTP."""


class _Sockets(Struct, frozen=True):
    """The ports of one ingest."""

    shared: Sequence[socket.socket]
    """Of everything, or of everything but pushes."""
    pushes: Sequence[socket.socket]
    """Of pushes, where they have an address of their own."""

    def close(self) -> None:
        """Let go of the ports, in this process. Idempotent."""
        for each in (*self.shared, *self.pushes):
            each.close()


class _Common(Struct, frozen=True):
    """Hold what the processes have in common: it is made before the fork."""

    settings: ReceiverSettings
    data: Path
    local: Path
    """The folder of the desk's local sockets."""
    appended: Wake
    certificate: Certificate | None
    pushes_certificate: Certificate | None
    failed: Callable[[str], None]
    origins: Mapping[str, Origin] = {}
    """Where settings are set."""

    @property
    def requests(self) -> Path:
        """The desk's socket for requests."""
        return self.local / "requests"

    @property
    def lines(self) -> Path:
        """The desk's socket for the lines of the ingests."""
        return self.local / "lines"


def run(
    settings: ReceiverSettings,
    data: Path,
    *,
    origins: Mapping[str, Origin] | None = None,
    pages: MakePages | None = None,
    listening: Callable[[Listening], None] = lambda _: None,
    administrator: Callable[[str], None] = lambda _: None,
    failed: Callable[[str], None] = lambda _: None,
) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code: 1 where something went wrong or was left undone.

    ``origins`` tells where settings are set, by name. ``administrator`` is told the password of the first account, if
    one was made up; ``failed``, in a sentence, why it cannot start. Raises
    :class:`~gatepost.errors.GatepostError` before any process is started.

    To be called in a process with one thread.
    """
    check(settings)
    _raise_file_limit(settings)
    certificate, pushes_certificate = load_certificates(settings, data)
    with contextlib.ExitStack() as stack:
        places = _bind(settings)
        for sockets in places:
            stack.callback(sockets.close)
        where = _listening(settings, places[0], certificate, pushes_certificate)
        local = stack.enter_context(_folder_of_sockets())
        common = _Common(
            settings, data, local, Wake(), certificate, pushes_certificate, failed, origins or {}
        )
        stack.callback(common.appended.close)
        passwords, made_up = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        stack.enter_context(passwords)
        stack.enter_context(made_up)
        passwords.setblocking(False)

        def ready() -> None:
            listening(where)
            with contextlib.suppress(BlockingIOError):
                administrator(passwords.recv(4096).decode())

        def let_go(but: _Sockets | None = None) -> None:
            """Close every port but those of one ingest: it is closed when no process has it any more."""
            for sockets in places:
                if sockets is not but:
                    sockets.close()

        def desk(ready: Callable[[], None]) -> int:
            let_go()
            return _guarded(common, lambda stop: _desk(common, pages, stop, ready, made_up.send))

        def ingest(sockets: _Sockets) -> Callable[[Callable[[], None]], int]:
            def run(ready: Callable[[], None]) -> int:
                let_go(sockets)
                return _guarded(common, lambda stop: _ingest(common, sockets, stop, ready))

            return run

        names = ["ingest"] if len(places) == 1 else [f"ingest-{number}" for number, _ in enumerate(places, 1)]
        ingests = [Child(name, ingest(sockets)) for name, sockets in zip(names, places, strict=True)]
        tune()
        patience_s = settings.stop_timeout_s + MARGIN_S + 1
        return Supervisor(
            [Child("desk", desk), *ingests], stop_timeout_s=patience_s, on_ready=ready, on_stop=let_go
        ).run()


@contextlib.contextmanager
def _folder_of_sockets() -> Iterator[Path]:
    """Make a folder for the desk's local sockets. Raises :class:`~gatepost.errors.GatepostError`."""
    with tempfile.TemporaryDirectory(prefix="gatepost-") as local:
        if len(os.fsencode(local)) > MAX_LOCAL:
            raise GatepostError(
                f"the path of the folder for temporary files, {tempfile.gettempdir()}, is too long for a local socket;"
                " set TMPDIR to a shorter one"
            )
        yield Path(local)


def _bind(settings: ReceiverSettings) -> list[_Sockets]:
    """Bind every port, once for each ingest. Raises :class:`~gatepost.errors.SettingsError`."""
    places: list[_Sockets] = []
    shared = settings.ingest_processes > 1
    for _ in range(settings.ingest_processes):
        first = places[0] if places else None
        places.append(
            _Sockets(
                listen(_same(settings.listen, first.shared if first else ()), shared=shared),
                listen(
                    _same(settings.ingest_listen, first.pushes if first else ()),
                    setting="ingest_listen",
                    shared=shared,
                )
                if settings.ingest_listen and settings.role != "desk"
                else [],
            )
        )
    return places


def _same(given: str, bound: Sequence[socket.socket]) -> str:
    """Return an address with the port that was bound for it first: port 0 stands for any."""
    return f"{given.rpartition(':')[0]}:{bound[0].getsockname()[1]}" if bound else given


def _listening(
    settings: ReceiverSettings,
    sockets: _Sockets,
    certificate: Certificate | None,
    pushes_certificate: Certificate | None,
) -> Listening:
    pages = address(sockets.shared, certificate) + settings.path_prefix.rstrip("/")
    pushes = address(sockets.pushes, pushes_certificate) if sockets.pushes else pages
    own = certificate is not None and not settings.certificate_file
    return Listening(
        pages,
        pushes,
        fingerprint=fingerprint(certificate.file) if certificate is not None and own else "",
        plain=tuple(dict.fromkeys(each for each in (pages, pushes) if _is_plain_beyond_loopback(each))),
    )


def _is_plain_beyond_loopback(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_own_machine(parts.hostname or "")


def _guarded(common: _Common, main: Callable[[Stop], Coroutine[Any, Any, None]]) -> int:
    """Run a child to its end, and return its exit code."""
    stop = Stop(common.settings.stop_timeout_s)
    for number in STOPPING:
        signal.signal(number, lambda *_: os._exit(0))  # until it has begun there is nothing to end
    try:
        uvloop.run(_on_loop(main(stop)))
    except GatepostError as error:
        common.failed(str(error))
        return 1
    stop.end()
    return 0


async def _on_loop(main: Coroutine[Any, Any, None]) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(loop_failed)
    loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix=f"{WORKERS}work"))
    await main


async def _ingest(common: _Common, sockets: _Sockets, stop: Stop, ready: Callable[[], None]) -> None:
    settings = common.settings
    certificates = (common.certificate, common.pushes_certificate)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, renew, certificates)
    renew(certificates, is_told=False)  # they may have been renewed since they were loaded
    desk = DeskLine(str(common.lines))
    pages = DeskProxy(
        str(common.requests), retry_after_s=settings.retry_after_s, is_silent=lambda: not ingest.has_desk
    )
    welcome = await desk.connect()
    async with IngestApp(
        open_journal(common.data), settings, desk, welcome, pages=pages, on_append=common.appended.set
    ) as ingest:
        places = [(ingest.app, Place(sockets.shared, ingest.guard, common.certificate))]
        if sockets.pushes:
            places = [
                (ingest.pages_alone, Place(sockets.shared, ingest.pages_guard, common.certificate)),
                (ingest.pushes_alone, Place(sockets.pushes, ingest.guard, common.pushes_certificate)),
            ]

        def one_more() -> None:
            if all(server.started for server in servers):
                ready()

        timeout_s = settings.stop_timeout_s
        servers = [
            Server(app, place, stop_timeout_s=timeout_s, listening=one_more, stopping=pages.stop)
            for app, place in places
        ]

        def begin() -> None:
            for server in servers:
                server.should_exit = True

        def undone() -> Mapping[str, int]:
            return {
                "events answered 503, for they were not stored in time": stop.refused,
                "events not answered": 0 if stop.refused else ingest.group_commit.unanswered,
                "requests cut off": sum(server.cut_off for server in servers),
            }

        stop.attach(begin, ingest.give_up, undone)
        await asyncio.gather(*(server.serve() for server in servers))


def _emptied(folder: Path) -> Path:
    """Make a folder for its user alone, or delete what is in it."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        Files().make_folder(folder)
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be made: {error.strerror}; make room, or let the program write there"
        ) from None
    return folder


async def _desk(
    common: _Common,
    pages: MakePages | None,
    stop: Stop,
    ready: Callable[[], None],
    made_up: Callable[[bytes], object],
) -> None:
    settings = common.settings
    loop = asyncio.get_running_loop()
    with contextlib.closing(open_store(settings, common.data)) as store:
        tempfile.tempdir = str(_emptied(common.data / TEMPORARY))
        journal = open_journal(common.data)
        if settings.role != "ingest":
            password = first_administrator(
                Accounts(store), password=settings.admin_password or None, now_ms=int(time.time() * 1000)
            )
            if password is not None:
                made_up(password.encode())
        async with DeskApp(
            store, journal, settings, pages=pages, origins=common.origins, appended=common.appended
        ) as desk:
            lines = await asyncio.start_unix_server(desk.ingests.accept, sock=listen_locally(common.lines)[0])
            guard = Guard(Limits.of(settings).of_desk(), now=time.monotonic, shares_address=lambda _: True)
            server = Server(
                desk.app,
                Place(listen_locally(common.requests), guard),
                stop_timeout_s=settings.stop_timeout_s,
                listening=ready,
                stopping=desk.live.close,
            )

            async def after_the_ingests() -> None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(desk.ingests.all_gone(), stop.left_s())
                server.stop_timeout_s = desk.stop_timeout_s = stop.left_s()
                server.should_exit = True

            def give_up() -> int:
                desk.table.errands.give_up()
                return 0

            stop.attach(
                lambda: loop.create_task(after_the_ingests()),
                give_up,
                lambda: {"requests cut off": server.cut_off},
            )
            sweeping = asyncio.create_task(guard.run())
            await server.serve()
            sweeping.cancel()
            lines.close()


def tune() -> None:
    """Suit the interpreter to one loop and the threads that write: 14,800 events a second instead of 12,000.

    What is there at start is there to the end, so collections need not look at it. And where a thread comes
    back from the disk it shall not wait five milliseconds, the interpreter's default, for the loop to let it go on.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    sys.setswitchinterval(0.0002)


def _raise_file_limit(settings: ReceiverSettings) -> None:
    """Allow as many open files as the system lets us, and warn where they are too few: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft != resource.RLIM_INFINITY and soft - SPARE_FILES < settings.max_connections:
        log.warning("receiver.few_files", files=soft, connections=max(1, soft - SPARE_FILES))
