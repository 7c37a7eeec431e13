"""A day that is cut out of the middle is found by the audit and fetched: processes of both ends, as users run them."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
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


async def prepare(folder: Path) -> None:
    """Have a terminal that delivered its second day to another program, and the rest to none yet."""
    async with another_tool() as address, Terminal(SERIAL, folder) as terminal:
        await terminal.outbox.subscribe(wire.Subscription(address, True))
        for record in passages(1):
            await terminal.record(record)
        async with asyncio.timeout(60):
            while (await terminal.status()).delivered < EACH:  # noqa: ASYNC110 - only asking tells
                await asyncio.sleep(0.01)
        await terminal.outbox.subscribe(wire.Subscription("http://127.0.0.1:9/Record", True))
        for day in (0, 2):
            for record in passages(day):
                await terminal.record(record)


@asynccontextmanager
async def running_terminal(folder: Path, port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gatepost.cli", "terminal", "run",
        "--sn", SERIAL, "--data", str(folder), "--listen", f"127.0.0.1:{port}",
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
    unused_tcp_port: int,
    database: str,
    postgres_server: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GATEPOST_FLEET_NETWORKS", "127.0.0.0/8")
    await prepare(tmp_path / "terminal")
    options = ("--database", postgres_server.create()) if database == "postgresql" else ()
    receiver = await Process.start(tmp_path / "receiver", *options)
    try:
        async with running_terminal(tmp_path / "terminal", unused_tcp_port):
            order = {
                "address": f"https://127.0.0.1:{unused_tcp_port}",
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
            assert not any(day["missing"] for day in recounted)
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
