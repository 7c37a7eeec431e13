"""The store in PostgreSQL: several processes of the receiver at once.

A batch is one transaction and three round trips: begin and learn the transaction's number → insert, each table
and its images in one statement → count and commit. What can be worked out before the first of them,
:meth:`PostgresStore.begin` does; and where all turns out as it mostly does, records that are all new, it is one round
trip: the server itself sees to it that nothing else is committed.

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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import psycopg
import structlog
from psycopg import errors as pg
from sqlalchemy import delete, event, func, select, text, tuple_, update
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import OperationalError

from gatepost.errors import StoreUnavailable
from gatepost.store import arrivals as a
from gatepost.store import migrate, schema, upserts
from gatepost.store.arrays import Array, array, register
from gatepost.store.base import BaseStore, unavailable
from gatepost.store.joining import Joining, lock
from gatepost.store.keys import identity_secret
from gatepost.store.postgres_batch import (
    AT_ONCE,
    COLUMNS,
    FIRST,
    INSERTS,
    PICTURE,
    PICTURE_IN_PLACE,
    PLACE,
    REPEATING,
    TALLIES,
    WorkedOut,
    arrays,
    tallied,
    work_out,
)
from gatepost.store.remembered import Remembered
from gatepost.store.sealing import HEAD, ImageKeys
from gatepost.store.server import (
    CONNECT_S,
    ServerConnection,
    check_server,
    connect,
    pool,
    settle_offset,
    short,
    take_number,
    where,
    with_driver,
)
from gatepost.store.store import Arrival, Stored
from gatepost.wire import Record

__all__ = ["MAX_BATCH", "PostgresStore"]

log = structlog.get_logger(__name__)

# It warns that a pipeline was cut short, which whoever cut it short is told by an exception.
logging.getLogger("psycopg").setLevel(logging.ERROR)

MAX_BATCH = 4096
"""Events of one transaction; a longer batch becomes several."""

_MIGRATING = 0x6761
"""Class of the advisory lock that keeps two receivers from migrating at once."""

_TRIES = 4

_CLOSE_S = 1.0
"""How long the end waits for a batch that is being written."""

_STEPS = 16
"""Batches that are written step by step after one that was not as they mostly are: when a terminal sends again what it
has sent before, the next ones are no better."""

_PEER, _DISAGREEMENT = upserts.peer("postgresql"), upserts.disagreement("postgresql")
_TRIM_DISAGREEMENTS = upserts.trim_disagreements("postgresql")
_HORIZON = text(
    "SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    " + (SELECT value::bigint FROM meta WHERE name = 'id_offset')) * 4096"
)
_BEGIN = f"SELECT {FIRST}, (SELECT value FROM meta WHERE name = 'changes')"


class PostgresStore(BaseStore):
    """See :class:`gatepost.store.store.Store`. Open it with :meth:`open`."""

    begins_ahead = True

    def __init__(self, url: URL, keys: ImageKeys | None = None) -> None:
        engine = pool(url)
        event.listen(engine, "connect", _interpreted)
        super().__init__(engine, keys)
        self._conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._where = where(url)
        self._writing = threading.Lock()
        self._closed = False
        self._connection: ServerConnection | None = None
        self._remembered = Remembered()
        self._step_by_step = 0
        """For so many batches it is not tried in one round trip."""

    @classmethod
    def open(cls, url: str, *, keys: ImageKeys | None = None) -> "PostgresStore":
        """Open the store in a database, bring it to today's schema, and make it where there is none.

        ``url``: ``postgresql://user:password@host/database``, with libpq's parameters behind a ``?``.
        """
        store = cls(with_driver(url), keys)
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
        with self._engine.begin() as db:
            # Of the transaction, so that a process which dies while it migrates leaves nothing locked.
            db.execute(text("SELECT pg_advisory_xact_lock(:class, 0)"), {"class": _MIGRATING})
            revision = migrate.stored_revision(db, self._where)
            if revision is not None:
                migrate.check_known(revision, self._where)
            if revision != migrate.head():
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
        self._engine.dispose()

    # Writing

    def begin(self, batch: Sequence[Arrival]) -> Callable[[], list[Stored]] | None:
        # Without the lock, so that one batch is worked out while another one is written. What is remembered may
        # change meanwhile: then it is found to be stale, and worked out anew.
        remembered = self._remembered
        if not 0 < len(batch) <= MAX_BATCH or not remembered.changes or remembered.is_full:
            return None
        try:
            worked_out = self._work_out(batch, remembered)
        except LookupError:  # it refers to something new
            return None
        except Exception as error:
            # Whoever writes it instead will find out what it is, event by event.
            log.debug("store.not_begun", kind=type(error).__name__)
            return None
        return partial(self._write_locked, batch, worked_out)

    def write(self, batch: Sequence[Arrival]) -> list[Stored]:
        stored: list[Stored] = []
        for start in range(0, len(batch), MAX_BATCH):
            stored += self._write_locked(batch[start : start + MAX_BATCH])
        return stored

    def _write_locked(self, batch: Sequence[Arrival], worked_out: WorkedOut | None = None) -> list[Stored]:
        with self._writing:
            return self._write_in_turn(batch, worked_out)

    def _write_in_turn(self, batch: Sequence[Arrival], worked_out: WorkedOut | None = None) -> list[Stored]:
        for attempt in range(_TRIES):
            try:
                return self._write(self._connect(), batch, worked_out)
            except (pg.DeadlockDetected, pg.SerializationFailure, pg.ForeignKeyViolation) as error:
                # A person erased, or a site changed, by another process: what was remembered is stale.
                self._abort()
                worked_out = None
                if attempt == _TRIES - 1:
                    raise StoreUnavailable(f"{self._where} is too busy: {short(error)}") from error
            except pg.ProgramLimitExceeded:  # an event's own fault, whose turn comes again, alone
                self._abort()
                raise
            except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as error:
                self._drop()
                raise StoreUnavailable(f"{self._where} cannot be used now: {short(error)}") from error
            except BaseException:
                self._abort()
                raise
        raise AssertionError

    def _connect(self) -> psycopg.Connection[Any]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._connection is not None:
            return self._connection
        connection = connect(self._conninfo, self._where)
        try:
            self.writer = take_number(connection)
            register(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._remembered = Remembered()
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None
        self._remembered = Remembered()

    def _abort(self) -> None:
        self._remembered = Remembered()
        if self._connection is not None:
            try:
                self._connection.rollback()
            except psycopg.Error:
                self._drop()

    def _write(
        self, db: psycopg.Connection[Any], batch: Sequence[Arrival], worked_out: WorkedOut | None
    ) -> list[Stored]:
        if worked_out is not None and worked_out.usual and worked_out.by is self._remembered:
            if not self._step_by_step:
                try:
                    return self._write_at_once(db, batch, worked_out)
                except (
                    pg.DivisionByZero
                ):  # not all are new, one repeats an id, or what is remembered is stale
                    db.rollback()
                    self._step_by_step = _STEPS
            self._step_by_step -= 1
        with db.pipeline():
            db.execute("BEGIN")
            cursor = db.execute(_BEGIN)
        first, changes = cursor.fetchone() or (0, "")
        if changes != self._remembered.changes or self._remembered.is_full:
            self._remembered = _remember(db, changes)
        if worked_out is None or worked_out.by is not self._remembered:
            a.check_terminals(batch, self._remembered.sites)
            self._make_known(db, batch)
            worked_out = self._work_out(batch, self._remembered)
        known, repeated = self._insert(db, worked_out, first, batch)
        ids = range(first, first + len(batch))
        fresh = [number not in known for number in ids]
        tallies = worked_out.tallies
        if known or repeated:  # it was worked out as if all were new
            tallies = tallied(batch, fresh, self.writer, repeated)
        if steps := a.alarm_steps(batch, ids, fresh):
            # A statement of its own: what others committed before is seen from the next one on.
            db.execute(*lock(steps))
            Joining(db, "%s").join(steps)
        with db.pipeline():
            for place in sorted(repeated):
                db.execute(
                    "UPDATE records SET problems = %s WHERE id = %s",
                    (a.repeated_problems(batch[place]), first + place),
                )
            self._account(db, worked_out.lessons, tallies)
            again = self._existing(db, [x for x, new in zip(batch, fresh, strict=True) if not new])
            db.execute("COMMIT")
        existing = {(row[0], bytes(row[1])): row[2] for cursor in again for row in cursor}
        return [
            Stored(True, number) if new else Stored(False, existing[arrival.terminal_id, arrival.key])
            for number, new, arrival in zip(ids, fresh, batch, strict=True)
        ]

    def _write_at_once(
        self, db: psycopg.Connection[Any], batch: Sequence[Arrival], worked_out: WorkedOut
    ) -> list[Stored]:
        """Store a batch of records that are all new and repeat no id.

        Raises ``DivisionByZero``, by which the server refuses to go on, where it is not so.
        """
        places, columns = worked_out.tables["records"]
        pictures = worked_out.pictures
        images = arrays(PICTURE_IN_PLACE, [(day, place, jpeg) for place, (day, jpeg) in pictures.items()])
        values = [array(PLACE, places), *columns, *images, *columns[:2], len(batch), worked_out.by.changes]
        with db.pipeline():
            db.execute("BEGIN")
            cursor = db.execute(AT_ONCE[bool(images)], values)
            self._account(db, worked_out.lessons, worked_out.tallies)
            db.execute("COMMIT")
        (first, _) = cursor.fetchone() or (0, 0)
        return [Stored(True, number) for number in range(first, first + len(batch))]

    def _account(self, db: psycopg.Connection[Any], lessons: a.Lessons, tallies: Sequence[Array]) -> None:
        """Count, and note what the batch taught about the terminals."""
        for peer in sorted(lessons.peers):
            db.execute(_PEER, peer)
        for disagreement in sorted(lessons.disagreements):
            db.execute(_DISAGREEMENT, disagreement)
        for terminal_id in sorted({row[0] for row in lessons.disagreements}):
            db.execute(_TRIM_DISAGREEMENTS, (terminal_id, terminal_id))
        if len(self._remembered.peers) > upserts.MAX_PEERS:
            db.execute(upserts.trim_peers())
            self._remembered = Remembered()  # what is left is read at the next batch
        for seen in sorted(lessons.seen, key=lambda row: row[2]):
            db.execute("UPDATE terminals SET model = %s, dialect = %s WHERE id = %s", seen)
        db.execute(TALLIES, tallies)

    def _work_out(self, batch: Sequence[Arrival], by: Remembered) -> WorkedOut:
        return work_out(batch, by, writer=self.writer, seals=bool(self._keys))

    def _make_known(self, db: psycopg.Connection[Any], batch: Sequence[Arrival]) -> None:
        """Make the facets and identities that are new; all that the batch refers to is remembered then."""
        facets: set[a.Facet] = set()
        first_seen: dict[a.Person, int] = {}
        for arrival in batch:
            record = arrival.event
            if isinstance(record, Record):
                facets.add(a.facet(record, arrival.image is not None))
                who = self._remembered.stranger_to(record, arrival.terminal_id)
                if who is not None:
                    first_seen.setdefault(who, arrival.received_at_ms)
        self._make_facets(db, sorted(facets - self._remembered.facets.keys()))
        self._make_identities(db, first_seen)

    def _make_facets(self, db: psycopg.Connection[Any], facets: Sequence[a.Facet]) -> None:
        for facet in facets:
            db.execute(
                "INSERT INTO facets (recognition_type, passed, abnormal_type, entry_mode, has_image)"
                " VALUES (%s, %s, %s, %s, %s) ON CONFLICT ON CONSTRAINT uq_facets_combination DO NOTHING",
                facet,
            )
            row = db.execute(
                "SELECT id FROM facets WHERE recognition_type = %s AND passed = %s AND abnormal_type = %s"
                " AND entry_mode = %s AND has_image = %s",
                facet,
            ).fetchone()
            self._remembered.facets[facet] = row[0] if row else 0

    def _make_identities(self, db: psycopg.Connection[Any], first_seen: dict[a.Person, int]) -> None:
        if not first_seen:
            return
        people = {a.person_digest(who, self.secret): who for who in first_seen}
        rows = sorted(a.identity_row(who, at_ms, self.secret) for who, at_ms in first_seen.items())
        marks = ", ".join(["%s"] * len(rows[0]))
        with db.pipeline():
            for row in rows:
                db.execute(
                    f"INSERT INTO identities ({a.IDENTITY_COLUMNS}) VALUES ({marks})"
                    " ON CONFLICT (digest) DO NOTHING",
                    row,
                )
            found = db.execute("SELECT digest, id FROM identities WHERE digest = ANY(%b)", (list(people),))
        for digest, number in found:
            self._remembered.learn(people[bytes(digest)], number)

    def _insert(
        self, db: psycopg.Connection[Any], worked_out: WorkedOut, first: int, batch: Sequence[Arrival]
    ) -> tuple[set[int], set[int]]:
        """Insert what is not there yet, images included.

        Return the ids that were not given, of what is there already, and the places of new records that bear the id of
        another one.
        """
        cursors = []
        again = None
        pictures = worked_out.pictures
        with db.pipeline():
            for table, (places, columns) in worked_out.tables.items():
                id_column, image_column = COLUMNS[table][0], COLUMNS[table][-1]
                values = [array(id_column, [first + place for place in places]), *columns]
                values.append(
                    array(image_column, [first + place if place in pictures else None for place in places])
                )
                images = arrays(
                    PICTURE,
                    [
                        (pictures[place][0], first + place, self._sealed(first + place, *pictures[place]))
                        for place in places
                        if place in pictures
                    ],
                )
                cursors.append(db.execute(INSERTS[table, bool(images)], values + images))
                if table == "records":
                    again = db.execute(REPEATING, [values[0], *columns[:2], first + len(batch)])
            if worked_out.quarantined:
                kept = [
                    (first + place, *self._sealed_quarantine(first + place, row))
                    for place, row in worked_out.quarantined
                ]
                cursors.append(db.execute(INSERTS["quarantine", False], arrays(COLUMNS["quarantine"], kept)))
        given = {row[0] for cursor in cursors for row in cursor}
        repeated = {row[0] - first for row in again or () if row[0] in given}
        if len(given) == len(batch):
            return set(), repeated
        return set(range(first, first + len(batch))) - given, repeated

    def _sealed(self, number: int, day: int, jpeg: bytes) -> bytes:
        return self._sealed_image(day, number, jpeg)

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
    def changing(self, *, forget: bool = True) -> Iterator[Connection]:
        with unavailable(), self._engine.begin() as connection:
            yield connection
            if forget:
                # Seen by every process at its next batch.
                connection.execute(
                    text("UPDATE meta SET value = (value::bigint + 1)::text WHERE name = 'changes'")
                )

    # Reading

    @contextmanager
    def reading(self, *, indexed: bool = True) -> Iterator[Connection]:
        with unavailable(), self._engine.connect() as connection:
            # One moment for all questions, not a moment for each.
            yield connection.execution_options(isolation_level="REPEATABLE READ")

    def horizon(self, db: Connection) -> int | None:
        return int(db.execute(_HORIZON).scalar_one())

    # Leaving

    def image_at(self, day: int, image_id: int) -> bytes | None:
        c = schema.images.c
        with self.reading() as db:
            found = db.execute(select(c.data).where(c.day == day, c.id == image_id)).scalar()
        return None if found is None else bytes(found)

    def image_heads(self, day: int, after: int, *, limit: int) -> list[tuple[int, bytes]]:
        c = schema.images.c
        heads = select(c.id, func.substr(c.data, 1, HEAD).label("head")).where(c.day == day, c.id > after)
        with self.reading() as db:
            return [(row.id, bytes(row.head)) for row in db.execute(heads.order_by(c.id).limit(limit))]

    def replace_images(self, day: int, rows: Sequence[tuple[int, bytes]]) -> None:
        c = schema.images.c
        with self.changing(forget=False) as db:
            for image_id, data in rows:
                db.execute(update(schema.images).where(c.day == day, c.id == image_id).values(data=data))

    def image_days(self) -> list[int]:
        c = schema.images.c
        day = select(func.min(c.day))
        days: list[int] = []
        with self.reading() as db:
            # From day to day by the index; DISTINCT would look at every image.
            while (found := db.execute(day.where(c.day > days[-1]) if days else day).scalar()) is not None:
                days.append(int(found))
        return days

    def remove_images(self, places: Sequence[tuple[int, int]]) -> int:
        c = schema.images.c
        with self.changing(forget=False) as db:
            return db.execute(delete(schema.images).where(tuple_(c.day, c.id).in_(places))).rowcount

    def drop_images(self, before_day: int, *, limit: int) -> int:
        c = schema.images.c
        due = select(c.day, c.id).where(c.day < before_day).order_by(c.day, c.id).limit(limit)
        with self.changing(forget=False) as db:
            return db.execute(delete(schema.images).where(tuple_(c.day, c.id).in_(due))).rowcount

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

    def forget_people(self) -> None:
        with self._writing:
            self._remembered = Remembered()
        self._engine.clear_compiled_cache()

    def sizes(self) -> dict[str, int]:
        with self.reading() as db:
            every, images = db.execute(
                text("SELECT pg_database_size(current_database()), pg_total_relation_size('images')")
            ).one()
        return {"events": every - images, "images": images}


def _interpreted(connection: Any, _: Any) -> None:
    """A question is over in a few milliseconds; to compile it takes the server as long, or ten times that."""
    connection.execute("SET jit = off")
    connection.commit()


def _remember(db: psycopg.Connection[Any], changes: str) -> Remembered:
    found = Remembered(changes)
    facets = "SELECT id, recognition_type, passed, abnormal_type, entry_mode, has_image FROM facets"
    found.facets.update((row[1:], row[0]) for row in db.execute(facets))
    for address, number, at_ms in db.execute("SELECT address, terminal_id, at_ms FROM peers"):
        found.peers[address, number] = at_ms
    for number, site, model, dialect in db.execute("SELECT id, site_id, model, dialect FROM terminals"):
        found.sites[number] = site
        found.seen[number] = (model, dialect)
    return found
