"""Talk to a terminal's own HTTP service: who it is, where it pushes to, what it has seen.

Rules:

* Neither a password nor the token of a login goes to a peer that was not looked at first: each connection is to the
  certificate that was pinned, and the serial of the heartbeat has to be the terminal's.
* A wrong password is said once and not tried again; what that means is for a person.
* Requests go where the egress rules allow it, and follow no redirect.
* One request at a time. Time and size of each reply are bounded, and the values in it: a list of millions of them would
  take a hundred times its size. Nothing is decompressed.
* What comes back is the envelope ``{"code", "msg", "data"}``, or no terminal's.

Flow: :meth:`TerminalClient.look` → :meth:`TerminalClient.login` → subscription and history.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from gatepost.egress import Egress, Forbidden
from gatepost.errors import SettingsError
from gatepost.fleet.failures import (
    AnotherCertificate,
    AnotherTerminal,
    FleetError,
    NotAllowed,
    NoTerminal,
    TerminalAway,
    TerminalRefused,
    WrongAccount,
)
from gatepost.wire import Subscription

__all__ = ["PAGE", "PORT", "Account", "HistoryPage", "Seen", "TerminalClient", "checked_address"]


PORT = 8000
"""On which terminals listen unless they are told otherwise."""

MAX_REPLY = 64 * 1024

MAX_HISTORY = 32 * 1024 * 1024
"""Bytes of a page of history, which may have portraits."""

MAX_VALUES = 65_536
"""Values of a reply: its objects and lists, and what stands in them. A page of records has some six thousand."""

TOKEN_MINUTES = 60
"""For how long a token is asked for."""

PAGE = 100
"""Records of a page of history: what terminals return unless they are asked for less."""

MAX_SKEW_S = 400 * 86400
"""Beyond so much a clock was never set, and nothing is said of its error."""


class Account(Struct, frozen=True):
    """How to log in to a terminal."""

    username: str
    password: str


class Seen(Struct, frozen=True, kw_only=True):
    """Hold what a terminal says of itself without being logged in to."""

    serial: str
    model: str
    clock_error_s: float | None
    """How far its clock is ahead; ``None`` where it does not tell the time."""
    pin: bytes | None
    """SHA-256 of its certificate; ``None`` for plain HTTP."""


class HistoryPage(Struct, frozen=True, kw_only=True):
    """A page of what a terminal has seen."""

    total: int | None
    """How many records fit in all; ``None`` where it does not say."""
    items: list[msgspec.Raw]
    """Each a record of type 0, as JSON."""


class _Envelope(Struct):
    code: int
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Subscription(Struct):
    """As it is, whatever was put there: what another tool wrote is shown and kept, not judged."""

    event_dest: str = ""
    enabled: bool = False


class _History(Struct):
    items: list[msgspec.Raw] = []
    total: int | None = None


class _Token(Struct):
    token: str


def checked_address(typed: str) -> str:
    """Return the address of a terminal's service as it is used: ``https://HOST:PORT``.

    ``typed`` is a host, with a port if it is not 8000, or an address; ``http://`` has to be written out. Raises
    :class:`~gatepost.errors.SettingsError`.
    """
    whole = typed.strip()
    try:
        parts = urlsplit(whole if "://" in whole else f"https://{whole}")
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        host, port = None, PORT
        parts = urlsplit("")
    if not host or parts.scheme not in ("http", "https") or parts.username or parts.path not in ("", "/"):
        raise SettingsError("address", "must be like 192.0.2.7, door-3:8000 or https://192.0.2.7:8000")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{port}"


class TerminalClient:
    """One terminal's service. Made and used on one event loop; ``async with`` lets go of its connections."""

    def __init__(
        self,
        address: str,
        *,
        serial: str | None = None,
        pin: bytes | None = None,
        egress: Egress | None = None,
        token: str | None = None,
        timeout_s: float = 10.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``address`` as :func:`checked_address` returns it; ``serial`` and ``pin`` of the terminal that it should be.

        ``egress``: to which addresses requests may go; ``None``: to any. ``token``: of a login before.
        """
        self.address = address
        self._serial = serial
        self._pin = pin
        self._egress = egress
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._now = now
        self.token = token
        """Of the login; another client of this terminal may use it."""
        self._turn = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> TerminalClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def look(self) -> Seen:
        """Return who replies there. Raises :class:`FleetError` of every kind but :class:`WrongAccount`."""
        if self._pin is None and self.address.startswith("https:"):
            self._pin = await self._certificate()
        _, headers = await self._ask("GET", "/v2/datasync/ping", shows_token=False)
        serial = headers.get("sn", "").strip()
        if not serial or len(serial) > 128 or not serial.isprintable():
            raise NoTerminal(f"{self.address} replies, and says no serial: it is no terminal of this family")
        if self._serial is not None and serial != self._serial:
            raise AnotherTerminal(
                f"{self.address} is terminal {serial} now, not {self._serial}; look for its new address"
            )
        self._serial = serial
        return Seen(
            serial=serial,
            model=headers.get("model", "").strip()[:128],
            clock_error_s=self._clock_error(headers),
            # Plain HTTP shows none, whichever was asked for.
            pin=self._pin if self.address.startswith("https:") else None,
        )

    async def login(self, account: Account) -> str:
        """Log in; return the token. Call :meth:`look` before.

        Raises :class:`WrongAccount`: do not try the same again.
        """
        if self._serial is None:
            raise FleetError("look who it is before a password is sent")
        body = {"username": account.username, "password": account.password, "validTime": TOKEN_MINUTES}
        envelope, _ = await self._ask("POST", "/v1/auth/login", body)
        token: str = _decoded(envelope.data, _Token, "the reply to the login").token
        self.token = token
        return token

    async def subscription(self) -> Subscription | None:
        """Return where it pushes to; ``None``: nowhere yet, or it does not say."""
        envelope, _ = await self._ask("GET", "/v1/event/subscribe")
        found = _decoded(envelope.data, _Subscription | None, "its subscription")
        return None if found is None else Subscription(found.event_dest, found.enabled)

    async def subscribe(self, event_dest: str, *, enabled: bool = True) -> None:
        """Have it push to an address from now on."""
        await self._ask("POST", "/v1/event/subscribe", {"event_dest": event_dest, "enabled": enabled})

    async def history(self, begin_s: int, end_s: int, *, offset: int = 0, limit: int = PAGE) -> HistoryPage:
        """Return records of a span of Unix seconds, the oldest first."""
        body = {"begin_time": begin_s, "end_time": end_s, "offset": offset, "limit": limit, "sort": 0}
        envelope, _ = await self._ask("POST", "/v1/event/records", body, most=MAX_HISTORY)
        found = _decoded(envelope.data, _History | None, "its history")
        return (
            HistoryPage(total=0, items=[])
            if found is None
            else HistoryPage(total=found.total, items=found.items)
        )

    async def _ask(
        self, method: str, path: str, body: object = None, *, most: int = MAX_REPLY, shows_token: bool = True
    ) -> tuple[_Envelope, Mapping[str, str]]:
        async with self._turn:
            token = self.token if shows_token else None
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            try:
                if self._egress is not None:  # an address is connected to without being resolved
                    self._egress.check_literal(URL(self.address).raw_host or "")
                async with self._open().request(
                    method,
                    self.address + path,
                    data=None if body is None else msgspec.json.encode(body),
                    headers={**headers, "Content-Type": "application/json", "Accept-Encoding": "identity"},
                    allow_redirects=False,
                ) as reply:
                    said = await _read(reply, most)
                    status, shown = (
                        reply.status,
                        {name.lower(): value for name, value in reply.headers.items()},
                    )
            except Forbidden as error:
                raise NotAllowed(str(error)) from None
            except aiohttp.ServerFingerprintMismatch:
                raise AnotherCertificate(
                    f"{self.address} shows another certificate than the one that was pinned; if the terminal was"
                    " reset or replaced, adopt it again"
                ) from None
            except TimeoutError:
                raise TerminalAway(f"{self.address} does not reply in time") from None
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise TerminalAway(f"{self.address} cannot be reached: {_why(error)}") from None
        return self._envelope(status, said), shown

    async def _certificate(self) -> bytes:
        """Return the SHA-256 of the certificate that is shown there. Nothing is sent."""
        parts = urlsplit(self.address)
        host, port = parts.hostname or "", parts.port or PORT
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is only looked at
        try:
            async with asyncio.timeout(self._timeout.total):
                place = host
                if self._egress is not None:
                    place = (await self._egress.resolve(host, port, socket.AF_UNSPEC))[0]["host"]
                _, writer = await asyncio.open_connection(place, port, ssl=context, server_hostname=host)
        except Forbidden as error:
            raise NotAllowed(str(error)) from None
        except TimeoutError:
            raise TerminalAway(f"{self.address} does not reply in time") from None
        except (OSError, ValueError) as error:
            raise TerminalAway(f"{self.address} cannot be reached: {_why(error)}") from None
        shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return hashlib.sha256(shown).digest()

    def _envelope(self, status: int, said: bytes) -> _Envelope:
        if len(said) > MAX_REPLY and sum(said.count(mark) for mark in (b",", b"{", b"[")) > MAX_VALUES:
            raise NoTerminal(f"{self.address} replies with more than {MAX_VALUES} values at once")
        try:
            envelope = msgspec.json.decode(said, type=_Envelope)
        except (msgspec.MsgspecError, RecursionError):
            raise NoTerminal(f"{self.address} replies with HTTP {status} and no JSON of a terminal") from None
        if envelope.code in (1000, 1001):
            raise WrongAccount(
                f"{self.address} does not know this account"
                if envelope.code == 1000
                else f"{self.address} says that the password is wrong"
            )
        if envelope.code == 401 or status == 401:
            raise WrongAccount(f"{self.address} wants a login")
        if envelope.code != 200:
            raise TerminalRefused(f"{self.address} replies with code {envelope.code}: {envelope.msg[:200]}")
        return envelope

    def _clock_error(self, headers: Mapping[str, str]) -> float | None:
        text = headers.get("timestamp", "").strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 16):
            return None
        at = int(text) / (1000 if len(text) > 11 else 1)
        error = at - self._now()
        return error if abs(error) <= MAX_SKEW_S else None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A terminal makes its certificate itself: which one it is was looked at by a person.
            check: Any = False if self._pin is None else aiohttp.Fingerprint(self._pin)
            egress = self._egress
            connector = aiohttp.TCPConnector(
                resolver=egress,
                socket_factory=None if egress is None else egress.make_socket,
                limit=1,
                ssl=check,
                use_dns_cache=False,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,  # some KB may stand for gigabytes
            )
        return self._session


async def _read(reply: aiohttp.ClientResponse, most: int) -> bytes:
    said = bytearray()
    async for part in reply.content.iter_chunked(64 * 1024):
        said += part
        if len(said) > most:
            reply.close()
            raise ValueError(f"the reply has more than {most // 1024} KB")
    return bytes(said)


def _decoded(data: msgspec.Raw, kind: Any, what: str) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError):
        raise NoTerminal(f"{what} cannot be read") from None


def _why(error: BaseException) -> str:
    if "WRONG_VERSION_NUMBER" in str(error):
        return "it speaks no TLS; if it is asked by plain HTTP, write http:// before its address"
    said = str(getattr(error, "strerror", None) or error or type(error).__name__)
    number = getattr(error, "errno", None)
    if number and "Connect call failed" in said:  # asyncio's words, with an address as Python writes it
        said = os.strerror(number)
    return said[:200]
