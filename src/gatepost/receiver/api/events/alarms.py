"""``/api/v1/alarms``: what the terminals were worried about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from litestar import Controller, Response, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct
from msgspec.structs import replace

from gatepost.items import AcknowledgedItem, AlarmItem, StepItem
from gatepost.receiver.api.access.authorization import (
    ACKNOWLEDGE,
    BY_ITSELF,
    GUARD,
    OPERATOR,
    Access,
    AnyRequest,
    TheAccess,
)
from gatepost.receiver.api.events.filters import AlarmFilters, told
from gatepost.receiver.api.events.images import (
    IMAGES,
    NOT_MODIFIED,
    ThumbnailSize,
    event_image,
    whole_original,
)
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
from gatepost.store.interface import AlarmQuery, AlarmRow, AlarmStep
from gatepost.store.questions import TOO_MANY_ALARMS, UserStore

__all__ = [
    "MAX_NOTE",
    "AlarmItem",
    "AlarmsController",
    "StepItem",
    "acknowledge_alarms",
    "alarm_item",
    "close_alarm",
]

MAX_NOTE = 2000
"""Characters of a note."""

MAX_TICKED = 1000
"""Alarms that are named one by one."""


class Acknowledgement(Struct, frozen=True):
    """Note that a person has looked at an alarm."""

    note: Annotated[str, Meta(max_length=MAX_NOTE)] = ""


class AcknowledgementOfMany(Struct, frozen=True, kw_only=True):
    """Acknowledge many alarms: these, or all that the filters of the address choose."""

    alarms: (
        Annotated[list[Annotated[int, Meta(ge=1, le=MAX_ID)]], Meta(min_length=1, max_length=MAX_TICKED)]
        | None
    ) = None
    note: Annotated[str, Meta(max_length=MAX_NOTE)] = ""
    check: bool = False
    """Only count them."""
    up_to: Annotated[int, Meta(ge=1, le=MAX_ID)] | None = None
    """Of the check: needed for all that the filters choose."""


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
        ``code``: the kind of alarm.
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
        "/acknowledge",
        opt=ACKNOWLEDGE,
        sync_to_thread=True,
        status_code=200,
        summary="Acknowledge many alarms",
    )
    def acknowledge_many(
        self,
        request: AnyRequest,
        data: JSONBody[AcknowledgementOfMany],
        store: TheStore,
        alarm_filters: AlarmFilters,
        access: TheAccess,
    ) -> AcknowledgedItem:
        """Acknowledge ``alarms`` by their ids, or every alarm that the filters of the list choose; 10,000 at most.

        An alarm that is acknowledged already keeps its note. With filters, ask first: ``check`` counts and changes
        nothing; its ``up_to`` is sent with the order, so that no alarm is acknowledged that arrived in between.
        """
        if data.alarms is not None and (told(alarm_filters) or data.check or data.up_to is not None):
            raise ClientException("alarms: give either ids, or filters with check and up_to, not both")
        if data.check:
            asked = read(lambda: store.alarms_to_acknowledge(alarm_filters))
            if asked.too_many:
                raise ClientException(TOO_MANY_ALARMS)
            return AcknowledgedItem(alarms=asked.alarms, up_to=asked.up_to or None)
        if data.alarms is None and data.up_to is None:
            raise ClientException(
                "up_to: send the one that a request with check returned, or name the alarms"
            )
        query = replace(alarm_filters, up_to=data.up_to)
        which = query if data.alarms is None else data.alarms
        return AcknowledgedItem(alarms=acknowledge_alarms(store, access, request, which, data.note))

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


def acknowledge_alarms(
    store: UserStore, access: Access, request: AnyRequest, which: AlarmQuery | Sequence[int], note: str
) -> int:
    """Acknowledge many alarms, and note it in the audit log as one action; return how many. 400 for too many."""
    now_ms, by = access.doors.now_ms(), request.user.name
    done = read(lambda: store.acknowledge_alarms(which, by=by, note=note, now_ms=now_ms))
    if done:
        filters = told(which) if isinstance(which, AlarmQuery) else {"first": min(which), "last": max(which)}
        access.note(request, "alarms.acknowledged", count=done, **filters)
    return done


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
