"""The store in a data folder: SQLite, one process.

``gatepost.db`` (write-ahead log) holds the events, ``images/`` a file a day, ``gatepost.lock`` keeps a second
process out: see folder.py and images.py.

One transaction per batch: insert the events, uncommitted, leaving out what is there already → write the images
of the new ones → commit the images → commit the events. A crash between the two commits leaves images without
an event, never an event without its image.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy.engine import Connection

from gatepost.errors import StoreUnavailable
from gatepost.store import folder as data
from gatepost.store import migrate
from gatepost.store.base import BaseStore, unavailable
from gatepost.store.checkpoint import Checkpointer
from gatepost.store.images import DayFiles, sync_directory
from gatepost.store.keys import identity_secret
from gatepost.store.sealing import ImageKeys
from gatepost.store.sqlite_batch import Inserter
from gatepost.store.sqlite_connection import connect, patience, read_engine, sqlite_unavailable, write_engine
from gatepost.store.store import Arrival, Progress, Stored

__all__ = ["SqliteStore"]


class SqliteStore(BaseStore):
    """See :class:`gatepost.store.store.Store`. Open it with :meth:`open`."""

    def __init__(
        self,
        folder: Path,
        lock: data.FolderLock,
        keys: ImageKeys | None = None,
    ) -> None:
        super().__init__(read_engine(folder / data.DATABASE), keys)
        self.folder = folder
        self._lock = lock
        self._writing = threading.Lock()
        self._closed = False
        with unavailable(), self._engine.connect() as db:
            self.secret = identity_secret(db)
        self._images = DayFiles(folder / data.IMAGES)
        self._write_with(connect(folder / data.DATABASE, patience_ms=0))
        self._checkpointer = Checkpointer(lambda: connect(folder / data.DATABASE))

    def _write_with(self, db: sqlite3.Connection) -> None:
        self._inserter = Inserter(
            db,
            self._images,
            writer=self.writer,
            secret=self.secret,
            seal_quarantine=self._sealed_quarantine,
        )
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
                return cls(folder, lock, keys)
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        with self._writing:
            if self._closed:
                return
            self._closed = True
            self._checkpointer.close()
            self._images.close()
            self._engine.dispose()
            self._changes.dispose()
            self._db.close()
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
                inserted = self._inserter.insert(batch)
                if progress is not None:
                    self._inserter.advance(progress)
                if inserted.images:
                    self._images.add(
                        [(at, self._sealed_image(day, at, jpeg)) for day, at, jpeg in inserted.images]
                    )
                self._db.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
            self._checkpointer.wrote(inserted.pages, self._db)
        return inserted.stored

    def _undo(self) -> None:
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        self._images.close()

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        with self._writing, unavailable():
            self._check_open()
            with patience(self._db), self._changes.begin() as connection:
                yield connection

    # Reading

    def horizon(self, db: Connection) -> int | None:
        return None  # one writer, which commits in the order of the ids that it gives

    # Leaving

    def image_at(self, day: int, image_id: int) -> bytes | None:
        with sqlite_unavailable(self.folder):
            return self._images.read(day, image_id)

    def image_heads(self, day: int, after: int, *, limit: int) -> list[tuple[int, bytes]]:
        with sqlite_unavailable(self.folder):
            return self._images.heads(day, after, limit=limit)

    def replace_images(self, day: int, rows: Sequence[tuple[int, bytes]]) -> None:
        with self._writing, sqlite_unavailable(self.folder):
            self._check_open()
            self._images.replace(day, rows)

    def image_days(self) -> list[int]:
        with sqlite_unavailable(self.folder):
            return self._images.days()

    def remove_images(self, places: Sequence[tuple[int, int]]) -> int:
        by_day: dict[int, list[int]] = {}
        for day, image_id in places:
            by_day.setdefault(day, []).append(image_id)
        with self._writing, sqlite_unavailable(self.folder):
            self._check_open()
            return sum(self._images.remove(day, ids) for day, ids in sorted(by_day.items()))

    def drop_images(self, before_day: int, *, limit: int) -> int:
        with self._writing, sqlite_unavailable(self.folder):
            self._check_open()
            due = [day for day in self._images.days() if day < before_day][:1]
            for day in due:
                self._images.drop(day)
        return len(due)

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

    def sizes(self) -> dict[str, int]:
        with sqlite_unavailable(self.folder):
            return {
                "events": sum(_size(path) for path in self.folder.glob(f"{data.DATABASE}*")),
                "images": sum(_size(path) for path in (self.folder / data.IMAGES).glob("*.db")),
            }

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
    sync_directory(path.parent)
