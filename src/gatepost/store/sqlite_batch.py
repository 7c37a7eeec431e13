"""What a batch of arrivals becomes in SQLite: rows, what they refer to, and counts.

All of it in a transaction that the store begins and ends; where that fails, what was remembered is remembered anew.

A batch is handed to SQLite in few large statements. Each statement gives up the interpreter's lock once, so a
batch of single inserts would have to win it back from a busy event loop dozens of times
(``docs/decisions/sqlite-writes.md``).
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from gatepost.store import arrivals as a
from gatepost.store import upserts
from gatepost.store.images import DayFiles
from gatepost.store.indexing import Indexing
from gatepost.store.joining import Joining
from gatepost.store.remembered import Remembered
from gatepost.store.store import Arrival, Stored
from gatepost.wire import Alarm, Record

__all__ = ["Begun", "Inserter", "day_of"]

_ID_BLOCK = 1024
"""How many ids are set aside at once: one more write per block keeps an id from ever being given twice."""

_PEER, _DISAGREEMENT = upserts.peer("sqlite"), upserts.disagreement("sqlite")
_TRIM_DISAGREEMENTS = upserts.trim_disagreements("sqlite")


class Begun(NamedTuple):
    """What is inserted, and not yet committed."""

    stored: list[Stored]
    images: list[tuple[int, int, bytes]]
    """Day, id and JPEG."""
    records: int
    indexed: bool
    """Whether they, and all before them, are in the indexes."""
    last_id: int

    @property
    def pages(self) -> int:
        """That it appends to the log, about: for each event some in the indexes, or only the rows."""
        return 8 + 2 * len(self.stored) if self.indexed else 4 + len(self.stored) // 4


def day_of(batch: Sequence[Arrival]) -> int:
    """In which the images of a batch are put."""
    return max(arrival.received_at_ms for arrival in batch) // a.DAY_MS


class Inserter:
    """Inserts batches. One writer at a time, on the one connection that writes."""

    def __init__(
        self,
        db: sqlite3.Connection,
        indexing: Indexing,
        images: DayFiles,
        *,
        writer: int,
        secret: bytes,
        seal_quarantine: Callable[[int, tuple[Any, ...]], tuple[Any, ...]],
    ) -> None:
        """``secret``: digests of people are keyed with it. ``seal_quarantine`` takes an id and a row of
        :data:`~gatepost.store.arrivals.QUARANTINE_COLUMNS`, and returns what is to be stored."""
        self._db = db
        self._indexing = indexing
        self._images = images
        self._writer = writer
        self._secret = secret
        self._seal_quarantine = seal_quarantine
        self._remembered = Remembered()
        self._is_stale = False
        self.remember()
        row = db.execute("SELECT value FROM meta WHERE name = 'reserved_ids'").fetchone()
        self._next_id = self._reserved = int(row[0]) if row else 1

    @property
    def remembers(self) -> bool:
        """Whether what others made is known here as it is."""
        return not (self._is_stale or self._remembered.is_full)

    @property
    def last_id(self) -> int:
        """No event has a larger one."""
        return self._next_id - 1

    def forget(self) -> None:
        """The transaction failed, and so did what it taught; ids that it took stay taken."""
        self._reserved = self._next_id
        self._is_stale = True

    def remember(self) -> None:
        """Read what batches refer to: somebody else may have changed it."""
        db, found = self._db, Remembered()
        found.facets.update((tuple(row[1:]), row[0]) for row in db.execute("SELECT * FROM facets"))
        for address, number, at_ms in db.execute("SELECT address, terminal_id, at_ms FROM peers"):
            found.peers[address, number] = at_ms
        for number, site, model, dialect in db.execute("SELECT id, site_id, model, dialect FROM terminals"):
            found.sites[number] = site
            found.seen[number] = (model, dialect)
        self._remembered, self._is_stale = found, False

    def insert(self, batch: Sequence[Arrival]) -> Begun:
        """Insert what is not there yet; images are given their places, and are for the caller to write.

        Raises ``LookupError`` for an event of a terminal that nobody made, and what SQLite raises.
        """
        if not self.remembers:
            self.remember()
        a.check_terminals(batch, self._remembered.sites)
        first = self._take_ids(len(batch))
        places = self._place_images(batch)
        plain: list[Any] = []
        records: list[Any] = []
        steps: list[Any] = []
        unknowns: list[Any] = []
        for number, arrival in enumerate(batch, first):
            content = arrival.event
            if isinstance(content, Record):
                row = a.record_row(arrival, content, *self._refer(arrival, content))
                if number in places or arrival.problems:
                    records += (number, *row, *places.get(number, (None, None)))
                else:
                    plain.append(number)
                    plain += row
                    plain.pop()  # no problems
            elif isinstance(content, Alarm):
                steps += (number, *a.alarm_row(arrival, content), *places.get(number, (None, None)))
            else:
                unknowns += (number, *self._seal_quarantine(number, a.quarantine_row(arrival)))
        count = len(plain) // _WIDTHS["plain"] + len(records) // _WIDTHS["records"]
        indexed = not self._indexing.leaves_behind(count)
        insert_records = self._insert if indexed else self._insert_behind
        known = {
            **insert_records("plain", plain),
            **insert_records("records", records),
            **self._insert("alarm_events", steps),
            **self._insert("quarantine", unknowns),
        }
        numbers = (records[:: _WIDTHS["records"]], plain[:: _WIDTHS["plain"]])
        repeated = self._repeating(
            batch, first, [n for some in numbers for n in some if n not in known], indexed=indexed
        )
        self._account(batch, first, known, repeated)
        return Begun(
            stored=[
                Stored(False, known[number]) if number in known else Stored(True, number)
                for number in range(first, first + len(batch))
            ],
            images=[
                (*places[number], arrival.image)
                for number, arrival in enumerate(batch if places else (), first)
                if number in places and number not in known and arrival.image is not None
            ],
            records=count,
            indexed=indexed,
            last_id=first + len(batch) - 1,
        )

    def _refer(self, arrival: Arrival, record: Record) -> tuple[int, int | None]:
        """The record's facet and identity, made if they are new."""
        remembered, has_image = self._remembered, arrival.image is not None
        found = remembered.of(record, arrival.terminal_id, has_image=has_image)
        while found is None:
            self._make_facet(a.facet(record, has_image))
            who = remembered.stranger_to(record, arrival.terminal_id)
            if who is not None:
                remembered.learn(who, self._make_identity(who, arrival.received_at_ms))
            found = remembered.of(record, arrival.terminal_id, has_image=has_image)
        return found

    def _insert(self, table: str, values: Sequence[Any]) -> dict[int, int]:
        """Insert rows, one behind the other, that are not there yet. Of each of the others the id that it was not
        given, and the one that it has."""
        if not values:
            return {}
        db, width = self._db, _WIDTHS[table]
        before = db.total_changes
        for rows, part in upserts.in_steps(values, width):
            db.execute(_insert(table, rows, indexed=True), part)
        ids = values[::width]
        if db.total_changes - before == len(ids):
            return {}
        into = _INTO[table]
        given = {row[0] for row in db.execute(f"SELECT id FROM {into} WHERE id >= ?", (ids[0],))}
        same = f"SELECT id FROM (SELECT * FROM {into}{_AMONG[into]}) WHERE terminal_id = ? AND key = ?"
        return {
            number: db.execute(same, values[at * width + _TERMINAL : at * width + _KEY + 1]).fetchone()[0]
            for at, number in enumerate(ids)
            if number not in given
        }

    def _insert_behind(self, table: str, values: list[Any]) -> dict[int, int]:
        """As :meth:`_insert`, of records that the indexes are behind for."""
        if not values:
            return {}
        width = _WIDTHS[table]
        known = self._indexing.claim(values[_TERMINAL::width], values[_KEY::width], values[::width])
        if known:
            values = [
                value
                for at in range(0, len(values), width)
                if values[at] not in known
                for value in values[at : at + width]
            ]
        for rows, part in upserts.in_steps(values, width):
            self._db.execute(_insert(table, rows, indexed=False), part)
        return known

    def _repeating(
        self, batch: Sequence[Arrival], first: int, numbers: Sequence[int], *, indexed: bool
    ) -> set[int]:
        """Note on each of these new records that its id is another record's, if it is; return the places of those."""
        values: list[Any] = []
        for number in numbers:
            arrival = batch[number - first]
            values += (number, arrival.terminal_id, arrival.key, arrival.key[: a.ID_BYTES] + _LAST)
        places: set[int] = set()
        for rows, part in upserts.in_steps(values, 4):
            found = self._db.execute(_repeating(rows, indexed), part).fetchall()
            places.update(number - first for (number,) in found)
        for place in places:
            self._db.execute(
                "UPDATE records SET problems = ? WHERE id = ?",
                (a.repeated_problems(batch[place]), first + place),
            )
        return places

    def _place_images(self, batch: Sequence[Arrival]) -> dict[int, tuple[int, int]]:
        """The day and the id of each image of the batch, by the event's id."""
        numbers = [
            number
            for number, arrival in enumerate(batch, self._next_id - len(batch))
            if arrival.image is not None and a.kind(arrival) != a.UNKNOWN
        ]
        if not numbers:
            return {}
        day = day_of(batch)
        first = self._images.reserve(day, len(numbers))
        return {number: (day, image_id) for image_id, number in enumerate(numbers, first)}

    def _take_ids(self, count: int) -> int:
        first = self._next_id
        self._next_id += count
        if self._next_id > self._reserved:
            self._reserved = self._next_id + _ID_BLOCK
            self._db.execute(
                "INSERT INTO meta (name, value) VALUES ('reserved_ids', ?1)"
                " ON CONFLICT (name) DO UPDATE SET value = ?1",
                (str(self._reserved),),
            )
        return first

    def _make_facet(self, facet: a.Facet) -> None:
        if facet not in self._remembered.facets:
            cursor = self._db.execute(
                "INSERT INTO facets (recognition_type, passed, abnormal_type, entry_mode, has_image)"
                " VALUES (?,?,?,?,?)",
                facet,
            )
            self._remembered.facets[facet] = int(cursor.lastrowid or 0)

    def _make_identity(self, who: a.Person, at_ms: int) -> int:
        values = a.identity_row(who, at_ms, self._secret)
        self._db.execute(
            f"INSERT INTO identities ({a.IDENTITY_COLUMNS}) VALUES ({','.join('?' * len(values))})"
            " ON CONFLICT (digest) DO NOTHING",
            values,
        )
        return int(self._db.execute("SELECT id FROM identities WHERE digest = ?", values[:1]).fetchone()[0])

    def _account(
        self, batch: Sequence[Arrival], first: int, known: dict[int, int], repeated: set[int]
    ) -> None:
        """Count, join the alarms, and note what the batch taught about the terminals."""
        db = self._db
        fresh = [number not in known for number in range(first, first + len(batch))]
        tallies: list[Any] = []
        for number, tally in a.add_up(batch, fresh, repeated).items():
            tallies += tally.row(number, self._writer)
        for rows, values in upserts.in_steps(tallies, len(a.TALLY_COLUMNS)):
            db.execute(_tally(rows), values)
        Joining(db, "?").join(a.alarm_steps(batch, range(first, first + len(batch)), fresh))
        peers = self._remembered.peers
        lessons = a.learn(batch, peers=peers, seen=self._remembered.seen)
        for peer in lessons.peers:
            db.execute(_PEER, peer)
        for disagreement in lessons.disagreements:
            db.execute(_DISAGREEMENT, disagreement)
        for terminal_id in {row[0] for row in lessons.disagreements}:
            db.execute(_TRIM_DISAGREEMENTS, (terminal_id, terminal_id))
        if len(peers) > upserts.MAX_PEERS:
            db.execute(upserts.trim_peers())
            self._is_stale = True
        for seen in lessons.seen:
            db.execute("UPDATE terminals SET model = ?, dialect = ? WHERE id = ?", seen)


_COLUMNS = {
    # Nearly every record has no problems, and without images three columns need not be handed over for it.
    "plain": ("id", *a.RECORD_COLUMNS[:-1]),
    "records": ("id", *a.RECORD_COLUMNS, "image_day", "image_id"),
    "alarm_events": ("id", *a.ALARM_COLUMNS, "image_day", "image_id"),
    "quarantine": ("id", *a.QUARANTINE_COLUMNS),
}
_INTO = {name: "records" if name == "plain" else name for name in _COLUMNS}
# A record has to be looked for in an index that has only some of them.
_AMONG = {into: " WHERE facet_id IS NOT NULL" if into == "records" else "" for into in _INTO.values()}
_WIDTHS = {name: len(columns) for name, columns in _COLUMNS.items()}
_TERMINAL, _KEY = 1, 2
_UNLESS_THERE = {
    into: f" ON CONFLICT (terminal_id, key){_AMONG[into]} DO NOTHING" for into in set(_INTO.values())
}
_UNINDEXED = {name: f"unindexed_{name}" for name in ("facet_id", "identity_id")}


@cache
def _insert(table: str, rows: int, *, indexed: bool) -> str:
    columns, into = _COLUMNS[table], _INTO[table]
    names = columns if indexed else [_UNINDEXED.get(name, name) for name in columns]
    row = f"({','.join('?' * len(columns))})"
    # OR FAIL: what fails is rolled back with the whole transaction, so SQLite need not keep a copy of each page for
    # a rollback of the statement alone; that took a third of the time.
    return (
        f"INSERT OR FAIL INTO {into} ({', '.join(names)}) VALUES {','.join([row] * rows)}"
        f"{_UNLESS_THERE[into] if indexed else ''}"
    )


_LAST = b"\xff" * 8
"""With the bytes of an id before it, no key with this id is larger."""


@cache
def _repeating(rows: int, indexed: bool) -> str:
    """Return a query of those of some new records (id, terminal, key, largest key) of which another has the id."""

    def another(table: str) -> str:
        return (
            f"EXISTS (SELECT 1 FROM {table} AS r WHERE r.terminal_id = column2 AND r.key >= substr(column3, 1, 8)"
            f" AND r.key <= column4 AND r.key <> column3 AND r.id < column1"
        )

    found = f"{another('main.records')} AND r.facet_id IS NOT NULL)"
    if not indexed:
        found += f" OR {another('temp.behind')})"
    return f"SELECT column1 FROM (VALUES {','.join(['(?,?,?,?)'] * rows)}) WHERE {found}"


@cache
def _tally(rows: int) -> str:
    return upserts.tally("sqlite", rows)
