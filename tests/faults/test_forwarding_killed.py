"""Receivers, destinations and databases that are killed while events are passed on: none is missing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from uuid import UUID

import pytest
from tests.postgres import Postgres
from tests.receiver.kit import Process, body, opened, record, request, until

from gatepost.errors import StoreError
from gatepost.forward.check import check
from gatepost.forward.options.destination import decode, encode
from gatepost.process_tree import members, signal_all
from gatepost.store.base import BaseStore
from gatepost.store.forwarding.destinations import Destinations
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.query.notices import Notices

WINDOW = 512 + 256
"""Events that may be sent again after a kill: those that are read ahead, and a commit."""


@pytest.fixture(autouse=True)
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let receivers that are started send to loopback."""
    monkeypatch.setenv("GATEPOST_FORWARD_NETWORKS", "127.0.0.0/8")


class Taker:
    """A destination that can be killed; it notes how often it took each passage."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """End it as a killed process ends: connections are reset, and nobody listens."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                (length,) = (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                )
                event = json.loads(await reader.readexactly(length))
                self.taken[event["data"]["uuid"]] += 1
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


@asynccontextmanager
async def taking() -> AsyncIterator[Taker]:
    taker = Taker()
    await taker.start()
    try:
        yield taker
    finally:
        await taker.kill()


class Pusher:
    """Pushes passages, one after the other, to whichever receiver is there; notes what was acknowledged."""

    def __init__(self) -> None:
        self.port = 0
        self.acknowledged: list[str] = []
        self._number = 0

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(10):
                    await self._push_on_one_connection()
            await asyncio.sleep(0.02)

    async def _push_on_one_connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for _ in range(50):
                self._number += 1
                uuid = str(UUID(int=self._number))
                writer.write(request("POST", "/Record", body(record(uuid=uuid, timestamp=self._number))))
                head = await reader.readuntil(b"\r\n\r\n")
                assert b" 200 " in head.split(b"\r\n")[0]
                lengths = (
                    line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                )
                await reader.readexactly(int(next(lengths).split(b":")[1]))
                self.acknowledged.append(uuid)
        finally:
            writer.transport.abort()

    @asynccontextmanager
    async def pushing(self, port: int) -> AsyncIterator[None]:
        self.port = port
        task = asyncio.create_task(self.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def destination(store: BaseStore, url: str) -> int:
    told = encode(decode({"kind": "webhook", "url": url, "timeout_s": 5}))
    return Destinations(store).create("one", "webhook", told, b"{}", now_ms=0).id


def has_all(taker: Taker, pusher: Pusher) -> bool:
    return taker.taken.keys() >= set(pusher.acknowledged)


def check_ledger(store: BaseStore, which: int, least: int) -> None:
    """Nothing waits any more, and the ledger is what the events say; notices are filtered."""
    destinations = Destinations(store)
    assert check(destinations, which).problems == []
    row = destinations.one(which)
    assert row is not None
    ledger = row.ledger
    assert (ledger.waiting, ledger.dead, ledger.dropped) == (0, 0, 0)
    # A receiver that was away tells of it, such as of a journal that is behind.
    assert ledger.filtered == len(Notices(store).page(limit=500).items)
    assert ledger.delivered >= least


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.soak)])
async def test_kills_of_the_receiver_and_of_the_destination(tmp_path: Path, kills: int) -> None:
    dice = random.Random(kills)
    async with taking() as taker:
        with closing(opened(tmp_path / "data")) as store:
            which = destination(store, taker.url)
        receiver = await Process.start(tmp_path / "data")
        pusher = Pusher()
        async with pusher.pushing(receiver.port):
            for number in range(kills):
                goal = len(pusher.acknowledged) + dice.randrange(20, 200)
                await until(lambda goal=goal: len(pusher.acknowledged) >= goal, 60)  # type: ignore[misc]
                if number % 3 == 1:
                    await taker.kill()
                    goal = len(pusher.acknowledged) + 50
                    await until(lambda goal=goal: len(pusher.acknowledged) >= goal, 60)  # type: ignore[misc]
                await receiver.kill()
                await taker.kill()
                await taker.start()
                receiver = await Process.start(tmp_path / "data", port=receiver.port)
        await receiver.settle()
        await until(lambda: has_all(taker, pusher), 60)
        assert await receiver.stop() == 0
    assert sum(taker.taken.values()) - len(taker.taken) <= kills * WINDOW
    with closing(opened(tmp_path / "data")) as store:
        check_ledger(store, which, len(pusher.acknowledged))


@pytest.fixture
def server() -> Iterator[Postgres]:
    made = Postgres()
    yield made
    made.stop()


async def test_a_kill_of_the_database(tmp_path: Path, server: Postgres) -> None:
    url = server.create_with_store()
    async with taking() as taker:
        with closing(PostgresStore.open(url)) as store:
            which = destination(store, taker.url)
        receiver = await Process.start(tmp_path / "data", "--database", url)
        pusher = Pusher()
        async with pusher.pushing(receiver.port):
            await until(lambda: len(taker.taken) >= 50, 60)
            with server.killed():
                goal = len(pusher.acknowledged) + 20
                await until(lambda: len(pusher.acknowledged) >= goal, 60)
            goal = len(pusher.acknowledged) + 50
            await until(lambda: len(pusher.acknowledged) >= goal, 60)
        await until(lambda: has_all(taker, pusher), 60)
        await receiver.stop()
        with closing(PostgresStore.open(url)) as store:
            check_ledger(store, which, len(pusher.acknowledged))


@pytest.mark.soak
async def test_the_owner_of_a_lease_is_stopped_and_comes_back(tmp_path: Path, server: Postgres) -> None:
    """Another receiver takes over; what the first one commits when it goes on changes nothing."""
    url = server.create_with_store()
    async with taking() as taker:
        with closing(PostgresStore.open(url)) as store:
            which = destination(store, taker.url)
        first = await Process.start(tmp_path / "first", "--database", url)
        owner = await owner_of(url, which, None)
        second = await Process.start(tmp_path / "second", "--database", url)
        pusher = Pusher()
        async with pusher.pushing(second.port):
            await until(lambda: len(taker.taken) >= 50, 60)
            stopped = members(first.process.pid)
            signal_all(stopped, signal.SIGSTOP)
            try:
                assert await owner_of(url, which, owner) != owner
                goal = len(taker.taken) + 50
                await until(lambda: len(taker.taken) >= goal, 60)
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
            goal = len(pusher.acknowledged) + 50
            await until(lambda: len(pusher.acknowledged) >= goal, 60)
        await until(lambda: has_all(taker, pusher), 60)
        for receiver in (first, second):
            await receiver.stop()
        with closing(PostgresStore.open(url)) as store:
            check_ledger(store, which, len(pusher.acknowledged))


async def owner_of(url: str, which: int, former: str | None) -> str:
    """Return who has the lease, once somebody other than a former owner has it."""
    async with asyncio.timeout(60):
        with closing(PostgresStore.open(url)) as store:
            while True:
                with contextlib.suppress(StoreError):
                    row = await asyncio.to_thread(Destinations(store).one, which)
                    if row is not None and row.owner not in (None, former):
                        assert row.owner is not None
                        return row.owner
                await asyncio.sleep(0.1)
