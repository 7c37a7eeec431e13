"""Decide whether a request may reach console and API at all, before anything is asked of the desk.

By the name under which it was made (``allowed_hosts``), so that no page elsewhere can make a browser use a name of its
own for this machine (DNS rebinding), and by the network that it comes from (``console_networks``). Neither concerns
pushes and health checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from gatepost.errors import SettingsError
from gatepost.receiver.http.asgi import Scope, peer_of
from gatepost.receiver.terminals.networks import Networks, peer_address

__all__ = ["ConsoleAccess", "is_own_address", "is_own_machine"]


class ConsoleAccess:
    """Tell who may reach console and API."""

    def __init__(self, hosts: Sequence[str], networks: Sequence[str], proxies: Networks) -> None:
        """``hosts``: names, none for any. ``networks``: none for all. Raises ``SettingsError``."""
        for host in hosts:
            if not host or _name(host) != host.lower().rstrip("."):
                raise SettingsError(
                    "allowed_hosts",
                    f"has {host!r}; write names without scheme and port, such as gatepost.example.com",
                )
        self._hosts = frozenset(host.lower().rstrip(".") for host in hosts)
        self._networks = Networks(networks, setting="console_networks")
        self._proxies = proxies

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and reason if a request must not reach them."""
        headers = {name: value.decode("latin-1") for name, value in reversed(scope["headers"])}
        if self._hosts:
            host = headers.get(b"host", "")
            if not is_own_address(host) and _name(host) not in self._hosts:
                return 421, "this receiver is not reached under that name; see the setting allowed_hosts"
        if self._networks and scope["path"] != "/metrics":
            forwarded_for = headers.get(b"x-forwarded-for")
            peer = peer_address(peer_of(scope), forwarded_for, self._proxies)
            if peer not in self._networks:
                return 403, "console and API are not served to your network; see the setting console_networks"
        return None


def is_own_address(host: str) -> bool:
    """Return whether a ``Host`` header is an IP address or ``localhost``: a page elsewhere has no such name."""
    name = _name(host)
    if name == "localhost":
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_own_machine(address: str) -> bool:
    """Return whether a request comes from this machine, by its address."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """Return the name of a ``Host`` header, in lower case, without port; empty where there is none."""
    try:
        parts = urlsplit(f"//{host}")
        return (parts.hostname or "").rstrip(".") if not (parts.path or parts.query or parts.fragment) else ""
    except ValueError:
        return ""
