"""A PostgreSQL server: how it is named, reached, and what is asked of it before it is trusted with events.

Rules:

* Every connection, the writer's and those of the pool, notices that it cannot be opened (5 s for each host), and that
  the network or the machine behind it is gone (20 s). That the server hangs is noticed where pushes wait: see
  :mod:`gatepost.store.deadlines`.
* Of several hosts a connection is to the one that takes writes. A connection whose server became a standby is closed
  and opened again, wherever that shows: where it is taken out of the pool, or in an error of a statement. So a
  failover needs no restart. The host that the latest connection was to is tried first: after a failover only one
  connection waits for a host that says nothing.
* A commit waits for the disk, and for the standbys that the server names, whatever the server or the role has as its
  default for ``synchronous_commit``.
"""

from collections.abc import Generator
from math import inf
from time import monotonic
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Connection, Engine, ExceptionContext
from sqlalchemy.exc import DisconnectionError

from gatepost.errors import SettingsError, StoreError, StoreUnavailable
from gatepost.store import deadlines

__all__ = [
    "CONNECT_S",
    "MAX_CONNECTIONS",
    "Server",
    "ServerConnection",
    "server_of",
    "check_server",
    "has_standby",
    "latest_first",
    "connect",
    "engine_of",
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

MAX_CONNECTIONS = 16
"""As the setting ``database_connections`` has it by default."""

# Acknowledged means on disk. What waits for more, remote_apply, stays.
_SYNCHRONOUS = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"
)

_WRITER = 0x6762
"""Class of the advisory locks that give processes their numbers."""


_TAKES_WRITES = ("read-write", "primary")
"""Of ``target_session_attrs``: what fits a server that events are written to."""

_READ_ONLY = "25006"
"""``read_only_sql_transaction``: the server is a standby by now."""


class Server(NamedTuple):
    """A database of one server, or of several of which one takes writes."""

    conninfo: str
    """In libpq's form, with the password."""
    where: str
    """How it is called in messages: without user and password."""
    hosts: int


def server_of(text: str) -> Server:
    """Return what the setting ``database`` names. Raises :class:`~gatepost.errors.SettingsError`."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise SettingsError("database", "must begin with postgresql://; leave it empty for SQLite")
    try:
        found = conninfo_to_dict(f"postgresql://{rest}")
    except psycopg.Error:  # its text may have the password
        raise SettingsError(
            "database",
            "is no URL such as postgresql://user:password@host/name; several hosts have commas between them,"
            " parameters are those of libpq, and special characters of a password are written as %XX",
        ) from None
    wanted = found.setdefault("target_session_attrs", "read-write")
    if wanted not in _TAKES_WRITES:
        raise SettingsError(
            "database", f"has target_session_attrs={wanted}; leave it out, or write read-write"
        )
    for name, value in _NETWORK.items():
        found.setdefault(name, value)
    host = str(found.get("host") or "localhost")
    where = f"{host}/{found.get('dbname') or found.get('user') or ''}"
    return Server(make_conninfo("", **found), where, host.count(",") + 1)


_latest: dict[str, tuple[str, str]] = {}
"""Host and port of the latest connection, by the ``conninfo`` of a server."""


def latest_first(server: Server) -> str:
    """Return the ``conninfo`` with the host of the latest connection before the others."""
    if server.conninfo not in _latest:
        return server.conninfo
    found = conninfo_to_dict(server.conninfo)
    # A list of one port is for all hosts.
    lists = {name: str(found[name]).split(",") for name in ("host", "hostaddr", "port") if found.get(name)}
    host, port = _latest[server.conninfo]
    for number in range(server.hosts):
        at = {name: values[number if len(values) > 1 else 0] for name, values in lists.items()}
        if at.get("host") == host and at.get("port", port) == port:
            break
    else:
        return server.conninfo
    for name, values in lists.items():
        if len(values) > 1:
            found[name] = ",".join([values[number], *values[:number], *values[number + 1 :]])
    return make_conninfo("", **found)


def check_server(db: Connection, where: str) -> None:
    """Raise :class:`~gatepost.errors.StoreError` for a server that is too old, or does not sync."""
    version = db.execute(text("SHOW server_version_num")).scalar_one()
    if int(version) < _OLDEST:
        raise StoreError(f"{where} is too old (server version {version}); use PostgreSQL 14 or later")
    if db.execute(text("SHOW fsync")).scalar_one() != "on":
        raise StoreError(f"{where} does not sync before it answers; set fsync = on in postgresql.conf")


def has_standby(db: Connection) -> bool:
    """Return whether the server names standbys for which a commit waits."""
    return bool(db.execute(text("SHOW synchronous_standby_names")).scalar_one().strip())


class Silent(psycopg.OperationalError):
    """The server has said nothing for too long. The connection is closed."""


class ServerConnection(psycopg.Connection[Any]):
    """A connection that does not wait for ever where pushes wait.

    It looks at the clock as often as psycopg looks up from its waiting, ten times a second, in the thread that waits:
    so no other thread ever touches its socket, which might be somebody else's by then.
    """

    silence_s: float | None = None
    """How long the server may be silent; ``None``: it depends on the thread. Another thread may set it meanwhile."""

    @property
    def is_read_only(self) -> bool:
        """Return whether the server has said, with its last reply, that it takes no writes."""
        said = self.pgconn.parameter_status
        return b"on" in (said(b"in_hot_standby"), said(b"default_transaction_read_only"))

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


def _open(server: Server, **parameters: Any) -> ServerConnection:
    """Open a connection to the host that takes writes."""
    connection = ServerConnection.connect(latest_first(server), **parameters)
    if server.hosts > 1:
        _latest[server.conninfo] = connection.info.host, str(connection.info.port)
    return connection


def engine_of(server: Server, **options: Any) -> Engine:
    """Return an engine whose connections are to the server that takes writes."""

    def opened(_: Any, __: Any, ___: Any, parameters: Any) -> ServerConnection:
        connection = _open(server, **parameters)
        connection.autocommit = True
        # A question is over in a few milliseconds; to compile it takes the server as long, or ten times that.
        connection.execute("SET jit = off")
        connection.execute(_SYNCHRONOUS)
        connection.autocommit = False
        return connection

    engine = create_engine("postgresql+psycopg://", **options)
    event.listen(engine, "do_connect", opened)
    event.listen(engine, "handle_error", _failed)
    return engine


def pool(server: Server, connections: int = MAX_CONNECTIONS) -> Engine:
    """Return at most so many connections, for everything but the writing of batches."""
    kept = min(4, connections)
    engine = engine_of(
        server,
        pool_size=kept,
        max_overflow=connections - kept,
        pool_pre_ping=True,
        pool_timeout=CONNECT_S,
    )
    event.listen(engine, "checkout", _limited)
    return engine


def _failed(context: ExceptionContext) -> None:
    """Have every connection opened again after the server said that it takes no writes any more."""
    if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True


def _limited(connection: ServerConnection, record: Any, _: Any) -> None:
    """Let the server itself end a statement in time, if whoever takes this connection is in a hurry, and only then.

    A connection to a server that takes no writes any more is replaced by another one.
    """
    if connection.is_read_only:
        raise DisconnectionError("the server takes no writes any more")
    hurry = deadlines.in_hurry()
    if record.info.get("hurry", False) == hurry:
        return
    try:
        connection.execute(_STATEMENT_TIMEOUT if hurry else "RESET statement_timeout")
        connection.commit()
    except psycopg.Error as error:
        raise StoreUnavailable(f"the store cannot be used now: {short(error)}") from error
    record.info["hurry"] = hurry


def connect(server: Server) -> ServerConnection:
    """Open a connection for batches: its commits are on disk when they return, and its waits have a limit."""
    try:
        connection = _open(server, autocommit=True)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"{server.where} cannot be reached: {short(error)}") from error
    connection.silence_s = deadlines.SILENCE_S
    try:
        connection.execute(_SYNCHRONOUS)
        # Its statements look for keys. One that was planned while a table was small would read all of it for ever.
        connection.execute("SET enable_seqscan = off")
        connection.execute(_STATEMENT_TIMEOUT)
    except BaseException:
        connection.close()
        raise
    return connection


def short(error: Exception) -> str:
    """Return the first line of a server's message: its detail quotes values, and those are people's."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def take_number(connection: psycopg.Connection[Any]) -> int:
    """Return a number that no other process of this database has, until the connection ends."""
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
