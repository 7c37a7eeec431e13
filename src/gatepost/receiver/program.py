"""``gatepost serve`` as a process: open, listen, serve, stop.

Signals: SIGTERM and SIGINT stop (a second one does not wait for replies), SIGHUP takes over a new certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import structlog
import uvloop
from msgspec import Struct

from gatepost.errors import SettingsError
from gatepost.receiver.app import SPARE_FILES, Pages, Receiver, open_store
from gatepost.receiver.auth import first_administrator
from gatepost.receiver.logs import loop_failed
from gatepost.receiver.serving import Certificate, Place, Server, listen
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts import Accounts
from gatepost.store.store import Store

__all__ = ["Listening", "run"]

log = structlog.get_logger(__name__)


class Listening(Struct, frozen=True):
    """Where it listens, once requests are answered: ``http://HOST:PORT``, with the prefix if there is one."""

    pages: str
    """API and console."""
    pushes: str


def run(
    settings: ReceiverSettings,
    data: Path,
    *,
    pages: Pages | None = None,
    listening: Callable[[Listening], None] = lambda _: None,
    administrator: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    ``administrator`` is told the password of the first account, if one was made up.
    """
    handles = _raise_file_limit()
    if handles - SPARE_FILES < settings.max_connections:
        fitting = max(1, handles - SPARE_FILES)
        log.warning("receiver.few_files", files=handles, connections=fitting)
    certificate = _certificate(settings)
    with contextlib.ExitStack() as stack:
        desk = listen(settings.listen)
        door = listen(settings.ingest_listen, setting="ingest_listen") if settings.ingest_listen else []
        for each in (*desk, *door):
            stack.enter_context(each)
        store = stack.enter_context(contextlib.closing(open_store(settings, data)))
        password = first_administrator(
            Accounts(store), password=settings.admin_password or None, now_ms=int(time.time() * 1000)
        )

        def ready(where: Listening) -> None:
            listening(where)
            if password is not None:
                administrator(password)

        def places(receiver: Receiver) -> tuple[Place, Place | None]:
            tls = certificate if settings.ingest_tls else None
            return (
                Place(desk, receiver.desk_guard, certificate),
                Place(door, receiver.guard, tls) if door else None,
            )

        _tune()
        uvloop.run(_serve(store, settings, pages, places, ready))


async def _serve(
    store: Store,
    settings: ReceiverSettings,
    pages: Pages | None,
    places: Callable[[Receiver], tuple[Place, Place | None]],
    ready: Callable[[Listening], None],
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(loop_failed)
    async with Receiver(store, settings, pages=pages) as receiver:
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
            servers.append(
                Server(receiver.door, door, stop_timeout_s=timeout_s, lifespan=False, listening=one_more)
            )

        def stop() -> None:
            for server in servers:
                server.force_exit = server.should_exit  # the second signal does not wait for replies
                server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        loop.add_signal_handler(signal.SIGHUP, _renew, desk.certificate)
        await asyncio.gather(*(server.serve() for server in servers))


def _renew(certificate: Certificate | None) -> None:
    """Take over what stands in the certificate's files now."""
    if certificate is None:
        return
    try:
        certificate.reload()
    except SettingsError as error:
        log.error("receiver.certificate_kept", why=str(error))
    else:
        log.info("receiver.certificate_renewed")


def _certificate(settings: ReceiverSettings) -> Certificate | None:
    if not settings.certificate_file and not settings.key_file:
        return None
    if not settings.certificate_file or not settings.key_file:
        missing = "key_file" if settings.certificate_file else "certificate_file"
        raise SettingsError(missing, "is missing; TLS needs a certificate and its key")
    return Certificate(Path(settings.certificate_file), Path(settings.key_file))


def _tune() -> None:
    """Suit the interpreter to one loop and one committer: 14,800 events a second instead of 12,000.

    What is there at start is there to the end, so collections need not look at it. And where the committer comes
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
