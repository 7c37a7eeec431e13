"""A PostgreSQL server: how it is named, reached, and what is asked of it before it is trusted with events.

Every connection, the writer's and those of the pool, notices that it cannot be opened (5 s), and that the network or
the machine behind it is gone (20 s). That the server hangs is noticed where pushes wait: see
:mod:`gatepost.store.deadlines`.
"""

from collections.abc import Generator
from math import inf
from time import monotonic
from typing import Any, TypeVar

import psycopg
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError

from gatepost.errors import SettingsError, StoreError, StoreUnavailable
from gatepost.store import deadlines

__all__ = [
    "CONNECT_S",
    "ServerConnection",
    "where",
    "with_driver",
    "check_server",
    "connect",
    "pool",
    "take_number",
    "settle_offset",
    "short",
]

T = TypeVar("T")

CONNECT_S = 5
"""How long the opening of a connection may take, or the wait for one of the pool."""

_NETWORK: dict[str, Any] = {
    "connect_timeout": CONNECT_S,
    "application_name": "gatepost",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

_OLDEST = 140000
"""Server version: the oldest that is maintained by its makers."""

_STATEMENT_TIMEOUT = f"SET statement_timeout = '{deadlines.STATEMENT_S:g}s'"

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


class Silent(psycopg.OperationalError):
    """The server has said nothing for too long. The connection is closed."""


class ServerConnection(psycopg.Connection[Any]):
    """A connection that does not wait for ever where pushes wait.

    It looks at the clock as often as psycopg looks up from its waiting, ten times a second, in the thread that waits:
    so no other thread ever touches its socket, which might be somebody else's by then.
    """

    silence_s: float | None = None
    """How long the server may be silent; ``None``: it depends on the thread. Another thread may set it meanwhile."""

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        try:
            return super().wait(self._watched(gen), *args, **kwargs)
        except Silent:
            self.pgconn.finish()  # else whatever tidies up next would wait again
            raise

    def _watched(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        try:
            wanted = next(gen)
            since = monotonic()
            while True:
                ready = yield wanted
                if ready:  # there is something to read, or room to write
                    since = monotonic()
                elif monotonic() - since >= self._limit():
                    raise Silent(f"it has said nothing for {monotonic() - since:.0f} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: T = end.value
            return answer

    def _limit(self) -> float:
        if self.silence_s is not None:
            return self.silence_s
        return deadlines.SILENCE_S if deadlines.in_hurry() else inf


def pool(url: URL) -> Engine:
    """The connections for everything but the writing of batches."""
    engine = create_engine(
        url,
        pool_size=4,
        max_overflow=12,
        pool_pre_ping=True,
        pool_timeout=CONNECT_S,
        connect_args=_NETWORK,
    )
    event.listen(engine, "do_connect", _connected)
    event.listen(engine, "checkout", _limited)
    return engine


def _connected(_: Any, __: Any, args: Any, options: Any) -> ServerConnection:
    return ServerConnection.connect(*args, **options)


def _limited(connection: ServerConnection, record: Any, _: Any) -> None:
    """Let the server itself end a statement in time, if whoever takes this connection is in a hurry, and only then."""
    hurry = deadlines.in_hurry()
    if record.info.get("hurry", False) == hurry:
        return
    try:
        connection.execute(_STATEMENT_TIMEOUT if hurry else "RESET statement_timeout")
        connection.commit()
    except psycopg.Error as error:
        raise StoreUnavailable(f"the store cannot be used now: {short(error)}") from error
    record.info["hurry"] = hurry


def connect(conninfo: str, where: str) -> ServerConnection:
    """A connection for batches: its commits are on disk when they return, and it does not wait for ever."""
    try:
        connection = ServerConnection.connect(conninfo, autocommit=True, **_NETWORK)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"{where} cannot be reached: {short(error)}") from error
    connection.silence_s = deadlines.SILENCE_S
    try:
        # Whatever the server or the role has as its default: acknowledged means on disk.
        connection.execute("SET synchronous_commit = on")
        # Its statements look for keys. One that was planned while a table was small would read all of it for ever.
        connection.execute("SET enable_seqscan = off")
        connection.execute(_STATEMENT_TIMEOUT)
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
    db.execute(text("INSERT INTO meta (name, value) VALUES ('id_offset', '0') ON CONFLICT DO NOTHING"))
    behind = db.execute(
        text(
            "SELECT greatest((SELECT max(id) FROM records), (SELECT max(id) FROM alarm_events),"
            " (SELECT max(id) FROM quarantine), (SELECT max(id) FROM notices),"
            " (SELECT max(last_id) FROM deleted_events),"
            " (SELECT max(place) FROM destination_places)) / 4096 - pg_current_xact_id()::text::bigint"
        )
    ).scalar_one()
    if behind is not None:
        db.execute(
            text(
                "UPDATE meta SET value = :offset WHERE name = 'id_offset' AND value::bigint < cast(:offset AS bigint)"
            ),
            {"offset": str(int(behind) + 1)},
        )
