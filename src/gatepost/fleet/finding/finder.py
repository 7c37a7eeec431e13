"""Find terminals that may be adopted: those that announce themselves, and those that a scan comes upon.

What is found is kept in memory only, by the process that looks: it is true for the moment in which a person looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gatepost.egress import Egress
from gatepost.fleet.finding.announcements import Announcements
from gatepost.fleet.finding.discovery import Discovery, Packets
from gatepost.fleet.finding.scan import Scan, Scanner, addresses, look_there

__all__ = ["Finder"]


class Finder:
    """Listens and scans. Made and used on one event loop; ``packets`` as for :class:`Discovery`."""

    def __init__(self, egress: Egress, *, packets: Packets | None = None) -> None:
        """``egress``: to which addresses requests may go."""
        self._egress = egress
        self._discovery = Discovery(allows=egress.allows, packets=packets)
        self._scanner = Scanner(partial(look_there, egress=egress))

    @property
    def scan(self) -> Scan | None:
        """The scan that runs, or the last one that did."""
        return self._scanner.last

    async def announced(self) -> Announcements:
        """Listen for some seconds from now on; return what was announced so far.

        Raises :class:`~gatepost.fleet.finding.announcements.DiscoveryUnavailable`.
        """
        return await self._discovery.look()

    async def begin_scan(self, networks: Sequence[str]) -> Scan:
        """Begin to scan networks as they are typed. Raises :class:`~gatepost.errors.SettingsError`."""
        return await self._scanner.begin(addresses(networks, egress=self._egress))

    async def end_scan(self) -> None:
        """End the scan that runs; what it found stays. Idempotent."""
        await self._scanner.end()

    async def close(self) -> None:
        """End everything. Idempotent."""
        await self._scanner.end()
        await self._discovery.close()
