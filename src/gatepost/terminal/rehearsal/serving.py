"""Serve a terminal's own HTTP service, with or without faults.

Flow: listener, terminal, faults → a service or a rehearsal of one → open → close.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from gatepost import certificate
from gatepost.terminal.http_api.auth import Accounts
from gatepost.terminal.http_api.listener import Listener
from gatepost.terminal.http_api.login_throttle import LoginThrottle
from gatepost.terminal.http_api.routes import Inside, Service
from gatepost.terminal.rehearsal.faults import Faults
from gatepost.terminal.rehearsal.rehearsal import Rehearsal, forgetful
from gatepost.terminal.rehearsal.service import FaultyService
from gatepost.terminal.terminal import Terminal

__all__ = ["Status", "serving"]

Status = Callable[[], Awaitable[Mapping[str, object]]]


@asynccontextmanager
async def serving(
    terminal: Terminal,
    listener: Listener,
    status: Status,
    *,
    model: str,
    faults: Faults | None = None,
    folder: Path | None = None,
) -> AsyncIterator[Service | Rehearsal]:
    """Serve the terminal's own HTTP service. ``folder`` has its self-signed certificate."""
    inside = Inside(
        subscription=terminal.subscription,
        subscribe=terminal.outbox.subscribe,
        history=terminal.history,
        status=status,
    )
    identity = {"sn": terminal.serial, "model": model}

    def accounts() -> Accounts:
        return Accounts(listener.passwords, throttle=LoginThrottle(now=time.monotonic), now=time.time)

    def faulty(faults: Faults) -> FaultyService:
        return FaultyService(
            forgetful(inside),
            faults,
            accounts=accounts(),
            identity=identity,
            now=time.time,
            monotonic=time.monotonic,
        )

    service: Service | Rehearsal
    if faults is None:
        service = Service(
            inside, accounts=accounts(), identity=identity, now=time.time, monotonic=time.monotonic
        )
    else:
        has_own = listener.tls is not None and folder is not None
        service = Rehearsal(
            lambda: faulty(faults),
            faults,
            subscribe=terminal.outbox.subscribe,
            renew=(lambda: renewed(Path(folder or ""), terminal.serial, time.time())) if has_own else None,
            monotonic=time.monotonic,
        )
    await service.open(listener.host, listener.port, tls=listener.tls)
    try:
        yield service
    finally:
        await service.close()


def renewed(folder: Path, serial: str, now: float) -> ssl.SSLContext:
    """Make another certificate in ``folder``; return the TLS settings of a listener with it."""
    (folder / certificate.CERTIFICATE_FILE).unlink(missing_ok=True)
    pair = certificate.ensure(folder, holder=serial, names=[], now=datetime.fromtimestamp(now, UTC))
    return certificate.server_context(*pair)
