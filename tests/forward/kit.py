"""A destination to send to, and a forwarder of which every turn is one call."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from tests.receiver.kit import Clock
from tests.store.events import RECEIVED_MS, alarm, arrival, record

from gatepost.forward.forwarder.forwarder import Forwarder
from gatepost.forward.forwarder.surroundings import Surroundings
from gatepost.forward.image_links import ImageLinks
from gatepost.forward.options.destination import decode
from gatepost.forward.sinks import Outgoing, Result, Sink
from gatepost.receiver.people_rules import Meaning, rules_of
from gatepost.settings import ReceiverSettings
from gatepost.store.base import BaseStore
from gatepost.store.forwarding.destinations import DestinationRow, Destinations, Ledger
from gatepost.wire import Delivered

T = TypeVar("T")


class Told:
    """A sink that notes what it was handed, and says of each event what a test wants it to."""

    def __init__(self, say: Callable[[Outgoing], Result] | None = None) -> None:
        self.say = say or (lambda _: Result(outcome=Delivered()))
        self.events: list[Outgoing] = []
        self.is_open = True

    @property
    def ids(self) -> list[int]:
        return [event.event_id for event in self.events]

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Result]:
        self.events += batch
        return [self.say(event) for event in batch]

    async def close(self) -> None:
        self.is_open = False


class Line:
    """A store, one destination of it, and a forwarder that can be ended like a process that is killed."""

    def __init__(self, store: BaseStore, **told: Any) -> None:
        self.store = store
        self.clock = Clock(RECEIVED_MS / 1000 + 60)
        self.destinations = Destinations(store)
        self.told = {"kind": "webhook", "url": "https://example.com/", **told}
        config = msgspec.json.encode(self.told)
        self.id = self.destinations.create("one", "webhook", config, b"{}", now_ms=self.now_ms).id
        self.sink: Sink = Told()
        self._owners = itertools.count(1)
        self._forwarder: Forwarder | None = None

    @property
    def now_ms(self) -> int:
        return int(self.clock.at * 1000)

    @property
    def row(self) -> DestinationRow:
        found = self.destinations.one(self.id)
        assert found is not None
        return found

    @property
    def ledger(self) -> Ledger:
        found = self.row.ledger
        assert found.seen == found.filtered + found.delivered + found.waiting + found.dead + found.dropped
        return found

    def around(self) -> Surroundings:
        meaning = Meaning(self.store, rules_of(ReceiverSettings()))
        return Surroundings(
            store=self.store,
            destinations=self.destinations,
            people=meaning.people,
            source=lambda: "urn:gatepost:test",
            now=self.clock,
            monotonic=self.clock,
            rand=lambda: 0.5,
            in_thread=_at_once,
            links=ImageLinks("https://gatepost.example.com/in", lambda: bytes(32)),
        )

    def begin(self, sink: Sink) -> Forwarder:
        """Begin a forwarder, as another process does after the one before was killed."""
        self.sink = sink
        owner = f"process {next(self._owners)}"
        self.clock.at += 60
        fence = self.destinations.lease(self.id, owner, now_ms=self.now_ms, for_ms=-1)
        assert fence is not None
        return self.forwarder(sink, fence)

    def forwarder(self, sink: Sink, fence: int) -> Forwarder:
        """Make a forwarder for who has the lease."""
        row = self.row
        self._forwarder = Forwarder(row, decode(row.config), sink, fence, self.around())
        return self._forwarder

    async def turn(self, times: int = 1) -> None:
        """Do turns of the forwarder, with all that they send."""
        assert self._forwarder is not None
        for _ in range(times):
            self._forwarder.wake(self.row)
            await self._forwarder.push_once()

    def passages(self, *numbers: int, terminal_id: int = 1, **fields: Any) -> list[int]:
        """Store passages; return their ids."""
        stored = self.store.write([arrival(record(number, **fields), terminal_id) for number in numbers])
        return [one.id for one in stored]

    def alarm(self, trace_id: str, status: int = 1, terminal_id: int = 1) -> int:
        """Store a step of an alarm; return its id."""
        return self.store.write([arrival(alarm(trace_id, status), terminal_id)])[0].id


async def _at_once(call: Callable[[], T]) -> T:
    return call()


class Hook:
    """A web server that takes events: what it was sent, and how it replies."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.reply: Callable[[int], web.Response | None] = lambda _: web.Response(status=204)
        self.url = ""
        self.arrived = asyncio.Event()
        self.replies = asyncio.Event()
        """While it is not set, what arrives gets no reply."""
        self.replies.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(
            ({key.lower(): value for key, value in request.headers.items()}, await request.read())
        )
        self.arrived.set()
        await self.replies.wait()
        found = self.reply(len(self.requests))
        if found is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return found


@asynccontextmanager
async def hooked(**options: Any) -> AsyncIterator[Hook]:
    """Serve a hook on loopback."""
    hook = Hook()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", hook.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, **options)
    await site.start()
    scheme = "https" if options.get("ssl_context") else "http"
    hook.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield hook
    finally:
        await runner.cleanup()


__all__ = ["Hook", "Line", "Told", "hooked"]
