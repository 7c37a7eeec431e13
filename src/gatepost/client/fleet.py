"""Call the API about adopted terminals. All of it needs the role admin, of every site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from gatepost.client.calls import Calls, Filter, parameters_of
from gatepost.fleet_items import (
    AdoptionItem,
    AdoptionRowItem,
    AuditItem,
    DiscoveryItem,
    ImportItem,
    JobItem,
    ManagedItem,
    ScanItem,
    SeenItem,
)
from gatepost.items import (
    Listing,
)

__all__ = ["FleetCalls"]


class FleetCalls(Calls):
    """Finding, adopting, tending and fetching."""

    def discover(self) -> DiscoveryItem:
        """Return terminals that announce themselves; the receiver listens for 30 seconds after each call."""
        return self._connection.send("POST", "fleet/discover", DiscoveryItem, {})

    def begin_scan(self, networks: Sequence[str]) -> ScanItem:
        """Have networks scanned for terminals; :meth:`scan` tells how far it is."""
        return self._connection.send("POST", "fleet/scan", ScanItem, {"networks": networks})

    def scan(self) -> ScanItem:
        """Return the scan that runs, or the last one."""
        return self._connection.get("fleet/scan", ScanItem)

    def end_scan(self) -> None:
        """End the scan that runs."""
        self._connection.body("DELETE", "fleet/scan")

    def import_terminals(self, content: bytes, *, adopt: bool) -> ImportItem:
        """Check a CSV file of terminals; ``adopt``: have them adopted, if nothing is wrong in it."""
        body = self._connection.body("POST", "fleet/import", {"adopt": adopt}, content)
        return self._connection.decoded(body, ImportItem)

    def look(self, address: str) -> SeenItem:
        """Return who is at an address. No password is sent."""
        return self._connection.send("POST", "fleet/look", SeenItem, {"address": address})

    def adopt(self, address: str, username: str, password: str, **values: Any) -> ManagedItem:
        """Adopt a terminal; see ``serial``, ``certificate``, ``name`` and ``site_id``."""
        order = {"address": address, "username": username, "password": password, **values}
        return self._patient.send("POST", "fleet/adopt", ManagedItem, order)

    def adopt_many(self, terminals: Sequence[Mapping[str, object]]) -> AdoptionItem:
        """Order terminals to be adopted, each with ``address``, ``username`` and ``password``."""
        return self._connection.send("POST", "fleet/adoptions", AdoptionItem, {"terminals": list(terminals)})

    def adoptions(self) -> Iterator[AdoptionItem]:
        """Return the adoptions of many that are kept, the latest first."""
        return self._pages("fleet/adoptions", AdoptionItem)

    def adoption(self, adoption_id: int) -> AdoptionItem:
        """Return how far an adoption of many is."""
        return self._connection.get(f"fleet/adoptions/{adoption_id}", AdoptionItem)

    def adoption_rows(self, adoption_id: int) -> Iterator[AdoptionRowItem]:
        """Return how it went with each terminal of an adoption."""
        after = 0
        while True:
            given = {"after": after, "limit": 500}
            page = self._connection.get(
                f"fleet/adoptions/{adoption_id}/rows", Listing[AdoptionRowItem], given
            )
            yield from page.items
            if not page.items:
                return
            after = page.items[-1].number

    def managed(self) -> Iterator[ManagedItem]:
        """Return the adopted terminals."""
        return self._pages("fleet", ManagedItem)

    def managed_terminal(self, terminal_id: int) -> ManagedItem:
        """Return one adopted terminal."""
        return self._connection.get(f"fleet/{terminal_id}", ManagedItem)

    def verify(self, terminal_id: int) -> ManagedItem:
        """Look at an adopted terminal now."""
        return self._patient.send("POST", f"fleet/{terminal_id}/verify", ManagedItem, {})

    def resume_terminal(self, terminal_id: int) -> ManagedItem:
        """Look at a stopped or contested terminal again."""
        return self._patient.send("POST", f"fleet/{terminal_id}/resume", ManagedItem, {})

    def release(self, terminal_id: int, *, give_back: bool = True) -> ManagedItem:
        """Manage a terminal no more; it pushes to where it pushed before, unless ``give_back`` is false."""
        order = {"give_back": give_back}
        return self._patient.send("POST", f"fleet/{terminal_id}/release", ManagedItem, order)

    def backfill(self, terminal_id: int, *, since: datetime, until: datetime | None = None) -> JobItem:
        """Fetch the records of an adopted terminal that are not here. Alarms cannot be had. Needs the role admin."""
        values = {"since": since.isoformat(), "until": None if until is None else until.isoformat()}
        return self._connection.send("POST", f"fleet/{terminal_id}/backfill", JobItem, values)

    def fleet_jobs(self, **filters: Filter) -> Iterator[JobItem]:
        """Return what is fetched from terminals, and what is proposed; ``terminal`` filters. Needs the role admin."""
        return self._all("fleet/jobs", JobItem, parameters_of(filters))

    def fleet_job(self, job_id: int) -> JobItem:
        """Return how far a job is. Needs the role admin."""
        return self._connection.get(f"fleet/jobs/{job_id}", JobItem)

    def turn_fleet_job(self, job_id: int, verb: Literal["pause", "resume", "cancel"]) -> JobItem:
        """Pause, resume or cancel a job; ``resume`` also starts a proposal. Needs the role admin."""
        return self._connection.send("POST", f"fleet/jobs/{job_id}/{verb}", JobItem, {})

    def fleet_audit(self, terminal_id: int, *, count_now: bool = False) -> list[AuditItem]:
        """Return how many records a terminal has of each day, and how many are here. Needs the role admin.

        ``count_now``: the terminal is asked; without it, what the daily audit counted.
        """
        if count_now:
            return self._patient.send("POST", f"fleet/{terminal_id}/audit", Listing[AuditItem], {}).items
        return self._connection.get(f"fleet/{terminal_id}/audit", Listing[AuditItem]).items
