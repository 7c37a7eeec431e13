"""ASGI as this receiver speaks it: the types of an application, and a whole response in one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

__all__ = ["Application", "Message", "Receive", "Scope", "Send", "peer_of", "respond"]

Scope = Mapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def peer_of(scope: Scope) -> str:
    """Return the address that a request comes from directly; empty where it has none."""
    client = scope.get("client")
    return str(client[0]) if client else ""


async def respond(
    send: Send,
    status: int,
    body: bytes,
    *,
    content_type: bytes = b"application/json",
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Send a whole response; ``headers`` are added to those of its body."""
    of_body = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*of_body, *headers]})
    await send({"type": "http.response.body", "body": body})
