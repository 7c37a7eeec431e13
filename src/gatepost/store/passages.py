"""Passages: when a person came and went on a day.

Rules:

* A *passage* is a record of a person that was not refused.
* Passages of one person at one terminal that follow each other within ``repeat_ms`` are one passage, the first; so
  are refusals.
* A day is a local one: see days.py. Its zone is that of the person's site.
* Held terminals' records are not shown.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from gatepost.store import schema as t
from gatepost.store.arrivals import moment
from gatepost.store.days import Days
from gatepost.store.people import Person, Rules
from gatepost.store.store import Transactions
from gatepost.wire.codes import AbnormalType

__all__ = ["Passage", "PersonDay", "day_of", "fold", "refused_facets"]


class Passage(Struct, frozen=True, kw_only=True):
    """A person came to a door."""

    record_id: int
    at: datetime
    terminal_id: int
    serial: str | None
    terminal: str | None
    """Its name."""
    refused: bool
    recognition_type: int | None
    abnormal_type: int | None
    entry_mode: int | None
    outside_time: bool
    """A visitor, before or after their time."""
    has_image: bool
    repeats: int
    """How many more of the same followed within ``repeat_ms`` and are not shown."""


class PersonDay(Struct, frozen=True, kw_only=True):
    """A day of a person."""

    day: date
    begins_at: datetime
    ends_at: datetime
    first_in: datetime | None
    last_out: datetime | None
    """The last passage, which may be the first one."""
    passages: int
    refused: int
    items: tuple[Passage, ...]
    """Both, by time."""


def day_of(store: Transactions, person: Person, day: date, rules: Rules) -> PersonDay:
    """One day of a person, with every passage."""
    days = Days.of(day, day, person.timezone, starts_at_min=rules.day_starts_min)
    with store.reading() as db:
        rows = _rows_of(db, person, days, rules)
    items = fold(rows, rules.repeat_ms, since_ms=days.begin_ms)
    went = [item for item in items if not item.refused]
    return PersonDay(
        day=day,
        begins_at=moment(days.begin_ms),
        ends_at=moment(days.end_ms),
        first_in=went[0].at if went else None,
        last_out=went[-1].at if went else None,
        passages=len(went),
        refused=len(items) - len(went),
        items=tuple(items),
    )


def refused_facets(db: Connection) -> list[int]:
    """The facets whose records are no passages. What old firmware does not call refused went through."""
    return [row.id for row in db.execute(select(t.facets.c.id).where(t.facets.c.passed == 0))]


def _rows_of(db: Connection, person: Person, days: Days, rules: Rules) -> Sequence[Any]:
    r, i = t.records.c, t.identities.c
    statement = (
        select(
            r.id,
            r.at_ms,
            r.terminal_id,
            r.passed,
            r.recognition_type,
            r.abnormal_type,
            r.entry_mode,
            r.image_id,
            t.terminals.c.serial,
            t.terminals.c.name,
            i.guest_from_ms,
            i.guest_until_ms,
        )
        .join(t.terminals, t.terminals.c.id == r.terminal_id)
        .join(t.identities, i.id == r.identity_id)
        .where(
            r.identity_id.in_(person.identities),
            r.at_ms >= days.begin_ms - rules.repeat_ms,
            r.at_ms < days.end_ms,
            t.terminals.c.state != "held",
        )
        .order_by(r.at_ms, r.id)
    )
    if person.terminal_id is not None:
        statement = statement.where(r.terminal_id == person.terminal_id)
    return db.execute(statement).all()


def fold(rows: Iterable[Any], repeat_ms: int, *, since_ms: int) -> list[Passage]:
    """Passages out of a person's records in order: repeats within ``repeat_ms`` of the one before are counted in.

    Records before ``since_ms`` are only there to tell what is a repeat.
    """
    found: list[Passage] = []
    latest: dict[tuple[int, bool], tuple[int, int | None]] = {}
    for row in rows:
        key = (row.terminal_id, row.passed == 0)
        before_ms, place = latest.get(key, (None, None))
        again = repeat_ms > 0 and before_ms is not None and row.at_ms - before_ms <= repeat_ms
        if again:
            if place is not None:
                found[place] = msgspec.structs.replace(found[place], repeats=found[place].repeats + 1)
        elif row.at_ms >= since_ms:
            place = len(found)
            found.append(_passage(row))
        else:
            place = None
        latest[key] = (row.at_ms, place)
    return found


def _passage(row: Any) -> Passage:
    early = row.guest_from_ms is not None and row.at_ms < row.guest_from_ms
    late = row.guest_until_ms is not None and row.at_ms > row.guest_until_ms
    return Passage(
        record_id=row.id,
        at=moment(row.at_ms),
        terminal_id=row.terminal_id,
        serial=row.serial,
        terminal=row.name,
        refused=row.passed == 0,
        recognition_type=row.recognition_type,
        abnormal_type=row.abnormal_type,
        entry_mode=row.entry_mode,
        outside_time=early or late or row.abnormal_type == AbnormalType.VISITOR_EXPIRED,
        has_image=row.image_id is not None,
        repeats=0,
    )
