"""What a batch of arrivals becomes for PostgreSQL, as far as that can be worked out without asking the server.

That is arrays of columns, and the statements that take them.

Two statements insert records. Of one the ids are known before. The other one finds them by itself, which saves a round
trip, and refuses to go on where not every record of the batch is new.
"""

from collections.abc import Container, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, Integer
from sqlalchemy.dialects import postgresql

from gatepost.store import arrivals as a
from gatepost.store import schema, upserts
from gatepost.store.arrays import Array, array
from gatepost.store.remembered import Remembered
from gatepost.store.store import Arrival
from gatepost.wire import Alarm, Record, Unknown

__all__ = [
    "AT_ONCE", "COLUMNS", "FIRST", "INSERTS", "PICTURE", "PICTURE_IN_PLACE", "PLACE", "REPEATING", "TALLIES",
    "WorkedOut", "arrays", "tallied", "work_out",
]  # fmt: skip

FIRST = (
    "(pg_current_xact_id()::text::bigint + (SELECT value::bigint FROM meta WHERE name = 'id_offset')) * 4096"
)
"""The id of the first event of a batch."""


class WorkedOut(NamedTuple):
    """A batch, worked out as far as that goes without its ids. A place is an event's in the batch."""

    by: Remembered
    """If another one is remembered meanwhile, it is stale."""
    tables: dict[str, tuple[list[int], list[Array]]]
    """Places, and every column but the first and the last, which are ids."""
    pictures: dict[int, tuple[int, bytes]]
    """Day and JPEG, by place."""
    quarantined: list[tuple[int, tuple[Any, ...]]]
    usual: bool
    """Whether it can be written in one round trip: nothing but records, whose ids nobody has to know before."""
    tallies: list[Array]
    """If every event is new."""
    lessons: a.Lessons


def work_out(batch: Sequence[Arrival], by: Remembered, *, writer: int, seals: bool) -> WorkedOut:
    """All but the ids. Raises ``LookupError`` where the batch refers to what is not known.

    ``seals``: images are encrypted, with what depends on their ids.
    """
    rows: dict[str, list[tuple[int, tuple[Any, ...]]]] = {"records": [], "alarm_events": []}
    pictures: dict[int, tuple[int, bytes]] = {}
    quarantined: list[tuple[int, tuple[Any, ...]]] = []
    for place, arrival in enumerate(batch):
        content = arrival.event
        day = None
        if arrival.image is not None and not isinstance(content, Unknown):
            day = arrival.received_at_ms // a.DAY_MS
            pictures[place] = (day, arrival.image)
        if isinstance(content, Record):
            refers_to = by.of(content, arrival.terminal_id, has_image=arrival.image is not None)
            if refers_to is None:
                raise LookupError("a batch refers to what is not known")
            rows["records"].append((place, (*a.record_row(arrival, content, *refers_to), day)))
        elif isinstance(content, Alarm):
            rows["alarm_events"].append((place, (*a.alarm_row(arrival, content), day)))
        else:
            quarantined.append((place, a.quarantine_row(arrival)))
    tables = {}
    for table, arriving in rows.items():
        if arriving:
            # Sorted by terminal and key, the same way in every process: no deadlock among them.
            arriving.sort(key=_terminal_and_key)
            columns = COLUMNS[table][1:-1]
            tables[table] = ([place for place, _ in arriving], arrays(columns, [row for _, row in arriving]))
    quarantined.sort(key=_terminal_and_key)
    return WorkedOut(
        by=by,
        tables=tables,
        pictures=pictures,
        quarantined=quarantined,
        usual=bool(rows["records"])
        and not (rows["alarm_events"] or quarantined)
        and not (pictures and seals)
        and not a.repeats_itself(row[:2] for _, row in rows["records"]),
        tallies=tallied(batch, [True] * len(batch), writer),
        lessons=a.learn(batch, peers=by.peers, seen=by.seen),
    )


def _terminal_and_key(row: tuple[int, tuple[Any, ...]]) -> tuple[Any, ...]:
    return row[1][:2]


def tallied(
    batch: Sequence[Arrival], fresh: Sequence[bool], writer: int, repeated: Container[int] = ()
) -> list[Array]:
    """Return the columns of what a batch adds to the counts; ``repeated`` is that of ``add_up``."""
    counted = a.add_up(batch, fresh, repeated)
    return arrays(_TALLY, [tally.row(number, writer) for number, tally in counted.items()])


_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy has no types for it


COLUMNS = {
    table.name: [table.c[name] for name in ("id", *names)]
    for table, names in (
        (schema.records, (*a.RECORD_COLUMNS, "image_day", "image_id")),
        (schema.alarm_events, (*a.ALARM_COLUMNS, "image_day", "image_id")),
        (schema.quarantine, a.QUARANTINE_COLUMNS),
    )
}
PICTURE = list(schema.images.c)
PLACE = Column("place", Integer)
PICTURE_IN_PLACE = [schema.images.c.day, PLACE, schema.images.c.data]
_TALLY = [schema.tallies.c[name] for name in a.TALLY_COLUMNS]


def arrays(columns: Sequence[Column[Any]], rows: Sequence[Sequence[Any]]) -> list[Array]:
    """One array a column; none at all where there is no row."""
    return [array(*pair) for pair in zip(columns, zip(*rows, strict=True), strict=True)] if rows else []


def _inserts() -> dict[tuple[str, bool], str]:
    found = {}
    for table, columns in COLUMNS.items():
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


def _at_once(*, images: bool) -> str:
    """Return the statement that inserts records by their places, and returns the id of the place 0.

    It divides by zero, so that the transaction ends, unless as many are inserted as it is told, none of them bears the
    id of another record, and what was remembered is not stale.
    """
    columns = COLUMNS["records"]
    given = [PLACE, *columns[1:-1]]
    names = ", ".join(f'"{column.name}"' for column in columns)
    values = ", ".join(f'given."{column.name}"' for column in columns[1:-1])
    pictures = (
        ", pictures AS (INSERT INTO images (day, id, data) SELECT picture.day, first.id + picture.place, picture.data"
        " FROM unnest(%b::int[], %b::int[], %b::bytea[]) AS picture(day, place, data), first)"
    )
    return (
        f"WITH first AS (SELECT {FIRST} AS id),"
        f" new AS (INSERT INTO records ({names}) SELECT first.id + given.place, {values},"
        " CASE WHEN given.image_day IS NOT NULL THEN first.id + given.place END"
        f" FROM ({_unnest(given)}) AS given({', '.join(column.name for column in given)}), first"
        " ON CONFLICT (terminal_id, key) DO NOTHING RETURNING id)"
        f"{pictures if images else ''}"
        f", repeating AS (SELECT 1 FROM unnest(%b::bigint[], %b::bytea[]) AS given(terminal_id, key) {_ANOTHER})"
        " SELECT first.id, 1 / (CASE WHEN (SELECT count(*) FROM new) = %s"
        " AND NOT EXISTS (SELECT FROM repeating)"
        " AND (SELECT value FROM meta WHERE name = 'changes') = %s THEN 1 ELSE 0 END) FROM first"
    )


def _unnest(columns: Sequence[Column[Any]]) -> str:
    """A query that answers rows out of one array a column: short, whatever their number, so that it stays prepared."""
    types = [column.type.compile(dialect=_DIALECT) for column in columns]
    return f"SELECT * FROM unnest({', '.join(f'%b::{kind}[]' for kind in types)})"


# A subquery with a limit is never joined in another way than by the index, however small the table was when the
# statement was planned.
_ANOTHER_OF = (
    "CROSS JOIN LATERAL (SELECT r.key FROM records AS r WHERE r.terminal_id = given.terminal_id"
    " AND r.key >= substring(given.key FROM 1 FOR 8)"
    " AND r.key <= substring(given.key FROM 1 FOR 8) || '\\xffffffffffffffff'::bytea AND r.key <> given.key"
)
_ANOTHER = f"{_ANOTHER_OF} ORDER BY r.terminal_id, r.key LIMIT 1) AS another"
REPEATING = (
    "SELECT given.id FROM unnest(%b::bigint[], %b::bigint[], %b::bytea[]) AS given(id, terminal_id, key)"
    f" {_ANOTHER_OF} AND (r.id < given.id OR r.id >= %s) ORDER BY r.terminal_id, r.key LIMIT 1) AS another"
)
"""The ids of those of a batch's records of which another record has the id, the batch's own later ones not counted.
It takes their columns, and the first id above the batch."""

INSERTS = _inserts()
AT_ONCE = {images: _at_once(images=images) for images in (False, True)}
TALLIES = upserts.tally("postgresql", source=_unnest(_TALLY))
