"""Insert a batch of arrivals into SQLite: rows, what they refer to, and counts.

All of it in a transaction that the store begins and ends. Nothing is remembered from one batch to the next: what a
batch refers to is read in its own transaction.

A batch is handed to SQLite in few large statements. Each statement gives up the interpreter's lock once, so a
batch of single inserts would have to win it back from a busy event loop dozens of times
(``docs/decisions/sqlite-writes.md``).
"""

import sqlite3
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from gatepost.store.conversion import rows as a
from gatepost.store.conversion import terminal_counters
from gatepost.store.conversion.coded_fields import FACET_COLUMNS, Facet
from gatepost.store.images import images
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.interface import Arrival, Progress, Stored
from gatepost.store.privacy import tombstones
from gatepost.store.schema.tables import journal_positions
from gatepost.store.write import backfilled, positions, upserts
from gatepost.store.write.joining import Joining
from gatepost.wire import Alarm, Record

__all__ = ["Inserter"]

_DISAGREEMENT = upserts.disagreement("sqlite")
_TRIM_DISAGREEMENTS = upserts.trim_disagreements("sqlite")


class Inserter:
    """Inserts batches. One writer at a time, on the one connection that writes."""

    def __init__(
        self,
        db: sqlite3.Connection,
        *,
        writer: int,
        secret: bytes,
        keys: ImageKeys,
    ) -> None:
        """``secret``: digests of people are keyed with it. ``keys``: those of images are encrypted with them."""
        self._db = db
        self._writer = writer
        self._secret = secret
        self._keys = keys
        self._peer_limit = upserts.PeerLimit()

    def insert(self, batch: Sequence[Arrival]) -> list[Stored]:
        """Insert what is not there yet.

        Raises ``LookupError`` for an event of a terminal that is not there, and what SQLite raises.
        """
        terminals = self._terminals(batch)
        sites = {number: site_id for number, (site_id, *_) in terminals.items()}
        batch = self._without_erased(batch, sites)
        batch = backfilled.matched(
            self._db, "?", batch, {number for number, (_, _, _, has) in terminals.items() if has}
        )
        referred = a.referred(batch, sites)
        facets, people = self._facets(referred.facets), self._people(referred.people)
        refers_to = iter(referred.of_records)
        first = self._take_ids(len(batch))
        plain: list[Any] = []
        records: list[Any] = []
        fetched: list[Any] = []
        steps: list[Any] = []
        unknowns: list[Any] = []
        for number, arrival in enumerate(batch, first):
            content = arrival.event
            if isinstance(content, Record):
                codes, who = next(refers_to)
                row = a.record_row(arrival, content, facets[codes], None if who is None else people[who])
                if arrival.alike or arrival.is_backfilled:
                    how = backfilled.how(arrival)
                    fetched += (number, *row, int(arrival.image is not None), how)
                elif arrival.image is not None or arrival.problems:
                    records += (number, *row, int(arrival.image is not None))
                else:
                    plain.append(number)
                    plain += row
                    plain.pop()  # no problems
            elif isinstance(content, Alarm):
                steps += (number, *a.alarm_row(arrival, content), int(arrival.image is not None))
            else:
                unknowns += (number, *a.quarantine_row(arrival))
        known = {
            **self._insert("plain", plain),
            **self._insert("records", records),
            **self._insert("fetched", fetched),  # last: what was pushed comes first
            **self._insert("alarm_events", steps),
            **self._insert("quarantine", unknowns),
        }
        self._insert_images(batch, first, known)
        of_records = (("plain", plain), ("records", records), ("fetched", fetched))
        numbers = [rows[:: _WIDTHS[table]] for table, rows in of_records]
        repeated = self._repeating(batch, first, [n for some in numbers for n in some if n not in known])
        fresh = [number not in known for number in range(first, first + len(batch))]
        self._count(batch, fresh, repeated)
        Joining(self._db, "?").join(a.alarm_steps(batch, range(first, first + len(batch)), fresh))
        for day in a.receipt_days(batch):
            self._db.execute(_RECEIPT_DAY, (day,))
        self._learn(batch, {number: (model, dialect) for number, (_, model, dialect, _) in terminals.items()})
        return [
            Stored(False, known[number]) if number in known else Stored(True, number)
            for number in range(first, first + len(batch))
        ]

    def advance(self, progress: Progress) -> None:
        """Store the positions. Raises :class:`~gatepost.errors.StoreError` if a stored one lies further."""
        rows = positions.rows(progress)
        before = self._db.total_changes
        for count, part in upserts.in_steps([value for row in rows for value in row], _POSITION_WIDTH):
            self._db.execute(_position(count), part)
        if self._db.total_changes - before != len(rows):
            raise positions.read_further()

    def _read(self, query: Callable[[int], str], values: Sequence[Any], width: int = 1) -> Iterator[Any]:
        """Return the rows that a query finds for these values, ``width`` of which belong together."""
        for rows, part in upserts.in_steps(values, width):
            yield from self._db.execute(query(rows), part).fetchall()

    def _terminals(self, batch: Sequence[Arrival]) -> dict[int, tuple[int, str | None, str | None, int]]:
        """Return site, model and dialect of the terminals of a batch, and whether they have back-filled records."""
        ids = sorted({arrival.terminal_id for arrival in batch})
        return {row[0]: row[1:] for row in self._read(_terminals, ids)}

    def _facets(self, wanted: set[Facet]) -> dict[Facet, int]:
        """Return the ids of facets; new ones are made."""
        found = {tuple(row[1:]): int(row[0]) for row in self._db.execute(_FACETS)}
        for codes in wanted - found.keys():
            cursor = self._db.execute(_MAKE_FACET, codes)
            found[codes] = int(cursor.lastrowid or 0)
        return found

    def _people(self, wanted: Mapping[a.Person, int]) -> dict[a.Person, int]:
        """Return the ids of people; new ones are made, and ``wanted`` says when each was received first."""
        of = {a.person_digest(who, self._secret): who for who in wanted}
        found = dict(self._read(_identities, list(of)))
        new = [digest for digest in of if digest not in found]
        if new:
            rows = [a.identity_row(of[digest], wanted[of[digest]], self._secret) for digest in new]
            values = [value for row in rows for value in row]
            for count, part in upserts.in_steps(values, len(rows[0])):
                self._db.execute(_make_identities(count), part)
            found.update(self._read(_identities, new))
        return {who: found[digest] for digest, who in of.items()}

    def _insert(self, table: str, values: Sequence[Any]) -> dict[int, int]:
        """Insert rows, one behind the other, that are not there yet.

        Return of each of the others the id that it was not given, and the one that it has.
        """
        if not values:
            return {}
        db, width = self._db, _WIDTHS[table]
        before = db.total_changes
        for rows, part in upserts.in_steps(values, width):
            db.execute(_insert(table, rows), part)
        ids = values[::width]
        if db.total_changes - before == len(ids):
            return {}
        into = _INTO[table]
        given = {row[0] for row in db.execute(f"SELECT id FROM {into} WHERE id >= ?", (ids[0],))}
        same = f"SELECT id FROM {into} WHERE terminal_id = ? AND key = ?"
        return {
            number: db.execute(same, values[at * width + _TERMINAL : at * width + _KEY + 1]).fetchone()[0]
            for at, number in enumerate(ids)
            if number not in given
        }

    def _repeating(self, batch: Sequence[Arrival], first: int, numbers: Sequence[int]) -> set[int]:
        """Note on each of these new records that its id is another record's, if it is; return the places of those."""
        values: list[Any] = []
        for number in numbers:
            arrival = batch[number - first]
            values += (number, arrival.terminal_id, arrival.key, arrival.key[: a.ID_BYTES] + _LAST)
        places: set[int] = set()
        for rows, part in upserts.in_steps(values, 4):
            found = self._db.execute(_repeating(rows), part).fetchall()
            places.update(number - first for (number,) in found)
        for place in places:
            self._db.execute(
                "UPDATE records SET problems = ? WHERE id = ?",
                (a.repeated_problems(batch[place]), first + place),
            )
        return places

    def _without_erased(self, batch: Sequence[Arrival], sites: Mapping[int, int]) -> Sequence[Arrival]:
        """Return a batch in which nobody is that was erased after it was received."""
        oldest = tombstones.oldest(batch)
        if self._db.execute(tombstones.LAST).fetchone()[0] <= oldest:
            return batch
        rows = self._db.execute(tombstones.SINCE.format("?"), (oldest,)).fetchall()
        return tombstones.applied(batch, sites, rows, self._secret)

    def _insert_images(self, batch: Sequence[Arrival], first: int, known: Container[int]) -> None:
        """Store the places of the images of new events."""
        names = images.pack_names(batch)
        if not names:
            return
        packs = dict(self._read(_packs, names))
        for name in names:
            if name not in packs:
                packs[name] = int(self._db.execute(_MAKE_PACK, images.pack_row(name)).lastrowid or 0)
        values: list[Any] = []
        for number, arrival in enumerate(batch, first):
            if number not in known:
                for row in images.rows_of(number, arrival, packs, self._keys):
                    values += row
        for rows, part in upserts.in_steps(values, _IMAGE_WIDTH):
            self._db.execute(_insert_images(rows), part)

    def _take_ids(self, count: int) -> int:
        """Return the first of so many ids. They are given again only if the transaction fails."""
        taken = self._db.execute(_TAKE_IDS, (count + 1, count)).fetchone()
        return int(taken[0]) - count

    def _count(self, batch: Sequence[Arrival], fresh: Sequence[bool], repeated: set[int]) -> None:
        tallies: list[Any] = []
        for row in terminal_counters.tally_rows(batch, fresh, repeated, self._writer):
            tallies += row
        for rows, values in upserts.in_steps(tallies, len(terminal_counters.TALLY_COLUMNS)):
            self._db.execute(_tally(rows), values)

    def _learn(self, batch: Sequence[Arrival], seen: dict[int, tuple[str | None, str | None]]) -> None:
        """Note what the batch taught about the terminals. ``seen``: their models and dialects."""
        db = self._db
        pairs = {(arrival.peer, arrival.terminal_id): None for arrival in batch if arrival.bind_peer}
        read = self._read(_peers, [value for pair in pairs for value in pair], 2)
        peers = {(address, number): at_ms for address, number, at_ms in read}
        known = len(peers)
        lessons = a.learn(batch, peers=peers, seen=seen)
        if lessons.peers:
            self._peer_limit.make_room(db, len(peers) - known)
        for rows, values in upserts.in_steps([value for row in lessons.peers for value in row], 3):
            db.execute(_peer(rows), values)
        for disagreement in lessons.disagreements:
            db.execute(_DISAGREEMENT, disagreement)
        for terminal_id in {row[0] for row in lessons.disagreements}:
            db.execute(_TRIM_DISAGREEMENTS, (terminal_id, terminal_id))
        for told in lessons.seen:
            db.execute("UPDATE terminals SET model = ?, dialect = ? WHERE id = ?", told)


_COLUMNS = {
    # Nearly every record has no problems, and without an image two columns need not be handed over for it.
    "plain": ("id", *a.RECORD_COLUMNS[:-1]),
    "records": ("id", *a.RECORD_COLUMNS, "has_image"),
    "fetched": ("id", *a.RECORD_COLUMNS, "has_image", "backfilled"),
    "alarm_events": ("id", *a.ALARM_COLUMNS, "has_image"),
    "quarantine": ("id", *a.QUARANTINE_COLUMNS),
}
_RECEIPT_DAY = "INSERT INTO receipt_days (day) VALUES (?) ON CONFLICT DO NOTHING"
_FACETS = f"SELECT id, {', '.join(FACET_COLUMNS)} FROM facets"
_MAKE_FACET = f"INSERT INTO facets ({', '.join(FACET_COLUMNS)}) VALUES ({','.join('?' * len(FACET_COLUMNS))})"
_INTO = {name: "records" if name in ("plain", "fetched") else name for name in _COLUMNS}
_WIDTHS = {name: len(columns) for name, columns in _COLUMNS.items()}
_TERMINAL, _KEY = 1, 2
_POSITION_WIDTH = len(journal_positions.c)


@cache
def _insert(table: str, rows: int) -> str:
    columns = _COLUMNS[table]
    row = f"({','.join('?' * len(columns))})"
    # OR FAIL: what fails is rolled back with the whole transaction, so SQLite need not keep a copy of each page for
    # a rollback of the statement alone; that took a third of the time.
    return (
        f"INSERT OR FAIL INTO {_INTO[table]} ({', '.join(columns)}) VALUES {','.join([row] * rows)}"
        " ON CONFLICT (terminal_id, key) DO NOTHING"
    )


_LAST = b"\xff" * 8
"""With the bytes of an id before it, no key with this id is larger."""


@cache
def _repeating(rows: int) -> str:
    """Return a query of those of some new records (id, terminal, key, largest key) of which another has the id."""
    return (
        f"SELECT column1 FROM (VALUES {','.join(['(?,?,?,?)'] * rows)}) WHERE EXISTS (SELECT 1 FROM records AS r"
        " WHERE r.terminal_id = column2 AND r.key >= substr(column3, 1, 8) AND r.key <= column4"
        " AND r.key <> column3 AND r.id < column1)"
    )


@cache
def _position(rows: int) -> str:
    return upserts.position("sqlite", rows)


@cache
def _tally(rows: int) -> str:
    return upserts.tally("sqlite", rows)


@cache
def _peer(rows: int) -> str:
    return upserts.peer("sqlite", rows)


@cache
def _packs(rows: int) -> str:
    return f"SELECT name, id FROM packs WHERE name IN ({','.join('?' * rows)})"


_MAKE_PACK = "INSERT INTO packs (name, kind, day) VALUES (?,?,?)"
_IMAGE_WIDTH = 6


@cache
def _insert_images(rows: int) -> str:
    values = ",".join(["(?,?,?,?,?,?)"] * rows)
    return f"INSERT OR FAIL INTO images (event_id, part, pack_id, byte_offset, length, key) VALUES {values}"


_TAKE_IDS = (
    "INSERT INTO meta (name, value) VALUES ('next_id', ?) ON CONFLICT (name)"
    " DO UPDATE SET value = CAST(value AS INTEGER) + ? RETURNING value"
)


@cache
def _terminals(rows: int) -> str:
    return (
        f"SELECT id, site_id, model, dialect, backfilled FROM terminals WHERE id IN ({','.join('?' * rows)})"
    )


@cache
def _identities(rows: int) -> str:
    return f"SELECT digest, id FROM identities WHERE digest IN ({','.join('?' * rows)})"


@cache
def _make_identities(rows: int) -> str:
    row = f"({','.join('?' * (a.IDENTITY_COLUMNS.count(',') + 1))})"
    return f"INSERT INTO identities ({a.IDENTITY_COLUMNS}) VALUES {','.join([row] * rows)}"


@cache
def _peers(rows: int) -> str:
    pairs = ",".join(["(?,?)"] * rows)
    return f"SELECT * FROM peers WHERE (address, terminal_id) IN (VALUES {pairs})"
