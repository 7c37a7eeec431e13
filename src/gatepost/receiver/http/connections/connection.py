"""One connection: uvicorn's HTTP/1.1 protocol, kept by the rules of :mod:`gatepost.receiver.http.connections.limits`.

Flow: bytes → :class:`~gatepost.receiver.http.connections.request_reader.RequestReader` → ``_begin``: the ingest, which
answers by a call, or every other application, in a task of uvicorn's → reply.
"""

from __future__ import annotations

import asyncio
import contextlib
from math import inf
from typing import TYPE_CHECKING, Any

import httptools
from msgspec import structs

from gatepost.receiver.http.connections.limits import Counted, Guard, Refusal, Request, response
from gatepost.receiver.http.connections.parser_errors import why_refused
from gatepost.receiver.http.connections.request_reader import (
    BODY,
    HEAD,
    IDLE,
    REFUSED,
    RequestReader,
    RequestRefused,
    WholeRequest,
)
from gatepost.wire import SUCCESS, encode_reply

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

__all__ = ["MAX_PIPELINED", "TOO_MANY", "GuardedProtocol"]

MAX_PIPELINED = 16
"""Requests of one connection that wait for their turn. Beyond them the socket is not read."""

TOO_MANY = "too many connections are open; try again later"

_END_OF_HEAD = b"\r\n\r\n"
"""It stands at the end of each head once, and before it nothing that could pass for a part of it."""


class GuardedProtocol(RequestReader):
    """One connection: whose turn it is, what it may take, and how it ends."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        guard: Guard,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop, guard=guard)
        self.before: Counted | None = None
        """What was counted in its place until its handshake was done."""
        self.served_at = -inf
        self._working_bytes = 0
        self._unread = b""
        """What was received and not parsed, because enough requests of this connection wait."""
        self._unread_from = 0
        self._is_reading_on = False
        self._keep_alive = True
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
        if self.state is REFUSED:
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
        if not (self._unread or self.busy or self.state is REFUSED or self.transport.is_closing()):
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
            if isinstance(cause, RequestRefused):
                # Unless another request ended in it, what follows the head in these bytes is the body.
                ours = self.state is BODY and self._message_bytes >= len(data)
                behind = data.partition(_END_OF_HEAD)[2] or self._unread[self._unread_from :]
                self.refuse(cause.status, cause.message, behind if ours else b"")
            else:
                self.refuse(400, f"this is no HTTP/1.1 request: {why_refused(data, str(error))}")
            return
        if self.state is HEAD and self._message_bytes > self.limits.head_bytes:
            self.refuse(431, f"the head of a request is limited to {self.limits.head_bytes} bytes")
        elif self.state is BODY and self._message_bytes > 2 * (
            self.limits.body_bytes + self.limits.head_bytes
        ):
            # Chunk extensions and trailers count: they are no body, but they are work.
            self.refuse(413, f"a body is limited to {self.limits.body_bytes} bytes")

    def eof_received(self) -> bool | None:  # type: ignore[override] # asyncio's own signature
        """Note that the sender ends its side. A push that is being stored still gets its reply."""
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
        elif self.state is not REFUSED:
            self._wait()

    def shutdown(self) -> None:
        """Stop with the server. Requests that are being worked on still get their replies."""
        if self.busy:
            self._keep_alive = False
            self._forget_waiting()
            if self.cycle is not None:
                self.cycle.keep_alive = False
        else:
            self.transport.close()

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
        """Send the reply to a :class:`Request`."""
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
        if self.state is IDLE:
            self.deadline = now + limits.idle_s
        else:
            self.deadline = now + (limits.head_s if self.state is HEAD else limits.body_s)

    def _whole_answered(self) -> None:
        # A connection may be silent for minutes, and what was asked for was a person, or had a token with it.
        self.cycle = None  # type: ignore[assignment]  # uvicorn looks whether there is one
        if self.state is IDLE:
            self.url, self.headers = b"", []
        self.on_response_complete()

    # Endings.

    def refuse(self, status: int, message: str, body: bytes = b"") -> None:
        """Reply in the documented shape and end the connection, after the replies that are under way.

        ``body``: what arrived of the body without being read.
        """
        if self.state is REFUSED:
            return
        scope = None
        if self.state is BODY:
            with contextlib.suppress(RequestRefused):
                scope = self._make_scope()
        self.state = REFUSED
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
        """End the connection: its time is over, whatever it waits for."""
        if self.flow.write_paused or self.state is REFUSED or self.transport.is_closing():
            self.abort()
        elif self.state is IDLE:
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
