"""Passages: when a person came and went on a day.

Rules:

* A *passage* is a record of a person with ``pass`` true. ``pass`` null is a passage only in a dialect without the
  field (:data:`WITHOUT_PASS`); in any other one it is listed and counts as nothing.
* Passages of one person at one terminal that follow each other within ``repeat_ms`` are one passage, at the time of
  the first. The last of them counts as last-out. Refusals are joined alike.
* A day is a local one: see days.py. Its zone is that of the person's site.
* Held terminals' records are not shown.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, and_, or_, select

from gatepost.store import schema as t
from gatepost.store.arrivals import moment
from gatepost.store.days import Days
from gatepost.store.people import Person, Rules
from gatepost.store.store import Transactions
from gatepost.wire import Dialect
from gatepost.wire.codes import AbnormalType

__all__ = ["WITHOUT_PASS", "Passage", "PersonDay", "day_of", "fold", "is_passage"]

WITHOUT_PASS = (Dialect.BEFORE_1_0.value,)
"""Dialects that may lack ``pass``. The maker's change log lists what 1.0 and later add or omit, and never ``pass``."""


class Passage(Struct, frozen=True, kw_only=True):
    """A person came to a door."""

    record_id: int
    at: datetime
    terminal_id: int
    serial: str | None
    terminal: str | None
    """Its name."""
    refused: bool
    unsaid: bool
    """``pass`` is missing though this dialect has it: neither a passage nor a refusal."""
    recognition_type: int | None
    abnormal_type: int | None
    entry_mode: int | None
    outside_time: bool
    """A visitor, before or after their time."""
    has_image: bool
    repeats: int
    """How many more of the same followed within ``repeat_ms`` and are not shown."""
    last_at: datetime
    """When the last of them followed; ``at`` where there are none."""


class PersonDay(Struct, frozen=True, kw_only=True):
    """A day of a person."""

    day: date
    begins_at: datetime
    ends_at: datetime
    first_in: datetime | None
    last_out: datetime | None
    """The last passage or repeat of one, which may be the first one."""
    passages: int
    refused: int
    items: tuple[Passage, ...]
    """Passages, refusals, and what is neither, by time."""


def day_of(store: Transactions, person: Person, day: date, rules: Rules) -> PersonDay:
    """Return one day of a person, with every passage."""
    days = Days.of(day, day, person.timezone, starts_at_min=rules.day_starts_min)
    with store.reading() as db:
        rows = _rows_of(db, person, days, rules)
    items = fold(rows, rules.repeat_ms, since_ms=days.begin_ms)
    went = [item for item in items if not (item.refused or item.unsaid)]
    seen = [row.at_ms for row in rows if row.at_ms >= days.begin_ms and _kind(row) == "passage"]
    return PersonDay(
        day=day,
        begins_at=moment(days.begin_ms),
        ends_at=moment(days.end_ms),
        first_in=went[0].at if went else None,
        last_out=moment(seen[-1]) if went else None,
        passages=len(went),
        refused=sum(item.refused for item in items),
        items=tuple(items),
    )


def is_passage(db: Connection) -> list[ColumnElement[bool]]:
    """Return the conditions on ``records`` that only passages fulfil.

    They are on the facet alone, which the index by person has, unless a record without ``pass`` may be of a dialect
    that has none: such a dialect has neither ``entry_mode`` nor ``abnormal_type``.
    """
    f, r = t.facets.c, t.records.c
    bare = and_(f.entry_mode == -1, f.abnormal_type == -1)
    never = db.execute(select(f.id).where(or_(f.passed == 0, and_(f.passed == -1, ~bare)))).scalars().all()
    unsure = db.execute(select(f.id).where(f.passed == -1, bare)).scalars().all()
    found: list[ColumnElement[bool]] = [r.facet_id.not_in(never)] if never else []
    if unsure:
        found.append(or_(r.facet_id.not_in(unsure), r.dialect.in_(WITHOUT_PASS)))
    return found


def _kind(row: Any) -> Literal["passage", "refusal", "unsaid"]:
    if row.passed is None:
        return "passage" if row.dialect in WITHOUT_PASS else "unsaid"
    return "passage" if row.passed else "refusal"


def _rows_of(db: Connection, person: Person, days: Days, rules: Rules) -> Sequence[Any]:
    r, i = t.records.c, t.identities.c
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
    """Join a person's records, in order of time, into passages.

    A repeat within ``repeat_ms`` of the one before is counted with the first. Records before ``since_ms`` only tell
    what is a repeat.
    """
    found: list[Passage] = []
    latest: dict[tuple[int, str], tuple[int, int | None]] = {}
    for row in rows:
        key = (row.terminal_id, _kind(row))
        before_ms, place = latest.get(key, (None, None))
        again = repeat_ms > 0 and before_ms is not None and row.at_ms - before_ms <= repeat_ms
        if again:
            if place is not None:
                found[place] = msgspec.structs.replace(
                    found[place], repeats=found[place].repeats + 1, last_at=moment(row.at_ms)
                )
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
        refused=_kind(row) == "refusal",
        unsaid=_kind(row) == "unsaid",
        recognition_type=row.recognition_type,
        abnormal_type=row.abnormal_type,
        entry_mode=row.entry_mode,
        outside_time=early or late or row.abnormal_type == AbnormalType.VISITOR_EXPIRED,
        has_image=row.image_id is not None,
        repeats=0,
        last_at=moment(row.at_ms),
    )
