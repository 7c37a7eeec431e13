"""SQLite and a journal on a :class:`~gatepost.torture.power_loss.disk_model.DiskModel`.

SQLite: a VFS through apsw, with the interface of ``sqlite3``. Journal: its calls to the disk.

Rules:

- The code under test is not changed. While :func:`lossy` is active, ``sqlite3.connect`` opens through apsw and the
  VFS. The connection has the part of ``sqlite3`` that both ends use, and raises its errors.
- Files really exist and work. The operations on them are also recorded.
- Only operations of SQLite and the journal are recorded. SQLite's sync of a new file's folder is not visible to a VFS,
  and assumed. The journal's is recorded.

Source: apsw's VFS documentation; SQLite, "The OS Backend (VFS)".
"""

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import apsw

from gatepost.journal.files import Files
from gatepost.torture.power_loss.disk_model import (
    Create,
    Delete,
    DiskModel,
    Sync,
    SyncFolder,
    Truncate,
    Write,
)

__all__ = ["Connection", "Cursor", "RecordingFiles", "lossy"]

VFS_NAME = "gatepost-powercut"


class RecordingFiles(Files):
    """The real disk below ``folder``, recorded on ``disk``. Syncs are recorded, not done: no power is cut here."""

    def __init__(self, disk: DiskModel, folder: Path) -> None:
        self._disk = disk
        self._folder = folder
        self._names: dict[int, str] = {}

    def create(self, path: Path) -> int:
        """Make a file, and record it."""
        handle = super().create(path)
        self._names[handle] = self._relative(path)
        self._disk.ops.append(Create(self._names[handle]))
        return handle

    def open(self, path: Path, *, writes: bool = False) -> int:
        """Open a file that exists."""
        handle = super().open(path, writes=writes)
        self._names[handle] = self._relative(path)
        return handle

    def link(self, path: Path, name: Path) -> None:
        """Give a synced file a second name, and record that as a new file with synced content."""
        super().link(path, name)
        to = self._relative(name)
        self._disk.ops += [Create(to), Write(to, 0, path.read_bytes()), Sync(to, with_folder=False)]

    def rename(self, path: Path, name: Path) -> None:
        """Give a synced file another name, and record that as a new file with synced content."""
        super().rename(path, name)
        to = self._relative(name)
        self._disk.ops += [Create(to), Write(to, 0, name.read_bytes()), Sync(to, with_folder=False)]
        self._disk.ops.append(Delete(self._relative(path), durable=False))
        self._names.update({handle: to for handle, at in self._names.items() if at == self._relative(path)})

    def write(self, handle: int, data: bytes, offset: int) -> None:
        """Write, and record it."""
        super().write(handle, data, offset)
        self._disk.ops.append(Write(self._names[handle], offset, data))

    def sync(self, handle: int) -> None:
        """Record a sync of a file, without its name."""
        self._disk.ops.append(Sync(self._names[handle], with_folder=False))

    def sync_all(self, handles: Sequence[int]) -> None:
        """Record syncs of files, in the same order in each run."""
        for handle in handles:
            self.sync(handle)

    def truncate(self, handle: int, size: int) -> None:
        """Cut a file off, and record it."""
        super().truncate(handle, size)
        self._disk.ops.append(Truncate(self._names[handle], size))

    def punch(self, handle: int, offset: int, size: int) -> None:
        """Make a hole, and record it as zeros that were written."""
        super().punch(handle, offset, size)
        self._disk.ops.append(Write(self._names[handle], offset, bytes(size)))

    def sync_folder(self, path: Path) -> None:
        """Record a sync of the names in a folder."""
        self._disk.ops.append(SyncFolder(self._relative(path)))

    def remove(self, path: Path) -> None:
        """Delete a file, and record it."""
        super().remove(path)
        self._disk.ops.append(Delete(self._relative(path), durable=False))

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self._folder))


class _File(apsw.VFSFile):
    """An open file that records what is written to it."""

    def __init__(self, disk: DiskModel, name: str, filename: Any, flags: list[int]) -> None:
        self._disk = disk
        self._name = name
        super().__init__("", filename, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 (SQLite's name)
        super().xWrite(data, offset)
        self._disk.ops.append(Write(self._name, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 (SQLite's name)
        super().xTruncate(newsize)
        self._disk.ops.append(Truncate(self._name, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802 (SQLite's name)
        super().xSync(flags)
        self._disk.ops.append(Sync(self._name))


class _Vfs(apsw.VFS):
    """The system's files below ``folder``, recorded on ``disk``."""

    def __init__(self, disk: DiskModel, folder: Path) -> None:
        self._disk = disk
        self._folder = folder.resolve()
        super().__init__(VFS_NAME, base="")

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802 (SQLite's name)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        relative = self._relative(path)
        if path is not None and not Path(path).exists():
            self._disk.ops.append(Create(relative))
        return _File(self._disk, relative, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 (SQLite's name)
        super().xDelete(filename, syncdir)
        self._disk.ops.append(Delete(self._relative(filename), bool(syncdir)))

    def _relative(self, path: str | None) -> str:
        if path is None:
            return "temporary"
        return str(Path(path).relative_to(self._folder))


class Cursor:
    """A cursor of ``sqlite3``, with the part that both ends use."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._inner = connection.inner.cursor()
        self._inner.exec_trace = self._describe
        self._rows: Iterator[Any] = iter(())
        self.description: Any = None
        self.lastrowid: int | None = None
        self.rowcount = -1
        self.arraysize = 1

    def execute(self, sql: str, parameters: Any = ()) -> "Cursor":
        """Run a statement."""
        self.description = None
        with _errors():
            before = self._connection.inner.total_changes()
            self._inner.execute(self._connection.rewritten(sql), parameters or None)
            # Read to the end at once: an unfinished statement blocks others until its cursor is deleted.
            self._rows = iter(list(self._inner))
            changed = self._connection.inner.total_changes() - before
            self.rowcount = self._connection.inner.changes() if changed else (-1 if self.description else 0)
            self.lastrowid = self._connection.inner.last_insert_rowid()
        return self

    def executemany(self, sql: str, rows: Any) -> "Cursor":
        """Run a statement once for each of the rows."""
        with _errors():
            before = self._connection.inner.total_changes()
            self._inner.executemany(sql, rows)
            self.rowcount = self._connection.inner.total_changes() - before
        return self

    def executescript(self, sql: str) -> "Cursor":
        """Run several statements."""
        with _errors():
            list(self._inner.execute(sql))
        return self

    def fetchone(self) -> Any:
        """Return the next row; ``None`` at the end."""
        return next(self, None)

    def fetchall(self) -> list[Any]:
        """Return the remaining rows."""
        return list(self)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return some of the remaining rows."""
        return [row for row, _ in zip(self, range(size or self.arraysize), strict=False)]

    def close(self) -> None:
        """Delete the statement."""
        self._inner.close()

    def __iter__(self) -> "Cursor":
        return self

    def __next__(self) -> Any:
        return next(self._rows)

    def _describe(self, cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        names = cursor.get_description()
        self.description = tuple((name, None, None, None, None, None, None) for name, _ in names) or None
        return True


class Connection:
    """A connection of ``sqlite3``, with the part that both ends use."""

    isolation_level = None
    row_factory = None
    rewrite: Callable[[str], str] = staticmethod(lambda sql: sql)
    """Rewrites each statement. For deliberate defects."""

    def __init__(self, database: Any, **options: Any) -> None:
        path, flags = _taken_apart(str(database), uri=bool(options.get("uri")))
        with _errors():
            self.inner = apsw.Connection(path, flags=flags, vfs=VFS_NAME)
        self._reads_only = flags == apsw.SQLITE_OPEN_READONLY
        self.inner.set_busy_timeout(int(options.get("timeout", 5.0) * 1000))

    def rewritten(self, sql: str) -> str:
        """Return the statement as it is to be run."""
        return type(self).rewrite(sql)

    @property
    def in_transaction(self) -> bool:
        return self.inner.in_transaction

    @property
    def total_changes(self) -> int:
        return self.inner.total_changes()

    def cursor(self) -> Cursor:
        """Make a cursor."""
        return Cursor(self)

    def execute(self, sql: str, parameters: Any = ()) -> Cursor:
        """Run a statement."""
        return Cursor(self).execute(sql, parameters)

    def executemany(self, sql: str, rows: Any) -> Cursor:
        """Run a statement once for each of the rows."""
        return Cursor(self).executemany(sql, rows)

    def executescript(self, sql: str) -> Cursor:
        """Run several statements."""
        return Cursor(self).executescript(sql)

    def commit(self) -> None:
        """End the transaction, if there is one."""
        if self.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        """Roll the transaction back, if there is one."""
        if self.in_transaction:
            self.execute("ROLLBACK")

    def create_function(
        self, name: str, narg: int, func: Callable[..., Any] | None, *, deterministic: bool = False
    ) -> None:
        """Define a function for SQL."""
        self.inner.create_scalar_function(name, func, narg, deterministic=deterministic)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        # The last connection copies the log back, and asks for a lock that a file opened for reading cannot have.
        # SQLite accepts the refusal, but apsw reports it.
        with suppress(apsw.IOError) if self._reads_only else _errors():
            self.inner.close()


@contextmanager
def lossy(disk: DiskModel, folder: Path) -> Iterator[None]:
    """Open every database below ``folder`` so that its operations are recorded on ``disk``."""
    vfs = _Vfs(disk, folder)
    true = sqlite3.connect
    sqlite3.connect = Connection  # type: ignore[assignment]
    try:
        yield
    finally:
        sqlite3.connect = true
        vfs.unregister()


def _taken_apart(database: str, *, uri: bool) -> tuple[str, int]:
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    if not uri:
        return database, flags
    parts = urlsplit(database)
    modes = {"ro": apsw.SQLITE_OPEN_READONLY, "rw": apsw.SQLITE_OPEN_READWRITE}
    found = re.search(r"mode=(ro|rw)\b", parts.query)
    return unquote(parts.path), modes[found[1]] if found else flags


@contextmanager
def _errors() -> Iterator[None]:
    """Raise the errors of ``sqlite3``."""
    try:
        yield
    except apsw.ConstraintError as error:
        raise _named(sqlite3.IntegrityError, error) from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise _named(sqlite3.DatabaseError, error) from error
    except apsw.Error as error:
        raise _named(sqlite3.OperationalError, error) from error


def _named(kind: type[sqlite3.Error], error: apsw.Error) -> sqlite3.Error:
    made = kind(str(error))
    made.sqlite_errorcode = getattr(error, "extendedresult", 1)
    return made
