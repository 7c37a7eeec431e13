import asyncio
import json
import os
import re
import signal
import ssl
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gatepost import certificate
from gatepost.errors import SettingsError
from gatepost.settings import TerminalServiceSettings
from gatepost.terminal.local_socket.client import SOCKET_FILE
from gatepost.terminal.outbox.opening import FOLDER
from gatepost.terminal.outbox.outbox import Outbox
from gatepost.terminal.program import running

RECORD = {"type": 0, "data": {"uuid": "u1", "timestamp": 1_700_000_000, "rgb_image": "SU1H"}}
ALARM = {"type": 1, "data": {"trace_id": "t1", "status": 1, "code": 10001, "event_time": 1_700_000_000_000}}


class Receiver:
    """Acknowledges everything and remembers it."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.headers: list[Mapping[str, str]] = []
        self.hang = False
        self.got = asyncio.Event()
        self.url = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        self.headers.append(request.headers)
        self.got.set()
        if self.hang:
            await asyncio.Event().wait()
        return web.json_response({"code": 200, "message": "success", "data": {}})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/Record", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/Record"
    yield receiver
    await runner.cleanup()


def settings(**given: Any) -> TerminalServiceSettings:
    return TerminalServiceSettings(**{"listen": "127.0.0.1:0", "drain_timeout_s": 0.2, **given})


def address(ready: str) -> str:
    found = re.search(r"https?://\S+", ready)
    assert found
    return found[0]


async def through_the_door(folder: Path, *lines: object) -> list[Any]:
    reader, writer = await asyncio.open_unix_connection(str(folder / SOCKET_FILE))
    writer.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    writer.write_eof()
    async with asyncio.timeout(10):
        answers = (await reader.read()).splitlines()
    writer.close()
    return [json.loads(answer) for answer in answers]


async def test_an_event_goes_in_at_the_door_and_arrives_at_the_address_that_was_posted(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with (
        running("GP0001", tmp_path, settings(model="M1", account="gate")) as ready,
        aiohttp.ClientSession() as http,
    ):
        body = {"event_dest": receiver.url, "enabled": True}
        async with http.post(address(ready) + "/v1/event/subscribe", json=body) as reply:
            assert (await reply.json())["code"] == 200
        answers = await through_the_door(tmp_path, RECORD, ALARM)
        assert [answer["ok"] for answer in answers] == [True, True]
        async with asyncio.timeout(10):
            while len(receiver.bodies) < 2:
                receiver.got.clear()
                await receiver.got.wait()
    kinds = {body["type"]: body["data"] for body in receiver.bodies}
    assert kinds[0]["deviceSN"] == "GP0001"
    assert kinds[0]["rgb_image"] == "SU1H"
    assert kinds[1]["trace_id"] == "t1"
    assert {(h["sn"], h["model"], h["account"]) for h in receiver.headers} == {("GP0001", "M1", "gate")}


async def test_the_status_says_the_same_at_the_door_and_over_http(tmp_path: Path) -> None:
    async with running("GP0001", tmp_path, settings()) as ready, aiohttp.ClientSession() as http:
        [before] = await through_the_door(tmp_path, RECORD)
        assert before["error"] == "not-subscribed"
        asked = {"ask": "subscribe", "event_dest": "http://127.0.0.1:9/Record", "enabled": False}
        await through_the_door(tmp_path, asked, RECORD)
        async with http.get(address(ready) + "/status") as reply:
            over_http = (await reply.json())["data"]
        [at_the_door] = await through_the_door(tmp_path, {"ask": "status"})
    for found in (over_http, at_the_door["data"]):
        assert (found["accepted"], found["pending"], found["serial"], found["running"]) == (
            1,
            1,
            "GP0001",
            True,
        )
        assert {"backoff_s", "last_error", "last_success_at", "drops", "oldest_pending_s"} <= found.keys()


async def test_the_history_has_what_was_recorded_sent_or_not(tmp_path: Path) -> None:
    async with running("GP0001", tmp_path, settings()) as ready, aiohttp.ClientSession() as http:
        asked = {"ask": "subscribe", "event_dest": "http://127.0.0.1:9/Record", "enabled": False}
        await through_the_door(tmp_path, asked, RECORD, ALARM)
        async with http.post(address(ready) + "/v1/event/records", json={"begin_time": 1}) as reply:
            data = (await reply.json())["data"]
    assert (data["count"], data["total"]) == (1, 1)
    assert data["items"][0]["uuid"] == "u1"


async def test_with_an_account_and_tls_the_fingerprint_of_the_ready_line_is_the_servers(
    tmp_path: Path,
) -> None:
    given = settings(tls=True, username="admin", password="secret")
    async with running("GP0001", tmp_path, given) as ready, aiohttp.ClientSession() as http:
        pinned = re.search(r"certificate-sha256=([0-9a-f]{64})", ready)
        assert pinned
        trusted = ssl.create_default_context(cafile=str(tmp_path / certificate.CERTIFICATE_FILE))
        url = address(ready)
        assert url.startswith("https://")
        async with http.get(url + "/v1/event/subscribe", ssl=trusted) as reply:
            assert reply.status == 401
        digest = aiohttp.Fingerprint(bytes.fromhex(pinned[1]))
        basic = {"Authorization": "Basic " + b64encode(b"admin:secret").decode()}
        async with http.get(url + "/v1/event/subscribe", ssl=digest, headers=basic) as reply:
            assert reply.status == 200
            assert reply.headers["account"] == "admin"


@pytest.mark.parametrize("serial", ["", "GP\r\n1", "门"])
async def test_a_serial_that_fits_no_header_is_named(tmp_path: Path, serial: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        async with running(serial, tmp_path, settings()):
            pass
    assert wrong.value.setting == "sn"


async def test_a_port_that_is_taken_leaves_nothing_open(tmp_path: Path) -> None:
    async with running("GP0001", tmp_path / "a", settings()) as ready:
        taken = address(ready).removeprefix("http://")
        with pytest.raises(OSError, match=taken.rpartition(":")[2]):
            async with running("GP0002", tmp_path / "b", settings(listen=taken)):
                pass
    async with running("GP0002", tmp_path / "b", settings()):
        pass


async def test_a_door_that_cannot_be_opened_does_not_keep_events_from_draining(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running("GP0001", tmp_path, settings()):
        asked = {"ask": "subscribe", "event_dest": receiver.url, "enabled": False}
        await through_the_door(tmp_path, asked, RECORD)
    (tmp_path / SOCKET_FILE).mkdir()
    async with running("GP0001", tmp_path, settings()) as ready, aiohttp.ClientSession() as http:
        assert "door=none" in ready
        body = {"event_dest": receiver.url, "enabled": True}
        async with http.post(address(ready) + "/v1/event/subscribe", json=body) as reply:
            assert reply.status == 200
        async with asyncio.timeout(10):
            await receiver.got.wait()
    assert receiver.bodies[0]["data"]["uuid"] == "u1"


class Process:
    """``gatepost terminal run`` as a real process."""

    def __init__(self, process: asyncio.subprocess.Process, ready: str) -> None:
        self.process = process
        self.ready = ready

    @classmethod
    async def start(cls, folder: Path, *options: str, **environ: str) -> "Process":
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "gatepost.cli", "terminal", "run", "--sn", "GP0001", "--data", str(folder)),
            *("--listen", "127.0.0.1:0", *options),
            env={**os.environ, **environ},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(20):
            return cls(process, (await process.stdout.readline()).decode())

    async def end(self, number: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(number)
        async with asyncio.timeout(20):
            _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_good_order_although_the_receiver_hangs(
    tmp_path: Path, receiver: Receiver, number: signal.Signals
) -> None:
    receiver.hang = True
    process = await Process.start(tmp_path, GATEPOST_DRAIN_TIMEOUT_S="0.2")
    assert re.fullmatch(r"terminal GP0001 is ready: http://127\.0\.0\.1:\d+ door=\S+\n", process.ready)
    asked = {"ask": "subscribe", "event_dest": receiver.url, "enabled": True}
    await through_the_door(tmp_path, asked, RECORD)
    async with asyncio.timeout(10):
        await receiver.got.wait()
    code, errors = await process.end(number)
    assert code == 0, errors
    assert "Traceback" not in errors
    assert not (tmp_path / SOCKET_FILE).exists()


@pytest.mark.parametrize(
    ("level", "events"), [("info", ["terminal.open", "terminal.stopping"]), ("error", [])]
)
async def test_its_log_has_the_form_and_the_level_that_are_set(
    tmp_path: Path, level: str, events: list[str]
) -> None:
    process = await Process.start(tmp_path, GATEPOST_LOG_FORMAT="json", GATEPOST_LOG_LEVEL=level)
    _, errors = await process.end(signal.SIGTERM)
    assert [json.loads(line)["event"] for line in errors.splitlines()] == events


async def test_an_option_for_the_log_wins_over_the_environment(tmp_path: Path) -> None:
    options = ("--log-format", "json", "--log-level", "info")
    process = await Process.start(tmp_path, *options, GATEPOST_LOG_FORMAT="text", GATEPOST_LOG_LEVEL="error")
    _, errors = await process.end(signal.SIGTERM)
    assert [json.loads(line)["event"] for line in errors.splitlines()] == [
        "terminal.open",
        "terminal.stopping",
    ]


async def test_after_sigkill_it_starts_again_with_everything(tmp_path: Path) -> None:
    process = await Process.start(tmp_path)
    asked = {"ask": "subscribe", "event_dest": "http://127.0.0.1:9/Record", "enabled": True}
    answers = await through_the_door(tmp_path, asked, RECORD, ALARM)
    assert all(answer["ok"] for answer in answers)
    await process.end(signal.SIGKILL)
    async with running("GP0001", tmp_path, settings()):
        [found] = await through_the_door(tmp_path, {"ask": "status"})
    assert (found["data"]["accepted"], found["data"]["pending"]) == (2, 2)
    assert found["data"]["subscription"]["event_dest"] == "http://127.0.0.1:9/Record"


async def test_only_its_user_can_read_what_it_stores(tmp_path: Path) -> None:
    process = await Process.start(tmp_path / "data")
    await process.end(signal.SIGTERM)
    modes = {
        path.name: path.stat().st_mode & 0o077 for path in [tmp_path / "data", *(tmp_path / "data").iterdir()]
    }
    assert set(modes.values()) == {0}, modes


async def test_what_was_answered_at_the_door_is_there_after_sigkill_in_the_middle_of_a_stream(
    tmp_path: Path,
) -> None:
    answered: set[str] = set()
    for round_ in range(3):
        process = await Process.start(tmp_path)
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_FILE))
        names = [f"r{round_}-{number}" for number in range(5_000)]
        lines: list[object] = [
            {"ask": "subscribe", "event_dest": "http://127.0.0.1:9/Record", "enabled": False}
        ]
        lines += [{"type": 0, "data": {"uuid": name}} for name in names]
        writer.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        async with asyncio.timeout(20):
            await reader.readline()
            for number in range(200 + 300 * round_):
                assert json.loads(await reader.readline())["ok"] is True
                answered.add(names[number])
            process.process.kill()
            said = b""
            with suppress(ConnectionError):  # what it had not read itself may end the connection with a reset
                while more := await reader.read(65_536):
                    said += more
            rest = said.split(b"\n")[:-1]
        for name, line in zip(names[200 + 300 * round_ :], rest, strict=False):
            if json.loads(line)["ok"]:
                answered.add(name)
        writer.close()
        await process.process.communicate()
    outbox = await Outbox.open(tmp_path / FOLDER)
    kept = [json.loads(line)["data"]["uuid"] async for line in outbox.export()]
    status = await outbox.status()
    await outbox.close()
    assert answered <= set(kept)
    assert len(kept) == len(set(kept)) == status.pending == status.accepted
