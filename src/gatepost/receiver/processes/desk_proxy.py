"""Hand a request that is no push to the desk: over a local socket, and its response back.

The ingest owns the port, and the desk serves API and console in a process of its own.

Rules:

* A request is whole when it is handed on: the guard has read its body, and has its limits.
* The response is passed on as it comes. The next piece is read when the one before is written, so a slow reader holds
  up the desk's sender and no memory.
* The desk is told who asks, over what, and where, in one header (:data:`ORIGIN`). The same header of a stranger is
  taken out before.
* Headers that are of one connection only (RFC 9110, section 7.6.1) are not passed on, nor is the time of the desk.
* Where the desk is not there the response is 503 with ``Retry-After``, and 504 where it falls silent before its
  response begins: JSON, or a page that loads again by itself for a browser. Where the desk ends in the middle of a
  response, the connection is cut, so that a download that is too short does not look whole.
* A live stream ends by itself when the ingest stops; every other response is waited for.
* Who asked and left is no longer worked for: the desk's connection ends with theirs.

Flow: :class:`DeskProxy` (ingest) → local socket → :func:`as_it_was_asked` (desk) → Litestar.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import httptools
import msgspec
from msgspec import Struct

from gatepost.receiver.http.asgi import Message, Receive, Scope, Send, respond
from gatepost.wire import encode_reply

__all__ = ["ORIGIN", "DeskProxy", "as_it_was_asked"]

ORIGIN = b"x-gatepost-origin"

AWAY = "the desk is starting again, and pushes are taken meanwhile; ask again"

SILENT = "the desk says nothing any more, and pushes are taken meanwhile; see the log, and ask again"

LOOK_S = 1.0
"""How often it is looked whether the desk, which has not begun to respond, is silent."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">\
<meta http-equiv="refresh" content="5"><title>gatepost</title></head><body>
<p>The console is starting again. Terminals are still heard. This page loads again by itself.</p>
<p lang="zh">控制台正在重新启动，终端上报照常接收。本页会自动重新加载。</p>
</body></html>
"""

PIECE_BYTES = 65_536

_OF_ONE_CONNECTION = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
        b"expect", b"content-length", b"date",
    }
)  # fmt: skip


class _Origin(Struct, frozen=True):
    """The parts of an ASGI scope that no HTTP header has."""

    scheme: str
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None


class DeskProxy:
    """An ASGI application: the desk behind a local socket."""

    def __init__(
        self,
        path: str,
        *,
        retry_after_s: int = 5,
        is_silent: Callable[[], bool] = lambda: False,
        look_s: float = LOOK_S,
    ) -> None:
        """``path`` is that of the socket. ``is_silent`` returns whether the desk, which is there, says nothing."""
        self._path = path
        self._retry_after_s = retry_after_s
        self._is_silent = is_silent
        self._look_s = look_s
        self._is_stopping = False
        self._passing: dict[_Response, asyncio.StreamWriter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on one request."""
        body = (await receive()).get("body", b"")
        try:
            reader, writer = await asyncio.open_unix_connection(self._path, limit=PIECE_BYTES)
        except OSError:
            await self._send_away(scope, send)
            return
        response = _Response(has_body=scope["method"] != "HEAD")
        passing = asyncio.ensure_future(self._pass(response, scope, body, reader, writer, send))
        leaving = asyncio.ensure_future(_disconnected(receive))
        either = {passing, leaving}
        try:
            while not (response.has_begun or passing.done() or leaving.done()):
                await asyncio.wait(either, timeout=self._look_s, return_when=asyncio.FIRST_COMPLETED)
                if not (response.has_begun or passing.done()) and self._is_silent():
                    await self._send_away(scope, send, 504, SILENT)
                    return
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if passing.done() and not response.has_begun:
                await self._send_away(scope, send)
        finally:
            for task in (passing, leaving):
                task.cancel()
            await asyncio.gather(passing, leaving, return_exceptions=True)
            writer.transport.abort()

    async def _pass(
        self,
        response: _Response,
        scope: Scope,
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        send: Send,
    ) -> None:
        """Pass a request and its response on. The response has not begun if the desk left before."""
        self._passing[response] = writer
        try:
            with contextlib.suppress(OSError):
                writer.write(_head(scope, len(body)) + body)
                while not response.is_complete and (piece := await reader.read(PIECE_BYTES)):
                    response.parser.feed_data(piece)
                    for message in response.take():
                        await send(message)
                    if self._is_stopping:
                        _end(response, writer)
                if response.is_stream and self._is_stopping and not response.is_complete:
                    await send({"type": "http.response.body", "body": b""})
        finally:
            del self._passing[response]

    def stop(self) -> None:
        """End live streams, now and from now on."""
        self._is_stopping = True
        for response, writer in self._passing.items():
            _end(response, writer)

    async def _send_away(self, scope: Scope, send: Send, status: int = 503, message: str = AWAY) -> None:
        if any(b"text/html" in value for name, value in scope["headers"] if name == b"accept"):
            kind, body = b"text/html; charset=utf-8", _PAGE.encode()
        else:
            kind, body = b"application/json", encode_reply(status, message)
        headers = [(b"retry-after", b"%d" % self._retry_after_s), (b"cache-control", b"no-store")]
        await respond(send, status, body, content_type=kind, headers=headers)


class _Response:
    """A response of HTTP/1.1 as it is read, and the ASGI messages that it becomes."""

    def __init__(self, *, has_body: bool) -> None:
        """``has_body`` is False for the response to HEAD (RFC 9112, section 6.3)."""
        self.parser = httptools.HttpResponseParser(self)
        self.has_begun = False
        self.is_complete = False
        self.is_stream = False
        """It is server-sent events, which end only when one of both ends leaves."""
        self._has_body = has_body
        self._headers: list[tuple[bytes, bytes]] = []
        self._messages: list[Message] = []

    def take(self) -> list[Message]:
        """Return the messages since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name not in _OF_ONE_CONNECTION or name == b"content-length":
            self._headers.append((name, value))
        if name == b"content-type":
            self.is_stream = value.startswith(b"text/event-stream")

    def on_headers_complete(self) -> None:
        self.has_begun = True
        status = self.parser.get_status_code()
        self._messages.append({"type": "http.response.start", "status": status, "headers": self._headers})
        if not self._has_body:
            self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        self._messages.append({"type": "http.response.body", "body": body, "more_body": True})

    def on_message_complete(self) -> None:
        if not self.is_complete:
            self.is_complete = True
            self._messages.append({"type": "http.response.body", "body": b""})


def as_it_was_asked(scope: Scope) -> Scope:
    """Return the scope of a request that came through :class:`DeskProxy` as the ingest had it."""
    told = [value for name, value in scope["headers"] if name == ORIGIN]
    origin = msgspec.json.decode(told[0], type=_Origin) if told else _Origin(scope["scheme"], None, None)
    headers = [(name, value) for name, value in scope["headers"] if name != ORIGIN]
    return {
        **scope,
        "headers": headers,
        "scheme": origin.scheme,
        "client": origin.client,
        "server": origin.server,
    }


def _end(response: _Response, writer: asyncio.StreamWriter) -> None:
    if response.is_stream:
        writer.transport.abort()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _head(scope: Scope, length: int) -> bytes:
    target = scope.get("raw_path") or scope["path"].encode("latin-1")
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    origin = _Origin(scope["scheme"], scope.get("client"), scope.get("server"))
    lines = [b"%b %b HTTP/1.1\r\n" % (scope["method"].encode("ascii"), target)]
    lines += [name + b": " + value + b"\r\n" for name, value in _passed_on(scope["headers"])]
    lines += [b"%b: %b\r\n" % (ORIGIN, msgspec.json.encode(origin))]
    if scope["http_version"] == "1.0" and not any(name == b"host" for name, _ in scope["headers"]):
        lines += [b"host: %b\r\n" % (origin.server[0] if origin.server else "receiver").encode()]
    lines += [b"content-length: %d\r\nconnection: close\r\n\r\n" % length]
    return b"".join(lines)


def _passed_on(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name not in _OF_ONE_CONNECTION and name != ORIGIN]
