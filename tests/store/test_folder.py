"""The data folder: one process, and looked at before it is touched."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.store.events import JPEG, arrival, record

from gatepost.errors import StoreCorrupt, StoreError, StoreInUse, StoreTooNew
from gatepost.store.base import BaseStore
from gatepost.store.folder import DATABASE, FolderLock, held, inspect, make
from gatepost.store.migrate import head
from gatepost.store.sqlite import SqliteStore


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "gatepost.lock"
    }


@pytest.fixture
def folder(empty_folder: Path, tmp_path: Path) -> Path:
    """A store with one record, closed."""
    shutil.copytree(empty_folder, tmp_path / "data")
    store = SqliteStore.open(tmp_path / "data")
    store.ensure_terminal("SN-1", now_ms=0)
    store.write([arrival(record(1), image=JPEG)])
    store.close()
    return tmp_path / "data"


def test_a_second_process_is_told_who_has_the_folder(folder: Path) -> None:
    store = SqliteStore.open(folder)
    script = "import sys; from pathlib import Path; from gatepost.store.sqlite import SqliteStore\n"
    script += "try: SqliteStore.open(Path(sys.argv[1]))\nexcept Exception as e: print(type(e).__name__, e)"
    said = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("StoreInUse")
    assert f"process {os.getpid()}" in said.stdout
    assert "--data" in said.stdout
    with pytest.raises(StoreInUse):
        SqliteStore.open(folder)
    store.close()
    SqliteStore.open(folder).close()


def test_a_lock_of_a_process_that_died_is_no_lock(folder: Path) -> None:
    script = "import os, sys; from pathlib import Path; from gatepost.store.folder import FolderLock\n"
    script += "lock = FolderLock(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", script, folder], check=False).returncode == -9
    with held(folder):
        assert (folder / "gatepost.lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_may_be_released_twice(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.release()
    lock.release()
    FolderLock(tmp_path).release()


def test_a_store_of_a_later_version_is_left_as_it_is(folder: Path) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()
        db.execute("PRAGMA journal_mode = wal")
    before = snapshot(folder)
    with pytest.raises(StoreTooNew, match="9999"):
        SqliteStore.open(folder)
    assert snapshot(folder) == before


def test_a_later_version_is_seen_in_a_log_that_a_crash_left(folder: Path) -> None:
    script = "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('PRAGMA journal_mode = wal')\n"
    script += "db.execute(\"UPDATE alembic_version SET version_num = '9999'\"); db.commit(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", script, folder / DATABASE], check=False)
    assert (folder / f"{DATABASE}-wal").stat().st_size
    with pytest.raises(StoreTooNew):
        SqliteStore.open(folder)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"hello, world, I am no database", "no SQLite database"),
        (b"SQLite format 3\0" + b"\xff" * 5000, "damaged"),
    ],
)
def test_a_file_that_is_no_database_is_left_as_it_is(folder: Path, content: bytes, why: str) -> None:
    (folder / DATABASE).write_bytes(content)
    before = snapshot(folder)
    with pytest.raises(StoreCorrupt, match=why):
        SqliteStore.open(folder)
    assert snapshot(folder) == before


def test_another_programs_database_is_left_as_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        db.execute("CREATE TABLE theirs (id)")
        db.commit()
    before = snapshot(tmp_path)
    with pytest.raises(StoreCorrupt, match="no store of gatepost"):
        SqliteStore.open(tmp_path)
    assert snapshot(tmp_path) == before


def test_images_without_their_database_are_not_taken_for_a_new_store(folder: Path) -> None:
    (folder / DATABASE).unlink()
    before = snapshot(folder)
    with pytest.raises(StoreCorrupt, match="put it back from a backup"):
        SqliteStore.open(folder)
    assert snapshot(folder) == before


def test_a_folder_that_cannot_be_written_to_is_said_to_be_so(
    folder: Path, as_nobody: Callable[[str], str]
) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = snapshot(folder)
    said = as_nobody(f"SqliteStore.open(Path({str(folder)!r}))")
    assert said.startswith("StoreError")
    assert "cannot be written to" in said
    assert "--data" in said
    assert snapshot(folder) == before


def test_a_database_that_is_read_only_is_said_to_be_so(folder: Path, as_nobody: Callable[[str], str]) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o444)
    (folder / "gatepost.lock").chmod(0o666)
    before = snapshot(folder)
    said = as_nobody(f"SqliteStore.open(Path({str(folder)!r}))")
    assert said.startswith("StoreError")
    assert "read-only" in said
    assert snapshot(folder) == before


def test_a_folder_that_cannot_be_made_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        make(tmp_path / "file" / "data")


def test_a_folder_without_a_store_has_no_revision_and_one_with_a_store_has(
    folder: Path, tmp_path: Path
) -> None:
    assert inspect(tmp_path) is None
    (tmp_path / DATABASE).write_bytes(b"")
    assert inspect(tmp_path) is None
    assert inspect(folder) == head()


def test_a_store_is_made_durably_and_opens_again(tmp_path: Path) -> None:
    store: BaseStore = SqliteStore.open(tmp_path / "a" / "b")
    store.close()
    assert SqliteStore.open(tmp_path / "a" / "b").stats().records == 0
