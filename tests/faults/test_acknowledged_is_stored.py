"""The second promise, by force: a reply with ``code`` 200 means that the event is on disk, once.

Receivers are killed with SIGKILL at moments that a seed decides, and so is PostgreSQL. What was acknowledged in
any round has to be in the store at the end, once, with its image.
"""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.faults.receiver_campaign import Campaign
from tests.postgres import Postgres
from tests.receiver.kit import SUCCESS, Process, body, record

from gatepost.receiver.app import open_store
from gatepost.settings import ReceiverSettings
from gatepost.store.postgres import PostgresStore


async def kill_the_receiver(folder: Path, rounds: int) -> None:
    campaign = Campaign(seed=rounds)
    for _ in range(rounds):
        process = await Process.start(folder)
        await campaign.round(process, process.kill)
    assert len(campaign.acknowledged) > rounds
    with closing(open_store(ReceiverSettings(), folder)) as store:
        campaign.check(store)


@pytest.mark.timeout(400)
async def test_what_sqlite_acknowledged_survives_kills_at_any_moment(tmp_path: Path) -> None:
    await kill_the_receiver(tmp_path / "data", 8)


@pytest.mark.soak
@pytest.mark.timeout(3000)
async def test_what_sqlite_acknowledged_survives_a_hundred_kills(tmp_path: Path) -> None:
    await kill_the_receiver(tmp_path / "data", 100)


async def kill_either(server: Postgres, folder: Path, rounds: int) -> None:
    """In turn the receiver is killed and PostgreSQL; two receivers share the database."""
    url = server.create()
    campaign = Campaign(seed=rounds)
    for number in range(rounds):
        first = await Process.start(folder / "a", "--database", url)
        second = await Process.start(folder / "b", "--database", url)

        async def end(number: int = number, first: Process = first, second: Process = second) -> None:
            if number % 2:
                server.kill()
            await first.kill()
            await second.kill()

        await campaign.round(_Both(first, second), end)  # type: ignore[arg-type]
        if number % 2:
            server.restart()
    assert len(campaign.acknowledged) > rounds
    with closing(PostgresStore.open(url)) as store:
        campaign.check(store)


class _Both:
    """Two receivers: each sender is given one of them."""

    def __init__(self, *processes: Process) -> None:
        self._ports = [process.port for process in processes]

    @property
    def port(self) -> int:
        self._ports.append(self._ports.pop(0))
        return self._ports[0]


@pytest.fixture
def mortal_server() -> Iterator[Postgres]:
    """A PostgreSQL server that may be killed."""
    server = Postgres()
    yield server
    server.stop()


@pytest.mark.timeout(400)
async def test_what_postgresql_acknowledged_survives_kills_of_either_side(
    mortal_server: Postgres, tmp_path: Path
) -> None:
    await kill_either(mortal_server, tmp_path, 4)


@pytest.mark.soak
@pytest.mark.timeout(3000)
async def test_what_postgresql_acknowledged_survives_twenty_kills(
    mortal_server: Postgres, tmp_path: Path
) -> None:
    await kill_either(mortal_server, tmp_path, 20)


async def test_a_receiver_whose_database_was_killed_answers_503_and_goes_on_after_its_return(
    mortal_server: Postgres, tmp_path: Path
) -> None:
    process = await Process.start(tmp_path / "data", "--database", mortal_server.create())
    try:
        assert (await process.request("POST", "/Record", body(record(uuid="u-1")))).json == SUCCESS
        mortal_server.kill()
        answer = await process.request("POST", "/Record", body(record(uuid="u-2")))
        assert (answer.status, answer.json["code"]) == (503, 503)
        assert int(answer.headers["retry-after"]) > 0
        mortal_server.restart()
        async with asyncio.timeout(30):
            while answer.status != 200:
                answer = await process.request("POST", "/Record", body(record(uuid="u-2")))
        assert answer.json == SUCCESS
        assert {item["uuid"] for item in await process.everything()} == {"u-1", "u-2"}
    finally:
        await process.kill()
