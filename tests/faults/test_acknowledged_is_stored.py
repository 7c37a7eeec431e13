"""The second promise, by force: a reply with ``code`` 200 means that the event is on disk, once.

Receivers are killed with SIGKILL at moments that a seed decides, and so is PostgreSQL; some while nothing
can be listed. What was acknowledged in any round has to be listed at the end, once, with its image.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from tests.faults.freezing import frozen
from tests.faults.receiver_campaign import Campaign
from tests.postgres import Postgres
from tests.receiver.kit import SUCCESS, Process, body, record

from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.receiver.opening import open_store
from gatepost.settings import ReceiverSettings
from gatepost.store.postgres.store import PostgresStore


@contextmanager
def held_up(folder: Path) -> Iterator[sqlite3.Connection]:
    """Keep every other process from writing to the database of a data folder."""
    with closing(sqlite3.connect(folder / "gatepost.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield db


def listed(db: sqlite3.Connection) -> int:
    """Return how many events are in the database."""
    (count,) = db.execute(
        "SELECT (SELECT count(*) FROM records) + (SELECT count(*) FROM alarm_events)"
    ).fetchone()
    return int(count)


async def catch_up(folder: Path, *options: str) -> None:
    """Start a receiver again, and stop it when everything is listed that its journal holds."""
    process = await Process.start(folder, *options)
    await process.settle()
    assert await process.stop() == 0


async def kill_the_receiver(folder: Path, rounds: int) -> None:
    """Every second round nothing is listed, so the kill comes between append and listing."""
    campaign = Campaign(seed=rounds)
    behind = 0
    for number in range(rounds):
        process = await Process.start(folder)
        if number % 2 == 0:
            await campaign.round(process, process.kill)
            continue
        before = len(campaign.acknowledged)
        with held_up(folder) as db:
            here = listed(db)
            await campaign.round(process, process.kill)
            assert listed(db) == here
        behind += len(campaign.acknowledged) - before
    assert len(campaign.acknowledged) > rounds
    assert behind >= rounds // 2
    await catch_up(folder)
    with closing(open_store(ReceiverSettings(), folder)) as store:
        campaign.check(store)


@pytest.mark.timeout(400)
async def test_what_sqlite_acknowledged_survives_kills_at_any_moment(tmp_path: Path) -> None:
    await kill_the_receiver(tmp_path / "data", 4)


@pytest.mark.soak
@pytest.mark.timeout(3000)
async def test_what_sqlite_acknowledged_survives_a_hundred_kills(tmp_path: Path) -> None:
    await kill_the_receiver(tmp_path / "data", 100)


async def kill_either(server: Postgres, folder: Path, rounds: int) -> None:
    """In turn the receivers are killed, PostgreSQL with them, and the receivers while PostgreSQL hangs.

    Two receivers share the database; each has its journal.
    """
    url = server.create_with_store()
    campaign = Campaign(seed=rounds)
    for number in range(rounds):
        first = await Process.start(folder / "a", "--database", url)
        second = await Process.start(folder / "b", "--database", url)
        dies, hangs = number % 3 == 1, number % 3 == 2

        async def end(first: Process = first, second: Process = second, *, dies: bool = dies) -> None:
            if dies:
                server.kill()
            await first.kill()
            await second.kill()

        with ExitStack() as stack:
            if hangs:
                stack.enter_context(frozen(server))
            await campaign.round(_Both(first, second), end)  # type: ignore[arg-type]
        if dies:
            server.restart()
    assert len(campaign.acknowledged) > rounds
    await catch_up(folder / "a", "--database", url)
    await catch_up(folder / "b", "--database", url)
    # Packs are beside the journal that took them: here both are looked at.
    for name in ("a", "b"):
        (folder / name / "journal" / "packs").mkdir(exist_ok=True)
        for pack in (folder / name / "journal" / "packs").glob("*.pack"):
            pack.rename(folder / "a" / "journal" / "packs" / pack.name)
    packs = Packs(Folder.open(folder / "a" / "journal"))
    with closing(PostgresStore.open(url, packs=packs)) as store:
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


async def test_a_receiver_whose_database_was_killed_goes_on_acknowledging_and_lists_after_its_return(
    mortal_server: Postgres, tmp_path: Path
) -> None:
    process = await Process.start(tmp_path / "data", "--database", mortal_server.create_with_store())
    try:
        assert (await process.request("POST", "/Record", body(record(uuid="u-1")))).json == SUCCESS
        await process.settle()
        mortal_server.kill()
        for number in range(2, 30):
            answer = await process.request("POST", "/Record", body(record(uuid=f"u-{number}")))
            assert answer.json == SUCCESS
        async with asyncio.timeout(30):
            while (ready := await process.request("GET", "/readyz")).json["status"] == "ok":
                pass
        assert (ready.status, ready.json["status"]) == (200, "store away, 28 events behind")
        mortal_server.restart()
        names = [item["uuid"] for item in await process.everything()]
        assert sorted(names) == sorted(f"u-{number}" for number in range(1, 30))
    finally:
        await process.kill()


async def test_a_terminal_that_is_new_is_taken_while_the_database_is_away(
    mortal_server: Postgres, tmp_path: Path
) -> None:
    url = mortal_server.create_with_store()
    process = await Process.start(tmp_path / "data", "--database", url)
    try:
        mortal_server.kill()
        answer = await process.request("POST", "/Record", body(record(uuid="u-1")))
        assert answer.json == SUCCESS
        await process.kill()
        mortal_server.restart()
        # The next start knows of the terminal from the journal alone.
        process = await Process.start(tmp_path / "data", "--database", url)
        assert [item["uuid"] for item in await process.everything()] == ["u-1"]
    finally:
        await process.kill()
