"""``/why``: why nothing arrives of a terminal, and the one thing to do next."""

from __future__ import annotations

from litestar import Controller, get

from gatepost.console.desk import Html, TheDesk, View
from gatepost.console.filters import Filters
from gatepost.fleet.why_words import Writer
from gatepost.receiver.api.authorization import VIEWER, AnyRequest
from gatepost.receiver.api.why import TheDiagnosis, asked_of

__all__ = ["TAGS", "WhyPages", "writer"]

TAGS = {"good": "online", "unknown": "quiet", "look": "late", "bad": "offline"}
"""How each level looks."""


def writer(view: View) -> Writer:
    """Return who writes findings in the language of the page."""
    words = view.words
    return Writer(words.language, view.show.ago, view.show.span, lambda reason: _reason(view, reason))


class WhyPages(Controller):
    """``/why``."""

    path = "/why"
    opt = VIEWER

    @get(sync_to_thread=True)
    def show_why(self, request: AnyRequest, desk: TheDesk, diagnosis: TheDiagnosis) -> Html:
        view = desk.view(request)
        asked = view.query.get("asked", "").strip()
        told = None
        if asked:
            by_address = "." in asked or "://" in asked or asked.startswith("[")
            found = asked_of(diagnosis, view.store, terminal=asked, address=None)
            told = found
            if found.terminal is None and by_address:
                told = asked_of(diagnosis, view.store, terminal=None, address=asked)
        return view.page(
            "why.html",
            active="terminals",
            asked=asked,
            told=told,
            writer=writer(view),
            tags=TAGS,
            options=Filters(view, ("terminal",)).terminal_options(),
        )


def _reason(view: View, reason: str) -> str:
    return view.words.may_be("refusals.reason_" + reason.replace(" ", "_"), view.words.why(reason))
