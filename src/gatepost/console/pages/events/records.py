"""``/records``: a table of what happened, every filter of the API in its address, and each record in full."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from litestar import Controller, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, RawBody
from litestar.response import Stream
from msgspec.structs import replace

from gatepost.console.desk import Html, TheDesk, View
from gatepost.console.input.filters import Filters
from gatepost.console.input.forms import Form
from gatepost.console.input.periods import starts
from gatepost.console.pages.events.views import page_views
from gatepost.receiver.api.access.authorization import GUARD, OPERATOR, VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.events.filters import note_search
from gatepost.receiver.api.exports.download import FileOptions, Format
from gatepost.receiver.api.exports.events import records_file
from gatepost.receiver.api.shapes import MAX_ID, TheMeaning, read
from gatepost.receiver.people_rules import Meaning
from gatepost.store.interface import RecordQuery, RecordRow

__all__ = ["RecordPages", "export_format", "person_path"]

PAGE = 50

FORMATS: tuple[Format, ...] = ("xlsx", "csv", "jsonl", "zip")


class RecordPages(Controller):
    """``/records``."""

    path = "/records"
    opt = VIEWER

    @get(sync_to_thread=True)
    def list_records(self, request: AnyRequest, desk: TheDesk, access: TheAccess) -> Html:
        view = desk.view(request)
        views = page_views(view, "records")
        if views.start is not None:
            return view.go(views.start)
        filters = Filters(view)
        if (sealed := filters.sealed()) is not None:
            return view.go(sealed)
        query = replace(filters.records(), limit=PAGE, cursor=view.query.get("cursor"))
        page = read(lambda: view.store.records(query))
        note_search(access, request, query, len(page.items))
        values: dict[str, Any] = {
            "filters": filters,
            "views": views,
            "records": page.items,
            "places": view.places(record.terminal_id for record in page.items),
            "found": view.store.count_records(query),
            "next": page.next_cursor,
            "ranges": _ranges(view, filters.zone),
        }
        return view.page("records.html", active="records", **values)

    @post(sync_to_thread=True)
    def filter_records(self, request: AnyRequest, body: RawBody, desk: TheDesk) -> Html:
        """Turn a form into an address: sealed what is sealed, without what is empty."""
        return desk.view(request).go(Filters(desk.view(request)).address("/records", Form(body)))

    @get("/export", opt=OPERATOR)
    async def export(
        self, request: AnyRequest, desk: TheDesk, meaning: TheMeaning, access: TheAccess
    ) -> Stream:
        """Exactly what is filtered, as a file: in the language of the page, in the time of each site."""

        def ask() -> tuple[View, RecordQuery]:
            view = desk.view(request)
            filters = Filters(view)
            asked = filters.records()
            filters.for_file("format")
            return view, asked

        view, query = await asyncio.to_thread(ask)
        return await records_file(
            request,
            view.store,
            meaning,
            access,
            query,
            FileOptions(format=export_format(request), lang=view.words.language),
        )

    @get("/{record_id:int}", opt=GUARD, sync_to_thread=True)
    def show_record(
        self, request: AnyRequest, record_id: FromPath[int], desk: TheDesk, meaning: TheMeaning
    ) -> Html:
        view = desk.view(request)
        record = view.store.record(record_id) if 0 < record_id <= MAX_ID else None
        if record is None:
            raise NotFoundException("there is no such record")
        values: dict[str, Any] = {
            "record": record,
            "place": view.places([record.terminal_id])[record.terminal_id],
            "person_path": person_path(meaning, record),
        }
        if view.fragment:
            return view.part("record_panel.html", **values)
        return view.page("record.html", active="records", **values)


def export_format(request: AnyRequest, formats: Sequence[Format] = FORMATS) -> Format:
    """Which kind of file an address asks for, of those that there are. Raises 400."""
    for form in formats:
        if request.query_params.get("format", "xlsx") == form:
            return form
    raise ClientException(f"format is one of {', '.join(formats)}")


def person_path(meaning: Meaning, record: RecordRow) -> str | None:
    """Redirect to the page of the person whom a record is about."""
    if record.person is None:
        return None
    scope = f"-{record.terminal_id}" if meaning.rules.scope == "terminal" else ""
    return f"/people/{record.person.identity_id}{scope}"


def _ranges(view: View, zone: str) -> list[tuple[str, str, bool]]:
    """Stretches of time that are asked for often: name, address, and whether it is the one shown.

    ``zone``: by whose clocks the filters read times.
    """
    found = []
    for name, text in starts(view, zone).items():
        chosen = view.query.get("since") == text and not view.query.get("until")
        found.append((name, view.here(since=text, until=None, cursor=None), chosen))
    return found
