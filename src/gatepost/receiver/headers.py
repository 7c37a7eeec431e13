"""What every answer tells a browser to be careful with. Pushes are answered to terminals, and go without.

Rules:

* Scripts, styles and pictures come from here and nowhere else, none of them inline; nobody may frame a page
  (``Content-Security-Policy``, W3C CSP level 3). What terminals sent stays text, whatever it looks like.
* Over TLS a browser is told to come back over TLS only (RFC 6797).
* Nothing is kept by a cache unless its route says so: what is shown here are people.
* A header that a route sets itself wins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gatepost.receiver.identify import Networks
from gatepost.wire import encode_reply

__all__ = ["POLICY", "nothing_here", "over_tls", "secured", "security_headers"]

Send = Callable[[Any], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self';"
    " connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_ALWAYS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"x-frame-options": b"DENY",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    b"cache-control": b"no-store",
}

_TLS = {b"strict-transport-security": b"max-age=31536000"}
"""A year; not for names below ours, which may be others'."""


def security_headers(*, tls: bool) -> Mapping[bytes, bytes]:
    """The headers, with names in lower case."""
    return {**_ALWAYS, **_TLS} if tls else _ALWAYS


def over_tls(scope: Mapping[str, Any], proxies: Networks) -> bool:
    """Whether a request came over TLS, to us or to a trusted proxy."""
    client = scope.get("client")
    if client and client[0] in proxies:
        for name, value in scope["headers"]:
            if name == b"x-forwarded-proto":
                return bool(value.strip().lower() == b"https")
    return bool(scope["scheme"] == "https")


def secured(scope: Mapping[str, Any], send: Send, proxies: Networks) -> Send:
    """Wrap an ASGI ``send`` so that the answer has the headers that it lacks."""

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            there = {name.lower() for name, _ in headers}
            wanted = security_headers(tls=over_tls(scope, proxies))
            headers += [(name, value) for name, value in wanted.items() if name not in there]
            message = {**message, "headers": headers}
        await send(message)

    return sending


async def nothing_here(send: Send) -> None:
    """Answer 404 where only pushes are taken, in the form of the protocol page."""
    body = encode_reply(404, "terminals push to this address; nothing else is here")
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})
