"""The simulated terminals' own HTTP services: their addresses, their account, and how they misbehave.

Rules:

- Without an account they are plain HTTP on loopback. With one, each has TLS with a certificate of its own.
- The fault `swap` concerns two neighbours, the first and the second, the third and the fourth: each takes the other's
  port, as terminals do whose addresses come from DHCP. Every other fault concerns one terminal.

Flow: `ServiceOptions` → `offered` → the addresses, in the order of the terminals.
"""

from __future__ import annotations

import asyncio
import csv
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from gatepost.settings import TerminalServiceSettings
from gatepost.terminal.http_api.listener import Listener, prepare
from gatepost.terminal.http_api.routes import Service
from gatepost.terminal.rehearsal.faults import Faults
from gatepost.terminal.rehearsal.rehearsal import Rehearsal, exchange
from gatepost.terminal.rehearsal.serving import Status, serving
from gatepost.terminal.terminal import Terminal

AT_ONCE = 16
"""Certificates that are made at the same time. Each waits for the disk."""


class ServiceOptions(Struct, frozen=True, kw_only=True):
    """How the services of a fleet are served."""

    host: str = "127.0.0.1"
    port: int = 0
    """Port of the first service; the others have the ports that follow. 0: any."""
    username: str = ""
    """Account that the services ask for; empty: none."""
    password: str = ""
    faults: Faults | None = None
    list_file: Path | None = None
    """File that the list of terminals is written to, as a receiver imports it."""


@asynccontextmanager
async def offered(
    terminals: Sequence[Terminal], models: Sequence[str], offer: ServiceOptions, *, folder: Path
) -> AsyncIterator[list[str]]:
    """Serve the terminals' own HTTP services; yield their addresses. Certificates are in ``folder``, by serial."""
    a_few = asyncio.Semaphore(AT_ONCE)

    async def listener(number: int, terminal: Terminal) -> Listener:
        async with a_few:
            return await asyncio.to_thread(_listener, offer, number, terminal.serial, folder)

    listeners = await asyncio.gather(*(listener(number, one) for number, one in enumerate(terminals)))
    async with AsyncExitStack() as stack:
        services = []
        for terminal, model, found in zip(terminals, models, listeners, strict=True):
            own = folder / terminal.serial
            service = serving(
                terminal, found, status_of(terminal), model=model, faults=offer.faults, folder=own
            )
            services.append(await stack.enter_async_context(service))
        if offer.faults is not None and offer.faults.swap:
            swapping = asyncio.create_task(swap_for_ever(services, offer.faults.swap))
            stack.push_async_callback(_ended, swapping)
        addresses = [found.url(service.port) for found, service in zip(listeners, services, strict=True)]
        if offer.list_file is not None:
            names = [terminal.serial for terminal in terminals]
            await asyncio.to_thread(write_list, offer.list_file, names, addresses, offer)
        yield addresses


def write_list(file: Path, names: Sequence[str], addresses: Sequence[str], offer: ServiceOptions) -> None:
    """Write the list that `gatepost terminals import` reads, readable for its owner alone. Raises OSError."""
    file.unlink(missing_ok=True)
    out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # it contains a password
    with os.fdopen(out, "w", encoding="utf-8", newline="") as text:
        lines = csv.writer(text)
        lines.writerow(["address", "name", "username", "password"])
        for name, address in zip(names, addresses, strict=True):
            lines.writerow([address, name, offer.username, offer.password])


async def swap_for_ever(
    services: Sequence[Service | Rehearsal],
    every_s: float,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Have neighbours exchange their ports again and again, until cancelled."""
    while True:
        await sleep(every_s)
        for one, other in zip(services[::2], services[1::2], strict=False):
            if isinstance(one, Rehearsal) and isinstance(other, Rehearsal):
                await exchange(one, other)


def status_of(terminal: Terminal) -> Status:
    """Return a function that returns the figures of a terminal."""

    async def status() -> Mapping[str, object]:
        return {**msgspec.to_builtins(await terminal.status()), "serial": terminal.serial, "running": True}

    return status


def _listener(offer: ServiceOptions, number: int, serial: str, folder: Path) -> Listener:
    host = f"[{offer.host}]" if ":" in offer.host else offer.host
    settings = TerminalServiceSettings(
        listen=f"{host}:{offer.port and offer.port + number}",
        username=offer.username,
        password=offer.password,
        tls=bool(offer.username),
    )
    own = folder / serial
    own.mkdir(parents=True, exist_ok=True)
    return prepare(settings, folder=own, serial=serial, now=time.time())


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
