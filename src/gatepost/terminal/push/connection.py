"""One connection to a receiver: one request at a time, given up when there is no more progress.

Rules:

- The kernel tells what the peer has acknowledged (``TCP_INFO``, Linux 4.1 and later). Without it, the bytes that the
  socket took count.
- The request under way is checked some times within its limits, which `progress` defines. A push with an immediate
  reply is never checked.
- A connection with any error is aborted and never used again.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from contextlib import suppress
from typing import cast

from msgspec import Struct

from gatepost.terminal.push.http_response import BadReply, HttpResponse, ResponseParser
from gatepost.terminal.push.progress import Pace, Progress

__all__ = ["Connection", "Timeouts", "TimedOut", "moved", "why"]

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)
_BYTES_ACKED, _BYTES_RECEIVED = slice(120, 128), slice(128, 136)
"""Their places in ``struct tcp_info`` of linux/tcp.h, as 64 bits."""


class Timeouts(Struct, frozen=True, kw_only=True):
    """Time limits of each phase of a request, in seconds."""

    connect_s: float = 10.0  # name and TCP together; then proxy and TLS without progress, see `progress`
    send_s: float = 30.0  # while the request is sent: without progress, see `progress`
    reply_s: float = 30.0  # once it is acknowledged: without progress, plus the allowance of `progress`
    idle_s: float = 15.0  # an idle connection is not used for longer: firewalls drop it silently
    kept_s: float = 300.0  # a connection gets no new requests after this: then the name is looked up again


class TimedOut(BadReply):
    """There was no more progress."""


class Connection(asyncio.Protocol):
    """A connection over the socket ``tcp``, one request at a time. It is in ``registry`` while it is open."""

    def __init__(self, registry: set[Connection], tcp: socket.socket) -> None:
        self._registry = registry
        self._tcp = tcp
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: ResponseParser | None = None
        self._answer: asyncio.Future[HttpResponse] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sending = False
        self._written = 0
        self._received = 0
        self.made = self._loop.time()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self.used = False
        self.reusable = False
        self.was_closed_unanswered = False

    async def exchange(self, request: bytes, limits: Timeouts, pace: Pace) -> HttpResponse:
        """Send a request and wait for the whole reply.

        Raise `BadReply` if there was none, `TimedOut` if there was no more progress.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            self.was_closed_unanswered = True
            raise BadReply("closed without a reply")
        self.used, self.reusable = True, False
        self._parser, self._answer = ResponseParser(), self._loop.create_future()
        self._sending, self._received = False, 0
        progress = Progress(
            len(request),
            acknowledged=self._acknowledged(),
            tick=self._loop.time(),
            send_s=limits.send_s,
            reply_s=limits.reply_s,
        )
        self._disarm()
        self._timer = self._loop.call_later(progress.first_look(), self._look, progress, pace)
        self._written += len(request)
        transport.write(request)
        try:
            return await self._answer
        finally:
            self._disarm()
            self._answer = None

    def rest(self, seconds: float) -> None:
        """Wait for the next request, ``seconds`` at most."""
        self._parser = None
        self._timer = self._loop.call_later(seconds, self.abort, "idle")

    def certificate(self) -> bytes | None:
        assert self._transport is not None  # noqa: S101 - called after the handshake
        tls = self._transport.get_extra_info("ssl_object")
        der: bytes | None = tls.getpeercert(binary_form=True)
        return der

    def abort(self, reason: str) -> None:
        """Close it at once. A request under way ends with this reason."""
        self._abort(BadReply(reason))

    def _abort(self, error: BadReply) -> None:
        self.reusable = False
        self._disarm()
        self._fail(error)
        if self._transport is not None:
            self._transport.abort()

    # -- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # those of uvloop do not inherit from it
        self._registry.add(self)
        # Report when the kernel did not take everything, and when it has. Not 0: the TLS
        # transport compares with >= and would always be "paused".
        self._transport.set_write_buffer_limits(high=1, low=0)

    def pause_writing(self) -> None:
        self._sending = True

    def resume_writing(self) -> None:
        self._sending = False

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._parser is None or self._answer is None or self._answer.done():
            self.abort("")  # no request is under way
            return
        try:
            if self._parser.feed(data):
                self._complete()
        except BadReply as error:
            self.abort(error.reason)

    def eof_received(self) -> bool:
        self._end("")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        self._disarm()
        self._end(why(exc) if exc is not None else "")
        self._registry.discard(self)
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(None)

    # -- ends

    def _end(self, reason: str) -> None:
        """End the request under way: the peer closed, or the connection broke."""
        if self._parser is None or self._answer is None or self._answer.done():
            self.reusable = False
            return
        if not self._parser.started:
            self.was_closed_unanswered = True
        if reason:
            self._fail(BadReply(reason))
            return
        try:
            self._parser.end_of_stream()
            self._complete()
        except BadReply as error:
            self._fail(error)

    def _complete(self) -> None:
        assert self._parser is not None  # noqa: S101 - a request is under way
        assert self._answer is not None  # noqa: S101
        # A reply before the end of the request leaves the rest of it before the next one
        self.reusable = self._parser.reusable and not self._sending
        self._disarm()
        self._answer.set_result(self._parser.reply())

    def _fail(self, error: BadReply) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # -- time

    def _look(self, progress: Progress, pace: Pace) -> None:
        again = progress.look(
            self._acknowledged(), self._received, self._loop.time(), allowance=pace.allowance()
        )
        if again > 0.0:
            self._timer = self._loop.call_later(again, self._look, progress, pace)
        else:
            self._abort(TimedOut(progress.reason))

    def _acknowledged(self) -> int:
        """Return the bytes that reached the peer since the connection was made."""
        acknowledged = _counted(self._tcp, _BYTES_ACKED)
        if acknowledged is not None:
            return acknowledged
        waiting = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._written - waiting

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _counted(tcp: socket.socket, place: slice) -> int | None:
    """Return what the kernel has counted on a connection; ``None``: it does not tell, or the connection is closed."""
    if _TCP_INFO is not None:
        with suppress(OSError):
            info = tcp.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, place.stop)
            if len(info) == place.stop:
                return int.from_bytes(info[place], sys.byteorder)
    return None


def moved(tcp: socket.socket) -> int:
    """Return the bytes that passed a connection, in both directions, as far as the kernel tells."""
    return (_counted(tcp, _BYTES_ACKED) or 0) + (_counted(tcp, _BYTES_RECEIVED) or 0)


def why(error: BaseException) -> str:
    """Return a few words about a failure below HTTP, without addresses or content."""
    match error:
        case BadReply():
            return error.reason
        case ssl.SSLCertVerificationError():
            return f"TLS: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS: {(error.reason or 'failure').replace('_', ' ').lower()}"
        case socket.gaierror():
            return "the name of the receiver cannot be resolved"
        case UnicodeError():
            return "the name of the receiver cannot be resolved: it is no host name"
        case TimeoutError():
            return "time-out while connecting"
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionResetError() | BrokenPipeError() | ConnectionAbortedError():
            return "connection reset"
        case _:
            return getattr(error, "strerror", None) or str(error) or type(error).__name__
