"""``/api/v1/alarms``: what the terminals were worried about."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct
from msgspec.structs import replace

from gatepost.items import AlarmItem, StepItem
from gatepost.receiver.api.authorization import (
    ACKNOWLEDGE,
    BY_ITSELF,
    GUARD,
    OPERATOR,
    Access,
    AnyRequest,
    TheAccess,
)
from gatepost.receiver.api.filters import AlarmFilters
from gatepost.receiver.api.images import IMAGES, NOT_MODIFIED, ThumbnailSize, event_image, whole_original
from gatepost.receiver.api.shapes import (
    MAX_ID,
    MAX_LIMIT,
    Include,
    Listing,
    TheStore,
    read,
    text,
)
from gatepost.receiver.http.url_prefix import link
from gatepost.store import as_items
from gatepost.store.interface import AlarmRow, AlarmStep
from gatepost.store.questions import UserStore

__all__ = ["MAX_NOTE", "AlarmItem", "AlarmsController", "StepItem", "alarm_item", "close_alarm"]

MAX_NOTE = 2000
"""Characters of a note."""


class Acknowledgement(Struct, frozen=True):
    """Somebody has looked at an alarm."""

    note: Annotated[str, Meta(max_length=MAX_NOTE)] = ""


class Closing(Struct, frozen=True):
    """Why an alarm is closed that its terminal did not clear."""

    note: Annotated[str, Meta(min_length=1, max_length=MAX_NOTE)]


def _step_item(step: AlarmStep, include: str | None) -> StepItem:
    return as_items.step_item(
        step,
        image=link(f"/api/v1/alarms/steps/{step.id}/image") if step.has_image else None,
        original=text(step.original) if include == "original" else None,
    )


def alarm_item(row: AlarmRow, *, include: str | None = None) -> AlarmItem:
    """Shape an alarm for a reply."""
    return AlarmItem(
        id=row.id,
        terminal=row.serial,
        terminal_id=row.terminal_id,
        terminal_name=row.terminal_name,
        site_id=row.site_id,
        site=row.site,
        timezone=row.timezone,
        trace_id=row.trace_id,
        code=row.code,
        state=row.state,
        first_at=row.first_at,
        last_at=row.last_at,
        history=[_step_item(step, include) for step in row.history],
        acknowledged=row.acknowledged_at is not None,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        note=row.note,
        closed_at=row.closed_at,
        closed_by=row.closed_by,
        closed_note=row.closed_note,
    )


class AlarmsController(Controller):
    path = "/api/v1/alarms"
    opt = GUARD
    tags = ("alarms",)

    @get(sync_to_thread=True, summary="List alarms, newest first")
    def list_alarms(
        self,
        store: TheStore,
        alarm_filters: AlarmFilters,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = 100,
        cursor: FromQuery[str | None] = None,
        include: Include = None,
    ) -> Listing[AlarmItem]:
        """``state=open``: every alarm that is not cleared, also one whose clearing failed (``clear_failed``).

        ``since`` and ``until`` (exclusive) speak of when it was raised. ``terminal`` and ``site`` as for records.
        ``include=original`` adds the JSON of each report as it was pushed.
        """
        query = replace(alarm_filters, limit=limit, cursor=cursor)
        page = read(lambda: store.alarms(query))
        return Listing([alarm_item(row, include=include) for row in page.items], page.next_cursor)

    @get("/{alarm_id:int}", sync_to_thread=True, summary="One alarm")
    def one_alarm(
        self, request: AnyRequest, store: TheStore, alarm_id: FromPath[int], include: Include = None
    ) -> AlarmItem:
        """``include=original`` adds the JSON of each report as it was pushed."""
        row = _alarm(store, alarm_id)
        if include == "original":
            steps = [
                replace(step, original=whole_original(request, store, step.id, step.original))
                for step in row.history
            ]
            row = replace(row, history=tuple(steps))
        return alarm_item(row, include=include)

    @post(
        "/{alarm_id:int}/acknowledge",
        opt=ACKNOWLEDGE,
        sync_to_thread=True,
        status_code=200,
        summary="Acknowledge an alarm",
    )
    def acknowledge(
        self,
        request: AnyRequest,
        alarm_id: FromPath[int],
        data: JSONBody[Acknowledgement],
        store: TheStore,
        access: TheAccess,
    ) -> AlarmItem:
        """Say that somebody has looked at it, in whatever state it is; that does not change. The latest counts."""
        _alarm(store, alarm_id)
        now_ms, by = access.doors.now_ms(), request.user.name
        read(lambda: store.acknowledge_alarm(alarm_id, by=by, note=data.note, now_ms=now_ms))
        access.note(request, "alarm.acknowledged", str(alarm_id))
        return alarm_item(_alarm(store, alarm_id))

    @post(
        "/{alarm_id:int}/close",
        opt=OPERATOR,
        sync_to_thread=True,
        status_code=200,
        summary="Close an alarm that its terminal does not clear",
    )
    def close(
        self,
        request: AnyRequest,
        alarm_id: FromPath[int],
        data: JSONBody[Closing],
        store: TheStore,
        access: TheAccess,
    ) -> AlarmItem:
        """Close for good. The alarm is cleared then, and acknowledged; 409 if it is not open.

        What the terminal reports about it later joins its history. The next occurrence is another alarm.
        """
        close_alarm(store, access, request, alarm_id, data.note)
        return alarm_item(_alarm(store, alarm_id))

    @get(
        "/steps/{step_id:int}/image",
        sync_to_thread=True,
        summary="The picture of a step",
        media_type="image/jpeg",
        opt=IMAGES | BY_ITSELF,
        responses=NOT_MODIFIED,
    )
    def step_image(self, request: AnyRequest, store: TheStore, step_id: FromPath[int]) -> Response[bytes]:
        return event_image(request, store, step_id)

    @get(
        "/steps/{step_id:int}/thumbnail",
        sync_to_thread=True,
        summary="The picture of a step, small",
        opt=BY_ITSELF,
        media_type="image/jpeg",
        responses=NOT_MODIFIED,
    )
    def step_thumbnail(
        self, request: AnyRequest, store: TheStore, step_id: FromPath[int], size: ThumbnailSize = 128
    ) -> Response[bytes]:
        """``size``: the longer edge in pixels. 404 also for an image that no picture can be made of."""
        return event_image(request, store, step_id, size=size)


def close_alarm(store: UserStore, access: Access, request: AnyRequest, alarm_id: int, note: str) -> None:
    """Close an alarm, and note it in the audit log. 404 if there is none, 409 if it is not open."""
    _alarm(store, alarm_id)
    if not note.strip():
        raise ClientException("note: say why the alarm is closed")
    now_ms, by = access.doors.now_ms(), request.user.name
    if not read(lambda: store.close_alarm(alarm_id, by=by, note=note, now_ms=now_ms)):
        why = "the alarm is not open any more; acknowledge it to add a note"
        raise ClientException(why, status_code=409)
    access.note(request, "alarm.closed", str(alarm_id))


def _alarm(store: UserStore, alarm_id: int) -> AlarmRow:
    row = read(lambda: store.alarm(alarm_id)) if 0 < alarm_id <= MAX_ID else None
    if row is None:
        raise NotFoundException("there is no such alarm")
    return row
