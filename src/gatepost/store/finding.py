"""Finding records: which ones stand on a page, whatever the filters are.

A page is put together in two steps, so that its price does not depend on how many records there are or how rare the
wanted ones are:

1. *Where to look*: the facets that fit the filters on codes, or the identities that fit the filters on people.
   Each is a stretch of an index that is sorted by time.
2. *Merge*: from each stretch the first few after the cursor, all together sorted, cut off at the limit.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, exists, or_, select, true, tuple_

from gatepost.store import arrivals as a
from gatepost.store import schema as t
from gatepost.store.arrivals import ms
from gatepost.store.store import RecordQuery
from gatepost.wire.codes import AbnormalType, EntryMode, RecognitionType

__all__ = ["find", "all_conditions", "held", "which"]

_MANY_PEOPLE = 10_000
"""When more identities fit than this, their records are so many that looking through all by time finds them."""


def find(db: Connection, query: RecordQuery, cursor: tuple[int, ...] | None) -> list[int]:
    """The ids of one page and of one record more, in no order; newest or oldest first, after ``cursor``."""
    c = t.records.c
    conditions = _rest(db, query)
    if cursor is not None:
        place = tuple_(c.at_ms, c.id)
        conditions.append(place < cursor if query.order == "newest" else place > cursor)
    if query.outside_time:
        return _find_outside(db, query, conditions)
    facets = [row.id for row in db.execute(select(t.facets.c.id).where(*_facet_codes(query)))]
    if not facets:
        return []
    conditions += _codes(query, c, unknown_only=True)
    people = _people(query)
    if people:
        who = select(t.identities.c.id).where(*people).limit(_MANY_PEOPLE + 1)
        identities = [row.id for row in db.execute(who)]
        if len(identities) <= _MANY_PEOPLE:
            if _codes(query, c):
                conditions.append(c.facet_id.in_(facets))
            return _of_people(db, identities, conditions, query)
        conditions.append(c.identity_id.in_(select(t.identities.c.id).where(*people)))
    where = [_Stretch(t.facets, t.facets.c.id.in_(facets), c.facet_id)]
    if query.site_id is not None:
        where.append(_Stretch(t.terminals, t.terminals.c.site_id == query.site_id, c.terminal_id))
    return _merge(db, where, conditions, query)


def all_conditions(db: Connection, query: RecordQuery) -> list[Any]:
    """Every filter, as conditions on a record: for whoever looks through all of them in another order."""
    c = t.records.c
    found = [*_rest(db, query), *_codes(query, c)]
    if people := _people(query):
        found.append(c.identity_id.in_(select(t.identities.c.id).where(*people).correlate(None)))
    if query.outside_time:
        guest = t.identities.alias("guest").c
        outside = exists().where(
            guest.id == c.identity_id, or_(*(and_(*way) for way in _ways_outside(guest)))
        )
        found.append(or_(c.abnormal_type == int(AbnormalType.VISITOR_EXPIRED), outside))
    return found


def _ways_outside(i: Any) -> list[tuple[ColumnElement[bool], ColumnElement[bool]]]:
    """Who is a guest, and when they are there outside their time."""
    at_ms = t.records.c.at_ms
    return [
        (i.guest_from_ms.is_not(None), at_ms < i.guest_from_ms),
        (i.guest_until_ms.is_not(None), at_ms > i.guest_until_ms),
    ]


def _find_outside(db: Connection, query: RecordQuery, conditions: list[Any]) -> list[int]:
    """Guests before or after their time, and those whom a terminal refused for it."""
    c, i, f = t.records.c, t.identities.c, t.facets.c
    conditions = [*conditions, *_codes(query, c)]
    people = _people(query)
    guests = (
        [*conditions, c.identity_id.in_(select(i.id).where(*people).correlate(None))]
        if people
        else conditions
    )
    told = and_(f.abnormal_type == int(AbnormalType.VISITOR_EXPIRED), *_facet_codes(query))
    found = set(_merge(db, [_Stretch(t.facets, told, c.facet_id)], guests, query))
    for guest, outside in _ways_outside(i):
        stretch = _Stretch(t.identities, and_(guest, *people), c.identity_id)
        found.update(_merge(db, [stretch], [*conditions, outside], query))
    place = (c.at_ms.desc(), c.id.desc()) if query.order == "newest" else (c.at_ms, c.id)
    first = select(c.id).where(c.id.in_(found)).order_by(*place).limit(query.limit + 1)
    return [row.id for row in db.execute(first)]


def _of_people(
    db: Connection, identities: Sequence[int], conditions: Sequence[Any], query: RecordQuery
) -> list[int]:
    """A page of the records of these identities.

    Of many, those are looked for first whose own first record comes first: as many as the page is long are enough,
    for whoever is not among them has that many records of others before their own.
    """
    c = t.records.c

    def where() -> list[_Stretch]:
        return [_Stretch(t.identities, t.identities.c.id.in_(identities), c.identity_id)]

    if len(identities) > query.limit + 1:
        first = _merge(db, where(), conditions, query, each=1)
        identities = [row.identity_id for row in db.execute(select(c.identity_id).where(c.id.in_(first)))]
    return _merge(db, where(), conditions, query) if identities else []


class _Stretch(NamedTuple):
    """Each row of ``table`` that fits begins a stretch of the records' index: those whose ``refers`` is its id."""

    table: Table
    fits: ColumnElement[bool]
    refers: ColumnElement[int]


def _merge(
    db: Connection,
    stretches: Sequence[_Stretch],
    conditions: Sequence[Any],
    query: RecordQuery,
    *,
    each: int | None = None,
) -> list[int]:
    """From each stretch the first few, sorted together. Of several tables, every combination begins one.

    ``each``: how many of each stretch, at most; ``None``: as many as a page and one more.
    """
    c = t.records.c
    direction = (c.at_ms.desc(), c.id.desc()) if query.order == "newest" else (c.at_ms, c.id)
    stretch = (
        select(c.id, c.at_ms)
        .where(*(one.refers == one.table.c.id for one in stretches), *conditions)
        .order_by(*direction)
        .limit(each or query.limit + 1)
        .correlate(*(one.table for one in stretches))
    )
    source: Any = stretches[0].table
    for more in stretches[1:]:
        source = source.join(more.table, true())
    if db.dialect.name == "postgresql":
        found: Any = stretch.lateral("found")
        statement = select(found.c.id, found.c.at_ms).select_from(source.join(found, true()))
    else:
        found = t.records.alias("found")
        inner = stretch.with_only_columns(c.id).scalar_subquery()
        statement = select(found.c.id, found.c.at_ms).select_from(source.join(found, found.c.id.in_(inner)))
    f = found.c
    order = (f.at_ms.desc(), f.id.desc()) if query.order == "newest" else (f.at_ms, f.id)
    statement = statement.where(*(one.fits for one in stretches)).order_by(*order).limit(query.limit + 1)
    return [row.id for row in db.execute(statement)]


def which(column: Any, terminal: str | int) -> Any:
    if isinstance(terminal, int):
        return column == terminal
    return column == select(t.terminals.c.id).where(t.terminals.c.serial == terminal).scalar_subquery()


def held(db: Connection) -> list[int]:
    return [row.id for row in db.execute(select(t.terminals.c.id).where(t.terminals.c.state == "held"))]


def _rest(db: Connection, query: RecordQuery) -> list[Any]:
    """The filters that are neither on codes nor on people."""
    c = t.records.c
    found: list[Any] = []
    if query.since is not None:
        found.append(c.at_ms >= ms(query.since))
    if query.until is not None:
        found.append(c.at_ms < ms(query.until))
    if query.terminal is not None:
        found.append(which(c.terminal_id, query.terminal))
    if query.site_id is not None:
        of_site = select(t.terminals.c.id).where(t.terminals.c.site_id == query.site_id)
        found.append(c.terminal_id.in_(of_site.correlate(None)))
    if not query.include_held and (hidden := held(db)):
        found.append(c.terminal_id.not_in(hidden))
    return found


def _codes(query: RecordQuery, c: Any, *, unknown_only: bool = False) -> list[Any]:
    """The filters on codes, on the record itself; a facet lumps together what no table of the page knows."""
    found: list[Any] = []
    for name, known in a.KNOWN_CODES.items():
        value = getattr(query, name)
        if value is not None and not (unknown_only and value in known):
            found.append(c[name] == value)
    if query.strangers:
        found.append(c.identity_id.is_(None))
    if unknown_only:
        return found
    if query.passed is not None:
        found.append(c.passed == int(query.passed))
    if query.has_image is not None:
        found.append(c.image_id.is_not(None) if query.has_image else c.image_id.is_(None))
    if query.strangers:
        found.append(c.facet_id.in_(select(t.facets.c.id).where(*_strangers())))
    return found


def _strangers() -> list[Any]:
    """The facets of which a record without a person is a stranger's: of no known kind, and no door button."""
    c = t.facets.c
    known = [RecognitionType.EMPLOYEE, RecognitionType.VISITOR, RecognitionType.BLACKLIST]
    return [c.recognition_type.not_in([int(kind) for kind in known]), c.entry_mode != int(EntryMode.BUTTON)]


def _facet_codes(query: RecordQuery) -> list[Any]:
    c = t.facets.c
    found: list[Any] = []
    for name in a.KNOWN_CODES:
        if (value := getattr(query, name)) is not None:
            found.append(c[name] == a.known(name, value))
    if query.passed is not None:
        found.append(c.passed == int(query.passed))
    if query.has_image is not None:
        found.append(c.has_image == int(query.has_image))
    if query.strangers:
        found += _strangers()
    return found


def _people(query: RecordQuery) -> list[Any]:
    who = t.identities.c
    people: list[Any] = []
    if query.person is not None:
        people.append(who.user_id == query.person)
    if query.job_number is not None:
        people.append(who.job_number == query.job_number)
    if query.name is not None:
        people.append(who.name.contains(query.name, autoescape=True))
    if query.q is not None:
        columns = (who.name, who.user_id, who.job_number, who.ic_number, who.id_number)
        people.append(or_(*(column.contains(query.q, autoescape=True) for column in columns)))
    return people
