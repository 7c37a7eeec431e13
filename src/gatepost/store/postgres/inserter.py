"""Insert a batch of arrivals into PostgreSQL, in one transaction: rows, what they refer to, and counts.

Begin, learn its number, and read what the batch refers to → insert what is not there yet, each table and its images in
one statement, and the positions → count and commit. Nothing is remembered from one batch to the next.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import errors as pg

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
from gatepost.store.postgres.binary_arrays import array
from gatepost.store.privacy import tombstones
from gatepost.store.write import backfilled, positions, upserts
from gatepost.store.write.joining import Joining, lock

__all__ = ["Inserter"]

_PEER, _DISAGREEMENT = upserts.peer("postgresql"), upserts.disagreement("postgresql")
_TRIM_DISAGREEMENTS = upserts.trim_disagreements("postgresql")
_FACETS = f"SELECT id, {', '.join(FACET_COLUMNS)} FROM facets"
_MAKE_FACET = (
    f"INSERT INTO facets ({', '.join(FACET_COLUMNS)}) VALUES ({', '.join(['%s'] * len(FACET_COLUMNS))})"
    " ON CONFLICT ON CONSTRAINT uq_facets_combination DO NOTHING"
)
_PACKS = "SELECT name, id FROM packs WHERE name = ANY(%s)"
_MAKE_PACK = "INSERT INTO packs (name, kind, day) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING"


class _Begun(NamedTuple):
    """What is read as a batch begins: its first id, and what is there of what it refers to."""

    first: int
    last_erased_ms: int
    terminals: Mapping[int, Sequence[Any]]
    """Site, model, dialect, and whether anything was fetched, by id."""
    peers: dict[tuple[str, int], int]
    facets: Mapping[Facet, int]


class Inserter:
    """Insert batches, on the connection that writes."""

    def __init__(
        self,
        db: psycopg.Connection[Any],
        *,
        writer: int,
        secret: bytes,
        keys: ImageKeys,
        peer_limit: upserts.PeerLimit,
    ) -> None:
        """``secret``: digests of people are keyed with it. ``keys``: those of images are encrypted with them."""
        self._db = db
        self._writer = writer
        self._secret = secret
        self._keys = keys
        self._peer_limit = peer_limit

    def insert(self, batch: Sequence[Arrival], progress: Progress | None) -> list[Stored]:
        """Insert what is not there yet, and the positions; commit.

        Raises ``LookupError`` for an event of a terminal that is not there, :class:`~gatepost.errors.StoreError` if a
        stored position lies further, and what psycopg raises; the transaction is then still open.
        """
        begun = self._begin(batch)
        sites = {number: site_id for number, (site_id, *_) in begun.terminals.items()}
        batch = self._to_store(batch, begun, sites)
        referred = a.referred(batch, sites)
        rows = rows_of(
            batch,
            begun.first,
            referred,
            self._make_facets(referred.facets, begun.facets),
            self._make_people(referred.people),
            self._make_packs(images.pack_names(batch)),
            self._keys,
        )
        ids = range(begun.first, begun.first + len(batch))
        given, repeated = self._insert_rows(rows, ids.stop, progress)
        fresh = [number in given for number in ids]
        if steps := a.alarm_steps(batch, ids, fresh):
            # A statement of its own: what others committed before is seen from the next one on.
            self._db.execute(*lock(steps))
            Joining(self._db, "%s").join(steps)
        existing = self._commit(batch, begun, fresh, {number - begun.first for number in repeated})
        return [
            Stored(True, number) if new else Stored(False, existing[arrival.terminal_id, arrival.key])
            for number, new, arrival in zip(ids, fresh, batch, strict=True)
        ]

    def _begin(self, batch: Sequence[Arrival]) -> _Begun:
        """Begin the transaction, take the locks, and read what the batch refers to."""
        db = self._db
        pairs = list({(arrival.peer, arrival.terminal_id): None for arrival in batch if arrival.bind_peer})
        numbers = sorted({arrival.terminal_id for arrival in batch})
        with db.pipeline():
            db.execute("BEGIN")
            db.execute("SELECT pg_advisory_xact_lock_shared(%s)", (tombstones.LOCK,))
            # What is fetched is matched with all that was pushed: by one process at a time, while no other writes.
            how = "" if any(arrival.alike for arrival in batch) else "_shared"
            db.execute(f"SELECT pg_advisory_xact_lock{how}(%s)", (backfilled.LOCK,))
            first = db.execute(FIRST)
            last_erased = db.execute(tombstones.LAST)
            terminals = db.execute(TERMINALS, [array(TERMINAL, numbers)])
            peers = db.execute(PEERS, arrays([ADDRESS, TERMINAL], pairs)) if pairs else ()
            facets = _facets(db)
        ((first_id,),) = first
        ((last_erased_ms,),) = last_erased
        return _Begun(
            first=first_id,
            last_erased_ms=last_erased_ms,
            terminals={number: told for number, *told in terminals},
            peers={(address, number): at_ms for address, number, at_ms in peers},
            facets={tuple(row[1:]): row[0] for row in facets},
        )

    def _to_store(
        self, batch: Sequence[Arrival], begun: _Begun, sites: Mapping[int, int]
    ) -> Sequence[Arrival]:
        """Return the batch without the data of erased people, and matched with what was fetched or pushed before."""
        oldest = tombstones.oldest(batch)
        if begun.last_erased_ms > oldest:
            stones = self._db.execute(tombstones.SINCE.format("%s"), (oldest,))
            batch = tombstones.applied(batch, sites, stones, self._secret)
        has_fetched = {number for number, (_, _, _, has) in begun.terminals.items() if has}
        return backfilled.matched(self._db, "%s", batch, has_fetched)

    def _commit(
        self, batch: Sequence[Arrival], begun: _Begun, fresh: Sequence[bool], repeated: set[int]
    ) -> dict[tuple[int, bytes], int]:
        """Count the batch, note what it tells of the terminals, and commit.

        ``repeated``: the places in the batch of records that have the id of another one. Return the ids of duplicates,
        by terminal and key.
        """
        db = self._db
        there = len(begun.peers)
        lessons = a.learn(
            batch,
            peers=begun.peers,
            seen={number: (model, dialect) for number, (_, model, dialect, _) in begun.terminals.items()},
        )
        if lessons.peers:
            self._peer_limit.make_room(db, len(begun.peers) - there)
        with db.pipeline():
            for place in sorted(repeated):
                db.execute(
                    "UPDATE records SET problems = %s WHERE id = %s",
                    (a.repeated_problems(batch[place]), begun.first + place),
                )
            _learn(db, lessons)
            for day in a.receipt_days(batch):  # last: who also brings a new one waits for this commit
                db.execute("INSERT INTO receipt_days (day) VALUES (%s) ON CONFLICT DO NOTHING", (day,))
            if batch and (counts := tallied(batch, fresh, self._writer, repeated)):
                db.execute(TALLIES, counts)
            again = self._existing([x for x, new in zip(batch, fresh, strict=True) if not new])
            db.execute("COMMIT")
        return {(row[0], bytes(row[1])): row[2] for cursor in again for row in cursor}

    def _make_facets(self, wanted: set[Facet], known: Mapping[Facet, int]) -> Mapping[Facet, int]:
        """Return the ids of facets; new ones are made."""
        new = sorted(wanted - known.keys())
        if not new:
            return known
        with self._db.pipeline():
            for facet in new:
                self._db.execute(_MAKE_FACET, facet)
            found = _facets(self._db)
        return {tuple(row[1:]): row[0] for row in found}

    def _make_people(self, wanted: Mapping[a.Person, int]) -> Mapping[a.Person, int]:
        """Return the ids of people; new ones are made, and ``wanted`` says when each was received first."""
        if not wanted:
            return {}
        of = {a.person_digest(who, self._secret): who for who in wanted}
        found = _identities(self._db, list(of))
        new = [digest for digest in of if digest not in found]
        if new:
            marks = ", ".join(["%s"] * (a.IDENTITY_COLUMNS.count(",") + 1))
            with self._db.pipeline():
                for digest in sorted(new):
                    who = of[digest]
                    self._db.execute(
                        f"INSERT INTO identities ({a.IDENTITY_COLUMNS}) VALUES ({marks})"
                        " ON CONFLICT (digest) DO NOTHING",
                        a.identity_row(who, wanted[who], self._secret),
                    )
            found |= _identities(self._db, new)
            if len(found) < len(of):
                raise pg.SerializationFailure("another process erased or moved a person meanwhile")
        return {who: found[digest] for digest, who in of.items()}

    def _make_packs(self, names: Sequence[str]) -> dict[str, int]:
        """Return the ids of packs; new ones are made."""
        if not names:
            return {}
        found = dict(self._db.execute(_PACKS, [names]))
        if len(found) < len(names):
            for name in names:
                self._db.execute(_MAKE_PACK, images.pack_row(name))
            found = dict(self._db.execute(_PACKS, [names]))
        return found

    def _insert_rows(
        self, rows: Mapping[str, Rows], end: int, progress: Progress | None
    ) -> tuple[set[int], set[int]]:
        """Insert what is not there yet, images included, and the positions. ``end``: the first id above the batch.

        Return the ids that were given, and those of new records that bear the id of another one. Raises
        :class:`~gatepost.errors.StoreError` if a stored position lies further.
        """
        again = moved = None
        places = [] if progress is None else positions.rows(progress)
        with self._db.pipeline():
            cursors = [
                self._db.execute(INSERTS[table, bool(found)], columns + found)
                for table, (columns, found) in rows.items()
            ]
            if "records" in rows:
                again = self._db.execute(REPEATING, [*rows["records"].columns[:3], end])
            if places:
                moved = self._db.execute(ADVANCE, arrays(POSITION, places))
        if moved is not None and moved.rowcount != len(places):
            raise positions.read_further()
        given = {row[0] for cursor in cursors for row in cursor}
        return given, {row[0] for row in again or () if row[0] in given}

    def _existing(self, duplicates: Sequence[Arrival]) -> list[psycopg.Cursor[Any]]:
        cursors = []
        for kind, table in ((a.RECORD, "records"), (a.ALARM, "alarm_events"), (a.UNKNOWN, "quarantine")):
            of_kind = [arrival for arrival in duplicates if a.kind(arrival) == kind]
            if of_kind:
                cursors.append(
                    self._db.execute(
                        f"SELECT {table}.terminal_id, {table}.key, {table}.id FROM {table}"
                        " JOIN unnest(%b::bigint[], %b::bytea[]) AS again(terminal_id, key)"
                        f" ON {table}.terminal_id = again.terminal_id AND {table}.key = again.key",
                        ([arrival.terminal_id for arrival in of_kind], [arrival.key for arrival in of_kind]),
                    )
                )
        return cursors


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
