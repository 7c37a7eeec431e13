"""The terminal's HTTP service with faults in its replies.

Rules:

- Everything except the requested faults is the real service.
- The heartbeat stays right except for its serial, clock and delay, because the faults after it are the subject.

Flow: as in :mod:`gatepost.terminal.http_api.routes`; a fault replaces a reply, or changes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import pybase64
from aiohttp import web

from gatepost.terminal.http_api.auth import (
    ACCOUNT_NOT_EXIST,
    PASSWORD_WRONG,
    UNAUTHORIZED,
    Accounts,
    Denied,
)
from gatepost.terminal.http_api.routes import OPEN_PATHS, Inside, Route, Service, envelope
from gatepost.terminal.outbox.types import HistoryQuery, Stored
from gatepost.terminal.rehearsal.faults import Faults, asked_instead, item_instead
from gatepost.wire.history_query import decode_history_request, history_item_parts

__all__ = ["FaultyService"]

PING, LOGIN = "/v2/datasync/ping", "/v1/auth/login"

PAGE = b"<!doctype html><title>Login</title><form method=post><input name=user></form>"

_SAID = {401: "Unauthorized", 404: "Not Found", 500: "Internal Server Error"}


class FaultyService(Service):
    """The HTTP service of one terminal with ``faults``.

    The other parameters are those of :class:`~gatepost.terminal.http_api.routes.Service`; ``sleep`` waits that many
    seconds.
    """

    def __init__(
        self,
        inside: Inside,
        faults: Faults,
        *,
        accounts: Accounts,
        identity: Mapping[str, str],
        now: Callable[[], float],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        shown = {**identity, "sn": faults.other_serial} if faults.other_serial else identity
        super().__init__(
            inside,
            accounts=accounts,
            identity=shown,
            now=lambda: now() + faults.clock * 3600,
            monotonic=monotonic,
        )
        self._faults = faults
        self._sleep = sleep
        self._logged_in_at: float | None = None
        self._pages = 0

    async def _guarded(self, request: web.Request, route: Route) -> web.StreamResponse:
        if self._faults.slow:
            await self._sleep(self._faults.slow)
        instead = await self._instead(request)
        return await super()._guarded(request, route) if instead is None else instead

    async def _instead(self, request: web.Request) -> web.StreamResponse | None:
        """Return the reply in place of the right one; ``None``: no fault applies."""
        kind, path = self._faults.reply, request.path
        if not kind or path == PING:
            return None
        if kind in ("1000", "1001"):
            if path != LOGIN:
                return None
            code, said = (
                (ACCOUNT_NOT_EXIST, "Account Not Exist")
                if kind == "1000"
                else (PASSWORD_WRONG, "Password Wrong")
            )
            return envelope(code, said)
        if kind == "html":
            return web.Response(body=PAGE, content_type="text/html")
        if kind == "endless":
            return await self._endless(request)
        if kind == "401" and path in OPEN_PATHS:
            return None
        return envelope(int(kind), _SAID[int(kind)])

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = self._dressed(web.StreamResponse(), self._accounts.first)
        response.content_type = "application/json"
        await response.prepare(request)
        await response.write(b'{"code":200,"msg":"')
        while True:  # until the client disconnects, then writing raises
            await response.write(b"OK" * 2048)

    async def _allow(self, request: web.Request) -> str | None:
        account = await super()._allow(request)
        is_bearer = request.headers.get("Authorization", "").lower().startswith("bearer ")
        since = self._logged_in_at
        holds_s = self._faults.token
        if holds_s and is_bearer and since is not None and self._monotonic() - since >= holds_s:
            raise Denied(UNAUTHORIZED, "Unauthorized: the token has expired; log in again")
        return account

    async def _login(self, request: web.Request) -> web.StreamResponse:
        reply = await super()._login(request)
        self._logged_in_at = self._monotonic()
        return reply

    async def _get_subscription(self, request: web.Request) -> web.StreamResponse:
        return envelope(200, "OK") if self._faults.silent else await super()._get_subscription(request)

    async def _records(self, request: web.Request) -> web.StreamResponse:
        if not self._faults.history:
            return await super()._records(request)
        wanted = decode_history_request(await self._body(request))
        query = HistoryQuery(**msgspec.structs.asdict(wanted))
        page = await self._inside.history(asked_instead(query, self._faults))
        items = [item_instead(_item(stored), self._faults) for stored in page.items]
        self._pages += 1
        total = page.total + (self._pages % 3 if "totals" in self._faults.history else 0)
        about = {"offset": query.offset, "limit": query.limit, "count": len(items), "total": total}
        return envelope(200, "OK", {**about, "items": items})


def _item(stored: Stored) -> dict[str, Any]:
    head, tail = history_item_parts(stored.head, stored.tail)
    item: dict[str, Any] = msgspec.json.decode(head + pybase64.b64encode(stored.image or b"") + tail)
    return item
