"""``/quarantine``: what was taken but not understood; look, process again, discard."""

from __future__ import annotations

from litestar import Controller, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, RawBody

from gatepost.console.desk import Html, TheDesk
from gatepost.console.input.filter_names import PLACES
from gatepost.console.input.filters import Filters
from gatepost.console.input.forms import Form
from gatepost.console.pages.events.views import page_views
from gatepost.receiver.api.access.authorization import ADMIN, OPERATOR, VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.events.images import note_original
from gatepost.receiver.api.events.quarantine import TheReprocessing
from gatepost.receiver.api.shapes import MAX_ID, read

__all__ = ["QuarantinePages"]

PAGE = 50
MOST = 1000


class QuarantinePages(Controller):
    """``/quarantine``."""

    path = "/quarantine"
    opt = VIEWER

    @get(sync_to_thread=True)
    def list_quarantine(self, request: AnyRequest, desk: TheDesk) -> Html:
        view = desk.view(request)
        views = page_views(view, "quarantine")
        if views.start is not None:
            return view.go(views.start)
        filters = Filters(view, PLACES)
        query = filters.quarantine(limit=PAGE, cursor=view.query.get("cursor"))
        page = read(lambda: view.store.quarantined(query))
        return view.page(
            "quarantine.html",
            active="quarantine",
            filters=filters,
            views=views,
            pushes=page.items,
            found=view.store.count_quarantined(query),
            next=page.next_cursor,
            places=view.places(push.terminal_id for push in page.items),
        )

    @get("/{number:int}", sync_to_thread=True)
    def show_push(self, request: AnyRequest, number: FromPath[int], desk: TheDesk) -> Html:
        view = desk.view(request)
        found = view.store.quarantined_by_id([number]) if 0 < number <= MAX_ID else []
        if not found:
            raise NotFoundException("it is not in the quarantine (any more)")
        note_original(request, number)
        place = view.places([found[0].terminal_id])[found[0].terminal_id]
        if view.fragment:
            return view.part("push_panel.html", push=found[0], place=place)
        return view.page("push.html", active="quarantine", push=found[0], place=place)

    @post("/process", opt=OPERATOR, sync_to_thread=True)
    def process(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        reprocessing: TheReprocessing,
        access: TheAccess,
    ) -> Html:
        ids, view = _chosen(body), desk.view(request)
        done = read(lambda: reprocessing.process(view.store, ids))
        access.note(
            request,
            "quarantine.processed",
            _named(ids),
            stored=done.stored,
            duplicates=done.duplicates,
            still_unknown=done.still_unknown,
        )
        told = "processed" if done.still_unknown == 0 else "still_unknown"
        return view.go("/quarantine", done=told)

    @post("/discard", opt=ADMIN, sync_to_thread=True)
    def discard(self, request: AnyRequest, body: RawBody, desk: TheDesk, access: TheAccess) -> Html:
        ids, view = _chosen(body), desk.view(request)
        count = read(lambda: view.store.discard_quarantined(ids))
        access.note(request, "quarantine.discarded", _named(ids), count=count)
        return view.go("/quarantine", done="discarded")


def _chosen(body: bytes) -> list[int]:
    ids = Form(body).numbers("ids")[:MOST]
    if not ids:
        raise ClientException("choose at least one; nothing was changed")
    return ids


def _named(ids: list[int]) -> str:
    return ", ".join(map(str, ids[:20])) + (", …" if len(ids) > 20 else "")
