"""Send events to an HTTP address, signed as Standard Webhooks has it, as CloudEvents or flat JSON.

What a reply means: 2xx is delivered, 410 closes the destination, 408, 429 and 503 and whatever is no reply say nothing
about the event, and everything else refuses it. The signature is made at each attempt, with every valid secret.

Specifications: standard-webhooks.com 1.0; CloudEvents 1.0, HTTP protocol binding, sections 3.2 (structured) and 3.3
(batched).
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import hmac
import ssl
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from hashlib import blake2b

import aiohttp
from yarl import URL

from gatepost.errors import SettingsError
from gatepost.forward.destination import Destination, Secrets
from gatepost.forward.egress import Egress, Forbidden
from gatepost.forward.sinks import Closed, Outgoing, Result, text
from gatepost.forward.trust import context_for
from gatepost.wire import Delivered, Outcome, Refused, Unreachable
from gatepost.wire.reply import retry_after

__all__ = ["Webhook", "signature"]

MAX_REPLY = 64 * 1024
"""Bytes of a reply that are read; with more of it the connection is closed."""

_BATCH_TYPES = {"application/cloudevents+json": "application/cloudevents-batch+json"}

_LATER = frozenset({408, 429, 503})


def signing_key(secret: str) -> bytes:
    """Return the key that a secret stands for: ``whsec_`` and base64, or its own bytes.

    Raises :class:`~gatepost.errors.SettingsError`.
    """
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise SettingsError("secret", "begins with whsec_ and is no base64 behind it") from None
    if not 24 <= len(key) <= 64:
        raise SettingsError("secret", "must have 24 to 64 bytes behind whsec_, in base64")
    return key


def signature(keys: Sequence[bytes], message_id: str, at: int, body: bytes) -> str:
    """Return the value of ``webhook-signature``. ``at``: Unix seconds."""
    signed = b"%b.%d.%b" % (message_id.encode(), at, body)
    return " ".join(f"v1,{b64encode(hmac.digest(key, signed, 'sha256')).decode()}" for key in keys)


class Webhook:
    """See :class:`gatepost.forward.sinks.Sink`."""

    def __init__(
        self,
        told: Destination,
        secrets: Secrets,
        egress: Egress,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` for a secret or a certificate that cannot be used."""
        self._told = told
        self._secrets = secrets
        self._egress = egress
        self._now = now
        self._host = URL(told.url).raw_host or ""  # as it is connected to: full-width digits are digits there
        self._keys = {each.value: signing_key(each.value) for each in secrets.signing}
        self._headers = {"User-Agent": "gatepost", **told.headers, **secrets.headers}
        self._ssl: ssl.SSLContext | None = context_for(told, secrets)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Result]:
        """See :meth:`gatepost.forward.sinks.Sink.send`."""
        if self._told.batch == 1:
            (event,) = batch
            result = await self._post(event.id, event.body, event.content_type)
            return [result]
        body = b"[%b]" % b",".join(event.body for event in batch)
        named = blake2b(b" ".join(event.id.encode() for event in batch), digest_size=12).hexdigest()
        kind = batch[0].content_type
        result = await self._post(f"batch-{named}", body, _BATCH_TYPES.get(kind, kind))
        return [result] * len(batch)

    async def close(self) -> None:
        """See :meth:`gatepost.forward.sinks.Sink.close`."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, message_id: str, body: bytes, content_type: str) -> Result:
        now = self._now()
        headers = {
            **self._headers,
            "Content-Type": content_type,
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now)),
        }
        keys = [self._keys[secret] for secret in self._secrets.signing_at(int(now * 1000))]
        if keys:
            headers["webhook-signature"] = signature(keys, message_id, int(now), body)
        try:
            self._egress.check_literal(self._host)
            # Without following: a redirect may lead where no request may go.
            async with self._open().post(
                self._told.url, data=body, headers=headers, allow_redirects=False
            ) as reply:
                said = await _said(reply)
                status = f"HTTP {reply.status}"
                return Result(outcome=_meaning(reply, said, now), status=status, reply=said)
        except Forbidden as error:
            return Result(outcome=Unreachable(str(error)))
        except TimeoutError:
            return Result(outcome=Unreachable(f"no reply within {self._told.timeout_s:g} s"))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Result(outcome=Unreachable(_why(error)))

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


async def _said(reply: aiohttp.ClientResponse) -> str:
    # The status has decided; a body that is cut off, or never ends, decides nothing.
    said = b""
    with contextlib.suppress(aiohttp.ClientError, OSError, ValueError):
        said = await reply.content.read(MAX_REPLY)
    if not reply.content.at_eof():
        reply.close()
    return text(said)


def _meaning(reply: aiohttp.ClientResponse, said: str, now: float) -> Outcome | Closed:
    status = reply.status
    if 200 <= status < 300:
        return Delivered()
    why = f"HTTP {status}"
    if status == 410:
        return Closed(f"{why}: it wants no more events; resume it when it does")
    if status in _LATER:
        return Unreachable(why, retry_after(reply.headers.get("Retry-After"), now))
    if 300 <= status < 400:
        return Refused(f"{why}: a redirect, which is not followed; give the address that it leads to")
    return Refused(f"{why}: {said[:200]}" if said else why)


def _why(error: BaseException) -> str:
    while not isinstance(error, Forbidden) and (error.__cause__ or error.__context__) is not None:
        inner = error.__cause__ or error.__context__
        if not isinstance(inner, (OSError, Forbidden)):
            break
        error = inner
    if isinstance(error, Forbidden):
        return str(error)
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"it cannot be reached: {said}"[:300]
