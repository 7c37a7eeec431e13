"""``/api/v1/records``: what happened at the doors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from litestar import Controller, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec.structs import replace

from gatepost.items import PersonItem, RecordItem
from gatepost.receiver.api.access.authorization import BY_ITSELF, GUARD, VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.events.filters import RecordFilters, note_search
from gatepost.receiver.api.events.images import (
    IMAGES,
    NOT_MODIFIED,
    ThumbnailSize,
    event_image,
    whole_original,
)
from gatepost.receiver.api.shapes import (
    MAX_LIMIT,
    Include,
    Listing,
    TheMeaning,
    TheStore,
    read,
    text,
)
from gatepost.receiver.http.url_prefix import link
from gatepost.receiver.people_rules import Meaning
from gatepost.store import as_items
from gatepost.store.interface import RecordRow

__all__ = ["PersonItem", "RecordItem", "RecordsController", "record_item", "record_items"]


def record_items(
    meaning: Meaning, rows: Sequence[RecordRow], *, include: str | None = None
) -> list[RecordItem]:
    """Shape records for a reply."""
    ids = meaning.person_ids(rows)
    return [record_item(row, ids, include=include) for row in rows]


def record_item(
    row: RecordRow, ids: Mapping[tuple[int, int], str], *, include: str | None = None
) -> RecordItem:
    """Shape a record for a reply; ``ids`` are those of :meth:`Meaning.person_ids`."""
    person_id = "" if row.person is None else ids[row.person.identity_id, row.terminal_id]
    return as_items.record_item(
        row,
        person_id,
        image=link(f"/api/v1/records/{row.id}/image") if row.has_image else None,
        original=text(row.original) if include == "original" else None,
    )


class RecordsController(Controller):
    path = "/api/v1/records"
    opt = VIEWER
    tags = ("records",)

    @get(sync_to_thread=True, summary="List records")
    def list_records(
        self,
        store: TheStore,
        meaning: TheMeaning,
        record_filters: RecordFilters,
        request: AnyRequest,
        access: TheAccess,
        order: FromQuery[Literal["newest", "oldest", "received"]] = "newest",
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = 100,
        cursor: FromQuery[str | None] = None,
        include: Include = None,
    ) -> Listing[RecordItem]:
        """``since`` and ``until`` (exclusive) speak of when it happened; ``name`` and ``q`` find parts.

        ``terminal`` is a serial, a name, which may be of several terminals, or an id; ``site`` is a name or an id.
        ``order=received`` is by arrival, and always answers a cursor: what arrives later follows it, without a gap.
        ``include=original`` adds the JSON as it was pushed. A page of more than 4 MB ends early, with a cursor.
        """
        query = replace(record_filters, order=order, limit=limit, cursor=cursor)
        page = read(lambda: store.records(query))
        note_search(access, request, query, len(page.items))
        return Listing(record_items(meaning, page.items, include=include), page.next_cursor)

    @get("/{record_id:int}", opt=GUARD, sync_to_thread=True, summary="One record")
    def one_record(
        self,
        request: AnyRequest,
        store: TheStore,
        meaning: TheMeaning,
        record_id: FromPath[int],
        include: Include = None,
    ) -> RecordItem:
        """``include=original`` adds the JSON as it was pushed; in a list, texts of over 1 KB are left out of it."""
        row = read(lambda: store.record(record_id)) if 0 < record_id < 1 << 63 else None
        if row is None:
            raise NotFoundException("there is no such record")
        if include == "original":
            row = replace(row, original=whole_original(request, store, row.id, row.original))
        return record_items(meaning, [row], include=include)[0]

    @get(
        "/{record_id:int}/image",
        sync_to_thread=True,
        summary="The portrait of a record",
        media_type="image/jpeg",
        opt=GUARD | IMAGES | BY_ITSELF,
        responses=NOT_MODIFIED,
    )
    def image(self, request: AnyRequest, store: TheStore, record_id: FromPath[int]) -> Response[bytes]:
        """Return an image. It never changes: with its ``ETag`` as ``If-None-Match``, 304 says that it is there."""
        return event_image(request, store, record_id)

    @get(
        "/{record_id:int}/thumbnail",
        sync_to_thread=True,
        summary="The portrait of a record, small",
        opt=GUARD | BY_ITSELF,
        media_type="image/jpeg",
        responses=NOT_MODIFIED,
    )
    def thumbnail(
        self, request: AnyRequest, store: TheStore, record_id: FromPath[int], size: ThumbnailSize = 128
    ) -> Response[bytes]:
        """``size``: the longer edge in pixels. 404 also for an image that no picture can be made of."""
        return event_image(request, store, record_id, size=size)
