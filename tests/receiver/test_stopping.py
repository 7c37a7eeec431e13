"""A stop while threads do not end, and answers neither."""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.receiver.kit import Sender, body, record, request

from gatepost.receiver.http.connections.limits import Guard, Limits
from gatepost.receiver.http.server import LAST_WORDS_S, Place, Server, listen
from gatepost.receiver.processes.stop import MARGIN_S
from gatepost.store.sqlite.store import SqliteStore

SLACK_S = 3.0
"""For a machine that has other things to do."""


async def test_a_thread_that_does_not_end_is_not_waited_for_and_whoever_waits_for_it_is_answered(
    tmp_path: Path,
) -> None:
    errors = tmp_path / "log"
    with errors.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(Path(__file__).with_name("blocking.py")), str(tmp_path / "data")),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            port = int((await process.stdout.readline()).rpartition(b":")[2])
            sender, asks = await Sender.connect(port), await Sender.connect(port)
            assert (await sender.request("POST", "/Record", body(record()))).status == 200
            await asks.write(request("GET", "/blocked"))
            assert await process.stdout.readline() == b"at work\n"
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        answer = await asks.answer()
        assert (answer.status, answer.json["code"]) == (503, 503)
        assert answer.headers["connection"] == "close"
        assert time.monotonic() - began < 1 + SLACK_S
        async with asyncio.timeout(1 + MARGIN_S + SLACK_S):
            assert await process.wait() == 1
        for each in (sender, asks):
            await each.close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    said = errors.read_text()
    assert "event=receiver.stopped_short" in said
    assert "requests cut off: 1" in said
    assert "threads still at work: 1" in said
    assert "Cancelled" not in said
    assert "Traceback" not in said
    store = SqliteStore.open(tmp_path / "data")
    assert store.stats().records == 1
    store.close()


@contextlib.asynccontextmanager
async def stopping(
    app: Any, *, timeout_s: float
) -> AsyncIterator[tuple[Server, Sender, "asyncio.Task[None]"]]:
    """A server on an application of ASGI, and whoever asks it; it stops when its task is waited for."""
    bound = listen("127.0.0.1:0")
    started = asyncio.Event()
    place = Place(bound, Guard(Limits(), now=time.monotonic))
    server = Server(app, place, stop_timeout_s=timeout_s, listening=started.set)
    task = asyncio.create_task(server.serve())
    await asyncio.wait_for(started.wait(), 20)
    sender = await Sender.connect(bound[0].getsockname()[1])
    try:
        yield server, sender, task
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 20)
        await sender.close()
        bound[0].close()


class App:
    """Says when it is asked, begins to answer as it is told to, and goes on when it may."""

    def __init__(self, *said: bytes) -> None:
        self._said = said
        self.asked = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._said:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in self._said:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        self.asked.set()
        await self.may_end.wait()
        if not self._said:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"whole"})


async def test_a_request_that_ends_in_time_is_answered_whole(tmp_path: Path) -> None:
    app = App()
    async with stopping(app, timeout_s=20) as (server, sender, task):
        await sender.write(request("GET", "/"))
        await app.asked.wait()
        server.should_exit = True
        app.may_end.set()
        assert (await sender.answer()).body == b"whole"
        await asyncio.wait_for(task, 20)
        assert server.cut_off == 0


async def test_a_request_that_does_not_end_in_time_is_answered_503() -> None:
    app = App()
    async with stopping(app, timeout_s=0.05) as (server, sender, task):
        await sender.write(request("GET", "/"))
        await app.asked.wait()
        with capture_logs() as logged:
            server.should_exit = True
            answer = await sender.answer()
            assert (answer.status, answer.json["code"]) == (503, 503)
            assert await sender.ended() == b""
            await asyncio.wait_for(task, 20)
        assert server.cut_off == 1
        assert logged == []


async def test_an_answer_that_has_begun_and_does_not_end_in_time_is_cut_so_that_it_does_not_look_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App(b"some", b"more")
    async with stopping(app, timeout_s=0.05) as (server, sender, task):
        await sender.write(request("GET", "/"))
        await app.asked.wait()
        server.should_exit = True
        told = await sender.ended()
        assert b"some" in told
        assert not told.endswith(b"0\r\n\r\n")
        await asyncio.wait_for(task, 20)
        assert server.cut_off == 1
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_whoever_does_not_read_an_answer_holds_a_stop_up_no_longer_than_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App(bytes(32 * 1024 * 1024))
    async with stopping(app, timeout_s=0.05) as (server, sender, task):
        await sender.write(request("GET", "/"))
        began = time.monotonic()
        server.should_exit = True
        await asyncio.wait_for(task, 20)
        assert time.monotonic() - began < LAST_WORDS_S + SLACK_S
        assert server.cut_off == 1
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []
