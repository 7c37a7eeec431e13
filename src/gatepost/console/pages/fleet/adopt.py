"""``/fleet/adopt`` and ``/fleet/adoptions``: look who is there, adopt it; adopt many, and see how far that is.

Rules:

* Before a password is typed, serial and certificate of what replies are shown; they have to be the same then.
* A password that was typed is on no page.
"""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Controller, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, RawBody

from gatepost.console.desk import Desk, Html, TheDesk
from gatepost.console.input.forms import Form
from gatepost.console.pages.terminals.page import sites_of
from gatepost.errors import SettingsError
from gatepost.fleet.adoption import Order
from gatepost.fleet.client import Seen, checked_address
from gatepost.fleet.failures import FleetError
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, AnyRequest, TheAccess
from gatepost.receiver.api.fleet import TheFleet, adopted_item, ours_of
from gatepost.receiver.api.shapes import MAX_ID, TheRegistrar

__all__ = ["FleetAdoptPages"]

PAGE = 200

_FIELDS = ("address", "serial", "model", "certificate", "username", "name", "site")
"""The fields that a form keeps where something is wrong: never the password."""


class FleetAdoptPages(Controller):
    """``/fleet/adopt``, ``/fleet/adoptions``."""

    path = "/fleet"
    opt = ADMIN | EVERY_SITE

    @get("/adopt", sync_to_thread=True)
    def ask_address(self, request: AnyRequest, desk: TheDesk) -> Html:
        view = desk.view(request)
        return _page(desk, request, given={"address": view.query.get("address", "")})

    @post("/look")
    async def look(self, request: AnyRequest, body: RawBody, desk: TheDesk, fleet: TheFleet) -> Html:
        """Ask a terminal who it is, and for its account."""
        given = {"address": Form(body)("address")[:300]}
        try:
            seen = await fleet.look(given["address"])
        except (FleetError, SettingsError) as error:
            why = _why(error)
            return await asyncio.to_thread(lambda: _page(desk, request, given=given, problem=why))
        return await asyncio.to_thread(lambda: _page(desk, request, given=_seen(given, seen)))

    @post("/adopt")
    async def adopt(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        fleet: TheFleet,
        access: TheAccess,
        registrar: TheRegistrar,
    ) -> Html:
        """Adopt the terminal that was looked at."""
        form = Form(body)
        given: dict[str, Any] = {name: form(name)[:300] for name in _FIELDS}
        try:
            order = Order(
                address=given["address"],
                username=given["username"],
                password=form.secret("password"),
                ours=ours_of(registrar, access, request),
                by=request.user.name,
                serial=given["serial"] or None,
                certificate=bytes.fromhex(given["certificate"]) if given["certificate"] else None,
                name=given["name"][:128] or None,
                site_id=next(iter(form.numbers("site")), None),
            )
            row = await fleet.adopt(order)
            detail = {"serial": row.serial, "address": row.address}
            await asyncio.to_thread(access.note, request, "fleet.adopted", str(row.terminal_id), **detail)
            await fleet.verify(row.terminal_id)
        except (FleetError, SettingsError, ValueError) as error:
            why = _why(error)
            return await asyncio.to_thread(lambda: _page(desk, request, given=given, problem=why))
        desk.forget_counts()
        return await asyncio.to_thread(lambda: desk.view(request).go("/fleet", done="adopted"))

    @get("/adoptions/{adoption_id:int}", sync_to_thread=True)
    def show_adoption(
        self, request: AnyRequest, adoption_id: FromPath[int], desk: TheDesk, fleet: TheFleet
    ) -> Html:
        """Show how far an adoption of many is: those that failed first."""
        adoptions = fleet.many.adoptions
        found = adoptions.one(adoption_id) if 0 < adoption_id <= MAX_ID else None
        if found is None:
            raise NotFoundException("there is no such adoption")
        rows = adoptions.rows(found.id, limit=5000)
        failed = [row for row in rows if row.state == "failed"]
        return desk.view(request).page(
            "fleet_adoption.html",
            active="terminals",
            adoption=adopted_item(found),
            rows=[*failed, *(row for row in rows if row.state != "failed")][:PAGE],
        )


def _seen(given: dict[str, Any], seen: Seen) -> dict[str, Any]:
    return {
        "address": checked_address(given["address"]),
        "serial": seen.serial,
        "model": seen.model,
        "certificate": "" if seen.pin is None else seen.pin.hex(),
        "clock_error_ms": None if seen.clock_error_s is None else round(seen.clock_error_s * 1000),
    }


def _page(desk: Desk, request: AnyRequest, *, given: dict[str, Any], problem: str | None = None) -> Html:
    view = desk.view(request)
    return view.page(
        "fleet_adopt.html",
        status=200 if problem is None else 400,
        active="terminals",
        given={**dict.fromkeys(_FIELDS, ""), "clock_error_ms": None, **given},
        sites=sites_of(view.store),
        problem=problem,
    )


def _why(error: Exception) -> str:
    return f"{error.setting}: {error.why}" if isinstance(error, SettingsError) else str(error)
