"""Delete a terminal and everything that it sent: one that was made by mistake, or that a stranger introduced.

Rules:

* Only a retired terminal is deleted. What it pushes is refused by every ingest before the first row goes.
* With it go its records and their images, alarms, quarantined pushes, counts and addresses, and the people whom no
  other terminal has seen. It cannot be undone.
* Small transactions, at most :data:`STEP` rows each. It may be interrupted anywhere: the terminal goes last, so the
  next call completes it.
* The id is given to no other terminal. What another receiver of this database has in its journal and lists later cannot
  be listed any more, and is set aside as :mod:`gatepost.receiver.jobs.projector.projector` does.
"""

from __future__ import annotations

from contextlib import suppress

from msgspec import Struct
from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.exc import IntegrityError

from gatepost.errors import JournalError, StoreUnavailable
from gatepost.journal.places import Place
from gatepost.store.images import images
from gatepost.store.interface import PrunableStore
from gatepost.store.people import identities, moving
from gatepost.store.query import feed
from gatepost.store.schema import tables as t
from gatepost.store.terminals.registry import Conflict

__all__ = ["Removed", "remove_terminal"]

STEP = 200

_TRIES = 100

_OF_TERMINAL = (
    t.alarms,
    t.peers,
    t.tallies,
    t.refusals,
    t.disagreements,
    t.adopted_terminals,
    t.fleet_jobs,
    t.fleet_audits,
)


class Removed(Struct, frozen=True, kw_only=True):
    """Count what was deleted with a terminal."""

    serial: str | None
    records: int
    alarm_steps: int
    quarantined: int


def remove_terminal(store: PrunableStore, terminal_id: int) -> Removed | None:
    """Delete a terminal; ``None`` if there is none.

    Raises :class:`~gatepost.store.terminals.registry.Conflict` if it is not retired, and
    :class:`~gatepost.errors.StoreUnavailable`: then do it again.
    """
    c = t.terminals.c
    counts = {table.name: 0 for table in (t.records, t.alarm_events, t.quarantine)}
    for _ in range(_TRIES):
        with store.reading() as db:
            row = db.execute(select(c.serial, c.state).where(c.id == terminal_id)).one_or_none()
        if row is None:
            return None
        if row.state != "retired":
            raise Conflict("this terminal is not retired; retire it before it is deleted")
        for table in (t.records, t.alarm_events, t.quarantine):
            while deleted := _step(store, table, terminal_id):
                counts[table.name] += deleted
        # What was on its way into the store is in it by now, and keeps the row: then once more.
        with suppress(IntegrityError), store.changing() as db:
            for table in _OF_TERMINAL:
                db.execute(delete(table).where(table.c.terminal_id == terminal_id))
            moving.forget(db, terminal_id)
            own = t.conditions.c.subject == str(terminal_id)
            db.execute(delete(t.conditions).where(own, t.conditions.c.kind.like("terminal.%")))
            if db.execute(delete(t.terminals).where(c.id == terminal_id, c.state == "retired")).rowcount:
                return Removed(
                    serial=row.serial,
                    records=counts["records"],
                    alarm_steps=counts["alarm_events"],
                    quarantined=counts["quarantine"],
                )
    raise StoreUnavailable("the terminal still has events that are being listed; delete it again later")


def _step(store: PrunableStore, table: Table, terminal_id: int) -> int:
    """Delete some rows of a terminal; return how many."""
    c = table.c
    some = select(c.id).where(c.terminal_id == terminal_id).order_by(c.id).limit(STEP)
    with store.changing() as db:
        ids = list(db.execute(some).scalars())
        places = _delete(db, table, ids) if ids else []
    if places and store.packs is not None:
        with suppress(JournalError):  # then the bytes leave with their pack; their keys are gone
            store.packs.punch(places)
    return len(ids)


def _delete(db: Connection, table: Table, ids: list[int]) -> list[Place]:
    gone = delete(table).where(table.c.id.in_(ids))
    if table is t.records:
        people = db.execute(gone.returning(table.c.identity_id)).scalars()
        identities.delete_unused(db, sorted({number for number in people if number is not None}))
    else:
        db.execute(gone)
    if table is not t.quarantine:
        feed.keep_deleted(db, "record" if table is t.records else "alarm", ids)
    return images.delete_of(db, ids)
