"""The whole line, as its users run it: ``gatepost terminal run`` and ``gatepost serve``, killed again and again.

What went in by ``gatepost terminal emit`` and was answered there is compared, as a set, with what the receiver
lists at the end.
"""

import asyncio
import base64
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.receiver.kit import JPEG, Process

from gatepost.terminal.local_socket import client as door

SERIAL = "E2E-1"
ROUNDS, MANY_ROUNDS = 3, 30
"""In each, events stream in while one of the two is killed in the middle; in every third the receiver is away."""

EVENTS = 60


@pytest.fixture
def port(unused_tcp_port: int) -> int:
    return unused_tcp_port


@asynccontextmanager
async def run_terminal(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gatepost.cli", "terminal", "run",
        "--sn", SERIAL, "--data", str(folder), "--listen", "127.0.0.1:0",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "GATEPOST_LANG": "en", "GATEPOST_RETRY_FIRST_S": "0.05", "GATEPOST_RETRY_CAP_S": "0.2"},
    )  # fmt: skip
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 30)
    assert SERIAL.encode() in line
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 20)


def event(round_: int, number: int) -> dict[str, Any]:
    if number % 10 == 9:
        data = {
            "trace_id": f"t-{round_}-{number}",
            "status": 1,
            "code": 10002,
            "event_time": 1_700_000_000_000 + number,
        }
        return {"type": 1, "data": data}
    return {
        "type": 0,
        "data": {
            "uuid": f"u-{round_}-{number}",
            "timestamp": 1_700_000_000 + number,
            "recognitionType": 1,
            "entry_mode": 1,
            "pass": True,
            "rgb_image": base64.b64encode(JPEG).decode(),
            "user": {"user_id": "5", "name": "王五", "type": 1},
        },
    }


def name(push: dict[str, Any]) -> str:
    return str(push["data"].get("uuid") or push["data"]["trace_id"])


class Stream:
    """Hands events in at the door and keeps those that it answered for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.offered: set[str] = set()
        self.recorded: set[str] = set()

    async def emit(self, pushes: list[dict[str, Any]], killed: asyncio.Event | None, at: int) -> None:
        """Offer the events; set ``killed`` when ``at`` of them are answered. A door that dies ends the stream."""
        with door.address(self.folder) as path:
            reader, writer = await asyncio.open_unix_connection(path)
        try:
            self.offered.update(map(name, pushes))
            writer.write(b"".join(json.dumps(push).encode() + b"\n" for push in pushes))
            for number, push in enumerate(pushes):
                if killed is not None and number == at:
                    killed.set()
                line = await asyncio.wait_for(reader.readline(), 30)
                if not line.endswith(b"\n"):
                    return
                assert json.loads(line)["ok"], line
                self.recorded.add(name(push))
        except ConnectionError:
            return
        finally:
            writer.close()


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(ROUNDS, marks=pytest.mark.timeout(240)),
        pytest.param(MANY_ROUNDS, marks=[pytest.mark.soak, pytest.mark.timeout(2400)]),
    ],
)
async def test_what_was_recorded_is_stored_once_though_both_ends_are_killed(
    tmp_path: Path, port: int, rounds: int
) -> None:
    lot = random.Random(20261124)
    stream = Stream(tmp_path / "terminal")
    receiver: Process | None = await Process.start(tmp_path / "receiver", port=port)
    subscribed = False
    for round_ in range(rounds):
        async with run_terminal(stream.folder) as terminal:
            if not subscribed:
                door.ask(
                    stream.folder, "subscribe", event_dest=f"http://127.0.0.1:{port}/Record", enabled=True
                )
                subscribed = True
            in_the_middle = asyncio.Event()
            pushes = [event(round_, number) for number in range(EVENTS)]
            emitting = asyncio.create_task(stream.emit(pushes, in_the_middle, lot.randrange(5, EVENTS - 5)))
            await asyncio.wait_for(in_the_middle.wait(), 30)
            if round_ % 3 == 0:
                terminal.kill()
                await terminal.wait()
            elif receiver is not None:
                await receiver.kill()
                receiver = None
            await emitting
        if receiver is None and round_ % 3 == 2:  # it was away for a round and a half
            receiver = await Process.start(tmp_path / "receiver", port=port)
    assert receiver is not None
    async with run_terminal(stream.folder):
        async with asyncio.timeout(60):
            while (status := await asyncio.to_thread(door.ask, stream.folder, "status"))["pending"]:  # noqa: ASYNC110 - another process's ledger
                await asyncio.sleep(0.05)
        assert status["accepted"] == status["delivered"]
        records = await receiver.everything("records")
        alarms = await receiver.everything("alarms")
        for record in records:
            answer = await receiver.request("GET", record["image"])
            assert answer.body == JPEG
    stored = [record["uuid"] for record in records] + [alarm["trace_id"] for alarm in alarms]
    assert len(stored) == len(set(stored))
    assert len(stream.recorded) > EVENTS * rounds / 2
    # The door may have died between the commit and the answer: such an event is stored, and nobody was told.
    assert stream.recorded <= set(stored) <= stream.offered
    assert len(set(stored)) == status["accepted"]
    assert {record["terminal"] for record in records} == {SERIAL}
    assert await receiver.stop() == 0
