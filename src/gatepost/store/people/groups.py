"""Groups of people, such as departments: which of those that terminals named are one.

Rules:

* Groups that are named alike are one group, whatever ids terminals gave them. Names are alike if they differ only in
  case, blanks and compatibility forms (NFKC). A group without a name is known by its id.
* An id may stand for several groups: terminals count their groups by themselves. Where an id was renamed, so that no
  person has the old name any more, the old name is not listed.
* A filter is a name or an id. Text that is no known name is an id, and means every group that has it. ``#53`` means the
  group without a name alone.
* A department that was imported for a number (staff.py) is a group of that name.

Functions on a connection, in the caller's transaction.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, case, false, func, or_, select

from gatepost.store.fold import alike
from gatepost.store.interface import Visible
from gatepost.store.page_bytes import weight
from gatepost.store.people.staff import departments, in_department
from gatepost.store.schema import tables as t

__all__ = [
    "MAX_IDS",
    "Group",
    "Wanted",
    "forms_at_sites",
    "decode_groups",
    "group_key",
    "groups_named",
    "listed_groups",
    "wanted_groups",
]


MAX_IDS = 100
"""Ids of one group that are listed. A filter understands every one of them."""


class Group(Struct, frozen=True):
    """Groups of one name."""

    name: str
    """As it was last written."""
    ids: tuple[str, ...]
    """The ids that terminals gave it, the shortest first; at most :data:`MAX_IDS`."""

    @property
    def size(self) -> int:
        """Return what it counts with on a page: see page_bytes.py."""
        return weight(self.id, self.name, *self.ids, row=256)

    @property
    def id(self) -> str:
        """Return the first of the ids."""
        return self.ids[0]

    @property
    def value(self) -> str:
        """Return what a filter is to be so that it means this group alone."""
        return self.name.strip() or f"#{self.id}"


class Wanted(Struct, frozen=True):
    """The groups that a filter means."""

    keys: frozenset[str]
    written: tuple[tuple[str, str], ...]
    """How terminals wrote these groups: id, name."""

    def has(self, groups: Iterable[Mapping[str, Any]]) -> bool:
        """Return whether one of a person's groups is meant."""
        return any(group_key(group) in self.keys for group in groups)

    def condition(self) -> ColumnElement[bool]:
        """Return what the text of a person's groups must be like. What else is like it, :meth:`has` sorts out."""
        texts = set()
        for number, name in self.written:
            # As arrivals.person() writes it.
            field, value = ("name", name) if name.strip() else ("id", number)
            texts.add(f'"{field}":{msgspec.json.encode(value).decode()}')
        found = [t.identities.c.groups.contains(text, autoescape=True) for text in sorted(texts)]
        return or_(false(), *found, in_department(self.keys)) if self.keys else false()


def group_key(group: Mapping[str, Any]) -> str:
    """Return what is the same of groups that are one."""
    name = alike(str(group.get("name") or ""))
    return f"name {name}" if name else f"id {group.get('id')}"


def decode_groups(text: str) -> tuple[dict[str, Any], ...]:
    """Return the groups of a person out of their column."""
    return tuple(msgspec.json.decode(text)) if text else ()


def forms_at_sites(visible: Visible) -> list[ColumnElement[bool]]:
    """Return the condition that a form of a person's data is of a visible site; none where every site is visible."""
    return [] if visible.sites is None else [t.identities.c.site_id.in_(sorted(visible.sites))]


def _alone() -> ColumnElement[int]:
    """Return what tells people without a ``user_id`` apart: each form of their data is a person."""
    i = t.identities.c
    return case((i.user_id == "", i.id), else_=0)


def listed_groups(db: Connection, visible: Visible, *, site_id: int | None = None) -> dict[str, Group]:
    """Return the groups that people have been seen in, by key, in the order of their names."""
    i = t.identities.c
    here = forms_at_sites(visible) + ([] if site_id is None else [i.site_id == site_id])
    last_of_each = (
        select(func.max(i.id)).where(i.erased_at_ms.is_(None), *here).group_by(i.site_id, i.user_id, _alone())
    )
    written = _written(db, select(i.groups).where(*here).group_by(i.groups).order_by(func.max(i.id)))
    current = set(_written(db, select(i.groups).where(*here, i.id.in_(last_of_each)).distinct()))
    renamed = {number for number, _ in current}
    found: dict[str, tuple[str, list[str]]] = {}
    for number, name in written:
        if (number, name) not in current and number in renamed:
            continue
        key = group_key({"id": number, "name": name})
        ids = found[key][1] if key in found else []
        found[key] = (name, ids if number in ids else [*ids, number])
    for department in departments(db, visible, site_id):
        found.setdefault(group_key({"id": "", "name": department}), (department, [""]))
    groups = {
        key: Group(name, tuple(sorted(ids, key=lambda one: (len(one), one))[:MAX_IDS]))
        for key, (name, ids) in found.items()
    }
    return dict(sorted(groups.items(), key=lambda item: (item[1].name, item[1].ids)))


def groups_named(groups: Iterable[Group], asked: str) -> list[Group]:
    """Return those of the listed groups that a filter means: one by its value, else all that have the id."""
    listed = list(groups)
    by_name = [group for group in listed if group.name.strip() and alike(group.name) == alike(asked)]
    nameless = [group for group in listed if group.value == asked]
    return by_name or nameless or [group for group in listed if asked in group.ids]


def wanted_groups(db: Connection, asked: str, visible: Visible) -> Wanted:
    """Return what a filter by group means; nothing where no person has been seen in such a group."""
    written = _written(db, select(t.identities.c.groups).where(*forms_at_sites(visible)).distinct())
    written += [("", department) for department in departments(db, visible)]
    of_key: dict[str, list[tuple[str, str]]] = {}
    of_id: dict[str, set[str]] = {}
    for number, name in written:
        key = group_key({"id": number, "name": name})
        of_key.setdefault(key, []).append((number, name))
        of_id.setdefault(number, set()).add(key)
    named = f"name {alike(asked)}"
    nameless = f"id {asked[1:]}" if asked.startswith("#") else None
    one = next((key for key in (named, nameless) if key in of_key), None)
    keys = frozenset(of_id.get(asked, set()) if one is None else {one})
    return Wanted(keys, tuple(each for key in sorted(keys) for each in of_key[key]))


def _written(db: Connection, groups: Select[tuple[str]]) -> list[tuple[str, str]]:
    """Return each id and name as terminals wrote them, once each, in the order in which ``groups`` ends with them."""
    i = t.identities.c
    written: dict[tuple[str, str], None] = {}
    for row in db.execute(groups.where(i.erased_at_ms.is_(None), i.groups != "")):
        for group in decode_groups(row.groups):
            one = str(group.get("id")), str(group.get("name") or "")
            written.pop(one, None)
            written[one] = None
    return list(written)
