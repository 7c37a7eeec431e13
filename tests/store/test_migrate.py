"""Every earlier schema leads to today's."""

import itertools
import operator
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    create_engine,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError
from tests.postgres import Postgres

from gatepost.errors import StoreCorrupt, StoreTooNew
from gatepost.store import arrivals, migrate, schema
from gatepost.store.keys import identity_secret
from gatepost.store.server import with_driver

REVISIONS = migrate.revisions()


@pytest.fixture(params=["sqlite", "postgresql"])
def engines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Engine]]:
    """Two empty databases."""
    if request.param == "sqlite":
        found = [create_engine(f"sqlite:///{tmp_path / name}") for name in ("one", "two")]
    else:
        server: Postgres = request.getfixturevalue("postgres_server")
        found = [create_engine(with_driver(server.create())) for _ in range(2)]
    yield found
    for engine in found:
        engine.dispose()


def created(db: Connection) -> None:
    schema.metadata.create_all(db, tables=schema.tables(db.dialect.name))


def shape(db: Connection) -> Any:
    """Everything that a schema says, in an order of its own."""
    if db.dialect.name == "sqlite":
        rows = db.execute(text("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"))
        # A table that was renamed has its name in quotes.
        return {
            name: sorted(
                part.strip()
                for part in re.split(
                    r",\s*\n|\n",
                    re.sub(r"[\t ]+", " ", sql or "").replace(f'TABLE "{name}"', f"TABLE {name}"),
                )
            )
            for name, sql in rows
            if name != "alembic_version"
        }
    look = inspect(db)
    queries = {
        "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
        "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
        "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
        "storage": "SELECT attrelid::regclass::text, attname, attstorage FROM pg_attribute"
        " WHERE attrelid = 'images'::regclass AND attnum > 0 ORDER BY 2",
    }
    found = {
        name: [tuple(row) for row in db.execute(text(query)) if "alembic_version" not in row[0]]
        for name, query in queries.items()
    }
    assert look.has_table("records")
    return found


@pytest.mark.parametrize("revision", REVISIONS)
def test_migrating_from_every_earlier_schema_gives_what_creating_gives(
    engines: list[Engine], revision: str
) -> None:
    with engines[0].begin() as db:
        migrate.upgrade(db, revision)
    with engines[0].begin() as db:
        migrate.upgrade(db)
        migrated = shape(db)
        context = MigrationContext.configure(db, opts={"include_object": _mine, "compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
        assert migrate.stored_revision(db, "") == migrate.head()
    with engines[1].begin() as db:
        created(db)
        assert shape(db) == migrated


def _mine(thing: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:
    if kind == "table":
        return thing.info.get("only") is None
    return (
        name != "uq_records_terminal_id_key"
    )  # an index here, a constraint there: their shapes are compared


Row = dict[str, Any]

ADDED = {
    "folded": "",
    "repeated_ids": 0,
    "unusable_ids": 0,
    "tie": 0,
    "timed": 1,
    "opener_received_at_ms": 0,
    "opener_id": 0,
}
"""What an added column holds for what was there before; any other is empty."""

FILLED = {"at_ms": "event_time_ms", "own_status": "status", "opened_at_ms": "first_at_ms"}
"""Which column has what a migration puts into an added one."""

TEXTS = {("alarm_events", "user_id")}
"""Numbers that a migration makes texts of."""

CHOICES = {"state": ("held", "retired"), "role": ("viewer", "admin")}


def reflected(db: Connection, table: str) -> Table:
    return Table(table, MetaData(), autoload_with=db)


def fill(db: Connection) -> dict[str, list[Row]]:
    """Two rows for each table of whatever schema it has, and in every column a value that is nowhere else."""
    numbers = itertools.count(101)
    rows: dict[str, list[Row]] = {}
    known = set(inspect(db).get_table_names())
    for name in [table.name for table in schema.tables(db.dialect.name) if table.name in known]:
        table = reflected(db, name)
        rows[name] = [
            {str(column.name): value(column, which, next(numbers), rows) for column in table.columns}
            for which in (0, 1)
        ]
        db.execute(table.insert(), rows[name])
    return rows


def value(column: Column[Any], which: int, number: int, rows: dict[str, list[Row]]) -> Any:
    for reference in column.foreign_keys:
        return rows[reference.column.table.name][which][reference.column.name]
    if column.name.startswith("unindexed_"):
        return None  # else it would be a record that is behind the indexes
    if column.name in CHOICES:
        return CHOICES[column.name][which]
    kind = column.type.python_type
    if kind is float:
        return number + 0.5
    if kind is int:
        return number
    words = f"{column.table.name}.{column.name} 王 {number}"
    return words.encode() + b"\0\xff" if kind is bytes else words


@pytest.mark.parametrize("revision", REVISIONS)
def test_what_is_stored_is_kept_in_every_column_of_every_table(engines: list[Engine], revision: str) -> None:
    with engines[0].begin() as db:
        migrate.upgrade(db, revision)
        before = fill(db)
    counted = {"terminals", "tallies", "facets", "identities"}
    assert counted | {"records", "alarm_events", "alarms", "quarantine"} <= before.keys()
    with engines[0].begin() as db:
        migrate.upgrade(db)
        for name, rows in before.items():
            table = reflected(db, name)
            found = [dict(row._mapping) for row in db.execute(select(table))]
            if name == "sites":
                assert [row["name"] for row in found if row["id"] == 1] == ["default"]
                found = [row for row in found if row["id"] != 1]
            if name == "meta":
                found = [row for row in found if row["name"] != "key:identity"]
            added = [column.name for column in table.columns if column.name not in rows[0]]
            later = {column: ADDED.get(column) for column in added}
            in_order = operator.itemgetter(*[column.name for column in table.primary_key.columns])
            for kept, row in zip(sorted(found, key=in_order), sorted(rows, key=in_order), strict=True):
                made = {column: row[FILLED[column]] for column in later if column in FILLED}
                texts = {column: str(row[column]) for column in row if (name, column) in TEXTS}
                for column, was in {**row, **later, **made, **texts}.items():
                    assert (name, column, kept[column]) == (name, column, was)


@pytest.mark.parametrize("revision", REVISIONS)
def test_what_is_stored_is_in_order_afterwards(engines: list[Engine], revision: str) -> None:
    """No index lacks a row, and nothing refers to what is not there."""
    with engines[0].begin() as db:
        migrate.upgrade(db, revision)
        fill(db)
    with engines[0].begin() as db:
        migrate.upgrade(db)
        if db.dialect.name == "sqlite":
            assert db.execute(text("PRAGMA integrity_check")).all() == [("ok",)]
            assert db.execute(text("PRAGMA foreign_key_check")).all() == []
        assert db.execute(text("SELECT count(*) FROM records JOIN facets ON facets.id = facet_id")).all() == [
            (2,)
        ]


def test_a_record_that_is_behind_the_indexes_is_in_them_afterwards(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'one'}")
    with engine.begin() as db:
        migrate.upgrade(db, "0004")
        rows = fill(db)["records"]
        behind = rows[1]
        db.execute(
            text(
                "UPDATE records SET unindexed_facet_id = facet_id, unindexed_identity_id = identity_id,"
                " facet_id = NULL, identity_id = NULL WHERE id = :id"
            ),
            behind,
        )
    with engine.begin() as db:
        migrate.upgrade(db)
        records = reflected(db, "records")
        kept = [dict(row._mapping) for row in db.execute(select(records).order_by(records.c.id))]
        assert kept == rows
        for index, condition in {
            "ix_records_facet_id_at_ms": "facet_id = :facet_id",
            "ix_records_terminal_id_facet_id_at_ms": "terminal_id = :terminal_id AND facet_id = :facet_id",
            "ix_records_person": "identity_id = :identity_id",
            "uq_records_terminal_id_key": "terminal_id = :terminal_id AND key = :key AND facet_id IS NOT NULL",
        }.items():
            by_index = f"SELECT id FROM records INDEXED BY {index} WHERE {condition}"
            assert db.execute(text(by_index), behind).all() == [(behind["id"],)]
        assert db.execute(text("PRAGMA integrity_check")).all() == [("ok",)]
    with pytest.raises(IntegrityError, match="UNIQUE"), engine.begin() as db:
        db.execute(records.insert(), behind | {"id": 1})
    engine.dispose()


@pytest.mark.parametrize("revision", [one for one in REVISIONS if one < "0008"])
def test_the_steps_of_an_alarm_are_its_steps_afterwards(engines: list[Engine], revision: str) -> None:
    with engines[0].begin() as db:
        migrate.upgrade(db, revision)
        before = fill(db)
        for alarm in before["alarms"]:
            db.execute(
                text("UPDATE alarm_events SET trace_id = :trace_id WHERE terminal_id = :terminal_id"), alarm
            )
    with engines[0].begin() as db:
        migrate.upgrade(db)
        terminals = "SELECT alarms.terminal_id, alarm_events.terminal_id"
        joined = db.execute(text(f"{terminals} FROM alarms JOIN alarm_events ON alarm_id = alarms.id")).all()
        assert len(joined) == 2
        assert all(one == other for one, other in joined)


def test_counts_of_terminals_outlive_the_column_that_tells_of_a_backlog(engines: list[Engine]) -> None:
    columns = (
        "terminal_id, writer, records, alarms, quarantined, duplicates, with_problems, late, first_at_ms"
    )
    with engines[0].begin() as db:
        migrate.upgrade(db, "0002")
        db.execute(
            text("INSERT INTO terminals (serial, site_id, state, created_at_ms) VALUES ('SN-1', 1, 'new', 0)")
        )
        db.execute(
            text(f"INSERT INTO tallies ({columns}, last_at_ms) VALUES (1, 0, 7, 6, 5, 4, 3, 2, 1000, 2000)")
        )
    with engines[0].begin() as db:
        migrate.upgrade(db)
        kept = db.execute(text(f"SELECT {columns}, last_at_ms, late_at_ms FROM tallies")).all()
        assert kept == [(1, 0, 7, 6, 5, 4, 3, 2, 1000, 2000, None)]


def test_people_get_a_keyed_digest_and_folded_text_and_who_was_erased_gets_neither(
    engines: list[Engine],
) -> None:
    columns = (
        'digest, site_id, user_id, name, job_number, ic_number, id_number, remark, "groups", first_at_ms'
    )
    values = "(:digest, 1, '7', :name, '', '', '', '', '', 0, :at)"
    one = f"INSERT INTO identities ({columns}, erased_at_ms) VALUES {values}"
    with engines[0].begin() as db:
        migrate.upgrade(db, "0006")
        for number in range(1001):
            db.execute(text(one), {"digest": b"%d" % number, "name": f"Émile {number}", "at": None})
        db.execute(text(one), {"digest": b"emptied", "name": "", "at": 1})
    with engines[0].begin() as db:
        migrate.upgrade(db)
        secret = identity_secret(db)
        rows = db.execute(text(f"SELECT {columns}, folded FROM identities ORDER BY id")).all()
    *people, erased = rows
    assert (bytes(erased.digest), erased.folded) == (b"emptied", "")
    for number, row in enumerate(people):
        who = (1, "7", f"Émile {number}", None, "", "", "", "", None, None, "")
        assert (row.digest, row.folded) == (
            arrivals.person_digest(who, secret),
            f"emile {number}\x017\x02\x03\x04\x05",
        )


def test_pushes_to_wrong_paths_stay_listed_among_everything_that_was_refused(engines: list[Engine]) -> None:
    with engines[0].begin() as db:
        migrate.upgrade(db, "0005")
        db.execute(text("INSERT INTO misdirected VALUES ('10.0.0.9', '/a', 'SN-1', 7, 1000, 2000)"))
    with engines[0].begin() as db:
        migrate.upgrade(db)
        assert not inspect(db).has_table("misdirected")
        kept = db.execute(
            text(
                'SELECT peer, reason, path, serial, status, "count", first_at_ms, last_at_ms FROM refused_pushes'
            )
        ).all()
        assert kept == [("10.0.0.9", "path", "/a", "SN-1", 404, 7, 1000, 2000)]


def test_revisions_are_one_chain_and_the_last_is_the_head() -> None:
    assert migrate.head() == REVISIONS[-1]
    assert tuple(sorted(REVISIONS)) == REVISIONS


def test_a_migration_that_fails_leaves_everything_as_it_was(engines: list[Engine]) -> None:
    with engines[0].begin() as db:
        db.execute(text("CREATE TABLE meta (other INTEGER)"))
    with pytest.raises(Exception, match="meta"), engines[0].begin() as db:
        migrate.upgrade(db)
    with engines[0].begin() as db:
        left = set(inspect(db).get_table_names())
    if db.dialect.name == "postgresql":
        assert left == {"meta"}


def test_an_unknown_revision_is_of_a_later_version() -> None:
    with pytest.raises(StoreTooNew, match=r"schema 9999.*start the later version"):
        migrate.check_known("9999", "here")
    for revision in REVISIONS:
        migrate.check_known(revision, "here")


def test_a_database_of_somebody_else_is_not_taken_for_an_old_one(engines: list[Engine]) -> None:
    with engines[0].begin() as db:
        assert migrate.stored_revision(db, "here") is None
        db.execute(text("CREATE TABLE records (theirs INTEGER)"))
        with pytest.raises(StoreCorrupt, match="here"):
            migrate.stored_revision(db, "here")
