"""A PostgreSQL server before it is trusted with events."""

import pytest
from sqlalchemy import create_engine, text

from gatepost.errors import SettingsError, StoreError, StoreUnavailable
from gatepost.store.server import check_server, connect, short, take_number, where, with_driver


class OldServer:
    """Answers like a server of long ago; none is at hand."""

    def execute(self, statement: object) -> "OldServer":
        return self

    def scalar_one(self) -> str:
        return "120004"


def test_a_url_is_for_the_driver_and_is_named_without_user_and_password() -> None:
    for scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        url = with_driver(f"{scheme}://me:secret@db.example:5433/gatepost?sslmode=require")
        assert url.drivername == "postgresql+psycopg"
        assert url.query["sslmode"] == "require"
        assert where(url) == "db.example/gatepost"


@pytest.mark.parametrize("url", ["", "x", "sqlite:///x", "http://db/x"])
def test_another_url_is_refused_by_the_name_of_the_setting(url: str) -> None:
    with pytest.raises(SettingsError, match="database"):
        with_driver(url)


def test_a_server_that_is_too_old_is_refused() -> None:
    with pytest.raises(StoreError, match="PostgreSQL 14 or later"):
        check_server(OldServer(), "here")  # type: ignore[arg-type]  # what it stands for is a connection


def test_a_server_as_it_should_be_passes(postgres_url: str) -> None:
    engine = create_engine(with_driver(postgres_url))
    with engine.connect() as db:
        check_server(db, "here")
        assert db.execute(text("SELECT 1")).scalar_one() == 1
    engine.dispose()


def test_connections_sync_and_have_different_numbers(postgres_url: str) -> None:
    one, two = connect(postgres_url, "here"), connect(postgres_url, "here")
    assert one.execute("SHOW synchronous_commit").fetchone() == ("on",)
    assert [take_number(one), take_number(two)] == [1, 2]
    one.close()
    three = connect(postgres_url, "here")
    assert take_number(three) == 1
    two.close()
    three.close()


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(StoreUnavailable, match="here cannot be reached"):
        connect("postgresql://me:secret@127.0.0.1:1/x", "here")


def test_of_a_long_message_only_the_first_line_is_told() -> None:
    assert short(ValueError("broken\nDETAIL: Key (name)=(somebody)")) == "broken"
    assert short(ValueError()) == "ValueError"
