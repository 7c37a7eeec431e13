"""The data folder: one process, and looked at before it is touched."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from tests.packing import packing
from tests.store.events import JPEG, arrival, record
from tests.terminals import ensured

from gatepost.errors import StoreCorrupt, StoreError, StoreInUse, StoreTooNew
from gatepost.store.base import BaseStore
from gatepost.store.schema.migrate import head
from gatepost.store.sqlite import data_folder as folder_module
from gatepost.store.sqlite.data_folder import DATABASE, LOCK, FolderLock, held, inspect, make
from gatepost.store.sqlite.store import SqliteStore


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Everything that is in it, and when that was last touched."""
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in sorted([folder, *folder.rglob("*")])
    }


@pytest.fixture
def folder(empty_folder: Path, tmp_path: Path) -> Path:
    """A store with one record, closed."""
    shutil.copytree(empty_folder, tmp_path / "data")
    store = packing(SqliteStore.open(tmp_path / "data"))
    ensured(store, "SN-1", now_ms=0)
    store.write([arrival(record(1), image=JPEG)])
    store.close()
    return tmp_path / "data"


@pytest.fixture(params=["with its lock", "with a lock of another", "without lock"])
def left_folder(request: pytest.FixtureRequest, folder: Path) -> Path:
    """As it was left, or as somebody copied it."""
    if request.param == "with a lock of another":
        (folder / LOCK).write_text("4711\n")
    elif request.param == "without lock":
        (folder / LOCK).unlink()
    return folder


def test_a_second_process_is_told_who_has_the_folder(folder: Path) -> None:
    store = SqliteStore.open(folder)
    script = "import sys; from pathlib import Path; from gatepost.store.sqlite.store import SqliteStore\n"
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
    script = (
        "import os, sys; from pathlib import Path; from gatepost.store.sqlite.data_folder import FolderLock\n"
    )
    script += "lock = FolderLock(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", script, folder], check=False).returncode == -9
    with held(folder):
        assert (folder / "gatepost.lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_may_be_released_twice(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.release()
    lock.release()
    FolderLock(tmp_path).release()


def test_a_store_of_a_later_version_is_left_as_it_is(left_folder: Path) -> None:
    with closing(sqlite3.connect(left_folder / DATABASE)) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999_later'")
        db.commit()
        db.execute("PRAGMA journal_mode = wal")
    before = snapshot(left_folder)
    with pytest.raises(StoreTooNew, match="9999_later"):
        SqliteStore.open(left_folder)
    assert snapshot(left_folder) == before
    with pytest.raises(StoreTooNew, match="9999_later"), held(left_folder):
        pass
    assert snapshot(left_folder) == before


def test_a_store_of_an_earlier_layout_is_left_as_it_is(left_folder: Path) -> None:
    with closing(sqlite3.connect(left_folder / DATABASE)) as db:
        db.execute("UPDATE alembic_version SET version_num = '0012'")
        db.commit()
        db.execute("PRAGMA journal_mode = wal")
    before = snapshot(left_folder)
    with pytest.raises(StoreError, match="written by an earlier version"):
        SqliteStore.open(left_folder)
    assert snapshot(left_folder) == before


def test_a_folder_that_was_left_as_it_is_is_not_held(left_folder: Path) -> None:
    whole = (left_folder / DATABASE).read_bytes()
    (left_folder / DATABASE).write_bytes(b"hello, world, I am no database")
    with pytest.raises(StoreCorrupt):
        SqliteStore.open(left_folder)
    (left_folder / DATABASE).write_bytes(whole)
    SqliteStore.open(left_folder).close()


def test_of_processes_that_start_at_once_in_an_empty_folder_one_gets_it(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from gatepost.store.sqlite.store import SqliteStore
print("ready", flush=True)
sys.stdin.readline()
try:
    store = SqliteStore.open(Path(sys.argv[1]))
except Exception as error:
    print(type(error).__name__, flush=True)
else:
    print("opened", flush=True)
sys.stdin.readline()
"""
    command = [sys.executable, "-c", script, str(tmp_path / "data")]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(5)
        ]
        pipes = [(one.stdin, one.stdout) for one in processes]
        assert all(said is not None and said.readline() == "ready\n" for _, said in pipes)
        for told, _ in pipes:
            assert told is not None
            told.write("go\n")
            told.flush()
        found = [said.readline().strip() for _, said in pipes if said is not None]
        for one in processes:
            one.communicate("and out\n")
    assert sorted(found) == ["StoreInUse"] * 4 + ["opened"]


def test_what_another_process_is_just_making_is_in_use_and_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the folder and the one at the lock it got both."""
    looks: list[Path] = []
    locks: list[FolderLock] = []

    def half_done(path: Path) -> str | None:
        looks.append(path)
        if len(looks) > 1:
            return None
        locks.append(FolderLock(path))
        raise StoreCorrupt("a page that is being written")

    monkeypatch.setattr(folder_module, "inspect", half_done)
    with pytest.raises(StoreInUse, match=str(os.getpid())):
        FolderLock(tmp_path)
    locks[0].release()
    FolderLock(tmp_path).release()


def test_a_later_version_is_seen_in_a_log_that_a_crash_left(folder: Path) -> None:
    script = "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('PRAGMA journal_mode = wal')\n"
    script += "db.execute(\"UPDATE alembic_version SET version_num = '9999_later'\"); db.commit()\n"
    script += "os.kill(os.getpid(), 9)"
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
def test_a_file_that_is_no_database_is_left_as_it_is(left_folder: Path, content: bytes, why: str) -> None:
    (left_folder / DATABASE).write_bytes(content)
    before = snapshot(left_folder)
    with pytest.raises(StoreCorrupt, match=why):
        SqliteStore.open(left_folder)
    assert snapshot(left_folder) == before


def test_another_programs_database_is_left_as_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        db.execute("CREATE TABLE theirs (id)")
        db.commit()
    before = snapshot(tmp_path)
    with pytest.raises(StoreCorrupt, match="no store of gatepost"):
        SqliteStore.open(tmp_path)
    assert snapshot(tmp_path) == before


def test_images_without_their_database_are_not_taken_for_a_new_store(left_folder: Path) -> None:
    (left_folder / DATABASE).unlink()
    before = snapshot(left_folder)
    with pytest.raises(StoreCorrupt, match="put it back from a backup"):
        SqliteStore.open(left_folder)
    assert snapshot(left_folder) == before


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
    (folder / LOCK).chmod(0o666)
    before = snapshot(folder)
    said = as_nobody(f"SqliteStore.open(Path({str(folder)!r}))")
    assert said.startswith("StoreError")
    assert "read-only" in said
    assert snapshot(folder) | {LOCK: None} == before | {LOCK: None}


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
