"""Images beside SQLite: one file per day of receipt, so that retention deletes a file.

Rules:

* ``images/2024-05-06.db`` holds what arrived on that day, UTC; ``day`` is the number of days since 1970.
* Pages of 16 KB and a rollback journal: a portrait is a few pages, is written once and never changed, and a
  write-ahead log would write it twice.
* The writer allocates the ids, so that an event can refer to its image before either is on disk. An image whose
  event never got committed (a crash between the two) stays as an orphan.
* No id is ever given again, whatever was removed: an event that still refers to a removed image would be shown with
  somebody else's face. Ids go on above the newest image of the day and above the number in ``images/given``, which is
  raised before a day's newest image is removed, or a day. It is overwritten in place: a full disk keeps nothing from
  leaving. Where it is missing or no number (a folder of an earlier version, a copy without it), ids go on above
  whatever may have been removed: see :data:`_LEAP`.
* :meth:`DayFiles.add` returns when the images are on disk: ``synchronous`` is FULL, the directory is synced when
  a file is made.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gatepost.errors import StoreError
from gatepost.store.sealing import HEAD

__all__ = ["DayFiles", "connect_day", "day_name", "sync_directory"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROWS = 64
"""Of one statement: each gives up the interpreter's lock once."""

_JOURNAL = "truncate"

_GIVEN = "given"
_LEAP = 1 << 30
"""More images than any day has: so far above the newest that is left lies every id that was given and removed since."""

_HIGHEST = "SELECT coalesce(max(id), 0) FROM images"


def day_name(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def sync_directory(folder: Path) -> None:
    """Make the names in a directory durable; a file that was synced can still lack its name after a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class DayFiles:
    """The writing end is for one thread; :meth:`read` is for any."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.folder = folder
        self._day = -1
        self._writer: sqlite3.Connection | None = None
        self._next = 1
        if not read_only:
            folder.mkdir(exist_ok=True)
            self._recover()

    def path(self, day: int) -> Path:
        return self.folder / f"{day_name(day)}.db"

    def days(self) -> list[int]:
        """Every day of which there is a file."""
        found = (
            datetime.fromisoformat(p.stem).replace(tzinfo=UTC) for p in self.folder.glob("????-??-??.db")
        )
        return sorted((day - _EPOCH).days for day in found)

    def reserve(self, day: int, count: int) -> int:
        """The first of ``count`` ids of that day that were never given."""
        self._open(day)
        first = self._next
        self._next += count
        return first

    def add(self, rows: Sequence[tuple[int, bytes]]) -> None:
        """Write (id, JPEG) into the file of the day that was last reserved from; durable when it returns."""
        writer = self._writer
        if writer is None:
            raise StoreError("images are added to the day that was reserved from, and none was")
        writer.execute("BEGIN IMMEDIATE")
        for at in range(0, len(rows), _ROWS):
            part = rows[at : at + _ROWS]
            values = ",".join(["(?,?)"] * len(part))
            flat = [value for row in part for value in row]
            writer.execute(f"INSERT OR FAIL INTO images (id, data) VALUES {values}", flat)
        writer.execute("COMMIT")

    def put(self, day: int, rows: Sequence[tuple[int, bytes]]) -> None:
        """Write images with the ids that they have: for a restore."""
        self._open(day)
        self.add(rows)

    def read(self, day: int, image_id: int) -> bytes | None:
        with self._reading(day) as db:
            if db is None:
                return None
            row: tuple[bytes] | None = db.execute(
                "SELECT data FROM images WHERE id = ?", (image_id,)
            ).fetchone()
        return None if row is None else row[0]

    def scan(self, day: int, after: int = 0, *, step: int = 64) -> Iterator[tuple[int, bytes]]:
        """Every (id, JPEG) of a day above an id, in short reads, so that the writer is not kept waiting."""
        with self._reading(day) as db:
            while db is not None and (
                rows := db.execute(
                    "SELECT id, data FROM images WHERE id > ? ORDER BY id LIMIT ?", (after, step)
                ).fetchall()
            ):
                yield from rows
                after = rows[-1][0]

    def remove(self, day: int, ids: Sequence[int]) -> int:
        """Delete single images, and overwrite what they were; answer how many there were. Durable on return."""
        with self._changing(day) as db:
            if db is None:
                return 0
            highest = db.execute(_HIGHEST).fetchone()[0]
            if highest in ids:
                self.give_above(highest)  # before it is gone: a crash in between costs nothing but numbers
            marks = ",".join("?" * len(ids))
            return db.execute(f"DELETE FROM images WHERE id IN ({marks})", list(ids)).rowcount

    def replace(self, day: int, rows: Sequence[tuple[int, bytes]]) -> None:
        """Write other bytes in the place of images that are still there, and overwrite what they were."""
        with self._changing(day) as db:
            if db is not None:
                db.executemany(
                    "UPDATE images SET data = ? WHERE id = ?", [(data, number) for number, data in rows]
                )

    def heads(self, day: int, after: int, *, limit: int) -> list[tuple[int, bytes]]:
        """How the images of a day above an id begin: :data:`~gatepost.store.sealing.HEAD` bytes of each."""
        with self._reading(day) as db:
            if db is None:
                return []
            return db.execute(
                "SELECT id, substr(data, 1, ?) FROM images WHERE id > ? ORDER BY id LIMIT ?",
                (HEAD, after, limit),
            ).fetchall()

    @contextmanager
    def _reading(self, day: int) -> Iterator[sqlite3.Connection | None]:
        """``None`` if there is no such day. One that is dropped meanwhile is read to its end."""
        path = self.path(day)
        try:
            db = connect_day(path, "ro")
        except sqlite3.OperationalError:
            if path.exists():
                raise
            db = None
        try:
            yield db
        finally:
            if db is not None:
                db.close()

    @contextmanager
    def _changing(self, day: int) -> Iterator[sqlite3.Connection | None]:
        """A transaction on a day; ``None`` if there is none. What is changed is overwritten, durably."""
        if not self.path(day).exists():
            yield None
            return
        own = None if day == self._day else connect_day(self.path(day), "rw")
        db = own or self._writer
        if db is None:
            raise StoreError("the images are closed")
        try:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA secure_delete = ON")
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        finally:
            if own is not None:
                own.close()

    def drop(self, day: int) -> None:
        """Delete a whole day."""
        if day == self._day:
            self.close()
        if self.path(day).exists():
            highest = self._highest(day)
            # Of a day that cannot be read any more nobody knows how far it went.
            self.give_above(self._floor() + _LEAP if highest is None else highest)
        self.path(day).unlink(missing_ok=True)
        self.path(day).with_name(f"{day_name(day)}.db-journal").unlink(missing_ok=True)
        sync_directory(self.folder)

    def give_above(self, image_id: int) -> None:
        """Give no id up to this one from now on, of whichever day; durable when it returns."""
        path, floor = self.folder / _GIVEN, self._floor()
        fresh = not path.exists()
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            content = b"%020d\n" % max(floor, image_id + 1)
            os.pwrite(handle, content, 0)
            os.ftruncate(handle, len(content))
            os.fsync(handle)
        finally:
            os.close(handle)
        if fresh:
            sync_directory(self.folder)

    def _floor(self) -> int:
        """No id below it is given any more."""
        given = self._given()
        if given is not None:
            return given
        days = self.days()
        return 1 + _LEAP + max(self._highest(day) or 0 for day in days) if days else 1

    def _given(self) -> int | None:
        with suppress(FileNotFoundError, ValueError):
            return int((self.folder / _GIVEN).read_bytes())
        return None

    def _highest(self, day: int) -> int | None:
        """The newest image of a day; 0 if there is none, ``None`` if it cannot be read."""
        with suppress(sqlite3.DatabaseError), self._reading(day) as db:
            return 0 if db is None else int(db.execute(_HIGHEST).fetchone()[0])
        return None

    def close(self) -> None:
        """Let go of the file. Also after an error: the next batch opens it anew, and recovers it."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        self._day = -1

    def _open(self, day: int) -> None:
        if day == self._day:
            return
        self.close()
        if self._given() is None:
            # Before there is a day: a folder that has days and not this is of an earlier version.
            self.give_above(0)
        path = self.path(day)
        fresh = not path.exists()
        db = connect_day(path, "rwc")
        try:
            if fresh:
                db.execute("PRAGMA page_size = 16384")
            mode = db.execute(f"PRAGMA journal_mode = {_JOURNAL}").fetchone()[0]
            db.execute("PRAGMA synchronous = FULL")
            level = db.execute("PRAGMA synchronous").fetchone()[0]
            if mode != _JOURNAL or level != 2:
                raise StoreError(
                    f"{path} does not sync before it answers (journal {mode}, synchronous {level})"
                )
            db.execute("CREATE TABLE IF NOT EXISTS images (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
            above = max(db.execute(_HIGHEST).fetchone()[0] + 1, self._floor())
        except BaseException:
            db.close()
            raise
        if fresh:
            sync_directory(self.folder)
        self._writer, self._day, self._next = db, day, above

    def _recover(self) -> None:
        """Roll back what a crash left half written, which readers may not do."""
        for journal in self.folder.glob("*.db-journal"):
            if journal.stat().st_size:
                with closing(
                    connect_day(journal.with_name(journal.name.removesuffix("-journal")), "rw")
                ) as db:
                    # Any read rolls it back; the table itself may be among what was half written.
                    db.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def connect_day(path: Path, mode: str) -> sqlite3.Connection:
    """``mode``: ``ro``, ``rw``, or ``rwc`` to make the file."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=10.0,
        isolation_level=None,
        check_same_thread=False,
    )
