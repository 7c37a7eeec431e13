"""Plans: which schedule is a person's on which day, as assignments and holidays say.

Rules:

* The latest assignment of the person counts, from its day on; before the first one, the latest of their groups.
* The groups are those in which a person was last seen, and the site is where they were.
* An assignment of a group plans nothing before the day on which the person was first seen.
* A holiday of the site goes before one of every site.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, select

from gatepost.store.attendance.schedules import Off, Planned, Schedule, planned
from gatepost.store.attendance.stored_schedules import EVERY_SITE, schedule_of
from gatepost.store.local_days import zone
from gatepost.store.people.groups import group_key
from gatepost.store.people.person import Person
from gatepost.store.schema import tables as t

__all__ = ["MORE_DAYS", "Plans"]

MORE_DAYS = 2
"""Days before and after the requested ones in which a shift may decide what one in them is like."""

_Since = tuple[date, int, Schedule | None]
"""From when on, the id of the assignment, and the schedule."""


class Plans:
    """Hold what is planned around some days, for everyone."""

    def __init__(
        self,
        of_forms: Mapping[int, Sequence[_Since]],
        of_groups: Mapping[str, Sequence[_Since]],
        holidays: Mapping[int, Mapping[date, Off]],
    ) -> None:
        """``of_forms`` are by form of a person's data, ``of_groups`` by key, ``holidays`` by site."""
        self._of_forms = of_forms
        self._of_groups = of_groups
        self._holidays = holidays
        self._at_sites: dict[int, Mapping[date, Off]] = {}
        self._known: dict[tuple[object, ...], list[Planned]] = {}

    @classmethod
    def read(cls, db: Connection, first: date, last: date) -> "Plans":
        """Return what is planned from ``first`` to ``last``, and for the days next to them."""
        a, h = t.assignments.c, t.holidays.c
        schedules = {row.id: schedule_of(row) for row in db.execute(select(t.schedules))}
        of_forms: dict[int, list[_Since]] = {}
        of_groups: dict[str, list[_Since]] = {}
        for row in db.execute(select(t.assignments).order_by(a.since, a.id)):
            one = date.fromisoformat(row.since), row.id, schedules.get(row.schedule_id)
            if row.identity_id is None:
                of_groups.setdefault(row.group_key, []).append(one)
            else:
                of_forms.setdefault(row.identity_id, []).append(one)
        edge = timedelta(MORE_DAYS + 1)
        near = select(t.holidays).where(
            h.day >= (first - edge).isoformat(), h.day <= (last + edge).isoformat()
        )
        holidays: dict[int, dict[date, Off]] = {}
        for row in db.execute(near):
            holidays.setdefault(row.site_id, {})[date.fromisoformat(row.day)] = (
                "half" if row.is_half else "whole"
            )
        return cls(of_forms, of_groups, holidays)

    @property
    def has_assignments(self) -> bool:
        """Return whether anything is planned for anyone."""
        return bool(self._of_forms or self._of_groups)

    def off(self, site_id: int) -> Mapping[date, Off]:
        """Return the holidays at a site."""
        found = self._at_sites.get(site_id)
        if found is None:
            found = {**self._holidays.get(EVERY_SITE, {}), **self._holidays.get(site_id, {})}
            self._at_sites[site_id] = found
        return found

    def of(self, person: Person, first: date, last: date) -> Sequence[Planned]:
        """Return what is planned for a person on these days and those next to them, by day."""
        own = sorted((one for form in person.identities for one in self._of_forms.get(form, ())), key=_order)
        shared = self._shared(person)
        if not own and not shared:
            return ()
        begins = first - timedelta(MORE_DAYS + 1)
        seen = person.first_seen.astimezone(zone(person.timezone)).date()
        # Most people of a group have the same plan.
        key = (*(one[1] for one in own), 0, *(one[1] for one in shared), 0, person.site_id, max(begins, seen))
        found = self._known.get(key)
        if found is None:
            ends = last + timedelta(MORE_DAYS + 1)
            off = self.off(person.site_id)
            found = self._known[key] = _plan(
                own, shared, max(begins, seen), begins, ends, off, person.timezone
            )
        return found

    def _shared(self, person: Person) -> list[_Since]:
        """Return the assignments of a person's groups."""
        if not self._of_groups:
            return []
        keys = {group_key(group) for group in person.groups}
        return sorted((one for key in keys for one in self._of_groups.get(key, ())), key=_order)


def _plan(
    own: Sequence[_Since],
    shared: Sequence[_Since],
    seen: date,
    begins: date,
    ends: date,
    off: Mapping[date, Off],
    timezone: str,
) -> list[Planned]:
    """Return what assignments plan from one day to another; those of groups from ``seen`` on."""
    found = []
    for number in range((ends - begins).days + 1):
        day = begins + timedelta(number)
        mine = _latest(own, day)
        if mine is None and day >= seen:
            mine = _latest(shared, day)
        if mine is None or mine[2] is None:
            continue
        one = planned(mine[2], day, timezone, off.get(day))
        if one is not None:
            found.append(one)
    return found


def _order(one: _Since) -> Any:
    return one[:2]


def _latest(assignments: Sequence[_Since], day: date) -> _Since | None:
    """Return the one that counts on a day, of some in order."""
    return next((one for one in reversed(assignments) if one[0] <= day), None)
