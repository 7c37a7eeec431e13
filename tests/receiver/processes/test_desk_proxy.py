"""The ingest hands on what is no push: two real servers, one behind a local socket."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.receiver.kit import Sender, request, until

from gatepost.receiver.http.connections.limits import Guard, Limits
from gatepost.receiver.http.server import Place, Server, listen
from gatepost.receiver.processes.desk_proxy import DeskProxy, as_it_was_asked

App = Callable[[Any, Any, Any], Any]


@asynccontextmanager
async def served(app: App, listening: socket.socket) -> AsyncIterator[None]:
    guard = Guard(Limits(), now=lambda: 0.0, shares_address=lambda _: True)
    started = asyncio.Event()
    server = Server(app, Place([listening], guard), stop_timeout_s=1, listening=started.set)
    task = asyncio.create_task(server.serve())
    await asyncio.wait_for(started.wait(), 20)
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 20)
        listening.close()


@asynccontextmanager
async def behind(desk: App, **options: Any) -> AsyncIterator[Sender]:
    """A connection to a proxy in front of an application."""
    with tempfile.TemporaryDirectory() as folder:  # the path of a local socket has at most 107 bytes
        path = str(Path(folder) / "desk")
        local = socket.socket(socket.AF_UNIX)
        local.bind(path)
        local.listen()
        (front,) = listen("127.0.0.1:0")
        async with served(desk, local), served(DeskProxy(path, **options), front):
            sender = await Sender.connect(front.getsockname()[1])
            yield sender
            await sender.close()


async def reply(send: Any, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def test_a_request_reaches_the_desk_as_it_was_asked_and_its_response_comes_back() -> None:
    asked: list[tuple[dict[str, Any], bytes]] = []

    async def desk(scope: Any, receive: Any, send: Any) -> None:
        asked.append((as_it_was_asked(scope), (await receive())["body"]))
        await reply(send, 201, b"made", (b"x-made", b"one"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"))

    async with behind(desk) as sender:
        headers = {"Accept-Language": "zh", "X-Gatepost-Origin": "forged", "Connection": "keep-alive"}
        for number in range(2):  # the connection goes on
            answer = await sender.request("PUT", "/%E4%BA%BA/x?q=a%20b&q=c", b"body %d" % number, headers)
            assert (answer.status, answer.body) == (201, b"made")
            assert (answer.headers["x-made"], answer.headers["set-cookie"]) == ("one", "b=2")
        host, port = sender.writer.get_extra_info("sockname")
        front = sender.writer.get_extra_info("peername")
    for number, (scope, body) in enumerate(asked):
        assert body == b"body %d" % number
        assert (scope["method"], scope["raw_path"]) == ("PUT", b"/%E4%BA%BA/x")
        assert (scope["path"], scope["query_string"]) == ("/人/x", b"q=a%20b&q=c")
        assert (scope["client"], scope["server"], scope["scheme"]) == ((host, port), tuple(front), "http")
        told = dict(scope["headers"])
        assert told[b"accept-language"] == b"zh"
        assert b"x-gatepost-origin" not in told
        assert told[b"host"] == b"127.0.0.1"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_a_response_without_a_body_ends_where_it_ends(method: str, status: int) -> None:
    async def desk(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"7")] if status == 200 else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async with behind(desk) as sender:
        for _ in range(2):
            await sender.write(request(method, "/"))
            async with asyncio.timeout(20):
                head = await sender.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status)


async def test_a_response_comes_piece_by_piece_and_ends_when_who_asked_leaves() -> None:
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    ended = asyncio.Event()

    async def desk(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

        async def tell() -> None:
            while True:
                await send({"type": "http.response.body", "body": await pieces.get(), "more_body": True})

        telling = asyncio.create_task(tell())
        await receive()
        while (await receive())["type"] != "http.disconnect":
            pass
        telling.cancel()
        ended.set()

    async with behind(desk) as sender:
        await sender.write(request("GET", "/live"))
        async with asyncio.timeout(20):
            await sender.reader.readuntil(b"\r\n\r\n")
            for piece in (b"first", b"second"):
                pieces.put_nowait(piece)
                assert await sender.reader.readuntil(piece)
        await sender.close()
        await asyncio.wait_for(ended.wait(), 20)


async def test_a_slow_reader_holds_the_desk_up_and_not_the_memory() -> None:
    sent = 0

    async def desk(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(256):
            await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
            sent += 1
        await send({"type": "http.response.body", "body": b""})

    async with behind(desk) as sender:
        await sender.write(request("GET", "/export"))
        before = -1
        while sent != before:  # until it stands still
            before = sent
            for _ in range(50):
                await asyncio.sleep(0.01)
        assert 0 < sent < 64
        async with asyncio.timeout(60):
            while not (await sender.reader.read(1 << 20)).endswith(b"0\r\n\r\n"):
                pass
        assert sent == 256


async def test_a_desk_that_ends_in_the_middle_of_a_response_cuts_the_connection() -> None:
    async def desk(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async with behind(desk) as sender:
        await sender.write(request("GET", "/export"))
        assert (await sender.ended()).endswith(b"\r\n\r\nhalf")


async def test_where_the_desk_is_not_there_it_is_asked_for_later(tmp_path: Path) -> None:
    (front,) = listen("127.0.0.1:0")
    async with served(DeskProxy(str(tmp_path / "none")), front):
        sender = await Sender.connect(front.getsockname()[1])
        for _ in range(2):
            answer = await sender.request("GET", "/records")
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert "ask again" in answer.json["message"]
        await sender.close()


async def test_a_browser_gets_a_page_that_loads_again_while_the_desk_is_away(tmp_path: Path) -> None:
    (front,) = listen("127.0.0.1:0")
    async with served(DeskProxy(str(tmp_path / "none")), front):
        sender = await Sender.connect(front.getsockname()[1])
        answer = await sender.request("GET", "/live", headers={"Accept": "text/html,*/*;q=0.8"})
        await sender.close()
    assert (answer.status, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert b'http-equiv="refresh"' in answer.body


async def test_where_the_desk_falls_silent_a_request_is_ended_and_one_that_has_begun_is_not() -> None:
    going_on, is_silent = asyncio.Event(), False

    async def desk(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/slow":
            await asyncio.Event().wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await going_on.wait()
        await send({"type": "http.response.body", "body": b" and ended"})

    async with behind(desk, is_silent=lambda: is_silent, look_s=0.01) as slow:
        await slow.write(request("GET", "/slow"))
        await slow.reader.readuntil(b"begun")
        is_silent = True
        port = slow.writer.get_extra_info("peername")[1]
        other = await Sender.connect(port)
        answer = await other.request("GET", "/records")
        await other.close()
        assert (answer.status, answer.headers["retry-after"]) == (504, "5")
        assert "says nothing" in answer.json["message"]
        going_on.set()
        await slow.reader.readuntil(b"and ended")


async def test_a_desk_that_leaves_before_it_responds_is_told_as_one_that_is_not_there() -> None:
    closed = asyncio.Event()

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()
        closed.set()

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "desk")
        async with await asyncio.start_unix_server(leave, path):
            (front,) = listen("127.0.0.1:0")
            async with served(DeskProxy(path), front):
                sender = await Sender.connect(front.getsockname()[1])
                assert (await sender.request("GET", "/records")).status == 503
                await until(closed.is_set)
                await sender.close()
