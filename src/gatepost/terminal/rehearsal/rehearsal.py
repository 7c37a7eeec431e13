"""Simulate events in the life of a terminal's HTTP service: reboots, other tools, new addresses and certificates.

Rules:

- For a reboot, a move and a new certificate the service ends, with every connection and login, and another one begins.
  Recording and pushing go on: only the service is affected.
- A terminal that lost its subscription keeps events, and pushes them once it is subscribed again.

Flow: ``open`` → :meth:`Rehearsal.run`: wait for what is due next → :meth:`Rehearsal.step` → …
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

from gatepost.errors import SettingsError
from gatepost.terminal.http_api.routes import Inside
from gatepost.terminal.logs import Log
from gatepost.terminal.rehearsal.faults import Faults
from gatepost.terminal.rehearsal.service import FaultyService
from gatepost.wire import Subscription

__all__ = ["Rehearsal", "Timetable", "exchange", "forgetful"]

log = Log(__name__)

ANOTHER_TOOL = Subscription("http://127.0.0.1:9/Record", True)
"""The address that another tool sets. Port 9 discards everything (RFC 863)."""

NOWHERE = Subscription("", False)
"""The subscription of a terminal that lost it."""


class Timetable:
    """When each fault is due. Pure: ``now`` is in seconds of a monotonic clock."""

    def __init__(self, faults: Faults, *, now: float) -> None:
        named = {name: getattr(faults, name) for name in ("forget", "contested", "certificate", "move")}
        self._every = {name: every for name, every in named.items() if every}
        self._due = {name: now + every for name, every in self._every.items()}

    def wait_s(self, now: float) -> float | None:
        """Return the seconds until a fault is due; ``None``: none ever is."""
        return max(0.0, min(self._due.values()) - now) if self._due else None

    def due(self, now: float) -> Iterator[str]:
        """Yield the faults that are due, each once however late."""
        for name, at in self._due.items():
            if at <= now:
                self._due[name] = now + self._every[name]
                yield name


def forgetful(inside: Inside) -> Inside:
    """Return the functions of a terminal that shows ``null`` once it lost its subscription."""

    async def subscription() -> Subscription | None:
        found = await inside.subscription()
        return None if found == NOWHERE else found

    return Inside(
        subscription=subscription, subscribe=inside.subscribe, history=inside.history, status=inside.status
    )


class Rehearsal:
    """The HTTP service of a terminal, with ``faults`` over time. It is opened and closed as a service is.

    ``make`` returns a new service; ``subscribe`` stores the address to push to; ``renew`` makes a new certificate,
    ``None`` without TLS. Raises :class:`~gatepost.errors.SettingsError` if a fault needs TLS.
    """

    def __init__(
        self,
        make: Callable[[], FaultyService],
        faults: Faults,
        *,
        subscribe: Callable[[Subscription], Awaitable[None]],
        renew: Callable[[], ssl.SSLContext] | None,
        monotonic: Callable[[], float],
    ) -> None:
        if faults.certificate and renew is None:
            raise SettingsError("misbehave", "certificate needs a service that speaks TLS")
        self._make = make
        self._faults = faults
        self._subscribe = subscribe
        self._renew = renew
        self._monotonic = monotonic
        self._timetable = Timetable(faults, now=monotonic())
        self._service = make()
        self._host = ""
        self._tls: ssl.SSLContext | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return self._service.port

    async def open(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        """Listen, and start the faults. Raises OSError if the address is taken."""
        self._host, self._tls = host, tls
        await self._service.open(host, port, tls=tls)
        self._running = asyncio.create_task(self.run())

    async def close(self) -> None:
        """End the service. Idempotent."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
        await self._service.close(timeout_s=1.0)

    async def run(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Carry faults out until cancelled."""
        while (wait_s := self._timetable.wait_s(self._monotonic())) is not None:
            await sleep(wait_s)
            await self.step()

    async def step(self) -> list[str]:
        """Carry out the faults that are due now; return their names."""
        due = list(self._timetable.due(self._monotonic()))
        for name in due:
            await self.happen(name)
        return due

    async def happen(self, fault: str) -> None:
        """Carry out ``forget``, ``contested``, ``certificate`` or ``move`` now."""
        await getattr(self, f"_{fault}")()
        log.info("rehearsal.happened", fault=fault, port=self.port)

    async def shut(self) -> None:
        """End the service, and every connection to it, until it is reopened."""
        self._service.cut()
        await self._service.close(timeout_s=1.0)

    async def reopen(self, port: int) -> None:
        """End the service and begin another one, at ``port`` (0: any). Raises OSError if it is taken."""
        await self.shut()
        self._service = self._make()
        await self._service.open(self._host, port, tls=self._tls)

    async def _forget(self) -> None:
        await self._subscribe(NOWHERE)
        await self.reopen(self.port)

    async def _contested(self) -> None:
        await self._subscribe(ANOTHER_TOOL)

    async def _certificate(self) -> None:
        if self._renew is not None:
            self._tls = await asyncio.to_thread(self._renew)
        await self.reopen(self.port)

    async def _move(self) -> None:
        await self.reopen(0)


async def exchange(one: Rehearsal, other: Rehearsal) -> None:
    """Have two services exchange their ports."""
    ports = one.port, other.port
    await one.shut()
    await other.shut()
    await one.reopen(ports[1])
    await other.reopen(ports[0])
