"""A receiver over raw sockets that misbehaves as it is told, and can be healed while the terminal is pushing.

Rules: it listens on 127.0.0.1; a behaviour is one async function over one connection; what it *stored*
(`stored`) is only what it acknowledged as the protocol page says, so a test compares that with what the
terminal counts as delivered.

    async with BadReceiver(answer(503)) as receiver:
        …
        receiver.behave(good)
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache

from tests.ports import free_port

SUCCESS = b'{"code":200,"message":"success","data":{}}'


async def until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until the condition holds; fail after this many seconds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for lies on the other side of a socket
            await asyncio.sleep(0.002)


@dataclass
class Request:
    """One request that arrived whole."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]

    def event(self) -> dict[str, object]:
        event: dict[str, object] = json.loads(self.body)
        return event

    def name(self) -> str:
        """The record's uuid, or the alarm's trace_id and status."""
        data = json.loads(self.body)["data"]
        return data["uuid"] if "uuid" in data else f"{data['trace_id']}/{data['status']}"


@dataclass
class Peer:
    """A connection, as a behaviour sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    receiver: BadReceiver

    async def request(self) -> Request | None:
        """Read the next request, None at the end of the connection."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        line, *rest = head.split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (text.partition(":") for text in rest if text)
        }
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(line, headers, body)
        self.receiver.requests.append(request)
        return request

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Behaviour = Callable[[Peer], Awaitable[None]]


@dataclass
class BadReceiver:
    """``behaviour`` is used from the next request on each connection; ``tls`` makes it an https receiver."""

    behaviour: Behaviour
    tls: ssl.SSLContext | None = None
    listening: bool = True
    requests: list[Request] = field(default_factory=list)
    stored: list[Request] = field(default_factory=list)
    connections: int = 0
    sent: int = 0
    open_now: int = 0
    most_open: int = 0
    port: int = 0
    _server: asyncio.Server | None = None
    _peers: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> BadReceiver:
        self.port = free_port()
        if self.listening:
            await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/Record"

    def behave(self, behaviour: Behaviour) -> None:
        """From now on; connections that hang in the old behaviour are cut."""
        self.behaviour = behaviour
        for peer in self._peers:
            peer.cancel()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self.tls, reuse_address=True, limit=1 << 20
        )

    async def refuse(self) -> None:
        """Stop listening and cut every connection: the next one is refused."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for peer in tuple(self._peers):
            peer.cancel()
        if self._peers:
            await asyncio.wait(self._peers)
        if server is not None:
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._peers.add(task)
        self.connections += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                peer = Peer(reader, writer, self)
                while not reader.at_eof() and not writer.is_closing():
                    await self.behaviour(peer)
        except asyncio.CancelledError:
            pass  # cut by the test
        finally:
            self.open_now -= 1
            self._peers.discard(task)
            writer.transport.abort()


# -- behaviours


def _plain(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def good(peer: Peer) -> None:
    """What the page documents: store, then acknowledge."""
    request = await peer.request()
    if request is None:
        return
    peer.receiver.stored.append(request)
    await peer.send(_plain(200, SUCCESS, "content-type: application/json"))


def answer(status: int, body: bytes = b"", *headers: str) -> Behaviour:
    """Take the request and answer this."""

    async def behaviour(peer: Peer) -> None:
        if await peer.request() is not None:
            await peer.send(_plain(status, body, *headers))

    return behaviour


def stores_and_answers(status: int, body: bytes, *headers: str) -> Behaviour:
    """Store as the good one does, and acknowledge it in these words."""

    async def behaviour(peer: Peer) -> None:
        request = await peer.request()
        if request is not None:
            peer.receiver.stored.append(request)
            await peer.send(_plain(status, body, *headers))

    return behaviour


def raw(reply: bytes) -> Behaviour:
    """Take the request, answer these bytes, close."""

    async def behaviour(peer: Peer) -> None:
        if await peer.request() is not None:
            await peer.send(reply)
        peer.writer.close()

    return behaviour


def choose(pick: Callable[[Request], tuple[int, bytes]]) -> Behaviour:
    """Let the request decide on status and body; the documented success counts as stored."""

    async def behaviour(peer: Peer) -> None:
        request = await peer.request()
        if request is None:
            return
        status, body = pick(request)
        if (status, body) == (200, SUCCESS):
            peer.receiver.stored.append(request)
        await peer.send(_plain(status, body))

    return behaviour


async def never_reads(peer: Peer) -> None:
    """Accept, and neither read nor answer."""
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.Event().wait()


async def silence(peer: Peer) -> None:
    """Take the request and never answer."""
    await peer.request()
    await asyncio.Event().wait()


def trickle(seconds: float) -> Behaviour:
    """Answer the documented reply, a byte at a time."""

    async def behaviour(peer: Peer) -> None:
        if await peer.request() is None:
            return
        for byte in _plain(200, SUCCESS):
            await peer.send(bytes([byte]))
            await asyncio.sleep(seconds)  # the slowness is the behaviour itself; no test waits for it

    return behaviour


async def reset_in_request(peer: Peer) -> None:
    await peer.reader.readexactly(100)
    peer.reset()


async def reset_in_reply(peer: Peer) -> None:
    if await peer.request() is not None:
        await peer.send(_plain(200, SUCCESS)[:-10])
    peer.reset()


async def endless(peer: Peer) -> None:
    """A reply of 1 GB."""
    if await peer.request() is None:
        return
    await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")
    await _pour(peer)


async def endless_chunks(peer: Peer) -> None:
    """1 GB in chunks, without a length that would tell beforehand."""
    if await peer.request() is None:
        return
    await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    await _pour(peer, b"4000\r\n", b"\r\n")


async def _pour(peer: Peer, before: bytes = b"", after: bytes = b"") -> None:
    piece = before + b" " * 0x4000 + after
    for _ in range(1 << 16):
        await peer.send(piece)
        peer.receiver.sent += len(piece)


@cache
def _bomb() -> bytes:
    """47 KB that are 48 MB."""
    return gzip.compress(b" " * (48 << 20) + SUCCESS)


def bomb() -> Behaviour:
    return answer(200, _bomb(), "content-encoding: gzip", "content-type: application/json")
