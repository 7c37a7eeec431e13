"""``/api/v1/assignments``: whose schedule is which, from which day on."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.exceptions import ClientException
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from gatepost.receiver.api.access.authorization import VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.people.people import person_meant
from gatepost.receiver.api.people.schedules import CHANGE, TheSchedules, no_such
from gatepost.receiver.api.shapes import MAX_ID, Listing, TheMeaning, TheStore, read, word
from gatepost.receiver.people_rules import Meaning
from gatepost.store.attendance.stored_schedules import AssignmentRow, Schedules, place_of
from gatepost.store.local_days import parse_day
from gatepost.store.page_bytes import paged, weight

__all__ = ["AssignmentsController", "NewAssignment", "assign", "assignment_items", "told_assignment"]


class AssignmentItem(Struct, frozen=True, kw_only=True):
    """Say whose schedule is which from a day on, until a later assignment."""

    id: int
    schedule_id: int | None
    schedule: str | None
    """``null``: from that day on there is none."""
    group: str | None
    """Name of a group, or ``#`` and its id; ``null``: it is a person's."""
    person_id: str | None
    user_id: str | None
    name: str | None
    since: date
    made_by: str
    created_at: datetime


MAX_GROUP = 256
"""The longest name of a group, in characters."""


class NewAssignment(Struct, frozen=True, kw_only=True):
    """To a ``group`` or to a person; ``schedule_id`` null means no schedule from ``since`` on."""

    schedule_id: Annotated[int, Meta(ge=1, le=MAX_ID)] | None
    since: str
    group: Annotated[str, Meta(min_length=1, max_length=MAX_GROUP)] | None = None
    person_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


def assignment_items(meaning: Meaning, rows: list[AssignmentRow]) -> list[AssignmentItem]:
    """Shape assignments for a reply."""
    ids = meaning.people.ids((row.identity_id, 0) for row in rows if row.identity_id is not None)
    return [
        AssignmentItem(
            id=row.id,
            schedule_id=row.schedule_id,
            schedule=row.schedule,
            group=row.group,
            person_id=None if row.identity_id is None else ids[row.identity_id, 0],
            user_id=row.user_id,
            name=row.person,
            since=row.since,
            made_by=row.made_by,
            created_at=row.created_at,
        )
        for row in rows
    ]


def assign(
    schedules: Schedules, meaning: Meaning, data: NewAssignment, *, by: str, now_ms: int
) -> AssignmentRow:
    """Store an assignment. Raises 400 and 409."""
    since = read(lambda: parse_day(data.since))
    if (data.group is None) == (data.person_id is None):
        raise ClientException("give a group or a person_id, and not both")
    identities: tuple[int, ...] = ()
    if data.person_id is not None:
        identities = person_meant(meaning, data.person_id).identities
    group = word("group", data.group)
    if group is not None and len(group) > MAX_GROUP:
        raise ClientException(f"group: use 1 to {MAX_GROUP} characters")
    return read(
        lambda: schedules.assign(
            data.schedule_id, since, group=group, identities=identities, by=by, now_ms=now_ms
        )
    )


class AssignmentsController(Controller):
    path = "/api/v1/assignments"
    tags = ("schedules",)

    @get(opt=VIEWER, sync_to_thread=True, summary="List whose schedule is which from which day on")
    def list_assignments(
        self,
        schedules: TheSchedules,
        store: TheStore,
        meaning: TheMeaning,
        cursor: FromQuery[str | None] = None,
    ) -> Listing[AssignmentItem]:
        page = read(
            lambda: paged(
                schedules.assignments(store.visible),
                lambda row: weight(row.group, row.person, row.user_id, row.schedule, row.made_by, row=512),
                order="assignments",
                place=place_of,
                cursor=cursor,
            )
        )
        return Listing(assignment_items(meaning, list(page.items)), page.next_cursor)

    @post(opt=CHANGE, sync_to_thread=True, summary="Assign a schedule to a group or a person from a day on")
    def create_assignment(
        self,
        request: AnyRequest,
        data: JSONBody[NewAssignment],
        schedules: TheSchedules,
        meaning: TheMeaning,
        access: TheAccess,
    ) -> AssignmentItem:
        """Let it count from that day on: that of a person before those of their groups, and the latest one."""
        row = assign(schedules, meaning, data, by=request.user.name, now_ms=access.doors.now_ms())
        (item,) = assignment_items(meaning, [row])
        access.note(request, "assignment.created", str(row.id), **told_assignment(item))
        return item

    @delete("/{assignment_id:int}", opt=CHANGE, sync_to_thread=True, summary="Delete an assignment")
    def delete_assignment(
        self,
        request: AnyRequest,
        assignment_id: FromPath[int],
        schedules: TheSchedules,
        meaning: TheMeaning,
        access: TheAccess,
    ) -> None:
        row = read(lambda: schedules.unassign(assignment_id))
        if row is None:
            raise no_such("assignment")
        (item,) = assignment_items(meaning, [row])
        access.note(request, "assignment.deleted", str(row.id), **told_assignment(item))


def told_assignment(item: AssignmentItem) -> dict[str, object]:
    """Return what the audit log says of an assignment: a person by their id, not by name."""
    return {
        "schedule": item.schedule or "",
        "group": item.group or "",
        "person": item.person_id or "",
        "since": item.since.isoformat(),
    }
