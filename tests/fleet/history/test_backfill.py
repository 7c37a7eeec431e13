"""Back-fill: what a terminal has and is not here is fetched, once, whatever the terminal and the network do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.fleet.double import Double
from tests.fleet.history_kit import JPEG, Desk, double_with, passage
from tests.store.conftest import (  # noqa: F401 - fixtures
    empty_folder,
    open_postgres,
    open_sqlite,
    open_store,
)
from tests.store.events import arrival

from gatepost import wire
from gatepost.errors import StoreUnavailable
from gatepost.fleet.client import HistoryPage, TerminalClient
from gatepost.store.base import BaseStore


@pytest.fixture
def desk(open_store: Callable[[], BaseStore]) -> Iterator[Desk]:  # noqa: F811
    made = Desk(open_store())
    yield made
    made.close()


class Doubles:
    """Terminals that are closed at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.opened: list[Double] = []

    async def open(self, records: Sequence[wire.Record], *options: str) -> Double:
        double = await double_with(self._folder / str(len(self.opened)), records, *options)
        self.opened.append(double)
        return double


@pytest.fixture
async def doubles(tmp_path: Path) -> AsyncIterator[Doubles]:
    made = Doubles(tmp_path / "doubles")
    yield made
    for double in made.opened:
        await double.close()


MANY = [passage(second * 60, second % 7) for second in range(250)]


async def test_what_is_missing_is_fetched_and_marked_and_what_is_here_stays(
    desk: Desk, doubles: Doubles
) -> None:
    double = await doubles.open([*MANY[:-1], passage(249 * 60, 4, image=JPEG)])
    which = desk.adopt(double.address)
    desk.store.write([arrival(record, which) for record in MANY[50:100]])

    job = await desk.fetch(desk.ask(which))

    assert (job.state, job.fetched, job.added, job.done_s) == ("done", 250, 200, job.until_s)
    rows = desk.rows()
    assert len(rows) == len({row.uuid for row in rows}) == 250
    assert sum(row.backfilled for row in rows) == 200
    (pictured,) = (row for row in rows if row.has_image)
    assert desk.store.image(pictured.id) == JPEG
    (notice,) = (one for one in desk.notices.page().items if one.kind == "terminal.backfilled")
    assert (notice.terminal_id, notice.detail) == (which, {"added": 200, "fetched": 250})


async def test_a_second_time_nothing_is_added(desk: Desk, doubles: Doubles) -> None:
    double = await doubles.open(MANY)
    which = desk.adopt(double.address)
    await desk.fetch(desk.ask(which))
    again = await desk.fetch(desk.ask(which, until=86_400 * 3))
    assert (again.state, again.added, len(desk.rows())) == ("done", 0, 250)


@pytest.mark.parametrize("fault", ["no-uuid", "totals", "repeat", "overlap", "paths"])
async def test_a_wrong_history_is_fetched_whole(desk: Desk, doubles: Doubles, fault: str) -> None:
    records = [passage(second * 60, second % 7, image=JPEG) for second in range(250)]
    double = await doubles.open(records, f"history={fault}")
    which = desk.adopt(double.address)
    desk.store.write([arrival(record, which) for record in records[:20]])

    job = await desk.fetch(desk.ask(which))

    assert (job.state, job.added, len(desk.rows())) == ("done", 230, 250)
    if fault == "paths":
        fetched = [row for row in desk.rows() if row.backfilled]
        assert all(
            not row.has_image and "data.rgb_image" in [one.where for one in row.problems] for row in fetched
        )


async def test_a_token_that_expires_in_a_job_is_made_again(
    desk: Desk, doubles: Doubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = await doubles.open(MANY)
    which = desk.adopt(double.address)
    cut: list[int] = []
    whole = TerminalClient.history

    async def history(client: TerminalClient, begin_s: int, end_s: int, *, offset: int = 0) -> HistoryPage:
        if not cut and offset:
            cut.append(offset)
            client.token = "one that it does not know"
        return await whole(client, begin_s, end_s, offset=offset)

    monkeypatch.setattr(TerminalClient, "history", history)
    job = await desk.fetch(desk.ask(which))
    assert (job.state, len(desk.rows()), desk.talks, cut) == ("done", 250, 2, [100])


async def test_a_token_that_is_never_taken_ends_a_job(desk: Desk, doubles: Doubles) -> None:
    double = await doubles.open(MANY, "reply=401")
    job = await desk.fetch(desk.ask(desk.adopt(double.address)))
    assert (job.state, "wants a login" in job.reason) == ("failed", True)


async def test_a_wrong_password_ends_a_job_and_is_not_tried_again(desk: Desk, doubles: Doubles) -> None:
    double = await doubles.open(MANY)
    job = await desk.fetch(desk.ask(desk.adopt(double.address, password="another")))
    assert (job.state, "password is wrong" in job.reason, desk.talks) == ("failed", True, 1)
    await desk.backfill.once()
    assert desk.talks == 1


@pytest.mark.parametrize("option", ["reply=404", "reply=500", "reply=html", "reply=endless"])
async def test_what_may_pass_is_asked_again_later(desk: Desk, doubles: Doubles, option: str) -> None:
    double = await doubles.open(MANY, option)
    which = desk.adopt(double.address)
    job = await desk.fetch(desk.ask(which))
    assert (job.state, job.failures, bool(job.reason)) == ("waiting", 1, True)
    assert await desk.backfill.once() == 0
    another = await doubles.open(MANY)
    desk.adopt(another.address)
    desk.ahead_s = 3600
    assert (await desk.fetch(job.id)).state == "done"
    assert len(desk.rows()) == 250


async def test_another_terminal_at_the_address_ends_a_job(desk: Desk, doubles: Doubles) -> None:
    double = await doubles.open(MANY, "other-serial=SN-8")
    job = await desk.fetch(desk.ask(desk.adopt(double.address)))
    assert (job.state, "SN-8" in job.reason, len(desk.rows())) == ("failed", True, 0)


async def test_a_history_that_never_ends_is_asked_again_later(
    desk: Desk, doubles: Doubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = await doubles.open([passage(second, image=JPEG * 50) for second in range(100)])
    monkeypatch.setattr("gatepost.fleet.client.MAX_HISTORY", 64 * 1024)
    job = await desk.fetch(desk.ask(desk.adopt(double.address)))
    assert (job.state, "more than 64 KB" in job.reason, desk.rows()) == ("waiting", True, [])


async def test_another_certificate_ends_a_job_and_no_password_is_sent(desk: Desk, tmp_path: Path) -> None:
    double = await Double(tmp_path / "door").open()
    job = await desk.fetch(desk.ask(desk.adopt(double.address, certificate=bytes(32))))
    await double.close()
    assert (job.state, "another certificate" in job.reason, desk.rows()) == ("failed", True, [])
    await desk.backfill.once()
    assert desk.talks == 1


async def test_a_clock_eight_hours_off_is_fetched_by_its_own_time(desk: Desk, doubles: Doubles) -> None:
    """History and pushes have the terminal's time, both: nothing is shifted."""
    late = [passage(8 * 3600 + second * 60) for second in range(30)]
    double = await doubles.open(late, "clock=8")
    which = desk.adopt(double.address)
    desk.store.write([arrival(record, which) for record in late[:10]])
    job = await desk.fetch(desk.ask(which))
    assert (job.added, len(desk.rows())) == (20, 30)


async def test_a_push_that_comes_later_is_no_second_record(desk: Desk, doubles: Doubles) -> None:
    double = await doubles.open(MANY, "history=no-uuid")
    which = desk.adopt(double.address)
    await desk.fetch(desk.ask(which))
    desk.store.write([arrival(record, which) for record in MANY])
    assert len(desk.rows()) == 250


async def test_a_dense_window_is_halved(desk: Desk, doubles: Doubles) -> None:
    records = [passage(second // 3, second % 3) for second in range(1100)]
    double = await doubles.open(records)
    job = await desk.fetch(desk.ask(desk.adopt(double.address)))
    assert (job.state, job.fetched, len(desk.rows())) == ("done", 1100, 1100)


async def test_a_person_pauses_resumes_and_cancels(desk: Desk, doubles: Doubles) -> None:
    double = await doubles.open(MANY)
    which = desk.adopt(double.address)
    number = desk.ask(which)
    assert desk.jobs.turn(number, "paused", of=("waiting", "running"), now_ms=0) is not None
    assert (await desk.fetch(number)).state == "paused"
    assert desk.rows() == []
    assert desk.jobs.turn(number, "waiting", of=("paused",), now_ms=0) is not None
    assert (await desk.fetch(number)).state == "done"
    assert desk.jobs.turn(number, "cancelled", of=("waiting", "running", "paused"), now_ms=0) is None


async def test_who_pauses_a_job_in_the_middle_stops_it_there(desk: Desk, doubles: Doubles) -> None:
    double = await doubles.open([passage(hour * 3600) for hour in range(24 * 4)])
    which = desk.adopt(double.address)
    number = desk.ask(which, until=86_400 * 4)
    desk.after_take = lambda: desk.jobs.turn(number, "paused", of=("waiting", "running"), now_ms=0)
    job = await desk.fetch(number)
    assert (job.state, job.done_s, job.added) == ("paused", job.since_s - 1, 0)
    desk.after_take = lambda: None
    desk.jobs.turn(number, "waiting", of=("paused",), now_ms=0)
    assert (await desk.fetch(number)).state == "done"
    assert len(desk.rows()) == 96


async def test_a_store_that_is_away_loses_nothing(desk: Desk, doubles: Doubles) -> None:
    double = await doubles.open(MANY)
    number = desk.ask(desk.adopt(double.address))

    def away() -> None:
        raise StoreUnavailable("away")

    desk.before_take = away
    await desk.backfill.once()
    with pytest.raises(StoreUnavailable):
        await desk.backfill.work(desk.job(number))
    await desk.backfill.close()
    desk.before_take = lambda: None
    assert (await desk.fetch(number)).state == "done"
    assert len(desk.rows()) == 250


async def test_a_terminal_that_is_not_adopted_is_said(desk: Desk, doubles: Doubles) -> None:
    double = await doubles.open([])
    which = desk.adopt(double.address)
    number = desk.ask(which)
    desk.adopted.release(which)
    assert "adopt it" in (await desk.fetch(number)).reason
