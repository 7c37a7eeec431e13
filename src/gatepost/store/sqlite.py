"""The store in a data folder: SQLite, one process.

``gatepost.db`` (write-ahead log) holds the events, ``images/`` a file a day, ``gatepost.lock`` keeps a second
process out: see folder.py and images.py.

One transaction per batch: insert the events, uncommitted, leaving out what is there already → write the images
of the new ones → commit the images → commit the events. A crash between the two commits leaves images without
an event, never an event without its image.

A batch is handed to SQLite in few large statements. Each statement gives up the interpreter's lock once, so a
batch of single inserts would have to win it back from a busy event loop dozens of times
(``docs/decisions/sqlite-writes.md``).
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool, StaticPool

from gatepost.errors import StoreError, StoreUnavailable
from gatepost.store import arrivals as a
from gatepost.store import folder as data
from gatepost.store import migrate, queries, upserts
from gatepost.store.base import BaseStore, unavailable
from gatepost.store.checkpoint import Checkpointer
from gatepost.store.images import DayFiles, sync_directory
from gatepost.store.store import Arrival, Stored
from gatepost.wire import Alarm, Record

__all__ = ["SqliteStore", "connect", "read_engine", "write_engine", "sqlite_unavailable"]

_ID_BLOCK = 1024
"""How many ids are set aside at once: one more write per block keeps an id from ever being given twice."""

_CACHE = 20_000
"""Identities whose row id is remembered."""

_TALLIES = {rows: upserts.tally("sqlite", rows) for rows in upserts.ROWS}
_ALARM = upserts.alarm("sqlite")
_PEER, _DISAGREEMENT = upserts.peer("sqlite"), upserts.disagreement("sqlite")
_TRIM_DISAGREEMENTS = upserts.trim_disagreements("sqlite")


class SqliteStore(BaseStore):
    """See :class:`gatepost.store.store.Store`. Open it with :meth:`open`."""

    def __init__(self, folder: Path, lock: data.FolderLock) -> None:
        super().__init__(read_engine(folder / data.DATABASE))
        self.folder = folder
        self._lock = lock
        self._writing = threading.RLock()
        self._closed = False
        self._db = connect(folder / data.DATABASE)
        self._changes = write_engine(self._db)
        self._checkpointer = Checkpointer(lambda: connect(folder / data.DATABASE))
        self._images = DayFiles(folder / data.IMAGES)
        self._facets: dict[a.Facet, int] = {}
        self._identities: dict[a.Person, int] = {}
        self._sites: dict[int, int] = {}
        self._peers: dict[str, int] = {}
        self._seen: dict[int, tuple[str | None, str | None]] = {}
        self._remember()
        row = self._db.execute("SELECT value FROM meta WHERE name = 'reserved_ids'").fetchone()
        self._next_id = self._reserved = int(row[0]) if row else 1

    @classmethod
    def open(cls, folder: Path) -> "SqliteStore":
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
                return cls(folder, lock)
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

    def write(self, batch: Sequence[Arrival]) -> list[Stored]:
        if not batch:
            return []
        with self._writing:
            with self._transaction():
                stored = self._write(batch)
            self._checkpointer.wrote(len(batch), self._db)
        return stored

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._writing, sqlite_unavailable(self.folder):
            self._check_open()
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._undo()
                raise

    def _undo(self) -> None:
        """Forget what the failed transaction taught; ids that it took stay taken."""
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        self._images.close()
        self._reserved = self._next_id
        with suppress(sqlite3.Error):
            self._remember()

    def _remember(self) -> None:
        db = self._db
        self._facets = {tuple(row[1:]): row[0] for row in db.execute("SELECT * FROM facets")}
        self._peers = dict(db.execute("SELECT address, terminal_id FROM peers"))
        self._identities.clear()
        self._sites.clear()
        self._seen.clear()
        for number, site, model, dialect in db.execute("SELECT id, site_id, model, dialect FROM terminals"):
            self._sites[number] = site
            self._seen[number] = (model, dialect)

    def _write(self, batch: Sequence[Arrival]) -> list[Stored]:
        a.check_terminals(batch, self._sites)
        first = self._take_ids(len(batch))
        places = self._place_images(batch)
        records: list[tuple[Any, ...]] = []
        steps: list[tuple[Any, ...]] = []
        unknowns: list[tuple[Any, ...]] = []
        for number, arrival in enumerate(batch, first):
            content = arrival.event
            place = places.get(number, (None, None))
            if isinstance(content, Record):
                records.append((number, *self._record_row(arrival, content), *place))
            elif isinstance(content, Alarm):
                steps.append((number, *a.alarm_row(arrival, content), *place))
            else:
                unknowns.append((number, *a.quarantine_row(arrival)))
        known = {
            *self._insert("records", records),
            *self._insert("alarm_events", steps),
            *self._insert("quarantine", unknowns),
        }
        pictures = [
            (places[number][1], arrival.image)
            for number, arrival in enumerate(batch, first)
            if number in places and number not in known and arrival.image is not None
        ]
        if pictures:
            self._images.add(pictures)
        self._account(batch, first, known)
        return [
            Stored(True, number) if number not in known else Stored(False, self._existing(arrival))
            for number, arrival in enumerate(batch, first)
        ]

    def _record_row(self, arrival: Arrival, record: Record) -> tuple[Any, ...]:
        facet = self._facet(a.facet(record, arrival.image is not None))
        who = a.person(record.user, self._sites[arrival.terminal_id]) if record.user is not None else None
        identity = None if who is None else self._identity(who, arrival.received_at_ms)
        return a.record_row(arrival, record, facet, identity)

    def _insert(self, table: str, rows: Sequence[tuple[Any, ...]]) -> list[int]:
        """Insert what is not there yet; answer the ids of the others, which were not given."""
        if not rows:
            return []
        db = self._db
        before = db.total_changes
        for size, values in upserts.in_steps(rows):
            db.execute(_INSERTS[table, size], values)
        if db.total_changes - before == len(rows):
            return []
        given = {row[0] for row in db.execute(f"SELECT id FROM {table} WHERE id >= ?", (rows[0][0],))}
        return [row[0] for row in rows if row[0] not in given]

    def _existing(self, arrival: Arrival) -> int:
        table = _TABLES[a.kind(arrival)]
        row = self._db.execute(
            f"SELECT id FROM {table} WHERE terminal_id = ? AND key = ?", (arrival.terminal_id, arrival.key)
        ).fetchone()
        return int(row[0])

    def _place_images(self, batch: Sequence[Arrival]) -> dict[int, tuple[int, int]]:
        """The day and the id of each image of the batch, by the event's id."""
        numbers = [
            number
            for number, arrival in enumerate(batch, self._next_id - len(batch))
            if arrival.image is not None and a.kind(arrival) != a.UNKNOWN
        ]
        if not numbers:
            return {}
        day = max(arrival.received_at_ms for arrival in batch) // a.DAY_MS
        first = self._images.reserve(day, len(numbers))
        return {number: (day, image_id) for image_id, number in enumerate(numbers, first)}

    def _take_ids(self, count: int) -> int:
        first = self._next_id
        self._next_id += count
        if self._next_id > self._reserved:
            self._reserved = self._next_id + _ID_BLOCK
            self._db.execute(
                "INSERT INTO meta (name, value) VALUES ('reserved_ids', ?1)"
                " ON CONFLICT (name) DO UPDATE SET value = ?1",
                (str(self._reserved),),
            )
        return first

    def _facet(self, facet: a.Facet) -> int:
        known = self._facets.get(facet)
        if known is None:
            cursor = self._db.execute(
                "INSERT INTO facets (recognition_type, passed, abnormal_type, entry_mode, has_image)"
                " VALUES (?,?,?,?,?)",
                facet,
            )
            known = self._facets[facet] = int(cursor.lastrowid or 0)
        return known

    def _identity(self, who: a.Person, at_ms: int) -> int:
        known = self._identities.get(who)
        if known is None:
            values = (a.person_digest(who), *who, at_ms)
            self._db.execute(
                f"INSERT INTO identities ({a.IDENTITY_COLUMNS}) VALUES ({','.join('?' * len(values))})"
                " ON CONFLICT (digest) DO NOTHING",
                values,
            )
            row = self._db.execute("SELECT id FROM identities WHERE digest = ?", values[:1]).fetchone()
            if len(self._identities) >= _CACHE:
                self._identities.clear()
            known = self._identities[who] = int(row[0])
        return known

    def _account(self, batch: Sequence[Arrival], first: int, known: set[int]) -> None:
        """Count, join the alarms, and note what the batch taught about the terminals."""
        db = self._db
        fresh = [number not in known for number in range(first, first + len(batch))]
        tallies = [tally.row(number, self.writer) for number, tally in a.add_up(batch, fresh).items()]
        for rows, values in upserts.in_steps(tallies):
            db.execute(_TALLIES[rows], values)
        for alarm in a.merge_alarms(batch, range(first, first + len(batch)), fresh):
            db.execute(_ALARM, alarm)
        lessons = a.learn(batch, peers=self._peers, seen=self._seen)
        for peer in lessons.peers:
            db.execute(_PEER, peer)
        for disagreement in lessons.disagreements:
            db.execute(_DISAGREEMENT, disagreement)
        for terminal_id in {row[0] for row in lessons.disagreements}:
            db.execute(_TRIM_DISAGREEMENTS, (terminal_id, terminal_id))
        if len(self._peers) > upserts.MAX_PEERS:
            db.execute(upserts.trim_peers())
            self._peers = dict(db.execute("SELECT address, terminal_id FROM peers"))
        for seen in lessons.seen:
            db.execute("UPDATE terminals SET model = ?, dialect = ? WHERE id = ?", seen)

    @contextmanager
    def changing(self, *, forget: bool = True) -> Iterator[Connection]:
        with self._writing, unavailable():
            self._check_open()
            with self._changes.begin() as connection:
                yield connection
            if forget:
                self._remember()

    # Reading

    def horizon(self, db: Connection) -> int | None:
        return None  # one writer, which commits in the order of the ids that it gives

    def image(self, event_id: int) -> bytes | None:
        with self.reading() as db:
            place = queries.image_place(db, event_id)
        with sqlite_unavailable(self.folder):
            return None if place is None else self._images.read(*place)

    # Leaving

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
                self._db.execute("PRAGMA busy_timeout = 10000")
        return not busy

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


_TABLES = {a.RECORD: "records", a.ALARM: "alarm_events", a.UNKNOWN: "quarantine"}


def _inserts() -> dict[tuple[str, int], str]:
    found = {}
    for table, columns in (
        ("records", (*a.RECORD_COLUMNS, "image_day", "image_id")),
        ("alarm_events", (*a.ALARM_COLUMNS, "image_day", "image_id")),
        ("quarantine", a.QUARANTINE_COLUMNS),
    ):
        row = f"({','.join('?' * (len(columns) + 1))})"
        for size in upserts.ROWS:
            # OR FAIL: what fails is rolled back with the whole transaction, so SQLite need not keep a copy of each
            # page for a rollback of the statement alone; that took a third of the time.
            found[table, size] = (
                f"INSERT OR FAIL INTO {table} (id, {', '.join(columns)}) VALUES {','.join([row] * size)}"
                " ON CONFLICT (terminal_id, key) DO NOTHING"
            )
    return found


_INSERTS = _inserts()


@contextmanager
def sqlite_unavailable(folder: Path) -> Iterator[None]:
    """Say of what SQLite raises when the disk is full, failing or busy: not now."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.DatabaseError, OSError) as error:
        raise StoreUnavailable(f"the store in {folder} cannot be used now: {error}") from error


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes, and syncs before it answers."""
    db = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
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
    except BaseException:
        db.close()
        raise
    return db


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


def write_engine(db: sqlite3.Connection) -> Engine:
    """SQLAlchemy on that connection."""
    engine = create_engine("sqlite://", creator=lambda: db, poolclass=StaticPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def read_engine(path: Path) -> Engine:
    """Connections that only read; each sees one state of the file until it is given back."""

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
