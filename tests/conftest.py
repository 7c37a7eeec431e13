"""What tests of several directories share."""

from collections.abc import Iterator

import pytest
from tests.postgres import Postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server, started once per session. Tests that kill a server make their own."""
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL of an empty database."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)
