"""Tell by what an address is limited: an attacker has one IPv4 address, and any number of IPv6 addresses. Pure."""

import ipaddress

__all__ = ["network_of"]

IPV6_SITE = 64
"""Bits of the prefix that one customer has at least, and so any number of addresses in it (RFC 6177)."""


def network_of(address: str) -> str:
    """Return what an address is limited by: of IPv4 the address, of IPv6 its /64."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, IPV6_SITE), strict=False))
