"""Pushes that come as ASGI requests: to a path that has to be taken apart first, or by mistake.

Most are taken without ASGI: see :mod:`gatepost.receiver.ingest.endpoint`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from gatepost.receiver.http.asgi import Receive, Scope, Send, peer_of, respond
from gatepost.receiver.http.connections.limits import Refusal, Request
from gatepost.receiver.ingest.endpoint import Ingest
from gatepost.receiver.ingest.options import Options
from gatepost.receiver.ingest.push.decoding import PushDecoder
from gatepost.receiver.ingest.push.head import BodyType, header_text, sender_address
from gatepost.receiver.ingest.push.push import Headers, Refuse
from gatepost.receiver.ingest.push.serials import first_serial
from gatepost.receiver.ingest.refusals.refusals import Refusals
from gatepost.wire import encode_reply

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope

__all__ = ["AsgiPushes"]


class AsgiPushes:
    """Takes pushes as an ASGI application, and replies to those that came to the wrong path or receiver."""

    def __init__(self, pushes: Ingest, refusals: Refusals, *, options: Options) -> None:
        self._pushes = pushes
        self._refusals = refusals
        self._options = options
        self._decoder = PushDecoder(max_depth=options.max_depth, on_invalid=options.on_invalid)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one push."""
        try:
            body = await self._read(receive)
        except Refuse as refuse:
            self._refusals.count(
                Refusal(refuse.status, refuse.message, peer_of(scope), cast("HTTPScope", scope))
            )
            await self._reply(send, refuse.status, encode_reply(refuse.status, refuse.message))
            return
        if body is None:
            return
        answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

        def answer(status: int, reply: bytes) -> None:
            if not answered.done():
                answered.set_result((status, reply))

        self._pushes.take(
            Request(
                scope["method"].encode(),
                scope["path"].encode("latin-1", "replace"),
                list(scope["headers"]),
                peer_of(scope),
                body,
                answer,
                "tls" in scope.get("extensions", ()),
            )
        )
        status, reply = await answered
        await self._reply(send, status, reply)

    async def misdirected(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply to a push that went to a path where none is taken, and list it."""
        headers: Headers = dict(scope["headers"])
        serial = header_text(headers.get(b"sn"))
        body = await self._read(receive)
        if body is None:
            return
        if serial is None:
            with suppress(Refuse):
                serial = first_serial(self._decoder.decode(body, BodyType()))
        peer = sender_address(peer_of(scope), headers, scope["headers"], self._options.trusted_proxies)
        paths = ", ".join(self._options.paths)
        message = f"nothing is received at this path; let the terminal push to {paths}"
        self._refusals.misdirected(peer, scope["path"], serial, message)
        await self._reply(send, 404, encode_reply(404, message))

    async def turned_away(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell a terminal to try again: this receiver takes no pushes, and another one of its database does."""
        if await self._read(receive) is not None:
            message = "this receiver takes no pushes (role desk); let the proxy pass them to one that does"
            await self._reply(send, 503, encode_reply(503, message))

    async def _read(self, receive: Receive) -> bytes | None:
        """Return the whole body, or ``None`` if the sender left. Behind the guard this is one message."""
        chunks = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            chunks += message.get("body", b"")
            if len(chunks) > self._options.max_body_bytes:
                limit = self._options.max_body_bytes
                raise Refuse(413, f"a body is limited to {limit} bytes", reason="too large")
            if not message.get("more_body", False):
                return bytes(chunks)

    async def _reply(self, send: Send, status: int, body: bytes) -> None:
        headers = []
        if status == 503:
            headers.append((b"retry-after", b"%d" % self._options.retry_after_s))
        if status == 405:
            headers.append((b"allow", b"POST"))
        await respond(send, status, body, headers=headers)
