"""Find who is inside: people whose latest passage at a site says that they are there.

Rules:

* The latest passage decides, by when it happened and not by when it arrived. A refused record is no passage.
* At a terminal of the direction *in* it says inside, for :data:`IN_HOLDS_MS`; at one of *out*, outside. Where a
  terminal has both directions nothing says which it was: then it says inside until :data:`BOTH_HOLDS_MS` have gone by,
  the time without a passage after which a new shift begins (shifts.py).
* A person who is one at several sites, because people are one everywhere or were joined, is inside at the site of their
  latest passage alone.
* Strangers who were let in are counted, and are no people. Corrections are about attendance and count for nothing here.

Flow: of each form of a person's data the latest passage → the latest of each person → those that say inside → names, in
the order of a list that is read out. The latest passages are found among all of the last hours, out of the index by
time; where those are very many, out of the index by person, one by one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, select, true
from sqlalchemy.dialects.postgresql import distinct_on

from gatepost.store.conversion.values import DAY_MS, moment, ms
from gatepost.store.interface import Direction, ForUser, Visible
from gatepost.store.page_bytes import weight
from gatepost.store.people.groups import Wanted, decode_groups, forms_at_sites, wanted_groups
from gatepost.store.people.joined import Joined
from gatepost.store.people.passage_rule import is_passage, passage_facets
from gatepost.store.people.people import with_entry
from gatepost.store.people.person import Kind, Rules, kind_of
from gatepost.store.people.shifts import REST_MS
from gatepost.store.people.staff import imported
from gatepost.store.query.record_search import of_strangers
from gatepost.store.schema import tables as t
from gatepost.store.terminals.registry import sites
from gatepost.store.terminals.terminal_labels import TerminalLabel, all_places, hidden_terminals

__all__ = [
    "BOTH_HOLDS_MS",
    "IN_HOLDS_MS",
    "Inside",
    "InsideQuery",
    "PersonInside",
    "SiteInside",
    "WhoIsInside",
]

IN_HOLDS_MS = 36 * DAY_MS // 24
"""A guard of 24 hours is still inside at the end; a person who left by another way is not listed for ever."""

BOTH_HOLDS_MS = REST_MS

MANY = 40_000
"""Up to so many passages of the last hours are all read. To look up each form costs more until then: there may be one
for each visit, and in PostgreSQL each is looked up in every part of the records."""


class PersonInside(Struct, frozen=True, kw_only=True, gc=False):
    """Hold a person who is inside, and their latest passage."""

    identity_id: int
    """The form of their data that the passage has."""
    user_id: str
    name: str
    type: int | None
    job_number: str
    groups: tuple[dict[str, Any], ...]
    departments: tuple[str, ...]
    """The names of their groups."""
    site_id: int
    site: str
    timezone: str
    at: datetime
    terminal_id: int
    terminal: str
    """What the terminal is called."""
    direction: Direction

    @property
    def size(self) -> int:
        """Return what it counts with on a page: see page_bytes.py."""
        texts = (self.user_id, self.name, self.job_number, *self.departments, self.site, self.terminal)
        return weight(*texts, row=512)


class SiteInside(Struct, frozen=True):
    """Count who is inside at a site."""

    site_id: int
    site: str
    timezone: str
    people: int
    strangers: int
    """Records of strangers who were let in within :data:`BOTH_HOLDS_MS`."""


class Inside(Struct, frozen=True):
    """Hold who is inside at a moment, by site and name."""

    at: datetime
    sites: tuple[SiteInside, ...]
    people: tuple[PersonInside, ...]


class InsideQuery(Struct, frozen=True, kw_only=True):
    """Which of those who are inside. ``None`` does not filter."""

    at: datetime
    is_now: bool = True
    """``at`` is the present; otherwise what happened later does not count."""
    site_id: int | None = None
    group: str | None = None
    kind: Kind = "all"


class _Passage(NamedTuple):
    """Hold a latest passage, and the form of the person's data that it has: thousands are read for one question."""

    at_ms: int
    terminal_id: int
    identity_id: int
    user_id: str
    site_id: int
    name: str
    type: int | None
    job_number: str
    groups: str


class WhoIsInside:
    """Tell who is inside, on either database. Every method blocks; any thread may call it."""

    def __init__(self, store: ForUser, rules: Rules) -> None:
        self._store = store
        self._rules = rules

    def ask(self, query: InsideQuery) -> Inside:
        """Return who is inside. Raises :class:`~gatepost.errors.StoreUnavailable`."""
        visible = self._store.visible
        with self._store.reading() as db:
            terminals = {place.id: place for place in all_places(db, visible)}
            joined = Joined.read(db, self._rules, visible)
            latest = _latest(db, query, self._rules, visible, joined)
            inside = [one for one in latest if _is_inside(one, terminals.get(one.terminal_id), ms(query.at))]
            groups = None if query.group is None else wanted_groups(db, query.group, visible)
            people = [one for one in _people(db, inside, terminals) if _fits(one, query, groups)]
            strangers = _strangers(db, query, visible, terminals)
            listed = [site for site in sites(db, visible) if query.site_id in (None, site.id)]
        people.sort(
            key=lambda one: (one.site, one.site_id, one.name == "", one.name, one.user_id, one.identity_id)
        )
        counts: dict[int, int] = {}
        for person in people:
            counts[person.site_id] = counts.get(person.site_id, 0) + 1
        return Inside(
            query.at,
            tuple(
                SiteInside(
                    site.id, site.name, site.timezone, counts.get(site.id, 0), strangers.get(site.id, 0)
                )
                for site in sorted(listed, key=lambda one: (one.name, one.id))
            ),
            tuple(people),
        )


def _fits(person: PersonInside, query: InsideQuery, groups: Wanted | None) -> bool:
    if query.site_id not in (None, person.site_id) or query.kind not in ("all", kind_of(person.type)):
        return False
    return groups is None or groups.has(person.groups)


def _is_inside(one: _Passage, terminal: TerminalLabel | None, at_ms: int) -> bool:
    """Return whether a latest passage says inside at a moment."""
    if terminal is None or terminal.direction == "out":
        return False
    return at_ms - one.at_ms <= (IN_HOLDS_MS if terminal.direction == "in" else BOTH_HOLDS_MS)


def _window(query: InsideQuery, holds_ms: int) -> list[ColumnElement[bool]]:
    r, at_ms = t.records.c, ms(query.at)
    return [r.at_ms >= at_ms - holds_ms, *([] if query.is_now else [r.at_ms <= at_ms])]


def _latest(
    db: Connection, query: InsideQuery, rules: Rules, visible: Visible, joined: Joined
) -> list[_Passage]:
    """Return the latest passage of each person whom a terminal that is shown has seen in the time that counts."""
    i, r = t.identities.c, t.records.c
    here = [i.erased_at_ms.is_(None), *forms_at_sites(visible)]
    if query.site_id is not None and rules.scope != "everywhere" and not joined:
        here.append(i.site_id == query.site_id)
    counts = [*_window(query, IN_HOLDS_MS), *is_passage(db)]
    if hidden := hidden_terminals(db, visible):
        counts.append(r.terminal_id.not_in(hidden))
    of_terminal = rules.scope == "terminal"
    everywhere = rules.scope == "everywhere"
    found: dict[tuple[str | int, int, int], _Passage] = {}
    facets = passage_facets(db)
    if _are_few(db, query, facets):
        asked = _of_all(db, here, [r.facet_id.in_(facets), *counts], of_terminal=of_terminal)
    else:
        asked = _of_each_form(db, here, counts, of_terminal=of_terminal)
    for row in db.execute(asked):
        one = _Passage._make(row)
        head = joined.heads.get(one.identity_id)
        key: tuple[str | int, int, int]
        if head is not None:
            key = head, 0, 0
        elif one.user_id:
            key = one.user_id, 0 if everywhere else one.site_id, one.terminal_id if of_terminal else 0
        else:
            key = one.identity_id, 0, one.terminal_id if of_terminal else 0
        known = found.get(key)
        if known is None or known[:2] < one[:2]:
            found[key] = one
    return list(found.values())


def _are_few(db: Connection, query: InsideQuery, facets: Sequence[int]) -> bool:
    """Return whether the passages of the time that counts are to be read all."""
    r = t.records.c
    some = select(r.at_ms).where(r.facet_id.in_(facets), *_window(query, IN_HOLDS_MS)).limit(MANY + 1)
    return db.execute(select(func.count()).select_from(some.subquery())).scalar_one() <= MANY


_FORM = tuple(
    t.identities.c[name] for name in ("id", "user_id", "site_id", "name", "type", "job_number", "groups")
)
"""What is read of a form, in the order of :class:`_Passage`."""


def _of_all(
    db: Connection,
    here: Sequence[ColumnElement[bool]],
    counts: Sequence[ColumnElement[bool]],
    *,
    of_terminal: bool,
) -> Select[Any]:
    """Return the question for the latest passage of each form, among all of them; ``of_terminal``: at each terminal."""
    r = t.records.c
    key = [r.identity_id, r.terminal_id] if of_terminal else [r.identity_id]
    if db.dialect.name == "postgresql":
        latest = select(r.at_ms, r.terminal_id, r.identity_id).ext(distinct_on(*key))
        latest = latest.order_by(*key, r.at_ms.desc(), r.terminal_id.desc())
    else:
        # As expressions, so that it does not read the whole index by person to have them in order.
        unsorted = [column + literal_column("0") for column in key]
        latest = select(func.max(r.at_ms).label("at_ms"), r.terminal_id, r.identity_id).group_by(*unsorted)
    found = latest.where(r.identity_id.is_not(None), *counts).subquery()
    source = found.join(t.identities, t.identities.c.id == found.c.identity_id)
    return select(found.c.at_ms, found.c.terminal_id, *_FORM).select_from(source).where(*here)


def _of_each_form(
    db: Connection,
    here: Sequence[ColumnElement[bool]],
    counts: Sequence[ColumnElement[bool]],
    *,
    of_terminal: bool,
) -> Select[Any]:
    """Return the question for the latest passage of each form of people's data; ``of_terminal``: at each terminal.

    It looks at a stretch of the index for each of the forms, of which there are thousands. The planners are told so:
    SQLite by a list, of which a row with ``max`` is the one that has it, and PostgreSQL by ``LATERAL``.
    """
    i, r = t.identities.c, t.records.c
    if db.dialect.name == "postgresql":
        latest = select(r.at_ms, r.terminal_id).where(r.identity_id == i.id, *counts)
        if of_terminal:
            latest = latest.ext(distinct_on(r.terminal_id)).order_by(r.terminal_id, r.at_ms.desc())
        else:
            latest = latest.order_by(r.at_ms.desc(), r.terminal_id.desc()).limit(1)
        of_form = latest.lateral()
        source = t.identities.join(of_form, true())
        return select(of_form.c.at_ms, of_form.c.terminal_id, *_FORM).select_from(source).where(*here)
    key = (r.identity_id, r.terminal_id) if of_terminal else (r.identity_id,)
    grouped = (
        select(func.max(r.at_ms).label("at_ms"), r.terminal_id, r.identity_id)
        .where(r.identity_id.in_(select(i.id).where(*here)), *counts)
        .group_by(*key)
        .subquery()
    )
    source = grouped.join(t.identities, i.id == grouped.c.identity_id)
    return select(grouped.c.at_ms, grouped.c.terminal_id, *_FORM).select_from(source)


def _people(
    db: Connection, passages: Sequence[_Passage], terminals: Mapping[int, TerminalLabel]
) -> list[PersonInside]:
    """Return the people whose latest passages these are."""
    entries = imported(db, ((one.user_id, one.site_id) for one in passages))
    decoded: dict[str, tuple[tuple[dict[str, Any], ...], tuple[str, ...]]] = {}
    found = []
    for one in passages:
        terminal = terminals[one.terminal_id]
        if one.groups not in decoded:
            of_text = decode_groups(one.groups)
            decoded[one.groups] = of_text, _departments(of_text)
        groups, departments = decoded[one.groups]
        name = one.name
        if entries and (entry := entries.get((one.user_id, one.site_id))) is not None:
            name, groups = with_entry(name, groups, entry)
            departments = _departments(groups)
        found.append(
            PersonInside(
                identity_id=one.identity_id,
                user_id=one.user_id,
                name=name,
                type=one.type,
                job_number=one.job_number,
                groups=groups,
                departments=departments,
                site_id=terminal.site_id,
                site=terminal.site,
                timezone=terminal.timezone,
                at=moment(one.at_ms),
                terminal_id=terminal.id,
                terminal=terminal.label,
                direction=terminal.direction,
            )
        )
    return found


def _departments(groups: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(str(one.get("name") or "").strip() or f"#{one.get('id')}" for one in groups)


def _strangers(
    db: Connection, query: InsideQuery, visible: Visible, terminals: Mapping[int, TerminalLabel]
) -> dict[int, int]:
    """Count by site the records of strangers who were let in."""
    r, f = t.records.c, t.facets.c
    hidden = set(hidden_terminals(db, visible))
    doors = [one.id for one in terminals.values() if one.direction != "out" and one.id not in hidden]
    facets = list(db.execute(select(f.id).where(*of_strangers(), f.passed == 1)).scalars())
    if not doors or not facets:
        return {}
    counted = (
        select(r.terminal_id, func.count().label("many"))
        .where(r.terminal_id.in_(doors), r.facet_id.in_(facets), *_window(query, BOTH_HOLDS_MS))
        .where(r.identity_id.is_(None))
        .group_by(r.terminal_id)
    )
    found: dict[int, int] = {}
    for row in db.execute(counted):
        site_id = terminals[row.terminal_id].site_id
        found[site_id] = found.get(site_id, 0) + row.many
    return found
