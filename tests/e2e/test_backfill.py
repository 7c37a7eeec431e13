"""A day that is cut out of the middle is found by the audit and fetched: processes of both ends, as users run them."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace
from tests.postgres import Postgres
from tests.receiver.kit import JPEG, Process

from gatepost import wire
from gatepost.terminal import Terminal

SERIAL, PASSWORD = "E2E-7", "a long password"
DAYS, EACH = 3, 120


def passages(day: int) -> Sequence[wire.Record]:
    """Return the passages of one of the last days but one."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=5 - day)
    return [
        wire.Record(
            serial=SERIAL,
            uuid=f"4d3987c1-a3b3-470b-{day:04d}-{number:012d}",
            recorded_at=noon + timedelta(seconds=20 * number),
            recognition_type=1,
            passed=True,
            entry_mode=1,
            image=JPEG,
            user=wire.User(user_id=str(number % 9), name=f"王{number % 9}", type=1),
        )
        for number in range(EACH)
    ]


@asynccontextmanager
async def another_tool() -> AsyncIterator[str]:
    """Take what is pushed, as another program does that was set as the address for a day."""

    async def take(_: web.Request) -> web.Response:
        return web.json_response({"code": 200, "message": "success", "data": {}})

    app = web.Application()
    app.router.add_post("/Record", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/Record"
    finally:
        await runner.cleanup()


async def deliver_elsewhere(terminal: Terminal, address: str, records: Sequence[wire.Record]) -> None:
    await terminal.outbox.subscribe(wire.Subscription(address, True))
    await terminal.store(records)
    async with asyncio.timeout(60):
        while (await terminal.status()).delivered < len(records):  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.01)


async def prepare(folder: Path) -> None:
    """Have a terminal that delivered its second day to another program, and the rest to none yet."""
    async with another_tool() as address, Terminal(SERIAL, folder) as terminal:
        await deliver_elsewhere(terminal, address, passages(1))
        await terminal.outbox.subscribe(wire.Subscription("http://127.0.0.1:9/Record", True))
        for day in (0, 2):
            for record in passages(day):
                await terminal.record(record)


@asynccontextmanager
async def running_terminal(folder: Path, port: int, *options: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gatepost.cli", "terminal", "run",
        "--sn", SERIAL, "--data", str(folder), "--listen", f"127.0.0.1:{port}", *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={
            **os.environ, "GATEPOST_LANG": "en", "GATEPOST_RETRY_FIRST_S": "0.05", "GATEPOST_RETRY_CAP_S": "0.2",
            "GATEPOST_USERNAME": "admin", "GATEPOST_PASSWORD": PASSWORD, "GATEPOST_TLS": "true",
        },
    )  # fmt: skip
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 30)
    assert SERIAL.encode() in line
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 20)


async def call(receiver: Process, method: str, path: str, body: object = None, status: int = 200) -> Any:
    data = b"" if body is None else json.dumps(body).encode()
    reply = await receiver.request(method, f"/api/v1/fleet{path}", data)
    assert reply.status == status, reply.body
    return reply.json


@pytest.mark.timeout(240)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_a_day_cut_out_of_the_middle_is_found_and_fetched_once(
    tmp_path: Path,
    unused_tcp_port_factory: Callable[[], int],
    database: str,
    postgres_server: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port, service = unused_tcp_port_factory(), unused_tcp_port_factory()
    monkeypatch.setenv("GATEPOST_FLEET_NETWORKS", "127.0.0.0/8")
    monkeypatch.setenv("GATEPOST_INGEST_URL", f"http://127.0.0.1:{port}")
    await prepare(tmp_path / "terminal")
    options = ("--database", postgres_server.create_with_store()) if database == "postgresql" else ()
    receiver = await Process.start(tmp_path / "receiver", *options, port=port)
    try:
        async with running_terminal(tmp_path / "terminal", service):
            order = {
                "address": f"https://127.0.0.1:{service}",
                "username": "admin",
                "password": PASSWORD,
            }
            which = (await call(receiver, "POST", "/adopt", order, 201))["terminal_id"]
            async with asyncio.timeout(60):
                while len(await receiver.everything()) < 2 * EACH:  # noqa: ASYNC110 - only asking tells
                    await asyncio.sleep(0.05)

            days = (await call(receiver, "POST", f"/{which}/audit"))["items"]

            short = [day for day in days if day["missing"]]
            assert [(day["there"], day["here"], day["missing"]) for day in short] == [(EACH, 0, EACH)]
            assert short[0]["day"] == passages(1)[0].recorded_at.date().isoformat()  # type: ignore[union-attr]
            (job,) = (await call(receiver, "GET", "/jobs"))["items"]
            assert (job["state"], job["origin"], job["there"]) == ("proposed", "audit", EACH)
            await call(receiver, "POST", f"/jobs/{job['id']}/resume")
            async with asyncio.timeout(60):
                while (job := await call(receiver, "GET", f"/jobs/{job['id']}"))["state"] != "done":
                    assert job["state"] in ("waiting", "running"), job
                    await asyncio.sleep(0.05)
            assert (job["added"], job["progress"]) == (EACH, 1.0)
            recounted = (await call(receiver, "POST", f"/{which}/audit"))["items"]
            assert [day for day in recounted if day["missing"]] == []
        found = await receiver.everything()
        assert sorted(item["uuid"] for item in found) == sorted(
            record.uuid for day in range(DAYS) for record in passages(day)
        )
        fetched = {item["uuid"] for item in found if item["backfilled"]}
        assert fetched == {record.uuid for record in passages(1)}
        assert all(item["image"] for item in found)
        month = await receiver.request("GET", f"/api/v1/attendance?day={short[0]['day']}")
        assert len(month.json["items"]) == 9
    finally:
        await receiver.stop()


MANY = 3000
"""Records of the history that is fetched while the receiver is killed."""

MANY_ROUNDS = 20


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("database", "rounds"),
    [
        ("sqlite", 2),
        pytest.param("sqlite", MANY_ROUNDS, marks=pytest.mark.soak),
        pytest.param("postgresql", MANY_ROUNDS, marks=pytest.mark.soak),
    ],
)
async def test_a_receiver_that_is_killed_while_it_fetches_goes_on_and_doubles_nothing(
    tmp_path: Path,
    unused_tcp_port_factory: Callable[[], int],
    database: str,
    rounds: int,
    postgres_server: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lot = random.Random(20261201)
    port, service = unused_tcp_port_factory(), unused_tcp_port_factory()
    monkeypatch.setenv("GATEPOST_FLEET_NETWORKS", "127.0.0.0/8")
    monkeypatch.setenv("GATEPOST_INGEST_URL", f"http://127.0.0.1:{port}")
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
    records = [
        replace(one, recorded_at=begin + timedelta(seconds=30 * number), uuid=f"4d3987c1-a3b3-{number:012d}")
        for number, one in zip(range(MANY), cycle(passages(0)), strict=False)
    ]
    async with another_tool() as address, Terminal(SERIAL, tmp_path / "terminal") as terminal:
        await deliver_elsewhere(terminal, address, records)
    options = ("--database", postgres_server.create_with_store()) if database == "postgresql" else ()
    receiver = await Process.start(tmp_path / "receiver", *options, port=port)
    interrupted = 0
    pace = 0.05 if rounds < MANY_ROUNDS else 0.5
    slow = ("--misbehave", f"slow={pace}", "--misbehave", "history=no-uuid")
    try:
        async with running_terminal(tmp_path / "terminal", service, *slow):
            order = {"address": f"https://127.0.0.1:{service}", "username": "admin", "password": PASSWORD}
            which = (await call(receiver, "POST", "/adopt", order, 201))["terminal_id"]
            span = {"since": begin.isoformat(), "until": (begin + timedelta(days=2)).isoformat()}
            job = (await call(receiver, "POST", f"/{which}/backfill", span, 201))["id"]
            for number in range(rounds):
                wanted = (number + lot.random()) / rounds
                found = await at_least(receiver, job, wanted)
                interrupted += found["state"] != "done"
                await asyncio.sleep(lot.random() * 0.3)  # anywhere between two steps
                await receiver.kill()
                receiver = await Process.start(tmp_path / "receiver", *options, port=port)
            await at_least(receiver, job, 1.0)
            await done(receiver, job)
        listed = await receiver.everything()
        times = [item["recorded_at"] for item in listed]
        assert len(times) == len(set(times)) == MANY
        assert all(item["backfilled"] for item in listed)
        assert interrupted >= rounds // 2
    finally:
        await receiver.stop()


async def at_least(receiver: Process, job: int, progress: float) -> Any:
    """Wait until a job is so far, and return how it is then."""
    async with asyncio.timeout(120):
        while (found := await call(receiver, "GET", f"/jobs/{job}"))["progress"] < progress:
            assert found["state"] in ("waiting", "running"), found
            await asyncio.sleep(0.02)
    return found


async def done(receiver: Process, job: int) -> None:
    """Wait until a job whose records are all fetched has them listed."""
    async with asyncio.timeout(120):
        while (found := await call(receiver, "GET", f"/jobs/{job}"))["state"] != "done":
            assert found["state"] == "running", found
            await asyncio.sleep(0.02)
