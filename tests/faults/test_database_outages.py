"""A database that is away under load: no push is refused, and each event is listed once afterwards.

Nine terminals push fifty times a second over connections of their own, before, during and after the outage. It takes a
minute at full length, so that what a receiver does every few seconds, and every minute, comes in it.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.faults.freezing import frozen
from tests.postgres import Postgres
from tests.receiver.kit import SUCCESS, Process, body, record

TERMINALS = 9
PUSHES_PER_SECOND = 50
IMPATIENT = (sys.executable, str(Path(__file__).with_name("impatient.py")))
"""A receiver that sooner gives up a database that is silent, for the short run."""
AROUND_S = 3.0
"""How long there is load before an outage, and after it."""
LISTED_S = 30.0
"""How long the backlog of a minute may take; a server that was killed recovers first."""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    made = Postgres()
    yield made
    made.stop()


class Load:
    """Terminals that push, each at times that are due whatever the replies take."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._ended = asyncio.Event()
        self.acknowledged: list[str] = []
        self.refused: list[bytes] = []
        self.slowest_s = 0.0

    async def run(self) -> None:
        await asyncio.gather(*(self._terminal(number) for number in range(TERMINALS)))

    def end(self) -> None:
        self._ended.set()

    async def _terminal(self, number: int) -> None:
        sender = await self._process.connect()
        due = time.monotonic()
        sent = 0
        while not self._ended.is_set():
            uuid = f"{number}-{sent}"
            began = time.monotonic()
            push = record(uuid=uuid, deviceSN=f"SN-{number}")
            reply = await sender.request("POST", "/Record", body(push))
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            if reply.status == 200 and reply.json == SUCCESS:
                self.acknowledged.append(uuid)
            else:
                self.refused.append(reply.body)
            sent += 1
            due += TERMINALS / PUSHES_PER_SECOND
            await self.pass_time(due - time.monotonic())

    async def pass_time(self, seconds: float) -> None:
        """Return after so many seconds, or when the load has ended."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._ended.wait()
        except TimeoutError:
            pass


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("away_s", "before"), [(6.0, IMPATIENT), pytest.param(60.0, (), marks=pytest.mark.soak)]
)
@pytest.mark.parametrize(
    "away", [Postgres.stopped, frozen, Postgres.killed], ids=["stopped", "frozen", "killed"]
)
async def test_a_database_that_is_away_costs_no_push_and_no_event(
    server: Postgres,
    tmp_path: Path,
    away: Callable[[Postgres], AbstractContextManager[None]],
    away_s: float,
    before: Sequence[str],
) -> None:
    url = server.create_with_store()
    process = await Process.start(tmp_path / "data", "--database", url, before=before)
    try:
        assert process.token  # it is made while the database is there
        load = Load(process)
        pushing = asyncio.create_task(load.run())
        await load.pass_time(AROUND_S)
        outage = away(server)
        await asyncio.to_thread(outage.__enter__)
        try:
            before = len(load.acknowledged)
            await load.pass_time(away_s)
            during = len(load.acknowledged) - before
            ready = await process.request("GET", "/readyz")
        finally:
            await asyncio.to_thread(outage.__exit__, None, None, None)
        await load.pass_time(AROUND_S)
        load.end()
        await pushing
        assert load.refused == []
        assert during > 0.8 * away_s * PUSHES_PER_SECOND
        assert ready.status == 200
        assert re.fullmatch(r"store away, \d+ events behind", ready.json["status"])
        await process.settle(LISTED_S)
        listed = Counter(item["uuid"] for item in await process.everything())
        assert listed == Counter(load.acknowledged)
        assert max(listed.values()) == 1
        said = re.findall(r"level=(?:warning|error) event=(\S+)", process.errors.read_text())
        assert set(said) <= {"projector.store_away"}
        assert 1 <= len(said) <= 2  # one line a minute at most
        assert await process.stop() == 0
    finally:
        await process.kill()
