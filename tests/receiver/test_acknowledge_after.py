"""``acknowledge_after``: what a 200 means while the database is there, is held up, or loses what waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from tests.receiver.kit import SUCCESS, Answer, Running, Sender, alarm, body, record, serving, until
from tests.store.conftest import (  # noqa: F401 - fixtures
    empty_folder,
    open_postgres,
    open_sqlite,
    open_store,
)

from gatepost.errors import StoreUnavailable
from gatepost.journal.streams import RECORDS
from gatepost.receiver.desk import parts
from gatepost.receiver.ingest.commit.until_listed import PATIENCE_S
from gatepost.receiver.processes.link import Listed
from gatepost.settings import ReceiverSettings
from gatepost.store.base import BaseStore
from gatepost.store.interface import AlarmQuery, Arrival, Progress, RecordQuery
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.sqlite.store import SqliteStore
from gatepost.wire import Record

Opener = Callable[[], BaseStore]


@contextlib.contextmanager
def held_up(store: BaseStore) -> Iterator[None]:
    """Keep the database from taking anything: a lock has it."""
    if isinstance(store, SqliteStore):
        with contextlib.closing(sqlite3.connect(store.folder / "gatepost.db", isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            yield
            db.execute("ROLLBACK")
    else:
        assert isinstance(store, PostgresStore)
        with psycopg.connect(store._server.conninfo) as db:
            db.execute("LOCK TABLE journal_positions IN SHARE MODE")
            yield


@contextlib.asynccontextmanager
async def receiving(store: BaseStore, tmp_path: Path, after: str = "store") -> AsyncIterator[Running]:
    settings = ReceiverSettings(acknowledge_after=after)  # type: ignore[arg-type]
    async with serving(store, settings, journal=tmp_path / "journal") as running:
        yield running


@pytest.fixture
async def either(open_store: Opener, tmp_path: Path) -> AsyncIterator[Running]:  # noqa: F811
    """A receiver on either database, whose pushes wait for it."""
    async with receiving(open_store(), tmp_path) as running:
        yield running


@pytest.fixture
async def waiting(open_sqlite: Opener, tmp_path: Path) -> AsyncIterator[Running]:  # noqa: F811
    """The same, on SQLite."""
    async with receiving(open_sqlite(), tmp_path) as running:
        yield running


def rows(running: Running) -> tuple[list[str | None], list[str]]:
    """Return what is listed now, without waiting for anything: uuids, and traces of alarms."""
    store = running._store
    records = store.records(RecordQuery(limit=1000)).items
    return sorted(one.uuid or "" for one in records), [
        one.trace_id for one in store.alarms(AlarmQuery(limit=1000)).items
    ]


class Pushed:
    """A push, and its reply when it comes."""

    def __init__(self, sender: Sender) -> None:
        self._reply = asyncio.create_task(sender.answer())

    @classmethod
    async def send(cls, running: Running, event: Any) -> Pushed:
        """Send a push, and return when it is in the journal; its reply may wait."""
        before = running.ingest.group_commit.committed
        sender = await running.connect()
        await sender.write_push(event)
        await until(lambda: running.ingest.group_commit.committed > before)
        return cls(sender)

    async def waits(self, running: Running) -> bool:
        """Return whether there is no reply, though others that came later have theirs."""
        for _ in range(3):
            sender = await Sender.connect(running.port)
            assert (await sender.request("GET", "/healthz")).status == 200
            await sender.close()
        return not self._reply.done()

    async def reply(self) -> Answer:
        return await self._reply


async def test_only_a_reply_that_waits_for_the_store_says_that_the_row_is_there(
    open_store: Opener,  # noqa: F811
    tmp_path: Path,
) -> None:
    """The same push to the same database, which is held up: after the journal it gets 200, after the store it waits."""
    store = open_store()
    async with receiving(store, tmp_path, "journal") as running:
        assert (await running.push(record(uuid="first"))).json == SUCCESS
        running.settle()
        with held_up(running._store):
            pushed = await Pushed.send(running, record(uuid="journal"))
            assert (await pushed.reply()).json == SUCCESS
            assert rows(running)[0] == ["first"]
    async with receiving(store, tmp_path, "store") as running:
        assert (await running.push(record(uuid="second"))).json == SUCCESS
        with held_up(running._store):
            pushed = await Pushed.send(running, record(uuid="store"))
            assert await pushed.waits(running)
            assert rows(running)[0] == ["first", "journal", "second"]
        assert (await pushed.reply()).json == SUCCESS
        assert rows(running)[0] == ["first", "journal", "second", "store"]


async def test_every_kind_of_event_is_in_the_store_when_its_reply_comes(either: Running) -> None:
    assert (await either.push(record(uuid="u-1"))).json == SUCCESS
    assert rows(either) == (["u-1"], [])
    assert (await either.push(alarm(trace_id="t-1"))).json == SUCCESS
    assert rows(either) == (["u-1"], ["t-1"])
    assert (
        await either.push([record(uuid="u-2"), alarm(trace_id="t-2"), record(uuid="u-3")])
    ).json == SUCCESS
    uuids, traces = rows(either)
    assert (uuids, sorted(traces)) == (["u-1", "u-2", "u-3"], ["t-1", "t-2"])
    assert (await either.push({"type": 9, "data": {"deviceSN": "SN-1"}})).json == SUCCESS
    assert either._store.stats().quarantined == 1
    assert (await either.push(record(uuid="u-4", deviceSN="SN-new"))).json == SUCCESS
    assert rows(either)[0] == ["u-1", "u-2", "u-3", "u-4"]


async def test_what_the_store_refuses_gets_200_when_it_is_kept_elsewhere(
    waiting: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = waiting._store.write

    def refusing(batch: Sequence[Arrival], progress: Progress | None = None) -> Any:
        for one in batch:
            if b"worst" in one.original or (b"bad" in one.original and type(one.event) is Record):
                raise ValueError("a defect")
        return write(batch, progress)

    monkeypatch.setattr(waiting._store, "write", refusing)
    assert (await waiting.push(record(uuid="bad"))).json == SUCCESS
    assert waiting._store.stats().quarantined == 1
    assert (await waiting.push(record(uuid="worst"))).json == SUCCESS
    assert len(list(waiting.ingest._journal.path.glob("unlisted-*"))) == 1


async def test_a_push_that_waits_too_long_gets_503_and_is_listed_once_when_it_comes_again(
    either: Running,
) -> None:
    assert (await either.push(record(uuid="u-1"))).json == SUCCESS
    with held_up(either._store):
        pushed = await Pushed.send(either, record(uuid="u-2"))
        assert await pushed.waits(either)
        either.clock.at += PATIENCE_S
        reply = await pushed.reply()
        assert (reply.status, reply.json["code"], reply.json["data"]) == (503, 503, {})
        assert "acknowledge_after" in reply.json["message"]
        assert int(reply.headers["retry-after"]) > 0
    either.settle()
    assert rows(either)[0] == ["u-1", "u-2"]  # it was in the journal
    assert (await either.push(record(uuid="u-2"))).json == SUCCESS
    assert rows(either)[0] == ["u-1", "u-2"]
    (terminal,) = either._store.terminals()
    assert (terminal.records, terminal.duplicates) == (2, 1)


async def test_while_the_store_is_away_it_is_not_ready(
    waiting: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await waiting.push(record(uuid="u-1"))).json == SUCCESS

    async def ready() -> Answer:
        return await (await waiting.connect()).request("GET", "/readyz")

    def away(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    assert (await ready()).status == 200
    with monkeypatch.context() as patch:
        patch.setattr(waiting._store, "write", away)
        pushed = await Pushed.send(waiting, record(uuid="u-2"))
        await until(lambda: waiting.ingest.listed.is_away)
        answer = await ready()
        assert (answer.status, "acknowledge_after" in answer.json["detail"]) == (503, True)
    assert (await pushed.reply()).json == SUCCESS
    await until(lambda: not waiting.ingest.listed.is_away)
    assert (await ready()).status == 200


async def behind(running: Running, first: Any, second: Any) -> tuple[Pushed, Pushed]:
    """Push two events into a journal that is held up: the first one is read, and the second one is not."""
    projector = running.desk.projector
    one = await Pushed.send(running, first)
    await until(lambda: projector._held is not None)
    running.ingest.group_commit.tend(finish=True)
    await until(lambda: all(not stream.published.offset for stream in running.ingest._journal.streams()))
    return one, await Pushed.send(running, second)


@pytest.mark.parametrize("how", ["damaged", "gone"])
async def test_what_is_damaged_before_it_is_listed_gets_no_200_until_it_comes_again(
    waiting: Running, how: str
) -> None:
    with held_up(waiting._store):
        _, pushed = await behind(waiting, record(uuid="u-1"), record(uuid="u-2"))
        path = max(waiting.ingest._journal.path.glob(f"*-{RECORDS}-*.events"))
        if how == "gone":
            path.unlink()
        else:
            data = bytearray(path.read_bytes())
            data[data.index(b"u-2")] ^= 1
            path.write_bytes(bytes(data))
    assert (await pushed.reply()).status == 503
    assert rows(waiting)[0] == ["u-1"]
    for _ in range(3):  # a segment that is gone under its writer fails one more sync
        if (reply := await waiting.push(record(uuid="u-2"))).status == 200:
            break
    assert reply.json == SUCCESS
    assert rows(waiting)[0] == ["u-1", "u-2"]


async def test_the_first_word_of_a_desk_acknowledges_nothing(waiting: Running) -> None:
    """What the desk before it passed without rows it does not know."""
    with held_up(waiting._store):
        pushed = await Pushed.send(waiting, record(uuid="u-1"))
        positions = {stream.name: stream.published for stream in waiting.ingest._journal.streams()}
        first = replace(waiting.desk.table.welcome(), listed=Listed(positions, False, 0, (), (0, "")))
        waiting.ingest.take_over(first)
        assert (await pushed.reply()).status == 503
    assert (await waiting.push(record(uuid="u-1"))).json == SUCCESS
    assert rows(waiting)[0] == ["u-1"]


async def test_a_stream_whose_writer_file_is_deleted_keeps_no_reply_for_ever(waiting: Running) -> None:
    with held_up(waiting._store):
        _, pushed = await behind(waiting, record(uuid="u-1"), record(uuid="u-2"))
        for path in waiting.ingest._journal.path.glob("*.writer"):
            path.unlink()
    waiting.settle()
    waiting.clock.at += PATIENCE_S
    assert (await pushed.reply()).status in (200, 503)
    for _ in range(3):
        if (reply := await waiting.push(record(uuid="u-2"))).status == 200:
            break
    assert reply.json == SUCCESS
    assert rows(waiting)[0] == ["u-1", "u-2"]


async def test_a_push_that_waits_does_not_wait_for_more_to_gather(
    open_sqlite: Opener,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "GATHER_S", 3600.0)
    async with receiving(open_sqlite(), tmp_path) as running:
        for number in range(5):
            assert (await running.push(record(uuid=f"u-{number}"))).json == SUCCESS


async def test_more_than_the_queue_holds_gets_503_at_once_and_what_waits_keeps_its_place(
    open_sqlite: Opener,  # noqa: F811
    tmp_path: Path,
) -> None:
    settings = ReceiverSettings(acknowledge_after="store", max_queue_events=2)
    async with serving(open_sqlite(), settings, journal=tmp_path / "journal") as running:
        assert (await running.push(record(uuid="u-0"))).json == SUCCESS
        with held_up(running._store):
            pushed = [await Pushed.send(running, record(uuid=f"u-{number}")) for number in (1, 2)]
            sender = await running.connect()
            refused = await sender.request("POST", "/Record", body(record(uuid="u-3")))
            assert (refused.status, "queue is full" in refused.json["message"]) == (503, True)
        assert [(await each.reply()).json for each in pushed] == [SUCCESS] * 2
        assert rows(running)[0] == ["u-0", "u-1", "u-2"]
