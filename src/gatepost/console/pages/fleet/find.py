"""``/fleet/find``: terminals that announce themselves or reply to a scan; the chosen ones are adopted.

Announcements are listened to while the page is open: it asks again by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from litestar import Controller, get, post
from litestar.exceptions import ClientException
from litestar.params import RawBody

from gatepost.console.desk import Desk, Html, TheDesk
from gatepost.console.input.forms import Form
from gatepost.console.pages.terminals.page import sites_of
from gatepost.errors import SettingsError
from gatepost.fleet.finding.announcements import Announced, DiscoveryUnavailable
from gatepost.fleet.finding.finder import Finder
from gatepost.fleet.finding.scan import Sighted
from gatepost.fleet.managing import Fleet
from gatepost.fleet_items import FoundItem
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, AnyRequest, TheAccess
from gatepost.receiver.api.finding import TheFinder, found_items
from gatepost.receiver.api.fleet import TheFleet, ours_of
from gatepost.receiver.api.shapes import TheRegistrar
from gatepost.store.terminals.adoptions import ToAdopt

__all__ = ["FleetFindPages"]


class FleetFindPages(Controller):
    """``/fleet/find``."""

    path = "/fleet/find"
    opt = ADMIN | EVERY_SITE

    @get()
    async def show_found(
        self, request: AnyRequest, desk: TheDesk, fleet: TheFleet, finder: TheFinder
    ) -> Html:
        return await _page(desk, request, fleet, finder)

    @post("/scan")
    async def scan(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        fleet: TheFleet,
        finder: TheFinder,
        access: TheAccess,
    ) -> Html:
        """Ask each address of the networks that were typed."""
        typed = Form(body)("networks")[:1000]
        networks = typed.replace(",", " ").replace("，", " ").split()
        try:
            begun = await finder.begin_scan(networks)
        except SettingsError as error:
            problem = f"{error.setting}: {error.why}"
            return await _page(desk, request, fleet, finder, problem=problem, typed=typed)
        await asyncio.to_thread(
            access.note, request, "fleet.scanned", ", ".join(networks)[:200], addresses=begun.total
        )
        return await asyncio.to_thread(lambda: desk.view(request).go("/fleet/find"))

    @post("/end")
    async def end_scan(self, request: AnyRequest, desk: TheDesk, finder: TheFinder) -> Html:
        """End the scan that runs. What it found stays."""
        await finder.end_scan()
        return await asyncio.to_thread(lambda: desk.view(request).go("/fleet/find"))

    @post("/adopt")
    async def adopt(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        fleet: TheFleet,
        finder: TheFinder,
        access: TheAccess,
        registrar: TheRegistrar,
    ) -> Html:
        """Adopt those that are ticked, with one account."""
        form = Form(body)
        site = next(iter(form.numbers("site")), None)
        rows = [
            ToAdopt(
                address=address, username=form("username"), password=form.secret("password"), site_id=site
            )
            for address in dict.fromkeys(form.many("addresses"))
        ]
        if not rows:
            raise ClientException("choose at least one; nothing was changed")
        try:
            made = await fleet.many.order(
                rows, ours=ours_of(registrar, access, request), by=request.user.name
            )
        except SettingsError as error:
            return await _page(desk, request, fleet, finder, problem=f"{error.setting}: {error.why}")
        await asyncio.to_thread(
            access.note, request, "fleet.adoption_ordered", str(made.id), terminals=len(rows)
        )
        return await asyncio.to_thread(lambda: desk.view(request).go(f"/fleet/adoptions/{made.id}"))


async def _page(
    desk: Desk,
    request: AnyRequest,
    fleet: Fleet,
    finder: Finder,
    *,
    problem: str | None = None,
    typed: str = "",
) -> Html:
    silent, elsewhere = "", 0
    announced: Sequence[Announced] = ()
    try:
        heard = await finder.announced()
        announced, elsewhere = heard.found(), heard.elsewhere
    except DiscoveryUnavailable as error:
        silent = str(error)
    scan = finder.scan
    found = _merged(announced, () if scan is None else scan.found())
    items = await found_items(fleet, found)

    def page() -> Html:
        view = desk.view(request)
        return view.page(
            "fleet_find.html",
            status=200 if problem is None else 400,
            active="terminals",
            items=items,
            new=sum(_is_new(item) for item in items),
            is_new=_is_new,
            scan=scan,
            silent=silent,
            elsewhere=elsewhere,
            sites=sites_of(view.store),
            problem=problem,
            typed=typed,
        )

    return await asyncio.to_thread(page)


def _merged(announced: Sequence[Announced], sighted: Sequence[Sighted]) -> list[Announced | Sighted]:
    """Return each terminal once: what replied says more than what was announced."""
    replied = {(one.address, one.serial) for one in sighted}
    return [*sighted, *(one for one in announced if (one.address, one.serial) not in replied)]


def _is_new(item: FoundItem) -> bool:
    return item.terminal_id is None or item.managed_address != item.address
