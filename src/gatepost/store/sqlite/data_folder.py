"""The data folder of the SQLite store: one process at a time, and looked at before it is touched.

::

    gatepost.lock    held by the process that has the folder open, with its process id
    gatepost.db      events; with -wal and -shm beside it while it is open
    journal/         events that are acknowledged and not listed yet, and in packs/ the images: see gatepost.journal
    check-store.json what ``gatepost check-store`` found last
    restoring/       while ``gatepost restore`` is at work, or where it was cut off

:func:`inspect` reads the schema's revision without changing a byte, so that a folder of a later version, or a
damaged one, is left as it is. The lock is no exception: it is made, and a process writes its id into it, only when
that process has looked. (After a crash SQLite itself makes the ``-shm`` anew, by which it finds its way in a log.)
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gatepost.errors import StoreCorrupt, StoreError, StoreInUse
from gatepost.store.schema import migrate

__all__ = [
    "DATABASE",
    "JOURNAL",
    "LOCK",
    "RESTORING",
    "FolderLock",
    "check_restored",
    "check_writable",
    "held",
    "inspect",
    "make",
    "private",
    "sync_directory",
]

DATABASE = "gatepost.db"
JOURNAL = "journal"
RESTORING = "restoring"
LOCK = "gatepost.lock"
_MAGIC = b"SQLite format 3\0"


class FolderLock:
    """Keeps other processes out of a data folder until :meth:`release`, or until this process ends."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises :class:`~gatepost.errors.StoreInUse`, which names the process that holds the folder; and what
        :func:`inspect` raises, or :class:`~gatepost.errors.StoreTooNew`, in which case nothing was touched.
        """
        path = folder / LOCK
        if not path.exists():
            try:
                _look(folder)
            except OSError:
                pass  # what cannot be read cannot be written to, or that will be said below
            except StoreCorrupt:
                if not path.exists():
                    raise
                # Somebody is at it just now, and what stands there half done is no damage.
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"{folder} cannot be written to: {error.strerror}; give another --data"
            ) from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._handle, 20, 0).decode("ascii", "replace").strip()
            os.close(self._handle)
            raise StoreInUse(
                f"{folder} is in use by process {holder or 'unknown'};"
                " stop it, or give this one a folder of its own with --data"
            ) from None
        try:
            _look(folder)
        except BaseException:
            self.release()
            raise
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """May be called twice. The file stays: to delete it would let two processes in at once."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _look(folder: Path) -> None:
    """Whether this version may write into the folder."""
    revision = inspect(folder)
    if revision is not None:
        migrate.check_known(revision, str(folder / DATABASE))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes out for as long as it takes."""
    lock = FolderLock(folder)
    try:
        yield
    finally:
        lock.release()


def check_writable(folder: Path) -> None:
    """Raise :class:`~gatepost.errors.StoreError` for a database that this user may only read."""
    for path in (folder / DATABASE, folder / JOURNAL):
        if path.exists() and not os.access(path, os.W_OK):
            raise StoreError(
                f"{path} is read-only for this user; give it back, or start as the user who owns it"
            )


def make(folder: Path) -> None:
    """Make the folder where there is none, durably."""
    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sync_directory(folder.parent)
    except OSError as error:
        raise StoreError(f"{folder} cannot be made: {error.strerror}; give another --data") from None


def sync_directory(folder: Path) -> None:
    """Make the names in a directory durable; a file that was synced can still lack its name after a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def private() -> Iterator[None]:
    """Keep other users from whatever this process makes meanwhile, whatever its umask: 0600 and 0700."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def check_restored(folder: Path) -> None:
    """Raise :class:`~gatepost.errors.StoreCorrupt` for a folder that holds a part of a backup."""
    if (folder / RESTORING).exists():
        raise StoreCorrupt(
            f"a restore into {folder} is still at work, or was cut off; if it was, delete everything in the folder and"
            " restore again"
        )


def inspect(folder: Path) -> str | None:
    """Return the revision of the store's schema, ``None`` where there is no store yet. Nothing is written.

    Raises :class:`~gatepost.errors.StoreCorrupt` for what is no store of gatepost's.
    """
    check_restored(folder)
    path = folder / DATABASE
    if not path.exists():
        if any((folder / JOURNAL).glob("packs/*.pack")):
            raise StoreCorrupt(
                f"{folder} holds images but no {DATABASE}; put it back from a backup, or move {JOURNAL} away"
            )
        return None
    if path.stat().st_size == 0:
        return None
    with path.open("rb") as file:
        if file.read(16) != _MAGIC:
            raise StoreCorrupt(f"{path} is no SQLite database; put it back from a backup, or move it away")
    # Without a log beside it the file is complete, and "immutable" keeps SQLite from making one.
    log = path.with_name(f"{DATABASE}-wal")
    how = "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)) as db:
            tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                return None
            if "alembic_version" not in tables or "records" not in tables:
                raise StoreCorrupt(f"{path} is no store of gatepost's; give another --data")
            row = db.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreCorrupt(f"{path} is damaged ({error}); put it back from a backup") from None
    if row is None:
        raise StoreCorrupt(f"{path} does not say which version it is of; put it back from a backup")
    return str(row[0])
