"""Networks, and the address that a request comes from. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from gatepost.errors import SettingsError

__all__ = ["Networks", "networks_of", "peer_address"]


MAX_ADDRESS = 100
"""Characters. An IPv6 address has at most 45, and the name of a link behind them."""


class Networks:
    """A list of networks that an address can be in. Empty: none."""

    def __init__(self, networks: Iterable[str], *, setting: str) -> None:
        """Read networks.

        Raises :class:`~gatepost.errors.SettingsError`, which names ``setting``, for what is no network.
        """
        self._networks: list[IPv4Network | IPv6Network] = []
        for text in networks:
            try:
                self._networks.append(ip_network(text.strip(), strict=False))
            except ValueError:
                raise SettingsError(
                    setting, f"has {text!r}, which is no network such as 10.0.0.0/8"
                ) from None

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        parsed = _address(address)
        return parsed is not None and any(parsed in network for network in self._networks)


@lru_cache(4096)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    # A listener on both families sees IPv4 peers as ::ffff:10.0.0.7 (RFC 4291, section 2.5.5.2).
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


@lru_cache(4096)
def _plain(text: str) -> str:
    address = _address(text)
    return str(address) if address is not None else text


def peer_address(direct: str, forwarded_for: str | None, trusted: Networks) -> str:
    """Return the address that a request comes from.

    ``X-Forwarded-For`` is believed only as far as trusted proxies wrote it: from the right, each entry was added
    by the one after it, so the first that is no trusted proxy is the sender. What stands left of it the sender
    may have made up. An entry that is no address ends the search at the proxy that passed it on.
    """
    peer = _plain(direct)
    if forwarded_for is None or not trusted or peer not in trusted:
        return peer
    for entry in reversed(forwarded_for.split(",")):
        candidate = _address(_without_port(entry)) if len(entry) <= MAX_ADDRESS else None
        if candidate is None:
            return peer
        peer = str(candidate)
        if peer not in trusted:
            return peer
    return peer


def _without_port(entry: str) -> str:
    """Return the address of an entry such as ``192.0.2.1:50123``, ``[2001:db8::7]:443`` or ``"[2001:db8::7]"``.

    Some proxies add the port. Text that has none of these forms is returned as it is.
    """
    entry = entry.strip(" \t")
    if len(entry) > 1 and entry[0] == entry[-1] == '"':
        entry = entry[1:-1].strip(" \t")
    if entry.startswith("["):
        address, closed, port = entry[1:].partition("]")
        # Brackets are for IPv6 only (RFC 3986, section 3.2.2).
        return address if closed and ":" in address and (not port or _is_port(port)) else entry
    address, colon, port = entry.partition(":")
    return address if colon and _is_port(f":{port}") else entry


def _is_port(text: str) -> bool:
    digits = text[1:]
    return (
        text[0] == ":" and digits.isascii() and digits.isdigit() and len(digits) <= 5 and int(digits) < 65_536
    )


@lru_cache(1024)
def networks_of(networks: tuple[str, ...]) -> Networks:
    return Networks(networks, setting="networks")
