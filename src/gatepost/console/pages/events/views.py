"""``/views``: filters of pages, saved under a name; a link for each, and the list of all of them.

Rules:

* A page shows its views beneath its filters. The address of a view is that of the page with the filters, so paging,
  export and a bookmark work as without a view; ``/views/ID`` leads there, and follows when the view is changed.
* A page whose address has no filter begins with the view that the user chose as its start. ``view=all`` in an address
  says that there is no filter on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl

from litestar import Controller, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, RawBody
from msgspec import Struct

from gatepost.console.desk import Html, TheDesk, View, local_path
from gatepost.console.input.filter_names import SEALED
from gatepost.console.input.forms import Form
from gatepost.console.input.periods import since_of
from gatepost.console.input.seal import MARK
from gatepost.receiver.api.access.authorization import GUARD, AnyRequest, TheAccess
from gatepost.receiver.api.access.views import (
    SHARE,
    NewView,
    ViewChange,
    change_view,
    delete_view,
    save_view,
    views_of,
)
from gatepost.receiver.api.shapes import MAX_ID, read
from gatepost.store.accounts.saved_views import PAGES, SavedView

__all__ = ["PageViews", "ViewPages", "page_views", "path_of"]


class Link(Struct, frozen=True):
    """Show one view on its page."""

    view: SavedView
    address: str
    """Of the page with its filters, without the proxy's prefix."""
    is_shown: bool
    """The page has just these filters."""


class PageViews(Struct, frozen=True):
    """Hold the views of a page as it shows them."""

    page: str
    links: Sequence[Link]
    query: str
    """The filters of the page as they are now."""
    may_share: bool
    start: str | None = None
    """The address to go to instead: the page was opened without filters, and begins with a view."""

    @property
    def has_start(self) -> bool:
        """Return whether the page begins with a view."""
        return any(link.view.is_start for link in self.links)


def path_of(page: str) -> str:
    """Return the path of a page."""
    return "/" if page == "live" else f"/{page}"


def page_views(view: View, page: str) -> PageViews:
    """Return the views of a page. Call it before the page is made: it may lead to another address."""
    rows = read(lambda: views_of(view.store, view.request.user).all(page))
    now = _filters_now(view, page)
    links = [Link(row, _address(view, row), _shown(view, row) == now) for row in rows]
    found = PageViews(page, links, view.at("", **now).removeprefix(view.root + "?"), view.may(SHARE))
    view.has_start = found.has_start
    if view.query.keys() <= {"done"}:
        first = next((link.address for link in links if link.view.is_start), None)
        if first is not None:
            return PageViews(page, links, "", view.may(SHARE), start=first)
    return found


def _filters_now(view: View, page: str) -> dict[str, str]:
    """Return the filters of the address as they stand there."""
    return {name: value for name in PAGES[page].filters if (value := view.query.get(name, "").strip())}


def _shown(view: View, row: SavedView) -> dict[str, str]:
    """Return the filters of a view as an address has them."""
    found = dict(row.filters)
    if (period := found.pop("period", None)) is not None:
        found["since"] = since_of(view, period, found.get("site"))
        found.pop("until", None)
    return {
        name: view.desk.seal.close(value) if name in SEALED and row.page != "terminals" else value
        for name, value in found.items()
    }


def _address(view: View, row: SavedView) -> str:
    shown = _shown(view, row)
    return view.at(path_of(row.page), **(shown or {"view": "all"})).removeprefix(view.root)


def _opened(view: View, page: str, query: str) -> dict[str, str]:
    """Return filters out of an address: opened what is sealed. A time that is one of the periods becomes it."""
    given = {name: value for name, value in parse_qsl(query) if name in PAGES[page].filters and value.strip()}
    for name in SEALED:
        value = given.get(name, "")
        if value.startswith(MARK) and page != "terminals":
            opened = view.desk.seal.open(value)
            if opened is None:
                raise ClientException("this address has a name that cannot be read here; search again")
            given[name] = opened
    if "period" in PAGES[page].filters and "until" not in given and "since" in given:
        for period in ("today", "day", "week"):
            if since_of(view, period, given.get("site")) == given["since"]:
                given["period"] = period
                del given["since"]
                break
    return given


class ViewPages(Controller):
    """``/views``."""

    path = "/views"
    opt = GUARD

    @get(sync_to_thread=True)
    def list_views(self, request: AnyRequest, desk: TheDesk) -> Html:
        view = desk.view(request)
        rows = read(lambda: views_of(view.store, request.user).all())
        by_page: dict[str, list[Link]] = {}
        for row in rows:
            by_page.setdefault(row.page, []).append(Link(row, _address(view, row), False))
        pages = [(page, by_page[page]) for page in PAGES if page in by_page]
        return view.page("views.html", active="", pages=pages, may_share=view.may(SHARE))

    @get("/{view_id:int}", sync_to_thread=True)
    def open_view(self, request: AnyRequest, view_id: FromPath[int], desk: TheDesk) -> Html:
        """Lead to the page with the filters of a view."""
        view = desk.view(request)
        row = read(lambda: views_of(view.store, request.user).view(view_id)) if view_id <= MAX_ID else None
        if row is None:
            raise NotFoundException("there is no such view")
        return view.go(_address(view, row))

    @post(sync_to_thread=True)
    def save(self, request: AnyRequest, body: RawBody, desk: TheDesk, access: TheAccess) -> Html:
        """Save the filters of a page."""
        form, view = Form(body), desk.view(request)
        page = form("page")
        if page not in PAGES:
            raise ClientException("a view is saved on its page; open the page first")
        data = NewView(
            page=page,
            name=form("name"),
            filters=_opened(view, page, form("query")),
            shared=form.ticked("shared"),
            start=form.ticked("start"),
        )
        return view.go(_address(view, save_view(view.store, access, request, data)), done="view_saved")

    @post("/{view_id:int}", sync_to_thread=True)
    def change(
        self, request: AnyRequest, view_id: FromPath[int], body: RawBody, desk: TheDesk, access: TheAccess
    ) -> Html:
        """Rename, share or no longer share a view, or begin its page with it."""
        form, view = Form(body), desk.view(request)
        data = ViewChange(
            name=form("name") or None,
            shared={"yes": True, "no": False}.get(form("shared")),
            start={"yes": True, "no": False}.get(form("start")),
        )
        change_view(view.store, access, request, min(view_id, MAX_ID), data)
        return view.go(local_path(form("back"), "/views"), done="saved")

    @post("/{view_id:int}/delete", sync_to_thread=True)
    def delete(self, request: AnyRequest, view_id: FromPath[int], desk: TheDesk, access: TheAccess) -> Html:
        view = desk.view(request)
        delete_view(view.store, access, request, min(view_id, MAX_ID))
        return view.go("/views", done="deleted")
