"""Send events to an HTTP address, signed as Standard Webhooks has it, as CloudEvents or flat JSON.

Replies: 2xx means delivered; 410 closes the destination; 408, 429, 503 and no reply do not concern the event; any other
refuses it. The signature is made at each attempt, with every valid secret.

Specifications: standard-webhooks.com 1.0; CloudEvents 1.0, HTTP protocol binding, sections 3.2 (structured) and 3.3
(batched).
"""

from __future__ import annotations

import binascii
import hmac
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b

from gatepost.egress import Egress
from gatepost.errors import SettingsError
from gatepost.forward.options.destination import Destination
from gatepost.forward.options.secrets import Secrets
from gatepost.forward.sinks import Closed, Outgoing, Result, text
from gatepost.forward.sinks.http import Posts, Reply
from gatepost.wire import Delivered, Outcome, Refused, Unreachable
from gatepost.wire.reply import retry_after

__all__ = ["Webhook", "signature"]

_BATCH_TYPES = {"application/cloudevents+json": "application/cloudevents-batch+json"}

_NO_FLAGS: Mapping[str, str] = {}

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
        self._now = now
        self._keys = {each.value: signing_key(each.value) for each in secrets.signing}
        self._headers = {"User-Agent": "gatepost", **told.headers, **secrets.headers}
        self._posts = Posts(told, secrets, egress)

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Result]:
        """See :meth:`gatepost.forward.sinks.Sink.send`."""
        if self._told.batch == 1:
            (event,) = batch
            flags = {"X-Gatepost-Backfilled": "1"} if event.is_backfilled else {}
            return [await self._post(event.id, event.body, event.content_type, flags)]
        body = b"[%b]" % b",".join(event.body for event in batch)
        named = blake2b(b" ".join(event.id.encode() for event in batch), digest_size=12).hexdigest()
        kind = batch[0].content_type
        result = await self._post(f"batch-{named}", body, _BATCH_TYPES.get(kind, kind))
        return [result] * len(batch)

    async def close(self) -> None:
        """See :meth:`gatepost.forward.sinks.Sink.close`."""
        await self._posts.close()

    async def _post(
        self, message_id: str, body: bytes, content_type: str, flags: Mapping[str, str] = _NO_FLAGS
    ) -> Result:
        now = self._now()
        headers = {
            **self._headers,
            **flags,
            "Content-Type": content_type,
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now)),
        }
        keys = [self._keys[secret] for secret in self._secrets.signing_at(int(now * 1000))]
        if keys:
            headers["webhook-signature"] = signature(keys, message_id, int(now), body)
        reply = await self._posts.post(self._told.url, body, headers)
        if isinstance(reply, Unreachable):
            return Result(outcome=reply)
        said = text(reply.body)
        return Result(outcome=_meaning(reply, said, now), status=f"HTTP {reply.status}", reply=said)


def _meaning(reply: Reply, said: str, now: float) -> Outcome | Closed:
    status = reply.status
    if 200 <= status < 300:
        return Delivered()
    why = f"HTTP {status}"
    if status == 410:
        return Closed(f"{why}: it wants no more events; resume it when it does")
    if status in _LATER:
        return Unreachable(why, retry_after(reply.headers.get("retry-after"), now))
    if 300 <= status < 400:
        return Refused(f"{why}: a redirect, which is not followed; give the address that it leads to")
    return Refused(f"{why}: {said[:200]}" if said else why)
