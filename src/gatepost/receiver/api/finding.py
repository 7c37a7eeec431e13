"""Serve ``/api/v1/fleet/discover``, ``/scan`` and ``/import``: which terminals there are to adopt.

For administrators of every site. Nothing of it changes a terminal; an import that is ordered is an adoption of many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException, ValidationException
from litestar.params import FromQuery, JSONBody, QueryParameter, RawBody, SkipValidation
from msgspec import Meta, Struct

from gatepost.fleet.finding.announcements import Announced
from gatepost.fleet.finding.csv_import import TerminalList, template
from gatepost.fleet.finding.csv_import import read as read_file
from gatepost.fleet.finding.discovery import LISTEN_S
from gatepost.fleet.finding.finder import Finder
from gatepost.fleet.finding.scan import Scan, Sighted
from gatepost.fleet.managing import Fleet
from gatepost.fleet_items import (
    AdoptionItem,
    DiscoveryItem,
    FoundItem,
    ImportItem,
    ImportProblemItem,
    ImportRowItem,
    ScanItem,
)
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, AnyRequest, TheAccess
from gatepost.receiver.api.fleet import TheFleet, adopted_item, ours_of
from gatepost.receiver.api.shapes import TheRegistrar, TheStore
from gatepost.store.terminals.adoptions import ToAdopt

__all__ = ["FindingController", "TheFinder", "found_items", "orders_of", "scan_item"]

TheFinder = NamedDependency[SkipValidation[Finder]]


class ScanOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    networks: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(min_length=1, max_length=64)]
    """Each as ``192.168.1.0/24``, ``192.168.1.10-60`` or ``192.168.1.7:8443``; port 8000 unless it is given."""


async def found_items(fleet: Fleet, found: Sequence[Announced | Sighted]) -> list[FoundItem]:
    """Shape terminals that were found, with what is managed of them."""
    managed = await fleet.around.in_thread(fleet.adopted.all)
    by_serial = {row.serial: row for row in managed if row.serial is not None}
    items = []
    for one in found:
        row = by_serial.get(one.serial)
        items.append(
            FoundItem(
                address=one.address,
                serial=one.serial,
                model=one.model,
                certificate=one.certificate if isinstance(one, Sighted) else None,
                clock_error_s=one.clock_error_s if isinstance(one, Sighted) else None,
                terminal_id=None if row is None else row.terminal_id,
                managed_address=None if row is None else row.address,
            )
        )
    return items


async def scan_item(fleet: Fleet, scan: Scan) -> ScanItem:
    """Shape a scan for a reply."""
    return ScanItem(
        state="over" if scan.is_over else "running",
        total=scan.total,
        asked=scan.asked,
        others=scan.others,
        items=await found_items(fleet, scan.found()),
    )


class FindingController(Controller):
    path = "/api/v1/fleet"
    tags = ("fleet",)

    @post(
        "/discover",
        opt=ADMIN | EVERY_SITE,
        status_code=200,
        summary="List terminals that announce themselves",
    )
    async def discover(self, finder: TheFinder, fleet: TheFleet) -> DiscoveryItem:
        """Listen for announcements (multicast DNS); return those since it was asked for. Ask again for more.

        Nothing is sent. An announcement proves nothing: who replies at an address is looked at before a password is.
        """
        announcements = await finder.announced()
        return DiscoveryItem(
            listening_s=LISTEN_S,
            elsewhere=announcements.elsewhere,
            items=await found_items(fleet, announcements.found()),
        )

    @post("/scan", opt=ADMIN | EVERY_SITE, status_code=202, summary="Scan networks for terminals")
    async def scan(
        self,
        request: AnyRequest,
        data: JSONBody[ScanOrder],
        finder: TheFinder,
        fleet: TheFleet,
        access: TheAccess,
    ) -> ScanItem:
        """Ask each address of some networks whether a terminal replies; ask for the scan to see how far it is.

        At most 4,096 addresses, and only those to which requests may go. A scan that runs is ended.
        """
        begun = await finder.begin_scan(data.networks)
        await asyncio.to_thread(
            access.note, request, "fleet.scanned", ", ".join(data.networks)[:200], addresses=begun.total
        )
        return await scan_item(fleet, begun)

    @get("/scan", opt=ADMIN | EVERY_SITE, summary="Show the scan", raises=[NotFoundException])
    async def show_scan(self, finder: TheFinder, fleet: TheFleet) -> ScanItem:
        """Return the scan that runs, or the last one since the receiver started."""
        if finder.scan is None:
            raise NotFoundException("there was no scan since the receiver started")
        return await scan_item(fleet, finder.scan)

    @delete("/scan", opt=ADMIN | EVERY_SITE, summary="End the scan")
    async def end_scan(self, finder: TheFinder) -> None:
        """End the scan that runs. What it found stays."""
        await finder.end_scan()

    @post("/import", opt=ADMIN | EVERY_SITE, status_code=200, summary="Adopt the terminals of a CSV file")
    async def import_file(
        self,
        request: AnyRequest,
        body: RawBody,
        fleet: TheFleet,
        store: TheStore,
        access: TheAccess,
        registrar: TheRegistrar,
        adopt: FromQuery[bool] = False,
    ) -> ImportItem:
        """Check a file; with ``adopt=true`` have its terminals adopted, if nothing is wrong in it.

        The request's body is the file: CSV in UTF-8 or GB 18030, with the columns of the template. At most 5,000
        terminals and 1 MB.
        """
        sites = await asyncio.to_thread(lambda: {site.name: site.id for site in store.sites()})
        found = read_file(body, sites=sites)
        adoption = None
        if adopt:
            if found.problems:
                raise ValidationException("the file has problems; nothing was adopted", extra=_told(found))
            ours = ours_of(registrar, access, request)
            made = await fleet.many.order(orders_of(found, sites), ours=ours, by=request.user.name)
            await asyncio.to_thread(
                access.note, request, "fleet.adoption_ordered", str(made.id), terminals=len(found.rows)
            )
            adoption = adopted_item(made)
        return import_item(found, adoption=adoption)

    @get(
        "/import/template",
        opt=ADMIN | EVERY_SITE | {"types": ("text/csv",)},
        summary="Get a CSV file to be filled in",
    )
    async def import_template(
        self, language: Annotated[Literal["en", "zh"], QueryParameter()] = "en"
    ) -> Response[bytes]:
        """Return the columns of an import, and a terminal as an example. Its password is left out."""
        return Response(
            template(chinese=language == "zh"),
            media_type="text/csv",
            headers={"Content-Disposition": 'attachment; filename="terminals.csv"'},
        )


def import_item(found: TerminalList, *, adoption: AdoptionItem | None) -> ImportItem:
    """Shape a file for a reply: without passwords."""
    return ImportItem(
        items=[
            ImportRowItem(
                line=row.line, address=row.address, name=row.name, site=row.site, username=row.username
            )
            for row in found.rows
        ],
        problems=[ImportProblemItem(line=one.line, column=one.column, why=one.why) for one in found.problems],
        adoption=adoption,
    )


def orders_of(found: TerminalList, sites: Mapping[str, int]) -> list[ToAdopt]:
    """Return the orders to adopt the terminals of a list. ``sites``: their ids, by name."""
    return [
        ToAdopt(
            address=row.address,
            username=row.username,
            password=row.password,
            name=row.name,
            site_id=None if row.site is None else sites[row.site],
        )
        for row in found.rows
    ]


def _told(found: TerminalList) -> list[dict[str, str]]:
    return [
        {"key": f"line {one.line}" + (f", {one.column}" if one.column else ""), "message": one.why}
        for one in found.problems[:100]
    ]
