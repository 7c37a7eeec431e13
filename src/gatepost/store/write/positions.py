"""The places up to which journals are read, by journal and stream.

Functions on a connection, in the caller's transaction. The statement that stores positions is in ``upserts``.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from gatepost.errors import StoreError
from gatepost.journal.streams import Position
from gatepost.store.schema.tables import journal_positions
from gatepost.store.types.arrivals import Progress

__all__ = ["forget", "read", "read_further", "rows"]


def rows(progress: Progress) -> list[tuple[bytes, str, int, int, int]]:
    """Return the rows to store, by stream: the same order in every process, so that none waits for another in turn."""
    return [
        (progress.journal, stream, position.segment, position.offset, position.events)
        for stream, position in sorted(progress.positions.items())
    ]


def read_further() -> StoreError:
    """Return the error for a stored position behind the one that is to be stored."""
    return StoreError(
        "another process has read this journal further: stop it, or give each process a journal of its own"
    )


def read(db: Connection, journal: bytes) -> dict[str, Position]:
    """Return the positions of a journal, by stream."""
    found = db.execute(select(journal_positions).where(journal_positions.c.journal == journal))
    return {row.stream: Position(row.segment, row.byte_offset, row.events) for row in found}


def forget(db: Connection, journal: bytes, streams: Sequence[str]) -> None:
    """Delete the positions of these streams."""
    c = journal_positions.c
    db.execute(delete(journal_positions).where(c.journal == journal, c.stream.in_(streams)))
