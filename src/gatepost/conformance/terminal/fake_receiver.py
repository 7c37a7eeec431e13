"""A receiver that keeps or breaks the protocol on request. A terminal under examination pushes to it.

Rules:

- It keeps the protocol unless told otherwise. Faults apply to the next new event: one fault per push of that event.
  Every later push is acknowledged, so that nothing is lost.
- Everything that arrives is kept, with the reply, in the order of arrival.
- It can stop listening and start again at the same address, as in an outage.

Flow: connection → ``_serve`` → request read → :class:`ReceivedPush` → the reply, or the fault.
"""

import asyncio
import hashlib
import json
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from gatepost.errors import GatepostError
from gatepost.wire import SUCCESS, encode_reply

__all__ = ["ReceivedPush", "ReplyFault", "ListenError", "FakeReceiver"]

MAX_HEAD = 64 * 1024
MAX_BODY = 32 * 1024 * 1024


class ListenError(GatepostError):
    """The address to listen at is not available."""


class ReplyFault(StrEnum):
    """Name what may happen to a push instead of an acknowledgement."""

    REFUSED = "refused"
    """HTTP 200 with ``code`` 500: the documented failure."""
    HTTP_ERROR = "http-error"
    """HTTP 503 without a body."""
    NO_REPLY = "no-reply"
    """HTTP 200 with HTML, as from a captive portal. By the protocol page that is no reply."""
    HANG = "hang"
    """The push is read, and there is no response."""
    RESET = "reset"
    """The push is read, and the connection reset."""
    REFUSED_400 = "refused with HTTP 400"
    """HTTP 400 with ``code`` 400 in the page's JSON."""
    PAGE_403 = "a page with HTTP 403"
    """HTML, as from a proxy or a firewall. So are the next four."""
    PAGE_404 = "a page with HTTP 404"
    PAGE_405 = "a page with HTTP 405"
    PAGE_413 = "a page with HTTP 413"
    PAGE_502 = "a page with HTTP 502"
    CREATED = "HTTP 201"
    """An acknowledgement in another form than the page's example, like all that follow."""
    ACCEPTED = "HTTP 202"
    BOM = "a byte order mark"
    UTF_16 = "UTF-16"
    GBK = "a message in GBK"
    NULS = "NULs behind the JSON"
    BLANKS = "blanks around the JSON"
    BARE_LF = "bare LF line ends"
    TWO_LENGTHS = "two equal Content-Lengths"


class ReceivedPush(Struct, frozen=True):
    """One push that arrived completely."""

    at: float
    """Seconds of a monotonic clock."""
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes
    event: dict[str, Any] | None
    """The JSON object; ``None`` if the body is none."""
    name: str
    """Identifies the event: the ``uuid``, the alarm's ``trace_id`` and ``status``, or a digest of the body."""
    answered: str
    """``ok``, or the fault."""

    def header(self, name: str) -> str:
        return dict(self.headers).get(name, "")

    @property
    def data(self) -> dict[str, Any]:
        data = (self.event or {}).get("data")
        return data if isinstance(data, dict) else {}

    @property
    def timestamp(self) -> float | None:
        """Return when the event happened by the terminal's clock, in Unix seconds."""
        value = self.data.get("timestamp", self.data.get("event_time"))
        if not isinstance(value, int | float):
            return None
        return value / 1000 if value >= 1e11 else float(value)


class FakeReceiver:
    """Listens at ``host`` and ``port`` (0: any free port). ``clock`` counts seconds."""

    def __init__(self, host: str, port: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.host = host
        self.port = port
        self.arrived: list[ReceivedPush] = []
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._plan: list[ReplyFault] = []
        self._victim: str | None = None
        self.everything: ReplyFault | None = None
        """The fault of every push while it is set."""
        self._changed = asyncio.Condition()

    async def open(self) -> None:
        """Listen. Raises ListenError."""
        try:
            self._server = await asyncio.start_server(
                self._serve, self.host, self.port, limit=MAX_HEAD, reuse_address=True
            )
        except OSError as error:
            raise ListenError(
                f"cannot listen at {self.host}:{self.port} ({error.strerror or error}); choose another --listen"
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut every connection. Later ones are refused. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await server.wait_closed()

    def misbehave(self, *hows: ReplyFault) -> None:
        """Apply these faults to the next new event, one per push. No fault: take them back."""
        self._plan = list(hows)
        self._victim = None

    @property
    def victim(self) -> str | None:
        """Return the name of the event with the faults; ``None`` until it came."""
        return self._victim

    def names(self) -> set[str]:
        """Return the names of all events that arrived."""
        return {push.name for push in self.arrived}

    async def wait(self, until: Callable[[], bool], *, timeout_s: float) -> bool:
        """Wait until ``until()`` is true, checked at each arrival. Return whether it became true."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(until)
        return until()

    async def quiet(self, seconds: float, *, timeout_s: float) -> bool:
        """Wait until nothing has arrived for ``seconds``. Return whether that happened in time."""
        ends = self._clock() + timeout_s
        while self._clock() < ends:
            count = len(self.arrived)
            if not await self.wait(lambda count=count: len(self.arrived) > count, timeout_s=seconds):  # type: ignore[misc]
                return True
        return False

    # -- a connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (a server's callback is a task)
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
                while await self._one(reader, writer):
                    pass
        except asyncio.CancelledError:
            pass  # the receiver closes
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        raw = await reader.readuntil(b"\r\n\r\n")
        first, *rest = raw.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in rest if line)
        headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
        if dict(headers).get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await _body(reader, dict(headers))
        push = await self._take(method, path, headers, body)
        return await self._answer(push, writer)

    async def _take(
        self, method: str, path: str, headers: tuple[tuple[str, str], ...], body: bytes
    ) -> ReceivedPush:
        event = _event(body)
        name = _name(event, body)
        answered = "ok"
        if self.everything is not None:
            answered = self.everything.value
        elif self._plan and (name == self._victim or (self._victim is None and name not in self.names())):
            answered, self._victim = self._plan.pop(0).value, name
        push = ReceivedPush(self._clock(), method, path, headers, body, event, name, answered)
        async with self._changed:
            self.arrived.append(push)
            self._changed.notify_all()
        return push

    async def _answer(self, push: ReceivedPush, writer: asyncio.StreamWriter) -> bool:
        if push.answered == ReplyFault.HANG:
            await asyncio.Event().wait()  # until the receiver closes; the terminal gives up earlier
        if push.answered == ReplyFault.RESET:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        writer.write(_REPLIES[push.answered])
        await writer.drain()
        return "close" not in push.header("connection").lower()


def _reply(status: str, body: bytes, kind: str = "application/json", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _page(status: str) -> bytes:
    return _reply(status, f"<html><body><h1>{status}</h1></body></html>".encode(), "text/html")


_OK = _reply("200 OK", SUCCESS)
_IN_GBK = '{"code":200,"message":"成功","data":{}}'.encode("gbk")

_REPLIES = {
    "ok": _OK,
    ReplyFault.REFUSED_400: _reply("400 Bad Request", encode_reply(400, "gatepost check refuses this once")),
    ReplyFault.PAGE_403: _page("403 Forbidden"),
    ReplyFault.PAGE_404: _page("404 Not Found"),
    ReplyFault.PAGE_405: _page("405 Method Not Allowed"),
    ReplyFault.PAGE_413: _page("413 Content Too Large"),
    ReplyFault.PAGE_502: _page("502 Bad Gateway"),
    ReplyFault.CREATED: _reply("201 Created", SUCCESS),
    ReplyFault.ACCEPTED: _reply("202 Accepted", SUCCESS),
    ReplyFault.BOM: _reply("200 OK", b"\xef\xbb\xbf" + SUCCESS),
    ReplyFault.UTF_16: _reply("200 OK", SUCCESS.decode().encode("utf-16")),
    ReplyFault.GBK: _reply("200 OK", _IN_GBK, "application/json; charset=gbk"),
    ReplyFault.NULS: _reply("200 OK", SUCCESS + b"\0\0"),
    ReplyFault.BLANKS: _reply("200 OK", b"\r\n \t" + SUCCESS + b" \r\n"),
    ReplyFault.BARE_LF: _OK.replace(b"\r\n", b"\n"),
    ReplyFault.TWO_LENGTHS: _reply("200 OK", SUCCESS, "application/json", f"Content-Length: {len(SUCCESS)}"),
    ReplyFault.REFUSED: _reply("200 OK", encode_reply(500, "gatepost check refuses this once")),
    ReplyFault.HTTP_ERROR: _reply("503 Service Unavailable", b""),
    ReplyFault.NO_REPLY: _reply("200 OK", b"<html><body>Please log in</body></html>", "text/html"),
}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", "").lower():
        length = int(headers.get("content-length", "0"))
        if length > MAX_BODY:
            raise ValueError("too large")
        return await reader.readexactly(length)
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        if len(body) + size > MAX_BODY:
            raise ValueError("too large")
        body += (await reader.readexactly(size + 2))[:-2]
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return bytes(body)


def _event(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _name(event: dict[str, Any] | None, body: bytes) -> str:
    data = (event or {}).get("data")
    if isinstance(data, dict):
        if data.get("uuid"):
            return f"uuid {data['uuid']}"
        if data.get("trace_id"):
            return f"trace_id {data['trace_id']}, status {data.get('status')}"
        body = msgspec.json.encode(data)
    return f"digest {hashlib.sha256(body).hexdigest()[:16]}"
