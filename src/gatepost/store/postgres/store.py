"""The store in PostgreSQL: several processes of the receiver at once.

A batch is one transaction: :mod:`gatepost.store.postgres.inserter`.

**Ids.** ``id = (transaction number + offset) * 4096 + place in the batch``. So ids grow in the order in which
transactions *began*, and everything below the number of the oldest running one is settled: committed, or never
to come. That is the :meth:`PostgresStore.horizon`; a stream that stops there never skips an event which commits
late. The offset, kept in ``meta``, makes good for a database that was restored into another server, whose
transactions count from elsewhere (``docs/decisions/cursor.md``).

**Locks.** Two processes may be handed the same events in different orders. Rows are therefore inserted sorted by
what makes them unique, tables always in the same sequence, and a deadlock that happens all the same is repeated.
Steps of an alarm are joined by one process at a time, which takes the locks of their traces once its rows are inserted.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import structlog
from psycopg import errors as pg
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool

from gatepost.errors import StoreUnavailable
from gatepost.journal.packs.packs import Packs
from gatepost.store.base import BaseStore, unavailable
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.interface import Arrival, Progress, Stored
from gatepost.store.postgres.binary_arrays import register
from gatepost.store.postgres.connection import (
    CONNECT_S,
    MAX_CONNECTIONS,
    Server,
    ServerConnection,
    check_server,
    connect,
    has_standby,
    pool,
    server_of,
    settle_offset,
    short,
    take_number,
)
from gatepost.store.postgres.inserter import Inserter
from gatepost.store.schema import migrate
from gatepost.store.server_keys import identity_secret
from gatepost.store.write import upserts

__all__ = ["MAX_BATCH", "PostgresStore"]

log = structlog.get_logger(__name__)

# It warns that a pipeline was cut short, which whoever cut it short is told by an exception.
logging.getLogger("psycopg").setLevel(logging.ERROR)

MAX_BATCH = 4096
"""Events of one transaction: ids have room for so many."""

_MIGRATING = 0x6761
"""Class of the advisory lock that keeps two receivers from migrating at once."""

_TRIES = 4

_CLOSE_S = 1.0
"""How long the end waits for a batch that is being written."""

_HORIZON = text(
    "SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    " + (SELECT value::bigint FROM meta WHERE name = 'id_offset')) * 4096"
)


_COUNTED_LATELY = text(
    "SELECT coalesce(max(last_analyze) > now() - interval '1 day', false) FROM pg_stat_all_tables"
    " WHERE relid = 'records'::regclass"
)


class PostgresStore(BaseStore):
    """See :class:`gatepost.store.interface.Store`. Open it with :meth:`open`."""

    def __init__(self, server: Server, keys: ImageKeys | None, packs: Packs | None, connections: int) -> None:
        super().__init__(pool(server, connections), keys, packs)
        self._server = server
        self._where = server.where
        self._writing = threading.Lock()
        self._closed = False
        self._connection: ServerConnection | None = None
        self._peer_limit = upserts.PeerLimit()

    @classmethod
    def open(
        cls,
        url: str,
        *,
        keys: ImageKeys | None = None,
        packs: Packs | None = None,
        connections: int = MAX_CONNECTIONS,
    ) -> "PostgresStore":
        """Open the store in a database, bring it to today's schema, and make it where there is none.

        ``packs``: with the images; without, there are none to be read.
        ``url``: ``postgresql://user:password@host/database``, with libpq's parameters behind a ``?``; several hosts
        have commas between them. ``connections``: how many there may be, besides that of the batches.
        """
        store = cls(server_of(url), keys, packs, connections)
        try:
            with unavailable():
                store._prepare()
            store._connect()
        except BaseException:
            store.close()
            raise
        return store

    def _prepare(self) -> None:
        with self._engine.connect() as db:
            check_server(db, self._where)
            if self._server.hosts > 1 and not has_standby(db):
                log.warning("store.no_synchronous_standby", database=self._where)
        with self._engine.begin() as db:
            # Of the transaction, so that a process which dies while it migrates leaves nothing locked.
            db.execute(text("SELECT pg_advisory_xact_lock(:class, 0)"), {"class": _MIGRATING})
            revision = migrate.stored_revision(db, self._where)
            if revision is not None and revision not in migrate.revisions():
                migrate.check_known(revision, self._where, oldest=migrate.oldest_revision(db))
                log.warning("store.later_version", database=self._where, schema=revision)
            elif revision != migrate.head():
                migrate.upgrade(db)
            settle_offset(db)
            self.secret = identity_secret(db)

    def close(self) -> None:
        """Close the store. A batch that is being written has a moment to end; a server that hangs is not waited for."""
        self._closed = True
        mine = self._writing.acquire(timeout=_CLOSE_S)
        if not mine:
            if (connection := self._connection) is not None:
                connection.silence_s = 0.0
            mine = self._writing.acquire(timeout=CONNECT_S + _CLOSE_S)
        if mine:
            self._drop()
            self._writing.release()
        self._wait_for_readers()
        self._engine.dispose()

    def _wait_for_readers(self) -> None:
        """Wait a moment for questions under way: a connection that is given back later is closed by nothing."""
        pool, ends = self._engine.pool, time.monotonic() + _CLOSE_S
        while isinstance(pool, QueuePool) and pool.checkedout() and time.monotonic() < ends:
            time.sleep(0.01)

    # Writing

    def write(self, batch: Sequence[Arrival], progress: Progress | None = None) -> list[Stored]:
        if len(batch) > MAX_BATCH:
            raise ValueError(f"at most {MAX_BATCH} arrivals fit into one transaction")
        if not batch and progress is None:
            return []
        with self._writing:
            for _ in range(_TRIES):
                try:
                    return self._inserter(self._connect()).insert(batch, progress)
                except (pg.DeadlockDetected, pg.SerializationFailure, pg.ForeignKeyViolation) as error:
                    # Of the latter another process erased or moved a person meanwhile.
                    self._abort()
                    busy = error
                except psycopg.Error as error:
                    if not _is_away(error):  # an event's own fault, whose turn comes again, alone
                        self._abort()
                        raise
                    self._drop()
                    raise StoreUnavailable(f"{self._where} cannot be used now: {short(error)}") from error
                except BaseException:
                    self._abort()
                    raise
            raise StoreUnavailable(f"{self._where} is too busy: {short(busy)}") from busy

    def _inserter(self, db: psycopg.Connection[Any]) -> Inserter:
        return Inserter(
            db, writer=self.writer, secret=self.secret, keys=self._keys, peer_limit=self._peer_limit
        )

    def _connect(self) -> psycopg.Connection[Any]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._connection is not None:
            return self._connection
        connection = connect(self._server)
        try:
            self.writer = take_number(connection)
            register(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None

    def _abort(self) -> None:
        if self._connection is not None:
            try:
                self._connection.rollback()
            except psycopg.Error:
                self._drop()

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        with unavailable(), self._engine.begin() as connection:
            yield connection

    # Reading

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with unavailable(), self._engine.connect() as connection:
            # One moment for all questions, not a moment for each.
            yield connection.execution_options(isolation_level="REPEATABLE READ")

    def horizon(self, db: Connection) -> int:
        return int(db.execute(_HORIZON).scalar_one())

    # Deleting

    def scrub(self) -> bool:
        with unavailable(), self._engine.connect() as connection:
            db = connection.execution_options(isolation_level="AUTOCOMMIT")
            db.execute(text("SET lock_timeout = '1s'"))
            db.execute(text("SET statement_timeout = '60s'"))
            try:
                db.execute(
                    text("VACUUM images, records, identities, alarm_events, alarms, quarantine, audit")
                )
            except OperationalError as error:
                # What takes longer than a minute is left to the server, which does it by itself too.
                if not isinstance(error.orig, pg.LockNotAvailable | pg.QueryCanceled):
                    raise
                return isinstance(error.orig, pg.QueryCanceled)
            finally:
                db.execute(text("RESET lock_timeout"))
                db.execute(text("RESET statement_timeout"))
        return True

    def analyze(self) -> None:
        with unavailable(), self._engine.connect() as connection:
            db = connection.execution_options(isolation_level="AUTOCOMMIT")
            if db.execute(_COUNTED_LATELY).scalar_one():
                return
            # Until version 18 there is no word for the whole alone.
            only = "ONLY " if int(db.execute(text("SHOW server_version_num")).scalar_one()) >= 180000 else ""
            db.execute(text("SET lock_timeout = '1s'"))
            try:
                db.execute(text(f"ANALYZE {only}records"))
            finally:
                db.execute(text("RESET lock_timeout"))

    def forget_people(self) -> None:
        self._engine.clear_compiled_cache()

    def server_version(self) -> str:
        with self.reading() as db:
            return str(db.execute(text("SHOW server_version")).scalar_one())

    def sizes(self) -> dict[str, int]:
        with self.reading() as db:
            events = db.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
        return {"events": events, "images": self._image_bytes()}


def _is_away(error: psycopg.Error) -> bool:
    """Return whether an error says that nothing can be stored now, whichever events it is of.

    An event's own are a value that does not fit (class 22), a limit that it exceeds (54), a constraint that a value
    breaks, and what psycopg finds before it sends anything. All else is the server: away, full, or with other tables.
    """
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError)
    return state[:2] not in ("22", "54") and state not in _OF_A_VALUE


_OF_A_VALUE = ("23502", "23514")
"""``not_null_violation`` and ``check_violation``."""
