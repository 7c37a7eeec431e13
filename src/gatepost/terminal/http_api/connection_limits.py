"""Limit the connections of the terminal's HTTP service, in number and in idle time.

Rules:

- There are at most ``limit`` connections. One more is closed before it is read. Connections without a request yet, such
  as during the TLS handshake, count for ``HANDSHAKE_S`` towards a bound of their own.
- A connection without a request for ``idle_s`` is closed, whether nothing came, a header stopped in its middle, or it
  is an idle keep-alive. Pushing does not depend on any of this.

Flow: the connection is made through ``Connections`` (a protocol factory); the request handler calls ``busy`` and
``idle``; ``sweep`` is one step, ``run`` is the loop around it.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

HANDSHAKE_S = 5.0


class Connections:
    """The open connections of one HTTP server. ``now`` is a monotonic clock in seconds."""

    def __init__(
        self, server: web.Server, *, now: Callable[[], float], limit: int = 64, idle_s: float = 15.0
    ) -> None:
        self._server = server
        self._now = now
        self._limit = limit
        self._idle_s = idle_s
        self._idle_since: dict[asyncio.Protocol, float | None] = {}
        self._silent: dict[asyncio.Protocol, float] = {}

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection: the server's, or one that closes at once."""
        now = self._now()
        open_now = self._server.connections
        if len(open_now) >= self._limit:
            return _Closed()
        silent = {
            one: at for one, at in self._silent.items() if now - at < HANDSHAKE_S and one not in open_now
        }
        if len(silent) >= 4 * self._limit:
            return _Closed()
        protocol = self._server()
        silent[protocol] = now
        self._silent = silent
        return protocol

    def busy(self, protocol: asyncio.Protocol) -> None:
        """Note that a request of this connection is being processed."""
        self._idle_since[protocol] = None
        self._silent.pop(protocol, None)

    def idle(self, protocol: asyncio.Protocol) -> None:
        """Note that the request has its reply."""
        self._idle_since[protocol] = self._now()

    def sweep(self) -> int:
        """Close connections that were idle for too long; return how many."""
        now = self._now()
        self._idle_since = {one: self._idle_since.get(one, now) for one in self._server.connections}
        closed = 0
        for protocol, since in self._idle_since.items():
            if since is None or now - since < self._idle_s:
                continue
            transport = getattr(protocol, "transport", None)
            if transport is not None:
                transport.abort()
                closed += 1
        return closed

    def cut(self) -> None:
        """Close every connection at once, also during a request."""
        for protocol in list(self._server.connections):
            transport = getattr(protocol, "transport", None)
            if transport is not None:
                transport.abort()

    async def run(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Sweep until cancelled."""
        while True:
            await sleep(min(5.0, self._idle_s))
            self.sweep()


class _Closed(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
