"""``/help``: what every page is for, and the keys."""

from __future__ import annotations

from litestar import Controller, get

from gatepost.console.desk import NAV, Html, TheDesk
from gatepost.console.help import every_page
from gatepost.receiver.api.access.authorization import GUARD, AnyRequest

__all__ = ["HelpPages"]


class HelpPages(Controller):
    """``/help``."""

    path = "/help"
    opt = GUARD

    @get(sync_to_thread=True)
    def show_help(self, request: AnyRequest, desk: TheDesk) -> Html:
        view = desk.view(request)
        names = [name for name, _, role in NAV if view.may(role, every_site=role == "admin")]
        return view.page("help.html", active="", pages=every_page(names, view.words))
