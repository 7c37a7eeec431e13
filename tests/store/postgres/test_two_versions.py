"""Receivers of the version before go on while the first one of a later version changes the tables, and afterwards."""

from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from tests.store.events import arrival, record
from tests.terminals import ensured

from gatepost.errors import StoreTooNew
from gatepost.store.interface import RecordQuery
from gatepost.store.postgres.connection import engine_of, server_of
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.schema import migrate

LATER = """
import sqlalchemy as sa
from alembic import op

revision = "9999_later"
down_revision = {before!r}


def upgrade():
    op.add_column("records", sa.Column("colour", sa.Text()))
    op.add_column("terminals", sa.Column("colour", sa.Text(), server_default="", nullable=False))
    op.create_table("colours", sa.Column("id", sa.BigInteger(), primary_key=True))
    op.create_index("ix_terminals_colour", "terminals", ["colour"])
    op.execute("INSERT INTO meta (name, value) VALUES ('oldest schema', {oldest!r})")
"""


def upgrade(url: str, folder: Path, oldest: str) -> None:
    """Do what the first receiver of a later version does to the tables."""
    (folder / "versions").mkdir(parents=True)
    migrations = Path(migrate.__file__).with_name("migrations")
    (folder / "env.py").write_text((migrations / "env.py").read_text())
    for file in (migrations / "versions").glob("0*.py"):
        (folder / "versions" / file.name).write_text(file.read_text())
    text = LATER.format(before=migrate.head(), oldest=oldest)
    (folder / "versions" / "9999_later.py").write_text(text)
    engine = engine_of(server_of(url))
    with pytest.MonkeyPatch.context() as patch, engine.begin() as db:
        patch.setattr(migrate, "_FOLDER", folder)
        migrate.upgrade(db)
        assert migrate.stored_revision(db, "") == "9999_later"
    engine.dispose()


def test_a_receiver_of_the_version_before_goes_on_and_may_be_started_again(
    postgres_url: str, tmp_path: Path
) -> None:
    with closing(PostgresStore.open(postgres_url)) as before:
        ensured(before, "SN-1", now_ms=0)
        for number in range(8):  # so often that statements are prepared, and kept
            before.write([arrival(record(number))])
            assert len(before.records(RecordQuery(limit=100)).items) == number + 1
        upgrade(postgres_url, tmp_path / "later", migrate.head())
        for number in range(8, 16):
            before.write([arrival(record(number))])
            assert len(before.records(RecordQuery(limit=100)).items) == number + 1
        ensured(before, "SN-2", now_ms=0)
        assert len(before.terminals()) == 2
    with closing(PostgresStore.open(postgres_url)) as again:
        again.write([arrival(record(16))])
        assert again.stats().records == 17
        with psycopg.connect(postgres_url) as db:
            assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999_later",)]


def test_tables_that_are_not_right_for_it_any_more_are_not_touched(postgres_url: str, tmp_path: Path) -> None:
    PostgresStore.open(postgres_url).close()
    upgrade(postgres_url, tmp_path / "later", "5000_between")
    with pytest.raises(StoreTooNew, match="start the later version"):
        PostgresStore.open(postgres_url)
