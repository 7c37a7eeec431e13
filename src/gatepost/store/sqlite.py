"""The store in a data folder: SQLite, one process.

``gatepost.db`` (write-ahead log) holds the events, ``images/`` a file a day, ``gatepost.lock`` keeps a second
process out: see folder.py and images.py.

One transaction per batch: insert the events, uncommitted, leaving out what is there already → write the images
of the new ones → commit the images → commit the events. A crash between the two commits leaves images without
an event, never an event without its image. :meth:`SqliteStore.begin` does the first of these steps, which waits for
nobody; what it answers does the others.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy.engine import Connection

from gatepost.errors import StoreUnavailable
from gatepost.store import folder as data
from gatepost.store import migrate
from gatepost.store.base import BaseStore, unavailable
from gatepost.store.checkpoint import Checkpointer
from gatepost.store.images import DayFiles, sync_directory
from gatepost.store.indexing import ANY_BEHIND, Indexing
from gatepost.store.keys import identity_secret
from gatepost.store.sealing import ImageKeys
from gatepost.store.sqlite_batch import Begun, Inserter, day_of
from gatepost.store.sqlite_connection import connect, patience, read_engine, sqlite_unavailable, write_engine
from gatepost.store.store import Arrival, Stored

__all__ = ["SqliteStore"]

log = structlog.get_logger(__name__)


class SqliteStore(BaseStore):
    """See :class:`gatepost.store.store.Store`. Open it with :meth:`open`."""

    def __init__(
        self,
        folder: Path,
        lock: data.FolderLock,
        keys: ImageKeys | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(read_engine(folder / data.DATABASE), keys)
        self.folder = folder
        self._lock = lock
        self._monotonic = monotonic
        self._writing = threading.Lock()
        """Whoever holds it may write. It may be released in another thread than it was taken in."""
        self._closed = False
        with unavailable(), self._engine.connect() as db:
            self.secret = identity_secret(db)
        self._images = DayFiles(folder / data.IMAGES)
        self._write_with(connect(folder / data.DATABASE, patience_ms=0))
        self._checkpointer = Checkpointer(lambda: connect(folder / data.DATABASE))

    def _write_with(self, db: sqlite3.Connection) -> None:
        indexing = Indexing(db, self._monotonic)
        self._inserter = Inserter(
            db,
            indexing,
            self._images,
            writer=self.writer,
            secret=self.secret,
            seal_quarantine=self._sealed_quarantine,
        )
        self._db, self._changes, self._indexing = db, write_engine(db), indexing

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
            with suppress(StoreUnavailable):  # else whoever opens it next does
                self._catch_up()
            self._closed = True
            self._checkpointer.close()
            self._images.close()
            self._engine.dispose()
            self._changes.dispose()
            self._db.close()
            self._lock.release()

    # Writing

    def begin(self, batch: Sequence[Arrival]) -> Callable[[], list[Stored]] | None:
        if not batch or not self._writing.acquire(blocking=False):
            return None
        begun = None
        try:
            if self._is_ready(batch):
                begun = self._begin(batch)
        except Exception as error:
            # Whoever writes it instead will find out what it is, event by event.
            log.debug("store.not_begun", kind=type(error).__name__)
            self._undo()
        finally:
            if begun is None:
                self._writing.release()
        return None if begun is None else partial(self._commit, begun)

    def write(self, batch: Sequence[Arrival]) -> list[Stored]:
        if not batch:
            return []
        self._writing.acquire()
        try:
            with sqlite_unavailable(self.folder):
                self._check_open()
                with patience(self._db):
                    begun = self._begin(batch)
        except BaseException:
            self._undo()
            self._writing.release()
            raise
        return self._commit(begun)

    def _is_ready(self, batch: Sequence[Arrival]) -> bool:
        """Whether nothing has to be read or made first that takes a while."""
        if self._closed or not self._inserter.remembers:
            return False
        return all(arrival.image is None for arrival in batch) or self._images.has_open(day_of(batch))

    def _begin(self, batch: Sequence[Arrival]) -> Begun:
        self._db.execute("BEGIN IMMEDIATE")
        return self._inserter.insert(batch)

    def _commit(self, begun: Begun) -> list[Stored]:
        try:
            with sqlite_unavailable(self.folder):
                if begun.images:
                    self._images.add(
                        [
                            (image_id, self._sealed_image(day, image_id, jpeg))
                            for day, image_id, jpeg in begun.images
                        ]
                    )
                pages = begun.pages
                catches_up = not begun.indexed and self._indexing.is_due(begun.records)
                if catches_up:
                    pages += self._indexing.behind // 2
                    self._indexing.catch_up()
                self._db.execute("COMMIT")
            if begun.indexed or catches_up:
                self._indexing.caught_up(begun.last_id)
            else:
                self._indexing.left_behind(begun.records)
            self._checkpointer.wrote(pages, self._db)
        except BaseException:
            self._undo()
            raise
        finally:
            self._writing.release()
        return begun.stored

    def _undo(self) -> None:
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        self._images.close()
        self._inserter.forget()

    @contextmanager
    def changing(self, *, forget: bool = True) -> Iterator[Connection]:
        with self._writing, unavailable():
            self._check_open()
            with patience(self._db), self._changes.begin() as connection:
                if self._indexing.behind:
                    with sqlite_unavailable(self.folder):
                        self._indexing.catch_up()
                yield connection
            self._indexing.caught_up(self._inserter.last_id)
            if forget:
                self._inserter.remember()

    # Reading

    @contextmanager
    def reading(self, *, indexed: bool = True) -> Iterator[Connection]:
        with super().reading() as connection:
            if indexed and _any_behind(connection):
                connection.rollback()
                with self._writing, suppress(StoreUnavailable):  # a full disk: then without what is behind
                    self._catch_up()
                    _any_behind(connection)  # before anything else is written, it sees this moment
            yield connection

    def _catch_up(self) -> None:
        with sqlite_unavailable(self.folder):
            self._check_open()
            if not self._indexing.behind:
                return
            try:
                with patience(self._db):
                    self._db.execute("BEGIN IMMEDIATE")
                self._indexing.catch_up()
                self._db.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
        self._indexing.caught_up(self._inserter.last_id)

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
        # Not only what is ours: a connection keeps pages, and its prepared statements the values they last had.
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


def _any_behind(connection: Connection) -> bool:
    """Whether records are behind in what this connection sees, which from now on is one moment: see indexing.py."""
    return bool(connection.exec_driver_sql(ANY_BEHIND).scalar())


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
