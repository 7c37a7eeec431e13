"""The local socket: a Unix socket for firmware in other languages, and for the commands of this package.

Rules:

- A request is one line of JSON, and so is its reply. Replies come in the order of the requests. A client may send
  further lines before the reply. Many events then share one commit.
- ``{"type": 0|1, "data": {…}}`` (the body of a push, protocol page "事件推送协议") hands an event in. Its reply
  ``{"ok": true, "id": N}`` is written once the event is on disk, never before. ``{"ok": false, "error": KIND,
  "message": …, "retry": true|false}`` means that nothing was accepted; ``retry``: the same line may be
  accepted later.
- ``{"ask": NAME, …}`` is a command; its reply is ``{"ok": true, "data": …}``. It runs when every line before it has its
  reply, and the lines after it wait. So a subscription is in force for the next event.
- A line is decoded as a receiver decodes a push: a field that cannot be read is left out, and the event is accepted.
  The reply then has ``"problems": [{"where": …, "why": …}, …]``. A time without a zone is in the machine's own zone.
- A line may be a JSON array. Every item then has to be an event, and the reply has ``"ids": [N, …]``. All are accepted
  or none, so that the same line may be handed in again.
- Each line has a reply, also an empty one. A line over the limit is refused and skipped, and the connection goes on.
- Memory is bounded by ``pipeline`` lines and ``pipeline_bytes`` per connection, and by ``connections``.
- The socket belongs to the user that runs the terminal (mode 0600 from its first moment).

Flow: line → ``start`` (decode, hand in) → the queue of replies, in order → ``_reply`` awaits the commit → line out.
"""

import asyncio
import os
import socket
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from gatepost import wire
from gatepost.errors import (
    DecodeError,
    GatepostError,
    NotSubscribed,
    OutboxFull,
    OutboxUnavailable,
    WireError,
)
from gatepost.terminal.local_socket.client import address
from gatepost.terminal.logs import Log

log = Log(__name__)

_fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode

_BLANKS = b" \t\r\n\v\f\0"

_AROUND = _BLANKS + b"\xef\xbb\xbf"
"""Bytes that are stripped from both ends of a line: blanks, NUL and a byte order mark."""

Accept = Callable[[Sequence[wire.Record | wire.Alarm]], Awaitable[Sequence[int]]]
Command = Callable[[Mapping[str, Any]], Awaitable[object]]

# An event with the largest image that the settings allow is far smaller.
LINE_LIMIT = 4 * 1024 * 1024

# asyncio buffers twice this for a client that is faster than the disk. Longer lines come in pieces.
_BUFFER = 64 * 1024


class LocalSocket:
    """The listening side of the local socket.

    ``accept`` stores events, all or none, and returns their numbers. ``commands`` are the commands, by the
    names in ``ask``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        accept: Accept,
        commands: Mapping[str, Command] | None = None,
        line_limit: int = LINE_LIMIT,
        pipeline: int = 64,
        pipeline_bytes: int = 4 * 1024 * 1024,
        connections: int = 16,
    ) -> None:
        self._folder = folder
        self._accept = accept
        self._commands = dict(commands or {})
        self._line_limit = line_limit
        self._pipeline = pipeline
        self._pipeline_bytes = pipeline_bytes
        self._limit = connections
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen. The caller owns the outbox, so an existing socket file is stale and replaced.

        Raises OSError if the folder cannot be written.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with address(self._folder) as path:
                with suppress(FileNotFoundError):
                    os.unlink(path)  # noqa: PTH108 (the path may go through /proc, which pathlib would resolve)
                before = os.umask(0o177)
                try:
                    listener.bind(path)
                finally:
                    os.umask(before)
            self._server = await asyncio.start_unix_server(
                self._serve, sock=listener, limit=_BUFFER, backlog=64
            )
        except BaseException:
            listener.close()
            raise

    async def close(self, *, timeout_s: float = 5.0) -> None:
        """Take no more lines, reply to those taken, remove the socket, within ``timeout_s``. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        with address(self._folder) as path, suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 (as above)
        server.close()
        if self._clients:
            for client in list(self._clients):
                client.cancel()
            await asyncio.wait(self._clients, timeout=timeout_s)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())  # the stream server runs each visit as one
        if len(self._clients) >= self._limit:
            writer.write(
                _refusal(
                    "busy", "too many connections to the local socket; close one and try again", retry=True
                )
            )
            writer.close()
            return
        self._clients.add(task)
        try:
            await _Client(self, reader, writer).run()
        finally:
            self._clients.discard(task)
            writer.close()

    def start(self, line: bytes) -> Awaitable[bytes]:
        """Begin the work for one line; return its reply, to be awaited.

        Events enter the outbox in the order of these calls. An empty ``line`` stands for one over the limit.
        """
        if not line:
            why = f"the line is longer than {self._line_limit:,} bytes"
            return _ready(_refusal("decode", why, where=""))
        if not line.strip(_AROUND):
            why = "the line is blank; write one JSON event or question a line"
            return _ready(_refusal("decode", why, where=""))
        if is_command(line):
            return asyncio.ensure_future(self._ask(line))
        try:
            decoded = _decoded(line)
        except DecodeError as error:
            return _ready(_refusal("decode", str(error), where=error.where))
        events: list[wire.Record | wire.Alarm] = []
        for one in decoded:
            event = _in_local_zone(one)
            if isinstance(event, wire.Unknown):
                where, why = _no_event(event, one.problems)
                return _ready(_refusal("decode", f"{where} {why}", where=where))
            events.append(event)
        problems = [problem for one in decoded for problem in one.problems]
        return asyncio.ensure_future(self._take(events, problems, listed=len(decoded) > 1 or is_list(line)))

    async def _take(
        self, events: Sequence[wire.Record | wire.Alarm], problems: Sequence[wire.Problem], *, listed: bool
    ) -> bytes:
        try:
            ids = await self._accept(events)
            reply: dict[str, object] = {"ok": True, "ids": ids} if listed else {"ok": True, "id": ids[0]}
            if problems:
                reply["problems"] = problems
            return _encode(reply) + b"\n"
        except GatepostError as error:
            return refusal(error)
        except Exception as error:
            return _defect(error)

    async def _ask(self, line: bytes) -> bytes:
        command = msgspec.json.decode(line.strip(_AROUND))
        handler = self._commands.get(command["ask"]) if isinstance(command["ask"], str) else None
        if handler is None:
            names = ", ".join(sorted(self._commands))
            return _refusal("decode", f"ask must be one of: {names}", where="ask")
        try:
            return _encode({"ok": True, "data": await handler(command)}) + b"\n"
        except GatepostError as error:
            return refusal(error)
        except Exception as error:
            return _defect(error)


class _Client:
    """One connection: lines in, replies out in the same order."""

    def __init__(
        self, server: LocalSocket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._replies: asyncio.Queue[tuple[Awaitable[bytes], int] | None] = asyncio.Queue(server._pipeline)
        self._open = 0  # lines without a reply
        self._bytes = 0  # their bytes
        self._room = asyncio.Event()

    async def run(self) -> None:
        replying = asyncio.create_task(self._reply())
        try:
            await self._read()
        except asyncio.CancelledError:
            pass  # the socket closes: replies to the lines so far follow below
        except ConnectionError:
            pass  # the client closed the connection; its events stay accepted
        finally:
            await self._replies.put(None)
            await replying

    async def _read(self) -> None:
        while True:
            while self._bytes > self._server._pipeline_bytes:
                await self._one_replied()
            line = await self._line()
            if line is None:
                return
            alone = is_command(line)
            while alone and self._open:
                await self._one_replied()
            self._open += 1
            self._bytes += len(line)
            await self._replies.put((self._server.start(line), len(line)))
            while alone and self._open:
                await self._one_replied()

    async def _one_replied(self) -> None:
        self._room.clear()
        await self._room.wait()

    async def _line(self) -> bytes | None:
        """Return the next line, b"" for one over the limit (which is skipped), or ``None`` at the end."""
        pieces: list[bytes] = []
        size = 0
        while True:
            try:
                piece = await self._reader.readuntil(b"\n")
            except asyncio.IncompleteReadError as end:
                piece = end.partial
                if not piece and not size:
                    return None
                size += len(piece)
            except asyncio.LimitOverrunError as over:
                piece = await self._reader.readexactly(over.consumed)
                size += len(piece)
                if size <= self._server._line_limit:
                    pieces.append(piece)
                else:
                    pieces.clear()
                continue
            else:
                size += len(piece)
            return b"" if size > self._server._line_limit else b"".join((*pieces, piece))

    async def _reply(self) -> None:
        broken = False
        while (item := await self._replies.get()) is not None:
            reply, size = item
            line = await reply
            self._open -= 1
            self._bytes -= size
            self._room.set()
            if broken:
                continue
            try:
                self._writer.write(line)
                await self._writer.drain()
            except ConnectionError:
                broken = True


def _decoded(line: bytes) -> tuple[wire.Decoded, ...]:
    """Decode a line as a receiver does, but keep an image of an unknown format.

    Raises ``DecodeError`` if it is not JSON.
    """
    decoded = wire.decode_many(line, lenient=True)
    if not any(one.problems for one in decoded):
        return decoded
    try:
        strictly = wire.decode_many(line)
    except DecodeError:
        return decoded
    images = [None if isinstance(one.event, wire.Unknown) else one.event.image for one in strictly]
    if len(images) != len(decoded):
        return decoded
    return tuple(
        one
        if image is None or isinstance(one.event, wire.Unknown) or one.event.image is not None
        else replace(one, event=replace(one.event, image=image))
        for one, image in zip(decoded, images, strict=True)
    )


def is_list(line: bytes) -> bool:
    """Return whether a line is a JSON array."""
    return line.lstrip(_AROUND)[:1] == b"["


def _in_local_zone(decoded: wire.Decoded) -> wire.Event:
    """Return the event, with a time that was sent without a zone in the machine's own."""
    event = decoded.event
    if decoded.local_time is None or isinstance(event, wire.Unknown):
        return event
    at = decoded.local_time.astimezone(UTC)
    if isinstance(event, wire.Record):
        return replace(event, recorded_at=at)
    return replace(event, event_time=at)


def _no_event(event: wire.Unknown, problems: tuple[wire.Problem, ...]) -> tuple[str, str]:
    """Return where and why a line is not an event."""
    if problems and event.raw.get("type") in (0, 1, "0", "1"):
        return problems[-1].where, problems[-1].why
    return "type", "must be 0 (record) or 1 (alarm)"


def is_command(line: bytes) -> bool:
    """Return whether a line is a command, without decoding it: events are large, and many."""
    if b'"ask"' not in line.lstrip(_AROUND)[:64]:
        return False
    try:
        fields = _fields_of.decode(line.strip(_AROUND))
    except msgspec.DecodeError:
        return False
    return "ask" in fields and "type" not in fields


def refusal(error: GatepostError) -> bytes:
    """Return the reply with the reason why nothing was accepted."""
    for kind, (name, retry) in _KINDS.items():
        if isinstance(error, kind):
            return _refusal(name, str(error), retry=retry)
    return _refusal("refused", str(error))


_KINDS: Mapping[type[GatepostError], tuple[str, bool]] = {
    OutboxFull: ("outbox-full", True),
    OutboxUnavailable: ("outbox-unavailable", True),
    NotSubscribed: ("not-subscribed", True),
    WireError: ("decode", False),
}


def _refusal(kind: str, message: str, *, retry: bool = False, where: str | None = None) -> bytes:
    reply: dict[str, object] = {"ok": False, "error": kind, "message": message, "retry": retry}
    if where is not None:
        reply["where"] = where
    return _encode(reply) + b"\n"


def _defect(error: Exception) -> bytes:
    # The frames without their values, which may be names and images.
    log.error("door.defect", error=type(error).__name__, frames=traceback.format_tb(error.__traceback__))
    return _refusal("defect", f"{type(error).__name__} inside the terminal; see its log", retry=True)


def _ready(line: bytes) -> Awaitable[bytes]:
    reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    reply.set_result(line)
    return reply
