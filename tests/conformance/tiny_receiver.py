"""A receiver of some fifty lines that keeps the contract, with a place to break it at.

Rules: it listens on 127.0.0.1; ``decide`` says what a push that arrived whole gets; a subclass may break what lies
below, down to the bytes. It stores nothing.

    async with TinyReceiver(lambda push: reply(201)) as receiver: …
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

GOOD = {"code": 200, "message": "success", "data": {}}
BAD = {"code": 400, "message": "no event", "data": {}}


@dataclass
class Push:
    """What arrived."""

    headers: dict[str, str]
    body: bytes
    event: Any
    """The JSON value; None where it is no JSON object."""

    @property
    def data(self) -> dict[str, Any]:
        return self.event.get("data", {}) if isinstance(self.event, dict) else {}

    @property
    def user(self) -> dict[str, Any]:
        return self.data.get("user") or {}


def reply(
    status: int = 200, value: Any = GOOD, *headers: str, kind: str | None = "application/json"
) -> bytes:
    """Write a response; ``value`` is JSON, or bytes as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    if kind:
        lines.append(f"Content-Type: {kind}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def good(push: Push) -> bytes:
    """What the page says."""
    return reply() if push.event is not None else reply(400, BAD)


def refusing(broken: Callable[[Push], bool]) -> Decide:
    """Refuse, with the documented reply, what ``broken`` is true of."""

    def decide(push: Push) -> bytes:
        return reply(400, BAD) if push.event is not None and broken(push) else good(push)

    return decide


Decide = Callable[[Push], bytes | None]


@dataclass
class TinyReceiver:
    """``decide`` answers the response, or None to close the connection without one."""

    decide: Decide = good
    tls: ssl.SSLContext | None = None
    port: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=self.tls, limit=1 << 23, backlog=128
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/Record"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await self.connection(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if self.tls else writer.close()

    # -- what a subclass may break

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection."""
        while await self.one(reader, writer):
            pass

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; answer whether another may follow."""
        headers = await self.head(reader)
        if headers is None:
            return False
        if "expect" in headers:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        response = self.decide(self.push(headers, await self.body(reader, headers)))
        if response is None:
            return False
        writer.write(response)
        await writer.drain()
        return True

    async def head(self, reader: asyncio.StreamReader) -> dict[str, str] | None:
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        pairs = (line.partition(":") for line in raw.decode().split("\r\n")[1:] if line)
        return {name.lower(): value.strip() for name, _, value in pairs}

    async def body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await reader.readexactly(int(headers.get("content-length", "0")))
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return body

    def push(self, headers: dict[str, str], body: bytes) -> Push:
        return Push(headers, body, self.event(body))

    def event(self, body: bytes) -> Any:
        """Read an event; of what is only nearly one, or of several, that it is some."""
        try:
            event = json.loads(re.sub(rb",(\s*})", rb"\1", body))
        except ValueError:
            begins, ends = body.lstrip(b"\xef\xbb\xbf")[:1], body.strip(b"\0 \t\r\n")[-1:]
            return {"data": {}} if (begins, ends) in ((b"{", b"}"), (b"[", b"]")) else None
        event = event[0] if isinstance(event, list) and event else event
        return event if isinstance(event, dict) else None
