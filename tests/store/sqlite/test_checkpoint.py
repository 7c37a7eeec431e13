"""The log is brought into the database beside the writer."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gatepost.store.sqlite.checkpoint import EVERY, LONG, Checkpointer


@pytest.fixture
def connect(tmp_path: Path) -> Callable[[], sqlite3.Connection]:
    def open_it() -> sqlite3.Connection:
        db = sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = wal")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("PRAGMA busy_timeout = 0")
        return db

    return open_it


@pytest.fixture
def writer(connect: Callable[[], sqlite3.Connection]) -> Iterator[sqlite3.Connection]:
    with closing(connect()) as db:
        db.execute("CREATE TABLE t (x)")
        yield db


def fill(writer: sqlite3.Connection, pages: int) -> None:
    writer.execute("BEGIN")
    writer.executemany("INSERT INTO t VALUES (zeroblob(3500))", [()] * pages)
    writer.execute("COMMIT")


def test_a_pass_brings_everything_over_and_answers_the_length_of_the_log(
    connect: Callable[[], sqlite3.Connection], writer: sqlite3.Connection, tmp_path: Path
) -> None:
    checkpointer = Checkpointer(connect)
    fill(writer, 500)
    assert (tmp_path / "x.db").stat().st_size < 100_000
    assert checkpointer.once() > 500
    assert (tmp_path / "x.db").stat().st_size > 500 * 3500
    checkpointer.close()


def test_while_the_writer_is_in_a_transaction_a_pass_does_what_it_can(
    connect: Callable[[], sqlite3.Connection], writer: sqlite3.Connection, tmp_path: Path
) -> None:
    checkpointer = Checkpointer(connect)
    fill(writer, 500)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO t VALUES (1)")
    checkpointer.once()
    assert (tmp_path / "x.db").stat().st_size > 500 * 3500
    writer.execute("COMMIT")
    checkpointer.close()


def test_a_long_log_is_begun_anew_and_grows_no_further(
    connect: Callable[[], sqlite3.Connection], writer: sqlite3.Connection, tmp_path: Path
) -> None:
    log = tmp_path / "x.db-wal"
    checkpointer = Checkpointer(connect)
    fill(writer, LONG)
    checkpointer._begin_anew = checkpointer.once() >= LONG
    checkpointer.wrote(1, writer)
    long = log.stat().st_size
    fill(writer, 100)
    assert log.stat().st_size == long
    assert checkpointer.once() < 200
    checkpointer.close()


def test_a_reader_in_the_way_does_not_hold_the_writer_up(
    connect: Callable[[], sqlite3.Connection], writer: sqlite3.Connection
) -> None:
    checkpointer = Checkpointer(connect)
    fill(writer, 10)
    with closing(connect()) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchone()
        fill(writer, 10)
        checkpointer._begin_anew = True
        checkpointer.wrote(1, writer)
        fill(writer, 10)
    checkpointer.close()


def test_enough_pages_wake_the_thread(
    connect: Callable[[], sqlite3.Connection], writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpointer = Checkpointer(connect)
    woken: list[bool] = []
    monkeypatch.setattr(checkpointer._wake, "set", lambda: woken.append(True))
    checkpointer.wrote(EVERY - 1, writer)
    assert woken == []
    checkpointer.wrote(1, writer)
    checkpointer.wrote(1, writer)
    assert woken == [True]
    monkeypatch.undo()
    checkpointer.close()


def test_closing_twice_does_no_harm(
    connect: Callable[[], sqlite3.Connection], writer: sqlite3.Connection
) -> None:
    checkpointer = Checkpointer(connect)
    checkpointer.close()
    checkpointer.close()
