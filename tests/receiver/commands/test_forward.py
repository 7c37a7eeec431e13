"""``gatepost forward``: destinations on the command line, next to a receiver that runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.forward.kit import Hook, hooked
from tests.receiver.kit import Process, body, opened, record
from typer.testing import CliRunner

from gatepost.forward.check import check
from gatepost.receiver.commands.forward.commands import app
from gatepost.receiver.commands.forward.make import SECRET
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.forwarding.destinations import Destinations
from gatepost.store.schema import tables as t

runner = CliRunner()


def run(data: Path, command: str, *arguments: str, code: int = 0, typed: str = "") -> str:
    result = runner.invoke(app, [command, "--data", str(data), *arguments], input=typed)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def refused(data: Path, command: str, *arguments: str) -> str:
    result = runner.invoke(app, [command, "--data", str(data), *arguments])
    assert result.exit_code == 1
    return str(result.exception)


def made(data: Path, *arguments: str) -> dict[str, Any]:
    url = () if "--url" in arguments else ("--url", "https://localhost/")
    found: dict[str, Any] = json.loads(run(data, "add", "HR", *url, *arguments, "--json"))
    return found


def listed(data: Path) -> dict[str, Any]:
    (item,) = map(json.loads, run(data, "list", "--json").splitlines())
    found: dict[str, Any] = item
    return found


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_FORWARD_NETWORKS", "127.0.0.0/8")


def test_a_destination_is_made_listed_shown_and_deleted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    secret = made(data, "--shape", "flat", "--set", "batch=64", "--filter", '{"alarms": null}')["secret"]
    assert secret.startswith("whsec_")
    item = listed(data)
    assert (item["shape"], item["batch"], item["filter"]["alarms"]) == ("flat", 64, None)
    assert secret not in json.dumps(item)
    assert "HR\twebhook\trunning\t0 delivered" in run(data, "list")
    assert "seen 0 = filtered 0 + delivered 0 + waiting 0 + dead 0 + dropped 0" in run(data, "show", "hr")
    assert "Delete HR?" in run(data, "delete", "1", code=1, typed="n\n")
    run(data, "delete", "HR", "--yes")
    assert run(data, "list") == ""


def test_secrets_come_from_a_file_the_environment_or_a_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, file = tmp_path / "data", tmp_path / "secret"
    file.write_text("a-secret-of-a-file\n")
    further = tmp_path / "secrets.json"
    further.write_text('{"headers": {"Authorization": "Bearer abc"}}')
    assert made(data, "--secret-file", str(file), "--secrets-file", str(further))["secret"] is None
    assert kept(data)["signing"][0]["value"] == "a-secret-of-a-file"
    assert kept(data)["headers"] == {"Authorization": "Bearer abc"}
    run(data, "delete", "HR", "--yes")
    monkeypatch.setenv(SECRET, "of-the-environment")
    made(data)
    assert kept(data)["signing"][0]["value"] == "of-the-environment"
    run(data, "delete", "HR", "--yes")
    run(data, "add", "HR", "--url", "https://localhost/", "--ask-secret", typed="typed-in\n")
    assert kept(data)["signing"][0]["value"] == "typed-in"


def kept(data: Path) -> dict[str, Any]:
    store = opened(data)
    try:
        row = Destinations(store).one("HR")
        assert row is not None
        found: dict[str, Any] = json.loads(row.secrets)
        return found
    finally:
        store.close()


def test_what_cannot_be_says_which_option(tmp_path: Path) -> None:
    data = tmp_path / "data"
    add = ("add", "HR", "--url")
    assert "'url' must begin with http" in refused(data, *add, "ftp://x/")
    assert "'set' must be like batch=64" in refused(data, *add, "https://localhost/", "--set", "batch")
    assert "'filter' is no JSON" in refused(data, *add, "https://localhost/", "--filter", "passed")
    assert "unknown field" in refused(data, *add, "https://localhost/", "--set", "colour=1")
    assert "no such site" in refused(
        data, *add, "https://localhost/", "--filter", '{"records": {"site": "Atlantis"}}'
    )
    for command in ("show", "test", "pause", "resume", "retry", "delete"):
        more = ["--all"] if command == "retry" else ["--yes"] if command == "delete" else []
        assert "see `gatepost forward list`" in refused(data, command, "HR", *more)
    made(data)
    assert "already a destination called HR" in refused(data, *add, "https://localhost/")
    assert "'since' is no time" in refused(data, "replay", "HR", "--since", "yesterday")
    assert "'events' must name" in refused(data, "drop", "HR")


def test_every_command_prints_json_for_programs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    which = made(data)["id"]

    def told(command: str, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run(data, command, "HR", *arguments, "--json"))
        return found

    assert told("pause")["state"] == "paused"
    assert told("resume")["state"] == "running"
    assert told("retry", "--all") == told("drop", "--all") == {"events": 0}
    assert told("check") == {"seen": 0, "counted": 0, "waiting_rows": 0, "dead_rows": 0, "problems": []}
    deleted = told("delete", "--yes")
    assert (deleted["id"], deleted["name"], deleted["seen"]) == (which, "HR", 0)


def test_a_check_recounts_and_ends_with_1_where_a_number_does_not_fit(tmp_path: Path) -> None:
    data = tmp_path / "data"
    which = made(data)["id"]
    assert run(data, "check", "HR") == "seen 0, counted 0; rows: 0 wait, 0 dead\n"
    store = opened(data)
    try:
        found = check(Destinations(store), which)
        assert (found.seen, found.counted, found.problems) == (0, 0, [])
        with store.changing() as db:
            db.execute(t.destinations.update().values(seen=3))
    finally:
        store.close()

    said = run(data, "check", "HR", code=1)

    assert "3 events were seen, and 0 were stored up to its place" in said
    assert "3 events were seen, and 0 are accounted for" in said
    assert "see `gatepost forward list`" in refused(data, "check", "other")


async def test_next_to_a_receiver_that_runs_it_pauses_resumes_replays_and_drops(tmp_path: Path) -> None:
    data = tmp_path / "data"
    process = await Process.start(data)
    try:
        async with hooked() as hook:
            await steered(process, hook, data)
    finally:
        await process.stop()
    store = opened(data)
    log = [row.action for row in Accounts(store).audit(limit=100).items if row.actor == "command line"]
    store.close()
    done = [action for action in reversed(log) if action.startswith("destination.")]
    assert done == [
        f"destination.{what}"
        for what in ("created", "tested", "paused", "resumed", "replayed", "retried", "dropped", "deleted")
    ]


async def steered(process: Process, hook: Hook, data: Path) -> None:
    wrong = {"u-0", "u-1"}

    def reply(number: int) -> web.Response:
        text = hook.requests[number - 1][1]
        return web.Response(status=400 if any(uuid.encode() in text for uuid in wrong) else 204)

    hook.reply = reply

    async def told(command: str, *arguments: str) -> str:
        return await asyncio.to_thread(run, data, command, *arguments)

    async def until(**wanted: object) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while True:
                found: dict[str, Any] = json.loads(await told("show", "HR", "--dead", "--json"))
                if all(found[name] == value for name, value in wanted.items()):
                    return found

    await told("add", "HR", "--url", hook.url, "--set", "max_refusals=1")
    assert "delivered\tHTTP 204" in await told("test", "HR")
    for number in range(2):
        await process.request("POST", "/Record", body(record(uuid=f"u-{number}")))
    # Three of the kind have to be accepted after the first refusal of each.
    async with asyncio.timeout(60):
        while len(json.loads(await told("show", "HR", "--attempts", "9", "--json"))["tries"]) < 2:
            pass
    for number in range(2, 6):
        await process.request("POST", "/Record", body(record(uuid=f"u-{number}")))
    found = await until(delivered=4, dead=2)
    wrong.clear()
    await told("pause", "HR")
    assert (await until(state="paused"))["enabled"] is False
    await told("resume", "HR")
    again = json.loads(await told("replay", "HR", "--since", "2020-01-01", "--rate", "1000", "--json"))
    assert again["events"] == 6
    assert await told("retry", "HR", str(found["dead_letters"][0]["event_id"])) == "1 dead letters\n"
    await until(dead=1, delivered=5)
    assert await told("drop", "HR", "--all") == "1 dead letters\n"
    assert "dropped 1: by a person" in await told("show", "HR", "--attempts", "5")
    await told("delete", "HR", "--yes")


def test_a_test_that_is_not_delivered_ends_with_1(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made(data, "--url", "http://127.0.0.1:9/")
    assert "unreachable" in run(data, "test", "HR", code=1)
