"""Scan networks that a person typed: ask each address whether a terminal replies there.

Rules:

* The heartbeat alone is asked for: no password is sent, and nothing is changed.
* Addresses, connections at a time and seconds for each are bounded; one scan at a time.
* Only addresses to which requests may go are asked; a network without any is refused by name.

Flow: :func:`addresses` → :meth:`Scan.run` → :class:`Sighted` for each terminal.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from gatepost.egress import Egress
from gatepost.errors import SettingsError
from gatepost.fleet.client import PORT, Seen, TerminalClient
from gatepost.fleet.failures import FleetError

__all__ = ["MAX_ADDRESSES", "Place", "Scan", "Scanner", "Sighted", "addresses", "look_there"]

MAX_ADDRESSES = 4_096
"""Addresses of a scan."""

AT_ONCE = 64

CONNECT_S = 1.5
"""Seconds after which an address where no connection comes about has no terminal."""

REPLY_S = 5.0

IPv4 = ipaddress.IPv4Address


class Place(Struct, frozen=True, order=True):
    """An address to be asked."""

    host: str
    port: int = PORT

    @property
    def address(self) -> str:
        """Address as :func:`~gatepost.fleet.client.checked_address` returns it."""
        return f"https://{self.host}:{self.port}"


class Sighted(Struct, frozen=True, kw_only=True):
    """Hold a terminal that replied."""

    address: str
    serial: str
    model: str
    clock_error_s: float | None
    certificate: str | None
    """SHA-256, hexadecimal."""


Outcome = Seen | Literal["nothing", "no terminal"]
Look = Callable[[Place], Awaitable[Outcome]]


class Scan:
    """One scan of some places. ``look`` tells what is at a place."""

    def __init__(self, places: Sequence[Place], look: Look) -> None:
        self._places = places
        self._look = look
        self._found: dict[Place, Sighted] = {}
        self.total = len(places)
        self.asked = 0
        """Places of which it is known what is there."""
        self.others = 0
        """Places where something replies that is no terminal."""
        self.is_over = False

    def found(self) -> list[Sighted]:
        """Return the terminals that replied so far, in the order of their addresses."""
        order = {place: number for number, place in enumerate(self._places)}
        return [self._found[place] for place in sorted(self._found, key=order.__getitem__)]

    async def run(self) -> None:
        """Ask every place. A cancelled scan keeps what it found."""
        left = iter(self._places)
        try:
            await asyncio.gather(*(self._ask(left) for _ in range(min(AT_ONCE, self.total))))
        finally:
            self.is_over = True

    async def _ask(self, left: Iterator[Place]) -> None:
        for place in left:
            seen = await self._look(place)
            self.asked += 1
            if seen == "no terminal":
                self.others += 1
            elif isinstance(seen, Seen):
                self._found[place] = Sighted(
                    address=place.address,
                    serial=seen.serial,
                    model=seen.model,
                    clock_error_s=seen.clock_error_s,
                    certificate=None if seen.pin is None else seen.pin.hex(),
                )


class Scanner:
    """Scans, one scan at a time. For one event loop; ``look`` as for :class:`Scan`."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._running: asyncio.Task[None] | None = None
        self.last: Scan | None = None
        """The scan that runs, or the last one that did."""

    async def begin(self, places: Sequence[Place]) -> Scan:
        """Begin a scan. One that runs is ended before: who typed something else wants that."""
        await self.end()
        self.last = Scan(places, self._look)
        self._running = asyncio.create_task(self.last.run(), name="scan for terminals")
        return self.last

    async def end(self) -> None:
        """End the scan that runs. Idempotent."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def addresses(networks: Sequence[str], *, egress: Egress) -> list[Place]:
    """Return the places of networks as they are typed: ``192.0.2.0/24``, ``192.0.2.10-60``, ``192.0.2.7:8443``.

    Raises :class:`~gatepost.errors.SettingsError`.
    """
    places: dict[Place, None] = {}
    for typed in networks:
        hosts, port = _network(typed.strip())
        if hosts.stop - hosts.start + len(places) > MAX_ADDRESSES:
            raise SettingsError(
                "networks", f"have more than {MAX_ADDRESSES} addresses; scan a part of them at a time"
            )
        allowed = [str(IPv4(host)) for host in hosts if egress.allows(str(IPv4(host)))]
        if not allowed:
            raise SettingsError(
                "networks", f"has {typed}, where no request may go; name it in fleet_networks if it should"
            )
        places.update((Place(host, port), None) for host in allowed)
    if not places:
        raise SettingsError("networks", "must name a network, such as 192.168.1.0/24")
    return list(places)


async def look_there(place: Place, *, egress: Egress) -> Outcome:
    """Return what is at a place."""
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(place.host, place.port)
    except (OSError, TimeoutError):
        return "nothing"
    writer.transport.abort()
    try:
        async with TerminalClient(place.address, egress=egress, timeout_s=REPLY_S) as client:
            return await client.look()
    except FleetError:
        return "no terminal"


def _network(typed: str) -> tuple[range, int]:
    """Return the addresses of a network as numbers, and the port."""
    text, colon, port = typed.partition(":")
    first, dash, last = text.partition("-")
    try:
        number = int(port) if colon else PORT
        if not 0 < number < 65536:
            raise ValueError
        if not dash:
            network = ipaddress.IPv4Network(text.strip(), strict=False)
            edge = 1 if network.prefixlen < 31 else 0  # the first and the last one of a network are no hosts
            return range(int(network[0]) + edge, int(network[-1]) + 1 - edge), number
        begin = IPv4(first.strip())
        end = IPv4(last.strip() if "." in last else f"{first.rpartition('.')[0]}.{last.strip()}")
        if end < begin:
            raise ValueError
        return range(int(begin), int(end) + 1), number
    except ValueError:
        raise SettingsError(
            "networks", f"has {typed!r}; write 192.168.1.0/24, 192.168.1.10-60 or 192.168.1.7:8443"
        ) from None
