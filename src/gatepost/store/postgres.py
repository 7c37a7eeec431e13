"""The store in PostgreSQL: several processes of the receiver at once.

A batch is one transaction and three round trips: begin and learn the transaction's number → insert, each table
and its images in one statement → count and commit.

**Ids.** ``id = (transaction number + offset) * 4096 + place in the batch``. So ids grow in the order in which
transactions *began*, and everything below the number of the oldest running one is settled: committed, or never
to come. That is the :meth:`PostgresStore.horizon`; a stream that stops there never skips an event which commits
late. The offset, kept in ``meta``, makes good for a database that was restored into another server, whose
transactions count from elsewhere (``docs/decisions/cursor.md``).

**Locks.** Two processes may be handed the same events in different orders. Rows are therefore inserted sorted by
what makes them unique, tables always in the same sequence, and a deadlock that happens all the same is repeated.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import errors as pg
from sqlalchemy import Column, create_engine, delete, event, func, select, text, tuple_, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import OperationalError

from gatepost.errors import StoreUnavailable
from gatepost.store import arrivals as a
from gatepost.store import migrate, schema, upserts
from gatepost.store.arrays import Array, array, register
from gatepost.store.base import BaseStore, unavailable
from gatepost.store.sealing import HEAD, ImageKeys
from gatepost.store.server import check_server, connect, settle_offset, short, take_number, where, with_driver
from gatepost.store.store import Arrival, Stored
from gatepost.wire import Alarm, Record

__all__ = ["MAX_BATCH", "PostgresStore"]

MAX_BATCH = 4096
"""Events of one transaction; a longer batch becomes several."""

_CACHE = 20_000
"""Identities whose row id is remembered."""

_MIGRATING = 0x6761
"""Class of the advisory lock that keeps two receivers from migrating at once."""

_TRIES = 4
_ALARM = upserts.alarm("postgresql")
_PEER, _DISAGREEMENT = upserts.peer("postgresql"), upserts.disagreement("postgresql")
_TRIM_DISAGREEMENTS = upserts.trim_disagreements("postgresql")
_HORIZON = text(
    "SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    " + (SELECT value::bigint FROM meta WHERE name = 'id_offset')) * 4096"
)
_BEGIN = (
    "SELECT (pg_current_xact_id()::text::bigint + (SELECT value::bigint FROM meta WHERE name = 'id_offset')) * 4096,"
    " (SELECT value FROM meta WHERE name = 'changes')"
)


class PostgresStore(BaseStore):
    """See :class:`gatepost.store.store.Store`. Open it with :meth:`open`."""

    def __init__(self, url: URL, keys: ImageKeys | None = None) -> None:
        engine = create_engine(url, pool_size=4, max_overflow=12, pool_pre_ping=True)
        event.listen(engine, "connect", _interpreted)
        super().__init__(engine, keys)
        self._conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._where = where(url)
        self._writing = threading.RLock()
        self._closed = False
        self._connection: psycopg.Connection[Any] | None = None
        self._changes = ""
        self._facets: dict[a.Facet, int] = {}
        self._people = a.People()
        self._identities: dict[a.Person, int] = {}
        self._sites: dict[int, int] = {}
        self._peers: dict[str, int] = {}
        self._seen: dict[int, tuple[str | None, str | None]] = {}

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

    def close(self) -> None:
        self._closed = True
        with self._writing:
            self._drop()
            self._engine.dispose()

    # Writing

    def begin(self, batch: Sequence[Arrival]) -> Callable[[], list[Stored]] | None:
        return None

    def write(self, batch: Sequence[Arrival]) -> list[Stored]:
        stored: list[Stored] = []
        for start in range(0, len(batch), MAX_BATCH):
            stored += self._write_in_turn(batch[start : start + MAX_BATCH])
        return stored

    def _write_in_turn(self, batch: Sequence[Arrival]) -> list[Stored]:
        with self._writing:
            for attempt in range(_TRIES):
                try:
                    return self._write(self._connect(), batch)
                except (pg.DeadlockDetected, pg.SerializationFailure, pg.ForeignKeyViolation) as error:
                    # A person erased, or a site changed, by another process: what was remembered is stale.
                    self._abort()
                    if attempt == _TRIES - 1:
                        raise StoreUnavailable(f"{self._where} is too busy: {short(error)}") from error
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
        self._changes = ""
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None
        self._changes = ""

    def _abort(self) -> None:
        self._changes = ""
        if self._connection is not None:
            try:
                self._connection.rollback()
            except psycopg.Error:
                self._drop()

    def _write(self, db: psycopg.Connection[Any], batch: Sequence[Arrival]) -> list[Stored]:
        with db.pipeline():
            db.execute("BEGIN")
            cursor = db.execute(_BEGIN)
        first, changes = cursor.fetchone() or (0, "")
        if changes != self._changes:
            self._remember(db)
            self._changes = changes
        a.check_terminals(batch, self._sites)
        known = self._insert(db, batch, first, self._resolve(db, batch))
        ids = range(first, first + len(batch))
        fresh = [number not in known for number in ids]
        lessons = a.learn(batch, peers=self._peers, seen=self._seen)
        with db.pipeline():
            for alarm in a.merge_alarms(batch, ids, fresh):
                db.execute(_ALARM, alarm)
            for peer in sorted(lessons.peers):
                db.execute(_PEER, peer)
            for disagreement in sorted(lessons.disagreements):
                db.execute(_DISAGREEMENT, disagreement)
            for terminal_id in sorted({row[0] for row in lessons.disagreements}):
                db.execute(_TRIM_DISAGREEMENTS, (terminal_id, terminal_id))
            if len(self._peers) > upserts.MAX_PEERS:
                db.execute(upserts.trim_peers())
                self._changes = ""  # what is left is read at the next batch
            for seen in sorted(lessons.seen, key=lambda row: row[2]):
                db.execute("UPDATE terminals SET model = %s, dialect = %s WHERE id = %s", seen)
            tallies = [tally.row(number, self.writer) for number, tally in a.add_up(batch, fresh).items()]
            db.execute(_TALLIES, _arrays(_TALLY, tallies))
            again = self._existing(db, [x for x, new in zip(batch, fresh, strict=True) if not new])
            db.execute("COMMIT")
        existing = {(row[0], bytes(row[1])): row[2] for cursor in again for row in cursor}
        return [
            Stored(True, number) if new else Stored(False, existing[arrival.terminal_id, arrival.key])
            for number, new, arrival in zip(ids, fresh, batch, strict=True)
        ]

    def _remember(self, db: psycopg.Connection[Any]) -> None:
        self._identities.clear()
        rows = db.execute(
            "SELECT id, recognition_type, passed, abnormal_type, entry_mode, has_image FROM facets"
        )
        self._facets = {row[1:]: row[0] for row in rows}
        self._peers = dict(db.execute("SELECT address, terminal_id FROM peers").fetchall())
        self._sites.clear()
        self._seen.clear()
        for number, site, model, dialect in db.execute("SELECT id, site_id, model, dialect FROM terminals"):
            self._sites[number] = site
            self._seen[number] = (model, dialect)

    def _resolve(
        self, db: psycopg.Connection[Any], batch: Sequence[Arrival]
    ) -> dict[int, tuple[int, int | None]]:
        """The facet and the identity of each record, by its index; made where they are new."""
        facets: dict[int, a.Facet] = {}
        people: dict[int, a.Person | None] = {}
        identities: dict[a.Person, int] = {}
        first_seen: dict[a.Person, int] = {}
        for index, arrival in enumerate(batch):
            record = arrival.event
            if isinstance(record, Record):
                facets[index] = a.facet(record, arrival.image is not None)
                who = people[index] = self._people.person(record.user, self._sites[arrival.terminal_id])
                if who in self._identities:
                    identities[who] = self._identities[who]
                elif who is not None:
                    first_seen.setdefault(who, arrival.received_at_ms)
        self._make_facets(db, sorted(set(facets.values()) - self._facets.keys()))
        identities |= self._make_identities(db, first_seen)
        return {
            index: (self._facets[facet], None if who is None else identities[who])
            for (index, facet), who in zip(facets.items(), people.values(), strict=True)
        }

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
            self._facets[facet] = row[0] if row else 0

    def _make_identities(
        self, db: psycopg.Connection[Any], first_seen: dict[a.Person, int]
    ) -> dict[a.Person, int]:
        if not first_seen:
            return {}
        digests = {a.person_digest(who): who for who in first_seen}
        marks = ", ".join(["%s"] * (len(next(iter(first_seen))) + 2))
        with db.pipeline():
            for digest in sorted(digests):
                who = digests[digest]
                db.execute(
                    f"INSERT INTO identities ({a.IDENTITY_COLUMNS}) VALUES ({marks})"
                    " ON CONFLICT (digest) DO NOTHING",
                    (digest, *who, first_seen[who]),
                )
            found = db.execute("SELECT digest, id FROM identities WHERE digest = ANY(%b)", (list(digests),))
        made = {digests[bytes(digest)]: number for digest, number in found}
        if len(self._identities) + len(made) > _CACHE:
            self._identities.clear()
        self._identities |= made
        return made

    def _insert(
        self,
        db: psycopg.Connection[Any],
        batch: Sequence[Arrival],
        first: int,
        found: dict[int, tuple[int, int | None]],
    ) -> set[int]:
        """Insert what is not there yet, images included; answer the ids of the others, which were not given."""
        rows: dict[str, list[tuple[Any, ...]]] = {"records": [], "alarm_events": [], "quarantine": []}
        pictures: dict[str, list[tuple[int, int, bytes]]] = {"records": [], "alarm_events": []}
        for index, arrival in enumerate(batch):
            number, content = first + index, arrival.event
            if isinstance(content, Record):
                table, row = "records", a.record_row(arrival, content, *found[index])
            elif isinstance(content, Alarm):
                table, row = "alarm_events", a.alarm_row(arrival, content)
            else:
                sealed = self._sealed_quarantine(number, a.quarantine_row(arrival))
                rows["quarantine"].append((number, *sealed))
                continue
            if arrival.image is None:
                rows[table].append((number, *row, None, None))
            else:
                day = arrival.received_at_ms // a.DAY_MS
                rows[table].append((number, *row, day, number))
                pictures[table].append((day, number, self._sealed_image(day, number, arrival.image)))
        cursors = []
        with db.pipeline():
            for table, arriving in rows.items():
                if arriving:
                    # Sorted by terminal and key, the same way in every process: no deadlock among them.
                    arriving.sort(key=lambda row: row[1:3])
                    images = _arrays(_PICTURE, pictures.get(table, ()))
                    cursors.append(
                        db.execute(_INSERTS[table, bool(images)], _arrays(_COLUMNS[table], arriving) + images)
                    )
        given = {row[0] for cursor in cursors for row in cursor}
        if len(given) == len(batch):
            return set()
        return set(range(first, first + len(batch))) - given

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
            self._people = a.People()
            self._identities.clear()
            self._changes = ""
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


_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy has no types for it


_COLUMNS = {
    table.name: [table.c[name] for name in ("id", *names)]
    for table, names in (
        (schema.records, (*a.RECORD_COLUMNS, "image_day", "image_id")),
        (schema.alarm_events, (*a.ALARM_COLUMNS, "image_day", "image_id")),
        (schema.quarantine, a.QUARANTINE_COLUMNS),
    )
}
_PICTURE = list(schema.images.c)
_TALLY = [schema.tallies.c[name] for name in a.TALLY_COLUMNS]


def _arrays(columns: Sequence[Column[Any]], rows: Sequence[Sequence[Any]]) -> list[Array]:
    """One array a column; none at all where there is no row."""
    return [array(*pair) for pair in zip(columns, zip(*rows, strict=True), strict=True)] if rows else []


def _inserts() -> dict[tuple[str, bool], str]:
    found = {}
    for table, columns in _COLUMNS.items():
        names = ", ".join(f'"{column.name}"' for column in columns)
        insert = (
            f"INSERT INTO {table} ({names}) {_unnest(columns)}"
            " ON CONFLICT (terminal_id, key) DO NOTHING RETURNING id"
        )
        found[table, False] = insert
        found[table, True] = (
            f"WITH new AS ({insert}), pictures AS (INSERT INTO images (day, id, data)"
            " SELECT picture.* FROM unnest(%b::int[], %b::bigint[], %b::bytea[]) AS picture(day, id, data)"
            " JOIN new ON new.id = picture.id) SELECT id FROM new"
        )
    return found


def _unnest(columns: Sequence[Column[Any]]) -> str:
    """A query that answers rows out of one array a column: short, whatever their number, so that it stays prepared."""
    types = [column.type.compile(dialect=_DIALECT) for column in columns]
    return f"SELECT * FROM unnest({', '.join(f'%b::{kind}[]' for kind in types)})"


_INSERTS = _inserts()
_TALLIES = upserts.tally("postgresql", source=_unnest(_TALLY))
