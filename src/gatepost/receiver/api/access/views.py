"""``/api/v1/views``: filters of pages, saved under a name."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, delete, get, patch, post
from litestar.exceptions import NotFoundException, PermissionDeniedException
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from gatepost.items import ViewItem
from gatepost.receiver.api.access.authorization import GUARD, Access, AnyRequest, TheAccess
from gatepost.receiver.api.shapes import MAX_ID, Listing, TheStore, read, word
from gatepost.receiver.auth.principal import Principal, may
from gatepost.receiver.http.url_prefix import link
from gatepost.store.accounts.rows import Role
from gatepost.store.accounts.saved_views import MAX_VALUE, Reader, SavedView, SavedViews
from gatepost.store.page_bytes import paged
from gatepost.store.questions import UserStore

__all__ = ["SHARE", "ViewsController", "change_view", "delete_view", "save_view", "views_of"]

SHARE: Role = "operator"
"""The role that shares views with all users."""

Name = Annotated[str, Meta(max_length=200)]
Filters = dict[str, Annotated[str, Meta(max_length=MAX_VALUE)]]


class NewView(Struct, frozen=True, kw_only=True):
    """Save ``filters`` of a page, as its address has them. ``shared`` needs the role operator."""

    page: str
    name: Name
    filters: Filters
    shared: bool = False
    start: bool = False


class ViewChange(Struct, frozen=True, kw_only=True):
    """Change some fields; what is left out stays. ``start`` is the user's own choice, also of a shared view."""

    name: Name | None = None
    filters: Filters | None = None
    shared: bool | None = None
    start: bool | None = None


def views_of(store: UserStore, user: Principal) -> SavedViews:
    """Return the views that a user sees."""
    reader = Reader(account_id=user.owner_id, role=user.role, every_site=user.sites is None)
    return SavedViews(store, reader)


class ViewsController(Controller):
    path = "/api/v1/views"
    opt = GUARD
    tags = ("views",)

    @get(sync_to_thread=True, summary="List one's own views and the shared ones")
    def list_views(
        self,
        request: AnyRequest,
        store: TheStore,
        page: FromQuery[str | None] = None,
        cursor: FromQuery[str | None] = None,
    ) -> Listing[ViewItem]:
        """By page and name; ``page`` filters. A view of a page that one may not open is not listed."""
        views = views_of(store, request.user)
        found = read(
            lambda: paged(
                views.all(word("page", page)),
                lambda row: row.size,
                order="views",
                place=lambda row: row.id,
                cursor=cursor,
            )
        )
        return Listing([_item(row) for row in found.items], found.next_cursor)

    @get("/{view_id:int}", sync_to_thread=True, summary="One view")
    def one_view(self, request: AnyRequest, store: TheStore, view_id: FromPath[int]) -> ViewItem:
        found = read(lambda: views_of(store, request.user).view(min(view_id, MAX_ID)))
        return _item(_there(found))

    @post(sync_to_thread=True, summary="Save a view")
    def create_view(
        self, request: AnyRequest, data: JSONBody[NewView], store: TheStore, access: TheAccess
    ) -> ViewItem:
        return _item(save_view(store, access, request, data))

    @patch("/{view_id:int}", sync_to_thread=True, summary="Change a view, or begin its page with it")
    def change(
        self,
        request: AnyRequest,
        view_id: FromPath[int],
        data: JSONBody[ViewChange],
        store: TheStore,
        access: TheAccess,
    ) -> ViewItem:
        """404 for a view that one may not change: one's own, and those that one shared; an administrator all shared."""
        return _item(change_view(store, access, request, min(view_id, MAX_ID), data))

    @delete("/{view_id:int}", sync_to_thread=True, summary="Delete a view")
    def delete_view(
        self, request: AnyRequest, view_id: FromPath[int], store: TheStore, access: TheAccess
    ) -> None:
        delete_view(store, access, request, min(view_id, MAX_ID))


def save_view(store: UserStore, access: Access, request: AnyRequest, data: NewView) -> SavedView:
    """Save a view, and note it in the audit log. Raises 400, 403 and 409."""
    views, user = views_of(store, request.user), request.user
    _check_shared(user, data.shared)
    row = read(
        lambda: views.save(
            data.page,
            data.name,
            data.filters,
            shared=data.shared,
            by=user.name,
            now_ms=access.doors.now_ms(),
        )
    )
    access.note(request, "view.saved", str(row.id), page=row.page, shared=row.is_shared)
    if data.start:
        return read(lambda: views.begin_with(row.id, start=True)) or row
    return row


def change_view(
    store: UserStore, access: Access, request: AnyRequest, view_id: int, data: ViewChange
) -> SavedView:
    """Change a view, and note it in the audit log. Raises 400, 403, 404 and 409."""
    views = views_of(store, request.user)
    _check_shared(request.user, data.shared)
    before = _there(read(lambda: views.view(view_id)))
    row = before
    values = {"name": data.name, "filters": data.filters, "shared": data.shared}
    if any(value is not None for value in values.values()):
        row = _there(read(lambda: views.change(view_id, **values)))  # type: ignore[arg-type]  # each has its own
        changed = [name for name, value in values.items() if value is not None]
        was = {} if before.is_shared == row.is_shared else {"was_shared": before.is_shared}
        access.note(
            request, "view.changed", str(row.id), page=row.page, shared=row.is_shared, changed=changed, **was
        )
    if data.start is not None and data.start != before.is_start:
        start = data.start
        row = _there(read(lambda: views.begin_with(view_id, start=start)))
    return row


def delete_view(store: UserStore, access: Access, request: AnyRequest, view_id: int) -> SavedView:
    """Delete a view, and note it in the audit log. Raises 404."""
    row = _there(read(lambda: views_of(store, request.user).delete(view_id)))
    access.note(request, "view.deleted", str(row.id), page=row.page, shared=row.is_shared)
    return row


def _check_shared(user: Principal, shared: bool | None) -> None:
    if shared and not may(user.role, SHARE):
        raise PermissionDeniedException(f"shared: this needs the role {SHARE}; yours is {user.role}")


def _there(row: SavedView | None) -> SavedView:
    if row is None:
        raise NotFoundException("there is no such view, or it is not yours to change")
    return row


def _item(row: SavedView) -> ViewItem:
    return ViewItem(
        id=row.id,
        page=row.page,
        name=row.name,
        filters=dict(row.filters),
        shared=row.is_shared,
        start=row.is_start,
        may_change=row.may_change,
        made_by=row.made_by,
        made_at=row.made_at,
        link=link(f"/views/{row.id}"),
    )
