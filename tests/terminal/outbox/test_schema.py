"""The file: versions, strangers, locks."""

import sqlite3
from pathlib import Path

import pytest
from tests.terminal.outbox_kit import outbox_in, record

from gatepost.errors import OutboxCorrupt, OutboxInUse, OutboxTooNew
from gatepost.terminal.outbox.outbox import Outbox
from gatepost.terminal.outbox.schema import MIGRATIONS, Lock, connect, connect_reader


def version(path: Path) -> int:
    db = sqlite3.connect(path)
    (number,) = db.execute("PRAGMA user_version").fetchone()
    db.close()
    return int(number)


def test_a_new_file_has_the_newest_version_and_is_known_as_an_outbox(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    connect(path).close()
    assert version(path) == len(MIGRATIONS)
    connect(path).close()


async def test_a_file_of_a_later_version_is_refused_with_a_sentence_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    connect(path, migrations=(*MIGRATIONS, "CREATE TABLE later (x)")).close()
    before = path.read_bytes()
    with pytest.raises(
        OutboxTooNew, match=f"version {len(MIGRATIONS) + 1} of the file, this one knows {len(MIGRATIONS)}"
    ):
        await Outbox.open(path)
    assert path.read_bytes() == before


async def test_a_file_of_an_earlier_version_is_brought_forward_with_everything_in_it(tmp_path: Path) -> None:
    async with outbox_in(tmp_path) as outbox:
        await outbox.put(record())
    db = connect(tmp_path / "outbox.db", migrations=(*MIGRATIONS, "ALTER TABLE entry ADD COLUMN colour TEXT"))
    assert db.execute("SELECT seq, colour FROM entry").fetchall() == [(1, None)]
    db.close()
    assert version(tmp_path / "outbox.db") == len(MIGRATIONS) + 1


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    connect(path).close()
    with pytest.raises(Exception, match="nonsense"):
        connect(path, migrations=(*MIGRATIONS, "CREATE TABLE later (x); nonsense"))
    assert version(path) == len(MIGRATIONS)
    connect(path).close()


async def test_a_database_of_something_else_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE somebodys (x)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(OutboxCorrupt, match="is no outbox"):
        await Outbox.open(path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(OutboxCorrupt, match="move it away"):
        await Outbox.open(path)
    assert path.read_bytes() == b"hello" * 1000


async def test_an_empty_file_as_after_a_power_cut_at_the_first_start_becomes_an_outbox(
    tmp_path: Path,
) -> None:
    (tmp_path / "outbox.db").touch()
    async with outbox_in(tmp_path) as outbox:
        assert await outbox.put(record()) == 1


def test_a_lock_ends_when_it_is_released(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "outbox.db")
    with pytest.raises(OutboxInUse, match="give this one its own folder"):
        Lock(tmp_path / "outbox.db")
    lock.release()
    lock.release()
    Lock(tmp_path / "outbox.db").release()


def test_a_reader_does_not_make_a_file(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="cannot be"):
        connect_reader(tmp_path / "outbox.db")
    assert list(tmp_path.iterdir()) == []


async def test_the_folder_is_made_and_others_may_not_read_the_faces_in_it(tmp_path: Path) -> None:
    async with outbox_in(tmp_path / "a" / "b") as outbox:
        await outbox.put(record())
        modes = {file.name: file.stat().st_mode & 0o077 for file in (tmp_path / "a" / "b").iterdir()}
    assert modes == dict.fromkeys(modes, 0)
    assert "outbox.db-wal" in modes
