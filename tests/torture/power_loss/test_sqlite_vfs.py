"""The connection behind the face of ``sqlite3`` does what the true one does, and what it does is noted."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gatepost.torture.power_loss.disk_model import Delete, DiskModel, Sync, Write
from gatepost.torture.power_loss.sqlite_vfs import Connection, lossy

TRUE = sqlite3.connect


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskModel]:
    made = DiskModel()
    with lossy(made, tmp_path):
        yield made


def script(db: Any) -> list[Any]:
    """What both ends use of ``sqlite3``."""
    seen: list[Any] = []
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    seen.append(db.execute("PRAGMA synchronous").fetchone())
    db.executescript("CREATE TABLE t (id INTEGER PRIMARY KEY, v, b BLOB UNIQUE); CREATE TABLE u (x);")
    db.execute("BEGIN IMMEDIATE")
    seen.append(db.in_transaction)
    cursor = db.execute("INSERT INTO t (v, b) VALUES (?, ?), (?2, x'00')", ("王", b"\x01"))
    seen += [cursor.lastrowid, cursor.rowcount, db.total_changes]
    cursor = db.executemany("INSERT INTO u VALUES (?)", [(1,), (2.5,), (None,)])
    seen += [cursor.rowcount, db.total_changes]
    db.execute("COMMIT")
    seen.append(db.in_transaction)
    cursor = db.cursor().execute("SELECT id, v AS name FROM t ORDER BY id")
    seen += [
        [column[0] for column in cursor.description],
        cursor.fetchone(),
        cursor.fetchall(),
        cursor.fetchone(),
    ]
    cursor = db.execute("SELECT id FROM t WHERE id = 99")
    seen += [[column[0] for column in cursor.description], cursor.fetchone()]
    seen += [
        db.execute("SELECT x FROM u WHERE x = :x", {"x": 1}).fetchall(),
        list(db.execute("SELECT x FROM u")),
    ]
    seen.append(db.execute("SELECT x FROM u ORDER BY rowid").fetchmany(2))
    db.execute("BEGIN")
    seen.append(db.execute("UPDATE t SET v = 1").rowcount)
    db.rollback()
    db.create_function("twice", 1, lambda x: 2 * x, deterministic=True)
    seen += [db.execute("SELECT twice(21)").fetchone(), db.execute("SELECT v FROM t WHERE id = 1").fetchone()]
    for wrong in ("INSERT INTO t (id) VALUES (1)", "SELECT nothing", "INSERT INTO t (b) VALUES (x'01')"):
        with pytest.raises(sqlite3.Error) as raised:
            db.execute(wrong)
        seen.append((raised.type, raised.value.sqlite_errorcode))
    return seen


def test_it_answers_as_the_true_one_does(disk: DiskModel, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "one.db", isolation_level=None)) as ours:
        assert isinstance(ours, Connection)
        mine = script(ours)
    with closing(TRUE(tmp_path / "two.db", isolation_level=None)) as true:
        assert script(true) == mine


def test_what_it_wrote_is_a_file_that_the_true_one_reads(disk: DiskModel, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "one.db", isolation_level=None)) as ours:
        script(ours)
    with closing(TRUE(tmp_path / "one.db")) as true:
        assert true.execute("SELECT count(*) FROM u").fetchone() == (3,)


def test_a_connection_that_only_reads_cannot_write_and_can_be_closed(disk: DiskModel, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "one.db", isolation_level=None)) as ours:
        script(ours)
        reader = sqlite3.connect(f"{(tmp_path / 'one.db').as_uri()}?mode=ro", uri=True)
        assert reader.execute("SELECT count(*) FROM u").fetchone() == (3,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("DELETE FROM u")
    reader.close()
    reader.close()


def test_the_noted_operations_make_the_same_file_again(disk: DiskModel, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "one.db", isolation_level=None)) as ours:
        script(ours)
    kinds = {type(op) for op in disk.ops}
    assert kinds >= {Write, Sync, Delete}
    # At the end everything is in the file and synced, so that there is nothing to lose.
    rests = list(disk.cuts([len(disk.ops)] * 20, random.Random(1)))
    assert {rest.files["one.db"] for rest in rests} == {(tmp_path / "one.db").read_bytes()}


def test_outside_of_it_sqlite_is_the_true_one(tmp_path: Path) -> None:
    with lossy(DiskModel(), tmp_path):
        assert sqlite3.connect is not TRUE
    assert sqlite3.connect is TRUE
