"""The ceiling: an ASGI application that reads the body and answers what the protocol page documents. Nothing is stored.

Whatever a receiver does beyond this costs time, so the ratio says how much of the server's own speed is left.
Run: `python -m uvicorn benchmarks.peers.bare_asgi:app`.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]

REPLY = b'{"code":200,"message":"success","data":{}}'
START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(REPLY)).encode())],
}
BODY: Message = {"type": "http.response.body", "body": REPLY}


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Read one request to its end and answer success."""
    if scope["type"] != "http":
        return
    chunks = []
    more = True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    b"".join(chunks)
    await send(START)
    await send(BODY)
