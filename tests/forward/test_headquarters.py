"""Two receivers that pass their events on to a third one: what the lower ones keep apart stays apart above.

All are processes. Both lower ones have a terminal of the same serial, a site of the same name and a person of the same
number. The upper one is away while a backlog of three weeks is pushed, a lower one is killed meanwhile, and the upper
one is killed while the backlog arrives.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.receiver.kit import SUCCESS, Process, base64, body, record
from typer.testing import CliRunner

from gatepost.cli import app
from gatepost.conformance.sample_pushes import jpeg

EVENTS = 40
"""Of each lower receiver; the first one comes before its destination is there."""
DAY_S = 86_400
BEGAN_S = 1_760_000_000
ALARM = {"type": 1, "data": {"trace_id": "T-1", "status": 1, "code": 10002, "event_time": BEGAN_S * 1000}}


def run(*words: str) -> tuple[str, str]:
    """Run a command of gatepost; return what it printed, and what it said beside that."""
    done = CliRunner().invoke(app, list(words), env={"GATEPOST_LANG": "en"})
    assert done.exit_code == 0, done.output
    return done.stdout, done.stderr


def image(lower: str, number: int) -> bytes:
    """An image that no other event has."""
    return jpeg(3000)[:-2] + f"{lower} {number}".encode() + b"\xff\xd9"


class Lower:
    """A receiver at a site."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder / name
        self._config = folder / f"{name}.toml"
        self._config.write_text('forward_networks = ["127.0.0.0/8"]\n')
        self.process: Process

    async def start(self) -> None:
        self.process = await Process.start(self.folder, "--config", str(self._config))

    async def place(self, site: str) -> None:
        """Put the terminal, which pushed already, at a site."""
        site_id = (await self._do("POST", "sites", {"name": site, "timezone": "Asia/Shanghai"}))["id"]
        (terminal,) = await self.process.everything("terminals")
        await self._do("PATCH", f"terminals/{terminal['id']}", {"site_id": site_id})

    async def _do(self, method: str, path: str, value: dict[str, Any]) -> dict[str, Any]:
        answer = await self.process.request(
            method, f"/api/v1/{path}", body(value), {"Content-Type": "application/json"}
        )
        assert answer.status < 300, answer.body
        found: dict[str, Any] = answer.json
        return found

    def pass_on(self, port: int, token: Path) -> None:
        run(
            "forward", "add", "HQ", "--data", str(self.folder), "--config", str(self._config), "--kind", "receiver",
            "--url", f"http://127.0.0.1:{port}/Record", "--secret-file", str(token),
        )  # fmt: skip

    async def push(self, numbers: range) -> None:
        sender = await self.process.connect()
        for number in numbers:
            pushed = record(
                uuid=f"{self.name}-{number}",
                rgb_image=base64(image(self.name, number)),
                timestamp=BEGAN_S + 21 * DAY_S * number // EVENTS,
            )
            pushed["data"]["user"]["name"] = f"{self.name}'s"
            assert (await sender.request("POST", "/Record", body(pushed))).json == SUCCESS
        await sender.close()

    async def push_alarm(self) -> None:
        answer = await self.process.request("POST", "/Record", body(ALARM), {"sn": "SN-1"})
        assert answer.json == SUCCESS


def upper_settings(folder: Path, *names: str) -> list[Path]:
    """Write the settings of the upper receiver; return the files with the tokens."""
    tokens, lines = [], []
    for name in names:
        secret, said = run("tokens", "source", "--name", name, "--apart")
        tokens.append(folder / f"{name}.token")
        tokens[-1].write_text(secret)
        lines.append(said.partition("source_tokens = [")[2].strip().removesuffix("]"))
    (folder / "hq.toml").write_text(f"source_tokens = [{', '.join(lines)}]\n")
    return tokens


async def listed(upper: Process, count: int, what: str = "records") -> list[dict[str, Any]]:
    """Wait until so many are listed."""
    async with asyncio.timeout(100):
        while len(items := await upper.everything(what)) < count:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.05)
    return items


@pytest.mark.timeout(300)
async def test_what_two_lower_receivers_keep_apart_stays_apart_above(tmp_path: Path) -> None:
    tokens = upper_settings(tmp_path, "north", "south")
    hq = ("--config", str(tmp_path / "hq.toml"))
    upper = await Process.start(tmp_path / "hq", *hq)
    port = upper.port
    lowers = [Lower(name, tmp_path) for name in ("north", "south")]
    try:
        assert await upper.stop() == 0  # it is away
        for lower, token in zip(lowers, tokens, strict=True):
            await lower.start()
            await lower.push(range(1))
            await lower.place("Lobby")
            lower.pass_on(port, token)
            await lower.push(range(1, EVENTS // 2))
        await lowers[0].process.kill()
        await lowers[0].start()
        for lower in lowers:
            await lower.push(range(EVENTS // 2, EVENTS))
            await lower.push_alarm()
            await lower.process.settle()
        with closing(sqlite3.connect(lowers[1].folder / "gatepost.db", timeout=30)) as db, db:
            fetched = db.execute("UPDATE records SET backfilled = 1 WHERE uuid = 'south-7'")
            assert fetched.rowcount == 1
        upper = await Process.start(tmp_path / "hq", *hq, port=port)
        await listed(upper, EVENTS // 4)
        await upper.kill()  # it may die while a backlog arrives
        upper = await Process.start(tmp_path / "hq", *hq, port=port)
        items = await listed(upper, 2 * (EVENTS - 1))
        names = [f"{lower.name}-{number}" for lower in lowers for number in range(1, EVENTS)]
        assert Counter(item["uuid"] for item in items) == Counter(names)
        places = {(item["terminal"], item["site"], item["timezone"]) for item in items}
        assert places == {
            ("north/SN-1", "north/Lobby", "Asia/Shanghai"),
            ("south/SN-1", "south/Lobby", "Asia/Shanghai"),
        }
        assert all(item["uuid"].startswith(item["terminal"].partition("/")[0]) for item in items)
        assert [item["uuid"] for item in items if item["backfilled"]] == ["south-7"]
        assert all("deviceSN" not in str(item["problems"]) for item in items)
        people = await upper.everything("people")
        assert sorted((one["name"], one["user_id"]) for one in people) == [("north's", "5"), ("south's", "5")]
        alarms = await listed(upper, 2, "alarms")
        assert sorted((one["terminal"], one["trace_id"]) for one in alarms) == [
            ("north/SN-1", "T-1"),
            ("south/SN-1", "T-1"),
        ]
        for item in items[::10]:
            lower, _, number = item["uuid"].partition("-")
            assert (await upper.request("GET", item["image"])).body == image(lower, int(number))
        # Whoever has no token of the source does not speak for its terminals.
        refused = await upper.request("POST", "/Record", body(record(deviceSN="north/SN-1")), {})
        assert refused.status == 403
        own = await upper.request("POST", "/Record", body(record(uuid="own")), {})
        assert own.json == SUCCESS
        await upper.settle()
        assert {one["serial"] for one in await upper.everything("terminals")} == {
            "SN-1", "north/SN-1", "south/SN-1",
        }  # fmt: skip
    finally:
        for process in (upper, *(lower.process for lower in lowers)):
            await process.kill()
