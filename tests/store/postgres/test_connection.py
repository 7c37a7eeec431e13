"""A PostgreSQL server before it is trusted with events."""

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from gatepost.errors import SettingsError, StoreError, StoreUnavailable
from gatepost.store import deadlines
from gatepost.store.postgres.connection import (
    ServerConnection,
    check_server,
    connect,
    engine_of,
    pool,
    server_of,
    short,
    take_number,
)


class OldServer:
    """Answers like a server of long ago; none is at hand."""

    def execute(self, statement: object) -> "OldServer":
        return self

    def scalar_one(self) -> str:
        return "120004"


def test_a_url_is_for_libpq_and_is_named_without_user_and_password() -> None:
    for scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        server = server_of(f"{scheme}://me:s%40cret@db.example:5433/gatepost?sslmode=require")
        assert (
            conninfo_to_dict(server.conninfo).items()
            >= {
                "user": "me",
                "password": "s@cret",
                "host": "db.example",
                "port": "5433",
                "dbname": "gatepost",
                "sslmode": "require",
                "target_session_attrs": "read-write",
                "connect_timeout": "5",
            }.items()
        )
        assert (server.where, server.hosts) == ("db.example/gatepost", 1)


def test_what_a_url_says_of_its_network_counts() -> None:
    server = server_of("postgresql://me@a,b/gatepost?connect_timeout=2")
    assert conninfo_to_dict(server.conninfo)["connect_timeout"] == "2"


def test_several_hosts_are_named_and_the_one_that_takes_writes_is_wanted() -> None:
    server = server_of("postgresql://me:secret@a:1,b:2,c/gatepost?target_session_attrs=primary")
    assert (server.where, server.hosts) == ("a,b,c/gatepost", 3)
    assert "host=a,b,c port=1,2," in server.conninfo
    assert "target_session_attrs=primary" in server.conninfo


def test_a_server_that_may_be_a_standby_is_refused() -> None:
    with pytest.raises(SettingsError, match="target_session_attrs=any; leave it out"):
        server_of("postgresql://a,b/gatepost?target_session_attrs=any")


@pytest.mark.parametrize("url", ["", "x", "sqlite:///x", "http://db/x", "postgresql://db/x?colour=blue"])
def test_another_url_is_refused_by_the_name_of_the_setting(url: str) -> None:
    with pytest.raises(SettingsError, match="database"):
        server_of(url)


def test_a_server_that_is_too_old_is_refused() -> None:
    with pytest.raises(StoreError, match="PostgreSQL 14 or later"):
        check_server(OldServer(), "here")  # type: ignore[arg-type]  # what it stands for is a connection


def test_a_server_as_it_should_be_passes(postgres_url: str) -> None:
    engine = engine_of(server_of(postgres_url))
    with engine.connect() as db:
        check_server(db, "here")
        assert db.execute(text("SELECT 1")).scalar_one() == 1
    engine.dispose()


def test_connections_sync_and_have_different_numbers(postgres_url: str) -> None:
    one, two = connect(server_of(postgres_url)), connect(server_of(postgres_url))
    assert one.execute("SHOW synchronous_commit").fetchone() == ("on",)
    assert [take_number(one), take_number(two)] == [1, 2]
    one.close()
    three = connect(server_of(postgres_url))
    assert take_number(three) == 1
    two.close()
    three.close()


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1/x cannot be reached"):
        connect(server_of("postgresql://me:secret@127.0.0.1:1/x"))


def test_of_a_long_message_only_the_first_line_is_told() -> None:
    assert short(ValueError("broken\nDETAIL: Key (name)=(somebody)")) == "broken"
    assert short(ValueError()) == "ValueError"


def test_every_connection_notices_that_the_network_is_gone(postgres_url: str) -> None:
    engine = pool(server_of(postgres_url))
    writer = connect(server_of(postgres_url))
    with engine.connect() as db:
        pooled = db.connection.dbapi_connection
        assert isinstance(pooled, ServerConnection)
        for connection in (pooled, writer):
            set_to = connection.info.get_parameters()
            assert set_to["connect_timeout"] == "5"
            assert set_to["tcp_user_timeout"] == "20000"
            assert (set_to["keepalives_idle"], set_to["keepalives_interval"]) == ("10", "5")
            assert set_to["keepalives_count"] == "3"
            assert set_to["application_name"] == "gatepost"
    engine.dispose()
    writer.close()


def test_the_server_ends_a_statement_in_time_where_pushes_wait_and_has_its_own_way_elsewhere(
    postgres_url: str,
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET statement_timeout = '7min'")
    engine = pool(server_of(postgres_url))
    writer = connect(server_of(postgres_url))
    limits = []
    for hurry in (False, True, True, False):
        if hurry:
            with deadlines.hurry(), engine.connect() as db:
                limits.append(db.execute(text("SHOW statement_timeout")).scalar_one())
        else:
            with engine.connect() as db:
                limits.append(db.execute(text("SHOW statement_timeout")).scalar_one())
    assert limits == ["7min", "10s", "10s", "7min"]
    assert engine.pool.checkedin() == 1  # type: ignore[attr-defined]  # all of it on one connection
    assert writer.execute("SHOW statement_timeout").fetchone() == ("10s",)
    assert deadlines.STATEMENT_S < deadlines.SILENCE_S
    engine.dispose()
    writer.close()


def test_a_hurry_is_the_threads_own_and_ends() -> None:
    seen: list[bool] = []
    with deadlines.hurry():
        with deadlines.hurry():
            pass
        assert deadlines.in_hurry()
        other = threading.Thread(target=lambda: seen.append(deadlines.in_hurry()))
        other.start()
        other.join()
    assert seen == [False]
    assert not deadlines.in_hurry()


def stopped(connection: psycopg.Connection[Any]) -> Callable[[], None]:
    """Stop the one process that serves a connection; answers what lets it go on."""
    pid = connection.info.backend_pid
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def ask_twice(connection: psycopg.Connection[Any]) -> None:
    with connection.pipeline():
        connection.execute("SELECT 1")
        connection.execute("SELECT 2")


def test_a_writers_connection_whose_server_is_silent_is_closed_within_a_bound(postgres_url: str) -> None:
    connection = connect(server_of(postgres_url))
    connection.silence_s = 0.3
    go_on = stopped(connection)
    try:
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError, match="has said nothing"):
            ask_twice(connection)
        assert time.monotonic() - began < 3
        assert connection.closed
    finally:
        go_on()


def test_a_pooled_connection_whose_server_is_silent_is_replaced_where_pushes_wait(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "SILENCE_S", 0.3)
    engine = pool(server_of(postgres_url))
    with deadlines.hurry():
        with engine.connect() as db:
            pooled = db.connection.dbapi_connection
            assert isinstance(pooled, ServerConnection)
            go_on = stopped(pooled)
            try:
                with pytest.raises(OperationalError, match="has said nothing"):
                    db.execute(text("SELECT 1"))
            finally:
                go_on()
        with engine.connect() as db:
            pooled = db.connection.dbapi_connection
            assert isinstance(pooled, ServerConnection)
            go_on = stopped(pooled)
        try:
            with engine.connect() as db:  # it is silent where it is asked whether it is there
                assert db.execute(text("SELECT 1")).scalar_one() == 1
        finally:
            go_on()
    engine.dispose()


def test_what_makes_headway_is_not_silent_however_long_it_takes(postgres_url: str) -> None:
    connection = connect(server_of(postgres_url))
    connection.silence_s = 1.0
    rows = connection.execute("SELECT repeat('x', 100000), pg_sleep(0.05) FROM generate_series(1, 40)")
    assert len(rows.fetchall()) == 40
    connection.close()


def test_where_nothing_waits_a_question_may_take_its_time(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "SILENCE_S", 0.2)
    engine = pool(server_of(postgres_url))
    with engine.connect() as db:
        db.execute(text("SELECT pg_sleep(0.6)"))
    with (
        deadlines.hurry(),
        engine.connect() as db,
        pytest.raises(OperationalError, match="has said nothing"),
    ):
        db.execute(text("SELECT pg_sleep(0.6)"))
    engine.dispose()
