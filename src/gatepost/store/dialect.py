"""Build the statements that the two databases write differently."""

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["insert"]


def insert(db: Connection, table: Any) -> Any:
    """Return an INSERT that knows ON CONFLICT, in the words of the database."""
    return (postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert)(table)
