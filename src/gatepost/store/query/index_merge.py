"""Merging stretches of an index: the first records of many lists that are each sorted by time.

What begins a stretch is a row of another table: a facet, a terminal and a facet, a person. From each stretch the first
few are taken, all together sorted, and cut off: the price is one look into the index for each stretch, and hardly more.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Dialect,
    Table,
    any_,
    bindparam,
    column,
    func,
    select,
    text,
    true,
)
from sqlalchemy.types import UserDefinedType

from gatepost.store.conversion.values import ms
from gatepost.store.interface import RecordQuery
from gatepost.store.schema import tables as t

__all__ = ["Columns", "Condition", "Stretch", "merge", "one_of", "times"]

Condition = ColumnElement[bool]


class Columns(Protocol):
    """The columns of a table, or of what was selected of one."""

    def __getattr__(self, name: str, /) -> ColumnElement[Any]: ...

    def __getitem__(self, name: str, /) -> ColumnElement[Any]: ...


_MORE = 8
"""How many times as much is read of those stretches of which more may stand on the page."""

_decode = msgspec.json.Decoder(list[tuple[int, int]]).decode


class Stretch(NamedTuple):
    """Each row of ``table`` that fits begins a stretch of the records' index: those whose ``refers`` is its id."""

    table: Table
    fits: Condition
    refers: ColumnElement[int]


def merge(
    db: Connection,
    stretches: Sequence[Stretch],
    conditions: Sequence[Condition],
    query: RecordQuery,
    *,
    places: Sequence[tuple[int, ...]] | None = None,
    about: int = 1_000,
) -> list[tuple[int, int]]:
    """Return the first records of all stretches together, ``query.limit`` and one more, in its order: when, and id.

    Of several tables, every combination begins a stretch. ``places``: where they begin, if that is known: an id for
    each table; what ``fits`` says is not asked for then. ``about``: how many stretches there are, more or less.

    There may be thousands of stretches, and nearly all of what is read from each would not stand on the page. So at
    first only a few of each are looked at, or one, then more of those stretches whose records all stand on the page.
    """
    limit = query.limit + 1
    each = max(1, min(limit, _MORE * limit // about))
    near = [*conditions, *times(query)]
    page: list[tuple[int, int, tuple[int, ...]]] = []
    while True:
        reached: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for at_ms, number, place in _firsts(db, stretches, near, query, each=each, places=places):
            reached.setdefault(place, []).append((at_ms, number))
        page = [one for one in page if one[2] not in reached]
        page += [(*record, place) for place, records in reached.items() for record in records]
        page = sorted(page, reverse=query.order == "newest")[:limit]
        shown = Counter(place for _, _, place in page)
        places = [place for place in reached if shown[place] >= each]
        if each >= limit or not places:
            return [(at_ms, number) for at_ms, number, _ in page]
        each = min(limit, each * _MORE)
        if len(page) == limit:
            # What is beyond the last one of a full page will not be on it.
            near = [*conditions, *times(query, edge=page[-1][0])]


def times(query: RecordQuery, *, edge: int | None = None) -> list[Condition]:
    """When the records of a query happened; ``edge``: and no further than this from where it begins.

    At most one condition for each side: of two, SQLite may look up the wider one, and read all that is between them.
    """
    at_ms, newest = t.records.c.at_ms, query.order == "newest"
    since = None if query.since is None else ms(query.since)
    until = None if query.until is None else ms(query.until)
    if edge is not None and newest:
        since = edge if since is None else max(since, edge)
    elif edge is not None:
        until = edge + 1 if until is None else min(until, edge + 1)
    found = [] if since is None else [at_ms >= since]
    return found if until is None else [*found, at_ms < until]


def _firsts(
    db: Connection,
    stretches: Sequence[Stretch],
    conditions: Sequence[Condition],
    query: RecordQuery,
    *,
    each: int,
    places: Sequence[tuple[int, ...]] | None,
) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Return the first ``each`` records of each stretch: when, id, and the ids at which the stretch begins.

    ``places``: only of these stretches. Whatever does not belong on a page of all of them may be left out.
    """
    c, ids = t.records.c, [one.table.c.id for one in stretches]
    direction = (c.at_ms.desc(), c.id.desc()) if query.order == "newest" else (c.at_ms, c.id)
    source: Any = stretches[0].table
    for more in stretches[1:]:
        source = source.join(more.table, true())
    begins = [one.fits for one in stretches]
    if places is not None and len(ids) == 1:
        begins = [one_of(db, ids[0], [place[0] for place in places])]
    elif places is not None:
        written = _written(places)
        begins = [column == number for column, number in zip(ids, written.c, strict=True)]
        source = source.join(written, true())
    stretch = (
        select(c.at_ms, c.id)
        .where(*(one.refers == one.table.c.id for one in stretches), *conditions)
        .order_by(*direction)
        .limit(each)
        .correlate(*(one.table for one in stretches))
    )
    if db.dialect.name == "postgresql":
        first = stretch.lateral("first")
        order = [
            first.c[column.name].desc() if query.order == "newest" else first.c[column.name]
            for column in stretch.selected_columns
        ]
        statement = select(*first.c, *ids).select_from(source.join(first, true())).where(*begins)
        for at_ms, number, *place in db.execute(statement.order_by(*order).limit(query.limit + 1)).all():
            yield at_ms, number, tuple(place)
        return
    # As JSON, so that a stretch is one row: given records to join with, the planner may begin with the records.
    among = stretch.subquery("stretch").c
    pairs = select(func.json_group_array(func.json_array(among.at_ms, among.id))).scalar_subquery()
    # With a limit of its own, so that what is empty is left out without being asked for twice.
    every = (
        select(func.nullif(pairs, "[]").label("firsts"), *ids).select_from(source).where(*begins).limit(-1)
    )
    rows = every.subquery("every")
    for firsts, *place in db.execute(select(rows).where(rows.c.firsts.is_not(None))):
        for at_ms, number in _decode(firsts):
            yield at_ms, number, tuple(place)


def one_of(db: Connection, column: ColumnElement[int], numbers: Sequence[int]) -> Condition:
    """Return the condition that a column has one of these numbers.

    They are written out at last, for a thousand parameters cost more than what they are asked for.
    """
    if db.dialect.name == "postgresql":
        # As one constant: of a list, the server reads each number as an expression.
        return column == any_(bindparam("numbers", numbers, _Numbers(), unique=True, literal_execute=True))
    return column.in_(bindparam("numbers", numbers, unique=True, expanding=True, literal_execute=True))


class _Numbers(UserDefinedType[Sequence[int]]):
    """An array of PostgreSQL."""

    cache_ok = True

    def literal_processor(self, dialect: Dialect) -> Callable[[Sequence[int]], str]:
        return lambda numbers: f"'{{{','.join(map(str, numbers))}}}'::bigint[]"


def _written(places: Sequence[tuple[int, ...]]) -> Any:
    """Where to look, as a table; written out, since it is whole numbers. Both databases call its columns so."""
    rows = ",".join(f"({','.join(f'{number:d}' for number in place)})" for place in places)
    columns = [column(f"column{number}", BigInteger) for number in range(1, len(places[0]) + 1)]
    return text(f"VALUES {rows}").columns(*columns).cte("places")
