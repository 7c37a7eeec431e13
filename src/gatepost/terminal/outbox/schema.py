"""The outbox's file: its tables, its versions, and how it is opened.

Rules:

* One SQLite file in WAL mode. A commit is one append and one ``fdatasync``, and readers never wait for it.
* Pages of 8 KB, measured with 30 KB JPEGs: one commit an event is as fast as with 4 KB, sixteen in one commit
  are a quarter faster; larger pages make the small rows dear.
* ``body`` is written once and never again; everything that changes is in the small rows of ``entry``, so that an
  acknowledgement does not touch the pages of a photograph.
* The version stands in ``user_version``. Migrations only go forward, each in one transaction; a file of a later
  version is refused untouched.
* One process writes. The lock is the operating system's (``flock``), so it ends with the process, however it ends.
"""

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from gatepost.errors import OutboxCorrupt, OutboxInUse, OutboxTooNew, OutboxUnavailable

__all__ = ["FILE", "MIGRATIONS", "PARKED", "Lock", "connect", "connect_reader", "is_the_disk", "unavailable"]

FILE = "outbox.db"

APPLICATION_ID = 0x67617465  # "gate": tells this file from any other SQLite file

PAGE_BYTES = 8192
CACHE_KB = 8192
CHECKPOINT_BYTES = 8 * 1024 * 1024
"""How large the write-ahead log grows before it is copied back."""

PARKED = 1 << 62
"""The ``due`` of an alarm that waits for an older one of the same ``trace_id``."""

_DISK = frozenset(
    (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOMEM,
    )
)

MIGRATIONS: tuple[str, ...] = (
    # 1
    """
    CREATE TABLE entry (
        seq INTEGER PRIMARY KEY,         -- the n-th event that was accepted
        state INTEGER NOT NULL,          -- 0 pending, 1 delivered (history), 2 dead
        lane INTEGER NOT NULL,           -- 0 alarms, 1 records
        due INTEGER NOT NULL,            -- pending: not before, Unix ms; 0 never failed. Otherwise: settled at
        attempts INTEGER NOT NULL DEFAULT 0,
        attempted_at INTEGER,            -- Unix ms
        refusals INTEGER NOT NULL DEFAULT 0,
        accepted_at INTEGER NOT NULL,    -- Unix ms
        happened_at INTEGER,             -- Unix s
        bytes INTEGER NOT NULL,
        trace TEXT,                      -- of an alarm
        user_id TEXT NOT NULL,
        job_number TEXT NOT NULL,
        ic_number TEXT NOT NULL,
        reason TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX entry_by_state ON entry (state, lane, due);
    CREATE INDEX entry_by_trace ON entry (trace, seq) WHERE trace IS NOT NULL AND state = 0;
    CREATE TABLE body (
        seq INTEGER PRIMARY KEY,
        head BLOB NOT NULL,
        tail BLOB NOT NULL,
        image BLOB                       -- the JPEG; the push body is head, base64 of this, tail
    );
    CREATE TABLE ledger (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        accepted INTEGER NOT NULL DEFAULT 0,
        delivered INTEGER NOT NULL DEFAULT 0,
        dropped INTEGER NOT NULL DEFAULT 0,
        dead INTEGER NOT NULL DEFAULT 0,
        records INTEGER NOT NULL DEFAULT 0,
        alarms INTEGER NOT NULL DEFAULT 0,
        history INTEGER NOT NULL DEFAULT 0,
        record_bytes INTEGER NOT NULL DEFAULT 0,
        alarm_bytes INTEGER NOT NULL DEFAULT 0,
        dead_bytes INTEGER NOT NULL DEFAULT 0,
        history_bytes INTEGER NOT NULL DEFAULT 0,
        refused_full INTEGER NOT NULL DEFAULT 0,
        last_error TEXT,
        last_error_at INTEGER,
        last_success_at INTEGER
    );
    INSERT INTO ledger (id) VALUES (1);
    CREATE TABLE drops (
        id INTEGER PRIMARY KEY,
        reason TEXT NOT NULL,
        lane INTEGER NOT NULL,
        count INTEGER NOT NULL,
        first_seq INTEGER NOT NULL,
        last_seq INTEGER NOT NULL,
        oldest_event_at INTEGER,
        newest_event_at INTEGER,
        first_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL
    );
    CREATE TABLE subscription (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        event_dest TEXT NOT NULL,
        enabled INTEGER NOT NULL
    );
    """,
    # 2: what tells an event that is refused from a receiver that refuses
    """
    ALTER TABLE entry ADD COLUMN with_image INTEGER NOT NULL DEFAULT 0;  -- 1: it has an image
    ALTER TABLE entry ADD COLUMN delivered_before INTEGER;  -- of its kind, when it was first refused
    ALTER TABLE entry ADD COLUMN refusal TEXT;              -- the kind of its last refusal, while it is pending
    CREATE INDEX entry_by_refusal ON entry (refusal) WHERE refusal IS NOT NULL;
    UPDATE entry SET with_image = 1 WHERE state <> 1 AND seq IN (SELECT seq FROM body WHERE image IS NOT NULL);
    UPDATE entry SET delivered_before = 0 WHERE state = 0 AND refusals > 0;
    -- delivered from this version on, in all and with an image
    ALTER TABLE ledger ADD COLUMN delivered_records INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE ledger ADD COLUMN delivered_alarms INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE ledger ADD COLUMN records_with_image INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE ledger ADD COLUMN alarms_with_image INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE subscription ADD COLUMN receiver TEXT NOT NULL DEFAULT '';  -- the last event_dest that was not empty
    UPDATE subscription SET receiver = event_dest;
    """,
    # 3: whose events these are
    """
    CREATE TABLE terminal (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        serial TEXT NOT NULL
    );
    """,
)


class Lock:
    """The right to write to one outbox, held until :meth:`release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Raises :class:`~gatepost.errors.OutboxInUse` if another process holds it."""
        self._fd: int | None = None
        try:
            fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            # A read-only disk: the folder itself can be locked as well, and nothing is written.
            fd = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise OutboxInUse(
                f"the outbox {path} is open in another process; stop that one, or give this one its own folder"
            ) from None
        self._fd = fd

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def connect(path: Path, *, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """Open for writing; make the file, or bring it up to this version, first.

    Raises :class:`~gatepost.errors.OutboxTooNew`, :class:`~gatepost.errors.OutboxCorrupt`, or
    :class:`~gatepost.errors.OutboxUnavailable` if the disk does not let it.
    """
    try:
        new = not path.exists()
        if new:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Faces are in it. SQLite gives its other files the mode of this one.
            os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = _open(path.absolute().as_uri())
        try:
            if new or path.stat().st_size == 0:
                db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            db.execute(f"PRAGMA cache_size = -{CACHE_KB}")
            _check(db, path, len(migrations))
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_BYTES // PAGE_BYTES}")
            db.execute(f"PRAGMA journal_size_limit = {4 * CHECKPOINT_BYTES}")
            db.execute("PRAGMA synchronous = FULL")
            _migrate(db, migrations)
        except BaseException:
            db.close()
            raise
        if new:
            _sync_folder(path.parent)
    except sqlite3.DatabaseError as error:
        raise unavailable(error, path) from error
    except OSError as error:
        raise OutboxUnavailable(
            f"the outbox {path} cannot be opened: {error.strerror}; free or mount the disk"
        ) from error
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open for reading beside the writer, in this process or another, and on a disk that takes nothing.

    Where SQLite cannot make the files that it shares with a writer, and there is nothing in the write-ahead log, the
    file is read as one that nobody changes.
    """
    try:
        try:
            return _reader(path, "?mode=ro")
        except sqlite3.OperationalError:
            log = path.with_name(path.name + "-wal")
            if log.exists() and log.stat().st_size:
                raise
            return _reader(path, "?mode=ro&immutable=1")
    except sqlite3.DatabaseError as error:
        raise unavailable(error, path) from error


def _reader(path: Path, options: str) -> sqlite3.Connection:
    db = _open(path.absolute().as_uri() + options)
    try:
        db.execute(f"PRAGMA cache_size = -{CACHE_KB // 4}")
        db.execute("PRAGMA query_only = ON")
        _check(db, path, len(MIGRATIONS))
        db.execute("SELECT accepted FROM ledger").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def is_the_disk(error: sqlite3.Error) -> bool:
    """Whether it is the disk that fails, and not a statement."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK


def unavailable(error: sqlite3.Error, path: Path) -> OutboxUnavailable | OutboxCorrupt:
    """Say in a sentence what SQLite said with a number."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return OutboxCorrupt(
            f"the outbox {path} is damaged ({error}); move it away and start again, and send it to your supplier"
        )
    why = {
        sqlite3.SQLITE_FULL: "the disk is full; free some space",
        sqlite3.SQLITE_READONLY: "the disk or the file is read-only; make it writable",
        sqlite3.SQLITE_IOERR: "the disk reports an error or is full; free some space or replace it",
        sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; look at the folder, its permissions, the space",
        sqlite3.SQLITE_BUSY: "another program holds the file locked; stop it",
    }.get(code, str(error))
    return OutboxUnavailable(f"the outbox {path} cannot be written: {why}")


def _open(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=64, timeout=5.0
    )


def _check(db: sqlite3.Connection, path: Path, known: int) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (tables or application):
        raise OutboxCorrupt(f"{path} is no outbox; choose another folder, or move that file away")
    if version > known:
        raise OutboxTooNew(
            f"the outbox {path} was written by a later gatepost (version {version} of the file, this one knows "
            f"{known}); install that version again"
        )


def _migrate(db: sqlite3.Connection, migrations: Sequence[str]) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    for number, script in enumerate(migrations[version:], version + 1):
        db.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {number}; COMMIT;"
        )


def _sync_folder(folder: Path) -> None:
    """Make the names of new files survive a power cut too."""
    for name in (folder, folder.parent):
        fd = os.open(name, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
