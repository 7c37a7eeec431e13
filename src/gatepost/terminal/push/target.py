"""Addresses, and the bytes at the beginning of a request. Pure.

An ``event_dest`` is parsed once and then cached (``take_apart``). Everything in a request line or a header is
percent-encoded or checked here, so that no address, serial number or account can add a line to a request.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from msgspec import Struct

from gatepost.errors import SettingsError

__all__ = ["Target", "bypassed", "connect_head", "header_lines", "proxy_target", "request_head", "take_apart"]

_PORTS = {"http": 80, "https": 443}
_KEEP = "!$%&'()*+,/:;=?@[]~"


class Target(Struct, frozen=True):
    """The parts of an address that a request needs."""

    scheme: str
    host: str
    port: int
    authority: str
    """Host and, unless it is the scheme's own, port: the ``Host`` header."""
    path: str
    """Path and query, percent-encoded."""
    credentials: bytes
    """``name:password`` in Basic's base64 if the address carries them, else empty."""

    @property
    def origin(self) -> tuple[str, str, int]:
        """Return scheme, host and port, which identify persistent connections."""
        return self.scheme, self.host, self.port


@lru_cache(maxsize=64)
def take_apart(url: str) -> Target:
    """Parse an address. Raise ``ValueError`` if it is no http or https address with a host."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("no http or https address")
    host = _ascii_host(parts.hostname)
    port = parts.port or _PORTS[parts.scheme]
    bracketed = f"[{host}]" if ":" in host else host
    authority = bracketed if port == _PORTS[parts.scheme] else f"{bracketed}:{port}"
    path = quote(parts.path or "/", safe=_KEEP)
    if parts.query:
        path += "?" + quote(parts.query, safe=_KEEP)
    return Target(parts.scheme, host, port, authority, path, _credentials(parts))


def proxy_target(url: str) -> Target:
    """Return the address of a proxy. Raise `SettingsError` if it is not an http:// one."""
    try:
        target = take_apart(url if "://" in url else f"http://{url}")
    except ValueError:
        target = None
    if target is None or target.scheme != "http":
        raise SettingsError("proxy", "must be the address of an http:// proxy, such as http://proxy:3128")
    return target


def bypassed(target: Target, no_proxy: str) -> bool:
    """Return whether ``no_proxy`` names this target.

    ``no_proxy``: comma-separated hosts, ``.domain`` or ``*``, each with an optional port.
    """
    for entry in no_proxy.replace(" ", ",").split(","):
        name = entry.strip().lower()
        if name == "*":
            return True
        host, colon, port = name.rpartition(":")
        if colon and port.isdigit() and "]" not in port and (":" not in host or host.endswith("]")):
            if int(port) != target.port:
                continue
            name = host
        name = name.strip("[]").removeprefix("*").removeprefix(".")
        if name and (target.host == name or target.host.endswith("." + name)):
            return True
    return False


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Return header lines, each ended by CR LF. Raise `SettingsError` for a value that does not fit on a line."""
    lines = []
    for name, value in headers.items():
        if not value.isprintable():
            raise SettingsError(name, "goes into an HTTP header and must be printable, on one line")
        lines.append(f"{name}: {value}\r\n".encode())
    return b"".join(lines)


def request_head(target: Target, proxy: Target | None, head: bytes, length: int) -> bytes:
    """Return request line and header section of the POST, ``head`` (header lines) included."""
    return b"%b%bcontent-length: %d\r\n\r\n" % (_fixed(target, proxy), head, length)


def connect_head(target: Target, proxy: Target) -> bytes:
    """Return the CONNECT that asks a proxy for a tunnel (RFC 9110, section 9.3.6); it always has the port."""
    name = (f"[{target.host}]" if ":" in target.host else target.host) + f":{target.port}"
    return f"CONNECT {name} HTTP/1.1\r\nhost: {name}\r\n".encode() + _proxy_line(proxy) + b"\r\n"


@lru_cache(maxsize=64)
def _fixed(target: Target, proxy: Target | None) -> bytes:
    through = proxy is not None and target.scheme == "http"
    where = f"http://{target.authority}{target.path}" if through else target.path
    # identity, because compression does not help with forty bytes
    text = f"POST {where} HTTP/1.1\r\nhost: {target.authority}\r\nuser-agent: gatepost\r\naccept-encoding: identity\r\n"
    lines = text.encode() + b"content-type: application/json\r\n"
    if target.credentials:
        lines += b"authorization: Basic %b\r\n" % target.credentials
    if proxy is not None and through:
        lines += _proxy_line(proxy)
    return lines


def _proxy_line(proxy: Target) -> bytes:
    return b"proxy-authorization: Basic %b\r\n" % proxy.credentials if proxy.credentials else b""


def _credentials(parts: SplitResult) -> bytes:
    if parts.username is None:
        return b""
    return base64.b64encode(unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or ""))


def _ascii_host(host: str) -> str:
    if host.isascii():
        if any(not letter.isprintable() or letter in " /\\#?@" for letter in host):
            raise ValueError("no host name")
        return host.lower()
    return host.encode("idna").decode("ascii")  # UnicodeError is a ValueError
