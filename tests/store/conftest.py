"""Stores to test with, on both databases."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from tests.postgres import Postgres

from gatepost.store.base import BaseStore
from gatepost.store.postgres import PostgresStore
from gatepost.store.sqlite import SqliteStore

Opener = Callable[[], BaseStore]


@pytest.fixture(scope="session")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a store in which nothing happened yet: to copy is quicker than to make one."""
    folder = tmp_path_factory.mktemp("empty") / "data"
    SqliteStore.open(folder).close()
    return folder


@pytest.fixture(scope="session")
def empty_database(postgres_server: Postgres) -> str:
    """The name of a database with a store in which nothing happened yet."""
    url = postgres_server.create()
    PostgresStore.open(url).close()
    return psycopg.conninfo.conninfo_to_dict(url)["dbname"]


@pytest.fixture
def open_sqlite(empty_folder: Path, tmp_path: Path) -> Iterator[Opener]:
    """Opens the same store each time."""
    shutil.copytree(empty_folder, tmp_path / "data")
    with ExitStack() as stack:

        def open_again() -> BaseStore:
            store = SqliteStore.open(tmp_path / "data")
            stack.callback(store.close)
            return store

        yield open_again


@pytest.fixture
def open_postgres(postgres_server: Postgres, empty_database: str) -> Iterator[Opener]:
    """Opens the same database each time, as often at once as one likes."""
    url = postgres_server.create(empty_database)
    with ExitStack() as stack:
        stack.callback(postgres_server.drop, url)

        def open_again() -> BaseStore:
            store = PostgresStore.open(url)
            stack.callback(store.close)
            return store

        yield open_again


@pytest.fixture(params=["sqlite", "postgresql"])
def open_store(request: pytest.FixtureRequest) -> Opener:
    """Either of them."""
    name = "open_sqlite" if request.param == "sqlite" else "open_postgres"
    opener: Opener = request.getfixturevalue(name)
    return opener
