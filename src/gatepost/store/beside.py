"""The accounts of a data folder, from beside the process that has it open.

Whoever makes a token on the command line does so while the receiver runs. Only the tables of ``accounts.py`` are
safe for that: the receiver remembers nothing of them. The folder's lock is left alone, and SQLite's own lock
orders the two writers.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy.engine import Connection

from gatepost.errors import StoreInUse, StoreTooNew
from gatepost.store import folder as data
from gatepost.store import migrate
from gatepost.store.accounts import Accounts
from gatepost.store.base import unavailable
from gatepost.store.sqlite import SqliteStore, connect, sqlite_unavailable, write_engine

__all__ = ["accounts_of"]


class _Beside:
    """See :class:`gatepost.store.store.Transactions`."""

    def __init__(self, folder: Path) -> None:
        with sqlite_unavailable(folder):
            self._db = connect(folder / data.DATABASE)
        self._engine = write_engine(self._db)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with unavailable(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def changing(self, *, forget: bool = True) -> Iterator[Connection]:
        with unavailable(), self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()
        self._db.close()


@contextmanager
def accounts_of(folder: Path) -> Iterator[Accounts]:
    """The accounts of the store in ``folder``, which is made if there is none.

    Raises what :meth:`gatepost.store.sqlite.SqliteStore.open` raises, but not for a folder that is in use.
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
