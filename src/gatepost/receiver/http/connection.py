"""One connection: uvicorn's HTTP/1.1 protocol, kept by the rules of :mod:`gatepost.receiver.http.limits`.

Flow: bytes → httptools → ``on_*`` here → :class:`Request` for the ingest, which answers by a call, or
:class:`WholeRequest` for every other application, in a task of uvicorn's → reply.
"""

from __future__ import annotations

import asyncio
import contextlib
import urllib.parse
from collections import deque
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Any

import httptools
from msgspec import structs
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gatepost.receiver.http.limits import Counted, Guard, Refusal, Request, response
from gatepost.receiver.http.parser_errors import why_refused
from gatepost.receiver.http.redact import SAMPLED_BYTES
from gatepost.wire import SUCCESS, encode_reply

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, HTTPScope
    from uvicorn.config import Config
    from uvicorn.server import ServerState

__all__ = ["MAX_PIPELINED", "TOO_MANY", "GuardedProtocol", "State", "WholeRequest"]

MAX_PIPELINED = 16
"""Requests of one connection that wait for their turn. Beyond them the socket is not read."""

REQUEST_BYTES = 4096
"""What a request that waits is counted with, besides its head and its body."""

TOO_MANY = "too many connections are open; try again later"

_END_OF_HEAD = b"\r\n\r\n"
"""It stands at the end of each head once, and before it nothing that could pass for a part of it."""


class State(Enum):
    """What a connection is waiting for."""

    IDLE = "the first byte of a request"
    HEAD = "the end of a head"
    BODY = "the end of a body"
    REFUSED = "a refused sender to stop"


# Asked for a dozen times a request; to look a member up in its class takes three times as long.
_IDLE, _HEAD, _BODY, _REFUSED = State


class _Refuse(Exception):
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


class GuardedProtocol(HttpToolsProtocol):
    """One connection: uvicorn's protocol with the rules of this module."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        guard: Guard,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.guard = guard
        self.limits = guard.limits
        self.address = ""
        self.certified = False
        self.before: Counted | None = None
        """What was counted in its place until its handshake was done."""
        self.state = _IDLE
        self.deadline = inf
        self.busy = False
        """Whether somebody is working on a request of this connection."""
        self.served_at = -inf
        self.arriving_bytes = 0
        self._working_bytes = 0
        self._message_bytes = 0
        self._unread = b""
        """What was received and not parsed, because enough requests of this connection wait."""
        self._unread_from = 0
        self._is_reading_on = False
        self._chunks: list[bytes] = []
        self._lengths: list[bytes] = []
        self._codings: list[bytes] = []
        self._hosts = 0
        self._header_bytes = 0
        self._keep_alive = True
        self._pipelined: deque[tuple[Request | WholeRequest, bool, int]] = deque()
        """Requests that wait, whether the connection stays open after each, and how many bytes each takes."""
        self._pumping = False
        self._refusal: tuple[int, str] | None = None
        self._without_body: Refusal | None = None
        """Of a request that was refused before anything of its body was there."""

    # The transport's side.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self.certified = bool(transport.get_extra_info("peercert"))
        if self.before is not None:
            self.guard.leave(self.before)
            self.before = None
        self.deadline = self.guard.now() + self.limits.head_s
        if not self.guard.admit(self):
            self.refuse(503, TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        self.guard.leave(self)
        self._forget_waiting()
        self._forget_arriving()
        self._forget_working()
        self.deadline = inf
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.state is _REFUSED:
            self._message_bytes += len(data)
            if self._message_bytes > 2 * self.limits.body_bytes:
                self.abort()
            elif self._without_body is not None:
                self.guard.on_refused_body(structs.replace(self._without_body, body=data))
                self._without_body = None
            return
        first = data.find(_END_OF_HEAD)
        if not self._unread and (first < 0 or data.find(_END_OF_HEAD, first + len(_END_OF_HEAD)) < 0):
            self._parse(data)
            return
        # Several requests came in one go, and their number is the sender's choice. They are parsed one by one.
        self._unread = self._unread[self._unread_from :] + data
        self._unread_from = 0
        self.guard.bodies_bytes += len(data)
        self._read_on()
        if self._unread and self.guard.bodies_bytes > self.limits.bodies_bytes:
            self.refuse(503, "too much is arriving at once; send it again later")

    def _read_on(self) -> None:
        """Parse what was received, up to as many requests as may wait; then it is the turn of other connections."""
        if self._is_reading_on:
            return
        self._is_reading_on = True
        pieces = 0
        while self._unread and not (self._is_blocked() or self.transport.is_closing()):
            if pieces == MAX_PIPELINED:
                self.flow.pause_reading()
                self.loop.call_soon(self._read_on)
                break
            pieces += 1
            # Such a piece has the end of a body and a head behind it at most: two requests.
            end = self._unread.find(_END_OF_HEAD, self._unread_from)
            end = len(self._unread) if end < 0 else end + len(_END_OF_HEAD)
            piece = self._unread[self._unread_from : end]
            self.guard.bodies_bytes -= len(piece)
            self._unread_from = end
            if end == len(self._unread):
                self._unread, self._unread_from = b"", 0
            self._parse(piece)
        self._is_reading_on = False
        if not (self._unread or self.busy or self.state is _REFUSED or self.transport.is_closing()):
            self._wait()

    def _is_blocked(self) -> bool:
        """Tell whether no more requests of this connection should be parsed now."""
        guard = self.guard
        if self.flow.write_paused:
            return True
        if not self.busy:
            return False
        return len(self._pipelined) + 2 > MAX_PIPELINED or guard.bodies_bytes > self.limits.bodies_bytes

    def _parse(self, data: bytes) -> None:
        self._message_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # not offered (RFC 9110, section 7.8), and the connection ends with the reply
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, _Refuse):
                # Unless another request ended in it, what follows the head in these bytes is the body.
                ours = self.state is _BODY and self._message_bytes >= len(data)
                behind = data.partition(_END_OF_HEAD)[2] or self._unread[self._unread_from :]
                self.refuse(cause.status, cause.message, behind if ours else b"")
            else:
                self.refuse(400, f"this is no HTTP/1.1 request: {why_refused(data, str(error))}")
            return
        if self.state is _HEAD and self._message_bytes > self.limits.head_bytes:
            self.refuse(431, f"the head of a request is limited to {self.limits.head_bytes} bytes")
        elif self.state is _BODY and self._message_bytes > 2 * (
            self.limits.body_bytes + self.limits.head_bytes
        ):
            # Chunk extensions and trailers count: they are no body, but they are work.
            self.refuse(413, f"a body is limited to {self.limits.body_bytes} bytes")

    def eof_received(self) -> bool | None:  # type: ignore[override] # asyncio's own signature
        """The sender ends its side. A push that is being stored is still answered."""
        if self.busy and (self.cycle is None or self.cycle.response_complete):
            self._keep_alive = False
            self._forget_waiting()
            return True
        return None

    def pause_writing(self) -> None:
        super().pause_writing()
        self.flow.pause_reading()  # who does not read replies is sent no more of them
        self.deadline = self.guard.now() + self.limits.body_s

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.busy:
            self.deadline = inf
        elif self._unread:
            self._read_on()
        elif self.state is not _REFUSED:
            self._wait()

    def shutdown(self) -> None:
        """The server stops: what is being worked on is still answered."""
        if self.busy:
            self._keep_alive = False
            self._forget_waiting()
            if self.cycle is not None:
                self.cycle.keep_alive = False
        else:
            self.transport.close()

    # The parser's side.

    def on_message_begin(self) -> None:
        self.state = _HEAD
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
        if self.state is not _HEAD:
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
        self.state = _BODY
        self.deadline = self.guard.now() + self.limits.body_s
        limits = self.limits
        version = self.parser.get_http_version()
        if version != "1.1" and version != "1.0":
            raise _Refuse(505, "speak HTTP/1.1")
        if self._hosts != 1 and (self._hosts or version == "1.1"):
            raise _Refuse(400, "a request needs exactly one Host header")
        if len(self.headers) > limits.header_count or self._header_bytes + len(self.url) > limits.head_bytes:
            raise _Refuse(
                431, f"a request has at most {limits.header_count} headers in {limits.head_bytes} bytes"
            )
        if self._codings:
            if (
                self._lengths
                or len(self._codings) > 1
                or version == "1.0"
                or self._codings[0].lower() != b"chunked"
            ):
                raise _Refuse(400, "send Content-Length or 'Transfer-Encoding: chunked', and nothing else")
        elif self._lengths:
            length = self._lengths[0]
            if len(self._lengths) > 1 or not length.isdigit():
                raise _Refuse(400, "send exactly one Content-Length, in digits")
            if len(length) > 15 or int(length) > limits.body_bytes:
                raise _Refuse(413, f"a body is limited to {limits.body_bytes} bytes")
        if self.expect_100_continue and not self.busy:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        guard, size = self.guard, len(body)
        self.arriving_bytes += size
        guard.bodies_bytes += size
        if self.arriving_bytes > self.limits.body_bytes:
            raise _Refuse(413, f"a body is limited to {self.limits.body_bytes} bytes")
        if guard.bodies_bytes > self.limits.bodies_bytes and not guard.make_room(self):
            raise _Refuse(503, "too much is arriving at once; send it again later")
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        size, self.arriving_bytes = self.arriving_bytes, 0
        self._message_bytes = 0
        self.state = _IDLE
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
            raise _Refuse(400, "the address of the request is no path") from None
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

    # The application's side.

    def _begin(self, request: Request | WholeRequest, keep_alive: bool, size: int) -> None:
        self.busy = True
        self._working_bytes = size
        self._keep_alive = keep_alive
        if isinstance(request, WholeRequest):
            self.cycle = request
            self._start_asgi_task(request, self.app)
        else:
            self.guard.take(request)

    def _pump(self) -> None:
        """Begin with the next of the requests that came in one go; a loop, for each may be answered at once."""
        if self._pumping:
            return
        self._pumping = True
        while self._pipelined and not self.busy:
            self._begin(*self._pipelined.popleft())
        self._pumping = False

    def _answer(self, status: int, body: bytes) -> None:
        """The reply to a :class:`Request`."""
        transport = self.transport
        if transport.is_closing():
            return
        headers = self.server_state.default_headers
        if status == 200 and body is SUCCESS and self._keep_alive:
            transport.write(self.guard.success(headers))
        else:
            headers = list(headers)
            if status == 503:
                headers.append((b"retry-after", b"%d" % self.limits.retry_after_s))
            elif status == 405:
                headers.append((b"allow", b"POST"))
            if not self._keep_alive:
                headers.append((b"connection", b"close"))
            transport.write(response(status, body, headers))
            if not self._keep_alive:
                transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        now = self.guard.now()
        self.served_at = now
        self.busy = False
        self._forget_working()
        if self.transport.is_closing():
            self.deadline = now + self.limits.linger_s
            return
        if self._pipelined:
            self._pump()
        elif self._refusal is not None:
            self._send_refusal(*self._refusal)
        elif self._unread:
            self._read_on()
        else:
            self._wait()

    def _wait(self) -> None:
        """Wait for more of the sender: nothing of it is being worked on."""
        if self.flow.write_paused:
            return
        self.flow.resume_reading()
        # A request that had begun to arrive was not read meanwhile: its time starts anew.
        limits, now = self.limits, self.guard.now()
        if self.state is _IDLE:
            self.deadline = now + limits.idle_s
        else:
            self.deadline = now + (limits.head_s if self.state is _HEAD else limits.body_s)

    def _whole_answered(self) -> None:
        # A connection may be silent for minutes, and what was asked for was a person, or had a token with it.
        self.cycle = None  # type: ignore[assignment]  # uvicorn looks whether there is one
        if self.state is _IDLE:
            self.url, self.headers = b"", []
        self.on_response_complete()

    # Endings.

    def refuse(self, status: int, message: str, body: bytes = b"") -> None:
        """Reply in the documented shape and end the connection, after the replies that are under way.

        ``body``: what arrived of the body without being read.
        """
        if self.state is _REFUSED:
            return
        scope = None
        if self.state is _BODY:
            with contextlib.suppress(_Refuse):
                scope = self._make_scope()
        self.state = _REFUSED
        refusal = Refusal(status, message, self.address, scope, self._beginning() or body)
        self._forget_unread()
        self._without_body = None if scope is None or refusal.body else refusal
        self._forget_arriving()
        self.guard.counts[f"refused.{status}"] += 1
        self.guard.on_refused(refusal)
        if self.busy:
            self._refusal = (status, message)
            self.deadline = inf
        else:
            self._send_refusal(status, message)

    def _send_refusal(self, status: int, message: str) -> None:
        headers = [*self.server_state.default_headers, (b"connection", b"close")]
        if status == 503:
            headers.append((b"retry-after", b"%d" % self.limits.retry_after_s))
        self.transport.write(response(status, encode_reply(status, message), headers))
        self.deadline = self.guard.now() + self.limits.linger_s
        # To close with unread bytes makes the kernel send a reset, which may overtake the reply. So only our
        # side ends now; what still arrives is thrown away until the sender ends or the time is over.
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
        else:
            self.transport.close()

    def expire(self) -> None:
        """The time is over for whatever this connection is waiting for."""
        if self.flow.write_paused or self.state is _REFUSED or self.transport.is_closing():
            self.abort()
        elif self.state is _IDLE:
            self.transport.close()
            self.deadline = self.guard.now() + self.limits.linger_s
        elif self.flow.read_paused:
            self.deadline = self.guard.now() + self.limits.head_s  # it is us who do not read
        else:
            self.refuse(408, f"the {self.state.name.lower()} of the request took too long")

    def abort(self) -> None:
        """Cut the connection."""
        self.deadline = inf
        self.transport.abort()

    def _beginning(self) -> bytes:
        """Join as many of the chunks that are there as a sample can be made of."""
        size, taken = 0, []
        for chunk in self._chunks:
            taken.append(chunk)
            size += len(chunk)
            if size >= SAMPLED_BYTES:
                break
        return b"".join(taken)

    def _forget_unread(self) -> None:
        self.guard.bodies_bytes -= len(self._unread) - self._unread_from
        self._unread, self._unread_from = b"", 0

    def _forget_waiting(self) -> None:
        self._forget_unread()
        self.guard.bodies_bytes -= sum(size for _, _, size in self._pipelined)
        self._pipelined.clear()

    def _forget_working(self) -> None:
        self.guard.bodies_bytes -= self._working_bytes
        self._working_bytes = 0

    def _forget_arriving(self) -> None:
        self.guard.bodies_bytes -= self.arriving_bytes
        self.arriving_bytes = 0
        self._chunks = []
