"""The processes of a receiver, killed one by one while terminals push: nothing that was acknowledged is lost."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from tests.postgres import Postgres
from tests.receiver.kit import SUCCESS, Answer, Process, Sender, alarm, body, record

from gatepost.process_tree import gone, members


def processes(receiver: Process, name: str) -> list[int]:
    """Return the processes of a receiver that have this name."""
    found = []
    for pid in members(receiver.process.pid)[1:]:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip().startswith(f"gatepost-{name}"):
                found.append(pid)
    return found


@contextlib.asynccontextmanager
async def serving(folder: Path, *options: str) -> AsyncIterator[Process]:
    receiver = await Process.start(folder / "data", *options)
    try:
        yield receiver
    finally:
        await receiver.kill()


async def killed(receiver: Process, name: str) -> None:
    """Kill the processes of this name, and wait until they are gone."""
    pids = processes(receiver, name)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    await gone(pids)


async def state(receiver: Process) -> str:
    answer = await receiver.request("GET", "/readyz")
    assert answer.status == 200, answer
    status: str = answer.json["status"]
    return status


async def listed(receiver: Process) -> set[str]:
    """Wait until all is listed, also by a desk that is only starting; return the uuids, each of which is there once."""
    async with asyncio.timeout(60):
        while (await receiver.request("GET", "/api/v1/stats")).status == 503:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.02)
        items = [item["uuid"] for item in await receiver.everything()]
    assert len(items) == len(set(items))
    return set(items)


async def test_a_desk_that_is_killed_refuses_no_push_and_comes_back_and_lists_them(tmp_path: Path) -> None:
    async with serving(tmp_path) as receiver:
        assert (await receiver.request("POST", "/Record", body(record(uuid="before")))).json == SUCCESS
        (desk,) = processes(receiver, "desk")
        os.kill(desk, signal.SIGSTOP)  # so that it is away for as long as we look
        stopped = [
            await receiver.request("POST", "/Record", body(record(uuid=f"stopped-{n}"))) for n in range(20)
        ]
        os.kill(desk, signal.SIGKILL)
        await gone([desk])
        away = [await receiver.request("POST", "/Record", body(record(uuid=f"away-{n}"))) for n in range(20)]
        assert [answer.json for answer in (*stopped, *away)] == [SUCCESS] * 40
        names = {"before", *(f"stopped-{n}" for n in range(20)), *(f"away-{n}" for n in range(20))}
        assert await listed(receiver) == names
        async with asyncio.timeout(30):
            while (said := await state(receiver)) != "ok":
                assert said.startswith("desk away")
        assert receiver.errors.read_text().count("supervisor.child_ended child=desk how=SIGKILL") == 1


async def test_without_a_desk_it_says_so_and_asks_who_wants_a_page_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as receiver:
        assert (await receiver.request("POST", "/Record", body(record(uuid="u-0")))).json == SUCCESS
        assert await listed(receiver) == {"u-0"}
        # Its store is broken, so it ends again and again.
        database = tmp_path / "data" / "gatepost.db"
        database.rename(tmp_path / "away.db")
        database.write_bytes(b"no database" * 100)
        await killed(receiver, "desk")
        for number in range(1, 4):
            sent = body(record(uuid=f"u-{number}"))
            assert (await receiver.request("POST", "/Record", sent)).json == SUCCESS
        async with asyncio.timeout(30):
            while (said := await state(receiver)) != "desk away, 3 events behind":
                assert said.startswith(("desk away", "ok"))
        page = await receiver.request("GET", "/records")
        assert (page.status, page.headers["retry-after"]) == (503, "5")
        assert (await receiver.request("GET", "/healthz")).json == {"status": "ok"}
        database.unlink()
        (tmp_path / "away.db").rename(database)
        assert await listed(receiver) == {f"u-{number}" for number in range(4)}


async def test_an_ingest_that_is_killed_comes_back_on_the_same_port(tmp_path: Path) -> None:
    async with serving(tmp_path) as receiver:
        for number in range(3):
            sent = body(record(uuid=f"u-{number}"))
            assert (await receiver.request("POST", "/Record", sent)).json == SUCCESS
            await killed(receiver, "ingest")
        assert await listed(receiver) == {"u-0", "u-1", "u-2"}
        assert await receiver.stop() == 0


async def push(port: int, uuid: str) -> Answer | None:
    """Push once; ``None`` where the connection did not last."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError, json.JSONDecodeError):
        sender = await Sender.connect(port)
        try:
            event = alarm(trace_id=uuid) if uuid.endswith("a") else record(uuid=uuid)
            await sender.write_push(event)
            return await sender.answer(5)
        finally:
            sender.writer.transport.abort()
    return None


@pytest.mark.parametrize("processes_", [1, 3])
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
@pytest.mark.parametrize("rounds", [4, pytest.param(60, marks=pytest.mark.soak)])
async def test_whichever_process_is_killed_what_was_acknowledged_is_listed_once(
    tmp_path: Path,
    postgres_server: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    database: str,
    processes_: int,
    rounds: int,
) -> None:
    monkeypatch.setenv("GATEPOST_INGEST_PROCESSES", str(processes_))
    rand = random.Random(f"{database} {processes_}")
    options = ("--database", postgres_server.create_with_store()) if database == "postgres" else ()
    acknowledged: set[str] = set()
    async with serving(tmp_path, *options) as receiver:
        stop = asyncio.Event()

        async def terminal(number: int) -> None:
            count = 0
            while not stop.is_set():
                uuid = f"{number}-{count}{'a' if count % 7 == 6 else ''}"
                answer = await push(receiver.port, uuid)
                if answer is not None and answer.status == 200:
                    acknowledged.add(uuid)
                    count += 1

        terminals = [asyncio.create_task(terminal(number)) for number in range(4)]
        for _ in range(rounds):
            goal = len(acknowledged) + rand.randrange(1, 60)
            async with asyncio.timeout(60):
                while len(acknowledged) < goal:  # noqa: ASYNC110 - the terminals count
                    await asyncio.sleep(0.001)
            victims = processes(receiver, rand.choice(["desk", "ingest"]))
            if victims:
                os.kill(rand.choice(victims), signal.SIGKILL)
        stop.set()
        await asyncio.wait_for(asyncio.gather(*terminals), 60)
        await listed(receiver)
        records = [item["uuid"] for item in await receiver.everything()]
        alarms = [item["trace_id"] for item in await receiver.everything("alarms")]
    assert len(records) == len(set(records))
    assert len(alarms) == len(set(alarms))
    assert acknowledged <= {*records, *alarms}


def rows(folder: Path, url: str | None) -> set[str]:
    """Return what the database has, read next to the receiver and without its help: uuids, and traces of alarms."""
    query = "SELECT uuid FROM records UNION ALL SELECT trace_id FROM alarm_events"
    if url is not None:
        with psycopg.connect(url) as server:
            return {row[0] for row in server.execute(query)}
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'gatepost.db'}?mode=ro", uri=True)) as db:
        return {row[0] for row in db.execute(query)}


@pytest.mark.parametrize(("database", "processes_"), [("sqlite", 1), ("postgres", 3)])
@pytest.mark.parametrize("rounds", [4, pytest.param(60, marks=pytest.mark.soak)])
async def test_what_is_acknowledged_after_the_store_has_it_is_there_whichever_process_is_killed(
    tmp_path: Path,
    postgres_server: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    database: str,
    processes_: int,
    rounds: int,
) -> None:
    """The supervisor stands still while we look, so no other desk can have listed it meanwhile."""
    monkeypatch.setenv("GATEPOST_ACKNOWLEDGE_AFTER", "store")
    monkeypatch.setenv("GATEPOST_INGEST_PROCESSES", str(processes_))
    rand = random.Random(f"store {database}")
    url = postgres_server.create_with_store() if database == "postgres" else None
    acknowledged: set[str] = set()
    async with serving(tmp_path, *(("--database", url) if url is not None else ())) as receiver:
        stop = asyncio.Event()

        async def terminal(number: int) -> None:
            count = 0
            while not stop.is_set():
                uuid = f"{number}-{count}{'a' if count % 7 == 6 else ''}"
                answer = await push(receiver.port, uuid)
                if answer is not None and answer.status == 200:
                    acknowledged.add(uuid)
                    count += 1

        async def some_more() -> None:
            goal = len(acknowledged) + rand.randrange(1, 60)
            async with asyncio.timeout(60):
                while len(acknowledged) < goal:  # noqa: ASYNC110 - the terminals count
                    await asyncio.sleep(0.001)

        terminals = [asyncio.create_task(terminal(number)) for number in range(4)]
        victims = ["desk", "ingest"] * (rounds // 2)
        rand.shuffle(victims)
        for victim in victims:
            await some_more()
            os.kill(receiver.process.pid, signal.SIGSTOP)
            try:
                await killed(receiver, victim)
                replied = set(acknowledged)
                assert replied <= rows(tmp_path / "data", url)
            finally:
                os.kill(receiver.process.pid, signal.SIGCONT)
        await some_more()
        stop.set()
        await asyncio.wait_for(asyncio.gather(*terminals), 60)
        await listed(receiver)
        records = [item["uuid"] for item in await receiver.everything()]
        alarms = [item["trace_id"] for item in await receiver.everything("alarms")]
    assert len(records) == len(set(records))
    assert len(alarms) == len(set(alarms))
    assert acknowledged <= {*records, *alarms}


async def test_a_desk_that_is_stopped_keeps_replies_waiting_and_one_that_takes_its_place_lists_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_ACKNOWLEDGE_AFTER", "store")
    async with serving(tmp_path) as receiver:
        assert (await receiver.request("POST", "/Record", body(record(uuid="before")))).json == SUCCESS
        (desk,) = processes(receiver, "desk")
        os.kill(desk, signal.SIGSTOP)
        senders = [await receiver.connect() for _ in range(5)]
        for number, sender in enumerate(senders):
            await sender.write_push(record(uuid=f"u-{number}"))
        replies = [asyncio.create_task(sender.answer()) for sender in senders]
        for _ in range(3):
            assert (await receiver.request("GET", "/healthz")).status == 200
        assert not any(reply.done() for reply in replies)
        assert rows(tmp_path / "data", None) == {"before"}
        os.kill(desk, signal.SIGKILL)
        # The desk that takes its place lists them, and then each has its reply.
        for number, reply in enumerate(replies):
            answer = await reply
            if answer.status == 200:
                assert f"u-{number}" in rows(tmp_path / "data", None)
            else:
                assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert await listed(receiver) == {"before", *(f"u-{number}" for number in range(5))}


async def test_a_terminal_that_is_retired_is_refused_by_every_ingest_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_INGEST_PROCESSES", "3")
    async with serving(tmp_path) as receiver:
        senders = [await receiver.connect() for _ in range(30)]
        for number, sender in enumerate(senders):
            await sender.write_push(record(uuid=f"u-{number}"))
        assert [(await sender.answer()).json for sender in senders] == [SUCCESS] * 30
        assert len(await listed(receiver)) == 30
        busy = [pid for pid in processes(receiver, "ingest") if _connections(pid) > 1]
        assert len(busy) > 1  # the system spreads connections over them
        (terminal,) = (await receiver.request("GET", "/api/v1/terminals")).json["items"]
        changed = await receiver.request(
            "PATCH", f"/api/v1/terminals/{terminal['id']}", body({"state": "retired"})
        )
        assert changed.status == 200
        for sender in senders:
            await sender.write_push(record(uuid="late"))
        assert {(await sender.answer()).status for sender in senders} == {403}


def _connections(pid: int) -> int:
    """Return how many sockets a process has open, but for the few that each has."""
    links = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(str(path.readlink()))
    return sum(link.startswith("socket:") for link in links) - 6
