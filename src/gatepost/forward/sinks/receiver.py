"""Push events to another receiver as their terminals pushed them, by the push protocol.

The body is what the terminal sent, with its image. The headers are those of firmware from API 1.2.1 on: ``sn`` names
the terminal, also of an alarm, which has no serial in its body. ``timestamp`` is the time of the attempt.

Other data is in additional headers: the site of the terminal (``X-Gatepost-Site``, percent-encoded) and
its time zone, and whether the record was fetched from the terminal's history (``X-Gatepost-Backfilled``).

A test has the header ``X-Gatepost-Test``: a gatepost replies whether it would take the push, and stores nothing.

A reply means the same as for a terminal: :func:`gatepost.wire.classify`. The receiver lists an event once
however often it is pushed, because the body stays the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from urllib.parse import quote

from gatepost.egress import Egress
from gatepost.errors import SettingsError
from gatepost.forward.options.destination import Destination
from gatepost.forward.options.secrets import Secrets
from gatepost.forward.sinks import Outgoing, Result, text
from gatepost.forward.sinks.http import Posts
from gatepost.store.interface import Forwarded, RecordRow
from gatepost.wire import Unreachable, classify

__all__ = ["UpperReceiver"]


class UpperReceiver:
    """See :class:`gatepost.forward.sinks.Sink`."""

    def __init__(
        self, told: Destination, secrets: Secrets, egress: Egress, *, now: Callable[[], float] = time.time
    ) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` for a token or a certificate that cannot be used."""
        if not (secrets.token.isascii() and secrets.token.isprintable()):
            raise SettingsError("secrets.token", "must be printable ASCII; copy it from the other receiver")
        self._url = told.url
        self._now = now
        self._posts = Posts(told, secrets, egress)
        self._headers = {
            "User-Agent": "gatepost",
            **told.headers,
            **secrets.headers,
            "Content-Type": "application/json",
        }
        if secrets.token:
            self._headers["X-Gatepost-Token"] = secrets.token

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Result]:
        """See :meth:`gatepost.forward.sinks.Sink.send`."""
        (event,) = batch
        now = self._now()
        headers = {**self._headers, "timestamp": str(int(now * 1000))}
        if event.is_test:
            headers["X-Gatepost-Test"] = "1"
        headers |= _origin(event.row)
        reply = await self._posts.post(self._url, event.body, headers)
        if isinstance(reply, Unreachable):
            return [Result(outcome=reply)]
        status = f"HTTP {reply.status}"
        if not reply.is_whole:
            return [Result(outcome=Unreachable(f"{status}, and no whole reply"), status=status)]
        outcome = classify(reply.status, reply.body, headers=reply.headers, now=now)
        return [Result(outcome=outcome, status=status, reply=text(reply.body))]

    async def close(self) -> None:
        """See :meth:`gatepost.forward.sinks.Sink.close`."""
        await self._posts.close()


def _origin(row: Forwarded) -> dict[str, str]:
    """Return the headers with the origin of an event."""
    headers = {}
    if row.serial:
        headers["sn"] = _header(row.serial)
    if row.site:
        headers["X-Gatepost-Site"] = quote(row.site)
    if row.timezone:
        headers["X-Gatepost-Timezone"] = row.timezone
    if isinstance(row, RecordRow) and row.backfilled:
        headers["X-Gatepost-Backfilled"] = "1"
    return headers


def _header(serial: str) -> str:
    """Return a serial as a header may have it: what could add a line is percent-encoded."""
    return serial if serial.isprintable() else quote(serial)
