"""Passages: a person's day, with the shifts that began on it and every passage of them.

Rules:

* What a passage is: passage_rule.py. Which passages belong together: shifts.py.
* Passages of one person at one terminal that follow each other within ``repeat_ms`` are one passage, at the time of
  the first. Refusals are joined alike.
* A day is a local one: see local_days.py. Its zone is that of the person's site, and of a shift that of the site where
  it began. A refusal during a shift is shown with the
  shift, any other one on the day on which it happened.
* Held terminals' records are not shown.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from gatepost.store.attendance.attendance import attended
from gatepost.store.attendance.attended import Attended, shifts_between, shifts_of_days
from gatepost.store.attendance.corrections import Correction
from gatepost.store.attendance.schedules import Planned
from gatepost.store.conversion.values import moment, ms
from gatepost.store.interface import ForUser, Visible
from gatepost.store.local_days import Days
from gatepost.store.page_bytes import fitting, weight
from gatepost.store.people.passage_rule import kind_of
from gatepost.store.people.person import Person, Rules
from gatepost.store.people.shifts import Shift, look_back
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import at_sites

__all__ = ["MAX_RECORDS", "Passage", "PersonDay", "day_of", "fold"]

MAX_RECORDS = 20_000
"""Records of one day that are looked at."""


class Passage(Struct, frozen=True, kw_only=True):
    """A person came to a door."""

    record_id: int
    at: datetime
    terminal_id: int
    serial: str | None
    terminal: str | None
    """Its name."""
    timezone: str
    """That of its site."""
    refused: bool
    unsaid: bool
    """``pass`` is missing though this dialect has it: neither a passage nor a refusal."""
    recognition_type: int | None
    abnormal_type: int | None
    entry_mode: int | None
    outside_time: bool
    """A visitor, before or after their time."""
    has_image: bool
    is_struck: bool
    """Whether a correction says that it does not count."""
    repeats: int
    """How many more of the same followed within ``repeat_ms`` and are not shown."""
    last_at: datetime
    """When the last of them followed; ``at`` where there are none."""


class PersonDay(Struct, frozen=True, kw_only=True):
    """A day of a person."""

    day: date
    begins_at: datetime
    ends_at: datetime
    shifts: tuple[Attended, ...]
    """Those that began on this day."""
    absences: tuple[Planned, ...]
    """The planned shifts of this day that had no passage."""
    corrections: tuple[Correction, ...]
    """Passages of this day that were added or struck."""
    refused: int
    """Refusals among the items."""
    items: tuple[Passage, ...]
    """The passages of these shifts, refusals, and what is neither, by time; as many as are on a page."""
    is_cut: bool
    """There are more."""


def day_of(store: ForUser, person: Person, day: date, rules: Rules, now_ms: int | None = None) -> PersonDay:
    """Return one day of a person, with every passage of the shifts that began on it.

    ``now_ms`` is the present, as in :class:`~gatepost.store.attendance.attendance.Attendance`.
    """
    days = Days.of(day, day, person.timezone)
    with store.reading() as db:
        own = [shift for _, shift in shifts_of_days(db, [person], day, day, rules, store.visible)[0]]
        item = attended(db, [person], day, day, rules, store.visible, now_ms)[0]
        # Those of other days may go on into this one, of people who have no rest for weeks.
        stretch = (look_back(days.begin_ms), days.end_ms)
        beside = shifts_between(db, [person], [stretch], rules, store.visible)[0]
        others = [each for each in beside if each not in own]
        since = min([days.begin_ms, *(shift.first_ms for shift in own)])
        until = max([days.end_ms, *(shift.end_ms + 1 for shift in own)])
        rows = _rows_of(db, person, since, until, store.visible)
    struck = [one for one in item.corrections if one.kind == "struck"]
    folded = fold(
        [
            row
            for row in rows
            if _is_during(row.at_ms, own)
            or (
                (kind_of(row) != "passage" or _is_struck(row, struck))
                and days.begin_ms <= row.at_ms < days.end_ms
                and not _is_during(row.at_ms, others)
            )
        ],
        rules.repeat_ms,
        struck,
    )
    items = folded[: fitting([_size(passage) for passage in folded])]
    return PersonDay(
        day=day,
        begins_at=moment(days.begin_ms),
        ends_at=moment(days.end_ms),
        shifts=item.shifts,
        absences=item.absences,
        corrections=item.corrections,
        refused=sum(item.refused for item in items),
        items=tuple(items),
        is_cut=len(items) < len(folded) or len(rows) == MAX_RECORDS,
    )


def _size(passage: Passage) -> int:
    return weight(passage.serial, passage.terminal)


def _is_during(at_ms: int, shifts: Sequence[Shift]) -> bool:
    return any(shift.first_ms <= at_ms <= shift.end_ms for shift in shifts)


def _rows_of(db: Connection, person: Person, since: int, until: int, visible: Visible) -> Sequence[Any]:
    r = t.records.c
    statement = (
        select(
            r.id,
            r.at_ms,
            r.terminal_id,
            r.passed,
            r.dialect,
            r.recognition_type,
            r.abnormal_type,
            r.entry_mode,
            r.has_image,
            t.terminals.c.serial,
            t.terminals.c.name,
            t.sites.c.timezone,
            t.facets.c.outside_time,
        )
        .join(t.terminals, t.terminals.c.id == r.terminal_id)
        .join(t.sites, t.sites.c.id == t.terminals.c.site_id)
        .join(t.facets, t.facets.c.id == r.facet_id)
        .where(
            r.identity_id.in_(person.identities),
            r.at_ms >= since,
            r.at_ms < until,
            t.terminals.c.state != "held",
            *at_sites(visible),
        )
        .order_by(r.at_ms, r.id)
        .limit(MAX_RECORDS)
    )
    if person.terminal_id is not None:
        statement = statement.where(r.terminal_id == person.terminal_id)
    return db.execute(statement).all()


def _is_struck(row: Any, struck: Sequence[Correction]) -> bool:
    return any(
        one.terminal_id == row.terminal_id and ms(one.at) <= row.at_ms <= ms(one.until) for one in struck
    )


def fold(rows: Iterable[Any], repeat_ms: int, struck: Sequence[Correction] = ()) -> list[Passage]:
    """Join a person's records, in order of time, into passages.

    A repeat within ``repeat_ms`` of the one before is counted with the first.
    """
    found: list[Passage] = []
    latest: dict[tuple[int, str], tuple[int, int]] = {}
    for row in rows:
        key = (row.terminal_id, kind_of(row))
        before_ms, place = latest.get(key, (None, len(found)))
        if repeat_ms > 0 and before_ms is not None and row.at_ms - before_ms <= repeat_ms:
            found[place] = msgspec.structs.replace(
                found[place], repeats=found[place].repeats + 1, last_at=moment(row.at_ms)
            )
        else:
            place = len(found)
            found.append(_passage(row, is_struck=kind_of(row) == "passage" and _is_struck(row, struck)))
        latest[key] = (row.at_ms, place)
    return found


def _passage(row: Any, *, is_struck: bool) -> Passage:
    return Passage(
        record_id=row.id,
        at=moment(row.at_ms),
        terminal_id=row.terminal_id,
        serial=row.serial,
        terminal=row.name,
        timezone=row.timezone,
        refused=kind_of(row) == "refusal",
        unsaid=kind_of(row) == "unsaid",
        recognition_type=row.recognition_type,
        abnormal_type=row.abnormal_type,
        entry_mode=row.entry_mode,
        outside_time=bool(row.outside_time),
        has_image=bool(row.has_image),
        is_struck=is_struck,
        repeats=0,
        last_at=moment(row.at_ms),
    )
