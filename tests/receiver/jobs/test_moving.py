import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.receiver.kit import opened, until
from tests.store.events import arrival, record

from gatepost.errors import StoreUnavailable
from gatepost.receiver.jobs import moving
from gatepost.receiver.jobs.moving import Mover
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Rules
from gatepost.store.sqlite.store import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = opened(tmp_path)
    store.create_site("Berlin", "Europe/Berlin", now_ms=0)
    store.create_terminal(now_ms=0, serial="SN-1")
    store.write([arrival(record(1))])
    yield store
    store.close()


def site_of_the_person(store: SqliteStore) -> int:
    (person,) = People(store, Rules()).page(PeopleQuery()).items
    return person.site_id


async def reach(store: SqliteStore, site_id: int) -> None:
    async with asyncio.timeout(20):
        while await asyncio.to_thread(site_of_the_person, store) != site_id:
            pass


async def test_what_an_earlier_process_left_undone_is_done_at_the_start_and_a_move_when_it_is_woken(
    store: SqliteStore,
) -> None:
    store.update_terminal(1, site_id=2)
    mover = Mover(store)
    running = asyncio.create_task(mover.run())
    await reach(store, 2)
    store.update_terminal(1, site_id=1)
    mover.wake()
    await reach(store, 1)
    running.cancel()


async def test_a_store_that_cannot_be_used_now_is_asked_again(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.update_terminal(1, site_id=2)
    monkeypatch.setattr(moving, "ROUND_S", 0.0)
    mover, once, failures = Mover(store), Mover.once, 2

    def fail_first(self: Mover) -> bool:
        nonlocal failures
        if failures:
            failures -= 1
            raise StoreUnavailable("the disk is full")
        return once(self)

    monkeypatch.setattr(Mover, "once", fail_first)
    running = asyncio.create_task(mover.run())
    await reach(store, 2)
    running.cancel()


@pytest.mark.parametrize(("is_away", "level"), [(False, "warning"), (True, "debug")])
async def test_that_the_store_is_away_is_said_only_where_the_projector_does_not_say_it(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, is_away: bool, level: str
) -> None:
    def fail(self: Mover) -> bool:
        raise StoreUnavailable("away")

    monkeypatch.setattr(Mover, "once", fail)
    with capture_logs() as logged:
        running = asyncio.create_task(Mover(store, is_away=lambda: is_away).run())
        await until(lambda: bool(logged))
        running.cancel()
    assert [(line["event"], line["log_level"]) for line in logged] == [("terminals.move_failed", level)]
