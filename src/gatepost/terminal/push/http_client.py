"""POST a body to an address over persistent HTTP/1.1 connections, and return the reply.

It is gatepost's own client on asyncio, because a terminal pushes 40 KB bodies on a small processor and reads replies of
some forty bytes. The figures are in ``docs/decisions/http-client.md``.

Rules:

- **Everything is bounded.** Reaching the receiver (name, TCP) has a time limit. Proxy, TLS, sending and the reply may
  take as long as there is progress (`progress`). The reply has a size limit (`http_response`).
- **A reply, or a reason.** ``post`` returns ``HttpResponse`` or ``NoReply``; it raises only ``CancelledError``. It
  never follows a redirect and never retries, with one exception: an *idle* connection that the peer had closed before a
  byte of the reply. Every HTTP/1.1 server closes idle connections, which says nothing about the receiver. The request
  is repeated once on a new one (RFC 9112, section 9.3.1; a receiver recognises a duplicate).
- **A name is looked up again.** A connection gets new requests for at most five minutes (`Timeouts.kept_s`), so that a
  receiver that moved to another address is found without a restart.
- **Proxies only on request**: http:// proxies, absolute-form for http, CONNECT for https.

Flow: ``post`` → an idle connection of this origin, or ``_connect`` → ``Connection.exchange`` → back to the idle ones if
the reply allows it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from gatepost.settings import TerminalSettings
from gatepost.terminal.push.connection import Connection, TimedOut, Timeouts, moved, why
from gatepost.terminal.push.dns import Resolver, resolve
from gatepost.terminal.push.http_response import BadReply, HttpResponse
from gatepost.terminal.push.progress import LOOKS, Handshake, Pace
from gatepost.terminal.push.target import (
    Target,
    bypassed,
    connect_head,
    proxy_target,
    request_head,
    take_apart,
)
from gatepost.terminal.push.tls import Trust, matches

__all__ = ["Timeouts", "NoReply", "HttpClient", "client_for"]

_NO_LIMIT_S = 86_400.0
"""Seconds, longer than any handshake with progress takes."""


class NoReply(Struct, frozen=True):
    """There was no reply. ``reason`` is for logs and the status: what failed, never what was sent."""

    reason: str
    connected: bool = True
    """There was a connection. If not, the event cannot be the reason."""
    timed_out: bool = False
    """A time limit ended it."""


class HttpClient:
    """Connections to receivers. One per pusher; not for use from two event loops.

    ``trust``: see `tls.Trust`. ``limits``: see `Timeouts`. ``proxies``: scheme → URL of an http:// proxy, for
    example what ``urllib.request.getproxies()`` returns; the key ``no`` lists hosts that are reached
    directly. ``resolver``: as ``getaddrinfo``.
    """

    def __init__(
        self,
        *,
        trust: Trust | None = None,
        limits: Timeouts | None = None,
        proxies: Mapping[str, str] | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self._trust = trust or Trust()
        self._pin = self._trust.pin()
        self._limits = limits or Timeouts()
        self._proxies = dict(proxies or {})
        for scheme, url in self._proxies.items():
            if scheme in ("http", "https"):
                proxy_target(url)
        self._resolve = resolver or resolve
        self._context: ssl.SSLContext | None = None
        self._idle: dict[tuple[str, str, int], list[Connection]] = {}
        self._open: set[Connection] = set()
        self._pace = Pace(self._limits.reply_s)
        self._closed = False

    def check(self) -> None:
        """Read the files of the TLS settings now. Raise `SettingsError` if one cannot be used."""
        self._tls()

    async def post(self, url: str, head: bytes, parts: Sequence[bytes]) -> HttpResponse | NoReply:
        """POST the body made of ``parts``. ``head``: further header lines, each ended by CR LF.

        Cancelling it aborts the connection. It is then unknown whether the receiver has the request.
        """
        if self._closed:
            return NoReply("the client is closed")
        try:
            target = take_apart(url)
        except ValueError:
            return NoReply("the address cannot be used")
        proxy = self._proxy_for(target)
        # One buffer, one write: one TLS record after another without gaps, and on plain TCP one system call
        request = b"".join((request_head(target, proxy, head, sum(map(len, parts))), *parts))
        return await self._post(target, proxy, request)

    async def _post(self, target: Target, proxy: Target | None, request: bytes) -> HttpResponse | NoReply:
        kept = self._take_idle(target.origin)
        if kept is not None:
            reply = await self._exchange(kept, target, request)
            if reply is not None:
                return reply
        try:
            fresh = await self._connect(target, proxy)
        except TimeoutError:
            return NoReply("time-out while connecting", connected=False, timed_out=True)
        except (OSError, UnicodeError, BadReply) as error:
            return NoReply(why(error), connected=False)
        return await self._exchange(fresh, target, request) or NoReply("closed without a reply")

    async def close(self) -> None:
        """Abort every connection, requests under way included, and wait until the sockets are closed.

        Idempotent.
        """
        self._closed = True
        self._idle.clear()
        lost = [connection.lost for connection in self._open]
        for connection in tuple(self._open):
            connection.abort("the client is closed")
        if lost:
            await asyncio.wait(lost, timeout=1.0)

    def drop_idle(self) -> None:
        """Close the idle connections, because the address has changed."""
        self._pace.forget()
        for connections in self._idle.values():
            for connection in connections:
                connection.abort("no longer needed")
        self._idle.clear()

    # -- connections

    async def _exchange(
        self, connection: Connection, target: Target, request: bytes
    ) -> HttpResponse | NoReply | None:
        """Make one request; return its reply. ``None``: the idle connection was closed, use a new one."""
        was_kept, began = connection.used, asyncio.get_running_loop().time()
        self._pace.begun(len(request))
        try:
            reply = await connection.exchange(request, self._limits, self._pace)
        except TimedOut as error:
            self._pace.forget()
            return NoReply(error.reason, timed_out=True)
        except BadReply as error:
            if was_kept and connection.was_closed_unanswered:
                return None
            return NoReply(error.reason)
        finally:
            self._pace.ended(len(request))
            left = connection.made + self._limits.kept_s - asyncio.get_running_loop().time()
            if connection.reusable and left > 0.0 and not self._closed:
                connection.rest(min(self._limits.idle_s, left))
                self._idle.setdefault(target.origin, []).append(connection)
            else:
                connection.abort("")
        self._pace.replied(len(request), asyncio.get_running_loop().time() - began)
        if reply.status == 407:
            return NoReply("the proxy asks for credentials")
        return reply

    def _take_idle(self, origin: tuple[str, str, int]) -> Connection | None:
        connections = self._idle.get(origin)
        while connections:
            connection = connections.pop()  # the one used last, so that the others get old and are closed
            if connection.reusable:
                return connection
        return None

    async def _connect(self, target: Target, proxy: Target | None) -> Connection:
        loop = asyncio.get_running_loop()
        hop = proxy or target
        tls = self._tls() if target.scheme == "https" else None
        limit_s = self._limits.connect_s + self._pace.allowance()
        async with asyncio.timeout(limit_s):
            tcp = await self._tcp(hop.host, hop.port, limit_s)
        connection = Connection(self._open, tcp)
        try:
            async with self._while_it_moves(tcp):
                if tls is not None and proxy is not None:
                    await self._tunnel(loop, tcp, target, proxy)
                await loop.create_connection(
                    lambda: connection,
                    sock=tcp,
                    ssl=tls,
                    server_hostname=target.host if tls else None,
                    # asyncio takes this only with TLS, and otherwise has its own limit
                    ssl_handshake_timeout=_NO_LIMIT_S if tls else None,
                )
        except BaseException:
            tcp.close()
            raise
        if tls is not None and self._pin is not None and not matches(self._pin, connection.certificate()):
            connection.abort("")
            raise BadReply("the receiver's certificate is not the pinned one")
        return connection

    @asynccontextmanager
    async def _while_it_moves(self, tcp: socket.socket) -> AsyncIterator[None]:
        """Raise ``TimeoutError`` in the body of the ``with`` when there is no more progress."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle | None = None
        handshake = Handshake(moved=moved(tcp), tick=loop.time(), limit_s=self._limits.connect_s)
        async with asyncio.timeout(None) as end:

            def look() -> None:
                nonlocal timer
                again = handshake.look(moved(tcp), loop.time(), allowance=self._pace.allowance())
                if again > 0.0:
                    timer = loop.call_later(again, look)
                else:
                    end.reschedule(loop.time())

            timer = loop.call_later(self._limits.connect_s / LOOKS, look)
            try:
                yield
            finally:
                timer.cancel()

    async def _tcp(self, host: str, port: int, limit_s: float) -> socket.socket:
        loop = asyncio.get_running_loop()
        problem: OSError = OSError("the name has no address")
        addresses = await self._resolve(host, port)
        for family, kind, proto, _, address in addresses:
            sock = socket.socket(family, kind, proto)
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # each address has its share, so that one without any reply does not use up the time of the others
                async with asyncio.timeout(limit_s / len(addresses)):
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
        """Open a tunnel with CONNECT (RFC 9110, section 9.3.6).

        The reply is read byte by byte: what follows it belongs to TLS.
        """
        await loop.sock_sendall(tcp, connect_head(target, proxy))
        head = bytearray()
        while not head.endswith((b"\r\n\r\n", b"\n\n")):
            byte = await loop.sock_recv(tcp, 1)
            if not byte or len(head) > 8192:
                raise BadReply("the proxy gave no reply that can be used")
            head += byte
        status = head.split(b" ", 2)[1:2]
        if not head.startswith(b"HTTP/1.") or not status or not status[0].startswith(b"2"):
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


def client_for(settings: TerminalSettings) -> HttpClient:
    """Return the client for these settings. Raise `SettingsError` if a file or a proxy cannot be used."""
    client = HttpClient(
        trust=Trust(
            ca_file=_path(settings.ca_file),
            client_cert=_path(settings.client_certificate_file),
            client_key=_path(settings.client_key_file),
            fingerprint=settings.fingerprint,
            verify=settings.verify,
        ),
        limits=Timeouts(
            connect_s=settings.connect_timeout_s,
            send_s=settings.send_timeout_s,
            reply_s=settings.reply_timeout_s,
        ),
        proxies=_proxies_of_the_environment() if settings.proxy_from_environment else None,
    )
    client.check()
    return client


def _proxies_of_the_environment() -> dict[str, str]:
    import urllib.request  # it imports a whole HTTP client, which is rarely used

    return urllib.request.getproxies()


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
