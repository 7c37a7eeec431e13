"""Look up the addresses of a host name, in a thread that does not delay a stop.

``getaddrinfo`` blocks, for half a minute if a name server does not reply. It runs in a thread of its own, because the
process waits for the event loop's shared threads when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

__all__ = ["Resolver", "resolve"]

Resolver = Callable[[str, int], Awaitable[Sequence[tuple[Any, ...]]]]
"""Returns what ``socket.getaddrinfo`` returns for a TCP connection to this host and port."""


async def resolve(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    """Look a host up. Raises ``OSError`` if it has no address, ``UnicodeError`` if it cannot be a host name.

    An address needs no look-up. Cancelling ends the waiting, not the look-up.
    """
    loop = asyncio.get_running_loop()
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name, not an address
    found: asyncio.Future[Sequence[tuple[Any, ...]]] = loop.create_future()

    def settle(result: Sequence[tuple[Any, ...]] | Exception) -> None:
        if found.done():
            return
        if isinstance(result, Exception):
            found.set_exception(result)
        else:
            found.set_result(result)

    def look_up() -> None:
        result: Sequence[tuple[Any, ...]] | Exception
        try:
            result = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            result = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=look_up, name="gatepost-resolve", daemon=True).start()
    return await found
