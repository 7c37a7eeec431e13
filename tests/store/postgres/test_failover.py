"""A database of several hosts: the one that takes writes is found again after a failover, without a restart."""

import socket
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from tests.postgres import Postgres, Standby, both
from tests.store.events import arrival, record
from tests.terminals import ensured

from gatepost.errors import StoreUnavailable
from gatepost.store.interface import RecordQuery
from gatepost.store.postgres import connection
from gatepost.store.postgres.connection import connect, engine_of, latest_first, pool, server_of
from gatepost.store.postgres.store import PostgresStore

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def primary() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture
def standby(primary: Postgres) -> Iterator[Standby]:
    server = Standby(primary)
    yield server
    server.stop()


def test_after_a_failover_a_store_goes_on_and_has_all_that_it_committed(
    primary: Postgres, standby: Standby
) -> None:
    with psycopg.connect(primary.url(), autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
        admin.execute("SELECT pg_reload_conf()")
    with capture_logs() as log, closing(PostgresStore.open(both(primary, standby, "postgres"))) as store:
        assert not [line for line in log if line["event"] == "store.no_synchronous_standby"]
        ensured(store, "SN-1", now_ms=0)
        store.write([arrival(record(1))])
        assert store.stats().records == 1
        primary.kill()
        with pytest.raises(StoreUnavailable):  # the word of the loss; none takes writes yet
            store.write([arrival(record(2))])
        with pytest.raises(StoreUnavailable):
            ensured(store, "SN-2", now_ms=0)
        standby.promote()
        with psycopg.connect(standby.url(), autocommit=True) as admin:  # no third server is left to wait for
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            admin.execute("SELECT pg_reload_conf()")
        (again,) = store.write([arrival(record(1))])
        assert not again.new
        store.write([arrival(record(2))])
        ensured(store, "SN-2", now_ms=0)
        found = store.records(RecordQuery(limit=10)).items
        assert sorted(row.uuid for row in found) == ["uuid-000001", "uuid-000002"]


def test_a_standby_alone_is_not_written_to(primary: Postgres, standby: Standby) -> None:
    with pytest.raises(StoreUnavailable, match="session is read-only"):
        PostgresStore.open(standby.url())


def test_several_hosts_without_a_standby_to_wait_for_are_warned_about(postgres_url: str) -> None:
    host = psycopg.conninfo.conninfo_to_dict(postgres_url)["host"]
    with capture_logs() as log:
        PostgresStore.open(f"{postgres_url},{host}").close()
    (said,) = [line for line in log if line["event"] == "store.no_synchronous_standby"]
    assert said["log_level"] == "warning"


def test_a_connection_whose_server_takes_no_writes_any_more_is_replaced(postgres_url: str) -> None:
    engine = pool(server_of(postgres_url), 2)
    with engine.connect() as db:
        first = db.connection.dbapi_connection
        db.execute(text("SET SESSION default_transaction_read_only = on"))
        db.commit()
    with engine.connect() as db:
        assert db.connection.dbapi_connection is not first
        db.execute(text("CREATE TABLE one (id int)"))
        db.execute(text("SET TRANSACTION READ ONLY"))
        with pytest.raises(Exception, match="read-only transaction") as raised:
            db.execute(text("INSERT INTO one VALUES (1)"))
        assert raised.value.connection_invalidated  # type: ignore[attr-defined]  # it is a DBAPIError
    engine.dispose()


@pytest.mark.parametrize("weak", ["off", "local", "remote_write"])
def test_every_connection_waits_for_the_disk_whatever_the_server_does_by_default(
    postgres_url: str, weak: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET synchronous_commit = {weak}")
    engine = engine_of(server_of(postgres_url))
    with engine.connect() as db:
        assert db.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
    engine.dispose()


def test_a_server_that_waits_for_more_still_does(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET synchronous_commit = remote_apply")
    engine = engine_of(server_of(postgres_url))
    with engine.connect() as db:
        assert db.execute(text("SHOW synchronous_commit")).scalar_one() == "remote_apply"
    engine.dispose()


def test_no_more_connections_are_opened_than_were_allowed(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatepost.store.postgres.connection.CONNECT_S", 0.1)
    with closing(PostgresStore.open(postgres_url, connections=2)) as store:
        with (
            store.reading(),
            store.reading(),
            pytest.raises(StoreUnavailable, match="too many readers"),
            store.reading(),
        ):
            pass
        with store.reading() as db:
            assert db.execute(text("SELECT 1")).scalar_one() == 1


def test_a_host_that_says_nothing_is_waited_for_once(primary: Postgres) -> None:
    told = psycopg.conninfo.conninfo_to_dict(primary.url())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ways = f"host=127.0.0.1,{told['host']}&port={silent.getsockname()[1]},{told.get('port', 5432)}"
        server = server_of(f"postgresql://postgres@/postgres?{ways}&connect_timeout=2")
        for _ in range(3):
            connect(server).close()
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_of_several_hosts_only_the_order_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    server = server_of("postgresql://u:p@a:1,b:2,c:3/d")
    assert latest_first(server) == server.conninfo
    monkeypatch.setitem(connection._latest, server.conninfo, ("b", "2"))
    found = psycopg.conninfo.conninfo_to_dict(latest_first(server))
    assert found == {**psycopg.conninfo.conninfo_to_dict(server.conninfo), "host": "b,a,c", "port": "2,1,3"}
    monkeypatch.setitem(connection._latest, server.conninfo, ("e", "2"))
    assert latest_first(server) == server.conninfo
