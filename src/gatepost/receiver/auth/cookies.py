"""Cookies of sessions and devices, and whether a request that has them comes from our own pages."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

__all__ = ["COOKIE", "DEVICE_S", "cookie_of", "device_cookie_name", "same_origin", "session_secret"]

COOKIE = "gatepost_session"

DEVICE_S = 400 * 24 * 3600
"""For how long a browser keeps the cookie of a device; browsers have that as their limit."""

_PORTS = {"http": 80, "https": 443}


def same_origin(headers: Mapping[str, str], *, host: str) -> bool:
    """Tell whether a browser says that this request comes from our own pages.

    By ``Sec-Fetch-Site`` (W3C Fetch Metadata), or by ``Origin`` (RFC 6454) in browsers that have not got it. What
    says neither is no browser that could have been lured: but such a program has no business with a cookie either.
    ``host`` is the ``Host`` header. Without a port it is compared by name alone: proxies drop the port (nginx's
    ``$host``), and a cookie goes to every port of its host anyway (RFC 6265, section 8.5).
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    try:
        ours, page = urlsplit(f"//{host}"), urlsplit(headers.get("origin", ""))
        port = page.port or _PORTS.get(page.scheme)
        return page.hostname is not None and page.hostname == ours.hostname and ours.port in (None, port)
    except ValueError:  # no port, or no address in the brackets
        return False


def session_secret(headers: Mapping[str, str]) -> str | None:
    """Return what the session's cookie holds."""
    return cookie_of(headers, COOKIE)


def device_cookie_name(account_id: int) -> str:
    """Return the name of the cookie by which a device is known that logged in to an account."""
    return f"gatepost_device_{account_id}"


def cookie_of(headers: Mapping[str, str], name: str) -> str | None:
    """Return what a cookie of a request holds; ``None`` if the request has no such cookie."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return None if morsel is None else morsel.value
