"""Have changes by people take turns: SQLite has one writer, on PostgreSQL an advisory lock makes one."""

from __future__ import annotations

from sqlalchemy import Connection, text

__all__ = ["take_turns"]

_LOCK = 0x6770_0004
"""The advisory lock of PostgreSQL under which people's changes take turns."""


def take_turns(db: Connection) -> None:
    """Have every other change of this kind wait until the transaction ends. Its first statement."""
    if db.dialect.name == "postgresql":
        db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
