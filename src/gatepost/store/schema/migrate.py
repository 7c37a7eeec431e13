"""Bring a database to today's schema, at start, in one transaction.

``migrations/versions/`` holds one file per change, in a single chain; until a version is published, one file in all.
A database that has never been used walks the whole chain; a test proves that this gives what
:data:`gatepost.store.schema.tables.metadata` says. Receivers of the version before go on with tables that a later
version widened (``docs/decisions/migrations.md``).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Row, Text, inspect, select, table
from sqlalchemy.sql import column

from gatepost.errors import StoreCorrupt, StoreError, StoreTooNew

__all__ = ["OLDEST", "revisions", "head", "check_known", "oldest_revision", "stored_revision", "upgrade"]

OLDEST = "oldest schema"
"""The row of ``meta`` in which a migration that only adds says for which revision the tables still are right."""

_FOLDER = Path(__file__).with_name("migrations")


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", _FOLDER.as_posix().replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@cache
def revisions() -> tuple[str, ...]:
    """Return every revision, oldest first."""
    script = ScriptDirectory.from_config(_config())
    return tuple(revision.revision for revision in script.walk_revisions())[::-1]


def head() -> str:
    """Return the revision that this version of gatepost works with."""
    return revisions()[-1]


def check_known(revision: str, where: str, *, oldest: str | None = None) -> None:
    """Raise :class:`~gatepost.errors.StoreError` for a revision that this version does not know.

    It is :class:`~gatepost.errors.StoreTooNew` for one of a later version, unless its tables still are right for
    ``oldest``, which this version knows.
    """
    if revision.isdigit():  # a revision has a name as well; those of before the journal had a number only
        raise StoreError(
            f"{where} was written by an earlier version of gatepost, which this one does not read (schema {revision});"
            " nothing was touched: start that version, or give another --data or database"
        )
    if revision not in revisions() and oldest not in revisions():
        raise StoreTooNew(
            f"{where} was written by a later version of gatepost (schema {revision}, this one knows {head()});"
            " nothing was touched: start the later version"
        )


def stored_revision(connection: Connection, where: str) -> str | None:
    """Return the revision of a database, ``None`` where it is empty."""
    names = set(inspect(connection).get_table_names())
    if "alembic_version" not in names:
        if "records" in names:
            raise StoreCorrupt(f"{where} has tables that are not gatepost's; give it a database of its own")
        return None
    rows: Sequence[Row[Any]] = connection.execute(
        select(column("version_num")).select_from(table("alembic_version"))
    ).all()
    if not rows:
        return None
    return str(rows[0][0])


def oldest_revision(connection: Connection) -> str | None:
    """Return the oldest revision for which the tables of a later version still are right."""
    value: Column[str] = Column("value", Text)
    wanted = select(value).select_from(table("meta")).where(column("name") == OLDEST)
    return connection.execute(wanted).scalar_one_or_none()


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the database to a revision. The caller's transaction; all of it happens or nothing."""
    command.upgrade(_config(connection), revision)
