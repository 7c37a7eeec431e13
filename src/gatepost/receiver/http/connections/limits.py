"""Limit connections, time and sizes for the HTTP server. The application only sees complete requests.

Rules:

* The application sees whole requests only. Head and body are collected here; a request that is cut short, too
  large or malformed is answered here and reaches nobody. So a truncated body can never be acknowledged.
* Head, body and the silence between two requests have each their time. Time is looked at by :meth:`Guard.sweep`,
  once for all connections, so that a request costs no timer.
* When a limit of connections is reached, the one that has gone longest without completing a request gives way
  to the newcomer. A thousand silent connections therefore lock nobody out.
* All bodies that are being collected or worked on share one budget of memory. Beyond it the largest that is
  still arriving is answered 503.
* Where two readers could disagree on where a request ends (RFC 9112, sections 6.1, 6.3 and 11.2), it is
  refused and the connection ends.

A refusal has the shape of the protocol page, ``{"code", "message", "data"}`` with ``code`` = HTTP status, and
the connection is closed after the sender has had a moment to read it.

Here is what the connections share; :mod:`gatepost.receiver.http.connections.connection` is one of them.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import replace
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gatepost.settings import ReceiverSettings
from gatepost.wire import SUCCESS

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope


__all__ = ["SPARE_FILES", "Counted", "Express", "Guard", "Limits", "Refusal", "Request", "response"]

SPARE_FILES = 256
"""File handles that are not for connections: journal, desk, store, images."""

SWEEP_STEPS = 64
"""How many connections are looked at, at most, to find one that gives way."""


class Limits(Struct, frozen=True, kw_only=True):
    """Limits of a sender: seconds, bytes, connections."""

    head_s: float = 10.0
    """From the first byte of a request (or the connection) to the end of its head."""
    body_s: float = 60.0
    """From the end of the head to the last byte of the body."""
    idle_s: float = 120.0
    """Between a reply and the next request."""
    linger_s: float = 2.0
    """How long a refused sender may go on sending before the connection is cut."""
    head_bytes: int = 16 * 1024
    header_count: int = 100
    body_bytes: int = 8 * 1024 * 1024
    bodies_bytes: int = 24 * 1024 * 1024
    """All bodies in memory together, until their replies are out."""
    connections: int = 8192
    connections_per_address: int = 4096
    retry_after_s: int = 5

    @classmethod
    def of(cls, settings: ReceiverSettings) -> Limits:
        """Return the limits of the settings, and no more connections than the system lets this process have."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        handles = 1 << 30 if soft == resource.RLIM_INFINITY else soft
        return cls(
            head_s=settings.head_timeout_s,
            body_s=settings.body_timeout_s,
            idle_s=settings.idle_timeout_s,
            body_bytes=settings.max_body_bytes,
            bodies_bytes=max(settings.max_bodies_bytes, settings.max_body_bytes),
            connections=max(1, min(settings.max_connections, handles - SPARE_FILES)),
            connections_per_address=settings.max_connections_per_address,
            retry_after_s=settings.retry_after_s,
        )

    def of_desk(self) -> Limits:
        """Return the limits where an ingest hands requests on: it adds to a head that was within them."""
        return replace(self, head_bytes=self.head_bytes + 1024, header_count=self.header_count + 8)


class Refusal(Struct, frozen=True):
    """A request that the application never saw."""

    status: int
    message: str
    peer: str
    scope: HTTPScope | None
    """Method, path and headers, where the head was complete."""
    body: bytes = b""
    """What there is of the body."""


class Request(Struct, frozen=True):
    """A whole request for the ingest, without a task and a scope: those cost more than storing the event."""

    method: bytes
    target: bytes
    """As it stood in the request line."""
    headers: list[tuple[bytes, bytes]]
    """Names in lower case."""
    address: str
    body: bytes
    answer: Callable[[int, bytes], None]
    """Takes status and body. Called once, on the loop; after the sender has left it does nothing."""
    certified: bool = False
    """Whether the connection showed a client certificate that an authority of ours signed."""


class Express(Protocol):
    """The part that takes requests directly: the ingest."""

    def wants(self, target: bytes) -> bool:
        """Return whether a POST to this target is for :meth:`take`."""

    def take(self, request: Request) -> None:
        """Work on a request, and reply to it now or later. Raises nothing."""


class Counted(Protocol):
    """A connection, as the guard sees it."""

    address: str
    busy: bool
    """Whether somebody works on a request of it."""
    served_at: float
    """When it last completed one; minus infinity: never."""
    arriving_bytes: int
    deadline: float

    def refuse(self, status: int, message: str) -> None:
        """Send a refusal as far as that is possible, and end it."""

    def expire(self) -> None:
        """End it: its time is over, whatever it waits for."""

    def abort(self) -> None:
        """Cut it."""


class Guard:
    """The limits that all connections of one server share. Not thread-safe: it lives on the loop."""

    def __init__(
        self,
        limits: Limits,
        *,
        now: Callable[[], float],
        on_refused: Callable[[Refusal], None] = lambda _: None,
        on_refused_body: Callable[[Refusal], None] = lambda _: None,
        shares_address: Callable[[str], bool] = lambda _: False,
        express: Express | None = None,
    ) -> None:
        """``shares_address`` tells whether many senders stand behind an address, as behind a trusted proxy.

        ``on_refused_body`` is called with the first piece of a body that only arrives after it was refused.
        """
        self.limits = limits
        self.now = now
        self.on_refused = on_refused
        self.on_refused_body = on_refused_body
        self.shares_address = shares_address
        self.express = express
        self.take: Callable[[Request], None] = express.take if express is not None else lambda _: None
        self.bodies_bytes = 0
        self.counts: Counter[str] = Counter()
        """``shed``, ``refused.<status>``: since the start of the process."""
        self._open: dict[Counted, float] = {}
        self._by_address: dict[str, dict[Counted, float]] = {}
        self._success: tuple[list[tuple[bytes, bytes]] | None, bytes] = (None, b"")

    def success(self, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the whole response that acknowledges, made again when uvicorn has a new ``date``."""
        made_for, ready = self._success
        if made_for is not default_headers:
            made = response(200, SUCCESS, default_headers)
            self._success = (default_headers, made)
            return made
        return ready

    @property
    def connections(self) -> int:
        """Return how many are open."""
        return len(self._open)

    @property
    def sweep_every_s(self) -> float:
        """Return how often to call :meth:`sweep`, in seconds, so that no time-out is late by more than a quarter."""
        limits = self.limits
        return min(1.0, limits.head_s / 4, limits.body_s / 4, limits.idle_s / 4, limits.linger_s / 4)

    def admit(self, connection: Counted) -> bool:
        """Count a new connection in; make room if needed. False if every other one is at work."""
        now = self.now()
        same = self._by_address.setdefault(connection.address, {})
        if len(same) >= self.limits.connections_per_address and not self.shares_address(connection.address):
            room = self._shed(same)
        else:
            room = len(self._open) < self.limits.connections or self._shed(self._open)
        if not room:
            if not same:
                self._by_address.pop(connection.address, None)
            return False
        # Shedding the address's last connection drops its table, so it is looked up again.
        self._by_address.setdefault(connection.address, {})[connection] = now
        self._open[connection] = now
        return True

    def leave(self, connection: Counted) -> None:
        """Count a connection out. Idempotent."""
        self._open.pop(connection, None)
        same = self._by_address.get(connection.address)
        if same is not None:
            same.pop(connection, None)
            if not same:
                del self._by_address[connection.address]

    def _shed(self, queue: dict[Counted, float]) -> bool:
        """End the connection that has gone longest without completing a request."""
        for _ in range(min(SWEEP_STEPS, len(queue))):
            connection, since = next(iter(queue.items()))
            del queue[connection]
            if connection.busy or connection.served_at > since:
                queue[connection] = max(
                    connection.served_at, since
                )  # a second chance, at the end of the queue
                continue
            self.counts["shed"] += 1
            self.leave(connection)
            connection.abort()
            return True
        return False

    def make_room(self, needed_by: object) -> bool:
        """Free memory by refusing the largest body that is still arriving. False if that is ``needed_by`` itself."""
        largest = max(self._open, key=lambda c: c.arriving_bytes, default=None)
        if largest is None or largest is needed_by or not largest.arriving_bytes:
            return False
        largest.refuse(503, "too much is arriving at once; send it again later")
        return True

    def sweep(self) -> int:
        """End every connection that is over time; return how many. One step of the loop in :meth:`run`."""
        now = self.now()
        late = [connection for connection in self._open if connection.deadline <= now]
        for connection in late:
            connection.expire()
        return len(late)

    def close(self) -> None:
        """Cut every connection: the server has stopped, and every reply that could be sent was."""
        for connection in list(self._open):
            connection.abort()

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            await asyncio.sleep(self.sweep_every_s)
            self.sweep()


def response(status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Write a whole HTTP response with a JSON body."""
    lines = [STATUS_LINE[status]]
    lines += [name + b": " + value + b"\r\n" for name, value in headers]
    lines += [b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body), body]
    return b"".join(lines)
