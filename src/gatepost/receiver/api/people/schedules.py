"""``/api/v1/schedules`` and ``/holidays``: when people are to be there."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, FromQuery, JSONBody, SkipValidation
from msgspec import Meta, Struct, field

from gatepost.receiver.api.access.authorization import (
    EVERY_SITE,
    OPERATOR,
    VIEWER,
    Access,
    AnyRequest,
    TheAccess,
)
from gatepost.receiver.api.shapes import MAX_ID, Listing, TheStore, read
from gatepost.receiver.api.versions import ChangedByAnother, IfMatch, naming_who, tagged, wanted_versions
from gatepost.receiver.terminals.admin import site_of
from gatepost.store.attendance.schedules import MAX_NAME, Schedule, minutes_of, time_of_day
from gatepost.store.attendance.stored_schedules import HolidayRow, ScheduleRow, Schedules
from gatepost.store.local_days import parse_day
from gatepost.store.page_bytes import paged, weight
from gatepost.store.questions import UserStore
from gatepost.store.versions import Versions

__all__ = [
    "CHANGE",
    "NewHoliday",
    "NewSchedule",
    "schedule_from",
    "told_holiday",
    "told_schedule",
    "schedule_item",
    "add_holiday",
    "change_schedule",
    "HolidaysController",
    "SchedulesController",
    "TheSchedules",
    "no_such",
]

TheSchedules = NamedDependency[SkipValidation[Schedules]]

CHANGE = OPERATOR | EVERY_SITE

Title = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^\S(.*\S)?$")]


class ScheduleItem(Struct, frozen=True, kw_only=True):
    """Say when people are to be there, by the clocks of their site."""

    id: int
    name: str
    start: str
    """Time of day, such as ``08:00``."""
    end: str
    """Time of day; on the next day where it is not after ``start``."""
    grace_min: int
    """Minutes that a person may be late, or leave early, without a mark."""
    break_min: int
    """Minutes of a shift that are no work."""
    days: list[int]
    """Days of the week, from Monday, 1, to Sunday, 7."""
    half_days: list[int]
    """Those of ``days`` on which work ends at ``half_end``, without a break."""
    half_end: str | None
    """Time of day at which work ends on ``half_days`` and on half holidays."""
    on_holidays: bool
    """Whether people work on holidays as on other days."""
    assignments: int
    """How many there are of it."""
    version: str
    """A change with it as ``If-Match`` is refused where another one came first."""


class NewSchedule(Struct, frozen=True, kw_only=True):
    """``start`` and ``end`` are times of day, ``days`` are counted from Monday, 1."""

    name: Title
    start: str
    end: str
    grace_min: int = 0
    break_min: int = 0
    days: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 5])
    half_days: list[int] = []
    half_end: str | None = None
    on_holidays: bool = False


class ScheduleChange(Struct, frozen=True, kw_only=True):
    """Change some fields; what is left out stays. An empty ``half_end`` removes it."""

    name: Title | None = None
    start: str | None = None
    end: str | None = None
    grace_min: int | None = None
    break_min: int | None = None
    days: list[int] | None = None
    half_days: list[int] | None = None
    half_end: str | None = None
    on_holidays: bool | None = None


class HolidayItem(Struct, frozen=True):
    """Name a day on which a site does not work, or half of it."""

    id: int
    day: date
    name: str
    site_id: int | None
    """``null``: every site."""
    half: bool
    """Work ends at ``half_end`` of the schedule."""


class NewHoliday(Struct, frozen=True, kw_only=True):
    """``day`` such as 2024-05-01; without a ``site_id`` at every site."""

    day: str
    name: Title
    site_id: Annotated[int, Meta(ge=1, le=MAX_ID)] | None = None
    half: bool = False


def schedule_item(row: ScheduleRow) -> ScheduleItem:
    """Shape a schedule for a reply."""
    one = row.schedule
    return ScheduleItem(
        id=row.id,
        name=one.name,
        start=time_of_day(one.start_min),
        end=time_of_day(one.end_min),
        grace_min=one.grace_min,
        break_min=one.break_min,
        days=sorted(one.days),
        half_days=sorted(one.half_days),
        half_end=None if one.half_end_min is None else time_of_day(one.half_end_min),
        on_holidays=one.on_holidays,
        assignments=row.assignments,
        version=row.version,
    )


def _holiday_item(row: HolidayRow) -> HolidayItem:
    return HolidayItem(row.id, row.day, row.name, row.site_id, row.is_half)


def schedule_from(data: NewSchedule) -> Schedule:
    """Return the schedule that a request describes. Raises ``ValueError`` that names the field."""
    return Schedule(
        name=data.name,
        start_min=_minutes("start", data.start),
        end_min=_minutes("end", data.end),
        grace_min=data.grace_min,
        break_min=data.break_min,
        days=frozenset(data.days),
        half_days=frozenset(data.half_days),
        half_end_min=None if not data.half_end else _minutes("half_end", data.half_end),
        on_holidays=data.on_holidays,
    )


def _minutes(name: str, value: str) -> int:
    try:
        return minutes_of(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def add_holiday(schedules: Schedules, store: UserStore, data: NewHoliday) -> HolidayRow:
    """Store a holiday. Raises 400 and 409."""
    day = read(lambda: parse_day(data.day))
    if not 1 <= len(data.name) <= MAX_NAME:
        raise ClientException(f"name: use 1 to {MAX_NAME} characters")
    if data.site_id is not None and site_of(store, data.site_id) is None:
        raise ClientException(f"site_id: there is no site {data.site_id}; see /api/v1/sites")
    return read(lambda: schedules.add_holiday(day, data.name, site_id=data.site_id, is_half=data.half))


def no_such(what: str) -> NotFoundException:
    """Return the error for what there is not."""
    return NotFoundException(f"there is no such {what}")


class SchedulesController(Controller):
    path = "/api/v1/schedules"
    tags = ("schedules",)

    @get(opt=VIEWER, sync_to_thread=True, summary="List schedules, by name")
    def list_schedules(
        self, schedules: TheSchedules, cursor: FromQuery[str | None] = None
    ) -> Listing[ScheduleItem]:
        page = read(
            lambda: paged(
                schedules.schedules(),
                lambda row: weight(row.schedule.name, row=512),
                order="schedules",
                place=lambda row: (row.schedule.name, row.id),
                cursor=cursor,
            )
        )
        return Listing([schedule_item(row) for row in page.items], page.next_cursor)

    @get("/{schedule_id:int}", opt=VIEWER, sync_to_thread=True, summary="Show a schedule")
    def show_schedule(self, schedule_id: FromPath[int], schedules: TheSchedules) -> Response[ScheduleItem]:
        row = read(lambda: schedules.one(min(schedule_id, MAX_ID)))
        if row is None:
            raise no_such("schedule")
        return tagged(schedule_item(row), row.version)

    @post(opt=CHANGE, sync_to_thread=True, summary="Make a schedule")
    def create_schedule(
        self, request: AnyRequest, data: JSONBody[NewSchedule], schedules: TheSchedules, access: TheAccess
    ) -> Response[ScheduleItem]:
        row = read(lambda: schedules.create(schedule_from(data), now_ms=access.doors.now_ms()))
        item = schedule_item(row)
        access.note(request, "schedule.created", str(row.id), **told_schedule(item))
        return tagged(item, row.version)

    @patch(
        "/{schedule_id:int}",
        opt=CHANGE,
        sync_to_thread=True,
        summary="Change a schedule",
        raises=[ChangedByAnother],
    )
    def change_schedule(
        self,
        request: AnyRequest,
        schedule_id: FromPath[int],
        data: JSONBody[ScheduleChange],
        schedules: TheSchedules,
        access: TheAccess,
        if_match: IfMatch = None,
    ) -> Response[ScheduleItem]:
        """Change it for days that are past, too. For other hours from a day on, make and assign another schedule."""
        wanted = wanted_versions(if_match)
        row = read(lambda: schedules.one(min(schedule_id, MAX_ID)))
        if row is None:
            raise no_such("schedule")
        before = schedule_item(row)
        given = {name: getattr(data, name) for name in data.__struct_fields__}
        values = {
            name: getattr(before, name) if given[name] is None else given[name]
            for name in NewSchedule.__struct_fields__
        }
        changed = NewSchedule(**values)
        # What is left out stays as it was read: so nothing may come between.
        item = change_schedule(
            request, access, schedules, row.id, changed, [row.version] if wanted is None else wanted
        )
        return tagged(item, item.version)

    @delete("/{schedule_id:int}", opt=CHANGE, sync_to_thread=True, summary="Delete a schedule")
    def delete_schedule(
        self, request: AnyRequest, schedule_id: FromPath[int], schedules: TheSchedules, access: TheAccess
    ) -> None:
        """Its assignments are deleted first."""
        row = read(lambda: schedules.delete(schedule_id))
        if row is None:
            raise no_such("schedule")
        access.note(request, "schedule.deleted", str(row.id), name=row.schedule.name)


def change_schedule(
    request: AnyRequest,
    access: Access,
    schedules: Schedules,
    schedule_id: int,
    data: NewSchedule,
    versions: Versions,
) -> ScheduleItem:
    """Put a schedule in the place of one, with a line in the audit log. Raises 400, 404, 409 and 412."""
    with naming_who(access, ["schedule.changed"], str(schedule_id)):
        changed = read(lambda: schedules.change(schedule_id, schedule_from(data), versions=versions))
    if changed is None:
        raise no_such("schedule")
    before, item = (schedule_item(row) for row in changed)
    access.note(request, "schedule.changed", str(schedule_id), **told_change(before, item))
    return item


def told_schedule(item: ScheduleItem) -> dict[str, object]:
    """Return what the audit log says of a schedule."""
    names = ("name", "start", "end", "grace_min", "break_min", "half_end", "on_holidays")
    told = {name: getattr(item, name) for name in names}
    return told | {
        "weekdays": " ".join(map(str, item.days)),
        "half_days": " ".join(map(str, item.half_days)),
    }


def told_change(before: ScheduleItem, item: ScheduleItem) -> dict[str, object]:
    """Return what the audit log says of a change: what the schedule is, and what it was."""
    told, old = told_schedule(item), told_schedule(before)
    return told | {f"was_{name}": value for name, value in old.items() if value != told[name]}


class HolidaysController(Controller):
    path = "/api/v1/holidays"
    tags = ("schedules",)

    @get(opt=VIEWER, sync_to_thread=True, summary="List holidays, by day")
    def list_holidays(
        self, schedules: TheSchedules, store: TheStore, cursor: FromQuery[str | None] = None
    ) -> Listing[HolidayItem]:
        page = read(
            lambda: paged(
                schedules.holidays(store.visible),
                lambda row: weight(row.name, row=256),
                order="holidays",
                place=lambda row: (row.day.isoformat(), row.id),
                cursor=cursor,
            )
        )
        return Listing([_holiday_item(row) for row in page.items], page.next_cursor)

    @post(opt=CHANGE, sync_to_thread=True, summary="Add a holiday")
    def add_holiday(
        self,
        request: AnyRequest,
        data: JSONBody[NewHoliday],
        schedules: TheSchedules,
        store: TheStore,
        access: TheAccess,
    ) -> HolidayItem:
        row = add_holiday(schedules, store, data)
        access.note(request, "holiday.added", str(row.id), **told_holiday(row))
        return _holiday_item(row)

    @delete("/{holiday_id:int}", opt=CHANGE, sync_to_thread=True, summary="Delete a holiday")
    def delete_holiday(
        self, request: AnyRequest, holiday_id: FromPath[int], schedules: TheSchedules, access: TheAccess
    ) -> None:
        row = read(lambda: schedules.delete_holiday(holiday_id))
        if row is None:
            raise no_such("holiday")
        access.note(request, "holiday.deleted", str(row.id), **told_holiday(row))


def told_holiday(row: HolidayRow) -> dict[str, object]:
    """Return what the audit log says of a holiday."""
    return {"day": row.day.isoformat(), "name": row.name, "site_id": row.site_id, "half": row.is_half}
