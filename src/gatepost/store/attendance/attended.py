"""Shifts of people on local days, out of the index of ``records`` by person.

A shift is of the day on which it begins, in the time zone of the site where it begins.

Flow: passages, in one statement, some days more on either side → corrections → shifts → those that begin on one of the
days. For people without a rest in these days, a longer time is read.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Text, TextClause, cast, func, select, text

from gatepost.store.attendance.corrections import active, corrected, of_person
from gatepost.store.attendance.schedules import Mark, Planned
from gatepost.store.conversion.values import DAY_MS, moment
from gatepost.store.interface import Visible
from gatepost.store.local_days import Days
from gatepost.store.people.passage_rule import is_passage
from gatepost.store.people.person import Person, Rules
from gatepost.store.people.shifts import BLOCK_MS, Seen, Shift, in_order, is_anchored, look_back, shifts
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import hidden_terminals

__all__ = ["ZONES_MS", "Attended", "shifts_between", "shifts_of_days"]

_Form = tuple[tuple[str, int | None], tuple[int, str, str]]
"""Of a form of a person's data: name and type; then id, name and time zone of the site."""

_BESIDE_MS = (3 * DAY_MS, 10 * DAY_MS)
"""Time that is read before and after the requested days. The longer one is for people without a rest in the first."""

ZONES_MS = 26 * DAY_MS // 24
"""Between the earliest and the latest clock on Earth."""

_decode_numbers = msgspec.json.Decoder(list[int]).decode


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
    planned: Planned | None = None
    """The planned shift that it belongs to."""
    judged: tuple[Mark, ...] = ()
    """Marks by schedules, holidays and corrections."""

    @property
    def seconds(self) -> float | None:
        """Return the time between first in and last out."""
        return None if self.last_out is None else (self.last_out - self.first_in).total_seconds()

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Return what is unusual about it."""
        return ("no_out", *self.judged) if self.last_out is None else self.judged

    @property
    def worked_seconds(self) -> float | None:
        """Return the time between first in and last out without the break of the schedule."""
        if self.planned is None or (seconds := self.seconds) is None:
            return self.seconds
        return self.planned.worked_ms(round(seconds * 1000)) / 1000


def shifts_of_days(
    db: Connection,
    people: Sequence[Person],
    first: date,
    last: date,
    rules: Rules,
    visible: Visible,
    *,
    more: int = 0,
) -> list[list[tuple[Attended, Shift]]]:
    """Return the shifts of each person that began from ``first`` to ``last``, or ``more`` days before or after.

    A shift is of a day by the clocks of where it began, and comes with the passages' times that it is made of.
    """
    beside = ZONES_MS if rules.scope == "everywhere" else 0  # one person may be at sites with several clocks
    days = [Days.of(first, last, person.timezone, more=more) for person in people]
    stretches = [(of_person.begin_ms - beside, of_person.end_ms + beside) for of_person in days]
    grouped = shifts_between(db, people, stretches, rules, visible)
    forms = _forms(
        db, {form for found in grouped for shift in found for form in (shift.identity, shift.begun_as)}
    )
    zones = {name: Days.of(first, last, name, more=more) for _, (_, _, name) in forms.values()}
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
    corrections = active(db, *windows[-1])
    mine = {place: of_person(person, corrections) for place, person in enumerate(people) if corrections}
    for since, until in windows:
        more = [(since, until)] if known is None else [(since, known[0]), (known[1], until)]
        for stretch in more:
            read = _read(db, people, left, stretch, rules, visible)
            for place in left:
                parts = read.get(place, [])
                if mine.get(place):
                    parts = corrected(parts, mine[place], *stretch)
                if parts:
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
    stretch: tuple[int, int],
    rules: Rules,
    visible: Visible,
) -> Mapping[int, list[Seen]]:
    """Return the passages of the people at these places, in a stretch, by place.

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
    since, until = stretch
    if since >= until:
        return found
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
