"""A database that hangs: pushes are acknowledged all the same and listed later, and a stop is a stop."""

import asyncio
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.faults.freezing import frozen
from tests.postgres import Postgres
from tests.receiver.kit import SUCCESS, Process, Sender, body, record, request, until
from tests.terminals import ensured

from gatepost.errors import StoreUnavailable
from gatepost.receiver.processes.stop import MARGIN_S
from gatepost.receiver.terminals.sources import token_digest
from gatepost.store import deadlines
from gatepost.store.interface import Arrival, RecordQuery
from gatepost.store.postgres.connection import CONNECT_S
from gatepost.store.postgres.store import PostgresStore
from gatepost.wire import Record, digest

IMPATIENT = (sys.executable, str(Path(__file__).with_name("impatient.py")))
SILENCE_S = 2.0
SLACK_S = 3.0
"""For a machine that has other things to do."""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    made = Postgres()
    yield made
    made.stop()


@pytest.fixture
def url(server: Postgres) -> Iterator[str]:
    made = server.create_with_store()
    yield made
    server.drop(made)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_STOP_TIMEOUT_S", "1")
    monkeypatch.setenv("GATEPOST_MAX_BATCH_EVENTS", "1")


def push(uuid: str, serial: str = "SN-1", path: str = "/Record") -> bytes:
    return request("POST", path, body(record(uuid=uuid, deviceSN=serial)))


async def accepted(process: Process, *pushes: bytes) -> list[Sender]:
    """Send pushes, each on a connection of its own, and wait until the receiver has them."""
    senders = [await Sender.connect(process.port) for _ in pushes]
    for sender, sent in zip(senders, pushes, strict=True):
        await sender.write(sent)
    for _ in range(3):  # whoever connects later is answered later
        assert (await process.request("GET", "/healthz")).status == 200
    return senders


def stored(url: str) -> set[str | None]:
    with closing(PostgresStore.open(url)) as store:
        return {row.uuid for row in store.records(RecordQuery(limit=1000)).items}


def is_closed(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionError:
        return True
    return False


def has_ended(process: Process, number: signal.Signals) -> bool:
    """Whether it has; if not it is told again."""
    if process.process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.process.pid, number)  # send_signal() would reap the child behind asyncio's back
    return process.process.returncode is not None


def said(process: Process) -> str:
    """What it logged; it never shows where in the code it was."""
    text = process.errors.read_text()
    assert "Traceback" not in text
    assert "where=" not in text
    return text


async def listed_by_the_next(folder: Path, url: str) -> None:
    """Start a receiver again, and stop it when everything is listed that its journal holds."""
    process = await Process.start(folder, "--database", url)
    await process.settle()
    assert await process.stop() == 0


async def test_a_stop_leaves_in_time_what_a_frozen_database_does_not_take_and_the_next_start_lists_it(
    server: Postgres, url: str, tmp_path: Path
) -> None:
    """A push with a token that was not looked up yet is answered 503: whose it is, the database knows."""
    process = await Process.start(tmp_path / "data", "--database", url)
    try:
        assert (await process.request("POST", "/Record", body(record(uuid="u-1")))).json == SUCCESS
        with frozen(server):
            known = await accepted(process, push("u-2"), push("u-3", "SN-2"))
            for sender in known:
                assert (await sender.answer()).json == SUCCESS
                await sender.close()
            (new,) = await accepted(process, push("u-4", "SN-3", "/Record/a-token"))
            began = time.monotonic()
            process.process.send_signal(signal.SIGTERM)
            answer = await new.answer()
            assert answer.status == answer.json["code"] == 503
            assert int(answer.headers["retry-after"]) > 0
            assert answer.headers["connection"] == "close"
            await new.close()
            assert time.monotonic() - began < 1 + SLACK_S
            async with asyncio.timeout(1 + MARGIN_S + SLACK_S):
                code = await process.process.wait()
        # 1 where a thread of the housekeeping still waits for the database.
        assert code == ("event=receiver.stopped_short" in said(process))
        (line,) = re.findall(r"^.*event=desk\.stopped .*$", said(process), re.MULTILINE)
        assert "listed=false" in line
        await listed_by_the_next(tmp_path / "data", url)
        assert stored(url) == {"u-1", "u-2", "u-3"}
    finally:
        await process.kill()


async def test_a_stop_lists_what_a_database_takes_that_was_frozen_for_a_moment(
    server: Postgres, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_STOP_TIMEOUT_S", "30")
    process = await Process.start(tmp_path / "data", "--database", url)
    try:
        assert (await process.request("POST", "/Record", body(record(uuid="u-1")))).json == SUCCESS
        with frozen(server):
            senders = await accepted(process, push("u-2"), push("u-3"), push("u-4", "SN-2"))
            process.process.send_signal(signal.SIGTERM)
            await until(lambda: is_closed(process.port))
        for sender in senders:
            assert (await sender.answer()).json == SUCCESS
            await sender.close()
        async with asyncio.timeout(20):
            assert await process.process.wait() == 0
        assert "stopped_short" not in said(process)
        assert stored(url) == {"u-1", "u-2", "u-3", "u-4"}
    finally:
        await process.kill()


async def test_at_a_stop_pushes_that_wait_for_a_frozen_database_get_503_and_the_next_start_lists_them(
    server: Postgres, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_ACKNOWLEDGE_AFTER", "store")
    process = await Process.start(tmp_path / "data", "--database", url)
    try:
        assert (await process.request("POST", "/Record", body(record(uuid="u-1")))).json == SUCCESS
        assert stored(url) == {"u-1"}
        with frozen(server):
            senders = await accepted(process, push("u-2"), push("u-3", "SN-2"))
            process.process.send_signal(signal.SIGTERM)
            for sender in senders:
                answer = await sender.answer()
                assert answer.status == answer.json["code"] == 503
                assert int(answer.headers["retry-after"]) > 0
                assert answer.headers["connection"] == "close"
                await sender.close()
            async with asyncio.timeout(1 + MARGIN_S + SLACK_S):
                await process.process.wait()
        assert "events answered 503, for they were not stored in time: 2" in said(process)
        await listed_by_the_next(tmp_path / "data", url)
        assert stored(url) == {"u-1", "u-2", "u-3"}
    finally:
        await process.kill()


async def test_a_stop_still_lists_what_pushes_wait_for_and_acknowledges_them(
    server: Postgres, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_ACKNOWLEDGE_AFTER", "store")
    monkeypatch.setenv("GATEPOST_STOP_TIMEOUT_S", "30")
    process = await Process.start(tmp_path / "data", "--database", url)
    try:
        assert (await process.request("POST", "/Record", body(record(uuid="u-1")))).json == SUCCESS
        with frozen(server):
            senders = await accepted(process, push("u-2"), push("u-3"), push("u-4", "SN-2"))
            process.process.send_signal(signal.SIGTERM)
            await until(lambda: is_closed(process.port))
        for sender in senders:
            assert (await sender.answer()).json == SUCCESS
            await sender.close()
        assert stored(url) == {"u-1", "u-2", "u-3", "u-4"}
        async with asyncio.timeout(20):
            assert await process.process.wait() == 0
    finally:
        await process.kill()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_it_at_once_whatever_the_database_does(
    server: Postgres, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: signal.Signals
) -> None:
    monkeypatch.setenv("GATEPOST_STOP_TIMEOUT_S", "600")
    process = await Process.start(tmp_path / "data", "--database", url)
    try:
        assert (await process.request("POST", "/Record", body(record(uuid="u-1")))).json == SUCCESS
        with frozen(server):
            known, new = await accepted(process, push("u-2"), push("u-3", "SN-3", "/Record/a-token"))
            assert (await known.answer()).json == SUCCESS
            await known.close()
            process.process.send_signal(signal.SIGTERM)
            process.process.send_signal(signal.SIGTERM)  # told twice is told once
            await until(lambda: is_closed(process.port))
            assert process.process.returncode is None
            await until(lambda: has_ended(process, second), SLACK_S)
            assert process.process.returncode == -second
            assert b"200" not in await new.ended()
            await new.close()
        said(process)
        await listed_by_the_next(tmp_path / "data", url)
        assert stored(url) == {"u-1", "u-2"}
    finally:
        await process.kill()


async def test_no_push_is_refused_for_a_frozen_database_and_all_are_listed_once_after_its_return(
    server: Postgres, url: str, tmp_path: Path
) -> None:
    process = await Process.start(tmp_path / "data", "--database", url, before=IMPATIENT)
    try:
        assert (await process.request("POST", "/Record", body(record(uuid="u-0")))).json == SUCCESS
        await process.settle()
        with frozen(server):
            sender = await process.connect()
            for number in range(1, 301):
                await sender.write(push(f"u-{number}"))
                assert (await sender.answer()).json == SUCCESS
            async with asyncio.timeout(SILENCE_S + CONNECT_S + 20):
                while (ready := await process.request("GET", "/readyz")).json["status"] == "ok":
                    pass
            assert (ready.status, ready.json["status"]) == (200, "store away, 300 events behind")
        names = [item["uuid"] for item in await process.everything()]
        assert sorted(names) == sorted(f"u-{number}" for number in range(301))
        assert await process.stop() == 0
        said(process)
    finally:
        await process.kill()


async def test_terminals_that_are_new_to_a_frozen_database_are_acknowledged_and_listed_after_its_return(
    server: Postgres, url: str, tmp_path: Path
) -> None:
    process = await Process.start(tmp_path / "data", "--database", url, before=IMPATIENT)
    try:
        with frozen(server):
            senders = await accepted(
                process, *(push(f"u-{number}", f"SN-{number % 8}") for number in range(16))
            )
            for sender in senders:
                assert (await sender.answer()).json == SUCCESS
                await sender.close()
        await process.settle()
        assert await process.stop() == 0
        with closing(PostgresStore.open(url)) as store:
            assert {(row.serial, row.records) for row in store.terminals()} == {
                (f"SN-{number}", 2) for number in range(8)
            }
        assert stored(url) == {f"u-{number}" for number in range(16)}
        said(process)
    finally:
        await process.kill()


async def test_first_pushes_with_a_token_are_answered_503_in_time_by_a_frozen_database_and_come_again(
    server: Postgres, url: str, tmp_path: Path
) -> None:
    with closing(PostgresStore.open(url)) as store:
        for number in range(1, 9):
            store.create_terminal(
                now_ms=1, serial=f"SN-{number}", token_digest=token_digest(f"token-{number}")
            )
    process = await Process.start(tmp_path / "data", "--database", url, before=IMPATIENT)
    try:
        pushes = [push(f"u-{number}", f"SN-{number}", f"/Record/token-{number}") for number in range(1, 9)]
        with frozen(server):
            began = time.monotonic()
            senders = await accepted(process, *pushes)
            for sender in senders:
                answer = await sender.answer()
                assert answer.status == answer.json["code"] == 503
                assert "message" in answer.json
            # Not so long for each of them: what one of them found out holds for all who wait.
            assert time.monotonic() - began < SILENCE_S + 2 * CONNECT_S + SLACK_S
        for sender, sent in zip(senders, pushes, strict=True):
            while True:
                await sender.write(sent)
                answer = await sender.answer()
                if answer.status == 200:
                    break
            await sender.close()
        assert await process.stop() == 0
        assert stored(url) == {f"u-{number}" for number in range(1, 9)}
        said(process)
    finally:
        await process.kill()


def arrival(store: PostgresStore, uuid: str) -> Arrival:
    return Arrival(
        terminal_id=ensured(store, "SN-1", now_ms=0).id,
        key=digest(f"u:{uuid}"),
        event=Record(serial="SN-1", uuid=uuid),
        received_at_ms=1,
        original=b"{}",
    )


def test_a_store_whose_database_is_frozen_closes_and_whoever_writes_is_told(
    server: Postgres, url: str
) -> None:
    store = PostgresStore.open(url)
    event = arrival(store, "u-1")
    told: list[BaseException] = []

    def write() -> None:
        try:
            store.write([event])
        except StoreUnavailable as error:
            told.append(error)

    with frozen(server):
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        began = time.monotonic()
        while not store._writing.locked() and time.monotonic() - began < SLACK_S:
            pass
        store.close()
        writer.join(SLACK_S)
        assert not writer.is_alive()
        assert time.monotonic() - began < 1 + SLACK_S
    assert "has said nothing" in str(told[0])
    with pytest.raises(StoreUnavailable, match="closed"):
        store.write([event])


def test_where_pushes_wait_a_frozen_database_is_given_up_and_elsewhere_it_is_waited_for(
    server: Postgres, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "SILENCE_S", 0.5)
    with closing(PostgresStore.open(url)) as store:
        ensured(store, "SN-1", now_ms=0)
        seen: list[int] = []
        patient = threading.Thread(target=lambda: seen.append(len(store.terminals())), daemon=True)
        with frozen(server):
            patient.start()
            with deadlines.hurry():
                began = time.monotonic()
                with pytest.raises(StoreUnavailable):
                    store.terminals()
                assert time.monotonic() - began < 0.5 + CONNECT_S + SLACK_S
            assert patient.is_alive()
        patient.join(20)
        assert seen == [1]
        with deadlines.hurry():
            assert len(store.terminals()) == 1
