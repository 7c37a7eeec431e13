"""Responses that are made while they are sent, and end with whoever asked: exports, the live stream.

Rules:

* The first piece is made before there is a status, so that what is wrong with the question has one of its own.
* When the response is over, for whatever reason, its pieces are closed: at once, and not when the collector comes to
  them. Until then an export has a file on disk, and a live stream a seat.

Flow: :func:`streamed` notes the pieces in the request's scope → the application, once it has answered or given up:
:func:`close`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, MutableMapping
from typing import Any

from litestar.response import Stream

from gatepost.receiver.api.access.authorization import AnyRequest

__all__ = ["close", "streamed"]

_OPEN = "gatepost.streams"


async def streamed(
    request: AnyRequest, pieces: AsyncGenerator[bytes, None], *, media_type: str, headers: dict[str, str]
) -> Stream:
    """Return a response that is sent in pieces. Raises what the first of them raises."""
    first = await anext(pieces)
    whole = _all(first, pieces)
    open_here: MutableMapping[str, Any] = request.scope  # type: ignore[assignment]  # as ASGI has it, ours may be there
    open_here.setdefault(_OPEN, []).extend((whole, pieces))
    return Stream(whole, media_type=media_type, headers=headers)


async def close(scope: MutableMapping[str, Any]) -> None:
    """Close what was streamed in a request; idempotent."""
    for pieces in scope.pop(_OPEN, ()):
        await pieces.aclose()


async def _all(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for piece in rest:
        yield piece
