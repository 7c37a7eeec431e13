"""Marked people: whom guards are told to look out for, why, and until when.

Rules:

* A mark is the person's, whatever form of their data is seen. It refers to each number of theirs that the user sees who
  set it, by a form of the data; it leaves with the person.
* It counts until its end, and is deleted when it is taken away or when its end is :data:`KEEP_MS` past. What was marked
  is in the audit log.
* A user sees the marks of the people at the sites that they see.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct
from sqlalchemy import Connection, delete, func, or_, select

from gatepost.store.conversion.values import DAY_MS, moment, ms, text
from gatepost.store.interface import ForUser, Transactions, Visible
from gatepost.store.page_bytes import weight
from gatepost.store.people.forms import kept_forms
from gatepost.store.people.groups import forms_at_sites
from gatepost.store.people.joined import Joined, Number, number_of
from gatepost.store.people.person import Person, Rules
from gatepost.store.schema import tables as t
from gatepost.store.terminals.registry import Conflict
from gatepost.store.turns import take_turns
from gatepost.store.versions import Versions, check_version, version_of

__all__ = [
    "MAX_MARKS",
    "MAX_REASON",
    "UNMARKED",
    "Marked",
    "MarkedPeople",
    "PersonMark",
    "who_is_marked",
]

MAX_REASON = 200
"""Characters of a reason."""

MAX_MARKS = 5_000

UNMARKED = "unmarked"
"""The version of a mark that there is not."""

KEEP_MS = 30 * DAY_MS


class PersonMark(Struct, frozen=True, kw_only=True):
    """Hold a mark."""

    identity_id: int
    """The form of the person's data that it refers to."""
    user_id: str
    name: str
    site_id: int
    site: str
    reason: str
    until: datetime | None
    """``None``: until it is taken away."""
    made_by: str
    made_at: datetime

    @property
    def version(self) -> str:
        """Return its version. A person who has several numbers has the same mark for each."""
        told = {"reason": self.reason, "until": self.until, "by": self.made_by, "at": self.made_at}
        return version_of(told)

    @property
    def size(self) -> int:
        """Return what it counts with on a page: see page_bytes.py."""
        return weight(self.user_id, self.name, self.site, self.reason, self.made_by, row=512)


class _ForUser(ForUser, Transactions, Protocol):
    """The store as a user sees it, to change as well."""


class Marked:
    """Tell who is marked, for one question of one user."""

    def __init__(self, by_number: Mapping[Number, PersonMark], joined: Joined, rules: Rules) -> None:
        self._by_number = by_number
        self._joined = joined
        self._rules = rules

    def __bool__(self) -> bool:
        return bool(self._by_number)

    @classmethod
    def read(cls, db: Connection, rules: Rules, visible: Visible, now_ms: int) -> "Marked":
        """Return the marks that count now."""
        found: dict[Number, PersonMark] = {}
        rows = _rows(db, visible, now_ms)
        joined = Joined.read(db, rules, visible) if rows else Joined()
        for row in rows:
            head = joined.heads.get(row.identity_id)
            number = _number(row, rules) if head is None else ("", head)
            found.setdefault(number, _mark(row))  # the latest
        return cls(found, joined, rules)

    def of_form(self, identity_id: int, user_id: str, site_id: int) -> PersonMark | None:
        """Return the mark of a person by a form of their data."""
        if not self._by_number:
            return None
        head = self._joined.heads.get(identity_id)
        if head is not None:
            return self._by_number.get(("", head))
        return self._by_number.get(number_of(_Form(identity_id, user_id, site_id), self._rules))

    def of_person(self, person: Person) -> PersonMark | None:
        """Return the mark of a person."""
        return self.of_form(person.identities[0], person.user_id, person.site_id)


def who_is_marked(store: ForUser, rules: Rules, now_ms: int) -> Marked:
    """Return who is marked, as a user of the store sees it."""
    with store.reading() as db:
        return Marked.read(db, rules, store.visible, now_ms)


class _Form(Struct, frozen=True):
    id: int
    user_id: str
    site_id: int


class MarkedPeople:
    """Mark people. Every method blocks; any thread may call it.

    Raises :class:`~gatepost.errors.StoreUnavailable`.
    """

    def __init__(self, store: _ForUser, rules: Rules) -> None:
        self._store = store
        self._rules = rules

    def now(self, now_ms: int) -> Marked:
        """Return who is marked."""
        return who_is_marked(self._store, self._rules, now_ms)

    def listed(self, now_ms: int) -> list[PersonMark]:
        """Return the marks that count, the latest first; one for each person."""
        with self._store.reading() as db:
            rows = _rows(db, self._store.visible, now_ms)
            joined = Joined.read(db, self._rules, self._store.visible) if rows else Joined()
        found: dict[Number, PersonMark] = {}
        for row in rows:
            head = joined.heads.get(row.identity_id)
            found.setdefault(_number(row, self._rules) if head is None else ("", head), _mark(row))
        return list(found.values())

    def mark(
        self,
        person: Person,
        *,
        reason: str,
        until: datetime | None,
        by: str,
        now_ms: int,
        versions: Versions = None,
    ) -> PersonMark:
        """Mark a person, in the place of the mark that they have.

        Raises ``ValueError``, ``Conflict``, and :class:`~gatepost.store.versions.ChangedMeanwhile` where
        its version is none of ``versions``.
        """
        reason = text(reason).strip()
        if not 0 < len(reason) <= MAX_REASON:
            raise ValueError(f"reason: say why, in 1 to {MAX_REASON} characters")
        if until is not None and ms(until) <= now_ms:
            raise ValueError(
                "until: a mark ends at a time that is to come; leave it out for one without an end"
            )
        m, i = t.marked_people.c, t.identities.c
        with self._store.changing() as db:
            take_turns(db)
            before = next(iter(_of(db, person.identities)), None)
            check_version(
                versions,
                _version_of(before, now_ms),
                by=None if before is None else before.made_by,
                at=None if before is None else before.made_at,
            )
            db.execute(delete(t.marked_people).where(m.until_ms <= now_ms - KEEP_MS))
            _forget(db, person.identities)
            if db.execute(select(func.count()).select_from(t.marked_people)).scalar_one() >= MAX_MARKS:
                raise Conflict(f"{MAX_MARKS} people are marked already; take some marks away first")
            forms = (
                select(i.id, i.user_id, i.site_id)
                .where(i.id.in_(kept_forms(db, person.identities)))
                .order_by(i.id)
            )
            last_of_each = {number_of(row, self._rules): row.id for row in db.execute(forms)}
            values = {
                "reason": reason,
                "until_ms": None if until is None else ms(until),
                "made_by": by,
                "made_at_ms": now_ms,
            }
            rows = [values | {"identity_id": form} for form in sorted(last_of_each.values())]
            db.execute(t.marked_people.insert(), rows)
            return _of(db, person.identities)[0]

    def take_away(self, person: Person) -> PersonMark | None:
        """Delete the mark of a person and return it; ``None`` if there is none."""
        with self._store.changing() as db:
            found = _of(db, person.identities)
            _forget(db, person.identities)
        return found[0] if found else None


def _version_of(mark: PersonMark | None, now_ms: int) -> str:
    """Return the version of a person's mark; :data:`UNMARKED` without one, or with one that is over."""
    if mark is None or (mark.until is not None and ms(mark.until) <= now_ms):
        return UNMARKED
    return mark.version


def _forget(db: Connection, identities: Sequence[int]) -> None:
    db.execute(delete(t.marked_people).where(t.marked_people.c.identity_id.in_(identities)))


def _number(row: Any, rules: Rules) -> Number:
    return number_of(_Form(row.identity_id, row.user_id, row.site_id), rules)


def _of(db: Connection, identities: Iterable[int]) -> list[PersonMark]:
    m = t.marked_people.c
    wanted = _select().where(m.identity_id.in_(list(identities))).order_by(m.id.desc())
    return [_mark(row) for row in db.execute(wanted)]


def _rows(db: Connection, visible: Visible, now_ms: int) -> list[Any]:
    m, i = t.marked_people.c, t.identities.c
    counts = or_(m.until_ms.is_(None), m.until_ms > now_ms)
    wanted = _select().where(counts, i.erased_at_ms.is_(None), *forms_at_sites(visible))
    return list(db.execute(wanted.order_by(m.id.desc())))


def _select() -> Any:
    m, i, s = t.marked_people.c, t.identities.c, t.sites.c
    return (
        select(t.marked_people, i.user_id, i.name, i.site_id, s.name.label("site"))
        .join(t.identities, i.id == m.identity_id)
        .join(t.sites, s.id == i.site_id)
    )


def _mark(row: Any) -> PersonMark:
    return PersonMark(
        identity_id=row.identity_id,
        user_id=row.user_id,
        name=row.name,
        site_id=row.site_id,
        site=row.site,
        reason=row.reason,
        until=moment(row.until_ms),
        made_by=row.made_by,
        made_at=moment(row.made_at_ms),
    )
