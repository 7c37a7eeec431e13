"""``/welcome``: the first start. A password of one's own, the clock, an address for terminals, one to see."""

from __future__ import annotations

import asyncio
from zoneinfo import available_timezones

from litestar import Controller, get, post
from litestar.exceptions import ClientException
from litestar.params import RawBody

from gatepost.console.desk import Desk, Html, TheDesk
from gatepost.console.input.forms import Form
from gatepost.console.pages.administration.setup_address import plain_address
from gatepost.console.simulated import installed
from gatepost.receiver.api.access.authorization import (
    ADMIN,
    EVERY_SITE,
    VIEWER,
    Access,
    AnyRequest,
    TheAccess,
)
from gatepost.receiver.api.shapes import TheRegistrar, TheStore, answering
from gatepost.receiver.api.terminals.sites import change_site
from gatepost.receiver.terminals.admin import Registrar
from gatepost.store.receivers import setup_steps

__all__ = ["WelcomePages"]


class WelcomePages(Controller):
    """``/welcome``."""

    path = "/welcome"

    @get(opt=VIEWER, sync_to_thread=True)
    def welcome(self, request: AnyRequest, desk: TheDesk, access: TheAccess, registrar: TheRegistrar) -> Html:
        changed = access.doors.accounts.audit(
            limit=1, action="account.password_changed", actor=request.user.name
        )
        return _page(desk, request, access, registrar, own_password=bool(changed.items))

    @post("/hide", opt=ADMIN | EVERY_SITE, sync_to_thread=True)
    def hide(self, request: AnyRequest, desk: TheDesk) -> Html:
        """Show the hint at what is left no more. The steps can still be taken up."""
        setup_steps.mark(desk.whole, "hidden")
        return desk.view(request).go("/")

    @post("/site", opt=ADMIN | EVERY_SITE, sync_to_thread=True)
    def set_site(self, request: AnyRequest, body: RawBody, desk: TheDesk, access: TheAccess) -> Html:
        """Set the name and the time zone of the first site."""
        form = Form(body)
        first = desk.whole.sites()[0]
        change_site(
            request,
            access,
            desk.view(request).store,
            first.id,
            name=form("name")[:128] or None,
            timezone=form("timezone"),
            versions=form.versions,
        )
        setup_steps.mark(desk.whole, "site")
        desk.forget_counts()
        return desk.view(request).go("/welcome", done="saved")

    @post("/simulate", opt=ADMIN | EVERY_SITE)
    async def simulate(
        self,
        request: AnyRequest,
        desk: TheDesk,
        store: TheStore,
        access: TheAccess,
        registrar: TheRegistrar,
    ) -> Html:
        """Make a terminal, and start one that is none and pushes as it."""
        if not installed():
            raise ClientException(
                "there is no simulator here; install it from a checkout: pip install '.[simulator]'"
            )
        if desk.simulated.state != "running":
            name = await asyncio.to_thread(lambda: desk.view(request).words("welcome.simulated_name"))
            values = {"name": name, "site_id": 1}
            with answering():
                row, token = await registrar.create(
                    store, values, with_token=True, now_ms=access.doors.now_ms()
                )
            server = request.scope.get("server") or ("127.0.0.1", 8080)
            address = registrar.own_address(token or "", server=(server[0], server[1] or 8080))
            await asyncio.to_thread(desk.simulated.start, address)
            await asyncio.to_thread(access.note, request, "terminal.simulated", str(row.id))
        return await asyncio.to_thread(lambda: desk.view(request).go("/", done="simulated"))


def _page(
    desk: Desk, request: AnyRequest, access: Access, registrar: Registrar, *, own_password: bool
) -> Html:
    view = desk.view(request)
    stats = view.store.stats()
    return view.page(
        "welcome.html",
        site_done="site" in setup_steps.done(desk.whole),
        active="",
        own_password=own_password,
        site=view.store.sites()[0],
        zones=sorted(available_timezones()),
        setup=plain_address(registrar, access, request),
        simulator=installed(),
        simulated=desk.simulated.state,
        arrived=stats.records + stats.alarms,
    )
