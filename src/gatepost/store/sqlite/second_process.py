"""The accounts of a data folder, from beside the process that has it open.

Whoever makes a token on the command line does so while the receiver runs. Only the tables of ``query/accounts.py`` are
safe for that. The folder's lock is left alone, and SQLite's own lock
orders the two writers.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy.engine import Connection

from gatepost.errors import StoreInUse, StoreTooNew
from gatepost.store.base import unavailable
from gatepost.store.query.accounts import Accounts
from gatepost.store.schema import migrate
from gatepost.store.sqlite import data_folder as data
from gatepost.store.sqlite.connection import connect, sqlite_unavailable, write_engine
from gatepost.store.sqlite.store import SqliteStore

__all__ = ["accounts_of"]


_PATIENCE_S = 10.0
_AGAIN_S = 0.001
"""Under load the receiver lets go of the lock for a moment between two commits. SQLite itself would come to ask ten
times a second only, and hardly ever at such a moment."""


class _Beside:
    """See :class:`gatepost.store.interface.Transactions`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with sqlite_unavailable(folder):
            self._db = connect(folder / data.DATABASE, patience_ms=0)
        self._engine = write_engine(self._db, begin=self._begin)

    def _begin(self) -> None:
        ends = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                if time.monotonic() > ends:
                    raise
                time.sleep(_AGAIN_S)
            else:
                return

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with sqlite_unavailable(self._folder), unavailable(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        with sqlite_unavailable(self._folder), unavailable(), self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()
        self._db.close()


@contextmanager
def accounts_of(folder: Path) -> Iterator[Accounts]:
    """The accounts of the store in ``folder``, which is made if there is none.

    Raises what :meth:`gatepost.store.sqlite.store.SqliteStore.open` raises, but not for a folder that is in use.
    """
    store: SqliteStore | _Beside
    try:
        store = SqliteStore.open(folder)
    except StoreInUse:
        revision = None
        with suppress(OSError):
            revision = data.inspect(folder)
        if revision != migrate.head():
            raise StoreTooNew(
                f"{folder} is open in a receiver of another version of gatepost; call that version's command"
            ) from None
        store = _Beside(folder)
    try:
        yield Accounts(store)
    finally:
        store.close()
