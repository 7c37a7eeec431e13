"""The judge's own destination: a web server that the receiver passes events on to, and that breaks as it is told.

Rules: an event is known by its name as soon as it is taken, before the reply, for the receiver cannot know whether a
lost reply meant yes. A few events, chosen by their names, are always refused. They must become dead letters, and no
other event may wait for them. The receiver gives none up before others of its kind were accepted. So at the end of a
run, while events still come, those that wait have to become dead letters: counts tell whether one is overdue, from
:meth:`Destination.expect_dead_letters` on. Those that are refused after that may have no other behind them, and are
taken when nothing else waits.

Flow: the receiver's forwarder → :meth:`Destination.take` → a reply, or none.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from contextlib import suppress

import msgspec
from aiohttp import web

from gatepost.torture.fault_plan import Kind
from gatepost.torture.oracle import name_of

__all__ = ["OPTIONS", "Destination", "is_refused"]


REFUSED_OF_256 = 3
"""So many of 256 events are refused always."""

RETRY_AFTER_S = 1

MAX_REFUSALS = 3
OPTIONS = ("timeout_s=2", f"max_refusals={MAX_REFUSALS}")
"""Options of the destination, with short waits, so that many faults fit into minutes."""
ACCEPTED_SINCE = 3 + 8
"""So many others of its kind, and as many as are under way at once, are accepted before an event is given up."""
LOST_REPLIES = 5
"""So many refusals of an event may have come too late for the receiver, which then counts them as no reply."""


def is_refused(name: str) -> bool:
    """Tell whether an event is one of those that are refused always."""
    return hashlib.blake2b(name.encode(), digest_size=1).digest()[0] < REFUSED_OF_256


class _Refusals:
    """The refusals of one event. ``accepted``: of its kind, when it was refused first."""

    def __init__(self, accepted: int) -> None:
        self.accepted = accepted
        self.count = 0
        self.needless = 0
        """Those after which it should have been a dead letter already."""


class Destination:
    """A destination on loopback."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        """How often each event was taken, by name."""
        self.ids: dict[str, set[str]] = {}
        """Under which ids each event was sent, by name."""
        self.refuses = True
        """False: it takes every event, also those that it refused until now."""
        self.refusals = 0
        """How often an event was refused that is refused always."""
        self._accepted: Counter[str] = Counter()
        self._refused: dict[str, _Refusals] = {}
        self.met: Counter[str] = Counter()
        self.defects: list[str] = []
        self._fault: Kind | None = None
        self._healed = asyncio.Event()
        self._port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The address that the receiver is told."""
        return f"http://127.0.0.1:{self._port}/events"

    async def open(self) -> None:
        """Listen, at the same port as before."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/events", self.take)
        # A connection that is cut off on purpose is no news.
        silent = logging.Logger("destination")
        silent.addHandler(logging.NullHandler())
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None, logger=silent)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Let go of the port and of every connection. Idempotent."""
        self._healed.set()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def break_(self, kind: Kind) -> None:
        """Begin to fail so."""
        self._fault = kind
        self._healed.clear()
        if kind is Kind.DESTINATION_REFUSE:
            await self.close()

    async def heal(self) -> None:
        """Take everything again."""
        self._fault = None
        self._healed.set()
        if self._runner is None:
            await self.open()

    def expect_dead_letters(self) -> None:
        """Count from now on whether events that are refused always are given up: nothing breaks any more."""
        self._refused.clear()

    @property
    def overdue(self) -> list[str]:
        """The names of the events that are sent again and again although they should be dead letters."""
        return [name for name, refused in self._refused.items() if refused.needless > LOST_REPLIES]

    def _refuse(self, name: str) -> None:
        accepted = self._accepted[_kind(name)]
        refused = self._refused.setdefault(name, _Refusals(accepted))
        self.refusals += 1
        refused.count += 1
        if refused.count > MAX_REFUSALS and accepted - refused.accepted >= ACCEPTED_SINCE:
            refused.needless += 1

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Take an event, or fail as is told."""
        sent = await self._read(request)
        fault = self._fault
        if fault is not None:
            self.met[f"met {fault}"] += 1
        if fault is Kind.DESTINATION_BUSY:
            return web.Response(status=503, headers={"Retry-After": str(RETRY_AFTER_S)})
        if fault is Kind.DESTINATION_FAILS:
            return web.Response(status=500, text="broken")
        if sent is None:
            return web.Response(status=422, text="no event")
        event_id, name = sent
        if self.refuses and is_refused(name):
            self._refuse(name)
            return web.Response(status=422, text="not this one")
        self.taken[name] += 1
        self._accepted[_kind(name)] += 1
        self.ids.setdefault(name, set()).add(event_id)
        if fault is Kind.DESTINATION_HANGS:
            with suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await self._healed.wait()
        if fault is Kind.DESTINATION_LOSES_REPLY and request.transport is not None:
            request.transport.abort()
            raise ConnectionResetError
        return web.Response(status=204)

    async def _read(self, request: web.Request) -> tuple[str, str] | None:
        """Return id and name of an event."""
        try:
            event = msgspec.json.decode(await request.read())
            return str(event["id"]), name_of(event["data"])
        except (msgspec.MsgspecError, KeyError, TypeError) as error:
            self.defects.append(f"the destination was sent what is no event: {error}")
            return None


def _kind(name: str) -> str:
    return "alarm" if "/" in name else "record"
