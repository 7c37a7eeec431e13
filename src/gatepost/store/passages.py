"""Passages: when a person came and went on a day, and which visitors were there outside their time.

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
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from gatepost.store import schema as t
from gatepost.store.arrivals import moment, ms
from gatepost.store.days import Days
from gatepost.store.pages import decode_cursor, encode_cursor
from gatepost.store.people import Person, Rules, held_terminals
from gatepost.store.queries import records_by_id
from gatepost.store.store import Page, RecordRow, Transactions
from gatepost.wire.codes import AbnormalType

__all__ = ["Passage", "PersonDay", "OutsideQuery", "day_of", "outside", "fold", "not_refused"]


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


class OutsideQuery(Struct, frozen=True, kw_only=True):
    """Which visitors outside their time, latest first."""

    since: datetime | None = None
    until: datetime | None = None
    site_id: int | None = None
    limit: int = 100
    cursor: str | None = None


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


def outside(store: Transactions, query: OutsideQuery) -> Page[RecordRow]:
    """Records of visitors before or after their time, and of those whom the terminal refused for it.

    Raises :class:`~gatepost.store.pages.BadCursor`.
    """
    with store.reading() as db:
        return _outside(db, query)


def not_refused() -> ColumnElement[bool]:
    """The record is a passage. Old firmware does not say; what it does not call refused went through."""
    return func.coalesce(t.records.c.passed, 1) == 1


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


def _outside(db: Connection, query: OutsideQuery) -> Page[RecordRow]:
    r, i, f = t.records.c, t.identities.c, t.facets.c
    conditions: list[ColumnElement[bool]] = []
    if query.since is not None:
        conditions.append(r.at_ms >= ms(query.since))
    if query.until is not None:
        conditions.append(r.at_ms < ms(query.until))
    if held := held_terminals(db):
        conditions.append(r.terminal_id.not_in(held))
    if query.site_id is not None:
        of_site = select(t.terminals.c.id).where(t.terminals.c.site_id == query.site_id)
        conditions.append(r.terminal_id.in_(of_site))
    if query.cursor is not None:
        at_ms, record_id = decode_cursor(query.cursor, "outside")
        conditions.append(or_(r.at_ms < at_ms, and_(r.at_ms == at_ms, r.id < record_id)))
    places: set[tuple[int, int]] = set()
    with_window = t.records.join(t.identities, i.id == r.identity_id)
    told = t.records.join(t.facets, f.id == r.facet_id)
    for source, kind in (
        (with_window, and_(i.guest_from_ms.is_not(None), r.at_ms < i.guest_from_ms)),
        (with_window, and_(i.guest_until_ms.is_not(None), r.at_ms > i.guest_until_ms)),
        (told, f.abnormal_type == int(AbnormalType.VISITOR_EXPIRED)),
    ):
        statement = select(r.at_ms, r.id).select_from(source).where(kind, *conditions)
        order = (r.at_ms.desc(), r.id.desc())
        places |= {
            (row.at_ms, row.id) for row in db.execute(statement.order_by(*order).limit(query.limit + 1))
        }
    latest = sorted(places, reverse=True)
    shown = latest[: query.limit]
    rows = {row.id: row for row in records_by_id(db, [record_id for _, record_id in shown])}
    cursor = encode_cursor("outside", *shown[-1]) if len(latest) > query.limit else None
    return Page(tuple(rows[record_id] for _, record_id in shown), cursor)
