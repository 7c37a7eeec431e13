"""Open a data folder next to the process that has it open: for accounts and destinations.

A command makes a token, or pauses a destination, while the receiver runs. Only the tables of ``accounts/`` and
``forwarding/`` are safe for that: of others the receiver keeps something in memory. The folder's lock is left
alone, and SQLite's own lock orders the two writers.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.engine import Connection

from gatepost.errors import StoreInUse, StoreTooNew
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.base import unavailable
from gatepost.store.forwarding.destinations import Feed
from gatepost.store.schema import migrate
from gatepost.store.schema.tables import meta
from gatepost.store.sqlite import data_folder as data
from gatepost.store.sqlite.connection import connect, sqlite_unavailable, write_engine
from gatepost.store.sqlite.store import SqliteStore

__all__ = ["accounts_of", "opened"]


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

    def horizon(self, db: Connection) -> int:
        # As SqliteStore.horizon.
        return int(db.execute(select(meta.c.value).where(meta.c.name == "next_id")).scalar() or 1)

    def close(self) -> None:
        self._engine.dispose()
        self._db.close()


@contextmanager
def accounts_of(folder: Path) -> Iterator[Accounts]:
    """Open the accounts of the store in ``folder``. Raises as :func:`opened`."""
    with opened(folder) as store:
        yield Accounts(store)


@contextmanager
def opened(folder: Path) -> Iterator[Feed]:
    """Open the store in ``folder``, which is made if there is none, for the tables that the module names.

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
        yield store
    finally:
        store.close()
