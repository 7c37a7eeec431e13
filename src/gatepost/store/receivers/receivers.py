"""The receivers of a database, and how many events each has acknowledged that are not listed yet.

Events wait in the journal of the receiver that acknowledged them. Where one of several is silent, the others tell so.

Functions on a connection, in the caller's transaction.
"""

from sqlalchemy import Connection, delete, select

from gatepost.store.conversion.values import moment, text
from gatepost.store.dialect import insert
from gatepost.store.schema.tables import receivers
from gatepost.store.types.terminals import ReceiverRow

__all__ = ["forget", "note", "rows"]

MAX_HOST = 128
"""Characters of a host's name."""


def note(db: Connection, journal: bytes, *, host: str, events: int, now_ms: int) -> None:
    """Store that a receiver is there, and how many events of its journal are not listed."""
    told = {"host": text(host)[:MAX_HOST], "at_ms": now_ms, "events": events}
    statement = insert(db, receivers).values(journal=journal, **told)
    db.execute(statement.on_conflict_do_update(index_elements=["journal"], set_=told))


def rows(db: Connection) -> list[ReceiverRow]:
    """Return every receiver that is known, by host."""
    found = db.execute(select(receivers).order_by(receivers.c.host, receivers.c.journal))
    return [ReceiverRow(bytes(row.journal), row.host, moment(row.at_ms), row.events) for row in found]


def forget(db: Connection, journal: bytes) -> bool:
    """Delete a receiver; False if there is none."""
    return bool(db.execute(delete(receivers).where(receivers.c.journal == journal)).rowcount)
