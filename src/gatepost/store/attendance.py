"""Attendance: when each person came first and went last, day by day.

Rules: those of people.py. A day is cut in the time zone of the person's site; a passage counts for the day in which
it happened by the terminal's clock.

Flow of a page: the people who fit → in one statement for each time zone, their passages out of the index of
``records`` by person, cut into days → first, last and count.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    case,
    column,
    func,
    or_,
    select,
    text,
    true,
)

from gatepost.store import schema as t
from gatepost.store.arrivals import moment
from gatepost.store.days import Days, days_between
from gatepost.store.passages import is_passage
from gatepost.store.people import PeopleQuery, Person, Rules, people_page
from gatepost.store.places import held_terminals
from gatepost.store.store import Page, Transactions

__all__ = ["MAX_CELLS", "Attended", "PersonAttendance", "GroupAttendance", "GroupDay", "Attendance"]

MAX_CELLS = 50_000
"""People times days of one answer: a month of 1,000, or a year of 100."""


class Attended(Struct, frozen=True):
    """A day on which somebody was there."""

    day: date
    first_in: datetime
    last_out: datetime
    passages: int
    name: str
    """As they were called when they were last seen on this day."""


class PersonAttendance(Struct, frozen=True):
    """A person, and the days on which they were there."""

    person: Person
    days: tuple[Attended, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return how they were called on these days, each name once; their latest name where there are no days."""
        return tuple(dict.fromkeys(day.name for day in self.days)) or (self.person.name,)


class GroupDay(Struct, frozen=True):
    """How many of a group were there on a day."""

    day: date
    present: int
    first_in: datetime
    last_out: datetime


class GroupAttendance(Struct, frozen=True):
    """A group, and the days on which anybody of it was there."""

    id: str
    name: str
    people: int
    """Who are in it, whether they were there or not."""
    days: tuple[GroupDay, ...]


class Attendance:
    """Who was there when, on either database. Every method blocks; any thread may call it."""

    def __init__(self, store: Transactions, rules: Rules) -> None:
        self._store = store
        self.rules = rules

    def page(self, query: PeopleQuery, first: date, last: date) -> Page[PersonAttendance]:
        """The people who fit, each with their days from ``first`` to ``last``, both included.

        Raises ``ValueError`` for days in the wrong order, or more than :data:`MAX_CELLS` at once, and
        :class:`~gatepost.store.pages.BadCursor`.
        """
        count = days_between(first, last)
        if count * query.limit > MAX_CELLS:
            raise ValueError(
                f"{query.limit} people on {count} days are too much at once;"
                f" ask for at most {MAX_CELLS // count} people, or for fewer days"
            )
        with self._store.reading() as db:
            people = people_page(db, query, self.rules)
            found = self._days(db, people.items, first, last)
        items = zip(people.items, found, strict=True)
        return Page(tuple(PersonAttendance(person, days) for person, days in items), people.next_cursor)

    def days(self, person: Person, first: date, last: date) -> tuple[Attended, ...]:
        """The days of one person, by date."""
        days_between(first, last)
        with self._store.reading() as db:
            return self._days(db, [person], first, last)[0]

    def groups(self, first: date, last: date, *, site_id: int | None = None) -> list[GroupAttendance]:
        """Every group by its name, with how many of it were there on each day."""
        limit = min(1000, MAX_CELLS // days_between(first, last))
        query = PeopleQuery(site_id=site_id, limit=limit)
        members: dict[str, _Members] = {}
        while True:
            page = self.page(query, first, last)
            for item in page.items:
                for group in item.person.groups:
                    key = str(group.get("id"))
                    members.setdefault(key, _Members(str(group.get("name")))).add(item.days)
            if page.next_cursor is None:
                break
            query = PeopleQuery(site_id=site_id, limit=limit, cursor=page.next_cursor)
        named = sorted(members.items(), key=lambda member: (member[1].name, member[0]))
        return [GroupAttendance(key, found.name, found.people, found.days()) for key, found in named]

    def _days(
        self, db: Connection, people: Sequence[Person], first: date, last: date
    ) -> list[tuple[Attended, ...]]:
        found: list[tuple[Attended, ...]] = [()] * len(people)
        held = held_terminals(db)
        for zone in {person.timezone for person in people}:
            days = Days.of(first, last, zone, starts_at_min=self.rules.day_starts_min)
            of_zone = [place for place, person in enumerate(people) if person.timezone == zone]
            for place, attended in _attended(
                db, [(place, people[place]) for place in of_zone], days, rules=self.rules, held=held
            ):
                found[place] = attended
        return found


class _Members:
    """A group while it is counted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.people = 0
        self._days: dict[date, tuple[int, datetime, datetime]] = {}

    def add(self, days: Iterable[Attended]) -> None:
        self.people += 1
        for day in days:
            present, first, last = self._days.get(day.day, (0, day.first_in, day.last_out))
            self._days[day.day] = (present + 1, min(first, day.first_in), max(last, day.last_out))

    def days(self) -> tuple[GroupDay, ...]:
        return tuple(GroupDay(day, *counted) for day, counted in sorted(self._days.items()))


def _attended(
    db: Connection,
    people: Sequence[tuple[int, Person]],
    days: Days,
    *,
    rules: Rules,
    held: Sequence[int],
) -> list[tuple[int, tuple[Attended, ...]]]:
    """Return the days of people, each with their place."""
    rows = db.execute(_statement(people, days, rules, held=held, passage=is_passage(db))).all()
    names = _names(db, {row.identity_id for row in rows})
    found: dict[int, list[Attended]] = {}
    for (place, day), forms in groupby(sorted(rows, key=_place_and_day), key=_place_and_day):
        seen = list(forms)
        passages = sum(row.passages for row in seen)
        if passages:  # else only repeats of one that was the day before
            first = min(row.first_ms for row in seen if row.first_ms is not None)
            last = max(seen, key=lambda row: (row.last_ms, row.identity_id))
            attended = Attended(
                days.day(day), moment(first), moment(last.last_ms), passages, names[last.identity_id]
            )
            found.setdefault(place, []).append(attended)
    return [(place, tuple(attended)) for place, attended in found.items()]


def _place_and_day(row: Any) -> tuple[int, int]:
    return row.place, row.day


def _names(db: Connection, identities: set[int]) -> dict[int, str]:
    """Return how people were called in each form of their data."""
    i, asked = t.identities.c, sorted(identities)
    found: dict[int, str] = {}
    for start in range(0, len(asked), 1000):
        rows = db.execute(select(i.id, i.name).where(i.id.in_(asked[start : start + 1000])))
        found.update({row.id: row.name for row in rows})
    return found


def _members(people: Sequence[tuple[int, Person]]) -> CTE:
    """Who is asked for, as a table: a place, an identity, and a terminal, zero for any.

    Written out, since all of it is whole numbers: a construct of expressions for each takes longer than the question.
    Both databases call the columns of ``VALUES`` so.
    """
    rows = (
        f"({place:d},{identity:d},{person.terminal_id or 0:d})"
        for place, person in people
        for identity in person.identities
    )
    columns = column("column1", Integer), column("column2", BigInteger), column("column3", BigInteger)
    return text("VALUES " + ",".join(rows)).columns(*columns).cte("members")


def _statement(
    people: Sequence[tuple[int, Person]],
    days: Days,
    rules: Rules,
    *,
    held: Sequence[int],
    passage: Sequence[ColumnElement[bool]],
) -> Any:
    r = t.records.c
    members = _members(people)
    m = members.c
    before: ColumnElement[Any] = func.lag(r.at_ms).over(
        partition_by=(m.column1, r.terminal_id), order_by=r.at_ms
    )
    passages = (
        select(m.column1.label("place"), r.identity_id, r.at_ms, before.label("before_ms"))
        .select_from(members.join(t.records, r.identity_id == m.column2))
        .where(r.at_ms >= days.begin_ms - rules.repeat_ms, r.at_ms < days.end_ms, *passage)
    )
    if rules.scope == "terminal":
        passages = passages.where(r.terminal_id == m.column3)
    if held:
        passages = passages.where(r.terminal_id.not_in(held))
    p = passages.subquery("passages").c
    first: ColumnElement[Any] = true()
    if rules.repeat_ms > 0:
        first = or_(p.before_ms.is_(None), p.at_ms - p.before_ms > rules.repeat_ms)
    # A repeat is no passage of its own, and may be the last that was seen of somebody.
    day = days.sql(p.at_ms).label("day")
    return (
        select(
            p.place,
            p.identity_id,
            day,
            func.min(case((first, p.at_ms))).label("first_ms"),
            func.max(p.at_ms).label("last_ms"),
            func.sum(case((first, 1), else_=0)).label("passages"),
        )
        .where(p.at_ms >= days.begin_ms)
        .group_by(p.place, p.identity_id, "day")
    )
