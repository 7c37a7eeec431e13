"""The store in a data folder: SQLite, one process.

``gatepost.db`` (write-ahead log) holds the events, ``images/`` a file a day, ``gatepost.lock`` keeps a second
process out: see folder.py and images.py.

One transaction per batch: insert the events, uncommitted, leaving out what is there already → write the images
of the new ones → commit the images → commit the events. A crash between the two commits leaves images without
an event, never an event without its image. :meth:`SqliteStore.begin` does the first of these steps, which waits for
nobody; what it answers does the others.

A batch is handed to SQLite in few large statements. Each statement gives up the interpreter's lock once, so a
batch of single inserts would have to win it back from a busy event loop dozens of times
(``docs/decisions/sqlite-writes.md``).
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool, StaticPool

from gatepost.errors import StoreError, StoreUnavailable
from gatepost.store import arrivals as a
from gatepost.store import folder as data
from gatepost.store import migrate, upserts
from gatepost.store.base import BaseStore, unavailable
from gatepost.store.checkpoint import Checkpointer
from gatepost.store.images import DayFiles, sync_directory
from gatepost.store.indexing import ANY_BEHIND, CATCH_UP, Indexing
from gatepost.store.sealing import ImageKeys
from gatepost.store.store import Arrival, Stored
from gatepost.wire import Alarm, Record, User

__all__ = ["SqliteStore", "connect", "read_engine", "write_engine", "sqlite_unavailable"]

log = structlog.get_logger(__name__)

_ID_BLOCK = 1024
"""How many ids are set aside at once: one more write per block keeps an id from ever being given twice."""

_CACHE = 20_000
"""Identities whose row id is remembered."""

_USERS = 4096
"""As they came out of the decoder, which answers the same object for whoever it has seen before."""

_CODES = 4096
"""Combinations of codes of which it is remembered what facet they are. Anything may be sent as a code."""

_STATEMENTS = 7 * upserts.MAX_ROWS + 64
"""That stay prepared: rows of three tables (of records with and without image, in the indexes and not), and of the
tallies, in every number; and what else there is."""

_PATIENCE_MS = 10_000

_ALARM = upserts.alarm("sqlite")
_PEER, _DISAGREEMENT = upserts.peer("sqlite"), upserts.disagreement("sqlite")
_TRIM_DISAGREEMENTS = upserts.trim_disagreements("sqlite")


class SqliteStore(BaseStore):
    """See :class:`gatepost.store.store.Store`. Open it with :meth:`open`."""

    def __init__(self, folder: Path, lock: data.FolderLock, keys: ImageKeys | None = None) -> None:
        super().__init__(read_engine(folder / data.DATABASE), keys)
        self.folder = folder
        self._lock = lock
        self._writing = threading.Lock()
        """Whoever holds it may write. It may be released in another thread than it was taken in."""
        self._closed = False
        self._db = connect(folder / data.DATABASE, patience_ms=0)
        self._changes = write_engine(self._db)
        self._checkpointer = Checkpointer(lambda: connect(folder / data.DATABASE))
        self._images = DayFiles(folder / data.IMAGES)
        self._facets: dict[a.Facet, int] = {}
        self._codes: dict[tuple[Any, ...], int] = {}
        self._identities: dict[a.Person, int] = {}
        self._users: dict[tuple[int, int], tuple[User, int | None]] = {}
        self._sites: dict[int, int] = {}
        self._peers: dict[str, int] = {}
        self._seen: dict[int, tuple[str | None, str | None]] = {}
        self._remembers = False
        self._remember()
        self._indexing = Indexing(self._db)
        row = self._db.execute("SELECT value FROM meta WHERE name = 'reserved_ids'").fetchone()
        self._next_id = self._reserved = int(row[0]) if row else 1

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
                with self._patience():
                    begun = self._begin(batch)
        except BaseException:
            self._undo()
            self._writing.release()
            raise
        return self._commit(begun)

    def _is_ready(self, batch: Sequence[Arrival]) -> bool:
        """Whether nothing has to be read or made first that takes a while."""
        if self._closed or not self._remembers:
            return False
        return all(arrival.image is None for arrival in batch) or self._images.has_open(_day(batch))

    def _begin(self, batch: Sequence[Arrival]) -> "_Begun":
        self._db.execute("BEGIN IMMEDIATE")
        return self._insert_all(batch)

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """Wait for another process that writes, a command beside the receiver; else that is an error at once."""
        self._db.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
        try:
            yield
        finally:
            self._db.execute("PRAGMA busy_timeout = 0")

    def _commit(self, begun: "_Begun") -> list[Stored]:
        try:
            with sqlite_unavailable(self.folder):
                if begun.images:
                    self._images.add(
                        [
                            (image_id, self._sealed_image(day, image_id, jpeg))
                            for day, image_id, jpeg in begun.images
                        ]
                    )
                catches_up = not begun.indexed and self._indexing.is_due(begun.records)
                if catches_up:
                    self._db.execute(CATCH_UP, (self._indexing.after,))
                self._db.execute("COMMIT")
            if begun.indexed or catches_up:
                self._indexing.caught_up(begun.last_id)
            else:
                self._indexing.left_behind(begun.records)
            self._checkpointer.wrote(len(begun.stored), self._db)
        except BaseException:
            self._undo()
            raise
        finally:
            self._writing.release()
        return begun.stored

    def _undo(self) -> None:
        """Forget what the failed transaction taught; ids that it took stay taken."""
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        self._images.close()
        self._reserved = self._next_id
        self._remembers = False

    def _remember(self) -> None:
        db = self._db
        self._facets = {tuple(row[1:]): row[0] for row in db.execute("SELECT * FROM facets")}
        self._peers = dict(db.execute("SELECT address, terminal_id FROM peers"))
        self._codes.clear()
        self._identities.clear()
        self._users.clear()
        self._sites.clear()
        self._seen.clear()
        for number, site, model, dialect in db.execute("SELECT id, site_id, model, dialect FROM terminals"):
            self._sites[number] = site
            self._seen[number] = (model, dialect)
        self._remembers = True

    def _insert_all(self, batch: Sequence[Arrival]) -> "_Begun":
        if not self._remembers:
            self._remember()
        a.check_terminals(batch, self._sites)
        first = self._take_ids(len(batch))
        places = self._place_images(batch)
        plain: list[Any] = []
        records: list[Any] = []
        steps: list[Any] = []
        unknowns: list[Any] = []
        for number, arrival in enumerate(batch, first):
            content = arrival.event
            if isinstance(content, Record):
                row = self._record_row(arrival, content)
                if number in places or arrival.problems:
                    records += (number, *row, *places.get(number, (None, None)))
                else:
                    plain.append(number)
                    plain += row
                    plain.pop()  # no problems
            elif isinstance(content, Alarm):
                steps += (number, *a.alarm_row(arrival, content), *places.get(number, (None, None)))
            else:
                unknowns += (number, *self._sealed_quarantine(number, a.quarantine_row(arrival)))
        count = len(plain) // _WIDTHS["plain"] + len(records) // _WIDTHS["records"]
        indexed = not self._indexing.leaves_behind(count)
        known = {
            *self._insert("plain", plain, indexed=indexed),
            *self._insert("records", records, indexed=indexed),
            *self._insert("alarm_events", steps),
            *self._insert("quarantine", unknowns),
        }
        self._account(batch, first, known)
        return _Begun(
            stored=[
                Stored(True, number) if number not in known else Stored(False, self._existing(arrival))
                for number, arrival in enumerate(batch, first)
            ],
            images=[
                (*places[number], arrival.image)
                for number, arrival in enumerate(batch if places else (), first)
                if number in places and number not in known and arrival.image is not None
            ],
            records=count,
            indexed=indexed,
            last_id=first + len(batch) - 1,
        )

    def _record_row(self, arrival: Arrival, record: Record) -> tuple[Any, ...]:
        has_image = arrival.image is not None
        codes = (record.recognition_type, record.passed, record.abnormal_type, record.entry_mode, has_image)
        facet = self._codes.get(codes)
        if facet is None:
            if len(self._codes) >= _CODES:
                self._codes.clear()
            facet = self._codes[codes] = self._facet(a.facet(record, has_image))
        return a.record_row(arrival, record, facet, self._identity_of(arrival, record.user))

    def _identity_of(self, arrival: Arrival, user: User | None) -> int | None:
        if user is None:
            return None
        site = self._sites[arrival.terminal_id]
        # What is held here stays alive, so that no other one can have its place in memory.
        held = self._users.get((id(user), site))
        if held is not None:
            return held[1]
        who = a.person(user, site)
        identity = None if who is None else self._identity(who, arrival.received_at_ms)
        if len(self._users) >= _USERS:
            self._users.clear()
        self._users[id(user), site] = (user, identity)
        return identity

    def _insert(self, table: str, values: Sequence[Any], *, indexed: bool = True) -> list[int]:
        """Insert rows, one behind the other, that are not there yet; answer the ids of the others, which were not
        given."""
        if not values:
            return []
        db, width = self._db, _WIDTHS[table]
        before = db.total_changes
        for rows, part in upserts.in_steps(values, width):
            db.execute(_insert(table, rows, indexed), part)
        ids = values[::width]
        if db.total_changes - before == len(ids):
            return []
        into = "records" if table == "plain" else table
        given = {row[0] for row in db.execute(f"SELECT id FROM {into} WHERE id >= ?", (ids[0],))}
        return [number for number in ids if number not in given]

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
        day = _day(batch)
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
        tallies: list[Any] = []
        for number, tally in a.add_up(batch, fresh).items():
            tallies += tally.row(number, self.writer)
        for rows, values in upserts.in_steps(tallies, len(a.TALLY_COLUMNS)):
            db.execute(_tally(rows), values)
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
            with self._patience(), self._changes.begin() as connection:
                if self._indexing.behind:
                    connection.exec_driver_sql(CATCH_UP, (self._indexing.after,))
                yield connection
            self._indexing.caught_up(self._next_id - 1)
            if forget:
                self._remember()

    # Reading

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with super().reading() as connection:
            if _any_behind(connection):
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
                with self._patience():
                    self._db.execute("BEGIN IMMEDIATE")
                self._db.execute(CATCH_UP, (self._indexing.after,))
                self._db.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
        self._indexing.caught_up(self._next_id - 1)

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
            fresh, old = connect(self.folder / data.DATABASE, patience_ms=0), self._db
            self._changes.dispose()
            self._db, self._changes = fresh, write_engine(fresh)
            old.close()
            self._remember()
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


def _day(batch: Sequence[Arrival]) -> int:
    """In which the images of a batch are put."""
    return max(arrival.received_at_ms for arrival in batch) // a.DAY_MS


class _Begun(NamedTuple):
    """What is inserted, and not yet committed."""

    stored: list[Stored]
    images: list[tuple[int, int, bytes]]
    """Day, id and JPEG."""
    records: int
    indexed: bool
    """Whether they, and all before them, are in the indexes."""
    last_id: int


_TABLES = {a.RECORD: "records", a.ALARM: "alarm_events", a.UNKNOWN: "quarantine"}


_COLUMNS = {
    # Nearly every record has no problems, and without images three columns need not be handed over for it.
    "plain": ("id", *a.RECORD_COLUMNS[:-1]),
    "records": ("id", *a.RECORD_COLUMNS, "image_day", "image_id"),
    "alarm_events": ("id", *a.ALARM_COLUMNS, "image_day", "image_id"),
    "quarantine": ("id", *a.QUARANTINE_COLUMNS),
}
_WIDTHS = {table: len(columns) for table, columns in _COLUMNS.items()}
_UNINDEXED = {name: f"unindexed_{name}" for name in ("facet_id", "identity_id")}


@cache
def _insert(table: str, rows: int, indexed: bool) -> str:
    columns, into = _COLUMNS[table], "records" if table == "plain" else table
    names = columns if indexed else [_UNINDEXED.get(name, name) for name in columns]
    row = f"({','.join('?' * len(columns))})"
    # OR FAIL: what fails is rolled back with the whole transaction, so SQLite need not keep a copy of each page for
    # a rollback of the statement alone; that took a third of the time.
    return (
        f"INSERT OR FAIL INTO {into} ({', '.join(names)}) VALUES {','.join([row] * rows)}"
        " ON CONFLICT (terminal_id, key) DO NOTHING"
    )


@cache
def _tally(rows: int) -> str:
    return upserts.tally("sqlite", rows)


@contextmanager
def sqlite_unavailable(folder: Path) -> Iterator[None]:
    """Say of what SQLite raises when the disk is full, failing or busy: not now."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.DatabaseError, OSError) as error:
        raise StoreUnavailable(f"the store in {folder} cannot be used now: {error}") from error


def connect(path: Path, *, patience_ms: int = _PATIENCE_MS) -> sqlite3.Connection:
    """A connection that writes, and syncs before it answers."""
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
