"""Make arrays of columns out of a batch of arrivals, and the PostgreSQL statements that take them."""

from collections.abc import Container, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column
from sqlalchemy.dialects import postgresql

from gatepost.store.conversion import coded_fields, terminal_counters
from gatepost.store.conversion import rows as a
from gatepost.store.images import images
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.interface import Arrival
from gatepost.store.postgres.binary_arrays import Array, array
from gatepost.store.schema import tables as schema
from gatepost.store.write import backfilled, upserts
from gatepost.wire import Alarm, Record

__all__ = [
    "ADDRESS", "ADVANCE", "DIGEST", "FIRST", "IDENTITIES", "INSERTS", "PEERS", "POSITION", "REPEATING", "TALLIES",
    "TERMINAL", "TERMINALS", "Rows", "arrays", "rows_of", "tallied",
]  # fmt: skip

FIRST = "SELECT (pg_current_xact_id()::text::bigint + (SELECT value::bigint FROM meta WHERE name = 'id_offset')) * 4096"
"""The id of the first event of a batch."""


class Rows(NamedTuple):
    """The rows of one table, and those of the images that they have; one array a column."""

    columns: list[Array]
    images: list[Array]


def rows_of(
    batch: Sequence[Arrival],
    first: int,
    referred: a.Referred,
    facets: Mapping[coded_fields.Facet, int],
    people: Mapping[a.Person, int],
    packs: dict[str, int],
    keys: ImageKeys,
) -> dict[str, Rows]:
    """Return the rows of a batch, by table. ``first``: the id of the first event.

    ``facets``, ``people`` and ``packs`` are ids; keys of images are encrypted with ``keys``.
    """
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _COLUMNS}
    found_images: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _COLUMNS}
    refers_to = iter(referred.of_records)
    for number, arrival in enumerate(batch, first):
        content = arrival.event
        if isinstance(content, Record):
            table, (codes, who) = "records", next(refers_to)
            row = a.record_row(arrival, content, facets[codes], None if who is None else people[who])
        elif isinstance(content, Alarm):
            table, row = "alarm_events", a.alarm_row(arrival, content)
        else:
            table, row = "quarantine", a.quarantine_row(arrival)
        if table != "quarantine":
            row = (*row, int(arrival.image is not None))
        if table == "records":
            row = (*row, backfilled.how(arrival))
        rows[table].append((number, *row))
        found_images[table] += images.rows_of(number, arrival, packs, keys)
    # Sorted by terminal and key, the same way in every process: no deadlock among them.
    return {
        table: Rows(
            arrays(
                _COLUMNS[table], sorted(found, key=_pushed_first if table == "records" else _terminal_and_key)
            ),
            arrays(_IMAGE, found_images[table]),
        )
        for table, found in rows.items()
        if found
    }


def _terminal_and_key(row: Sequence[Any]) -> tuple[int, bytes]:
    return row[1], row[2]


def _pushed_first(row: Sequence[Any]) -> tuple[int, bytes, int]:
    return row[1], row[2], row[-1]


def tallied(
    batch: Sequence[Arrival], fresh: Sequence[bool], writer: int, repeated: Container[int] = ()
) -> list[Array]:
    """Return the columns of what a batch adds to the counts; ``repeated`` is that of ``add_up``."""
    return arrays(_TALLY, terminal_counters.tally_rows(batch, fresh, repeated, writer))


_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy has no types for it


_COLUMNS = {
    table.name: [table.c[name] for name in ("id", *names)]
    for table, names in (
        (schema.records, (*a.RECORD_COLUMNS, "has_image", "backfilled")),
        (schema.alarm_events, (*a.ALARM_COLUMNS, "has_image")),
        (schema.quarantine, a.QUARANTINE_COLUMNS),
    )
}
_IMAGE = list(schema.images.c)
_IMAGE_NAMES = ", ".join(column.name for column in _IMAGE)
TERMINAL, ADDRESS, DIGEST = schema.peers.c.terminal_id, schema.peers.c.address, schema.identities.c.digest
POSITION = list(schema.journal_positions.c)
_TALLY = [schema.tallies.c[name] for name in terminal_counters.TALLY_COLUMNS]


def arrays(columns: Sequence[Column[Any]], rows: Sequence[Sequence[Any]]) -> list[Array]:
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
            f"WITH new AS ({insert}), given AS ({_unnest(_IMAGE)} AS image({_IMAGE_NAMES})),"
            f" stored AS (INSERT INTO images ({_IMAGE_NAMES}) SELECT given.* FROM given"
            " JOIN new ON new.id = given.event_id) SELECT id FROM new"
        )
    return found


def _unnest(columns: Sequence[Column[Any]]) -> str:
    """Return a query that makes rows of one array a column: as long for any number, so that it stays prepared."""
    types = [column.type.compile(dialect=_DIALECT) for column in columns]
    return f"SELECT * FROM unnest({', '.join(f'%b::{kind}[]' for kind in types)})"


INSERTS = _inserts()
"""By table, and whether there are images."""
# A subquery with a limit is never joined in another way than by the index, however small the table was when the
# statement was planned.
REPEATING = (
    "SELECT given.id FROM unnest(%b::bigint[], %b::bigint[], %b::bytea[]) AS given(id, terminal_id, key)"
    " CROSS JOIN LATERAL (SELECT r.key FROM records AS r WHERE r.terminal_id = given.terminal_id"
    " AND r.key >= substring(given.key FROM 1 FOR 8)"
    " AND r.key <= substring(given.key FROM 1 FOR 8) || '\\xffffffffffffffff'::bytea AND r.key <> given.key"
    " AND (r.id < given.id OR r.id >= %s) ORDER BY r.terminal_id, r.key LIMIT 1) AS another"
)
"""The ids of those of a batch's records of which another record has the id, the batch's own later ones not counted.
It takes their columns, and the first id above the batch."""

TALLIES = upserts.tally("postgresql", source=_unnest(_TALLY))
ADVANCE = upserts.position("postgresql", source=_unnest(POSITION))
"""Takes the columns of positions."""

TERMINALS = "SELECT id, site_id, model, dialect, backfilled FROM terminals WHERE id = ANY(%b::bigint[])"
IDENTITIES = "SELECT digest, id FROM identities WHERE digest = ANY(%b::bytea[])"
PEERS = (
    "SELECT peers.address, peers.terminal_id, peers.at_ms FROM peers"
    " JOIN unnest(%b::text[], %b::bigint[]) AS given(address, terminal_id)"
    " ON peers.address = given.address AND peers.terminal_id = given.terminal_id"
)
