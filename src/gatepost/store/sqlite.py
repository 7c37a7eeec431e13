"""The store in a data folder: SQLite, one process.

``gatepost.db`` (write-ahead log) holds the events, ``images/`` a file a day, ``gatepost.lock`` keeps a second
process out.

One transaction per batch: insert the events, uncommitted, leaving out what is there already → write the images
of the new ones → commit the images → commit the events. A crash between the two commits leaves images without
an event, never an event without its image.

A batch is handed to SQLite in few large statements. Each statement gives up the interpreter's lock once, so a
batch of single inserts would have to win it back from a busy event loop dozens of times.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

from gatepost.errors import StoreError, StoreUnavailable
from gatepost.store import arrivals as a
from gatepost.store import queries, schema
from gatepost.store.images import DAY_MS, DayFiles, sync_directory
from gatepost.store.store import (
    AlarmQuery,
    AlarmRow,
    Arrival,
    Page,
    RecordQuery,
    RecordRow,
    Stats,
    Stored,
    TerminalRow,
    TerminalState,
)
from gatepost.wire import Alarm, Record

__all__ = ["SqliteStore"]

_ROWS = (64, 16, 4, 1)
"""Rows of one INSERT. Few sizes, so that every statement stays prepared."""

_ID_BLOCK = 1024
"""How many ids are set aside at once: one more write per block keeps an id from ever being given twice."""

_CACHE = 20_000
"""Identities whose row id is remembered."""

_TALLY = """
INSERT INTO tallies (terminal_id, writer, records, alarms, quarantined, duplicates, with_problems, late,
    first_at_ms, last_at_ms, last_recorded_ms, clock_error_ms, interval_ms, peer)
VALUES (?,?,?,?,?,?,?,?,?,?,?,?,NULL,?)
ON CONFLICT (terminal_id, writer) DO UPDATE SET
    records = records + excluded.records,
    alarms = alarms + excluded.alarms,
    quarantined = quarantined + excluded.quarantined,
    duplicates = duplicates + excluded.duplicates,
    with_problems = with_problems + excluded.with_problems,
    late = late + excluded.late,
    last_recorded_ms = max(coalesce(last_recorded_ms, excluded.last_recorded_ms),
        coalesce(excluded.last_recorded_ms, last_recorded_ms)),
    clock_error_ms = coalesce(excluded.clock_error_ms, clock_error_ms),
    interval_ms = (coalesce(interval_ms, excluded.last_at_ms - last_at_ms) * 7
        + max(excluded.last_at_ms - last_at_ms, 0)) / 8,
    last_at_ms = max(last_at_ms, excluded.last_at_ms),
    peer = excluded.peer
"""
_ALARM = """
INSERT INTO alarms (id, terminal_id, trace_id, status, code, first_at_ms, last_at_ms) VALUES (?,?,?,?,?,?,?)
ON CONFLICT (terminal_id, trace_id) DO UPDATE SET
    status = max(status, excluded.status),
    code = min(coalesce(code, excluded.code), coalesce(excluded.code, code)),
    first_at_ms = min(first_at_ms, excluded.first_at_ms),
    last_at_ms = max(last_at_ms, excluded.last_at_ms)
"""
_PEER = """
INSERT INTO peers (address, terminal_id, at_ms) VALUES (?,?,?)
ON CONFLICT (address) DO UPDATE SET terminal_id = excluded.terminal_id, at_ms = excluded.at_ms
"""
_DISAGREEMENT = """
INSERT INTO disagreements (terminal_id, source, said, count, first_at_ms, last_at_ms) VALUES (?1,?2,?3,1,?4,?4)
ON CONFLICT (terminal_id, source, said) DO UPDATE SET count = count + 1, last_at_ms = excluded.last_at_ms
"""


class SqliteStore:
    """See :class:`gatepost.store.store.Store`. Open it with :meth:`open`."""

    def __init__(self, folder: Path, *, now: Callable[[], float]) -> None:
        self.folder = folder
        self._now = now
        self._writing = threading.RLock()
        self._closed = False
        self._db = _connect(folder / "gatepost.db")
        self._engine = _read_engine(folder / "gatepost.db")
        self._images = DayFiles(folder / "images")
        self._facets: dict[a.Facet, int] = {}
        self._identities: dict[a.Person, int] = {}
        self._sites: dict[int, int] = {}
        self._peers: dict[str, int] = {}
        self._seen: dict[int, tuple[str | None, str | None]] = {}
        self._next_id = self._reserved = 0
        self._load()

    @classmethod
    def open(cls, folder: Path, *, now: Callable[[], float] = time.time) -> "SqliteStore":
        """Open the store of a data folder, and make it where there is none."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "gatepost.db"
        fresh = not path.exists()
        db = _connect(path)
        db.close()
        if fresh:
            engine = create_engine(f"sqlite:///{path}")
            schema.metadata.create_all(
                engine, tables=[x for x in schema.metadata.sorted_tables if not x.info.get("only")]
            )
            with engine.begin() as connection:
                connection.execute(
                    schema.sites.insert().values(id=1, name="default", timezone="UTC", created_at_ms=0)
                )
            engine.dispose()
            sync_directory(folder)
            sync_directory(folder.parent)
        return cls(folder, now=now)

    def _load(self) -> None:
        db = self._db
        self._facets = {tuple(row[1:]): row[0] for row in db.execute("SELECT * FROM facets")}
        self._peers = dict(db.execute("SELECT address, terminal_id FROM peers"))
        for number, site, model, dialect in db.execute("SELECT id, site_id, model, dialect FROM terminals"):
            self._sites[number] = site
            self._seen[number] = (model, dialect)
        row = db.execute("SELECT value FROM meta WHERE name = 'reserved_ids'").fetchone()
        self._next_id = self._reserved = int(row[0]) + 1 if row else 1

    # Writing

    def write(self, batch: Sequence[Arrival]) -> list[Stored]:
        with self._writing:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            next_id = self._next_id
            try:
                self._db.execute("BEGIN IMMEDIATE")
                stored = self._write(batch)
                self._db.execute("COMMIT")
            except BaseException as error:
                self._undo()
                self._next_id = next_id
                if isinstance(error, sqlite3.Error | OSError):
                    raise StoreUnavailable(f"the store cannot write to {self.folder}: {error}") from error
                raise
            return stored

    def _undo(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self._images.close()
        self._facets.clear()
        self._identities.clear()
        self._peers.clear()
        self._seen.clear()
        self._load_caches()

    def _load_caches(self) -> None:
        reserved, next_id = self._reserved, self._next_id
        self._load()
        self._next_id = next_id
        self._reserved = min(reserved, self._reserved)

    def _write(self, batch: Sequence[Arrival]) -> list[Stored]:
        first = self._take_ids(len(batch))
        places = self._place_images(batch)
        rows: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        for index, arrival in enumerate(batch):
            event = arrival.event
            place = places.get(index, (None, None))
            if isinstance(event, Record):
                rows[a.RECORD].append((first + index, *self._record_row(arrival, event), *place))
            elif isinstance(event, Alarm):
                rows[a.ALARM].append((first + index, *a.alarm_row(arrival, event), *place))
            else:
                rows[a.UNKNOWN].append((first + index, *a.quarantine_row(arrival)))
        new = [True] * len(batch)
        for kind, table, columns in _TABLES:
            if rows[kind]:
                for gone in self._insert(table, columns, rows[kind]):
                    new[gone - first] = False
        fresh = [(places[i][1], batch[i].image) for i in places if new[i]]
        if fresh:
            self._images.add(fresh)  # type: ignore[arg-type]  # places has only arrivals with an image
        self._account(batch, new, first)
        return [
            Stored(True, first + index) if fresh_one else Stored(False, self._existing(arrival))
            for index, (arrival, fresh_one) in enumerate(zip(batch, new, strict=True))
        ]

    def _record_row(self, arrival: Arrival, record: Record) -> tuple[Any, ...]:
        facet = self._facet(a.facet(record, arrival.image is not None))
        who = a.person(record.user, self._sites[arrival.terminal_id])
        identity = None if who is None else self._identity(who, arrival.received_at_ms)
        return a.record_row(arrival, record, facet, identity)

    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> list[int]:
        """Insert what is not there yet; answer the ids that were not given because the event was there."""
        db = self._db
        before = db.total_changes
        at, total = 0, len(rows)
        while at < total:
            size = next(size for size in _ROWS if size <= total - at)
            flat = [value for row in rows[at : at + size] for value in row]
            db.execute(_statement(table, tuple(columns), size), flat)
            at += size
        if db.total_changes - before == total:
            return []
        given = {row[0] for row in db.execute(f"SELECT id FROM {table} WHERE id >= ?", (rows[0][0],))}
        return [row[0] for row in rows if row[0] not in given]

    def _existing(self, arrival: Arrival) -> int:
        table = _TABLES[a.kind(arrival)][1]
        row = self._db.execute(
            f"SELECT id FROM {table} WHERE terminal_id = ? AND key = ?", (arrival.terminal_id, arrival.key)
        ).fetchone()
        return int(row[0])

    def _place_images(self, batch: Sequence[Arrival]) -> dict[int, tuple[int, int]]:
        """The day and the id of each image of the batch, by the arrival's index."""
        having = [
            i for i, arrival in enumerate(batch) if arrival.image is not None and a.kind(arrival) != a.UNKNOWN
        ]
        if not having:
            return {}
        day = max(batch[i].received_at_ms for i in having) // DAY_MS
        first = self._images.reserve(day, len(having))
        return {i: (day, first + n) for n, i in enumerate(having)}

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
            digest = a.person_digest(who)
            self._db.execute(
                "INSERT INTO identities (digest, site_id, user_id, name, type, job_number, ic_number, id_number,"
                ' remark, guest_from_ms, guest_until_ms, "groups", first_at_ms)'
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (digest) DO NOTHING",
                (digest, *who, at_ms),
            )
            known = int(
                self._db.execute("SELECT id FROM identities WHERE digest = ?", (digest,)).fetchone()[0]
            )
            if len(self._identities) >= _CACHE:
                self._identities.clear()
            self._identities[who] = known
        return known

    def _account(self, batch: Sequence[Arrival], new: Sequence[bool], first: int) -> None:
        db = self._db
        for terminal_id, tally in a.add_up(batch, new).items():
            row = tally.row(terminal_id, 0)
            db.execute(_TALLY, (*row[:12], row[13]))
        steps = [
            (first + i, arrival, arrival.event)
            for i, arrival in enumerate(batch)
            if new[i] and isinstance(arrival.event, Alarm)
        ]
        for alarm in a.merge_alarms(steps):
            db.execute(_ALARM, alarm)
        for arrival in batch:
            number = arrival.terminal_id
            if arrival.bind_peer and self._peers.get(arrival.peer) != number:
                self._peers[arrival.peer] = number
                db.execute(_PEER, (arrival.peer, number, arrival.received_at_ms))
            for source, said in arrival.disagreements:
                db.execute(_DISAGREEMENT, (number, source, a.text(said), arrival.received_at_ms))
            dialect = arrival.dialect and arrival.dialect.value
            before = self._seen.get(number, (None, None))
            seen = (arrival.model or before[0], dialect or before[1])
            if seen != before:
                self._seen[number] = seen
                db.execute("UPDATE terminals SET model = ?, dialect = ? WHERE id = ?", (*seen, number))

    def ensure_terminal(
        self, serial: str | None, *, peer: str = "", now_ms: int, state: TerminalState = "new"
    ) -> TerminalRow:
        column, value = ("anonymous_peer", peer) if serial is None else ("serial", a.text(serial))
        with self._transaction() as db:
            db.execute(
                f"INSERT INTO terminals ({column}, site_id, state, created_at_ms) VALUES (?,1,?,?)"
                f" ON CONFLICT ({column}) DO NOTHING",
                (value, state, now_ms),
            )
        with self.reading() as reader:
            row = queries.terminals(reader, schema.terminals.c[column] == value)[0]
        self._sites[row.id] = row.site_id
        return row

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                self._undo()
                if isinstance(error, sqlite3.Error):
                    raise StoreUnavailable(f"the store cannot write to {self.folder}: {error}") from error
                raise

    # Reading

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the store until it is given back."""
        with self._engine.connect() as connection:
            yield connection

    def terminal_by_token(self, digest: bytes) -> TerminalRow | None:
        with self.reading() as db:
            found = queries.terminals(db, schema.terminals.c.token_digest == digest)
        return found[0] if found else None

    def terminals(self) -> list[TerminalRow]:
        with self.reading() as db:
            return queries.terminals(db)

    def peers(self) -> dict[str, int]:
        with self.reading() as db:
            return queries.peers(db)

    def records(self, query: RecordQuery) -> Page[RecordRow]:
        with self.reading() as db:
            return queries.records_page(db, query)

    def record(self, record_id: int) -> RecordRow | None:
        with self.reading() as db:
            return queries.record(db, record_id)

    def alarms(self, query: AlarmQuery) -> Page[AlarmRow]:
        with self.reading() as db:
            return queries.alarms_page(db, query)

    def image(self, record_id: int) -> bytes | None:
        with self.reading() as db:
            place = queries.image_place(db, record_id)
        return None if place is None else self._images.read(*place)

    def stats(self) -> Stats:
        with self.reading() as db:
            return queries.stats(db)

    def backup(self, path: Path) -> None:
        raise NotImplementedError

    def close(self) -> None:
        with self._writing:
            if self._closed:
                return
            self._closed = True
            self._images.close()
            self._engine.dispose()
            self._db.close()


_TABLES = (
    (a.RECORD, "records", (*a.RECORD_COLUMNS, "image_day", "image_id")),
    (a.ALARM, "alarm_events", (*a.ALARM_COLUMNS, "image_day", "image_id")),
    (a.UNKNOWN, "quarantine", a.QUARANTINE_COLUMNS),
)
_statements: dict[tuple[str, int], str] = {}


def _statement(table: str, columns: tuple[str, ...], rows: int) -> str:
    known = _statements.get((table, rows))
    if known is None:
        values = f"({','.join('?' * (len(columns) + 1))})"
        known = _statements[table, rows] = (
            f"INSERT INTO {table} (id, {', '.join(columns)}) VALUES {','.join([values] * rows)}"
            " ON CONFLICT (terminal_id, key) DO NOTHING"
        )
    return known


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA page_size = 2048")
    mode = db.execute("PRAGMA journal_mode = wal").fetchone()[0]
    db.execute("PRAGMA synchronous = FULL")
    level = db.execute("PRAGMA synchronous").fetchone()[0]
    if mode != "wal" or level != 2:
        raise StoreError(f"{path} does not sync before it answers (journal {mode}, synchronous {level})")
    db.execute("PRAGMA cache_size = -65536")
    db.execute("PRAGMA wal_autocheckpoint = 8192")
    return db


def _read_engine(path: Path) -> Engine:
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

    return create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=4, max_overflow=12)
