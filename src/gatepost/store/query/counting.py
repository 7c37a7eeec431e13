"""Count what a filter leaves, for a page to say: up to 10,000, and no longer than a glance, however much is stored.

Functions on a connection, in the caller's transaction.
"""

from sqlalchemy import Connection, func, select

from gatepost.store.interface import Counted, QuarantineQuery, RecordQuery, Visible
from gatepost.store.query import record_search
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import events_of, terminals_asked

__all__ = ["COUNT_MOST", "counted", "pushes", "records"]

COUNT_MOST = 10_000
"""As many are counted."""

LOOK = 50_000
"""Records that may fit, of which as many are looked at."""


def counted(found: int) -> Counted:
    """Return a count that ended at one more than :data:`COUNT_MOST`."""
    return Counted(min(found, COUNT_MOST), more=found > COUNT_MOST)


def records(db: Connection, query: RecordQuery, visible: Visible) -> Counted:
    """Count the records of a query; of those that an index finds, :data:`LOOK` are looked at."""
    where = record_search.where_to_count(db, query, visible)
    if where is None:
        return Counted(0)
    r = t.records.c
    # In no order, so that no database sorts them; an index has all of these columns.
    found = select(r.id, r.terminal_id, r.facet_id, r.identity_id).where(*where.near)
    near = found.limit(LOOK).subquery("near")
    rest = where.rest(near.c)
    if not rest:
        ids = found.with_only_columns(r.id).limit(COUNT_MOST + 1).subquery("ids")
        return counted(db.execute(select(func.count()).select_from(ids)).scalar_one())
    fit = select(near.c.id).where(*rest).limit(COUNT_MOST + 1).subquery("fit")
    number = db.execute(select(func.count()).select_from(fit)).scalar_one()
    if number > COUNT_MOST:
        return counted(number)
    looked = found.with_only_columns(r.id).limit(LOOK).subquery("looked")
    is_all = db.execute(select(func.count()).select_from(looked)).scalar_one() < LOOK
    return Counted(number, more=not is_all)


def pushes(db: Connection, query: QuarantineQuery, visible: Visible) -> Counted:
    """Count the quarantined pushes of a query."""
    q = t.quarantine.c
    chosen = (
        select(q.id)
        .join(t.terminals, t.terminals.c.id == q.terminal_id)
        .where(*terminals_asked(db, query, visible), *events_of(visible))
        .limit(COUNT_MOST + 1)
        .subquery()
    )
    return counted(db.execute(select(func.count()).select_from(chosen)).scalar_one())
