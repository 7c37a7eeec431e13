"""``/api/v1/sites``: where terminals stand, and which clock hangs there."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import Controller, Response, get, patch, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, GUARD, Access, AnyRequest, TheAccess
from gatepost.receiver.api.shapes import MAX_ID, Listing, TheStore, read
from gatepost.receiver.api.versions import ChangedByAnother, IfMatch, naming_who, tagged, wanted_versions
from gatepost.receiver.auth.audit_changes import changes
from gatepost.receiver.terminals.admin import site_of
from gatepost.store.interface import SiteRow
from gatepost.store.local_days import zone
from gatepost.store.page_bytes import paged, weight
from gatepost.store.questions import UserStore
from gatepost.store.versions import Versions

__all__ = ["SitesController", "change_site"]

SiteName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^\S(.*\S)?$")]


class SiteItem(Struct, frozen=True):
    """A building, a campus. People are told apart within a site."""

    id: int
    name: str
    timezone: str
    created_at: datetime
    version: str
    """A change with it as ``If-Match`` is refused where another one came first."""


class NewSite(Struct, frozen=True, kw_only=True):
    """``timezone`` is a name of the IANA database, such as Asia/Shanghai."""

    name: SiteName
    timezone: str


class SiteChange(Struct, frozen=True, kw_only=True):
    """Change a site; what is left out stays."""

    name: SiteName | None = None
    timezone: str | None = None


def _item(row: SiteRow) -> SiteItem:
    return SiteItem(row.id, row.name, row.timezone, row.created_at, row.version)


def _told_change(before: SiteRow | None, row: SiteRow) -> dict[str, object]:
    """Return what the audit log says of a changed site."""
    return {"name": row.name, "timezone": row.timezone} | changes(before or row, row, ("name", "timezone"))


class SitesController(Controller):
    path = "/api/v1/sites"
    tags = ("sites",)

    @get(opt=GUARD, sync_to_thread=True, summary="List sites")
    def list_sites(self, store: TheStore, cursor: FromQuery[str | None] = None) -> Listing[SiteItem]:
        page = read(
            lambda: paged(
                store.sites(),
                lambda row: weight(row.name, row.timezone, row=256),
                order="sites",
                place=lambda row: row.id,
                cursor=cursor,
            )
        )
        return Listing([_item(row) for row in page.items], page.next_cursor)

    @post(opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="Make a site")
    def create_site(
        self, request: AnyRequest, data: JSONBody[NewSite], store: TheStore, access: TheAccess
    ) -> SiteItem:
        read(lambda: zone(data.timezone))
        now_ms = access.doors.now_ms()
        row = read(lambda: store.create_site(data.name, data.timezone, now_ms=now_ms))
        access.note(request, "site.created", str(row.id), name=row.name, timezone=row.timezone)
        return _item(row)

    @patch(
        "/{site_id:int}",
        opt=ADMIN | EVERY_SITE,
        sync_to_thread=True,
        summary="Change a site",
        raises=[ChangedByAnother],
    )
    def change_site(
        self,
        request: AnyRequest,
        site_id: FromPath[int],
        data: JSONBody[SiteChange],
        store: TheStore,
        access: TheAccess,
        if_match: IfMatch = None,
    ) -> Response[SiteItem]:
        """Another time zone cuts the days of attendance again, also those that are past."""
        wanted = wanted_versions(if_match)
        row = change_site(
            request,
            access,
            store,
            min(site_id, MAX_ID),
            name=data.name,
            timezone=data.timezone,
            versions=wanted,
        )
        return tagged(_item(row), row.version)


def change_site(
    request: AnyRequest,
    access: Access,
    store: UserStore,
    site_id: int,
    *,
    name: str | None,
    timezone: str | None,
    versions: Versions,
) -> SiteRow:
    """Change a site, with a line in the audit log. Raises 400, 404, 409 and 412."""
    if timezone is not None:
        read(lambda: zone(timezone))
    before = read(lambda: site_of(store, site_id))
    if before is None:
        raise NotFoundException("there is no such site")
    with naming_who(access, ["site.changed"], str(site_id)):
        read(lambda: store.update_site(site_id, name=name, timezone=timezone, versions=versions))
    row = read(lambda: site_of(store, site_id))
    if row is None:
        raise NotFoundException("there is no such site")
    access.note(request, "site.changed", str(row.id), **_told_change(before, row))
    return row
