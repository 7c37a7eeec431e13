"""What tests of several directories share."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.postgres import Postgres

# How long an example takes says something of the machine, and of what else runs on it; no test promises it.
settings.register_profile(
    "gatepost",
    parent=settings(),
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("gatepost")


_MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes a folder of its own in it
_ROOM = 4_000_000_000

# Tests sync thousands of files. No test cuts the power of this machine, so a sync of memory proves the same.
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


gc.disable()  # until all tests are collected: what is imported and collected stays to the end


def pytest_collection_finish() -> None:
    """Let garbage collections leave out what stays to the end, as a receiver does: they took a quarter of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that may take longest, so that none of them is left over when all others are done."""
    items.sort(key=_patience, reverse=True)


def _patience(item: pytest.Item) -> float:
    limit = item.get_closest_marker("timeout")
    return float(limit.args[0]) if limit is not None and limit.args else 0.0


class _Stderr:
    """Standard error as it is when a line is written: a test may have replaced it since."""

    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Keep logs off standard output, which commands write to; undo what a command sets up for the test's process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(_Stderr()))  # type: ignore[arg-type]  # all that it uses
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers  # others would write to a stream that pytest has closed
    root.setLevel(level)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server, started once per session. Tests that kill a server make their own."""
    from tests.postgres import Postgres  # only here: many tests need none

    server = Postgres()
    yield server
    server.stop()


@pytest.fixture
def postgres_store_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL of a database with a store in which nothing happened yet."""
    url = postgres_server.create_with_store()
    yield url
    postgres_server.drop(url)


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL of an empty database."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)


@pytest.fixture(scope="session")
def unused_tcp_port_factory() -> Callable[[], int]:
    """Ports below those that the system gives to connections: none of these takes one while its server is down."""
    return free_port


@pytest.fixture
def unused_tcp_port(unused_tcp_port_factory: Callable[[], int]) -> int:
    return unused_tcp_port_factory()
