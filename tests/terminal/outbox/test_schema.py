"""The file: versions, strangers, locks."""

import sqlite3
from pathlib import Path

import pytest
from tests.terminal.outbox_kit import (
    JPEG,
    Clock,
    assert_the_ledger_adds_up,
    outbox_in,
    put_many,
    record,
    settle_all,
)

from gatepost.errors import OutboxCorrupt, OutboxInUse, OutboxTooNew
from gatepost.retry import RetryAt
from gatepost.terminal.outbox.outbox import Outbox
from gatepost.terminal.outbox.schema import MIGRATIONS, Lock, connect, connect_reader
from gatepost.wire import Subscription


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


async def test_what_was_refused_before_refusals_were_counted_relatively_waits_for_three_of_its_kind(
    tmp_path: Path,
) -> None:
    path = tmp_path / "outbox.db"
    db = connect(path, migrations=MIGRATIONS[:1])
    for seq, state, refusals, image in ((1, 0, 9, JPEG), (2, 0, 0, None), (3, 2, 10, JPEG)):
        db.execute(
            "INSERT INTO entry (seq, state, lane, due, refusals, accepted_at, bytes, user_id, job_number, ic_number)"
            " VALUES (?, ?, 1, 1, ?, 1, 10, '', '', '')",
            (seq, state, refusals),
        )
        db.execute("INSERT INTO body VALUES (?, '{', '}', ?)", (seq, image))
    db.execute("UPDATE ledger SET accepted = 3, records = 2, dead = 1, record_bytes = 20, dead_bytes = 10")
    db.execute("INSERT INTO subscription VALUES (1, 'http://127.0.0.1:9/Record', 1)")
    db.close()
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 3, first=4, image=JPEG)
        first, second, *others = await outbox.claim(8, now=now())
        assert [(event.id, event.refusals, event.delivered_since) for event in (first, second)] == [
            (1, 9, 0),
            (2, 0, 0),
        ]
        await settle_all(outbox, others)
        await settle_all(outbox, [first], RetryAt(1.0, refused=True, reason="code 500"))
        (again,) = await outbox.claim(8, now=now())
        assert (again.refusals, again.delivered_since) == (10, 3)
        await outbox.subscribe(Subscription("http://b/Record", enabled=True))
        assert (await outbox.status()).dead == 0
        await assert_the_ledger_adds_up(outbox)


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
