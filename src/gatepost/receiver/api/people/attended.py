"""Shape shifts, absences and corrections for replies."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from msgspec import Struct

from gatepost.store.attendance.attendance import PersonAttendance
from gatepost.store.attendance.attended import Attended
from gatepost.store.attendance.corrections import Correction
from gatepost.store.attendance.schedules import Mark, Planned
from gatepost.store.conversion.values import moment
from gatepost.store.people.person import Person

__all__ = [
    "AttendedItem",
    "CorrectionItem",
    "absence_item",
    "attended_item",
    "correction_item",
    "days_of",
]


class AttendedItem(Struct, frozen=True, kw_only=True, gc=False):
    """Hold a shift of a person: passages that belong together; or an absence, which has none."""

    day: date
    """On which it began, by the clocks of the site where it began."""
    first_in: datetime | None
    """``null`` for an absence."""
    last_out: datetime | None
    """``null`` where there is one passage only: it is unknown when the person left."""
    hours: float | None
    """Between the two."""
    worked_hours: float | None
    """The same without the break of the schedule."""
    passages: int
    name: str
    """As the person was called then."""
    type: int | None
    """``UserType``, as it was then: 1 employee, 2 visitor, 5 blacklist."""
    site_id: int
    """The site where it began."""
    site: str
    timezone: str
    """The site's, whose clocks tell the ``day``."""
    schedule: str | None
    """Name of the schedule that planned it."""
    planned_from: datetime | None
    planned_until: datetime | None
    marks: list[Mark]
    """``no_out``: there is one passage only, so ``last_out`` and ``hours`` are unknown. ``late``, ``early``: by more
    than the grace of the schedule. ``missing``: the schedule asks for two passages, and there is one. ``absent``:
    planned, and no passage. ``holiday``: it began on a holiday. ``corrected``: see ``corrections``."""


class CorrectionItem(Struct, frozen=True, kw_only=True):
    """Hold a passage that was added or struck by hand. Records stay as they are."""

    id: int
    person_id: str
    user_id: str
    name: str
    kind: Literal["added", "struck"]
    at: datetime
    """When the passage was."""
    record_id: int | None
    """The record of a struck passage."""
    terminal_id: int | None
    timezone: str
    note: str
    made_by: str
    made_at: datetime
    withdrawn_by: str | None
    withdrawn_at: datetime | None
    """``null`` while it counts."""


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / 3600, 2)


def attended_item(attended: Attended) -> AttendedItem:
    """Shape a shift for a reply."""
    planned = attended.planned
    return AttendedItem(
        day=attended.day,
        first_in=attended.first_in,
        last_out=attended.last_out,
        hours=_hours(attended.seconds),
        worked_hours=_hours(attended.worked_seconds),
        passages=attended.passages,
        name=attended.name,
        type=attended.type,
        site_id=attended.site_id,
        site=attended.site,
        timezone=attended.timezone,
        schedule=None if planned is None else planned.schedule,
        planned_from=None if planned is None else moment(planned.begin_ms),
        planned_until=None if planned is None else moment(planned.end_ms),
        marks=list(attended.marks),
    )


def absence_item(person: Person, planned: Planned) -> AttendedItem:
    """Shape an absence for a reply."""
    return AttendedItem(
        day=planned.day,
        first_in=None,
        last_out=None,
        hours=None,
        worked_hours=None,
        passages=0,
        name=person.name,
        type=person.type,
        site_id=person.site_id,
        site=person.site,
        timezone=person.timezone,
        schedule=planned.schedule,
        planned_from=moment(planned.begin_ms),
        planned_until=moment(planned.end_ms),
        marks=["absent"],
    )


def days_of(item: PersonAttendance) -> list[AttendedItem]:
    """Shape the shifts and absences of a person for a reply, by day."""
    shifts = [attended_item(shift) for shift in item.shifts]
    absences = [absence_item(item.person, planned) for planned in item.absences]
    return sorted([*shifts, *absences], key=lambda one: one.day)


def correction_item(correction: Correction, person_id: str) -> CorrectionItem:
    """Shape a correction for a reply."""
    return CorrectionItem(
        id=correction.id,
        person_id=person_id,
        user_id=correction.user_id,
        name=correction.name,
        kind=correction.kind,
        at=correction.at,
        record_id=correction.record_id,
        terminal_id=correction.terminal_id,
        timezone=correction.timezone,
        note=correction.note,
        made_by=correction.made_by,
        made_at=correction.made_at,
        withdrawn_by=correction.withdrawn_by,
        withdrawn_at=correction.withdrawn_at,
    )
