"""Attendance: when each person came and went, shift by shift, and what that is like by their schedule.

Rules: those of people.py, shifts.py, schedules.py and corrections.py. Whether a shift is an employee's, a visitor's or
a blacklisted person's depends on the type with which the person was last seen in it.

Flow of a page: the people who fit → their shifts (attended.py), of some days more where anything is planned → marks and
absences → those that begin on one of the days and are of the kind.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from gatepost.store.attendance.attended import ZONES_MS, Attended, shifts_of_days
from gatepost.store.attendance.corrections import Correction, active, of_person
from gatepost.store.attendance.plans import MORE_DAYS, Plans
from gatepost.store.attendance.schedules import Mark, Planned, judge
from gatepost.store.conversion.values import ms
from gatepost.store.cursor import encode_cursor
from gatepost.store.interface import ForUser, Page, Visible
from gatepost.store.local_days import Days, days_between
from gatepost.store.page_bytes import fitting, weight
from gatepost.store.people.groups import Group, group_key, listed_groups
from gatepost.store.people.people import people_page, place_of
from gatepost.store.people.person import Kind, PeopleQuery, Person, Rules, kind_of
from gatepost.store.people.shifts import Shift

__all__ = ["MAX_CELLS", "PersonAttendance", "GroupAttendance", "GroupDay", "Attendance", "attended"]

MAX_CELLS = 50_000
"""People times days of one answer: a month of 1,000, or a year of 100."""

_SHIFT_BYTES = 480
"""Bytes of a shift in a reply, at most, without its texts."""

_DAY_BYTES = 160
"""The same of a group's day."""


class PersonAttendance(Struct, frozen=True):
    """A person, and their shifts."""

    person: Person
    shifts: tuple[Attended, ...]
    absences: tuple[Planned, ...] = ()
    """Planned shifts without any passage."""
    corrections: tuple[Correction, ...] = ()
    """Passages of these days that were added or struck, by time."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return how they were called in these shifts, each name once; their latest name where there are none."""
        return tuple(dict.fromkeys(shift.name for shift in self.shifts if shift.name)) or (self.person.name,)

    @property
    def size(self) -> int:
        """Return what it counts with on a page: see page_bytes.py."""
        size = self.person.size + sum(
            weight(
                shift.name,
                shift.site,
                "" if shift.planned is None else shift.planned.schedule,
                row=_SHIFT_BYTES,
            )
            for shift in self.shifts
        )
        size += sum(weight(absence.schedule, row=_SHIFT_BYTES) for absence in self.absences)
        return size + sum(correction.size for correction in self.corrections)


class GroupDay(Struct, frozen=True):
    """How many of a group began a shift on a day."""

    day: date
    present: int
    first_in: datetime
    last_out: datetime | None


class GroupAttendance(Struct, frozen=True):
    """A group, and the days on which anybody of it began a shift."""

    group: Group
    people: int
    """Who are in it, whether they were there or not."""
    days: tuple[GroupDay, ...]

    @property
    def size(self) -> int:
        """Return what it counts with on a page: see page_bytes.py."""
        return self.group.size + _DAY_BYTES * len(self.days)


class Attendance:
    """Find who was present when, on either database. Every method blocks; any thread may call it."""

    def __init__(self, store: ForUser, rules: Rules, now_ms: int | None = None) -> None:
        """``now_ms`` is the present, as planned shifts that are not over have no marks; ``None``: all are over."""
        self._store = store
        self.rules = rules
        self._now_ms = now_ms

    def page(self, query: PeopleQuery, first: date, last: date) -> Page[PersonAttendance]:
        """Return the people who fit, each with the shifts that began from ``first`` to ``last``, both included.

        A query of a kind returns the shifts of that kind, and one of a site those that began there. People who are no
        longer of the kind and have no such shift are left out, so that a page may have fewer people than its limit.
        It ends early, too, where it would have more bytes than a page has.

        Raises ``ValueError`` for days in the wrong order, or more than :data:`MAX_CELLS` at once, and
        :class:`~gatepost.store.cursor.BadCursor`.
        """
        count = days_between(first, last)
        if count * query.limit > MAX_CELLS:
            raise ValueError(
                f"{query.limit} people on {count} days are too much at once;"
                f" ask for at most {MAX_CELLS // count} people, or for fewer days"
            )
        with self._store.reading() as db:
            people = people_page(db, query, self.rules, self._store.visible)
            found = attended(db, people.items, first, last, self.rules, self._store.visible, self._now_ms)
        items = [
            replace(
                item,
                shifts=tuple(shift for shift in item.shifts if _is_asked(shift, query)),
                absences=item.absences if _is_expected(item.person, query) else (),
            )
            for item in found
        ]
        on_page = items[: fitting([item.size for item in items])]
        cursor = people.next_cursor
        if len(on_page) < len(items):
            cursor = encode_cursor("people", *place_of(on_page[-1].person))
        shown = [item for item in on_page if item.shifts or _is_of(item.person.type, query.kind)]
        return Page(tuple(shown), cursor)

    def shifts(self, person: Person, first: date, last: date) -> tuple[Attended, ...]:
        """Return the shifts of one person, by the time at which they began."""
        return self.of(person, first, last).shifts

    def of(self, person: Person, first: date, last: date) -> PersonAttendance:
        """Return the shifts of one person with absences and corrections."""
        days_between(first, last)
        with self._store.reading() as db:
            return attended(db, [person], first, last, self.rules, self._store.visible, self._now_ms)[0]

    def groups(
        self, first: date, last: date, *, site_id: int | None = None, kind: Kind = "all"
    ) -> list[GroupAttendance]:
        """Return every group by its name, with how many of it were there on each day."""
        limit = min(1000, MAX_CELLS // days_between(first, last))
        query = PeopleQuery(site_id=site_id, kind=kind, limit=limit)
        with self._store.reading() as db:
            listed = listed_groups(db, self._store.visible, site_id=site_id)
        members: dict[str, _Members] = {}
        while True:
            page = self.page(query, first, last)
            for item in page.items:
                # Each person once, also where two of their groups are one.
                for key, group in {group_key(group): group for group in item.person.groups}.items():
                    named = Group(str(group.get("name") or ""), (str(group.get("id")),))
                    members.setdefault(key, _Members(listed.get(key, named))).add(item.shifts)
            if page.next_cursor is None:
                break
            query = replace(query, cursor=page.next_cursor)
        found = sorted(members.values(), key=lambda each: (each.group.name, each.group.ids))
        return [GroupAttendance(each.group, each.people, each.days()) for each in found]


@lru_cache(1000)
def _is_of(user_type: int | None, kind: Kind) -> bool:
    return kind in ("all", kind_of(user_type))


def _is_expected(person: Person, query: PeopleQuery) -> bool:
    """Return whether a person's absences are among what was asked for."""
    return query.site_id in (None, person.site_id) and _is_of(person.type, query.kind)


def _is_asked(shift: Attended, query: PeopleQuery) -> bool:
    return (query.site_id is None or query.site_id == shift.site_id) and _is_of(shift.type, query.kind)


class _Members:
    """A group while it is counted."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.people = 0
        self._days: dict[date, tuple[int, datetime, datetime | None]] = {}

    def add(self, shifts: Iterable[Attended]) -> None:
        """Count one more person."""
        self.people += 1
        for day, of_day in groupby(shifts, key=lambda shift: shift.day):
            seen = list(of_day)
            present, first, last = self._days.get(day, (0, seen[0].first_in, None))
            outs = [out for out in (last, *(shift.last_out for shift in seen)) if out is not None]
            self._days[day] = (present + 1, min(first, seen[0].first_in), max(outs, default=None))

    def days(self) -> tuple[GroupDay, ...]:
        """Return the days on which anybody was there."""
        return tuple(GroupDay(day, *counted) for day, counted in sorted(self._days.items()))


def attended(
    db: Connection,
    people: Sequence[Person],
    first: date,
    last: date,
    rules: Rules,
    visible: Visible,
    now_ms: int | None,
) -> list[PersonAttendance]:
    """Return the shifts of each person that began on these days, by the clocks of where they began."""
    plans = Plans.read(db, first, last)
    more = MORE_DAYS if plans.has_assignments else 0
    found = shifts_of_days(db, people, first, last, rules, visible, more=more)
    days = Days.of(first, last, "UTC")
    corrections = active(db, days.begin_ms - ZONES_MS, days.end_ms + ZONES_MS)
    return [
        _judged(
            PersonAttendance(person, tuple(attended for attended, _ in pairs)),
            [shift for _, shift in pairs],
            plans,
            of_person(person, corrections),
            (first, last),
            now_ms,
        )
        for person, pairs in zip(people, found, strict=True)
    ]


def _judged(
    item: PersonAttendance,
    shifts: Sequence[Shift],
    plans: Plans,
    corrections: Sequence[Correction],
    days: tuple[date, date],
    now_ms: int | None,
) -> PersonAttendance:
    """Return the same with marks and absences, of these days alone."""
    person, (first, last) = item.person, days
    off, plan = plans.off(person.site_id), plans.of(person, first, last)
    if not (plan or off or corrections or plans.has_assignments):
        return item
    whole = {day for day, much in off.items() if much == "whole"}
    came = [(one.day, shift) for one, shift in zip(item.shifts, shifts, strict=True)]
    judgement = judge(came, plan, holidays=whole, now_ms=now_ms)
    marked = [
        replace(attended, planned=one, judged=_with_corrections(attended, shift, marks, corrections))
        for attended, shift, one, marks in zip(
            item.shifts, shifts, judgement.planned, judgement.marks, strict=True
        )
        if first <= attended.day <= last
    ]
    return PersonAttendance(
        person,
        tuple(marked),
        tuple(one for one in judgement.absent if first <= one.day <= last),
        tuple(one for one in corrections if first <= one.day(person.timezone) <= last),
    )


def _with_corrections(
    attended: Attended, shift: Shift, marks: tuple[Mark, ...], corrections: Sequence[Correction]
) -> tuple[Mark, ...]:
    """Return the marks of a shift, ``corrected`` if a passage in it, or of its day, was added or struck."""
    for one in corrections:
        if shift.first_ms <= ms(one.at) <= shift.end_ms or one.day(attended.timezone) == attended.day:
            return (*marks, "corrected")
    return marks
