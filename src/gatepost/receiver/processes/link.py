"""The line between the ingest and the desk: calls both ways over one local socket.

Rules:

* A call has one argument, a message of :data:`Message`, and returns one value or raises. What cannot be done now is
  :class:`~gatepost.errors.StoreUnavailable` at the caller, also when the other end is gone before it returns.
* Calls of one end begin in the order in which they were made. Each is a task of its own: a slow one holds no other up.
* What one end sends takes effect at the other in the order in which it was sent, returns too.
* What is told needs no reply: :meth:`Link.tell`. It keeps its place among the calls.
* A frame is its length in four bytes and a body in msgpack. A longer one than the limit closes the line.
* Both ends are of one version: the supervisor starts both.

Flow: :meth:`Link.call` → frame → the handler of its message at the other end → frame → return.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from gatepost.errors import StoreError, StoreUnavailable
from gatepost.journal.streams import Position
from gatepost.receiver.processes.gauges import Gauges
from gatepost.receiver.terminals.claims import Known
from gatepost.store.types.refusals import RefusalSample, RefusedPush, RefusedTimes

__all__ = [
    "Changed",
    "Counted",
    "Forget",
    "Handler",
    "Hello",
    "Holder",
    "Link",
    "Listed",
    "Made",
    "Message",
    "Numbers",
    "Refused",
    "Table",
    "Use",
    "Welcome",
]

log = structlog.get_logger(__name__)

MAX_FRAME = 256 * 1024 * 1024
"""Bytes. A table of a million terminals has some 100 MB."""

AWAY = "the receiver's desk is starting again; send it again later"


class Hello(Struct, frozen=True, tag=True):
    """To the desk: the ingest is there. Returns a :class:`Welcome`."""

    process: bytes
    """The same at every connection of one process, and of no other one."""


class Holder(Struct, frozen=True, tag=True):
    """To the desk: whose is a token? Returns a :class:`Known`, or ``None``."""

    digest: bytes


class Use(Struct, frozen=True, tag=True):
    """To the desk: store that a token was used, the first time. Returns a :class:`Known`, or ``None``."""

    digest: bytes
    at_ms: int


class Counted(Struct, frozen=True, tag=True):
    """To the desk: store how often pushes were refused."""

    counts: Sequence[tuple[int, str, int]]
    """Terminal, 0 for none; reason; how often."""
    at_ms: int


class Refused(Struct, frozen=True, tag=True):
    """To the desk: store which pushes were refused."""

    pushes: Sequence[tuple[RefusedPush, RefusedTimes]]
    samples: Sequence[tuple[str, str, RefusalSample]]
    """Peer, reason, and what was refused."""


class Numbers(Struct, frozen=True, tag=True):
    """To the desk: what the ingest is doing now."""

    gauges: Gauges
    heard: Sequence[tuple[int, int]] = ()
    """Terminals that pushed since the last time, and when they last did, in milliseconds."""


class Table(Struct, frozen=True, tag=True):
    """To the ingest: every terminal, as the store has them now. Returns when pushes are decided by it."""

    terminals: Sequence[Known]
    peers: Sequence[tuple[str, int, int]]
    """Address, terminal, and when it was last seen there, in milliseconds."""
    tokens: Mapping[bytes, int]
    """The terminal of each token, by the token's digest."""
    new_timezone: str
    """Of the site where new terminals are put."""
    settings: Mapping[str, int | float | str] = {}
    """Those that were changed since the start."""


class Changed(Struct, frozen=True, tag=True):
    """To the ingest: how some terminals are in the store now. Returns when pushes are decided by it."""

    terminals: Sequence[Known]


class Made(Struct, frozen=True, tag=True):
    """To the ingest: terminals that are in the store now. What is known of one already is the later word."""

    terminals: Sequence[Known]


class Listed(Struct, frozen=True, tag=True):
    """To the ingest: how far the desk has listed what the journal holds."""

    positions: Mapping[str, Position]
    is_away: bool
    """The store takes nothing now."""
    damaged: int
    """Places in the journal that could not be read, since the start of the desk."""
    waiting: Sequence[str]
    damages: tuple[int, str]
    """How many such places have a file, also from before, and which is the last one."""


class Forget(Struct, frozen=True, tag=True):
    """To the ingest: let go of people in memory, and close what the journal holds open. Returns when that is done."""


class Welcome(Struct, frozen=True):
    """Tell what an ingest has to know before it takes pushes."""

    secret: bytes
    """The store's, with which the keys of events are made."""
    table: Table
    listed: Listed
    paths: Sequence[str]
    """The routes that the desk serves."""


Message = Hello | Holder | Use | Counted | Refused | Numbers | Table | Changed | Made | Listed | Forget

Handler = Callable[[Any], Awaitable[Any]]


class _Call(Struct, frozen=True, tag=True):
    id: int
    """0: no reply is waited for."""
    message: Message


class _Return(Struct, frozen=True, tag=True):
    id: int
    value: msgspec.Raw = msgspec.Raw(b"\xc0")
    error: str | None = None
    is_unavailable: bool = False


class Link:
    """One end. Made and used on one event loop."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handlers: Mapping[type, Handler],
        *,
        max_frame: int = MAX_FRAME,
    ) -> None:
        """``handlers``: what is done with each kind of message that the other end sends."""
        self._reader = reader
        self._writer = writer
        self.handlers = handlers
        self._max_frame = max_frame
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(_Call | _Return)
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_gone = False

    @property
    def unsent_bytes(self) -> int:
        """Return how much the other end has not taken yet."""
        return self._writer.transport.get_write_buffer_size()

    async def run(self) -> None:
        """Take what the other end sends, until one of both is closed. Raises nothing but ``CancelledError``."""
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(4), "big")
                if length > self._max_frame:
                    log.error("link.frame_too_large", bytes=length)
                    return
                self._take(self._decoder.decode(await self._reader.readexactly(length)))
        except (OSError, asyncio.IncompleteReadError):
            return
        except msgspec.DecodeError as error:
            log.error("link.no_message", why=str(error))
        finally:
            self.close()

    async def call(self, message: Message, returns: Any = None) -> Any:
        """Return what the other end's handler returns, read as the type ``returns``.

        Raises :class:`~gatepost.errors.StoreError` as the handler did, and
        :class:`~gatepost.errors.StoreUnavailable` if the other end is gone.
        """
        if self._is_gone:
            raise StoreUnavailable(AWAY)
        number = next(self._ids)
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            await self._send(_Call(number, message))
            value = await future
        finally:
            self._waiting.pop(number, None)
        return msgspec.msgpack.decode(value, type=returns)

    async def tell(self, message: Message) -> None:
        """Send a message that nothing is returned to. Raises nothing if the other end is gone."""
        if not self._is_gone:
            await self._send(_Call(0, message))

    def close(self) -> None:
        """Close the line, and fail every call that waits for a return. Idempotent."""
        self._is_gone = True
        self._writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(StoreUnavailable(AWAY))

    def _take(self, frame: _Call | _Return) -> None:
        if isinstance(frame, _Return):
            future = self._waiting.get(frame.id)
            if future is None or future.done():
                return  # who called waits no more
            if frame.error is None:
                future.set_result(frame.value)
            else:
                future.set_exception((StoreUnavailable if frame.is_unavailable else StoreError)(frame.error))
            return
        task = asyncio.get_running_loop().create_task(self._handle(frame))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, call: _Call) -> None:
        try:
            value = await self.handlers[type(call.message)](call.message)
            returned = _Return(call.id, msgspec.Raw(self._encoder.encode(value)))
        except StoreError as error:
            returned = _Return(call.id, error=str(error), is_unavailable=isinstance(error, StoreUnavailable))
        except Exception as defect:
            log.error("link.call_failed", message=type(call.message).__name__, kind=type(defect).__name__)
            returned = _Return(call.id, error="this failed; see the log")
        if call.id:
            await self._send(returned)

    async def _send(self, frame: _Call | _Return) -> None:
        body = self._encoder.encode(frame)
        self._writer.write(len(body).to_bytes(4, "big") + body)
        try:
            await self._writer.drain()
        except OSError:
            self.close()
