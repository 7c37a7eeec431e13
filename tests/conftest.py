"""What tests of several directories share."""

from collections.abc import Iterator

import pytest
import structlog
from tests.postgres import Postgres


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command that runs in the test's own process sets logging up for that process; undo it."""
    yield
    structlog.reset_defaults()


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
