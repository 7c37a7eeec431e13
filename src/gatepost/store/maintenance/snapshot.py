"""A store read from outside: by a backup or a check, in another process than the one that writes.

A connection whose transaction sees the events of one moment, and the packs with their images. An image is written
before its event, and never changed. It may have left since that moment.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import Connection

from gatepost.errors import StoreError
from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.store.base import unavailable
from gatepost.store.images import archives
from gatepost.store.schema import migrate
from gatepost.store.sqlite import data_folder as data

__all__ = ["Source", "open_source"]


class Source:
    """Describe what :func:`open_source` opens."""

    def __init__(self, db: Connection, packs: Packs | None, where: str) -> None:
        """``packs``: ``None`` where no data folder was given, or it has no journal."""
        self.db = db
        self.packs = packs
        self.where = where

    @property
    def dialect(self) -> str:
        return self.db.dialect.name


@contextmanager
def open_source(folder: Path | None, database: str = "") -> Iterator[Source]:
    """Open the store of a data folder, or of a ``database`` URL, to read it while others write.

    Raises :class:`~gatepost.errors.StoreError` where there is none, or one of another version.
    """
    opened = _postgres(database) if database else _sqlite(folder or Path())
    with unavailable(), opened as (db, where):
        journal = None if folder is None else Folder.find(folder / data.JOURNAL)
        packs = None if journal is None else Packs(journal, archives.known(db, journal), moves=False)
        try:
            yield Source(db, packs, where)
        finally:
            if packs is not None:
                packs.close()


@contextmanager
def _sqlite(folder: Path) -> Iterator[tuple[Connection, str]]:
    from gatepost.store.sqlite.connection import read_engine

    path = folder / data.DATABASE
    _check(data.inspect(folder), str(path))
    engine = read_engine(path)
    try:
        with engine.connect() as db:
            db.execute(text("SELECT 1 FROM sites")).all()  # from here on it sees this moment
            yield db, str(path)
    finally:
        engine.dispose()


@contextmanager
def _postgres(database: str) -> Iterator[tuple[Connection, str]]:
    from gatepost.store.postgres.connection import engine_of, server_of

    server = server_of(database)
    engine = engine_of(server, isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as db:
            _check(migrate.stored_revision(db, server.where), server.where)
            yield db, server.where
    finally:
        engine.dispose()


def _check(revision: str | None, where: str) -> None:
    if revision is None:
        raise StoreError(f"there is no store in {where}; name the one that `gatepost serve` uses")
    migrate.check_known(revision, where)
    if revision != migrate.head():
        raise StoreError(
            f"{where} is of an earlier version; start `gatepost serve` once to bring it up to date"
        )
