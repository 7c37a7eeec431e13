"""The paths of the terminal's own HTTP service: subscription, history, status, login.

Rules:

- Every reply is the envelope ``{"code", "msg", "data"}`` (protocol page, 提交配置 and 获取配置), with the headers that
  the family sends: ``sn``, ``model``, ``timestamp`` (Unix milliseconds) and ``account``. The HTTP status is the code
  where the code is one of HTTP; 1000 and 1001 (account, password) come with 401.
- The reply to a wrong request names the field. The reply to an internal error has no details.
- With accounts, every path except the heartbeat and the login needs one. A program on the same machine may read
  ``/status`` without.
- Without accounts the service is on loopback only, and web pages must not reach it. A request of a browser for another
  site (``Origin``), or to a name that only resolves to this machine (``Host``), is refused with 403.
- Bodies, time and connections are bounded, so that no client delays the outbox.

Flow: connection (``connection_limits``) → ``_answer`` (envelope, headers, errors) → ``_allow`` (account) → a route.
"""

import asyncio
import ipaddress
import ssl
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
import pybase64
from aiohttp import web

from gatepost import wire
from gatepost.errors import DecodeError, GatepostError, OutboxUnavailable
from gatepost.terminal.http_api.auth import (
    ACCOUNT_NOT_EXIST,
    MINUTES_DEFAULT,
    MINUTES_MAX,
    PASSWORD_WRONG,
    UNAUTHORIZED,
    Accounts,
    Denied,
)
from gatepost.terminal.http_api.connection_limits import HANDSHAKE_S, Connections
from gatepost.terminal.http_api.login_throttle import TooManyAttempts
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.types import HistoryPage, HistoryQuery, Stored
from gatepost.wire.history_query import decode_history_request, history_item_parts

log = Log(__name__)

# The largest request is a subscription: 1,024 characters, each at most 12 bytes when escaped in JSON.
BODY_LIMIT = 16 * 1024
BODY_S = 10.0

# GET /v1/auth/errors: the codes that the family documents.
ERRORS = (
    (200, "OK"),
    (401, "Unauthorized"),
    (404, "Not Found"),
    (500, "Internal Server Error"),
    (1000, "Account Not Exist"),
    (1001, "Password Wrong"),
)

ROUTES: Mapping[tuple[str, str], str] = {
    ("GET", "/v1/event/subscribe"): "_get_subscription",
    ("POST", "/v1/event/subscribe"): "_post_subscription",
    ("POST", "/v1/auth/login"): "_login",
    ("GET", "/v1/auth/errors"): "_errors",
    ("POST", "/v1/event/records"): "_records",
    ("POST", "/v1/event/records/"): "_records",  # the maker's change log has the slash
    ("GET", "/v2/datasync/ping"): "_ping",
    ("GET", "/status"): "_status",
}

OPEN_PATHS = frozenset({"/v2/datasync/ping", "/v1/auth/login"})

Route = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Inside:
    """The functions of the terminal that the service calls.

    ``subscription`` and ``subscribe`` read and store the address to push to; ``history`` returns the records that
    match a query; ``status`` returns the figures.
    """

    def __init__(
        self,
        *,
        subscription: Callable[[], Awaitable[wire.Subscription | None]],
        subscribe: Callable[[wire.Subscription], Awaitable[None]],
        history: Callable[[HistoryQuery], Awaitable[HistoryPage]],
        status: Callable[[], Awaitable[Mapping[str, object]]],
    ) -> None:
        self.subscription = subscription
        self.subscribe = subscribe
        self.history = history
        self.status = status


class Service:
    """The HTTP service of one terminal.

    ``identity``: the headers ``sn`` and ``model``; ``now`` Unix seconds; ``monotonic`` a clock
    for time-outs, in seconds; ``connections`` how many may be open, ``body_s`` how long a body may take.
    """

    def __init__(
        self,
        inside: Inside,
        *,
        accounts: Accounts,
        identity: Mapping[str, str],
        now: Callable[[], float],
        monotonic: Callable[[], float],
        connections: int = 64,
        body_s: float = BODY_S,
    ) -> None:
        self._inside = inside
        self._accounts = accounts
        self._identity = dict(identity)
        self._now = now
        self._monotonic = monotonic
        self._limit = connections
        self._body_s = body_s
        self._one_history = asyncio.Semaphore(1)  # a page may hold 200 portraits
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._connections: Connections | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self.port = 0

    async def open(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        """Listen on ``host`` and ``port`` (0: any free one; see ``port`` afterwards). Raises OSError if it is taken."""
        app = web.Application(middlewares=[self._answer], client_max_size=BODY_LIMIT)
        for (method, path), name in ROUTES.items():
            app.router.add_route(method, path, getattr(self, name))
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, keepalive_timeout=15.0)
        await self._runner.setup()
        server = cast(web.Server, self._runner.server)  # set by setup()
        self._connections = Connections(server, now=self._monotonic, limit=self._limit)
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._connections,
                host,
                port,
                ssl=tls,
                backlog=64,
                reuse_address=True,
                ssl_handshake_timeout=None if tls is None else HANDSHAKE_S,
            )
        except BaseException:
            await self._runner.cleanup()
            raise
        self.port = self._server.sockets[0].getsockname()[1]
        self._sweeping = asyncio.create_task(self._connections.run())

    async def close(self, *, timeout_s: float = 5.0) -> None:
        """Take no more requests and finish those under way, within ``timeout_s``. Idempotent."""
        server, self._server = self._server, None
        if server is None or self._runner is None or self._sweeping is None:
            return
        server.close()
        self._sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await self._sweeping
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._runner.cleanup()

    def cut(self) -> None:
        """Close every connection at once, as a power cut does."""
        if self._connections is not None:
            self._connections.cut()

    # -- around every route

    @web.middleware
    async def _answer(self, request: web.Request, handler: Route) -> web.StreamResponse:
        connections = cast(Connections, self._connections)  # requests come through them
        connections.busy(request.protocol)
        try:
            response = await self._guarded(request, handler)
        finally:
            connections.idle(request.protocol)
        return response if response.prepared else self._dressed(response, self._accounts.first)

    def _dressed(self, response: web.StreamResponse, account: str) -> web.StreamResponse:
        """Return the reply with the headers of the protocol."""
        response.headers.update(self._identity)
        response.headers["timestamp"] = str(int(self._now() * 1000))
        response.headers.setdefault("account", account)
        response.headers["Server"] = "gatepost"
        return response

    async def _guarded(self, request: web.Request, route: Route) -> web.StreamResponse:
        try:
            account = await self._allow(request)
            response = await route(request)
            if account is not None and not response.prepared:
                response.headers["account"] = account
            return response
        except ConnectionError:
            raise  # the client closed the connection
        except DecodeError as error:
            return envelope(400, str(error))
        except TooManyAttempts as error:
            return envelope(429, str(error), headers={"Retry-After": str(error.retry_after_s)})
        except Denied as error:
            return envelope(error.code, str(error), headers={"WWW-Authenticate": 'Basic realm="gatepost"'})
        except OutboxUnavailable as error:
            return envelope(503, str(error), headers={"Retry-After": "5"})
        except web.HTTPException as error:
            # Only the required header of an HTTP exception: Allow with 405 (RFC 9110, 15.5.6).
            kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
            return envelope(error.status, error.reason, headers=kept)
        except GatepostError as error:
            log.error("api.failed", path=request.path, error=type(error).__name__)
            return envelope(500, str(error))
        except Exception as error:
            # The frames without their values, which may be names and images.
            frames = traceback.format_tb(error.__traceback__)
            log.error("api.defect", path=request.path, error=type(error).__name__, frames=frames)
            return envelope(500, "Internal Server Error")

    async def _allow(self, request: web.Request) -> str | None:
        """Let the request pass; return its account, if it has one.

        Raises Denied, TooManyAttempts or a web.HTTPException if it must not pass.
        """
        if not self._from_here(request):
            raise web.HTTPForbidden
        if request.path in OPEN_PATHS or not self._accounts:
            return None
        peer = request.remote or ""
        account = await self._accounts.authenticate(request.headers.get("Authorization"), peer=peer)
        if account is None and not (request.path == "/status" and _is_loopback(request)):
            raise Denied(UNAUTHORIZED, "Unauthorized")
        return account

    def _from_here(self, request: web.Request) -> bool:
        origin = request.headers.get("Origin")
        host = request.headers.get("Host", "")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return False
        return bool(self._accounts) or _names_this_machine(host)

    # -- the routes

    async def _get_subscription(self, request: web.Request) -> web.StreamResponse:
        subscription = await self._inside.subscription()
        return envelope(
            200, "OK", None if subscription is None else _shown(msgspec.to_builtins(subscription))
        )

    async def _post_subscription(self, request: web.Request) -> web.StreamResponse:
        subscription = wire.decode_subscription(await self._body(request))
        await self._inside.subscribe(subscription)
        log.info("api.subscribed", enabled=subscription.enabled)
        return envelope(200, "OK")

    async def _login(self, request: web.Request) -> web.StreamResponse:
        username, password, minutes = _decode_login(await self._body(request))
        try:
            token = await self._accounts.login(username, password, minutes=minutes, peer=request.remote or "")
        except Denied as error:
            log.warning("api.login_failed", peer=request.remote, code=error.code)
            raise
        return envelope(200, "OK", {"token": token}, headers={"account": username})

    async def _errors(self, request: web.Request) -> web.StreamResponse:
        return envelope(200, "OK", [{"code": code, "msg": msg} for code, msg in ERRORS])

    async def _ping(self, request: web.Request) -> web.StreamResponse:
        return envelope(200, "OK")

    async def _status(self, request: web.Request) -> web.StreamResponse:
        found = dict(await self._inside.status())
        if self._accounts and "Authorization" not in request.headers:
            found.pop("subscription", None)  # the address may hold the receiver's token
        elif found.get("subscription"):
            found["subscription"] = _shown(msgspec.to_builtins(found["subscription"]))
        return envelope(200, "OK", found)

    async def _body(self, request: web.Request) -> bytes:
        """Return the body. Raises web.HTTPException: 413 when it is too large, 408 when it does not come."""
        try:
            async with asyncio.timeout(self._body_s):
                return await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None

    async def _records(self, request: web.Request) -> web.StreamResponse:
        wanted = decode_history_request(await self._body(request))
        query = HistoryQuery(**msgspec.structs.asdict(wanted))
        async with self._one_history:
            page = await self._inside.history(query)
            count = len(page.items)
            about = f'"offset":{query.offset},"limit":{query.limit},"count":{count},"total":{page.total}'
            return await self._stream(request, about, page.items)

    async def _stream(
        self, request: web.Request, about: str, records: Sequence[Stored]
    ) -> web.StreamResponse:
        """Reply with a page of history piece by piece, so that 200 portraits are not in memory at once."""
        opening = b'{"code":200,"msg":"OK","data":{' + about.encode() + b',"items":['
        parts = [history_item_parts(record.head, record.tail) for record in records]
        images = [record.image or b"" for record in records]
        base64 = sum(4 * ((len(image) + 2) // 3) for image in images)
        around = sum(len(head) + len(tail) for head, tail in parts)
        commas = max(0, len(parts) - 1)
        response = self._dressed(web.StreamResponse(), self._accounts.first)
        response.content_type = "application/json"
        response.content_length = len(opening) + around + base64 + commas + len(_CLOSING)
        await response.prepare(request)
        piece = bytearray(opening)
        for number, ((head, tail), image) in enumerate(zip(parts, images, strict=True)):
            piece += (b"," if number else b"") + head + pybase64.b64encode(image) + tail
            if len(piece) >= _PIECE_BYTES:
                await response.write(bytes(piece))
                piece.clear()
        await response.write_eof(bytes(piece) + _CLOSING)
        return response


_CLOSING = b"]}}"

_PIECE_BYTES = 16 * 1024
"""As many as a TLS record has. Each record costs both ends more than the bytes in it."""


def envelope(
    code: int, msg: str, data: object = None, *, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a reply of the service. A code that is none of HTTP (1000, 1001) comes with HTTP 401."""
    status = UNAUTHORIZED if code in (ACCOUNT_NOT_EXIST, PASSWORD_WRONG) else code
    return web.Response(
        body=wire.encode_envelope(code, msg, data),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def _shown(subscription: dict[str, Any]) -> dict[str, Any]:
    """Return a subscription without credentials."""
    return {**subscription, "event_dest": wire.without_credentials(subscription["event_dest"])}


def _decode_login(body: bytes) -> tuple[str, str, int]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DecodeError("", "is no JSON") from None
    if not isinstance(value, dict):
        raise DecodeError("", "is no JSON object")
    for name in ("username", "password"):
        if name not in value:
            raise DecodeError(name, "is missing")
        if not isinstance(value[name], str):
            raise DecodeError(name, "must be a string")
    minutes = value.get("validTime", MINUTES_DEFAULT)
    if type(minutes) is not int or not 1 <= minutes <= MINUTES_MAX:
        raise DecodeError("validTime", f"must be an integer between 1 and {MINUTES_MAX} (minutes)")
    return value["username"], value["password"], minutes


def _is_loopback(request: web.Request) -> bool:
    """Tell whether a program on this machine asks directly, not through a proxy on this machine."""
    if any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "Via")):
        return False
    try:
        return ipaddress.ip_address((request.remote or "").partition("%")[0]).is_loopback
    except ValueError:
        return False


def _names_this_machine(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost"
    return True
