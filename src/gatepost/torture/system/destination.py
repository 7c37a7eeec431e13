"""The judge's own destination: a web server that receives events, with faults on request.

Rules:

- An event counts as taken before the reply, because the receiver cannot know whether a lost reply meant success.
- A few events, chosen by their names, are always refused. They must become dead letters, and no other event may wait
  for them.
- The receiver gives no event up before others of its kind were accepted. So the waiting events have to become dead
  letters at the end of a run, while other events still come. Counts tell whether one is overdue, from
  :meth:`Destination.expect_dead_letters` on.
- Events that are refused after that may have no others behind them. They are taken when nothing else waits.

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
"""Events of 256 that are always refused."""

RETRY_AFTER_S = 1

MAX_REFUSALS = 3
OPTIONS = ("timeout_s=2", f"max_refusals={MAX_REFUSALS}")
"""Options of the destination, with short waits, so that many faults fit into minutes."""
ACCEPTED_SINCE = 3 + 8
"""Events of its kind that are accepted before an event is given up, and as many as are sent at once."""
LOST_REPLIES = 5
"""Refusals of an event that may come too late for the receiver, which counts them as no reply."""


def is_refused(name: str) -> bool:
    """Tell whether an event is always refused."""
    return hashlib.blake2b(name.encode(), digest_size=1).digest()[0] < REFUSED_OF_256


class _Refusals:
    """The refusals of one event. ``accepted``: events of its kind accepted before the first refusal."""

    def __init__(self, accepted: int) -> None:
        self.accepted = accepted
        self.count = 0
        self.needless = 0
        """Refusals after which it should have been a dead letter already."""


class Destination:
    """A destination on loopback."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        """How often each event was taken, by name."""
        self.ids: dict[str, set[str]] = {}
        """The ids under which each event was sent, by name."""
        self.refuses = True
        """False: every event is taken, also those that were refused until now."""
        self.refusals = 0
        """Refusals of events that are always refused."""
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
        """Return the address for the receiver."""
        return f"http://127.0.0.1:{self._port}/events"

    async def open(self) -> None:
        """Listen, at the same port as before."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/events", self.take)
        # Connections are cut off on purpose, which is not worth a log line.
        silent = logging.Logger("destination")
        silent.addHandler(logging.NullHandler())
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None, logger=silent)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Release the port and every connection. Idempotent."""
        self._healed.set()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def break_(self, kind: Kind) -> None:
        """Fail in this way from now on."""
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
        """Count from now on whether refused events are given up. No fault comes after that."""
        self._refused.clear()

    @property
    def overdue(self) -> list[str]:
        """Return the events that are sent again and again although they should be dead letters."""
        return [name for name, refused in self._refused.items() if refused.needless > LOST_REPLIES]

    def _refuse(self, name: str) -> None:
        accepted = self._accepted[_kind(name)]
        refused = self._refused.setdefault(name, _Refusals(accepted))
        self.refusals += 1
        refused.count += 1
        if refused.count > MAX_REFUSALS and accepted - refused.accepted >= ACCEPTED_SINCE:
            refused.needless += 1

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Take an event, or fail."""
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
