"""Erase a person: what remains counts in statistics, and tells nobody who it was.

Rules:

* Erased are the images, the personal fields, and the kept originals of every record and alarm step of this person,
  the notes on their alarms, what was written about them (assignments, corrections, imported names), saved views that
  find them, the pushes in the quarantine that have their number or name in them, and their row in ``identities``, which
  is the only other place where a name stands. Samples of refused bodies cannot be searched for a person, because
  nobody could read the body: all of them are deleted.
* A record stays a passage at a terminal at a time, with its codes. All erased people of a site become one: a
  pseudonym that joins somebody's passages would point back at them.
* What was received before and is listed later, here or by another receiver, is listed without them
  (:mod:`gatepost.store.privacy.tombstones`).
* What they do from now on is recorded anew, as of somebody not known before: a terminal knows nothing of this.
* An erasure can be interrupted anywhere. From when their identities have no name any more (the first thing that is
  committed for them), :func:`finish` completes it, without asking anybody who it was.
* A move of a terminal that has something left to do (:mod:`gatepost.store.people.moving`) is completed first. So a
  person has no form at a site where their terminals no longer stand.
* No erased person stays in memory either. The process that erases calls
  :meth:`~gatepost.store.interface.PrunableStore.forget_people`; the others on the same database see by
  :func:`erasures` that they have to.

Flow: moves of terminals → tombstones → samples of refused bodies → alarm steps → quarantine → identities lose their
content → :func:`finish`: records, in small steps, then the rows of ``identities`` → count it → scrub the files.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    Text,
    cast,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from gatepost.errors import ImageUnavailable, JournalError
from gatepost.journal.places import Place
from gatepost.store.accounts import saved_views
from gatepost.store.conversion.values import text
from gatepost.store.dialect import insert
from gatepost.store.images import images
from gatepost.store.interface import PrunableStore, Transactions
from gatepost.store.people import identities, moving, staff
from gatepost.store.privacy import tombstones
from gatepost.store.privacy.person_matcher import PersonMatcher
from gatepost.store.query import quarantine
from gatepost.store.schema import tables as t
from gatepost.wire import digest

__all__ = ["Erased", "Whom", "erase", "erasures", "finish"]

STEP = 64
"""Rows of one transaction."""

_ERASURES = "erasures"
"""The row of ``meta`` that counts them."""

STRETCH = 5_000
"""Rows that one query looks through, at most."""


class Whom(Struct, frozen=True, kw_only=True):
    """Whom to erase: a ``user_id`` within a site, a terminal, or everywhere; or single identities."""

    user_id: str = ""
    """Empty: only ``identities`` counts, for people who have no ``user_id``."""
    site_id: int | None = None
    """``None``: at every site."""
    terminal_id: int | None = None
    """Only what this terminal sent."""
    identities: tuple[int, ...] = ()


class Erased(Struct, frozen=True, kw_only=True):
    """Count what was erased."""

    identities: int
    """Forms of their data."""
    records: int
    alarm_steps: int
    quarantined: int
    scrubbed: bool
    """False: the files were in use; the bytes are overwritten a little later."""

    @property
    def anything(self) -> bool:
        return bool(self.identities or self.records or self.alarm_steps or self.quarantined)


def erase(
    store: PrunableStore,
    whom: Whom,
    *,
    now_ms: int,
    forget: Callable[[PersonMatcher, Sequence[int]], object] = lambda traces, terminals: None,
) -> Erased:
    """Erase; when it returns it is done.

    ``forget`` deletes what there is of them, from these terminals, outside of the store.

    Erasing somebody twice, or nobody, does no harm. Raises :class:`~gatepost.errors.StoreUnavailable`: then do it
    again.
    """
    whom = replace(whom, user_id=text(whom.user_id))  # as it is stored
    moving.finish(store)
    with store.reading() as db:
        people = _identities(db, whom)
        terminals = _terminals(db, whom, [row.id for row in people])
    with store.changing() as db:
        scope = tombstones.Tombstone(now_ms, whom.site_id, whom.terminal_id)
        tombstones.mark(
            db, [whom.user_id, *(row.user_id for row in people)], people, secret=store.secret, scope=scope
        )
    with store.changing() as db:
        quarantine.drop_samples(db)
        staff.forget(db, [whom.user_id, *(row.user_id for row in people)], whom.site_id)
        saved_views.forget(db, [whom.user_id, *_texts(people)])
    traces = PersonMatcher(whom.user_id, people)
    forget(traces, terminals)
    steps = _erase_mentions(store, t.alarm_events, traces, terminals)
    quarantined = _erase_mentions(store, t.quarantine, traces, terminals)
    records = _erase_mentions(store, t.records, traces, terminals)
    forms = [row.id for row in people]
    records += _erase_records(store, whom, forms, now_ms=now_ms)
    while moving.finish(store):  # a terminal that moved meanwhile: its records may have another identity
        with store.reading() as db:
            more = [row.id for row in _identities(db, whom)]
        records += _erase_records(store, whom, more, now_ms=now_ms)
        forms += more
    while done := finish(store):
        records += done
    _count(store)
    return Erased(
        identities=len(forms),
        records=records,
        alarm_steps=steps,
        quarantined=quarantined,
        scrubbed=store.scrub(),
    )


def _texts(people: Sequence[Any]) -> list[str]:
    """Return the names and numbers by which these identities can be found."""
    columns = ("user_id", "name", "job_number", "ic_number", "id_number")
    return [getattr(row, column) for row in people for column in columns]


def erasures(store: Transactions) -> int:
    """How often somebody was erased from this store, by whichever process."""
    with store.reading() as db:
        return int(db.execute(select(t.meta.c.value).where(t.meta.c.name == _ERASURES)).scalar() or 0)


def _count(store: PrunableStore) -> None:
    one = {"name": _ERASURES, "value": "1"}
    more = (cast(t.meta.c.value, BigInteger) + 1).cast(Text)
    with store.changing() as db:
        new = insert(db, t.meta).values(one)
        db.execute(new.on_conflict_do_update(index_elements=["name"], set_={"value": more}))


def finish(store: PrunableStore) -> int:
    """Do the next step for people whose identities are emptied already; answer how many records it changed.

    0: nobody's erasure is unfinished.
    """
    i, r = t.identities.c, t.records.c
    while True:
        with store.reading() as db:
            shared = [identities.shared_digest(row.id) for row in db.execute(select(t.sites.c.id))]
            emptied = select(i.id).where(i.erased_at_ms.is_not(None), i.digest.not_in(shared))
            person = db.execute(emptied.limit(1)).first()
            if person is None:
                return 0
            mine = select(r.id).where(r.identity_id == person.id)
            rows = db.execute(mine.limit(STEP)).all()
        if rows:
            _strip(store, rows, shared=True)
            return len(rows)
        try:
            with store.changing() as db:
                identities.delete_unused(db, [person.id])
        except IntegrityError:
            continue  # another process has just stored one more of their records, meanwhile


def _identities(db: Connection, whom: Whom) -> list[Any]:
    i, r = t.identities.c, t.records.c
    who: ColumnElement[bool] = i.id.in_(whom.identities)
    if whom.user_id:
        same = i.user_id == whom.user_id
        who = or_(who, same if whom.site_id is None else same & (i.site_id == whom.site_id))
    wanted = select(t.identities).where(who, i.erased_at_ms.is_(None))
    if whom.terminal_id is not None:
        wanted = wanted.where(
            exists(select(r.id).where(r.identity_id == i.id, r.terminal_id == whom.terminal_id))
        )
    return list(db.execute(wanted))


def _terminals(db: Connection, whom: Whom, people: Sequence[int]) -> list[int]:
    """Where there may be traces outside of their records: the terminals of the site, or that have seen them."""
    if whom.terminal_id is not None:
        return [whom.terminal_id]
    c, r = t.terminals.c, t.records.c
    wanted = select(c.id)
    if whom.site_id is not None:
        has_seen = exists(select(r.id).where(r.identity_id.in_(people), r.terminal_id == c.id))
        wanted = wanted.where(or_(c.site_id == whom.site_id, has_seen))
    return [row.id for row in db.execute(wanted)]


def _erase_mentions(
    store: PrunableStore, table: Table, traces: PersonMatcher, terminals: Sequence[int]
) -> int:
    """Find what has traces of the person in its original, and is not joined to them by an identity."""
    c = table.c
    columns = [c.id, c.terminal_id, c.original]
    columns += [c[name] for name in ("alarm_id", "user_id") if name in c]
    wanted = select(*columns).where(c.terminal_id.in_(terminals))
    if table is t.records:
        wanted = wanted.where(c.identity_id.is_(None), c.original.is_not(None))
    count = 0
    for first, last in _stretches(store, table):
        with store.reading() as db:
            rows = db.execute(wanted.where(c.id > first, c.id <= last).order_by(c.id)).all()
            texts = images.with_texts(db, first, last)
        found = [row for row in rows if _mentioned(store, table, row, traces, has_texts=row.id in texts)]
        for start in range(0, len(found), STEP):
            _FORGET[table.name](store, found[start : start + STEP])
        count += len(found)
    return count


def _mentioned(
    store: PrunableStore, table: Table, row: Any, traces: PersonMatcher, *, has_texts: bool
) -> bool:
    if table is t.alarm_events and row.user_id is not None and traces.is_user_id(row.user_id):
        return True
    if row.original is None:
        return False
    original = bytes(row.original)
    if traces.found_in(original):
        return True
    try:
        return has_texts and traces.found_in(store.original(row.id, original))
    except ImageUnavailable:
        # Nobody can search it here. In doubt it is about them: all that a quarantined push has may be in its texts.
        return table is t.quarantine


def _stretches(store: PrunableStore, table: Table) -> Iterator[tuple[int, int]]:
    """Yield the ids of a table, some thousand at a time: (after, up to)."""
    c, after = table.c, 0
    with store.reading() as db:
        last = db.execute(select(func.max(c.id))).scalar() or 0
    while True:
        ids = select(c.id).where(c.id > after, c.id <= last).order_by(c.id).limit(STRETCH).subquery()
        with store.reading() as db:
            end = db.execute(select(func.max(ids.c.id))).scalar()
        if end is None:
            return
        yield after, end
        after = end


def _forget_steps(store: PrunableStore, rows: Sequence[Any]) -> None:
    c, a = t.alarm_events.c, t.alarms.c
    alarms = sorted({row.alarm_id for row in rows if row.alarm_id is not None})
    with store.changing() as db:
        nothing = dict.fromkeys(("user_id", "description", "problems", "original"))
        ids = [row.id for row in rows]
        places = images.forget(db, ids)
        db.execute(update(t.alarm_events).where(c.id.in_(ids)).values(nothing))
        db.execute(update(t.alarms).where(a.id.in_(alarms)).values(note=None, closed_note=None))
    _punch(store, places)


def _forget_quarantined(store: PrunableStore, rows: Sequence[Any]) -> None:
    with store.changing() as db:
        ids = [row.id for row in rows]
        places = images.delete_of(db, ids)
        db.execute(delete(t.quarantine).where(t.quarantine.c.id.in_(ids)))
    _punch(store, places)


def _erase_records(store: PrunableStore, whom: Whom, people: Sequence[int], *, now_ms: int) -> int:
    """Empty the identities; or, within one terminal, take its records off them."""
    if not people:
        return 0
    if whom.terminal_id is None:
        with store.changing() as db:
            identities.forget_written(db, people)
            for number in people:
                db.execute(
                    update(t.identities)
                    .where(t.identities.c.id == number)
                    .values(
                        {
                            **identities.NO_CONTENT,
                            "digest": digest(f"emptied:{number}"),
                            "erased_at_ms": now_ms,
                        }
                    )
                )
        return 0
    r, count = t.records.c, 0
    mine = select(r.id).where(r.identity_id.in_(people), r.terminal_id == whom.terminal_id).limit(STEP)
    while True:
        with store.reading() as db:
            rows = db.execute(mine).all()
        if not rows:
            break
        _strip(store, rows, shared=True)
        count += len(rows)
    try:
        with store.changing() as db:
            identities.forget_written(db, people, whom.terminal_id)
            identities.delete_unused(db, people)
    except IntegrityError:
        return count  # seen again meanwhile, elsewhere
    return count


def _strip(store: PrunableStore, rows: Sequence[Any], *, shared: bool = False) -> None:
    """Leave of these records what tells nothing about the person.

    ``shared``: count each as one of the erased people of the site where its terminal stands.
    """
    ids = [row.id for row in rows]
    r, c = t.records.c, t.terminals.c
    values: dict[str, Any] = dict.fromkeys(("original", "problems", "temperature"))
    with store.changing() as db:
        places = images.forget(db, ids)
        db.execute(update(t.records).where(r.id.in_(ids)).values(values))
        stands = select(r.id, c.site_id).join(t.terminals, c.id == r.terminal_id).where(r.id.in_(ids))
        by_site: dict[int, list[int]] = {}
        for row in db.execute(stands) if shared else ():
            by_site.setdefault(row.site_id, []).append(row.id)
        for site_id, some in sorted(by_site.items()):
            nobody = identities.shared_identity(db, site_id)
            db.execute(update(t.records).where(r.id.in_(some)).values(identity_id=nobody))
    _punch(store, places)


_FORGET: dict[str, Callable[[PrunableStore, Sequence[Any]], None]] = {
    "alarm_events": _forget_steps,
    "quarantine": _forget_quarantined,
    "records": _strip,
}


def _punch(store: PrunableStore, places: Sequence[Place]) -> None:
    """Give back the bytes of images whose keys are deleted. What is not done now leaves with its pack."""
    if places and store.packs is not None:
        with suppress(JournalError):
            store.packs.punch(places)
