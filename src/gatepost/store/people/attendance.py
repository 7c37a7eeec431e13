"""Attendance: when each person came and went, shift by shift.

Rules: those of people.py and shifts.py. A shift is of the day on which it begins, in the time zone of the site where
it begins. Whether it is an employee's, a visitor's or a blacklisted person's depends on the type with which the
person was last seen in it.

Flow of a page: the people who fit → their passages, in one statement out of the index of ``records`` by person, some
days more on either side → shifts → those that begin on one of the days and are of the kind. For people without a rest
in these days, a longer time is read.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Text, TextClause, cast, func, select, text

from gatepost.store.conversion.rows import DAY_MS, moment
from gatepost.store.cursor import encode_cursor
from gatepost.store.interface import ForUser, Page, Visible
from gatepost.store.local_days import Days, days_between
from gatepost.store.people.groups import Group, group_key, listed_groups
from gatepost.store.people.passage_rule import is_passage
from gatepost.store.people.people import Kind, PeopleQuery, Person, Rules, kind_of, people_page, place_of
from gatepost.store.people.shifts import BLOCK_MS, Seen, Shift, in_order, is_anchored, look_back, shifts
from gatepost.store.query.page_bytes import fitting, weight
from gatepost.store.query.terminal_labels import hidden_terminals
from gatepost.store.schema import tables as t

__all__ = ["MAX_CELLS", "Attended", "Mark", "PersonAttendance", "GroupAttendance", "GroupDay", "Attendance"]

MAX_CELLS = 50_000
"""People times days of one answer: a month of 1,000, or a year of 100."""

_Form = tuple[tuple[str, int | None], tuple[int, str, str]]
"""Of a form of a person's data: name and type; then id, name and time zone of the site."""

_BESIDE_MS = (3 * DAY_MS, 10 * DAY_MS)
"""Time that is read before and after the requested days. The longer one is for people without a rest in the first."""

_ZONES_MS = 26 * DAY_MS // 24
"""Between the earliest and the latest clock on Earth."""

_SHIFT_BYTES = 320
"""Bytes of a shift in a reply, at most, without its texts."""

_DAY_BYTES = 160
"""The same of a group's day."""

_decode_numbers = msgspec.json.Decoder(list[int]).decode

Mark = Literal["no_out"]
"""``no_out``: there is one passage only, so last out and hours are unknown."""


class Attended(Struct, frozen=True, gc=False):
    """A shift of somebody."""

    day: date
    """On which it began."""
    first_in: datetime
    last_out: datetime | None
    """``None`` where there is one passage only: nobody knows when they left."""
    passages: int
    name: str
    """As they were called when they were last seen in it."""
    type: int | None
    """``UserType``, as it was then."""
    site_id: int
    """The site where it began."""
    site: str
    timezone: str
    """The site's, whose clocks tell the day."""

    @property
    def seconds(self) -> float | None:
        """Return the time between first in and last out."""
        return None if self.last_out is None else (self.last_out - self.first_in).total_seconds()

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Return what is unusual about it."""
        return ("no_out",) if self.last_out is None else ()


class PersonAttendance(Struct, frozen=True):
    """A person, and their shifts."""

    person: Person
    shifts: tuple[Attended, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return how they were called in these shifts, each name once; their latest name where there are none."""
        return tuple(dict.fromkeys(shift.name for shift in self.shifts)) or (self.person.name,)

    @property
    def size(self) -> int:
        """Return what it counts with on a page: see page_bytes.py."""
        return self.person.size + sum(
            weight(shift.name, shift.site, row=_SHIFT_BYTES) for shift in self.shifts
        )


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
    """Who was there when, on either database. Every method blocks; any thread may call it."""

    def __init__(self, store: ForUser, rules: Rules) -> None:
        self._store = store
        self.rules = rules

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
            found = attended(db, people.items, first, last, self.rules, self._store.visible)
        items = [
            PersonAttendance(person, tuple(shift for shift in shifts if _is_asked(shift, query)))
            for person, shifts in zip(people.items, found, strict=True)
        ]
        on_page = items[: fitting([item.size for item in items])]
        cursor = people.next_cursor
        if len(on_page) < len(items):
            cursor = encode_cursor("people", *place_of(on_page[-1].person))
        shown = [item for item in on_page if item.shifts or _is_of(item.person.type, query.kind)]
        return Page(tuple(shown), cursor)

    def shifts(self, person: Person, first: date, last: date) -> tuple[Attended, ...]:
        """Return the shifts of one person, by the time at which they began."""
        days_between(first, last)
        with self._store.reading() as db:
            return attended(db, [person], first, last, self.rules, self._store.visible)[0]

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
    db: Connection, people: Sequence[Person], first: date, last: date, rules: Rules, visible: Visible
) -> list[tuple[Attended, ...]]:
    """Return the shifts of each person that began from ``first`` to ``last``, by the clocks of where they began."""
    found = shifts_of_days(db, people, first, last, rules, visible)
    return [tuple(attended for attended, _ in of_person) for of_person in found]


def shifts_of_days(
    db: Connection, people: Sequence[Person], first: date, last: date, rules: Rules, visible: Visible
) -> list[list[tuple[Attended, Shift]]]:
    """Return the same, each with the passages' times that it is made of."""
    beside = _ZONES_MS if rules.scope == "everywhere" else 0  # one person may be at sites with several clocks
    days = [Days.of(first, last, person.timezone) for person in people]
    stretches = [(of_person.begin_ms - beside, of_person.end_ms + beside) for of_person in days]
    grouped = shifts_between(db, people, stretches, rules, visible)
    forms = _forms(
        db, {form for found in grouped for shift in found for form in (shift.identity, shift.begun_as)}
    )
    zones = {zone: Days.of(first, last, zone) for _, (_, _, zone) in forms.values()}
    return [[pair for shift in found if (pair := _attended(shift, zones, forms))] for found in grouped]


def _attended(
    shift: Shift, zones: Mapping[str, Days], forms: Mapping[int, _Form]
) -> tuple[Attended, Shift] | None:
    """Return a shift with its day, one of the time zone's in ``zones``; ``None`` if it is none of them."""
    name, kind = forms[shift.identity][0]
    site_id, site, timezone = forms[shift.begun_as][1]
    days = zones[timezone]
    index = days.index(shift.first_ms)
    if index is None:
        return None
    first_in, last_out = moment(shift.first_ms), moment(shift.last_ms)
    attended = Attended(
        days.day(index), first_in, last_out, shift.passages, name, kind, site_id, site, timezone
    )
    return attended, shift


def shifts_between(
    db: Connection,
    people: Sequence[Person],
    stretches: Sequence[tuple[int, int]],
    rules: Rules,
    visible: Visible,
) -> list[list[Shift]]:
    """Return the shifts of each person that begin in their stretch: from, and up to but not including, milliseconds."""
    if not people:
        return []
    begin, end = min(stretch[0] for stretch in stretches), max(stretch[1] for stretch in stretches)
    windows = [(begin - beside, end + beside) for beside in _BESIDE_MS]
    seen = [in_order(()) for _ in people]
    left = list(range(len(people)))
    windows.append((look_back(begin), end + 2 * BLOCK_MS))  # always enough
    known: tuple[int, int] | None = None
    for since, until in windows:
        more = [(since, until)] if known is None else [(since, known[0]), (known[1], until)]
        read = _read(db, people, left, more, rules, visible)
        for place, parts in read.items():
            seen[place] = in_order((seen[place], *parts))
        known = (since, until)
        left = [place for place in left if not _is_enough(seen[place].times, since, until, stretches[place])]
        if not left:
            break
    return [
        [shift for shift in shifts(of_person, rules.repeat_ms) if stretch[0] <= shift.first_ms < stretch[1]]
        for of_person, stretch in zip(seen, stretches, strict=True)
    ]


def _is_enough(times: Sequence[int], since: int, until: int, stretch: tuple[int, int]) -> bool:
    """Return whether it is known where the first shift of a stretch begins, and where its last one ends."""
    if not is_anchored(times, since, stretch[0]):
        return False
    after = times[bisect_left(times, stretch[1]) :]
    return not after or is_anchored([*after, until], stretch[1], until)


def _read(
    db: Connection,
    people: Sequence[Person],
    places: Sequence[int],
    stretches: Iterable[tuple[int, int]],
    rules: Rules,
    visible: Visible,
) -> Mapping[int, Sequence[Seen]]:
    """Return the passages of the people at these places, in these stretches, by place.

    Each form of a person's data is one row with all of its passages. A row for each passage takes twice as long.
    """
    r = t.records.c
    of_terminal = rules.scope == "terminal"
    place_of: dict[tuple[int, ...], int] = {
        (identity, person.terminal_id or 0) if of_terminal else (identity,): place
        for place in places
        for person in [people[place]]
        for identity in person.identities
    }
    key = (r.identity_id, r.terminal_id) if of_terminal else (r.identity_id,)
    statement = select(_numbers(db, r.at_ms), _numbers(db, r.terminal_id), *key).group_by(*key)
    statement = statement.where(_is_one_of("identity_id", (each[0] for each in place_of)), *is_passage(db))
    if of_terminal:
        statement = statement.where(_is_one_of("terminal_id", (each[1] for each in place_of)))
    if hidden := hidden_terminals(db, visible):
        statement = statement.where(r.terminal_id.not_in(hidden))
    found: dict[int, list[Seen]] = {}
    for since, until in stretches:
        if since < until:
            for times, terminals, *who in db.execute(statement.where(r.at_ms >= since, r.at_ms < until)):
                place = place_of.get(tuple(who))
                if place is None:  # of a person at a terminal that others were asked for at
                    continue
                moments = _decode_numbers(f"[{times}]")
                part = Seen(moments, _decode_numbers(f"[{terminals}]"), [who[0]] * len(moments))
                found.setdefault(place, []).append(part)
    return found


def _numbers(db: Connection, column: ColumnElement[int]) -> ColumnElement[str]:
    """Return all values of a group in one text, with commas between them."""
    # SQLite takes numbers, too, and takes longer for texts.
    return func.aggregate_strings(column if db.dialect.name == "sqlite" else cast(column, Text), ",")


def _is_one_of(column: str, numbers: Iterable[int]) -> TextClause:
    """Return the condition that a column of ``records`` is one of these numbers, of which there may be thousands.

    Written out, since all of it is whole numbers: a construct of expressions for each takes longer than the question.
    In a list, and not in a table to join with: so the rows are in the order of the index, and are not sorted to group.
    """
    return text(f"records.{column} IN ({','.join(f'{number:d}' for number in sorted(set(numbers)))})")


def _forms(db: Connection, identities: set[int]) -> dict[int, _Form]:
    """Return name and type in each form of people's data, and the site that it is of."""
    i, s, asked = t.identities.c, t.sites.c, sorted(identities)
    wanted = select(i.id, i.name, i.type, i.site_id, s.name.label("site"), s.timezone)
    wanted = wanted.join(t.sites, s.id == i.site_id)
    found: dict[int, _Form] = {}
    for start in range(0, len(asked), 1000):
        for form, name, kind, *site in db.execute(wanted.where(i.id.in_(asked[start : start + 1000]))):
            found[form] = (name, kind), (site[0], site[1], site[2])
    return found
