"""Stores to test with, on both databases."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.packing import packing

from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.store.base import BaseStore
from gatepost.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from tests.postgres import Postgres

Opener = Callable[[], BaseStore]


@pytest.fixture(scope="session")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a store in which nothing happened yet: to copy is quicker than to make one."""
    folder = tmp_path_factory.mktemp("empty") / "data"
    SqliteStore.open(folder).close()
    return folder


@pytest.fixture
def open_sqlite(empty_folder: Path, tmp_path: Path) -> Iterator[Opener]:
    """Opens the same store each time."""
    shutil.copytree(empty_folder, tmp_path / "data")
    with ExitStack() as stack:

        def open_again() -> BaseStore:
            store = packing(SqliteStore.open(tmp_path / "data"))
            stack.callback(store.close)
            return store

        yield open_again


@pytest.fixture
def open_postgres(postgres_server: Postgres, tmp_path: Path) -> Iterator[Opener]:
    """Opens the same database each time, as often at once as one likes."""
    from gatepost.store.postgres.store import PostgresStore  # only here: the other database needs none of it

    url = postgres_server.create_with_store()
    with ExitStack() as stack:
        stack.callback(postgres_server.drop, url)

        def open_again() -> BaseStore:
            packs = Packs(Folder.open(tmp_path / "data" / "journal"))
            store = packing(PostgresStore.open(url, packs=packs))
            stack.callback(store.close)
            return store

        yield open_again


@pytest.fixture(params=["sqlite", "postgres"], ids=["sqlite", "postgresql"])
def open_store(request: pytest.FixtureRequest) -> Opener:
    """Either of them."""
    opener: Opener = request.getfixturevalue(f"open_{request.param}")
    return opener


@pytest.fixture
def as_nobody(tmp_path: Path) -> Callable[[str], str]:
    """Runs a line of Python as a user without rights, and answers the error that it raised.

    Root may write everywhere, so a test that runs as root hands this to somebody else.
    """
    root = os.geteuid() == 0
    if root:
        for folder in (tmp_path, *tmp_path.parents):
            if folder.name.startswith(("pytest-", "popen-")) or folder == tmp_path:
                folder.chmod(folder.stat().st_mode | 0o055)

    def run(line: str) -> str:
        # Opened once before, so that everything is imported: Python's own files may be out of nobody's reach.
        script = f"""
import os
from pathlib import Path
from gatepost.store.sqlite.store import SqliteStore
SqliteStore.open(Path({str(tmp_path / "before")!r})).close()
if {root}:
    os.setgroups([])
    os.setuid(65534)
try:
    {line}
except Exception as error:
    print(type(error).__name__, error)
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        return done.stdout

    return run
