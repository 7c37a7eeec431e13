"""``/fleet/import``: adopt the terminals of a CSV list, which is checked before anything is done.

Rules: passwords of the list are on no page: between the check and the order the list is sealed, by a key of the store.
"""

from __future__ import annotations

import asyncio

from litestar import Controller, Response, get, post
from litestar.params import RawBody

from gatepost.console.desk import Desk, Html, TheDesk
from gatepost.console.input.forms import Form
from gatepost.errors import SettingsError
from gatepost.fleet.finding.csv_import import MAX_BYTES, TerminalList, read, template
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, AnyRequest, TheAccess
from gatepost.receiver.api.finding import orders_of
from gatepost.receiver.api.fleet import TheFleet, ours_of
from gatepost.receiver.api.shapes import TheRegistrar, TheStore
from gatepost.store.questions import UserStore

__all__ = ["FleetImportPages"]


class FleetImportPages(Controller):
    """``/fleet/import``."""

    path = "/fleet/import"
    opt = ADMIN | EVERY_SITE

    @get(sync_to_thread=True)
    def show_import(self, request: AnyRequest, desk: TheDesk) -> Html:
        return _page(desk, request)

    @get("/template", sync_to_thread=False)
    def download_template(self, request: AnyRequest, desk: TheDesk) -> Response[bytes]:
        """Return a file to be filled in."""
        return Response(
            template(chinese=desk.view(request).words.language == "zh"),
            headers={"content-disposition": 'attachment; filename="terminals.csv"'},
            media_type="text/csv; charset=utf-8",
        )

    @post()
    async def take_list(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        store: TheStore,
        fleet: TheFleet,
        access: TheAccess,
        registrar: TheRegistrar,
    ) -> Html:
        """Show what the list would do; have its terminals adopted once that is confirmed."""
        form = Form(body)
        text = form.secret("list")
        if form.ticked("sealed"):
            text = desk.seal.open(form("sealed")) or ""
        sites = await asyncio.to_thread(_sites, store)
        found = read(text.encode(), sites=sites)
        if not form.ticked("sealed") or found.problems:
            return await asyncio.to_thread(lambda: _page(desk, request, found, text))
        try:
            made = await fleet.many.order(
                orders_of(found, sites), ours=ours_of(registrar, access, request), by=request.user.name
            )
        except SettingsError as error:
            problem = f"{error.setting}: {error.why}"
            return await asyncio.to_thread(lambda: _page(desk, request, found, text, problem=problem))
        await asyncio.to_thread(
            access.note, request, "fleet.adoption_ordered", str(made.id), terminals=len(found.rows)
        )
        return await asyncio.to_thread(lambda: desk.view(request).go(f"/fleet/adoptions/{made.id}"))


def _sites(store: UserStore) -> dict[str, int]:
    return {site.name: site.id for site in store.sites()}


def _page(
    desk: Desk,
    request: AnyRequest,
    found: TerminalList | None = None,
    text: str = "",
    *,
    problem: str | None = None,
) -> Html:
    """``found``: what the list says; ``text``: the list, which is sealed."""
    ready = found is not None and bool(found.rows) and not found.problems
    return desk.view(request).page(
        "fleet_import.html",
        status=200 if problem is None else 400,
        active="terminals",
        list=found,
        sealed=desk.seal.close(text, most=MAX_BYTES) if ready else "",
        problem=problem,
    )
