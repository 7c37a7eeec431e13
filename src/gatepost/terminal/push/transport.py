"""POST a body to an address over kept HTTP/1.1 connections, and return the reply.

A client of our own on asyncio because a terminal pushes 40 KB bodies on a small processor, and reads replies
of some forty bytes: the figures are in ``docs/decisions/http-client.md``.

Rules:

- **Everything has an end.** Connecting (name, TCP, proxy, TLS), sending and the reply each have a time limit,
  the reply a size limit (`http1`). A connection on which anything went wrong is aborted, never used again.
- **A reply, or a reason.** ``post`` answers ``Reply`` or ``NoReply``; it raises only ``CancelledError``. It
  never follows a redirect and never retries, with one exception: a *kept* connection which the peer had
  closed before a byte of the reply. Every HTTP/1.1 server closes idle connections, that says nothing about
  the receiver, and the request is repeated once on a fresh one (RFC 9112, section 9.3.1; a receiver of events
  takes the same event twice).
- **A name is looked up again.** A kept connection carries requests for at most five minutes (`Limits.kept_s`), so that
  a receiver that moved to another address is followed without a restart.
- **Proxies only when asked for**: http:// proxies, absolute-form for http, CONNECT for https.

Flow: ``post`` → an idle connection of this origin, or ``_connect`` → write head and body in one go →
``http1.ReplyParser`` on what comes back → back to the idle ones if the reply allows it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import cast

from msgspec import Struct

from gatepost.terminal.push.http1 import BadReply, Reply, ReplyParser
from gatepost.terminal.push.resolve import Resolver, resolve
from gatepost.terminal.push.target import (
    Target,
    bypassed,
    connect_head,
    proxy_target,
    request_head,
    take_apart,
)
from gatepost.terminal.push.trust import Trust, matches

__all__ = ["Limits", "NoReply", "Transport"]


class Limits(Struct, frozen=True, kw_only=True):
    """Time limits, in seconds. Each phase of a request has its own."""

    connect_s: float = 10.0  # name, TCP, proxy and TLS together
    send_s: float = 30.0  # the whole request; 40 KB in 30 s is a modem
    reply_s: float = 30.0  # from the last byte sent to the last byte of the reply
    idle_s: float = 15.0  # a kept connection is not trusted for longer: firewalls forget it without a word
    kept_s: float = 300.0  # a connection carries new requests for no longer: then the name is looked up again


class NoReply(Struct, frozen=True):
    """There was no reply. ``reason`` is for logs and the status: what failed, never what was sent."""

    reason: str
    connected: bool = True
    """Whether there was anybody to send to. If not, it cannot have been for what was to be sent."""


class Transport:
    """Connections to receivers. One per pusher; not for use from two event loops.

    ``trust``: see `trust.Trust`. ``limits``: see `Limits`. ``proxies``: scheme → URL of an http:// proxy, for
    example what ``urllib.request.getproxies()`` answers; the key ``no`` lists hosts that are reached
    directly. ``resolver``: as ``getaddrinfo``.
    """

    def __init__(
        self,
        *,
        trust: Trust | None = None,
        limits: Limits | None = None,
        proxies: Mapping[str, str] | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self._trust = trust or Trust()
        self._pin = self._trust.pin()
        self._limits = limits or Limits()
        self._proxies = dict(proxies or {})
        for scheme, url in self._proxies.items():
            if scheme in ("http", "https"):
                proxy_target(url)
        self._resolve = resolver or resolve
        self._context: ssl.SSLContext | None = None
        self._idle: dict[tuple[str, str, int], list[_Connection]] = {}
        self._open: set[_Connection] = set()
        self._closed = False

    def check(self) -> None:
        """Read the trust settings' files now. Raise `SettingsError` if one cannot be used."""
        self._tls()

    async def post(self, url: str, head: bytes, parts: Sequence[bytes]) -> Reply | NoReply:
        """POST the body made of ``parts``, with the header lines ``head`` (each ended by CR LF) beside those
        of HTTP itself.

        Cancelling it aborts the connection; whether the receiver has got the request is then unknown.
        """
        if self._closed:
            return NoReply("the transport is closed")
        try:
            target = take_apart(url)
        except ValueError:
            return NoReply("the address cannot be used")
        proxy = self._proxy_for(target)
        kept = self._take_idle(target.origin)
        request = request_head(target, proxy, head, sum(map(len, parts)))
        if kept is not None:
            answer = await self._exchange(kept, target, request, parts)
            if answer is not None:
                return answer
        try:
            async with asyncio.timeout(self._limits.connect_s):
                fresh = await self._connect(target, proxy)
        except TimeoutError:
            return NoReply("time-out while connecting", connected=False)
        except (OSError, UnicodeError, BadReply) as error:
            return NoReply(_why(error), connected=False)
        return await self._exchange(fresh, target, request, parts) or NoReply("closed without a reply")

    async def close(self) -> None:
        """Abort every connection, requests under way included, and wait until the sockets are closed.
        Idempotent."""
        self._closed = True
        self._idle.clear()
        lost = [connection.lost for connection in self._open]
        for connection in tuple(self._open):
            connection.abort("the transport is closed")
        if lost:
            await asyncio.wait(lost, timeout=1.0)

    def drop_idle(self) -> None:
        """Close the connections that are not in use: the address has changed."""
        for connections in self._idle.values():
            for connection in connections:
                connection.abort("no longer needed")
        self._idle.clear()

    # -- connections

    async def _exchange(
        self, connection: _Connection, target: Target, request: bytes, parts: Sequence[bytes]
    ) -> Reply | NoReply | None:
        """One request and its reply. None: the kept connection had been closed, nothing was answered, ask a
        fresh one."""
        was_kept = connection.used
        try:
            reply = await connection.exchange(request, parts, self._limits)
        except BadReply as error:
            if was_kept and connection.was_closed_unanswered:
                return None
            return NoReply(error.reason)
        finally:
            left = connection.made + self._limits.kept_s - asyncio.get_running_loop().time()
            if connection.reusable and left > 0.0 and not self._closed:
                connection.rest(min(self._limits.idle_s, left))
                self._idle.setdefault(target.origin, []).append(connection)
            else:
                connection.abort("")
        if reply.status == 407:
            return NoReply("the proxy asks for credentials")
        return reply

    def _take_idle(self, origin: tuple[str, str, int]) -> _Connection | None:
        connections = self._idle.get(origin)
        while connections:
            connection = connections.pop()  # the one used last: the others get old and are closed
            if connection.reusable:
                return connection
        return None

    async def _connect(self, target: Target, proxy: Target | None) -> _Connection:
        loop = asyncio.get_running_loop()
        connection = _Connection(self._open)
        hop = proxy or target
        tls = self._tls() if target.scheme == "https" else None
        tcp = await self._tcp(hop.host, hop.port)
        try:
            if tls is not None and proxy is not None:
                await self._tunnel(loop, tcp, target, proxy)
            await loop.create_connection(
                lambda: connection,
                sock=tcp,
                ssl=tls,
                server_hostname=target.host if tls else None,
                # asyncio takes this one only together with TLS; the limit of the whole connect stands around it
                ssl_handshake_timeout=self._limits.connect_s if tls else None,
            )
        except BaseException:
            tcp.close()
            raise
        if tls is not None and self._pin is not None and not matches(self._pin, connection.certificate()):
            connection.abort("")
            raise BadReply("the receiver's certificate is not the pinned one")
        return connection

    async def _tcp(self, host: str, port: int) -> socket.socket:
        loop = asyncio.get_running_loop()
        problem: OSError = OSError("the name has no address")
        addresses = await self._resolve(host, port)
        for family, kind, proto, _, address in addresses:
            sock = socket.socket(family, kind, proto)
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # each address has its share: one that swallows packets must not use up the time of the others
                async with asyncio.timeout(self._limits.connect_s / len(addresses)):
                    await loop.sock_connect(sock, address)
            except OSError as error:
                sock.close()
                problem = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise problem

    async def _tunnel(
        self, loop: asyncio.AbstractEventLoop, tcp: socket.socket, target: Target, proxy: Target
    ) -> None:
        """CONNECT (RFC 9110, section 9.3.6). The answer is read byte by byte: what follows it belongs to
        TLS."""
        await loop.sock_sendall(tcp, connect_head(target, proxy))
        answer = bytearray()
        while not answer.endswith((b"\r\n\r\n", b"\n\n")):
            byte = await loop.sock_recv(tcp, 1)
            if not byte or len(answer) > 8192:
                raise BadReply("the proxy gave no answer that can be used")
            answer += byte
        status = answer.split(b" ", 2)[1:2]
        if not answer.startswith(b"HTTP/1.") or not status or not status[0].startswith(b"2"):
            raise BadReply(f"the proxy refused: HTTP {b''.join(status)[:3].decode('latin-1')}")

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = self._trust.context()
        return self._context

    def _proxy_for(self, target: Target) -> Target | None:
        url = self._proxies.get(target.scheme)
        if url is None or bypassed(target, self._proxies.get("no", "")):
            return None
        return proxy_target(url)


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, registry: set[_Connection]) -> None:
        self._registry = registry
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: ReplyParser | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._limits = Limits()
        self._sending = False
        self.made = self._loop.time()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self.used = False
        self.reusable = False
        self.was_closed_unanswered = False

    async def exchange(self, request: bytes, parts: Sequence[bytes], limits: Limits) -> Reply:
        """Send and wait for the whole reply. Raise `BadReply` if there was none."""
        transport = self._transport
        if transport is None or transport.is_closing():
            self.was_closed_unanswered = True
            raise BadReply("closed without a reply")
        self._limits, self.used, self.reusable = limits, True, False
        self._parser, self._answer = ReplyParser(), self._loop.create_future()
        self._sending = False
        self._arm(limits.reply_s, "time-out while waiting for the reply")
        # one write: one TLS record after another without gaps, and on plain TCP one system call
        transport.write(b"".join((request, *parts)))
        try:
            return await self._answer
        finally:
            self._disarm()
            self._answer = None

    def rest(self, seconds: float) -> None:
        """Wait for the next request, but no longer than this."""
        self._parser = None
        self._timer = self._loop.call_later(seconds, self.abort, "idle")

    def certificate(self) -> bytes | None:
        assert self._transport is not None  # noqa: S101 - called after the handshake
        tls = self._transport.get_extra_info("ssl_object")
        der: bytes | None = tls.getpeercert(binary_form=True)
        return der

    def abort(self, reason: str) -> None:
        self.reusable = False
        self._disarm()
        self._fail(reason)
        if self._transport is not None:
            self._transport.abort()

    # -- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        self._registry.add(self)
        # Tell us when not everything could be handed to the kernel, and when all of it has been. Not 0: the TLS
        # transport compares with >= and would be "paused" always.
        self._transport.set_write_buffer_limits(high=1, low=0)

    def pause_writing(self) -> None:
        self._sending = True
        self._arm(self._limits.send_s, "time-out while sending")

    def resume_writing(self) -> None:
        self._sending = False
        if self._answer is not None and not self._answer.done():
            self._arm(self._limits.reply_s, "time-out while waiting for the reply")

    def data_received(self, data: bytes) -> None:
        if self._parser is None or self._answer is None or self._answer.done():
            self.abort("")  # nobody asked: whatever this answers, it is not the next request
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
        self._end(_why(exc) if exc is not None else "")
        self._registry.discard(self)
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(None)

    # -- ends

    def _end(self, reason: str) -> None:
        """The peer closed, or the connection broke."""
        if self._parser is None or self._answer is None or self._answer.done():
            self.reusable = False
            return
        if not self._parser.started:
            self.was_closed_unanswered = True
        if reason:
            self._fail(reason)
            return
        try:
            self._parser.end_of_stream()
            self._complete()
        except BadReply as error:
            self._fail(error.reason)

    def _complete(self) -> None:
        assert self._parser is not None  # noqa: S101 - a request is under way
        assert self._answer is not None  # noqa: S101
        # A reply before the request was all sent leaves the rest of it in the way of the next one
        self.reusable = self._parser.reusable and not self._sending
        self._disarm()
        self._answer.set_result(self._parser.reply())

    def _fail(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BadReply(reason))

    def _arm(self, seconds: float, reason: str) -> None:
        self._disarm()
        self._timer = self._loop.call_later(seconds, self.abort, reason)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _why(error: BaseException) -> str:
    """A few words about a failure below HTTP, without addresses or content."""
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
