"""Three receivers on one database behind nginx, as the guide has it: restarted, and killed, while terminals push.

They start at once on an empty database. A push that one does not take is passed to another, so none is refused; each
event that was acknowledged is listed once, those that a killed receiver had in its journal after it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.programs import program
from tests.reader import ROOT
from tests.receiver.kit import SUCCESS, Process, Sender, body, record

from gatepost.receiver.http.server import listen

TERMINALS = 6


def configuration(folder: Path, port: int, receivers: Sequence[int]) -> str:
    """Return the configuration of the guide, for these ports, as a user without privileges runs it."""
    (given,) = re.findall(
        r"```nginx\n(upstream .*?)```", (ROOT / "docs/how-to/deploy.md").read_text("utf-8"), re.DOTALL
    )
    (options,) = set(re.findall(r"server [\d.]+:8080( [^;]*);", given))
    servers = "".join(f"server 127.0.0.1:{each}{options};\n" for each in receivers)
    given = re.sub(r"(?:\s*server [\d.]+:8080[^;]*;)+", f"\n{servers}", given, count=1)
    given = given.replace("listen 80;", f"listen 127.0.0.1:{port};")
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/errors;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{places}{given}\n}}\n"
    )


@contextlib.asynccontextmanager
async def nginx(folder: Path, receivers: Sequence[int]) -> AsyncIterator[int]:
    """Run nginx in front of receivers; yields its port."""
    folder.mkdir()
    (bound,) = listen("127.0.0.1:0")
    port = bound.getsockname()[1]
    bound.close()
    (folder / "nginx.conf").write_text(configuration(folder, port, receivers))
    process = await asyncio.create_subprocess_exec(
        program("nginx"), "-p", str(folder), "-e", str(folder / "errors"), "-c", str(folder / "nginx.conf")
    )
    try:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError):
                    await (await Sender.connect(port)).close()
                    break
                assert process.returncode is None, (folder / "errors").read_text()
                await asyncio.sleep(0.02)  # only trying tells
        yield port
    finally:
        process.kill()
        await process.wait()


class Load:
    """Terminals that push one event after the other through the proxy, each over connections that it keeps."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ended = False
        self.acknowledged: list[str] = []
        self.refused: list[bytes] = []

    async def run(self) -> None:
        await asyncio.gather(*(self._terminal(number) for number in range(TERMINALS)))

    def end(self) -> None:
        self._ended = True

    async def more(self, events: int = 60) -> None:
        """Return when so many more were acknowledged, or one was refused."""
        wanted = len(self.acknowledged) + events
        async with asyncio.timeout(100):
            while len(self.acknowledged) < wanted and not self.refused:  # noqa: ASYNC110 - the load tells nobody
                await asyncio.sleep(0.01)

    async def _terminal(self, number: int) -> None:
        sender, sent = await Sender.connect(self._port), 0
        while not self._ended:
            uuid = f"{number}-{sent}"
            reply = await sender.request(
                "POST", "/Record", body(record(uuid=uuid, deviceSN=f"SN-{number}")), {"sn": f"SN-{number}"}
            )
            if reply.status == 200 and reply.json == SUCCESS:
                self.acknowledged.append(uuid)
            else:
                self.refused.append(reply.body)
                break
            sent += 1
            await asyncio.sleep(0.02)
        await sender.close()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("after", ["journal", pytest.param("store", marks=pytest.mark.soak)])
async def test_receivers_are_restarted_and_killed_and_no_push_is_refused(
    postgres_store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    monkeypatch.setenv("GATEPOST_ACKNOWLEDGE_AFTER", after)

    async def started(number: int, port: int = 0) -> Process:
        return await Process.start(tmp_path / f"data-{number}", "--database", postgres_store_url, port=port)

    first, second, third = await asyncio.gather(*(started(number) for number in range(3)))
    told = 0
    for each in (first, second, third):
        assert each.process.stdout is not None
        with contextlib.suppress(TimeoutError):
            told += b"password" in await asyncio.wait_for(each.process.stdout.readline(), 0.5)
    assert told == 1
    async with nginx(tmp_path / "nginx", [first.port, second.port, third.port]) as port:
        load = Load(port)
        pushing = asyncio.create_task(load.run())
        await load.more()
        assert await first.stop() == 0
        await load.more()
        first = await started(0, first.port)
        await load.more()
        await second.kill()
        await load.more()
        if after == "store":  # nothing that was acknowledged waits for the one that was killed
            before = set(load.acknowledged)
            assert before <= {each["uuid"] for each in await third.everything()}
        second = await started(1, second.port)
        await load.more()
        load.end()
        await pushing
    assert load.refused == []
    for each in (first, second, third):
        await each.settle()
    found = Counter(each["uuid"] for each in await third.everything())
    assert set(load.acknowledged) <= set(found)
    assert max(found.values()) == 1
    for each in (first, second, third):
        assert await each.stop() == 0
