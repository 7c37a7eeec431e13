"""Connections to a file of SQLite: one that writes and syncs before it answers, and those that only read."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool, StaticPool

from gatepost.errors import StoreError, StoreUnavailable
from gatepost.store.write import upserts

__all__ = ["connect", "patience", "read_engine", "sqlite_unavailable", "write_engine"]

_PATIENCE_MS = 10_000

_STATEMENTS = 8 * upserts.MAX_ROWS + 64
"""That stay prepared: rows of events (of records with and without image), tallies, what is looked up, in every number;
and what else there is."""

_NO_TYPE = "Error binding parameter"
"""How the error begins for a value of no type of SQLite's. Its class is also that of a connection that is closed."""

_OF_A_VALUE = {"SQLITE_CONSTRAINT_NOTNULL", "SQLITE_CONSTRAINT_CHECK", "SQLITE_CONSTRAINT_DATATYPE"}
"""Constraints that a value of an event can break. What else breaks, such as an id that is given twice, is the store."""


@contextmanager
def sqlite_unavailable(folder: Path) -> Iterator[None]:
    """Raise ``StoreUnavailable`` for what SQLite raises when the disk is full, failing or busy, or the store changed.

    What an event itself does wrong passes: a value that a constraint forbids, is too large, or of no type of SQLite's.
    """
    try:
        yield
    except sqlite3.DataError:
        raise
    except (sqlite3.Error, OSError) as error:
        if str(error).startswith(_NO_TYPE) or getattr(error, "sqlite_errorname", "") in _OF_A_VALUE:
            raise
        raise StoreUnavailable(f"the store in {folder} cannot be used now: {error}") from error


def connect(path: Path, *, patience_ms: int = _PATIENCE_MS) -> sqlite3.Connection:
    """Open a connection that writes, and syncs before a commit returns."""
    db = sqlite3.connect(
        path, timeout=10.0, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS
    )
    try:
        db.execute("PRAGMA page_size = 4096")
        mode = db.execute("PRAGMA journal_mode = wal").fetchone()[0]
        db.execute("PRAGMA synchronous = FULL")
        level = db.execute("PRAGMA synchronous").fetchone()[0]
        if mode != "wal" or level != 2:
            raise StoreError(
                f"{path} does not sync before it answers (journal {mode}, synchronous {level});"
                " put the data folder on a local disk"
            )
        db.execute("PRAGMA cache_size = -65536")
        db.execute("PRAGMA temp_store = memory")
        # What is deleted is overwritten: it was a name, a number, a face.
        db.execute("PRAGMA secure_delete = ON")
        # Only in case that nobody else does it: see checkpoint.py.
        db.execute("PRAGMA wal_autocheckpoint = 65536")
        db.execute(f"PRAGMA busy_timeout = {patience_ms}")
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def patience(db: sqlite3.Connection) -> Iterator[None]:
    """Wait for another process that writes, a command beside the receiver; else that is an error at once."""
    db.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
    try:
        yield
    finally:
        db.execute("PRAGMA busy_timeout = 0")


def write_engine(db: sqlite3.Connection, *, begin: Callable[[], object] | None = None) -> Engine:
    """SQLAlchemy on that connection; ``begin``: by what a transaction is begun, if it takes more than to say so."""
    engine = create_engine("sqlite://", creator=lambda: db, poolclass=StaticPool)

    def start(connection: Connection) -> None:
        if begin is None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            begin()

    event.listen(engine, "begin", start)
    return engine


def read_engine(path: Path) -> Engine:
    """Keep connections that only read; each sees one state of the file until it is given back."""

    def connect() -> sqlite3.Connection:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=10.0,
            isolation_level=None,
            check_same_thread=False,
        )
        db.execute("PRAGMA query_only = ON")
        return db

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=4, max_overflow=12)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine
