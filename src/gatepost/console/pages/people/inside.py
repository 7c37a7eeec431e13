"""``/inside``: who is inside, as a list that is read out and ticked off, also on paper.

Its script asks ``/inside/now`` for the list of the moment, and keeps the last one while the receiver cannot be reached.
"""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Controller, get
from litestar.response import Stream

from gatepost.console.desk import Html, TheDesk, View
from gatepost.console.input.filter_names import INSIDE, KINDS
from gatepost.console.input.filters import Filters
from gatepost.console.pages.events.records import export_format
from gatepost.receiver.api.access.authorization import BY_ITSELF, GUARD, OPERATOR, AnyRequest, TheAccess
from gatepost.receiver.api.exports.download import FileOptions
from gatepost.receiver.api.exports.people import inside_file
from gatepost.receiver.api.shapes import TheMeaning, read
from gatepost.receiver.people_rules import Meaning
from gatepost.store.page_bytes import fitting, weight
from gatepost.store.people.inside import InsideQuery

__all__ = ["InsidePages"]


class InsidePages(Controller):
    """``/inside``."""

    path = "/inside"
    opt = GUARD

    @get(sync_to_thread=True)
    def show_inside(self, request: AnyRequest, desk: TheDesk, meaning: TheMeaning) -> Html:
        view = desk.view(request)
        filters = Filters(view, INSIDE, groups=meaning.people.groups())
        values = _values(view, filters, meaning)
        kinds = [(kind, view.words(f"attendance.{kind}")) for kind in KINDS if kind != "all"]
        return view.page("inside.html", active="inside", filters=filters, kinds=kinds, **values)

    @get("/now", opt=BY_ITSELF, sync_to_thread=True)
    def list_now(self, request: AnyRequest, desk: TheDesk, meaning: TheMeaning) -> Html:
        """Return the list of the moment, for the page that shows an older one."""
        view = desk.view(request)
        return view.part("inside_list.html", **_values(view, Filters(view, INSIDE), meaning))

    @get("/export", opt=OPERATOR)
    async def export(
        self, request: AnyRequest, desk: TheDesk, access: TheAccess, meaning: TheMeaning
    ) -> Stream:
        """Send the same as a file: a row a person, as the API makes it."""

        def ask() -> tuple[View, InsideQuery]:
            view = desk.view(request)
            filters = Filters(view, INSIDE)
            query = filters.inside()
            filters.for_file("format")
            return view, query

        view, query = await asyncio.to_thread(ask)
        options = FileOptions(format=export_format(request, ("csv", "xlsx")), lang=view.words.language)
        return await inside_file(request, access, meaning, query, options)


def _values(view: View, filters: Filters, meaning: Meaning) -> dict[str, Any]:
    query = filters.inside()
    found = read(lambda: meaning.inside.ask(query))
    # A name stands in the label of its box as well.
    sizes = [one.size + weight(one.name or one.user_id, row=256) for one in found.people]
    shown = found.people[: fitting(sizes)]
    by_site = {
        one.site_id: [person for person in shown if person.site_id == one.site_id] for one in found.sites
    }
    return {
        "inside": found,
        "is_now": query.is_now,
        "by_site": by_site,
        "left_out": len(found.people) - len(shown),
        "of_terminal": meaning.rules.scope == "terminal",
    }
