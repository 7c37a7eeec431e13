"""Joined people: several numbers, at one site or at several, that a person of the office says are one person.

Rules:

* To join writes which numbers belong together, and nothing else; to part deletes that. So parting restores exactly what
  was before, and what was written about a person meanwhile stays with the number that it was written to.
* A number is referred to by a form of the person's data. So it moves with its terminal, goes to another form when
  retention deletes the one, and leaves with the person.
* A user sees of a joined person the forms at the sites that they see. Where that is one number alone, nothing says that
  it is joined.
* Where people are told apart by terminal, no one is joined.

There are few: all of them are read at once, before a question about people.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct
from sqlalchemy import Connection, TextClause, delete, func, select, text

from gatepost.store.conversion.values import moment
from gatepost.store.interface import ForUser, Transactions, Visible
from gatepost.store.people.groups import forms_at_sites
from gatepost.store.schema import tables as t
from gatepost.store.terminals.registry import Conflict
from gatepost.store.turns import take_turns

__all__ = ["MAX_JOINED", "Joined", "JoinedNumber", "Joins", "Number", "number_of", "others_of"]

MAX_JOINED = 5_000
"""Numbers that are joined with others, in all."""

MAX_NUMBERS = 20
"""Numbers of one person."""

Number = tuple[str, int]
"""A ``user_id`` and its site, 0 where a person is one everywhere; or an empty one and the form of the data."""


class JoinedNumber(Struct, frozen=True, kw_only=True):
    """Hold a number of a joined person."""

    identity_id: int
    """A form of the data that has it."""
    user_id: str
    name: str
    site_id: int
    site: str
    made_by: str
    made_at: datetime


class _Scoped(Protocol):
    @property
    def scope(self) -> str: ...


class _ForUser(ForUser, Transactions, Protocol):
    """The store as a user sees it, to change as well."""


class _Person(Protocol):
    @property
    def identities(self) -> tuple[int, ...]: ...


def number_of(row: Any, rules: _Scoped) -> Number:
    """Return the number that a row of ``identities`` has, as people are told apart."""
    if not row.user_id:
        return "", int(row.id)
    return row.user_id, 0 if rules.scope == "everywhere" else int(row.site_id)


def _in(numbers: Iterable[int]) -> str:
    """Return a list of whole numbers as SQL writes it: there may be thousands."""
    return f"IN ({','.join(f'{number:d}' for number in sorted(numbers))})"


class Joined:
    """Tell which forms of people's data belong to a joined person, for one question of one user."""

    def __init__(self, people: Iterable[Mapping[Number, Sequence[int]]] = ()) -> None:
        """``people``: the visible forms of each joined person, by number; two numbers at least."""
        self.forms: dict[int, tuple[int, ...]] = {}
        """The forms of each person, by the first of them."""
        self.heads: dict[int, int] = {}
        """The first form of the person, by form."""
        self.firsts: dict[int, int] = {}
        """The first form of the person, by one form of each of the numbers."""
        for numbers in people:
            forms = tuple(sorted(form for some in numbers.values() for form in some))
            self.forms[forms[0]] = forms
            self.heads |= dict.fromkeys(forms, forms[0])
            self.firsts |= dict.fromkeys((min(some) for some in numbers.values()), forms[0])

    def __bool__(self) -> bool:
        return bool(self.forms)

    @classmethod
    def read(cls, db: Connection, rules: _Scoped, visible: Visible) -> "Joined":
        """Return the joined people as a user sees them."""
        return cls(
            numbers
            for group in _groups(db, rules)
            if len(numbers := _visible_numbers(db, group, rules, visible)) > 1
        )

    def apart(self) -> list[TextClause]:
        """Return the condition on ``identities`` that a form is of no joined person."""
        return [text(f"identities.id NOT {_in(self.heads)}")] if self else []

    def within(self) -> TextClause:
        """Return the condition on ``identities`` that a form is of a joined person, of whom there is one at least."""
        return text(f"identities.id {_in(self.heads)}")


def _groups(db: Connection, rules: _Scoped) -> list[list[Number]]:
    """Return the numbers of each joined person, at all sites."""
    if rules.scope == "terminal":
        return []
    j, i = t.joined_people.c, t.identities.c
    rows = db.execute(
        select(j.person, i.id, i.user_id, i.site_id)
        .join(t.identities, i.id == j.identity_id)
        .where(i.erased_at_ms.is_(None))
        .order_by(j.id)
    ).all()
    # A move of a terminal may make two numbers one, of two joined people: these are one, then.
    groups: dict[int, dict[Number, None]] = {}
    group_of: dict[Number, dict[Number, None]] = {}
    for row in rows:
        number = number_of(row, rules)
        mine = groups.setdefault(row.person, {})
        other = group_of.get(number)
        if other is not None and other is not mine:
            other |= mine
            group_of |= dict.fromkeys(mine, other)
            groups = {person: other if one is mine else one for person, one in groups.items()}
            mine = other
        mine[number] = None
        group_of[number] = mine
    return [list(one) for one in {id(one): one for one in groups.values()}.values() if len(one) > 1]


def others_of(
    db: Connection, identities: Iterable[int], rules: _Scoped, visible: Visible
) -> list[tuple[Number, tuple[int, ...]]]:
    """Return the visible numbers of the joined person who has these forms, each with its forms; none without a join."""
    mine = set(identities)
    for group in _groups(db, rules):
        numbers = _visible_numbers(db, group, rules, visible)
        if any(mine & set(forms) for forms in numbers.values()):
            return [(number, tuple(forms)) for number, forms in numbers.items()]
    return []


def _visible_numbers(
    db: Connection, numbers: Sequence[Number], rules: _Scoped, visible: Visible
) -> dict[Number, list[int]]:
    """Return the visible forms of these numbers."""
    i = t.identities.c
    named = sorted({user_id for user_id, _ in numbers if user_id})
    alone = sorted(form for user_id, form in numbers if not user_id)
    same = (i.user_id.in_(named) & (i.user_id != "")) | i.id.in_(alone)
    wanted = select(i.id, i.user_id, i.site_id).where(
        same, i.erased_at_ms.is_(None), *forms_at_sites(visible)
    )
    found: dict[Number, list[int]] = {}
    for row in db.execute(wanted.order_by(i.id)):
        if (number := number_of(row, rules)) in numbers:
            found.setdefault(number, []).append(row.id)
    return found


class Joins:
    """Join and part people. Every method blocks; any thread may call it.

    Raises :class:`~gatepost.errors.StoreUnavailable`.
    """

    def __init__(self, store: _ForUser, rules: _Scoped) -> None:
        self._store = store
        self._rules = rules

    def numbers(self, person: _Person) -> list[JoinedNumber]:
        """Return the numbers of a joined person that are visible, the first joined first; none if it is not joined."""
        with self._store.reading() as db:
            return self._numbers(db, person.identities)

    def all_forms(self, person: _Person) -> list[tuple[Number, tuple[int, ...]]]:
        """Return the visible numbers of a joined person with all of their forms; none if it is not joined.

        Also those forms that only a held terminal has seen.
        """
        with self._store.reading() as db:
            found = others_of(db, person.identities, self._rules, self._store.visible)
        return found if len(found) > 1 else []

    def join(self, person: _Person, other: _Person, *, by: str, now_ms: int) -> None:
        """Say that two people are one.

        Raises ``ValueError`` where they cannot be, and :class:`~gatepost.store.terminals.registry.Conflict` where they
        are one already.
        """
        if self._rules.scope == "terminal":
            raise ValueError(
                "people are told apart by terminal here (people_scope), so that they cannot be joined"
            )
        if set(person.identities) & set(other.identities):
            raise Conflict("other_id: these are one person already")
        j = t.joined_people.c
        with self._store.changing() as db:
            take_turns(db)  # or two pairs that are joined at once could get one place
            if db.execute(select(func.count()).select_from(t.joined_people)).scalar_one() > MAX_JOINED - 2:
                raise Conflict(f"there are {MAX_JOINED} joined numbers already; part some first")
            mine, theirs = (_rows_of(db, one.identities) for one in (person, other))
            if len(mine) + len(theirs) + (not mine) + (not theirs) > MAX_NUMBERS:
                raise Conflict(f"one person has {MAX_NUMBERS} numbers at most; part some first")
            place = min([row.person for row in (*mine, *theirs)], default=None)
            if place is None:
                place = (db.execute(select(func.max(j.person))).scalar() or 0) + 1
            for rows, one in ((mine, person), (theirs, other)):
                if rows:
                    same = j.person.in_(sorted({row.person for row in rows}))
                    db.execute(t.joined_people.update().where(same).values(person=place))
                else:
                    values = {"person": place, "identity_id": max(one.identities), "made_by": by}
                    db.execute(t.joined_people.insert().values(values | {"made_at_ms": now_ms}))

    def part(self, person: _Person, identity_id: int) -> JoinedNumber | None:
        """Take one number out of a joined person, by a form of its data; return it, ``None`` if it is none of theirs.

        The last one that remains is parted as well.
        """
        j = t.joined_people.c
        with self._store.changing() as db:
            take_turns(db)
            found = next(
                (one for one in self._numbers(db, person.identities) if one.identity_id == identity_id), None
            )
            if found is None:
                return None
            people = sorted({row.person for row in _rows_of(db, person.identities)})
            same = self._same_number(db, identity_id)
            db.execute(delete(t.joined_people).where(j.identity_id.in_(same)))
            left = db.execute(select(j.id).where(j.person.in_(people))).scalars().all()
            if len(left) == 1:
                db.execute(delete(t.joined_people).where(j.id.in_(left)))
        return found

    def _same_number(self, db: Connection, identity_id: int) -> list[int]:
        """Return the forms of a person's data that have the number of one of them."""
        i = t.identities.c
        row = db.execute(select(i.id, i.user_id, i.site_id).where(i.id == identity_id)).one()
        if not row.user_id:
            return [identity_id]
        same = select(i.id).where(i.user_id == row.user_id)
        if self._rules.scope != "everywhere":
            same = same.where(i.site_id == row.site_id)
        return list(db.execute(same).scalars())

    def _numbers(self, db: Connection, identities: Sequence[int]) -> list[JoinedNumber]:
        j, i, s = t.joined_people.c, t.identities.c, t.sites.c
        wanted = (
            select(t.joined_people, i.user_id, i.name, i.site_id, s.name.label("site"))
            .join(t.identities, i.id == j.identity_id)
            .join(t.sites, s.id == i.site_id)
            .where(j.identity_id.in_(identities), *forms_at_sites(self._store.visible))
            .order_by(j.id)
        )
        found: dict[Number, JoinedNumber] = {}
        for row in db.execute(wanted):
            number = (row.user_id, row.site_id) if row.user_id else ("", row.identity_id)
            one = JoinedNumber(
                identity_id=row.identity_id,
                user_id=row.user_id,
                name=row.name,
                site_id=row.site_id,
                site=row.site,
                made_by=row.made_by,
                made_at=moment(row.made_at_ms),
            )
            found.setdefault(number, one)
        return list(found.values()) if len(found) > 1 else []


def _rows_of(db: Connection, identities: Sequence[int]) -> list[Any]:
    j = t.joined_people.c
    return list(db.execute(select(t.joined_people).where(j.identity_id.in_(identities))))
