"""Say to which addresses requests to destinations and terminals may go, and resolve names to those alone.

Rules:

* Public addresses, and what ``forward_networks`` or ``fleet_networks`` names. Link-local addresses and the addresses at
  which clouds serve their credentials are never allowed, whatever it names.
* An address is looked at in every form in which it can be written: an IPv4 address within an IPv6 one is that IPv4
  address (RFC 4291 section 2.5.5.2, RFC 6052, RFC 3056, RFC 4380).
* What is checked is what is connected to: a name is resolved once for a connection, and only to addresses that are
  allowed. No socket is made for another one (:meth:`Egress.make_socket`), whatever a library takes for an address. No
  redirect is followed, and no proxy of the environment is used.

A broker's client resolves by itself: there the address that was typed is checked before each connection, and what a
cluster says of its other servers is the cluster's affair.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import unicodedata
from collections.abc import Sequence

from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

from gatepost.errors import GatepostError, SettingsError

__all__ = ["PRIVATE", "Egress", "Forbidden"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""Where they may be, public addresses apart, unless the setting says otherwise: RFC 1918, RFC 4193."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
"""RFC 8215. The operator chooses the length of the prefix; the last 32 bits are the address with that of /96."""
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_TRANSLATED = ipaddress.IPv6Network("::ffff:0:0:0/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")
"""What of IPv6 is public at all: RFC 3513, section 4."""

_NEVER = tuple(
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # link-local, with the credentials of most clouds
        "100.100.100.200/32",  # Alibaba Cloud
        "192.0.0.192/32",  # Oracle Cloud
        "168.63.129.16/32",  # Azure
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "::/128",
        "fe80::/10",
        "fd00:ec2::/32",  # Amazon
        "fd20:ce::/32",  # Google Cloud
        "ff00::/8",
    )
)


MAX_KNOWN = 1_000
"""Of so many addresses it is known whether they are allowed."""


class Forbidden(GatepostError):
    """No request may go there."""


class Egress(AbstractResolver):
    """Resolves names to addresses to which requests may go."""

    def __init__(self, networks: Sequence[str], *, setting: str = "forward_networks") -> None:
        """``networks``: what the ``setting`` names. Raises :class:`~gatepost.errors.SettingsError`."""
        self._setting = setting
        self._known: dict[str, bool] = {}
        try:
            self._networks = [ipaddress.ip_network(each) for each in networks]
        except ValueError as error:
            raise SettingsError(setting, f"has what is no network: {error}") from None

    def allows(self, address: str) -> bool:
        """Return whether requests may go to an address."""
        if address not in self._known:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[address] = self._allows(address)
        return self._known[address]

    def _allows(self, address: str) -> bool:
        try:
            found = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
        except ValueError:
            return False
        if any(found in network for network in _NEVER):
            return False
        if any(found in network for network in self._networks):
            return True
        return found.is_global and (isinstance(found, ipaddress.IPv4Address) or found in _UNICAST)

    def check_literal(self, host: str) -> None:
        """Raise :class:`Forbidden` for a host that is an address to which no request may go."""
        if self._known.get(host):
            return
        # As names are prepared before they are resolved: full-width digits are digits, and so is each dot a dot.
        host = unicodedata.normalize("NFKC", host).replace("\N{IDEOGRAPHIC FULL STOP}", ".")
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            try:
                # The forms that only the C library knows: 127.1, 0x7f.1, 0177.0.0.1, 2130706433.
                found = socket.inet_ntoa(socket.inet_aton(host))
            except (OSError, ValueError):
                return  # a name
            if not self.allows(found):
                raise Forbidden(self._why(f"{host}, which is {found}")) from None
            return
        if not self.allows(host):
            raise Forbidden(self._why(host))

    def make_socket(self, info: AddrInfoType) -> socket.socket:
        """Return a socket to be connected to an address. Raises :class:`Forbidden` if no request may go there."""
        family, kind, protocol, _, address = info
        if not self.allows(str(address[0])):
            raise Forbidden(self._why(str(address[0])))
        return socket.socket(family, kind, protocol)

    async def check(self, host: str, port: int) -> None:
        """Raise :class:`Forbidden` for a host any of whose addresses is not allowed, ``OSError`` where it has none.

        For a library that resolves by itself, and may connect to each of them.
        """
        self.check_literal(host)
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        for *_, address in found:
            if not self.allows(str(address[0])):
                raise Forbidden(self._why(f"{host}, which is {address[0]}"))

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host that are allowed. Raises as :meth:`check`."""
        self.check_literal(host)
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        allowed = [(each[0], str(each[4][0])) for each in found if self.allows(str(each[4][0]))]
        if not allowed:
            raise Forbidden(self._why(host if not found else f"{host}, which is {found[0][4][0]}"))
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=family,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for family, address in allowed
        ]

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _why(self, host: str) -> str:
        return (
            f"no request may go to {host}; name its network in {self._setting} if it should"
            " (link-local addresses and those with a cloud's credentials never may)"
        )


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address within an IPv6 one, if there is one."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if inner is None and (address in _NAT64 or address in _NAT64_LOCAL or address in _TRANSLATED):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is None and address in _COMPATIBLE and int(address) > 1:
        inner = ipaddress.IPv4Address(int(address))
    return inner or address
