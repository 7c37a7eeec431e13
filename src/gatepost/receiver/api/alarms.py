"""``/api/v1/alarms``: what the terminals were worried about."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct
from msgspec.structs import replace

from gatepost.items import AlarmItem, StepItem
from gatepost.receiver.api.access import OPERATOR, VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.filters import ALARM_FILTERS, AlarmFilters
from gatepost.receiver.api.images import IMAGES, NOT_MODIFIED, ThumbnailSize, event_image
from gatepost.receiver.api.shapes import (
    MAX_ID,
    MAX_LIMIT,
    Include,
    Listing,
    TheStore,
    problems,
    read,
    text,
)
from gatepost.receiver.links import link
from gatepost.store.store import AlarmRow, AlarmStep, Store

__all__ = ["AlarmItem", "AlarmsController", "StepItem", "alarm_item"]


class Acknowledgement(Struct, frozen=True):
    """Somebody has looked at an alarm."""

    note: Annotated[str, Meta(max_length=2000)] = ""


def _step_item(step: AlarmStep, include: str | None) -> StepItem:
    return StepItem(
        id=step.id,
        status=step.status,
        code=step.code,
        at=step.at,
        listed_at=step.listed_at,
        received_at=step.received_at,
        description=step.description,
        user_id=step.user_id,
        image=link(f"/api/v1/alarms/steps/{step.id}/image") if step.has_image else None,
        problems=problems(step.problems),
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
    )


class AlarmsController(Controller):
    path = "/api/v1/alarms"
    opt = VIEWER
    tags = ("alarms",)

    @get(sync_to_thread=True, summary="List alarms, newest first", dependencies=ALARM_FILTERS)
    def list_alarms(
        self,
        store: TheStore,
        filters: AlarmFilters,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = 100,
        cursor: FromQuery[str | None] = None,
        include: Include = None,
    ) -> Listing[AlarmItem]:
        """``since`` and ``until`` (exclusive) speak of when it was raised; ``terminal`` is a serial.

        ``include=original`` adds the JSON of each report as it was pushed.
        """
        query = replace(filters, limit=limit, cursor=cursor)
        page = read(lambda: store.alarms(query))
        return Listing([alarm_item(row, include=include) for row in page.items], page.next_cursor)

    @get("/{alarm_id:int}", sync_to_thread=True, summary="One alarm")
    def one_alarm(self, store: TheStore, alarm_id: FromPath[int], include: Include = None) -> AlarmItem:
        """``include=original`` adds the JSON of each report as it was pushed."""
        return alarm_item(_alarm(store, alarm_id), include=include)

    @post(
        "/{alarm_id:int}/acknowledge",
        opt=OPERATOR,
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

    @get(
        "/steps/{step_id:int}/image",
        sync_to_thread=True,
        summary="The picture of a step",
        media_type="image/jpeg",
        opt=IMAGES,
        responses=NOT_MODIFIED,
    )
    def step_image(self, request: AnyRequest, store: TheStore, step_id: FromPath[int]) -> Response[bytes]:
        return event_image(request, store, step_id)

    @get(
        "/steps/{step_id:int}/thumbnail",
        sync_to_thread=True,
        summary="The picture of a step, small",
        media_type="image/jpeg",
        responses=NOT_MODIFIED,
    )
    def step_thumbnail(
        self, request: AnyRequest, store: TheStore, step_id: FromPath[int], size: ThumbnailSize = 128
    ) -> Response[bytes]:
        """``size``: the longer edge in pixels. 404 also for an image that no picture can be made of."""
        return event_image(request, store, step_id, size=size)


def _alarm(store: Store, alarm_id: int) -> AlarmRow:
    row = read(lambda: store.alarm(alarm_id)) if alarm_id <= MAX_ID else None
    if row is None:
        raise NotFoundException("there is no such alarm")
    return row
