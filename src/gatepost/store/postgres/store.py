"""The store in PostgreSQL: several processes of the receiver at once.

A batch is one transaction: begin, learn its number, and read what the batch refers to → insert what is not there yet,
each table and its images in one statement, and the positions → count and commit. Nothing is remembered from one batch
to the next.

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
from collections.abc import Iterator, Mapping, Sequence
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
from gatepost.journal.packs import Packs
from gatepost.store.base import BaseStore, unavailable
from gatepost.store.conversion import rows as a
from gatepost.store.conversion.coded_fields import FACET_COLUMNS, Facet
from gatepost.store.images import images
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.interface import Arrival, Progress, Stored
from gatepost.store.postgres.batch import (
    ADDRESS,
    ADVANCE,
    DIGEST,
    FIRST,
    IDENTITIES,
    INSERTS,
    PEERS,
    POSITION,
    REPEATING,
    TALLIES,
    TERMINAL,
    TERMINALS,
    Rows,
    arrays,
    rows_of,
    tallied,
)
from gatepost.store.postgres.binary_arrays import array, register
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
from gatepost.store.privacy import tombstones
from gatepost.store.schema import migrate
from gatepost.store.server_keys import identity_secret
from gatepost.store.write import backfilled, positions, upserts
from gatepost.store.write.joining import Joining, lock

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

_PEER, _DISAGREEMENT = upserts.peer("postgresql"), upserts.disagreement("postgresql")
_TRIM_DISAGREEMENTS = upserts.trim_disagreements("postgresql")
_FACETS = f"SELECT id, {', '.join(FACET_COLUMNS)} FROM facets"
_MAKE_FACET = (
    f"INSERT INTO facets ({', '.join(FACET_COLUMNS)}) VALUES ({', '.join(['%s'] * len(FACET_COLUMNS))})"
    " ON CONFLICT ON CONSTRAINT uq_facets_combination DO NOTHING"
)
_PACKS = "SELECT name, id FROM packs WHERE name = ANY(%s)"
_MAKE_PACK = "INSERT INTO packs (name, kind, day) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING"
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
        """A batch that is just being written has a moment to end; a server that hangs is not waited for."""
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
                    return self._write(self._connect(), batch, progress)
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

    def _write(
        self, db: psycopg.Connection[Any], batch: Sequence[Arrival], progress: Progress | None
    ) -> list[Stored]:
        pairs = list({(arrival.peer, arrival.terminal_id): None for arrival in batch if arrival.bind_peer})
        numbers = sorted({arrival.terminal_id for arrival in batch})
        with db.pipeline():
            db.execute("BEGIN")
            db.execute("SELECT pg_advisory_xact_lock_shared(%s)", (tombstones.LOCK,))
            # What is fetched is matched with all that was pushed: by one process at a time, while no other writes.
            how = "" if any(arrival.alike for arrival in batch) else "_shared"
            db.execute(f"SELECT pg_advisory_xact_lock{how}(%s)", (backfilled.LOCK,))
            cursor = db.execute(FIRST)
            last_erased = db.execute(tombstones.LAST)
            terminals = db.execute(TERMINALS, [array(TERMINAL, numbers)])
            met = db.execute(PEERS, arrays([ADDRESS, TERMINAL], pairs)) if pairs else ()
            facets = _facets(db)
        ((first,),) = cursor
        known = {number: told for number, *told in terminals}
        sites = {number: site_id for number, (site_id, *_) in known.items()}
        oldest = tombstones.oldest(batch)
        ((last_ms,),) = last_erased
        if last_ms > oldest:
            stones = db.execute(tombstones.SINCE.format("%s"), (oldest,))
            batch = tombstones.applied(batch, sites, stones, self.secret)
        has_fetched = {number for number, (_, _, _, has) in known.items() if has}
        batch = backfilled.matched(db, "%s", batch, has_fetched)
        referred = a.referred(batch, sites)
        rows = rows_of(
            batch,
            first,
            referred,
            self._make_facets(db, referred.facets, {tuple(row[1:]): row[0] for row in facets}),
            self._make_people(db, referred.people),
            self._make_packs(db, images.pack_names(batch)),
            self._keys,
        )
        given, repeated = self._insert(db, rows, first + len(batch), progress)
        ids = range(first, first + len(batch))
        fresh = [number in given for number in ids]
        if steps := a.alarm_steps(batch, ids, fresh):
            # A statement of its own: what others committed before is seen from the next one on.
            db.execute(*lock(steps))
            Joining(db, "%s").join(steps)
        peers = {(address, number): at_ms for address, number, at_ms in met}
        there = len(peers)
        lessons = a.learn(
            batch,
            peers=peers,
            seen={number: (model, dialect) for number, (_, model, dialect, _) in known.items()},
        )
        if lessons.peers:
            self._peer_limit.make_room(db, len(peers) - there)
        with db.pipeline():
            for number in sorted(repeated):
                db.execute(
                    "UPDATE records SET problems = %s WHERE id = %s",
                    (a.repeated_problems(batch[number - first]), number),
                )
            _learn(db, lessons)
            for day in a.receipt_days(batch):  # last: who also brings a new one waits for this commit
                db.execute("INSERT INTO receipt_days (day) VALUES (%s) ON CONFLICT DO NOTHING", (day,))
            if batch:
                places = {number - first for number in repeated}
                if counts := tallied(batch, fresh, self.writer, places):
                    db.execute(TALLIES, counts)
            again = self._existing(db, [x for x, new in zip(batch, fresh, strict=True) if not new])
            db.execute("COMMIT")
        existing = {(row[0], bytes(row[1])): row[2] for cursor in again for row in cursor}
        return [
            Stored(True, number) if new else Stored(False, existing[arrival.terminal_id, arrival.key])
            for number, new, arrival in zip(ids, fresh, batch, strict=True)
        ]

    def _make_facets(
        self, db: psycopg.Connection[Any], wanted: set[Facet], known: Mapping[Facet, int]
    ) -> Mapping[Facet, int]:
        """Return the ids of facets; new ones are made."""
        new = sorted(wanted - known.keys())
        if not new:
            return known
        with db.pipeline():
            for facet in new:
                db.execute(_MAKE_FACET, facet)
            found = _facets(db)
        return {tuple(row[1:]): row[0] for row in found}

    def _make_people(
        self, db: psycopg.Connection[Any], wanted: Mapping[a.Person, int]
    ) -> Mapping[a.Person, int]:
        """Return the ids of people; new ones are made, and ``wanted`` says when each was received first."""
        if not wanted:
            return {}
        of = {a.person_digest(who, self.secret): who for who in wanted}
        found = _identities(db, list(of))
        new = [digest for digest in of if digest not in found]
        if new:
            marks = ", ".join(["%s"] * (a.IDENTITY_COLUMNS.count(",") + 1))
            with db.pipeline():
                for digest in sorted(new):
                    who = of[digest]
                    db.execute(
                        f"INSERT INTO identities ({a.IDENTITY_COLUMNS}) VALUES ({marks})"
                        " ON CONFLICT (digest) DO NOTHING",
                        a.identity_row(who, wanted[who], self.secret),
                    )
            found |= _identities(db, new)
            if len(found) < len(of):
                raise pg.SerializationFailure("another process erased or moved a person meanwhile")
        return {who: found[digest] for digest, who in of.items()}

    def _make_packs(self, db: psycopg.Connection[Any], names: Sequence[str]) -> dict[str, int]:
        """Return the ids of packs; new ones are made."""
        if not names:
            return {}
        found = dict(db.execute(_PACKS, [names]))
        if len(found) < len(names):
            for name in names:
                db.execute(_MAKE_PACK, images.pack_row(name))
            found = dict(db.execute(_PACKS, [names]))
        return found

    def _insert(
        self, db: psycopg.Connection[Any], rows: Mapping[str, Rows], end: int, progress: Progress | None
    ) -> tuple[set[int], set[int]]:
        """Insert what is not there yet, images included, and the positions. ``end``: the first id above the batch.

        Return the ids that were given, and those of new records that bear the id of another one. Raises
        :class:`~gatepost.errors.StoreError` if a stored position lies further.
        """
        again = moved = None
        places = [] if progress is None else positions.rows(progress)
        with db.pipeline():
            cursors = [
                db.execute(INSERTS[table, bool(found)], columns + found)
                for table, (columns, found) in rows.items()
            ]
            if "records" in rows:
                again = db.execute(REPEATING, [*rows["records"].columns[:3], end])
            if places:
                moved = db.execute(ADVANCE, arrays(POSITION, places))
        if moved is not None and moved.rowcount != len(places):
            raise positions.read_further()
        given = {row[0] for cursor in cursors for row in cursor}
        return given, {row[0] for row in again or () if row[0] in given}

    def _existing(
        self, db: psycopg.Connection[Any], duplicates: Sequence[Arrival]
    ) -> list[psycopg.Cursor[Any]]:
        cursors = []
        for kind, table in ((a.RECORD, "records"), (a.ALARM, "alarm_events"), (a.UNKNOWN, "quarantine")):
            of_kind = [arrival for arrival in duplicates if a.kind(arrival) == kind]
            if of_kind:
                cursors.append(
                    db.execute(
                        f"SELECT {table}.terminal_id, {table}.key, {table}.id FROM {table}"
                        " JOIN unnest(%b::bigint[], %b::bytea[]) AS again(terminal_id, key)"
                        f" ON {table}.terminal_id = again.terminal_id AND {table}.key = again.key",
                        ([arrival.terminal_id for arrival in of_kind], [arrival.key for arrival in of_kind]),
                    )
                )
        return cursors

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

    # Leaving

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


def _facets(db: psycopg.Connection[Any]) -> psycopg.Cursor[Any]:
    return db.execute(_FACETS)


def _identities(db: psycopg.Connection[Any], digests: Sequence[bytes]) -> dict[bytes, int]:
    found = db.execute(IDENTITIES, [array(DIGEST, digests)])
    return {bytes(digest): number for digest, number in found}


def _learn(db: psycopg.Connection[Any], lessons: a.Lessons) -> None:
    """Note what a batch taught about the terminals."""
    for peer in sorted(lessons.peers):
        db.execute(_PEER, peer)
    for disagreement in sorted(lessons.disagreements):
        db.execute(_DISAGREEMENT, disagreement)
    for terminal_id in sorted({row[0] for row in lessons.disagreements}):
        db.execute(_TRIM_DISAGREEMENTS, (terminal_id, terminal_id))
    for seen in sorted(lessons.seen, key=lambda row: row[2]):
        db.execute("UPDATE terminals SET model = %s, dialect = %s WHERE id = %s", seen)
