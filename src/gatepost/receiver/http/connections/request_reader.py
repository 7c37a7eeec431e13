"""Read the requests of one connection, by rules for their heads and bodies.

Flow: bytes → httptools → ``on_*`` here → :class:`~gatepost.receiver.http.connections.limits.Request` for the ingest, or
:class:`WholeRequest` for every other application → ``_begin``, or a place in ``_pipelined``.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from abc import ABC, abstractmethod
from collections import deque
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gatepost.receiver.http.connections.limits import Guard, Request
from gatepost.receiver.http.redact import SAMPLED_BYTES

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, HTTPScope
    from uvicorn.config import Config
    from uvicorn.server import ServerState

__all__ = ["BODY", "HEAD", "IDLE", "REFUSED", "RequestReader", "RequestRefused", "State", "WholeRequest"]

REQUEST_BYTES = 4096
"""Bytes that a waiting request is counted with in addition to its head and its body."""


class State(Enum):
    """States of a connection, each with what it waits for."""

    IDLE = "the first byte of a request"
    HEAD = "the end of a head"
    BODY = "the end of a body"
    REFUSED = "a refused sender to stop"


# Asked for a dozen times a request; to look a member up in its class takes three times as long.
IDLE, HEAD, BODY, REFUSED = State


class RequestRefused(Exception):
    """Leaves the parser with status and message of the reply."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


class WholeRequest(RequestResponseCycle):
    """A request whose body is there in full before the application starts."""

    whole: bytes | None = None

    async def receive(self) -> ASGIReceiveEvent:
        if self.whole is not None:
            body, self.whole = self.whole, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self.disconnected and not self.response_complete:
            await self.message_event.wait()
        return {"type": "http.disconnect"}


class RequestReader(HttpToolsProtocol, ABC):
    """The parser's side of a connection: what it read, and how much."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        guard: Guard,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self.guard = guard
        self.limits = guard.limits
        self.address = ""
        self.certified = False
        self.state = IDLE
        self.deadline = inf
        self.busy = False
        """True while a request of this connection is being worked on."""
        self.arriving_bytes = 0
        self._message_bytes = 0
        self._chunks: list[bytes] = []
        self._lengths: list[bytes] = []
        self._codings: list[bytes] = []
        self._hosts = 0
        self._header_bytes = 0
        self._pipelined: deque[tuple[Request | WholeRequest, bool, int]] = deque()
        """Requests that wait, whether the connection stays open after each, and how many bytes each takes."""

    # The application's side, see GuardedProtocol.

    @abstractmethod
    def _begin(self, request: Request | WholeRequest, keep_alive: bool, size: int) -> None:
        """Work on a request; ``size``: bytes of its body."""

    @abstractmethod
    def _answer(self, status: int, body: bytes) -> None:
        """Send the reply to a :class:`~gatepost.receiver.http.connections.limits.Request`."""

    @abstractmethod
    def _whole_answered(self) -> None:
        """Note that a :class:`WholeRequest` has its response."""

    # The parser's side.

    def on_message_begin(self) -> None:
        self.state = HEAD
        self.deadline = self.guard.now() + self.limits.head_s
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._hosts = 0
        self._header_bytes = 0
        if self._lengths or self._codings:
            self._lengths = []
            self._codings = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.state is not HEAD:
            return  # a trailer must not pass for a header (RFC 9110, section 6.5.1)
        name = name.lower()
        self._header_bytes += len(name) + len(value)
        if name == b"content-length":
            self._lengths.append(value)
        elif name == b"host":
            self._hosts += 1
        elif name == b"transfer-encoding":
            self._codings.append(value)
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.state = BODY
        self.deadline = self.guard.now() + self.limits.body_s
        limits = self.limits
        version = self.parser.get_http_version()
        if version != "1.1" and version != "1.0":
            raise RequestRefused(505, "speak HTTP/1.1")
        if self._hosts != 1 and (self._hosts or version == "1.1"):
            raise RequestRefused(400, "a request needs exactly one Host header")
        if len(self.headers) > limits.header_count or self._header_bytes + len(self.url) > limits.head_bytes:
            raise RequestRefused(
                431, f"a request has at most {limits.header_count} headers in {limits.head_bytes} bytes"
            )
        if self._codings:
            if (
                self._lengths
                or len(self._codings) > 1
                or version == "1.0"
                or self._codings[0].lower() != b"chunked"
            ):
                raise RequestRefused(
                    400, "send Content-Length or 'Transfer-Encoding: chunked', and nothing else"
                )
        elif self._lengths:
            length = self._lengths[0]
            if len(self._lengths) > 1 or not length.isdigit():
                raise RequestRefused(400, "send exactly one Content-Length, in digits")
            if len(length) > 15 or int(length) > limits.body_bytes:
                raise RequestRefused(413, f"a body is limited to {limits.body_bytes} bytes")
        if self.expect_100_continue and not self.busy:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        guard, size = self.guard, len(body)
        self.arriving_bytes += size
        guard.bodies_bytes += size
        if self.arriving_bytes > self.limits.body_bytes:
            raise RequestRefused(413, f"a body is limited to {self.limits.body_bytes} bytes")
        if guard.bodies_bytes > self.limits.bodies_bytes and not guard.make_room(self):
            raise RequestRefused(503, "too much is arriving at once; send it again later")
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        size, self.arriving_bytes = self.arriving_bytes, 0
        self._message_bytes = 0
        self.state = IDLE
        self.deadline = inf
        parser, express = self.parser, self.guard.express
        keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
        request: Request | WholeRequest
        method = parser.get_method()
        if express is not None and method == b"POST" and express.wants(self.url):
            request = Request(
                method, self.url, self.headers, self.address, body, self._answer, self.certified
            )
        else:
            request = self._whole(body, keep_alive)
        if self.busy:
            self.flow.pause_reading()
            waits = REQUEST_BYTES + self._header_bytes
            self.guard.bodies_bytes += waits
            self._pipelined.append((request, keep_alive, size + waits))
        else:
            self._begin(request, keep_alive, size)

    def _make_scope(self) -> HTTPScope:
        try:
            url = httptools.parse_url(self.url)
        except httptools.HttpParserInvalidURLError:
            raise RequestRefused(400, "the address of the request is no path") from None
        path = url.path.decode("latin-1") if url.path else "/"
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": self.parser.get_http_version(),
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": self.parser.get_method().decode("ascii"),
            "root_path": self.root_path,
            "path": self.root_path + (urllib.parse.unquote(path) if "%" in path else path),
            "raw_path": self.root_path.encode("latin-1") + path.encode("latin-1"),
            "query_string": url.query or b"",
            "headers": self.headers,
            "state": self.app_state.copy(),
            "extensions": {"tls": {}} if self.certified else {},
        }

    def _whole(self, body: bytes, keep_alive: bool) -> WholeRequest:
        cycle = WholeRequest(
            scope=self._make_scope(),
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=self._whole_answered,
        )
        cycle.whole = body
        cycle.more_body = False
        return cycle

    def _beginning(self) -> bytes:
        """Join as many of the chunks that are there as a sample can be made of."""
        size, taken = 0, []
        for chunk in self._chunks:
            taken.append(chunk)
            size += len(chunk)
            if size >= SAMPLED_BYTES:
                break
        return b"".join(taken)

    def _forget_arriving(self) -> None:
        self.guard.bodies_bytes -= self.arriving_bytes
        self.arriving_bytes = 0
        self._chunks = []
