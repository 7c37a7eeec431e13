"""People: who they are, across records.

Rules:

* A person is a ``user_id`` within a *scope*: a site (two sites use the same number for two people), a terminal, or
  everywhere. Who has a name or some number but no ``user_id`` is a person for each form of their data.
* How they are called is how they were last seen, unless a name was imported for their number (staff.py). A search
  finds what they were called before, too.
* Strangers are no people: they are records without one (``RecordQuery.strangers``).
* Held terminals' records, and people whom nothing else has seen, are not shown; nor is who was erased.

A person's id is the row of ``identities`` in which they first appeared, and within the scope *terminal* that
terminal: ``"17"``, ``"17-4"``. It has neither name nor number in it, so it may stand in addresses and logs.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    func,
    or_,
    select,
    union_all,
)

from gatepost.store.conversion.values import moment
from gatepost.store.cursor import decode_cursor, encode_cursor
from gatepost.store.fold import ESCAPE, like
from gatepost.store.interface import Counted, ForUser, Page, Visible
from gatepost.store.page_bytes import fitting
from gatepost.store.people.groups import (
    Group,
    Wanted,
    decode_groups,
    forms_at_sites,
    group_key,
    listed_groups,
    wanted_groups,
)
from gatepost.store.people.joined import Joined
from gatepost.store.people.person import TYPES, PeopleQuery, Person, Rules, kind_of
from gatepost.store.people.staff import Entry, imported, named_like
from gatepost.store.query.counting import COUNT_MOST, counted
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import hidden_terminals

__all__ = ["People", "people_page", "place_of", "with_entry"]

_HEADS_OF_TERMINALS = 16
"""Within the scope *terminal*, for how many numbers at once it is looked up which terminals have seen them."""

COUNT_EACH = 1_000
"""People of whom each is looked at to count them."""

_ID = re.compile(r"([1-9]\d{0,17})(?:-([1-9]\d{0,17}))?")


class People:
    """Everybody who was seen, on either database. Every method blocks; any thread may call it."""

    def __init__(self, store: ForUser, rules: Rules) -> None:
        self._store = store
        self.rules = rules

    def page(self, query: PeopleQuery) -> Page[Person]:
        """Return a page of people. Raises :class:`~gatepost.store.cursor.BadCursor`."""
        with self._store.reading() as db:
            return people_page(db, query, self.rules, self._store.visible)

    def count(self, query: PeopleQuery) -> Counted:
        """Count the people of a query; where each has to be looked at, up to :data:`COUNT_EACH`."""
        with self._store.reading() as db:
            return count_people(db, query, self.rules, self._store.visible)

    def person(self, person_id: str) -> Person | None:
        """By id; that of any form of their data is understood."""
        with self._store.reading() as db:
            return _person_by_id(db, person_id, self.rules, self._store.visible)

    def ids(self, forms: Iterable[tuple[int, int]]) -> dict[tuple[int, int], str]:
        """Return the id of the person by the form of their data and the terminal that saw it, both by id."""
        wanted = set(forms)
        if not wanted:
            return {}
        with self._store.reading() as db:
            heads = _heads_of(db, sorted({identity for identity, _ in wanted}), self.rules)
            heads |= Joined.read(db, self.rules, self._store.visible).heads
        terminal = self.rules.scope == "terminal"
        return {
            (identity, of): _id(heads.get(identity, identity), of if terminal else 0)
            for identity, of in wanted
        }

    def groups(self, site_id: int | None = None) -> list[Group]:
        """Return the groups that people have been seen in, by name."""
        with self._store.reading() as db:
            return list(listed_groups(db, self._store.visible, site_id=site_id).values())


def people_page(db: Connection, query: PeopleQuery, rules: Rules, visible: Visible) -> Page[Person]:
    before = None if query.cursor is None else decode_cursor(query.cursor, "people")
    hidden = hidden_terminals(db, visible)
    groups = None if query.group is None else wanted_groups(db, query.group, visible)
    joined = Joined.read(db, rules, visible)
    found: list[Person] = []
    # Somebody may be as many people as there are terminals.
    step = min(_HEADS_OF_TERMINALS, query.limit + 1) if rules.scope == "terminal" else query.limit + 1
    while len(found) <= query.limit:
        heads = _heads(db, query, groups, rules, visible, joined, before=before, limit=step)
        # Somebody whose place among several terminals lies beyond the last page is looked at again.
        for person in _people(db, heads, rules, visible, joined, hidden=hidden):
            place = place_of(person)
            if (before is None or place < before) and _fits(person, query, groups):
                found.append(person)
        if len(heads) < step:
            break
        before = (heads[-1], 0)
    shown = found[: query.limit]
    shown = shown[: fitting([person.size for person in shown])]
    cursor = encode_cursor("people", *place_of(shown[-1])) if len(found) > len(shown) else None
    return Page(tuple(shown), cursor)


def count_people(db: Connection, query: PeopleQuery, rules: Rules, visible: Visible) -> Counted:
    """Count the people who fit."""
    looked_at = rules.scope == "terminal" or query.kind != "all" or query.type is not None
    if looked_at or query.group is not None or hidden_terminals(db, visible):
        page = people_page(db, replace(query, limit=COUNT_EACH, cursor=None), rules, visible)
        fit = [one for one in page.items if query.kind in ("all", kind_of(one.type))]
        return Counted(len(fit), more=page.next_cursor is not None)
    # Everyone who has a form was seen at a terminal that is shown.
    joined = Joined.read(db, rules, visible)
    heads = _heads(db, query, None, rules, visible, joined, before=None, limit=COUNT_MOST + 1)
    return counted(len(heads))


def place_of(person: Person) -> tuple[int, int]:
    """Return where a person stands in the list of people."""
    head, _, terminal = person.id.partition("-")
    return int(head), int(terminal or 0)


def _fits(person: Person, query: PeopleQuery, groups: Wanted | None) -> bool:
    if query.type is not None and person.type != query.type:
        return False
    return groups is None or groups.has(person.groups)


def _heads(
    db: Connection,
    query: PeopleQuery,
    groups: Wanted | None,
    rules: Rules,
    visible: Visible,
    joined: Joined,
    *,
    before: tuple[int, ...] | None,
    limit: int,
) -> list[int]:
    """Return the first identity of each person who may fit, the latest first.

    Those who were erased have no ``user_id``, so that people are found in the index alone unless a text is asked for.
    """
    i = t.identities.c
    keys = [i.user_id] if rules.scope == "everywhere" else [i.user_id, i.site_id]
    apart = joined.apart()
    numbered = select(func.min(i.id).label("head")).where(i.user_id != "", *apart).group_by(*keys)
    alone = select(i.id).where(i.user_id == "", i.erased_at_ms.is_(None), *apart)
    here = forms_at_sites(visible)
    conditions = _conditions(query, groups)
    for condition in [and_(*here, one) for one in conditions] or here:
        numbered = numbered.having(func.max(case((condition, 1), else_=0)) == 1)
        alone = alone.where(condition)
    head = union_all(numbered, alone).subquery().c.head
    statement = select(head).order_by(head.desc()).limit(limit)
    if before is not None:
        statement = statement.where(head <= before[0] if before[1] else head < before[0])
    heads = list(db.execute(statement).scalars())
    if not joined:
        return heads
    fitting_heads = set(joined.forms)
    for condition in conditions:
        forms = select(i.id).where(joined.within(), condition)
        fitting_heads &= {joined.heads[form] for form in db.execute(forms).scalars()}
    more = [head for head in fitting_heads if before is None or head < before[0]]
    return sorted([*heads, *more], reverse=True)[:limit]


def _conditions(query: PeopleQuery, groups: Wanted | None) -> list[ColumnElement[bool]]:
    """Return what some form of a person's data must be like. Whether the last one is, is checked afterwards."""
    i = t.identities.c
    found: list[ColumnElement[bool]] = []
    if query.q is not None:
        found.append(or_(i.folded.like(like(query.q, "any"), escape=ESCAPE), named_like(query.q)))
    if query.site_id is not None:
        found.append(i.site_id == query.site_id)
    if query.type is not None:
        found.append(i.type == query.type)
    if query.kind == "employees":
        found.append(or_(i.type.is_(None), i.type.not_in([int(code) for code in TYPES.values()])))
    elif query.kind != "all":
        found.append(i.type == int(TYPES[query.kind]))
    if groups is not None:
        found.append(groups.condition())
    return found


def _person_by_id(db: Connection, person_id: str, rules: Rules, visible: Visible) -> Person | None:
    match = _ID.fullmatch(person_id)
    if match is None or (match[2] is None) == (rules.scope == "terminal"):
        return None
    i = t.identities.c
    asked = db.execute(
        select(i.site_id, i.user_id).where(i.id == int(match[1]), i.erased_at_ms.is_(None))
    ).one_or_none()
    if asked is None:
        return None
    head = int(match[1])
    joined = Joined.read(db, rules, visible)
    if head in joined.heads:
        head = joined.heads[head]
    elif asked.user_id:
        same = select(func.min(i.id)).where(i.user_id == asked.user_id, i.erased_at_ms.is_(None))
        if rules.scope != "everywhere":
            same = same.where(i.site_id == asked.site_id)
        head = db.execute(same).scalar_one()
    terminal_id = None if match[2] is None else int(match[2])
    found = _people(db, [head], rules, visible, joined, hidden=hidden_terminals(db, visible))
    return next((person for person in found if person.terminal_id == terminal_id), None)


def _people(
    db: Connection,
    heads: Sequence[int],
    rules: Rules,
    visible: Visible,
    joined: Joined,
    *,
    hidden: Sequence[int],
) -> list[Person]:
    """Return the people who begin with these identities, the latest first; only those with a visible record."""
    found: dict[tuple[int, int], list[Row[Any]]] = {}
    wanted = set(heads) & joined.forms.keys()
    firsts = [first for first, head in joined.firsts.items() if head in wanted]
    asked = [*(head for head in heads if head not in wanted), *firsts]
    for start in range(0, len(asked), 1000):
        for row in db.execute(_forms(asked[start : start + 1000], rules, visible, hidden)):
            if row.last_ms is not None:
                head = joined.firsts.get(row.head, row.head)
                key = (head, row.terminal_id if rules.scope == "terminal" else 0)
                found.setdefault(key, []).append(row)
    people = [_person(key, rows) for key, rows in sorted(found.items(), reverse=True)]
    entries = imported(db, ((person.user_id, person.site_id) for person in people))
    found_people = []
    for person in people:
        entry = entries.get((person.user_id, person.site_id))
        name, groups_of = with_entry(person.name, person.groups, entry)
        found_people.append(person if entry is None else replace(person, name=name, groups=groups_of))
    return found_people


def with_entry(
    name: str, groups: tuple[dict[str, Any], ...], entry: Entry | None
) -> tuple[str, tuple[dict[str, Any], ...]]:
    """Return the name and the groups of a person with what was imported for their number."""
    if entry is None:
        return name, groups
    department = {"id": "", "name": entry.department}
    is_new = bool(entry.department) and group_key(department) not in {group_key(group) for group in groups}
    return entry.name or name, (*groups, department) if is_new else groups


def _forms(heads: Sequence[int], rules: Rules, visible: Visible, hidden: Sequence[int]) -> Any:
    """Every form of these people's data, with when it was first and last seen, and where last."""
    i, r = t.identities.c, t.records.c
    h = t.identities.alias("head")
    same = [h.c.user_id == i.user_id, or_(i.user_id != "", i.id == h.c.id), i.erased_at_ms.is_(None)]
    if rules.scope != "everywhere":
        same.append(h.c.site_id == i.site_id)
    same += forms_at_sites(visible)
    shown = [r.terminal_id.not_in(hidden)] if hidden else []
    columns: list[Any] = [
        h.c.id.label("head"),
        t.identities,
        t.sites.c.name.label("site"),
        t.sites.c.timezone.label("site_timezone"),
    ]
    source = h.join(t.identities, and_(*same)).join(t.sites, t.sites.c.id == i.site_id)
    if rules.scope == "terminal":
        source = source.join(t.records, and_(r.identity_id == i.id, *shown))
        seen = [r.terminal_id, func.min(r.at_ms).label("first_ms"), func.max(r.at_ms).label("last_ms")]
        statement = select(*columns, *seen).select_from(source)
        return statement.where(h.c.id.in_(heads)).group_by(
            h.c.id, *i, t.sites.c.name, t.sites.c.timezone, r.terminal_id
        )
    stretch = select(r.terminal_id).where(r.identity_id == i.id, *shown).correlate(t.identities)
    last = stretch.order_by(r.at_ms.desc(), r.id.desc()).limit(1)
    return (
        select(
            *columns,
            stretch.with_only_columns(func.min(r.at_ms)).scalar_subquery().label("first_ms"),
            stretch.with_only_columns(func.max(r.at_ms)).scalar_subquery().label("last_ms"),
            last.scalar_subquery().label("terminal_id"),
        )
        .select_from(source)
        .where(h.c.id.in_(heads))
    )


def _heads_of(db: Connection, forms: Sequence[int], rules: Rules) -> dict[int, int]:
    """Return the first form of the person's data by any form that has a ``user_id``.

    Written out, since all of it is whole numbers, and every list of records asks it: see ``_members`` of attendance.
    """
    site = "" if rules.scope == "everywhere" else " AND h.site_id = i.site_id"
    first = f"SELECT min(h.id) FROM identities h WHERE h.user_id = i.user_id{site} AND h.erased_at_ms IS NULL"
    found: dict[int, int] = {}
    for start in range(0, len(forms), 1000):
        some = ",".join(f"{form:d}" for form in forms[start : start + 1000])
        rows = db.exec_driver_sql(
            f"SELECT i.id, ({first}) FROM identities i WHERE i.user_id <> '' AND i.id IN ({some})"
        )
        found.update((form, head) for form, head in rows if head is not None)
    return found


def _id(head: int, terminal_id: int) -> str:
    return f"{head}-{terminal_id}" if terminal_id else str(head)


def _person(key: tuple[int, int], rows: Sequence[Row[Any]]) -> Person:
    last = max(rows, key=lambda row: (row.last_ms, row.id))
    head, terminal_id = key
    return Person(
        id=_id(head, terminal_id),
        user_id=last.user_id,
        name=last.name,
        type=last.type,
        job_number=last.job_number,
        ic_number=last.ic_number,
        id_number=last.id_number,
        remark=last.remark,
        guest_from=moment(last.guest_from_ms),
        guest_until=moment(last.guest_until_ms),
        groups=decode_groups(last.groups),
        site_id=last.site_id,
        site=last.site,
        timezone=last.site_timezone,
        terminal_id=terminal_id or None,
        first_seen=moment(min(row.first_ms for row in rows)),
        last_seen=moment(last.last_ms),
        last_terminal_id=last.terminal_id,
        identities=tuple(sorted(row.id for row in rows)),
    )
