"""Build the statements that the two databases write differently."""

from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["insert", "take_ids"]


def insert(db: Connection, table: Any) -> Any:
    """Return an INSERT that knows ON CONFLICT, in the words of the database."""
    return (postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert)(table)


def take_ids(db: Connection, count: int) -> int:
    """Return the first of so many ids of the one sequence of everything that arrives. Once in a transaction."""
    if db.dialect.name == "postgresql":
        # As postgres/batch.py does: the number of the transaction, and a place in it.
        offset = "(SELECT value::bigint FROM meta WHERE name = 'id_offset')"
        first = f"SELECT (pg_current_xact_id()::text::bigint + {offset}) * 4096"
        return int(db.execute(text(first)).scalar_one())
    taken = (
        "INSERT INTO meta (name, value) VALUES ('next_id', :first) ON CONFLICT (name)"
        " DO UPDATE SET value = CAST(value AS INTEGER) + :count RETURNING value"
    )
    row = db.execute(text(taken), {"first": str(count + 1), "count": count}).scalar_one()
    return int(row) - count
