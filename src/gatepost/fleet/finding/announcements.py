"""Read what terminals announce: every three seconds, by multicast DNS, each says its serial and model. No I/O.

Rules:

* An announcement proves nothing. What is in it is bounded and shown; who replies at an address is looked at when the
  terminal is adopted.
* An announced address to which no request may go is not taken; the one that the packet came from is, where it may.
* Packets are read by the library ``zeroconf``, which has met the broken ones.

Flow: a packet → :meth:`Announcements.take` → :class:`Announced`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct

from gatepost.errors import GatepostError
from gatepost.fleet.client import PORT

__all__ = ["Announced", "Announcements", "DiscoveryUnavailable"]

SERVICE = "sensetime"
"""How the service of the family is called."""

MAX_FOUND = 2_000

MAX_TEXT = 128
"""Characters of a serial or a model."""


class DiscoveryUnavailable(GatepostError):
    """Announcements cannot be listened to here."""


class Announced(Struct, frozen=True, kw_only=True):
    """Hold what a terminal announces. Nothing of it is proved."""

    serial: str
    model: str
    address: str
    """As :func:`~gatepost.fleet.client.checked_address` returns it."""


class Announcements:
    """Gather what was announced, from packets. ``allows`` tells whether requests may go to an address.

    Raises :class:`DiscoveryUnavailable` where the library is missing.
    """

    def __init__(self, *, allows: Callable[[str], bool]) -> None:
        try:
            import zeroconf
        except ImportError:
            raise DiscoveryUnavailable(
                "announcements of terminals cannot be read here: the Python package zeroconf is missing; install"
                " gatepost with its extra [discovery] and start the receiver again, or scan a network"
            ) from None
        self._library: Any = zeroconf  # its stubs do not export the kinds of records
        self._allows = allows
        self._found: dict[tuple[str, str], Announced] = {}
        self.unreadable = 0
        """Packets that are no DNS."""
        self.elsewhere = 0
        """Announcements of addresses to which no request may go."""

    def found(self) -> list[Announced]:
        """Return what was announced, by serial. One serial may have several addresses."""
        return [self._found[key] for key in sorted(self._found)]

    def take(self, packet: bytes, peer: str) -> None:
        """Take a packet that came from the address ``peer``. It never raises, whatever is in it."""
        message = self._library.DNSIncoming(packet)
        if not message.valid:
            self.unreadable += 1
        elif message.is_response():
            for one in self._announced(message.answers(), peer):
                if len(self._found) < MAX_FOUND:
                    self._found[one.serial, one.address] = one

    def _announced(self, answers: Sequence[Any], peer: str) -> Iterator[Announced]:
        services = {each.key: each for each in answers if isinstance(each, self._library.DNSService)}
        for each in answers:
            if not (isinstance(each, self._library.DNSText) and _is_ours(each.name)):
                continue
            said = _entries(each.text)
            serial = _shown(said.get("sn", ""))
            if not serial:
                continue
            service = services.get(each.key)
            host = self._host(answers, None if service is None else service.server_key, peer)
            if host is None:
                self.elsewhere += 1
                continue
            port = PORT if service is None or service.port == 0 else service.port
            model = _shown(said.get("model", ""))
            yield Announced(serial=serial, model=model, address=f"https://{host}:{port}")

    def _host(self, answers: Sequence[Any], server: str | None, peer: str) -> str | None:
        """Return the first address to which requests may go: of the announced ones, then of the peer."""
        kind = self._library.DNSAddress
        announced = [each.address for each in answers if isinstance(each, kind) and each.key == server]
        for one in (*announced, peer):
            try:
                address = ipaddress.ip_address(one)
            except ValueError:
                continue
            if self._allows(str(address)):
                return f"[{address}]" if address.version == 6 else str(address)
        return None


def _is_ours(name: str) -> bool:
    return any(label.lstrip("_").lower().startswith(SERVICE) for label in name.split("."))


def _entries(text: bytes) -> dict[str, str]:
    """Return the entries of a TXT record (RFC 6763, section 6): the first of a name counts."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        entry = text[at + 1 : at + 1 + text[at]]
        at += 1 + text[at]
        name, has_value, value = entry.partition(b"=")
        with suppress(UnicodeDecodeError):
            if has_value and name:
                found.setdefault(name.decode("ascii").lower(), value.decode())
    return found


def _shown(text: str) -> str:
    whole = text.strip()
    return whole if whole.isprintable() and len(whole) <= MAX_TEXT else ""
