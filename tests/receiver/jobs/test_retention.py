import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.packing import packing
from tests.receiver.kit import JPEG, Clock, opened, until
from tests.store.events import RECEIVED_MS, arrival, record
from tests.terminals import ensured

from gatepost.errors import StoreUnavailable
from gatepost.receiver.jobs import retention
from gatepost.receiver.jobs.retention import RetentionJob, Step, limits_of
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.privacy.erasure import Whom
from gatepost.store.privacy.retention import Limits
from gatepost.store.sqlite.store import SqliteStore

DAY_S = 86_400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = opened(tmp_path / "data")
    packing(store)
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    store.write([arrival(record(n, image=JPEG)) for n in range(3)])
    yield store
    store.close()


def test_the_limits_are_those_of_the_settings() -> None:
    settings = ReceiverSettings(
        retention_images_days=1,
        retention_stranger_images_days=2,
        retention_records_days=3,
        retention_quarantine_days=4,
        retention_audit_days=5,
    )
    assert limits_of(settings) == Limits(
        images_days=1, stranger_images_days=2, records_days=3, quarantine_days=4, audit_days=5
    )


def test_a_round_is_counted_noted_in_the_audit_log_and_logged_without_a_name(store: SqliteStore) -> None:
    clock = Clock(RECEIVED_MS / 1000)
    keeper = RetentionJob(store, Limits(records_days=1), now=clock, running=clock)
    while keeper.once().more:
        pass
    assert Accounts(store).audit().items == ()
    clock.at += 3 * DAY_S
    with capture_logs() as logged:
        while keeper.once().more:
            pass
    assert keeper.finished_at == clock.at
    assert keeper.deleted["records"] == 3
    (line,) = Accounts(store).audit().items
    assert (line.actor, line.action) == ("gatepost", "retention")
    assert line.detail["records"] == 3
    assert [entry["event"] for entry in logged] == ["retention.deleted"]
    assert "王" not in repr(logged)
    keeper.once()
    assert len(Accounts(store).audit().items) == 1


def test_when_people_have_left_the_store_they_leave_the_memory_once(store: SqliteStore) -> None:
    forgotten: list[bool] = []
    clock = Clock(RECEIVED_MS / 1000)
    keeper = RetentionJob(
        store,
        Limits(records_days=2, images_days=1),
        now=clock,
        running=clock,
        forget=lambda: forgotten.append(True),
    )
    for days, times in ((0, 0), (2, 0), (2, 1), (0, 1)):
        clock.at += days * DAY_S
        while keeper.once().more:
            pass
        assert len(forgotten) == times
    keeper.erase(Whom(user_id="1"))
    assert len(forgotten) == 2


def test_what_an_erasure_could_not_scrub_is_scrubbed_later(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = RetentionJob(store, Limits(), now=Clock())
    with monkeypatch.context() as patched:
        patched.setattr(store, "scrub", lambda: False)
        assert not keeper.erase(Whom(user_id="1")).scrubbed
    assert keeper.deleted["erased"] == 1
    wal = store.folder / "gatepost.db-wal"
    assert "王1".encode() in wal.read_bytes()
    keeper.once()
    assert "王1".encode() not in wal.read_bytes()


@pytest.mark.parametrize(("is_away", "level"), [(False, "warning"), (True, "debug")])
async def test_that_the_store_is_away_is_said_only_where_the_projector_does_not_say_it(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, is_away: bool, level: str
) -> None:
    def fail(self: RetentionJob) -> Step:
        raise StoreUnavailable("away")

    monkeypatch.setattr(RetentionJob, "once", fail)
    monkeypatch.setattr(retention, "ROUND_S", 0.0)
    keeper = RetentionJob(store, Limits(), now=Clock(), is_away=lambda: is_away)
    with capture_logs() as logged:
        running = asyncio.create_task(keeper.run())
        await until(lambda: bool(logged))
        running.cancel()
    assert {(line["event"], line["log_level"]) for line in logged} == {("retention.failed", level)}


def test_limits_that_are_shortened_while_it_runs_are_asked_about_before_anything_is_deleted(
    store: SqliteStore,
) -> None:
    clock = Clock(RECEIVED_MS / 1000)
    keeper = RetentionJob(store, Limits(records_days=30), now=clock, running=clock)
    while keeper.once().more:
        pass
    clock.at += 3 * DAY_S
    assert keeper.once() is not None
    keeper.limits = Limits(records_days=1)
    while keeper.once().more:
        pass
    assert {ask.why for ask in keeper.asks} == {"shortened"}
    assert keeper.deleted["records"] == 0
    keeper.limits = Limits(records_days=30)
    assert keeper.asks == ()
    while keeper.once().more:
        pass
    assert (keeper.asks, keeper.deleted["records"]) == ((), 0)
