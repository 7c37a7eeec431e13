"""The store in a data folder: SQLite, one process.

``gatepost.db`` (write-ahead log) holds the events, ``journal/packs`` their images, ``gatepost.lock`` keeps a second
process out: see data_folder.py and images/images.py. A batch is one transaction.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.engine import Connection

from gatepost.errors import StoreUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.store.base import BaseStore, unavailable
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.interface import Arrival, Progress, Stored
from gatepost.store.schema import migrate
from gatepost.store.schema.tables import meta
from gatepost.store.server_keys import identity_secret
from gatepost.store.sqlite import data_folder as data
from gatepost.store.sqlite.batch import Inserter
from gatepost.store.sqlite.checkpoint import Checkpointer
from gatepost.store.sqlite.connection import connect, patience, read_engine, sqlite_unavailable, write_engine

__all__ = ["SqliteStore"]

_PAGES = 8
"""That a batch appends to the log besides those of its events, about."""


class SqliteStore(BaseStore):
    """See :class:`gatepost.store.interface.Store`. Open it with :meth:`open`."""

    def __init__(
        self,
        folder: Path,
        lock: data.FolderLock,
        keys: ImageKeys | None,
        packs: Packs,
    ) -> None:
        super().__init__(read_engine(folder / data.DATABASE), keys, packs)
        self.folder = folder
        self._lock = lock
        self._writing = threading.Lock()
        self._closed = False
        with unavailable(), self._engine.connect() as db:
            self.secret = identity_secret(db)
        self._write_with(connect(folder / data.DATABASE, patience_ms=0))
        self._checkpointer = Checkpointer(lambda: connect(folder / data.DATABASE))

    def _write_with(self, db: sqlite3.Connection) -> None:
        self._inserter = Inserter(db, writer=self.writer, secret=self.secret, keys=self._keys)
        self._db, self._changes = db, write_engine(db)

    @classmethod
    def open(cls, folder: Path, *, keys: ImageKeys | None = None) -> "SqliteStore":
        """Open the store of a data folder, bring it to today's schema, and make it where there is none.

        Raises :class:`~gatepost.errors.StoreInUse`, :class:`~gatepost.errors.StoreTooNew` or
        :class:`~gatepost.errors.StoreCorrupt`, in which case nothing was touched; and plain
        :class:`~gatepost.errors.StoreError` where the folder cannot be written to.
        """
        data.make(folder)
        lock = data.FolderLock(folder)
        try:
            revision = data.inspect(folder)
            if revision is not None:
                migrate.check_known(revision, str(folder / data.DATABASE))
            data.check_writable(folder)
            if revision != migrate.head():
                _migrate(folder / data.DATABASE)
            with sqlite_unavailable(folder):
                return cls(folder, lock, keys, Packs(Folder.open(folder / data.JOURNAL)))
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        with self._writing:
            if self._closed:
                return
            self._closed = True
            self._checkpointer.close()
            self._engine.dispose()
            self._changes.dispose()
            self._db.close()
            if self.packs is not None:
                self.packs.close()
            self._lock.release()

    # Writing

    def write(self, batch: Sequence[Arrival], progress: Progress | None = None) -> list[Stored]:
        if not batch and progress is None:
            return []
        with self._writing, sqlite_unavailable(self.folder):
            self._check_open()
            try:
                with patience(self._db):
                    self._db.execute("BEGIN IMMEDIATE")
                stored = self._inserter.insert(batch)
                if progress is not None:
                    self._inserter.advance(progress)
                self._db.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
            self._checkpointer.wrote(_PAGES + 2 * len(batch), self._db)
        return stored

    def _undo(self) -> None:
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        with self._writing, unavailable():
            self._check_open()
            with patience(self._db), self._changes.begin() as connection:
                yield connection

    # Reading

    def horizon(self, db: Connection) -> int:
        # One writer, which commits in the order of the ids that it gives.
        return int(db.execute(select(meta.c.value).where(meta.c.name == "next_id")).scalar() or 1)

    # Deleting

    def scrub(self) -> bool:
        with self._writing, sqlite_unavailable(self.folder):
            self._check_open()
            try:
                self._db.execute("PRAGMA busy_timeout = 200")
                busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self._db.execute("PRAGMA busy_timeout = 0")
        return not busy

    def forget_people(self) -> None:
        # A connection keeps pages, and its prepared statements the values they last had.
        with self._writing, sqlite_unavailable(self.folder):
            self._check_open()
            old, changes = self._db, self._changes
            self._write_with(connect(self.folder / data.DATABASE, patience_ms=0))
            changes.dispose()
            old.close()
        self._engine.dispose()
        self._engine.clear_compiled_cache()

    def server_version(self) -> str:
        return sqlite3.sqlite_version

    def sizes(self) -> dict[str, int]:
        with sqlite_unavailable(self.folder):
            events = sum(_size(path) for path in self.folder.glob(f"{data.DATABASE}*"))
        return {"events": events, "images": self._image_bytes()}

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")


def _size(path: Path) -> int:
    """Of a file that may be deleted meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _migrate(path: Path) -> None:
    with sqlite_unavailable(path.parent):
        db = connect(path)
    engine = write_engine(db)
    try:
        with unavailable(), engine.begin() as connection:
            migrate.upgrade(connection)
    finally:
        engine.dispose()
        db.close()
    data.sync_directory(path.parent)
