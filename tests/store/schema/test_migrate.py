"""The migration makes today's schema; what others made is left as it is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, inspect, select, text
from tests.postgres import Postgres

from gatepost.errors import StoreCorrupt, StoreError, StoreTooNew
from gatepost.store.postgres.connection import engine_of, server_of
from gatepost.store.schema import migrate
from gatepost.store.schema import tables as schema
from gatepost.store.server_keys import identity_secret

REVISIONS = migrate.revisions()


@pytest.fixture(params=["sqlite", "postgresql"])
def engines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Engine]]:
    """Two empty databases."""
    if request.param == "sqlite":
        found = [create_engine(f"sqlite:///{tmp_path / name}") for name in ("one", "two")]
    else:
        server: Postgres = request.getfixturevalue("postgres_server")
        found = [engine_of(server_of(server.create())) for _ in range(2)]
    yield found
    for engine in found:
        engine.dispose()


def created(db: Connection) -> None:
    schema.metadata.create_all(db, tables=schema.tables())


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
        "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " AND tablename !~ '^records_' ORDER BY 1, 2",  # the server names those of partitions
        "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
        "storage": "SELECT relname, relkind::text, reloptions, pg_get_expr(relpartbound, oid), pg_get_partkeydef(oid)"
        " FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
    }
    found = {
        name: [tuple(row) for row in db.execute(text(query)) if "alembic_version" not in row[0]]
        for name, query in queries.items()
    }
    assert look.has_table("records")
    return found


def test_migrating_gives_what_creating_gives(engines: list[Engine]) -> None:
    with engines[0].begin() as db:
        migrate.upgrade(db)
        migrated = shape(db)
        context = MigrationContext.configure(db, opts={"include_object": _mine, "compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
        assert migrate.stored_revision(db, "") == migrate.head()
        assert [row.name for row in db.execute(select(schema.sites))] == ["default"]
        assert len(identity_secret(db)) == 32
    with engines[1].begin() as db:
        created(db)
        assert shape(db) == migrated


def _mine(thing: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:
    return kind != "table" or not str(name).startswith("records_")


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
        migrate.check_known("9999_later", "here")
    for revision in REVISIONS:
        migrate.check_known(revision, "here")


@pytest.mark.parametrize("revision", ["0001", "0012"])
def test_a_revision_of_an_earlier_layout_is_told_what_to_do(revision: str) -> None:
    with pytest.raises(StoreError, match=r"here was written by an earlier version.*another --data") as raised:
        migrate.check_known(revision, "here")
    assert not isinstance(raised.value, StoreTooNew)


def test_a_database_of_somebody_else_is_not_taken_for_an_old_one(engines: list[Engine]) -> None:
    with engines[0].begin() as db:
        assert migrate.stored_revision(db, "here") is None
        db.execute(text("CREATE TABLE records (theirs INTEGER)"))
        with pytest.raises(StoreCorrupt, match="here"):
            migrate.stored_revision(db, "here")
