"""``/system``: versions, disk, journal, images, database, and what retention deletes next."""

from __future__ import annotations

from litestar import Controller, get, post
from litestar.exceptions import ClientException
from litestar.params import RawBody

from gatepost.console.desk import Html, TheDesk
from gatepost.console.input.forms import Form
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, AnyRequest, TheAccess
from gatepost.receiver.api.operation.retention import TheKeeper, note_confirmed
from gatepost.receiver.api.operation.system import TheSystem
from gatepost.receiver.api.shapes import TheIngests
from gatepost.store.privacy.due import MOST

__all__ = ["SystemPages"]


class SystemPages(Controller):
    """``/system``."""

    path = "/system"
    opt = ADMIN | EVERY_SITE

    @get(sync_to_thread=True)
    def show_system(
        self,
        request: AnyRequest,
        desk: TheDesk,
        system: TheSystem,
        keeper: TheKeeper,
        ingests: TheIngests,
    ) -> Html:
        return desk.view(request).page(
            "system.html",
            active="system",
            system=system.state(),
            asks=keeper.asks,
            most=MOST,
            processes=len(ingests),
            gauges=ingests.gauges,
        )

    @post("/retention", sync_to_thread=True)
    def confirm_retention(
        self, request: AnyRequest, body: RawBody, desk: TheDesk, access: TheAccess, keeper: TheKeeper
    ) -> Html:
        """Permit what retention asks; the form has the last day of each part."""
        form = Form(body)
        asked = [(ask, form(ask.part) == ask.last.isoformat()) for ask in keeper.asks if form(ask.part)]
        if not asked or not all(is_same for _, is_same in asked):
            raise ClientException(desk.view(request).words("settings.asks_changed"))
        for ask, _ in asked:
            if keeper.confirm(ask.part, ask.last) is not None:
                note_confirmed(access, request, ask)
        return desk.view(request).go("/system", done="saved")
