"""Post to HTTP addresses within the egress rules, for webhooks, receivers and chat services.

It follows no redirects, keeps no cookies, and uses no proxy of the environment. An incomplete reply is
:class:`~gatepost.wire.Unreachable`, with a readable reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
from msgspec import Struct
from yarl import URL

from gatepost.egress import Egress, Forbidden
from gatepost.forward.options.destination import Destination
from gatepost.forward.options.secrets import Secrets
from gatepost.forward.sinks.tls import context_for
from gatepost.wire import Unreachable

__all__ = ["MAX_REPLY", "Posts", "Reply", "why"]

MAX_REPLY = 64 * 1024
"""Bytes of a reply that are read; with more of it the connection is closed."""


class Reply(Struct, frozen=True):
    """An HTTP reply."""

    status: int
    headers: Mapping[str, str]
    """Found by name, however that is written."""
    body: bytes
    """At most :data:`MAX_REPLY` bytes of it."""
    is_whole: bool


class Posts:
    """Posts to one destination. Made and used on one event loop."""

    def __init__(self, told: Destination, secrets: Secrets, egress: Egress) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` for a certificate that cannot be used."""
        self._told = told
        self._egress = egress
        self._ssl = context_for(told, secrets)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply | Unreachable:
        """Post once; return the reply, or why there is none. Raises nothing for what the other end does."""
        try:
            # The host as it is connected to: full-width digits are digits there.
            self._egress.check_literal(URL(url).raw_host or "")
            # Without following: a redirect may lead where no request may go.
            async with self._open().post(url, data=body, headers=headers, allow_redirects=False) as reply:
                said, is_whole = await _read(reply)
                if not is_whole:
                    reply.close()
                return Reply(reply.status, reply.headers, said, is_whole)
        except Forbidden as error:
            return Unreachable(str(error))
        except TimeoutError:
            return Unreachable(f"no reply within {self._told.timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Unreachable(why(error))

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._egress,
                socket_factory=self._egress.make_socket,
                limit=self._told.in_flight,
                ssl=True if self._ssl is None else self._ssl,
                use_dns_cache=False,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=self._told.timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                loop=asyncio.get_running_loop(),
            )
        return self._session


async def _read(reply: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """Return at most :data:`MAX_REPLY` bytes of a reply, and whether that is all of it.

    The status is known already, so an early end of the body does not change it.
    """
    parts: list[bytes] = []
    room = MAX_REPLY
    try:
        while room > 0 and (part := await reply.content.read(room)):
            parts.append(part)
            room -= len(part)
    except (aiohttp.ClientError, OSError, ValueError):
        return b"".join(parts), False
    return b"".join(parts), room > 0 or reply.content.at_eof()


def why(error: BaseException) -> str:
    """Return a readable reason why a destination cannot be reached."""
    while not isinstance(error, Forbidden) and (error.__cause__ or error.__context__) is not None:
        inner = error.__cause__ or error.__context__
        if not isinstance(inner, (OSError, Forbidden)):
            break
        error = inner
    if isinstance(error, Forbidden):
        return str(error)
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"it cannot be reached: {said}"[:300]
