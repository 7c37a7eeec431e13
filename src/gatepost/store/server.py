"""A PostgreSQL server: how it is named, reached, and what is asked of it before it is trusted with events."""

from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError

from gatepost.errors import SettingsError, StoreError, StoreUnavailable

__all__ = ["where", "with_driver", "check_server", "connect", "take_number", "settle_offset", "short"]

_OLDEST = 140000
"""Server version: the oldest that is maintained by its makers."""

_WRITER = 0x6762
"""Class of the advisory locks that give processes their numbers."""


def where(url: URL) -> str:
    """How a database is called in messages: without user and password."""
    return f"{url.host or url.query.get('host', 'localhost')}/{url.database}"


def with_driver(text: str) -> URL:
    """The URL of the setting ``database``, for SQLAlchemy."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise SettingsError("database", "is no URL such as postgresql://user:password@host/name") from None
    if url.drivername.partition("+")[0] not in ("postgresql", "postgres"):
        raise SettingsError("database", "must begin with postgresql://; leave it empty for SQLite")
    return url.set(drivername="postgresql+psycopg")


def check_server(db: Connection, where: str) -> None:
    """Raise :class:`~gatepost.errors.StoreError` for a server that is too old, or does not sync."""
    version = db.execute(text("SHOW server_version_num")).scalar_one()
    if int(version) < _OLDEST:
        raise StoreError(f"{where} is too old (server version {version}); use PostgreSQL 14 or later")
    if db.execute(text("SHOW fsync")).scalar_one() != "on":
        raise StoreError(f"{where} does not sync before it answers; set fsync = on in postgresql.conf")


def connect(conninfo: str, where: str) -> psycopg.Connection[Any]:
    """A connection whose commits are on disk when they return, and which notices that the server is gone."""
    try:
        connection = psycopg.connect(
            conninfo,
            autocommit=True,
            connect_timeout=5,
            application_name="gatepost",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=20_000,
        )
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"{where} cannot be reached: {short(error)}") from error
    try:
        # Whatever the server or the role has as its default: acknowledged means on disk.
        connection.execute("SET synchronous_commit = on")
        connection.execute("SET statement_timeout = '30s'")
    except BaseException:
        connection.close()
        raise
    return connection


def short(error: Exception) -> str:
    """The first line, without what follows it: a server's detail quotes values, and those are people."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def take_number(connection: psycopg.Connection[Any]) -> int:
    """A number that no other process of this database has; it is free again when the connection ends."""
    for number in range(1, 10_000):
        row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (_WRITER, number)).fetchone()
        if row is not None and row[0]:
            return number
    raise StoreUnavailable("10,000 receivers on one database are too many")


def settle_offset(db: Connection) -> None:
    """Make sure that ids go on above what is stored, also in a server whose transactions count from elsewhere."""
    db.execute(text("INSERT INTO meta (name, value) VALUES ('changes', '0') ON CONFLICT DO NOTHING"))
    db.execute(text("INSERT INTO meta (name, value) VALUES ('id_offset', '0') ON CONFLICT DO NOTHING"))
    behind = db.execute(
        text(
            "SELECT greatest((SELECT max(id) FROM records), (SELECT max(id) FROM alarm_events),"
            " (SELECT max(id) FROM quarantine)) / 4096 - pg_current_xact_id()::text::bigint"
        )
    ).scalar_one()
    if behind is not None:
        db.execute(
            text(
                "UPDATE meta SET value = :offset WHERE name = 'id_offset' AND value::bigint < cast(:offset AS bigint)"
            ),
            {"offset": str(int(behind) + 1)},
        )
