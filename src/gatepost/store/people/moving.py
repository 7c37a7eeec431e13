"""Move people's passages with their terminal: a passage is of the site where its terminal stands now.

Rules:

* A record's identity is of the site of the record's terminal. What does not agree is found in the rows themselves, so
  a move can be interrupted anywhere, and to do it again changes nothing.
* An identity whose records are all at terminals of one other site becomes that site's; its id stays. Where that site
  has the same identity already, or where only a part of the records belongs elsewhere, the records point to the
  identity of their site, and an identity without records is deleted.
* A step is one short transaction of at most :data:`STEP` rows. Pushes go on between two steps, and no push fails: an
  identity that a running batch refers to is left for the next pass.
* A batch that was begun before the move may be stored after it. So ``meta`` names the terminals that moved, until two
  passes of one process, a round apart, found nothing to do.
* A store of before this rule is looked through once as a whole.
* People whose erasure has begun are left to :func:`gatepost.store.privacy.erasure.finish`.

Flow: :func:`note` within the transaction of the move → :meth:`Moves.once` → :func:`settle`, a pass over the
identities of one terminal.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    Connection,
    Text,
    bindparam,
    cast,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from gatepost.errors import StoreUnavailable
from gatepost.store.dialect import insert
from gatepost.store.interface import Transactions
from gatepost.store.people import identities
from gatepost.store.schema import tables as t

__all__ = ["STEP", "Keyed", "Moves", "count_misplaced", "finish", "forget", "note", "settle"]

STEP = 200
"""Rows that one transaction changes, at most."""

LOOK = 5_000
"""Records of the identities of one transaction that it looks at in an index, unless one identity alone has more."""

STRETCH = 500
"""Identities that one query looks at."""

AT_ONCE = 10_000
"""Records that are planned at once."""

_LOCK_MS = 100
"""For so long a step waits for a running batch, on PostgreSQL, and that batch for the step."""

_IN_VAIN = 200
"""Passes in a row that a running batch kept from changing anything, until it is given up."""

_MOVED = "moved:"
"""Rows of ``meta``, one a terminal."""

_CHECKED = "moves:checked"
"""The row of ``meta`` that says that the store was looked through as a whole."""


class Keyed(Transactions, Protocol):
    """A store, and the secret that its digests are keyed with."""

    secret: bytes


def note(db: Connection, terminal_id: int, site_id: int | None) -> None:
    """Note that a terminal moves to a site, if it stands at another one. Part of the transaction that moves it."""
    c = t.terminals.c
    stands = select(c.site_id).where(c.id == terminal_id).with_for_update(key_share=True)
    before = db.execute(stands).scalar_one_or_none()
    if site_id is None or before is None or before == site_id:
        return
    again = (cast(t.meta.c.value, BigInteger) + 1).cast(Text)
    new = insert(db, t.meta).values(name=f"{_MOVED}{terminal_id}", value="1")
    db.execute(new.on_conflict_do_update(index_elements=["name"], set_={"value": again}))


def forget(db: Connection, terminal_id: int) -> None:
    """Forget that a terminal moved, which is being deleted."""
    db.execute(delete(t.meta).where(t.meta.c.name == f"{_MOVED}{terminal_id}"))


class Moves:
    """Does what moves of terminals have left to do. For one thread; several processes may each have one."""

    def __init__(self, store: Keyed) -> None:
        self._store = store
        self._clean: dict[str, str] = {}
        """The rows of ``meta`` for which a pass found nothing, and their values then."""
        self._steps: Iterator[int] | None = None

    def once(self) -> int | None:
        """Do one step. Return how many rows it changed, and ``None`` when nothing is left for this round.

        Raises :class:`~gatepost.errors.StoreUnavailable`; the next call begins the pass again.
        """
        if self._steps is None:
            self._steps = self._round()
        try:
            done = next(self._steps, None)
        except BaseException:
            self._steps = None
            raise
        if done is None:
            self._steps = None
        return done

    def _round(self) -> Iterator[int]:
        waiting = _waiting(self._store)
        self._clean = {name: value for name, value in self._clean.items() if name in waiting}
        for name, (terminal_id, value) in waiting.items():
            found = True
            while found:
                found, changed = False, 0
                for done in settle(self._store, terminal_id):
                    found, changed = True, changed + done
                    yield done
                if found and not changed:
                    break  # what a running batch refers to: the next round, then
            if found:
                self._clean.pop(name, None)
            elif self._clean.get(name) == value:
                _complete(self._store, name, value)
            else:
                self._clean[name] = value


def finish(store: Keyed) -> int:
    """Do everything that moves have left to do now. Return how many rows were changed.

    Raises :class:`~gatepost.errors.StoreUnavailable`: then do it again.
    """
    total = 0
    for terminal_id, _ in _waiting(store).values():
        in_vain = 0
        while steps := list(settle(store, terminal_id)):
            total += sum(steps)
            in_vain = 0 if any(steps) else in_vain + 1
            if in_vain == _IN_VAIN:
                raise StoreUnavailable("people cannot go along with their terminal now; try again")
    return total


def count_misplaced(db: Connection) -> int:
    """Count the records whose identity is of another site than their terminal, those of begun erasures not counted."""
    r, i, c = t.records.c, t.identities.c, t.terminals.c
    joined = t.records.join(t.identities, i.id == r.identity_id).join(t.terminals, c.id == r.terminal_id)
    wrong = [c.site_id != i.site_id, func.coalesce(i.erased_at_ms, 0) == 0]  # 0: all erased people of a site
    return int(db.execute(select(func.count()).select_from(joined).where(*wrong)).scalar_one())


def settle(store: Keyed, terminal_id: int | None = None) -> Iterator[int]:
    """Make the identities that a terminal's records have, or all, agree with the sites of their records' terminals.

    Yield after each step how many rows it changed. Nothing is yielded if all of it agreed.
    """
    candidates = _candidates(store, terminal_id)
    for start in range(0, len(candidates), STRETCH):
        misplaced = _misplaced(store, candidates[start : start + STRETCH])
        for at in range(0, len(misplaced), STEP):
            yield from _settle(store, misplaced[at : at + STEP])


def _waiting(store: Transactions) -> dict[str, tuple[int | None, str]]:
    """Return the rows of ``meta`` for what is left to do: the terminal, ``None`` for all, and the row's value."""
    c = t.meta.c
    with store.reading() as db:
        rows = db.execute(
            select(c.name, c.value).where(or_(c.name.startswith(_MOVED), c.name == _CHECKED)).order_by(c.name)
        ).all()
    found: dict[str, tuple[int | None, str]] = {
        row.name: (int(row.name.removeprefix(_MOVED)), row.value)
        for row in rows
        if row.name.startswith(_MOVED)
    }
    if len(found) == len(rows):
        found[_CHECKED] = (None, "")
    return found


def _complete(store: Transactions, name: str, value: str) -> None:
    c = t.meta.c
    with store.changing() as db:
        if name == _CHECKED:
            row = insert(db, t.meta).values(name=_CHECKED, value="yes")
            db.execute(row.on_conflict_do_nothing(index_elements=["name"]))
        else:
            db.execute(delete(t.meta).where(c.name == name, c.value == value))


def _candidates(store: Transactions, terminal_id: int | None) -> list[int]:
    i, r = t.identities.c, t.records.c
    if terminal_id is None:
        wanted = select(i.id)
    else:
        seen = [r.terminal_id == terminal_id, r.identity_id.is_not(None)]
        wanted = select(r.identity_id).where(*seen).distinct()
    with store.reading() as db:
        return sorted(db.execute(wanted).scalars())


def _misplaced(store: Transactions, ids: Sequence[int]) -> list[int]:
    """Return those of these identities that have a record at a terminal of another site."""
    i, r, c = t.identities.c, t.records.c, t.terminals.c
    elsewhere = exists(
        select(r.id)
        .join(t.terminals, c.id == r.terminal_id)
        .where(r.identity_id == i.id, c.site_id != i.site_id)
    )
    wanted = select(i.id, i.site_id, i.digest, i.erased_at_ms).where(i.id.in_(ids), elsewhere).order_by(i.id)
    with store.reading() as db:
        return [row.id for row in db.execute(wanted) if _is_movable(row)]


def _is_movable(row: Any) -> bool:
    return row.erased_at_ms is None or identities.is_shared(row)


def _settle(store: Keyed, ids: Sequence[int]) -> Iterator[int]:
    sites = _sites(store, ids)
    alone = {number: next(iter(at)) for number, at in sites.items() if len(at) == 1}
    weights = {number: sum(sites[number].values()) for number in alone}
    for some in _batches(weights):
        yield _take_along(store, {number: alone[number] for number in some})
    while True:
        rows, changed = _records(store, ids), 0
        for start in range(0, len(rows), STEP):
            done = _point(store, rows[start : start + STEP])
            changed += done
            yield done
        if not changed:
            return


def _sites(store: Transactions, ids: Sequence[int]) -> dict[int, dict[int, int]]:
    """Return how many records each of these identities has at each site."""
    r, c = t.records.c, t.terminals.c
    wanted = (
        select(r.identity_id, c.site_id, func.count().label("many"))
        .join(t.terminals, c.id == r.terminal_id)
        .where(r.identity_id.in_(ids))
        .group_by(r.identity_id, c.site_id)
    )
    found: dict[int, dict[int, int]] = defaultdict(dict)
    with store.reading() as db:
        for row in db.execute(wanted):
            found[row.identity_id][row.site_id] = row.many
    return found


def _batches(weights: dict[int, int]) -> Iterator[list[int]]:
    """Put identities together, at most so many that they have :data:`LOOK` records."""
    some: list[int] = []
    weight = 0
    for number, more in sorted(weights.items()):
        if some and weight + more > LOOK:
            yield some
            some, weight = [], 0
        some.append(number)
        weight += more
    if some:
        yield some


class _Busy(Exception):
    """A running batch holds what a step needs: the next pass, then."""


@contextmanager
def _changing(store: Transactions) -> Iterator[Connection]:
    """Open a transaction that a running batch does not wait for long. Raises :class:`_Busy`."""
    try:
        with store.changing() as db:
            if db.dialect.name == "postgresql":
                # Shorter than the server's patience with two that wait for each other.
                db.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_MS}ms'")
            yield db
    except IntegrityError as error:  # it has just made or referred to the same identity
        raise _Busy from error
    except StoreUnavailable as error:
        if type(getattr(error.__cause__, "orig", None)).__name__ == "LockNotAvailable":
            raise _Busy from error
        raise


def _locked(db: Connection, ids: Sequence[int]) -> list[Any]:
    """Return those of these identities that can be changed now, and keep them from others until the end."""
    i = t.identities.c
    wanted = select(t.identities).where(i.id.in_(ids)).order_by(i.id).with_for_update(skip_locked=True)
    return [row for row in db.execute(wanted) if _is_movable(row)]


def _take_along(store: Keyed, wanted: dict[int, int]) -> int:
    """Make identities the site's where all their records are; leave those of which that site has the same already."""
    i, r, c = t.identities.c, t.records.c, t.terminals.c
    try:
        with _changing(store) as db:
            rows = {row.id: row for row in _locked(db, sorted(wanted))}
            digests = {
                number: identities.digest_at(row, wanted[number], store.secret)
                for number, row in rows.items()
                if row.site_id != wanted[number]
            }
            there = select(i.digest).where(i.digest.in_(list(digests.values())))
            taken = {bytes(one) for one in db.execute(there).scalars()}
            by_site: dict[int, list[int]] = defaultdict(list)
            for number, mark in digests.items():
                if mark not in taken:
                    by_site[wanted[number]].append(number)
            changes: list[dict[str, Any]] = []
            for site_id, ids in by_site.items():
                others = (
                    select(r.identity_id)
                    .join(t.terminals, c.id == r.terminal_id)
                    .where(r.identity_id.in_(ids), c.site_id != site_id)
                    .distinct()
                )
                stay = set(db.execute(others).scalars())
                changes += [
                    {"number": number, "site": site_id, "mark": digests[number]}
                    for number in ids
                    if number not in stay
                ]
            if changes:
                change = update(t.identities).where(i.id == bindparam("number"))
                db.execute(change.values(site_id=bindparam("site"), digest=bindparam("mark")), changes)
            return len(changes)
    except _Busy:
        return 0


def _records(store: Transactions, ids: Sequence[int]) -> list[Any]:
    """Return records of these identities at terminals of other sites, with the site of the terminal."""
    i, r, c = t.identities.c, t.records.c, t.terminals.c
    joined = t.records.join(t.identities, i.id == r.identity_id).join(t.terminals, c.id == r.terminal_id)
    wanted = (
        select(r.id, r.identity_id, c.site_id)
        .select_from(joined)
        .where(r.identity_id.in_(ids), c.site_id != i.site_id)
        .order_by(r.identity_id, r.id)
    )
    with store.reading() as db:
        return list(db.execute(wanted.limit(AT_ONCE)))


def _point(store: Keyed, rows: Sequence[Any]) -> int:
    """Let these records point to the identity of their site, which is found or made; delete those left unused."""
    r, c = t.records.c, t.terminals.c
    mine: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        mine[row.identity_id][row.site_id].append(row.id)
    changed = 0
    try:
        with _changing(store) as db:
            locked = _locked(db, sorted(mine))
            heirs: dict[int, int] = {}
            for identity in locked:
                for site_id, ids in mine[identity.id].items():
                    if site_id == identity.site_id:
                        continue
                    target = identities.made(db, _at(identity, site_id, store.secret))
                    here = select(c.id).where(c.site_id == site_id)
                    still = [r.id.in_(ids), r.identity_id == identity.id, r.terminal_id.in_(here)]
                    point = update(t.records).where(*still).values(identity_id=target)
                    changed += db.execute(point).rowcount
                    struck = [
                        t.corrections.c.identity_id == identity.id,
                        t.corrections.c.terminal_id.in_(here),
                    ]
                    db.execute(update(t.corrections).where(*struck).values(identity_id=target))
                    heirs[identity.id] = target
            identities.delete_unused(db, [identity.id for identity in locked], heirs)
    except _Busy:
        return 0
    return changed


def _at(row: Any, site_id: int, secret: bytes) -> dict[str, Any]:
    """Return the values of an identity with the same content at another site."""
    values = {name: value for name, value in row._mapping.items() if name != "id"}
    return {**values, "site_id": site_id, "digest": identities.digest_at(row, site_id, secret)}
