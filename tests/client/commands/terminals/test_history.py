"""``gatepost terminals backfill | jobs | job | audit``, with a receiver and a terminal; the API below it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.client.conftest import Run
from tests.fleet.double import ADMIN, Double
from tests.fleet.history_kit import double_with, passage
from tests.receiver.kit import Running, receiving

from gatepost import wire

SINCE = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=3)


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Running]:
    networks = ("127.0.0.0/8",)
    async with receiving(tmp_path / "data", real_time=True, fleet_networks=networks) as running:
        yield running


def passages(count: int) -> list[wire.Record]:
    return [passage(number, recorded_at=SINCE + timedelta(seconds=number)) for number in range(count)]


@pytest.fixture
async def double(tmp_path: Path) -> AsyncIterator[Double]:
    made = await double_with(tmp_path / "double", passages(230))
    yield made
    async with asyncio.timeout(20):
        while (await made.terminal.status()).pending:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.01)
    await made.close()


async def call(
    receiver: Running, method: str, path: str, body: object = None, status: int = 200
) -> dict[str, Any]:
    data = b"" if body is None else json.dumps(body).encode()
    here = {"Host": f"127.0.0.1:{receiver.port}"}  # the address that terminals are given
    reply = await receiver.request(method, f"/api/v1/fleet{path}", data, here)
    assert reply.status == status, reply.body
    found: dict[str, Any] = reply.json
    return found


async def adopted(receiver: Running, double: Double) -> int:
    """Adopt a terminal, which from then on pushes here, too."""
    order = {"address": double.address, "username": ADMIN.username, "password": ADMIN.password}
    found = await call(receiver, "POST", "/adopt", order, 201)
    return int(found["terminal_id"])


async def test_what_is_fetched_while_it_is_pushed_is_listed_once(
    receiver: Running, double: Double, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    which = await adopted(receiver, double)
    since = SINCE.isoformat()
    assert await run("terminals", "backfill", "SN-7", "--since", since, "--wait", "--json") == 0
    job = json.loads(capsys.readouterr().out)
    assert (job["state"], job["fetched"], job["progress"]) == ("done", 230, 1.0)
    receiver.settle()
    reply = await receiver.get("/api/v1/records?limit=1000")
    assert len({item["uuid"] for item in reply.json["items"]}) == len(reply.json["items"]) == 230
    assert await run("terminals", "jobs", "--terminal", "SN-7") == 0
    line = capsys.readouterr().out
    assert f"#{job['id']}  SN-7  done  100%" in line
    assert "230 there" in line
    audit = await receiver.get("/api/v1/audit")
    assert "fleet.backfill_asked" in [item["action"] for item in audit.json["items"]]
    assert ADMIN.password not in audit.body.decode()
    assert which == job["terminal_id"]


async def test_people_are_told_that_alarms_cannot_be_had(
    receiver: Running, double: Double, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    await adopted(receiver, double)
    assert await run("terminals", "backfill", "SN-7", "--since", SINCE.isoformat(), "--wait") == 0
    assert "alarms are in no terminal's history" in capsys.readouterr().out


async def test_days_are_counted_and_a_proposal_is_refused(
    receiver: Running, double: Double, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    which = await adopted(receiver, double)
    receiver.store.write([])
    assert await run("terminals", "audit", "SN-7", "--now", "--json") == 0
    days = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(days) == 14
    assert {day["there"] for day in days} == {0, 230}
    assert await run("terminals", "audit", "SN-7") == 0
    assert "there 230, here" in capsys.readouterr().out
    for job in (await call(receiver, "GET", f"/jobs?terminal={which}"))["items"]:
        assert await run("terminals", "job", str(job["id"]), "cancel") == 0
        assert "cancelled" in capsys.readouterr().out
        assert await run("terminals", "job", str(job["id"]), "resume") == 1
        assert "this job is cancelled" in capsys.readouterr().err


async def test_what_is_asked_wrongly_is_said(
    receiver: Running, double: Double, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    which = await adopted(receiver, double)
    order = {"since": SINCE.isoformat(), "until": (SINCE - timedelta(days=1)).isoformat()}
    refused = await call(receiver, "POST", f"/{which}/backfill", order, 400)
    assert "since: must be before until" in refused["detail"]
    assert "since" in (await call(receiver, "POST", f"/{which}/backfill", {"since": "x"}, 400))["detail"]
    assert "is empty" in (await call(receiver, "POST", f"/{which}/backfill", {"since": ""}, 400))["detail"]
    for path in ("/999/audit", "/jobs/999", f"/{1 << 70}/audit", f"/jobs/{1 << 70}"):
        await call(receiver, "GET", path, status=404)
    await call(receiver, "POST", "/999/backfill", {"since": SINCE.isoformat()}, 404)
    await call(receiver, "POST", "/jobs/999/pause", status=404)
    assert await run("terminals", "backfill", "SN-7", "--since", "yesterday") != 0
    assert "2024-05-01" in capsys.readouterr().err
    assert await run("terminals", "job", "1", "start") != 0
    assert "pause|resume|cancel" in capsys.readouterr().err


async def test_jobs_come_in_pages(receiver: Running, double: Double) -> None:
    which = await adopted(receiver, double)
    made = []
    for minute in range(5):
        order = {"since": (SINCE - timedelta(days=9, minutes=minute)).isoformat(), "until": SINCE.isoformat()}
        made.append((await call(receiver, "POST", f"/{which}/backfill", order, 201))["id"])
    first = await call(receiver, "GET", "/jobs?limit=3")
    rest = await call(receiver, "GET", f"/jobs?limit=3&cursor={first['next_cursor']}")
    assert [item["id"] for item in (*first["items"], *rest["items"])] == made[::-1]
    assert rest["next_cursor"] is None
