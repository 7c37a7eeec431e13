"""The daily audit: a terminal's days against those that are here, and what is proposed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.fleet.double import Double
from tests.fleet.history_kit import BEGIN_S, Desk, double_with, passage
from tests.store.conftest import (  # noqa: F401 - fixtures
    empty_folder,
    open_postgres,
    open_sqlite,
    open_store,
)
from tests.store.events import arrival

from gatepost.errors import SettingsError, StoreUnavailable
from gatepost.fleet.failures import WrongAccount
from gatepost.fleet.history.audit import BACK_DAYS, Auditor, day_span, due_days, ran_over
from gatepost.fleet.history.histories import Histories
from gatepost.store.base import BaseStore
from gatepost.store.terminals.adopted import AdoptedRow

DAY_S = 86_400
BEGIN_DAY = datetime.fromtimestamp(BEGIN_S, UTC).date()


@pytest.fixture
def desk(open_store: Callable[[], BaseStore]) -> Iterator[Desk]:  # noqa: F811
    made = Desk(open_store())
    made.ahead_s = BEGIN_S + 4 * DAY_S - made.now()
    yield made
    made.close()


THREE_DAYS = [passage(day * DAY_S + second * 60) for day in range(3) for second in range(20)]


@pytest.fixture
async def double(tmp_path: Path) -> AsyncIterator[Double]:
    made = await double_with(tmp_path / "double", THREE_DAYS)
    yield made
    await made.close()


def auditor(desk: Desk, *, starts: bool = False) -> Auditor:
    return Auditor(desk.backfill._around, lambda: {}, starts=starts)


def row_of(desk: Desk, which: int) -> AdoptedRow:
    row = desk.adopted.one(which)
    assert row is not None
    return row


async def test_a_day_that_is_short_is_proposed_and_not_begun(desk: Desk, double: Double) -> None:
    which = desk.adopt(double.address)
    desk.store.write([arrival(record, which) for record in THREE_DAYS if record not in THREE_DAYS[22:33]])

    assert await auditor(desk).once() == 1

    counted = {one.day: (one.there, one.here) for one in desk.jobs.audits(which) if one.there}
    days = [(BEGIN_DAY + timedelta(days=number)).isoformat() for number in range(3)]
    assert counted == {days[0]: (20, 20), days[1]: (20, 9), days[2]: (20, 20)}
    (job,) = desk.jobs.page()
    assert (job.state, job.origin, job.there, job.here) == ("proposed", "audit", 20, 9)
    assert (job.since_s, job.until_s) == day_span(date.fromisoformat(days[1]), "UTC")
    assert await desk.backfill.once() == 0

    histories = Histories(desk.backfill._around, lambda: {}, starts=False, keep_days=0)
    assert histories.resume(job.id, by="an administrator") is not None
    done = await desk.fetch(job.id)
    assert (done.state, done.added, done.created_by) == ("done", 11, "an administrator")
    assert len(desk.rows()) == 60


async def test_what_was_counted_is_not_asked_again_unless_a_person_wants_it(
    desk: Desk, double: Double
) -> None:
    which = desk.adopt(double.address)
    mine = auditor(desk)
    assert await mine.once() == 1
    assert await mine.once() == 0
    assert desk.talks == 1
    (job, *_) = desk.jobs.page()
    desk.store.write([arrival(record, which) for record in THREE_DAYS])
    await mine.recount(row_of(desk, which))
    assert {one.here for one in desk.jobs.audits(which)} == {0, 20}
    assert job.id in [one.id for one in desk.jobs.page()]
    assert len(desk.jobs.page()) == 3


async def test_what_is_acknowledged_and_not_listed_yet_is_counted(
    desk: Desk, double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = desk.adopt(double.address)
    mine = auditor(desk)
    desk.take([arrival(record, which) for record in THREE_DAYS])

    def is_behind() -> None:
        raise StoreUnavailable("events that were pushed before are not listed yet")

    monkeypatch.setattr(mine, "_around", replace(desk.backfill._around, catch_up=is_behind))
    assert await mine.once() == 0
    with pytest.raises(StoreUnavailable, match="not listed yet"):
        await mine.recount(row_of(desk, which))
    assert desk.jobs.audits(which) == []
    monkeypatch.undo()
    assert await mine.once() == 1
    assert [one.here for one in desk.jobs.audits(which) if one.there] == [20, 20, 20]
    assert desk.jobs.page() == []


async def test_a_refused_proposal_is_not_made_again(desk: Desk, double: Double) -> None:
    which = desk.adopt(double.address)
    mine = auditor(desk)
    await mine.once()
    histories = Histories(desk.backfill._around, lambda: {}, starts=False, keep_days=0)
    for job in desk.jobs.page():
        histories.cancel(job.id)
    await mine.recount(row_of(desk, which))
    assert [job.state for job in desk.jobs.page()] == ["cancelled"] * 3


async def test_where_the_settings_say_so_it_is_started(desk: Desk, double: Double) -> None:
    desk.adopt(double.address)
    await auditor(desk, starts=True).once()
    assert [job.state for job in desk.jobs.page()] == ["waiting"] * 3
    for job in reversed(desk.jobs.page()):
        await desk.fetch(job.id)
    assert len(desk.rows()) == 60


async def test_a_terminal_that_cannot_be_asked_is_said_and_asked_again(desk: Desk, double: Double) -> None:
    which = desk.adopt(double.address, password="another")
    mine = auditor(desk)
    assert await mine.once() == 0
    (day,) = desk.jobs.audits(which)
    assert (day.there, "password is wrong" in day.reason) == (None, True)
    with pytest.raises(WrongAccount):
        await mine.recount(row_of(desk, which))
    desk.adopt(double.address)
    assert await mine.once() == 1
    assert len(desk.jobs.audits(which)) == BACK_DAYS


async def test_a_silence_too_long_for_the_cache_is_proposed(desk: Desk, double: Double) -> None:
    which = desk.adopt(double.address)
    begin_s = BEGIN_S + 1200
    begin_ms = begin_s * 1000
    desk.store.write([arrival(one, which, received_at_ms=begin_ms) for one in THREE_DAYS[:20]])
    await Auditor(desk.backfill._around, lambda: {}, cache=50).once()
    desk.store.write([arrival(THREE_DAYS[-1], which, received_at_ms=begin_ms + 30 * DAY_S * 1000)])
    for _ in range(2):  # by a receiver that was started meanwhile; once, however often it looks
        await Auditor(desk.backfill._around, lambda: {}, cache=50).once()
    (job,) = (one for one in desk.jobs.page() if one.origin == "outage")
    assert (job.since_s, job.until_s, job.state) == (begin_s, begin_s + 30 * DAY_S, "proposed")


@pytest.mark.parametrize(
    ("silent_s", "per_day", "over"),
    [(10 * DAY_S, 4000, True), (9.9 * DAY_S, 4000, False), (365 * DAY_S, 0, False)],
)
def test_how_long_a_cache_lasts(silent_s: float, per_day: float, over: bool) -> None:
    assert ran_over(silent_s, per_day) == over


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-10-25", "Europe/Berlin", 25),
        ("2026-03-29", "Europe/Berlin", 23),
        ("2026-03-01", "Asia/Shanghai", 24),
    ],
)
def test_a_local_day_has_every_second_of_it(day: str, zone: str, hours: int) -> None:
    first, last = day_span(date.fromisoformat(day), zone)
    assert last - first + 1 == hours * 3600


async def test_a_clock_that_is_behind_has_a_later_end_of_the_day(desk: Desk, double: Double) -> None:
    row = row_of(desk, desk.adopt(double.address))
    midnight = day_span(BEGIN_DAY + timedelta(days=1), "UTC")[0]
    for clock_error_ms, now, is_over in (
        (0, midnight + 1799, False),
        (0, midnight + 1800, True),
        (-8 * 3_600_000, midnight + 1800, False),
        (-8 * 3_600_000, midnight + 8 * 3600 + 1800, True),
        (8 * 3_600_000, midnight - 1, False),
    ):
        here = replace(row, clock_error_ms=clock_error_ms)
        assert (BEGIN_DAY in due_days(here, "UTC", (), now=now)) == is_over


def test_a_span_in_which_nothing_is_to_be_had_is_refused(desk: Desk) -> None:
    row = row_of(desk, desk.adopt("http://127.0.0.1:9"))
    histories = Histories(desk.backfill._around, lambda: {}, starts=False, keep_days=2)
    now = round(desk.now())
    with pytest.raises(SettingsError, match="since"):
        histories.ask(row, now + DAY_S, None, by="x")
    with pytest.raises(SettingsError, match="since"):
        histories.ask(row, now - 5 * DAY_S, now - 3 * DAY_S, by="x")
    kept = histories.ask(row, now - 5 * DAY_S, None, by="x")
    assert abs(kept.since_s - (now - 2 * DAY_S)) <= 1
    assert histories.ask(row, kept.since_s, kept.until_s, by="y").id == kept.id
