"""``/api/v1/notices``: what happened to the installation itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter, SkipValidation
from msgspec import Struct

from gatepost.receiver.api.access.authorization import EVERY_SITE, VIEWER
from gatepost.receiver.api.shapes import MAX_LIMIT, Listing, read
from gatepost.store.query.notices import Notice, NoticeKind, Notices

__all__ = ["NoticesController", "TheNotices", "notice_item"]

TheNotices = NamedDependency[SkipValidation[Notices]]


class NoticeItem(Struct, frozen=True, kw_only=True):
    """Tell what happened to the installation itself, such as that a terminal fell silent."""

    id: int
    at: datetime
    kind: NoticeKind
    subject: str
    """Of what it tells: the id of a terminal or a destination, the name of a machine, of an account."""
    terminal_id: int | None
    terminal: str | None
    """The serial."""
    terminal_name: str | None
    site_id: int | None
    site: str | None
    detail: Mapping[str, str | float]


def notice_item(row: Notice) -> NoticeItem:
    """Shape a notice for a reply."""
    return NoticeItem(
        id=row.id,
        at=row.at,
        kind=row.kind,
        subject=row.subject,
        terminal_id=row.terminal_id,
        terminal=row.serial,
        terminal_name=row.terminal_name,
        site_id=row.site_id,
        site=row.site,
        detail=row.detail,
    )


class NoticesController(Controller):
    path = "/api/v1/notices"
    opt = VIEWER | EVERY_SITE
    tags = ("notices",)

    @get(sync_to_thread=True, summary="List notices, the latest first")
    def list_notices(
        self,
        notices: TheNotices,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = 100,
        cursor: FromQuery[str | None] = None,
    ) -> Listing[NoticeItem]:
        """List what went wrong, told once, and once more when it was over. The latest 100,000 are kept."""
        page = read(lambda: notices.page(limit=limit, cursor=cursor))
        return Listing([notice_item(row) for row in page.items], page.next_cursor)
