"""Publish events to a stream of NATS JetStream.

Rules:

* An event is delivered when a stream has acknowledged it. Where no stream takes the subject nothing says so of the
  event: it is tried again until there is one.
* ``Nats-Msg-Id`` is the same on each attempt, so that a stream stores an event once within its window for duplicates.
  It names the terminal and the time of receipt too: ids alone are those of one receiver. A replay has another one.
* A connection that is lost is replaced, after the address was checked again.

Specification: docs.nats.io, JetStream: publishing, headers; error codes of ``server/errors.json``.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from gatepost.egress import Egress
from gatepost.forward.options.destination import Destination, NatsOptions
from gatepost.forward.options.secrets import Secrets
from gatepost.forward.options.templates import filled
from gatepost.forward.sinks import Outgoing, Result, library
from gatepost.forward.sinks.one_connection import OneConnection
from gatepost.forward.sinks.tls import context_for
from gatepost.store.interface import received_at
from gatepost.wire import Delivered, Refused, Unreachable

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

__all__ = ["Nats"]

PORT = 4222

FAREWELL_S = 1.0
"""So long a server may take for the end of a connection."""

_NO_RESPONDERS = "503"
"""The status in the headers of a reply where nothing listens to a subject."""

UNAVAILABLE = 500
"""Codes from here on are said of the stream: it is full, has no leader, or the server no room."""


class Nats:
    """See :class:`gatepost.forward.sinks.Sink`."""

    def __init__(self, told: Destination, secrets: Secrets, egress: Egress) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` for what cannot be used."""
        self._told = told
        self._secrets = secrets
        self._egress = egress
        self._subject = (told.nats or NatsOptions()).subject
        self._nats = library("nats.aio.client", "nats-py", "nats")
        self._errors = library("nats.errors", "nats-py", "nats")
        parts = urlsplit(told.url)
        self._host, self._port = parts.hostname or "", parts.port or PORT
        self._ssl = None
        if parts.scheme == "tls":
            self._ssl = context_for(told, secrets) or ssl.create_default_context()
        self._line = OneConnection(self._connect, told.timeout_s, (self._errors.Error,))

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Result]:
        """See :meth:`gatepost.forward.sinks.Sink.send`."""
        (event,) = batch
        return await self._line.send(event, self._publish)

    async def close(self) -> None:
        """See :meth:`gatepost.forward.sinks.Sink.close`."""
        await self._line.close()

    async def _publish(self, connection: _Connection, event: Outgoing) -> Result:
        subject = filled(self._subject, event.row, event.id, ".*>")
        headers = {
            "Nats-Msg-Id": _message_id(event),
            "Content-Type": event.content_type,
            "Gatepost-Id": event.id,
            "Gatepost-Replay": "true" if event.is_replay else "false",
            "Gatepost-Backfilled": "true" if event.is_backfilled else "false",
        }
        try:
            found = await connection.publish(subject, event.body, headers)
        except self._errors.MaxPayloadError:
            limit = connection.client.max_payload
            return Result(outcome=Refused(f"larger than the server takes: {limit:,} bytes"))
        except _Denied:
            return Result(outcome=Refused(f"not authorized: the user may not publish to {subject}"))
        if (found.headers or {}).get("Status") == _NO_RESPONDERS:
            return Result(outcome=Unreachable(f"no stream takes the subject {subject}; make one that does"))
        try:
            acknowledgement = msgspec.json.decode(found.data, type=_Acknowledgement)
        except msgspec.DecodeError:
            acknowledgement = _Acknowledgement()
        error = acknowledgement.error
        if error is None:
            if acknowledgement.stream:
                return Result(outcome=Delivered())
            return Result(outcome=Unreachable(f"what replies to the subject {subject} is no stream"))
        status = f"error {error.err_code}"
        reason = f"{status}: {error.description}"
        is_of_stream = (error.code or UNAVAILABLE) >= UNAVAILABLE
        return Result(outcome=Unreachable(reason) if is_of_stream else Refused(reason), status=status)

    async def _connect(self) -> _Connection:
        await self._egress.check(self._host, self._port)
        made = _Connection(self._nats.Client())
        try:
            await made.open(f"nats://{_bracketed(self._host)}:{self._port}", self._options(made))
        except BaseException:
            await made.close()
            raise
        return made

    def _options(self, made: _Connection) -> dict[str, Any]:
        options: dict[str, Any] = {
            "name": "gatepost",
            "allow_reconnect": False,
            "connect_timeout": max(1, int(self._told.timeout_s)),
            "error_cb": made.note_error,
            "closed_cb": made.note_closed,
        }
        if self._ssl is not None:
            options |= {"tls": self._ssl, "tls_hostname": self._host}
        if self._secrets.token:
            options["token"] = self._secrets.token
        if self._secrets.username:
            options |= {"user": self._secrets.username, "password": self._secrets.password}
        return options


class _Error(Struct):
    code: int | None = None
    err_code: int | None = None
    description: str | None = None


class _Acknowledgement(Struct):
    """What a stream replies."""

    stream: str = ""
    error: _Error | None = None


class _Denied(Exception):
    """The user may not publish to a subject."""


class _Connection:
    """One connection to a server, from beginning to end."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._is_over = False
        self._why = "the server has closed the connection"
        self._inbox = client.new_inbox()
        self._numbers = itertools.count()
        self._waiting: dict[str, tuple[str, asyncio.Future[Msg]]] = {}
        """By the subject of its acknowledgement: the subject of what is published, and what comes."""

    async def open(self, address: str, options: dict[str, Any]) -> None:
        """Connect, and listen to what streams reply. Raises what the library does."""
        await self.client.connect(address, **options)
        await self.client.subscribe(f"{self._inbox}.*", cb=self._replied)

    @property
    def is_lost(self) -> bool:
        """Return whether it is over."""
        return self._is_over or bool(self.client.is_closed)

    async def publish(self, subject: str, body: bytes, headers: dict[str, str]) -> Msg:
        """Publish; return what a stream replies.

        Raises what the library does, ``ConnectionError``, and :class:`_Denied`.
        """
        if self.is_lost:
            raise ConnectionError(self._why)
        found: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        reply = f"{self._inbox}.{next(self._numbers)}"
        self._waiting[reply] = subject, found
        try:
            await self.client.publish(subject, body, reply=reply, headers=headers)
            return await found
        finally:
            del self._waiting[reply]

    async def _replied(self, message: Msg) -> None:
        _, found = self._waiting.get(message.subject, ("", None))
        if found is not None and not found.done():
            found.set_result(message)

    async def note_error(self, error: Exception) -> None:
        """Note what the server says by itself: a subject that is forbidden is said so, and by no reply."""
        text = str(error)
        said = text.lower()  # as the library has it already
        if "permissions violation" in said:
            for subject, found in self._waiting.values():
                if f'"{subject.lower()}"' in said and not found.done():
                    found.set_exception(_Denied())
            return
        self._why = text[:200]

    async def note_closed(self) -> None:
        """Note that the connection is lost."""
        self._is_over = True
        for _, found in self._waiting.values():
            if not found.done():
                found.set_exception(ConnectionError(self._why))
                found.exception()  # it may be that nothing waits for it

    async def close(self) -> None:
        """End the connection. Idempotent."""
        await self.note_closed()
        # After a handshake that failed the library waits for the end of a connection that is gone.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self.client.close()


def _message_id(event: Outgoing) -> str:
    row = event.row
    named = f"{row.serial or ''}:{event.id}:{int(received_at(row).timestamp() * 1000)}"
    return f"replay:{named}" if event.is_replay else named


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
