"""``/schedules``: when people are to be there, holidays, and whose schedule is which."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from litestar import Controller, get, post
from litestar.exceptions import ClientException
from litestar.params import FromPath, RawBody

from gatepost.console.desk import Desk, Html, TheDesk
from gatepost.console.input.forms import Form
from gatepost.items import StaffImportItem
from gatepost.receiver.api.access.authorization import VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.people.assignments import NewAssignment, assign, assignment_items, told_assignment
from gatepost.receiver.api.people.schedules import (
    CHANGE,
    NewHoliday,
    NewSchedule,
    TheSchedules,
    add_holiday,
    change_schedule,
    no_such,
    schedule_from,
    schedule_item,
    told_holiday,
    told_schedule,
)
from gatepost.receiver.api.people.staff import StaffFile, TheStaff, load
from gatepost.receiver.api.shapes import MAX_ID, TheMeaning, TheStore, answering, read
from gatepost.receiver.people_rules import Meaning
from gatepost.store.attendance.stored_schedules import Schedules

__all__ = ["SchedulePages"]

SHOWN = 300
"""Rows of each list on the page; the API lists all of them."""

MONDAY = date(2024, 1, 1)


class SchedulePages(Controller):
    """``/schedules``."""

    path = "/schedules"
    opt = VIEWER

    @get(sync_to_thread=True)
    def show_schedules(
        self, request: AnyRequest, desk: TheDesk, schedules: TheSchedules, meaning: TheMeaning
    ) -> Html:
        return _page(desk, request, schedules, meaning)

    @post(opt=CHANGE, sync_to_thread=True)
    def make_schedule(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        schedules: TheSchedules,
        meaning: TheMeaning,
    ) -> Html:
        def make() -> None:
            row = schedules.create(schedule_from(_schedule(Form(body))), now_ms=access.doors.now_ms())
            access.note(request, "schedule.created", str(row.id), **told_schedule(schedule_item(row)))

        return _done(desk, request, make)

    @post("/{schedule_id:int}", opt=CHANGE, sync_to_thread=True)
    def change_schedule(
        self,
        request: AnyRequest,
        schedule_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        schedules: TheSchedules,
        meaning: TheMeaning,
    ) -> Html:
        def change() -> None:
            form, which = Form(body), min(schedule_id, MAX_ID)
            change_schedule(request, access, schedules, which, _schedule(form), form.versions)

        return _done(desk, request, change)

    @post("/{schedule_id:int}/delete", opt=CHANGE, sync_to_thread=True)
    def delete_schedule(
        self,
        request: AnyRequest,
        schedule_id: FromPath[int],
        desk: TheDesk,
        access: TheAccess,
        schedules: TheSchedules,
        meaning: TheMeaning,
    ) -> Html:
        def remove() -> None:
            row = schedules.delete(min(schedule_id, MAX_ID))
            if row is None:
                raise no_such("schedule")
            access.note(request, "schedule.deleted", str(row.id), name=row.schedule.name)

        return _done(desk, request, remove, "deleted")

    @post("/holidays", opt=CHANGE, sync_to_thread=True)
    def make_holiday(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        schedules: TheSchedules,
        meaning: TheMeaning,
        store: TheStore,
    ) -> Html:
        def make() -> None:
            form = Form(body)
            site = form.numbers("site")
            data = NewHoliday(
                day=form("day"),
                name=form("name"),
                site_id=site[0] if site else None,
                half=form.ticked("half"),
            )
            row = add_holiday(schedules, store, data)
            access.note(request, "holiday.added", str(row.id), **told_holiday(row))

        return _done(desk, request, make)

    @post("/holidays/{holiday_id:int}/delete", opt=CHANGE, sync_to_thread=True)
    def delete_holiday(
        self,
        request: AnyRequest,
        holiday_id: FromPath[int],
        desk: TheDesk,
        access: TheAccess,
        schedules: TheSchedules,
        meaning: TheMeaning,
    ) -> Html:
        def remove() -> None:
            row = schedules.delete_holiday(min(holiday_id, MAX_ID))
            if row is None:
                raise no_such("holiday")
            access.note(request, "holiday.deleted", str(row.id), **told_holiday(row))

        return _done(desk, request, remove, "deleted")

    @post("/assignments", opt=CHANGE, sync_to_thread=True)
    def make_assignment(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        schedules: TheSchedules,
        meaning: TheMeaning,
    ) -> Html:
        def make() -> None:
            form = Form(body)
            schedule = form.numbers("schedule")
            data = NewAssignment(
                schedule_id=schedule[0] if schedule else None,
                since=form("since"),
                group=form("group") or None,
                person_id=form("person") or None,
            )
            row = assign(schedules, meaning, data, by=request.user.name, now_ms=access.doors.now_ms())
            (item,) = assignment_items(meaning, [row])
            access.note(request, "assignment.created", str(row.id), **told_assignment(item))

        return _done(desk, request, make)

    @post("/assignments/{assignment_id:int}/delete", opt=CHANGE, sync_to_thread=True)
    def delete_assignment(
        self,
        request: AnyRequest,
        assignment_id: FromPath[int],
        desk: TheDesk,
        access: TheAccess,
        schedules: TheSchedules,
        meaning: TheMeaning,
    ) -> Html:
        def remove() -> None:
            row = schedules.unassign(min(assignment_id, MAX_ID))
            if row is None:
                raise no_such("assignment")
            (item,) = assignment_items(meaning, [row])
            access.note(request, "assignment.deleted", str(row.id), **told_assignment(item))

        return _done(desk, request, remove, "deleted")

    @post("/staff", opt=CHANGE, sync_to_thread=True)
    def import_staff(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        schedules: TheSchedules,
        meaning: TheMeaning,
        staff: TheStaff,
        store: TheStore,
    ) -> Html:
        """Check pasted rows, or store them, and show what that does; the rows stay in the form."""
        form = Form(body)
        site = form.numbers("site")
        data = StaffFile(
            csv=form.secret("csv"), site_id=site[0] if site else None, check=not form.ticked("store")
        )
        try:
            found = load(request, access, staff, store, data)
        except ClientException as error:
            return _page(desk, request, schedules, meaning, problem=error.detail, csv=data.csv)
        return _page(desk, request, schedules, meaning, found=found, csv=data.csv)


def _done(
    desk: Desk,
    request: AnyRequest,
    do: Callable[[], None],
    done: str = "saved",
) -> Html:
    """Do what a form asks."""
    with answering():
        do()
    return desk.view(request).go("/schedules", done=done)


def _schedule(form: Form) -> NewSchedule:
    return NewSchedule(
        name=form("name"),
        start=form("start"),
        end=form("end"),
        grace_min=_number("grace_min", form("grace_min")),
        break_min=_number("break_min", form("break_min")),
        days=form.numbers("days"),
        half_days=form.numbers("half_days"),
        half_end=form("half_end") or None,
        on_holidays=form.ticked("on_holidays"),
    )


def _number(name: str, text: str) -> int:
    if not (text or "0").isdecimal() or len(text) > 5:
        raise ValueError(f"{name}: write a number of minutes")
    return int(text or 0)


def _page(
    desk: Desk,
    request: AnyRequest,
    schedules: Schedules,
    meaning: Meaning,
    *,
    problem: str | None = None,
    found: StaffImportItem | None = None,
    csv: str = "",
) -> Html:
    view = desk.view(request)
    visible = view.store.visible
    rows = read(schedules.schedules)
    sites = view.store.sites()
    assignments = assignment_items(meaning, schedules.assignments(visible)[:SHOWN])
    return view.page(
        "schedules.html",
        status=200 if problem is None else 400,
        active="attendance",
        schedules=[schedule_item(row) for row in rows[:SHOWN]],
        holidays=schedules.holidays(visible)[-SHOWN:],
        assignments=assignments,
        schedule_options=[(row.id, row.schedule.name) for row in rows[:SHOWN]],
        group_options=[(group.value, group.value) for group in meaning.people.groups()[:SHOWN]],
        site_options=[(site.id, site.name) for site in sites],
        sites=sites,
        weekdays=[(number + 1, view.show.weekday(MONDAY + timedelta(number))) for number in range(7)],
        today=view.show.today(),
        person=view.query.get("person", ""),
        may_change=view.may("operator", every_site=True),
        problem=problem,
        found=found,
        csv=csv,
    )
