"""``/why``: why nothing arrives of a terminal, and the one thing to do next."""

from __future__ import annotations

import asyncio

from litestar import Controller, get

from gatepost.console.desk import Desk, Html, TheDesk, View
from gatepost.console.input.filters import Filters
from gatepost.fleet.why_words import Writer
from gatepost.receiver.api.access.authorization import VIEWER, AnyRequest
from gatepost.receiver.api.fleet import TheFleet
from gatepost.receiver.api.shapes import TheStore
from gatepost.receiver.api.why import TheDiagnosis, asked_of
from gatepost.receiver.observability.diagnosis import Told

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

    @get()
    async def show_why(
        self, request: AnyRequest, desk: TheDesk, diagnosis: TheDiagnosis, fleet: TheFleet, store: TheStore
    ) -> Html:
        asked = request.query_params.get("asked", "").strip()
        told = None
        if asked:
            told = await asked_of(request, diagnosis, fleet, store, terminal=asked, address=None)
            is_address = "." in asked or "://" in asked or asked.startswith("[")
            if told.terminal is None and is_address:
                told = await asked_of(request, diagnosis, fleet, store, terminal=None, address=asked)
        return await asyncio.to_thread(_page, desk, request, asked, told)


def _page(desk: Desk, request: AnyRequest, asked: str, told: Told | None) -> Html:
    view = desk.view(request)
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
