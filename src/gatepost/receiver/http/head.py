"""HEAD for every route that has GET: the same response without its body (RFC 9110, section 9.3.2).

A route that would stream is told after its head that the client is gone, so that it ends.
"""

from __future__ import annotations

import asyncio

from gatepost.receiver.http.asgi import Application, Message, Receive, Scope, Send

__all__ = ["head_as_get"]


def head_as_get(app: Application) -> Application:
    """Wrap an ASGI application that knows GET."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await app(scope, receive, send)
            return
        begun = asyncio.Event()
        asked = False

        async def receive_or_end() -> Message:
            nonlocal asked
            if not asked:
                asked = True
                return await receive()
            leaving = asyncio.ensure_future(receive())
            beginning = asyncio.ensure_future(begun.wait())
            await asyncio.wait({leaving, beginning}, return_when=asyncio.FIRST_COMPLETED)
            for task in (leaving, beginning):
                task.cancel()
            return {"type": "http.disconnect"}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                begun.set()

        await app({**scope, "method": "GET"}, receive_or_end, send_head)

    return serve
