"""Headers that tell a browser what to be careful with, in every response but replies to pushes.

Rules:

* Scripts, styles and pictures come from here and nowhere else, none of them inline; nobody may frame a page
  (``Content-Security-Policy``, W3C CSP level 3). What terminals sent stays text, whatever it looks like.
* Over TLS a browser is told to come back over TLS only (RFC 6797).
* Nothing is kept by a cache unless its route says so: what is shown here are people.
* A header that a route sets itself wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from gatepost.receiver.http.asgi import Message, Scope, Send, respond
from gatepost.receiver.terminals.networks import Networks
from gatepost.wire import encode_reply

__all__ = ["POLICY", "nothing_here", "over_tls", "public_origin", "refuse", "secured", "security_headers"]

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


_PORTS = {"http": 80, "https": 443}

_PROXY = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-proto", b"x-real-ip"})
"""Headers that tell of a proxy on the way; no page can make a browser send them along with a form or a link."""


def security_headers(*, tls: bool) -> Mapping[bytes, bytes]:
    """Return the headers, with names in lower case."""
    return {**_ALWAYS, **_TLS} if tls else _ALWAYS


def over_tls(scope: Scope, proxies: Networks) -> bool:
    """Return whether a request came over TLS, to us or to a trusted proxy."""
    client = scope.get("client")
    if client and client[0] in proxies:
        for name, value in scope["headers"]:
            if name == b"x-forwarded-proto":
                return bool(_first(value).lower() == "https")
    return bool(scope["scheme"] == "https")


def public_origin(scope: Scope, proxies: Networks) -> str:
    """Return scheme, host and port at which a request reached this receiver, such as ``https://door.example:8443``.

    The scheme is ``https`` where :func:`over_tls` holds. A proxy may drop the port from ``Host`` (nginx's ``$host``).
    Then the port is that of the page that a browser sent the request from, if this page is of the same host; else that
    of ``X-Forwarded-Host`` or ``X-Forwarded-Port`` of a trusted proxy. This tells the sender how it reached us, and
    decides nothing: who sends made-up headers is told their own words.
    """
    headers = {name: _first(value) for name, value in reversed(scope["headers"])}
    scheme = "https" if over_tls(scope, proxies) else "http"
    name, port = _authority(f"//{headers.get(b'host', '')}") or ("", None)
    if not name:
        name, port = scope.get("server") or ("127.0.0.1", None)
    client = scope.get("client")
    trusted = client is not None and client[0] in proxies
    if port is None and (trusted or not _PROXY.isdisjoint(headers)):
        port = _port_behind(name, headers, trusted=trusted)
    host = _bracketed(name)
    return f"{scheme}://{host}" if port in (None, _PORTS[scheme]) else f"{scheme}://{host}:{port}"


def _port_behind(name: str, headers: Mapping[bytes, str], *, trusted: bool) -> int | None:
    """Return the port of host ``name`` that a proxy was reached at, as far as a browser or the proxy says."""
    same_site = headers.get(b"sec-fetch-site", "same-origin") == "same-origin"
    for page in (b"origin", b"referer") if same_site else ():
        if (place := _authority(headers.get(page, ""))) is not None and place[0] == name:
            return place[1]
    told = (
        f"//{headers.get(b'x-forwarded-host', '')}",
        f"//{_bracketed(name)}:{headers.get(b'x-forwarded-port', '')}",
    )
    for address in told if trusted else ():
        place = _authority(address)
        if place is not None and place[0] == name and place[1] is not None:
            return place[1]
    return None


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _authority(address: str) -> tuple[str, int | None] | None:
    """Return host and port of an address; ``None`` if it has no host, or is none."""
    try:
        parts = urlsplit(address)
        return None if parts.hostname is None else (parts.hostname, parts.port)
    except ValueError:
        return None


def _first(value: bytes) -> str:
    """Return the first of a list: what the proxy nearest to the client said."""
    return value.partition(b",")[0].strip().decode("latin-1")


def secured(scope: Scope, send: Send, proxies: Networks) -> Send:
    """Wrap an ASGI ``send`` so that the response has the headers that it lacks."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            there = {name.lower() for name, _ in headers}
            wanted = security_headers(tls=over_tls(scope, proxies))
            headers += [(name, value) for name, value in wanted.items() if name not in there]
            message = {**message, "headers": headers}
        await send(message)

    return sending


async def nothing_here(send: Send) -> None:
    """Send 404 where only pushes are taken."""
    await refuse(send, 404, "terminals push to this address; nothing else is here")


async def refuse(send: Send, status: int, message: str) -> None:
    """Send a refusal in the form of the protocol page."""
    await respond(send, status, encode_reply(status, message))
