"""Tell what moving a terminal to another site changes about people, before it is done."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, exists, func, select

from gatepost.store.fold import fold
from gatepost.store.people.person import Scope
from gatepost.store.schema import tables as t

__all__ = ["LISTED", "NameThere", "WouldMove", "would_move"]

LISTED = 20
"""People of whom it is told that their name differs, at most."""

_STRETCH = 500
"""Values of one query."""


class NameThere(Struct, frozen=True, kw_only=True):
    """A number that has one name at the terminal and another one at the new site."""

    user_id: str
    name: str
    name_there: str


class WouldMove(Struct, frozen=True, kw_only=True):
    """The change about people if a terminal moved to another site."""

    records: int = 0
    """Records of people that go along."""
    people: int = 0
    """People who have these records."""
    divided: int = 0
    """Of them, those who have other records at the site that the terminal leaves: one person at each site then."""
    joining: int = 0
    """Of them, those whose ``user_id`` the new site has already: they become one person with it."""
    different: int = 0
    """Of those, the ones whose name differs at the new site: perhaps two people with one number."""
    names: tuple[NameThere, ...] = ()
    """Their names; at most :data:`LISTED`."""


def would_move(db: Connection, terminal_id: int, site_id: int, scope: Scope) -> WouldMove:
    """Return what it changes to move a terminal to a site: nothing, if it stands there.

    People are only divided and joined where ``scope`` is the site.
    """
    c, r = t.terminals.c, t.records.c
    stands = db.execute(select(c.site_id).where(c.id == terminal_id)).scalar_one_or_none()
    if stands is None or stands == site_id:
        return WouldMove()
    mine = [r.terminal_id == terminal_id, r.identity_id.is_not(None)]
    counted = select(r.identity_id, func.count().label("many")).where(*mine).group_by(r.identity_id)
    many = {row.identity_id: row.many for row in db.execute(counted)}
    forms = [row for row in _identities(db, t.identities.c.id, sorted(many)) if row.erased_at_ms is None]
    people: dict[tuple[str, int], list[Any]] = {}
    for form in forms:
        people.setdefault(_whose(form), []).append(form)
    found = WouldMove(records=sum(many[form.id] for form in forms), people=len(people))
    if scope != "site":
        return found
    numbers = sorted({number for number, _ in people if number})
    same = _of_people(db, numbers, [alone for number, alone in people if not number])
    staying: set[tuple[str, int]] = set()
    there: dict[tuple[str, int], list[Any]] = {}
    for form in same:
        if form.site_id == site_id and form.user_id and form.id not in many:
            there.setdefault(_whose(form), []).append(form)
    for form in _seen_elsewhere(db, [form.id for form in same], terminal_id, stands):
        staying.add(_whose(form))
    different = [
        NameThere(user_id=who[0], name=people[who][-1].name, name_there=others[-1].name)
        for who, others in sorted(there.items())
        if not {fold(form.name) for form in people[who]} & {fold(form.name) for form in others}
    ]
    return WouldMove(
        records=found.records,
        people=found.people,
        divided=len(staying),
        joining=len(there),
        different=len(different),
        names=tuple(different[:LISTED]),
    )


def _whose(form: Any) -> tuple[str, int]:
    """Return what makes forms of data one person's: the number, or without one the form itself."""
    return form.user_id, 0 if form.user_id else form.id


def _of_people(db: Connection, numbers: Sequence[str], alone: Sequence[int]) -> list[Any]:
    """Return every form of people with these numbers, and these forms of people who have none; by id."""
    i = t.identities.c
    found = [*_identities(db, i.user_id, numbers), *_identities(db, i.id, alone)]
    return sorted((form for form in found if form.erased_at_ms is None), key=lambda form: form.id)


def _identities(db: Connection, column: Any, values: Sequence[Any]) -> Iterator[Any]:
    i = t.identities.c
    for some in _parts(values):
        wanted = select(i.id, i.site_id, i.user_id, i.name, i.erased_at_ms).where(column.in_(some))
        yield from db.execute(wanted.order_by(i.id))


def _seen_elsewhere(db: Connection, ids: Sequence[int], terminal_id: int, site_id: int) -> Iterator[Any]:
    """Return those of these identities that another terminal of a site has seen."""
    i, r, c = t.identities.c, t.records.c, t.terminals.c
    others = select(c.id).where(c.site_id == site_id, c.id != terminal_id)
    seen = exists(select(r.id).where(r.identity_id == i.id, r.terminal_id.in_(others)))
    for some in _parts(ids):
        yield from db.execute(select(i.id, i.user_id).where(i.id.in_(some), seen))


def _parts(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[start : start + _STRETCH] for start in range(0, len(values), _STRETCH))
