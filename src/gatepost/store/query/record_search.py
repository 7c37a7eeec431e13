"""Finding records: which ones stand on a page, whatever the filters are.

A page is put together in two steps, so that its price does not depend on how many records there are or how rare the
wanted ones are:

1. *Where to look*: the facets that fit the filters on codes, or the identities that fit the filters on people.
   Each is a stretch of an index that is sorted by time.
2. *Merge*: from each stretch the first few after the cursor, all together sorted, cut off at the limit: index_merge.py.

Where very many people or terminals fit, their records are so many that the page is mostly among the first of all: those
are looked at before.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import (
    Connection,
    Table,
    and_,
    exists,
    false,
    select,
    text,
    true,
    tuple_,
)

from gatepost.store.conversion import coded_fields
from gatepost.store.fold import ESCAPE, like
from gatepost.store.interface import RecordQuery, Visible
from gatepost.store.query.first_records import WIDEST, FirstRecords
from gatepost.store.query.index_merge import Columns, Condition, Stretch, merge, one_of, times
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import terminals_asked, terminals_named
from gatepost.wire.codes import EntryMode, RecognitionType

__all__ = ["all_conditions", "all_of_few", "find", "of_strangers", "where_to_count"]

_MANY = 1_000
"""Above this many index ranges of terminals and facets the newest records are tried first."""

_MANY_PEOPLE = 2_000
"""Above this many people the newest records are tried first, and their ids are not handed on."""

_FEW = 20
"""Of so many people, whatever else is filtered by, one may read every record that is in the way."""

_WINDOWS: tuple[tuple[int | None, int], ...] = (
    *((None, 4_000), (10, 8_000), (20, 12_000)),
    *((40, 16_000), (80, 24_000), (160, 32_000)),
)
"""Where many people or terminals fit, the page is mostly among the first records of all. These are looked through: all,
or as many times as long as a page lasts; and how many at most. What one finds tells which of the next are too short."""

_SHARE, _SHARE_OF_KNOWN = 16, 4
"""Below a sixteenth of the page no more records are looked through; below a quarter, if the people's ids are known."""

_REFERS = {t.facets: t.records.c.facet_id, t.terminals: t.records.c.terminal_id}


class _Where(NamedTuple):
    """At which terminals: those of a site or a name, if one is chosen, that are visible, and none that is held."""

    shown: list[int]
    hidden: list[int]
    chosen: bool
    single: int | None
    """The one terminal that is asked for; it is a condition of its own, and not left to :meth:`at`."""

    def at(self, c: Columns) -> list[Condition]:
        """Return the shorter one of the two lists, as a condition; none where everything is shown."""
        if not self.hidden:
            return []
        few = len(self.shown) < len(self.hidden)
        return [c.terminal_id.in_(self.shown) if few else c.terminal_id.not_in(self.hidden)]


def find(
    db: Connection,
    query: RecordQuery,
    visible: Visible,
    cursor: tuple[int, ...] | None,
    *,
    more: Sequence[Condition] = (),
) -> list[int]:
    """Return the ids of one page and of one record more, in no order; newest or oldest first, after ``cursor``.

    ``more``: other conditions on a record.
    """
    c = t.records.c
    place = _where(db, query, visible)
    base = [*_single(place, c), *more]
    if cursor is not None:
        place_of = tuple_(c.at_ms, c.id)
        base.append(place_of < cursor if query.order == "newest" else place_of > cursor)
    facets = list(db.execute(select(t.facets.c.id).where(*_facet_codes(query))).scalars().all())
    people = _people(query)
    # A stranger is nobody.
    if not facets or not place.shown or (people and query.strangers):
        return []
    base += _codes(query, c, unknown_only=True)
    among = {t.facets: facets}
    many = place.chosen and len(place.shown) * len(facets) > _MANY
    if place.chosen and not many:
        among[t.terminals] = place.shown
    if people:
        return _find_people(db, query, among, base, place=place, people=people)
    if many:
        page = _near(db, query, among, base, place.at, share=_SHARE)
        if page is not None:
            return page
        among[t.terminals] = place.shown
    return _ids(_merge(db, among, [*base, *place.at(c)], query))


def _merge(
    db: Connection, among: Mapping[Table, Sequence[int]], conditions: Sequence[Condition], query: RecordQuery
) -> list[tuple[int, int]]:
    """Return the first records that refer to these rows."""
    stretches = [Stretch(table, table.c.id.in_(ids), _REFERS[table]) for table, ids in among.items()]
    return merge(db, stretches, conditions, query, about=prod(map(len, among.values())))


def _ids(records: Sequence[tuple[int, int]]) -> list[int]:
    return [number for _, number in records]


def _find_people(
    db: Connection,
    query: RecordQuery,
    among: Mapping[Table, Sequence[int]],
    base: Sequence[Condition],
    *,
    place: _Where,
    people: Sequence[Condition],
) -> list[int]:
    """Return a page of the records of those who fit ``people``; ``among``: its records refer to these rows."""
    c, who = t.records.c, t.identities.c
    some = db.execute(select(who.id).where(*people).limit(_MANY_PEOPLE + 1)).scalars().all()
    if not some:
        return []
    known = len(some) <= _MANY_PEOPLE
    filtered = place.chosen or place.single is not None or _codes(query, c)
    if not known or (len(some) > _FEW and filtered):

        def theirs(near: Columns) -> list[Condition]:
            if known:
                return [*place.at(near), one_of(db, near.identity_id, some)]
            return [*place.at(near), exists().where(who.id == near.identity_id, *people)]

        # In SQLite each of them is one look into one index.
        widest = not known and db.dialect.name == "postgresql"
        share = _SHARE_OF_KNOWN if known else _SHARE
        page = _near(db, query, among, base, theirs, share=share, widest=widest)
        if page is not None:
            return page
    conditions = [*base, *place.at(c)]
    if _codes(query, c):
        conditions.append(c.facet_id.in_(among[t.facets]))
    places = [(number,) for number in some] if known else None
    by_person = Stretch(t.identities, and_(*people), c.identity_id)
    return _ids(merge(db, [by_person], conditions, query, places=places, about=len(some)))


def _near(
    db: Connection,
    query: RecordQuery,
    among: Mapping[Table, Sequence[int]],
    base: Sequence[Condition],
    more: Callable[[Columns], Sequence[Condition]],
    *,
    share: int,
    widest: bool = False,
) -> list[int] | None:
    """Return the page if it is among the first records that fit ``base``, or if those are few; else ``None``.

    ``among``: the records refer to these rows. ``more``: the other conditions, by a function of their columns.
    ``share``: where less than one in so many of the page is found, no more is looked through; with ``widest``, about
    :data:`WIDEST` records.
    """
    first = _merge(db, among, base, query)
    if not first:
        return []
    # Written out: to hand over hundreds of numbers takes as long as to look for them.
    refer = [text(f"{_REFERS[table]} IN ({','.join(map(str, ids))})") for table, ids in among.items()]
    near = FirstRecords(db, query, [*base, *refer], begin=first[0][0], end=first[-1][0])
    enough, sparse = 0.0, None
    for lasting, most in _WINDOWS:
        if lasting is not None and lasting < enough:
            continue
        many = near.how_many(lasting, most)
        if many > most:
            continue
        page = near.page(lasting, most, more)
        if len(page) > query.limit or lasting is None:
            return page
        if len(page) * share < query.limit:
            sparse = lasting, many
            break
        enough = 1.25 * lasting * query.limit / len(page)
    if sparse is None or not widest:
        return None
    page = near.page(near.widest(*sparse), WIDEST, more)
    return page if len(page) > query.limit else None


def all_of_few(
    db: Connection, query: RecordQuery, visible: Visible, more: Sequence[Condition]
) -> list[int] | None:
    """Return the ids of every record that fits, in no order; ``None`` if there are more than a thousand."""
    found = find(db, replace(query, order="newest", limit=_MANY, cursor=None), visible, None, more=more)
    return found if len(found) <= _MANY else None


class ToCount(NamedTuple):
    """Say how the records of a query are counted."""

    near: list[Condition]
    """Conditions that an index has: records that may fit."""
    rest: Callable[[Columns], list[Condition]]
    """Return what else they have to fit, by a function of their columns."""


def where_to_count(db: Connection, query: RecordQuery, visible: Visible) -> ToCount | None:
    """Return how to count the records of a query; ``None`` if none fits."""
    c = t.records.c
    place = _where(db, query, visible)
    facets = list(db.execute(select(t.facets.c.id).where(*_facet_codes(query))).scalars().all())
    people = _people(query)
    if not facets or not place.shown or (people and query.strangers):
        return None
    of_codes = one_of(db, c.facet_id, facets)
    near = [*times(query), *_codes(query, c, unknown_only=True)]
    who = t.identities.c
    some = list(db.execute(select(who.id).where(*people).limit(_MANY_PEOPLE + 1)).scalars()) if people else []
    if people and len(some) <= _MANY_PEOPLE:
        has_codes = bool(_codes(query, c))

        def of_people(each: Columns) -> list[Condition]:
            return [
                *_single(place, each),
                *place.at(each),
                *([one_of(db, each.facet_id, facets)] if has_codes else []),
            ]

        return ToCount([*near, one_of(db, c.identity_id, some)], of_people)
    few = place.chosen and len(place.shown) * len(facets) <= _MANY
    near += [*_single(place, c), of_codes, *([one_of(db, c.terminal_id, place.shown)] if few else [])]

    def others(each: Columns) -> list[Condition]:
        fits: list[Condition] = [exists().where(who.id == each.identity_id, *people)] if people else []
        return fits if few else [*place.at(each), *fits]

    return ToCount(near, others)


class _Unsorted:
    """The columns of a record, none of them as an index has it: SQLite would begin there, and sort what it finds."""

    def __getattr__(self, name: str) -> Any:
        column = t.records.c[name]
        return column + 0 if name in ("terminal_id", "facet_id") else column

    __getitem__ = __getattr__


def all_conditions(db: Connection, query: RecordQuery, visible: Visible) -> list[Condition]:
    """Every filter, as conditions on a record: for whoever looks through all of them in another order."""
    c = _Unsorted()
    place = _where(db, query, visible)
    found = [*_single(place, c), *times(query), *place.at(c), *_codes(query, c)]
    if not place.shown:
        found.append(false())
    if _people(query):
        who = t.identities.alias("who")
        found.append(exists().where(who.c.id == c.identity_id, *_people(query, who.c)))
    return found


def _where(db: Connection, query: RecordQuery, visible: Visible) -> _Where:
    c = t.terminals.c
    single: int | None = None
    if query.terminal is not None and visible.every_terminal:
        named = terminals_named(db, query.terminal, visible)
        if len(named) == 1 and query.site_id is None and not query.without_serial:
            (single,) = named
    asked = [] if single is not None else terminals_asked(db, query, visible)
    fits = and_(true(), *asked, *([] if query.include_held else [c.state != "held"]))
    shown: list[int] = []
    hidden: list[int] = []
    for row in db.execute(select(c.id, fits.label("fits"))):
        (shown if row.fits else hidden).append(row.id)
    return _Where(shown, hidden, bool(asked), single)


def _single(place: _Where, c: Columns) -> list[Condition]:
    """Return the condition on one terminal, if one is asked for.

    As a subquery: with a number PostgreSQL counts on how few records a terminal has, and sorts them all.
    """
    if place.single is None:
        return []
    number = select(t.terminals.c.id).where(t.terminals.c.id == place.single).scalar_subquery()
    return [c.terminal_id == number]


def _codes(query: RecordQuery, c: Columns, *, unknown_only: bool = False) -> list[Condition]:
    """Return the filters on codes, on the record itself; a facet lumps together what no table of the page knows."""
    found: list[Condition] = []
    for name, known in coded_fields.KNOWN_CODES.items():
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
        found.append(c.has_image == int(query.has_image))
    if query.strangers:
        found.append(c.facet_id.in_(select(t.facets.c.id).where(*of_strangers())))
    if query.outside_time:
        found.append(c.facet_id.in_(select(t.facets.c.id).where(t.facets.c.outside_time == 1)))
    return found


def of_strangers() -> list[Condition]:
    """Return the conditions on facets of which a record without a person is a stranger's.

    They are of no known kind, and no door button.
    """
    c = t.facets.c
    known = [RecognitionType.EMPLOYEE, RecognitionType.VISITOR, RecognitionType.BLACKLIST]
    return [c.recognition_type.not_in([int(kind) for kind in known]), c.entry_mode != int(EntryMode.BUTTON)]


def _facet_codes(query: RecordQuery) -> list[Condition]:
    c = t.facets.c
    found: list[Condition] = []
    for name in coded_fields.KNOWN_CODES:
        if (value := getattr(query, name)) is not None:
            found.append(c[name] == coded_fields.known(name, value))
    if query.passed is not None:
        found.append(c.passed == int(query.passed))
    if query.has_image is not None:
        found.append(c.has_image == int(query.has_image))
    if query.strangers:
        found += of_strangers()
    if query.outside_time:
        found.append(c.outside_time == 1)
    return found


def _people(query: RecordQuery, who: Columns = t.identities.c) -> list[Condition]:
    people: list[Condition] = []
    if query.person is not None:
        people.append(who.user_id == query.person)
    if query.job_number is not None:
        people.append(who.folded.like(like(query.job_number, "job_number"), escape=ESCAPE))
    if query.name is not None:
        people.append(who.folded.like(like(query.name, "name"), escape=ESCAPE))
    if query.q is not None:
        people.append(who.folded.like(like(query.q, "any"), escape=ESCAPE))
    return people
