"""The store in a data folder: the suite, and what only a file can suffer."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.store.conftest import Opener
from tests.store.events import JPEG, arrival, record, unknown
from tests.store.store_suite import StoreSuite, store
from tests.terminals import ensured

from gatepost.errors import StoreError, StoreUnavailable
from gatepost.store.interface import RecordQuery
from gatepost.store.maintenance.check import check
from gatepost.store.sqlite.connection import connect
from gatepost.store.sqlite.store import SqliteStore
from gatepost.wire import Problem

__all__ = ["store"]


@pytest.fixture
def open_store(open_sqlite: Opener) -> Opener:
    return open_sqlite


class TestSuite(StoreSuite):
    pass


@pytest.fixture
def sqlite(store: SqliteStore) -> SqliteStore:
    return store


def test_a_file_that_cannot_sync_before_it_answers_is_not_opened() -> None:
    with pytest.raises(StoreError, match="does not sync before it answers"):
        connect(Path(":memory:"))


def test_when_the_disk_is_full_nothing_of_the_batch_is_stored_and_later_it_is(sqlite: SqliteStore) -> None:
    sqlite.write([arrival(record(1))])
    full = sqlite._db.execute("PRAGMA page_count").fetchone()[0]
    sqlite._db.execute(f"PRAGMA max_page_count = {full}")
    batch = [arrival(record(n), image=JPEG) for n in range(2, 40)]
    with pytest.raises(StoreUnavailable, match="full"):
        sqlite.write(batch)
    assert len(sqlite.records(RecordQuery()).items) == 1
    assert sqlite.stats().records == 1
    sqlite._db.execute("PRAGMA max_page_count = 1000000")
    assert all(s.new for s in sqlite.write(batch))
    assert all(sqlite.image(row.id) for row in sqlite.records(RecordQuery(has_image=True)).items)


def test_one_batch_takes_records_with_and_without_image_and_problems(sqlite: SqliteStore) -> None:
    problems = (Problem("data.mask", "must be an integer"),)
    stored = sqlite.write(
        [
            arrival(record(1)),
            arrival(record(2), image=JPEG),
            arrival(record(3), problems=problems),
            arrival(record(1)),
            arrival(record(4)),
        ]
    )
    assert [one.new for one in stored] == [True, True, True, False, True]
    assert stored[3].id == stored[0].id
    rows = {row.id: row for row in sqlite.records(RecordQuery()).items}
    assert [rows[stored[n].id].uuid for n in (0, 1, 2, 4)] == [
        "uuid-000001",
        "uuid-000002",
        "uuid-000003",
        "uuid-000004",
    ]
    assert [rows[stored[n].id].has_image for n in (0, 1, 2, 4)] == [False, True, False, False]
    assert rows[stored[2].id].problems == problems


def test_who_a_person_is_is_asked_again_after_a_batch_that_failed(
    sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    once = record(1)
    with monkeypatch.context() as patched:
        patched.setattr(sqlite._inserter, "_count", fail)
        with pytest.raises(StoreUnavailable):
            sqlite.write([arrival(once)])
    (stored,) = sqlite.write([arrival(once)])
    (row,) = sqlite.records(RecordQuery()).items
    assert row.id == stored.id
    assert row.person is not None
    assert row.person.name == "王1"


def test_readers_see_what_is_committed_while_others_write(sqlite: SqliteStore) -> None:
    done = threading.Event()
    failures = []

    def read() -> None:
        while not done.is_set():
            page = sqlite.records(RecordQuery(limit=500))
            for row in page.items[:5]:
                if row.has_image and sqlite.image(row.id) != JPEG:
                    failures.append(row.id)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for start in range(0, 400, 10):
            sqlite.write([arrival(record(n), image=JPEG) for n in range(start, start + 10)])
            sqlite.update_terminal(1, name=f"name {start}")
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert not failures
    assert sqlite.stats().records == 400


WRITER = """
import sys
from pathlib import Path
from gatepost.store.sqlite.store import SqliteStore
from tests.packing import packing
from tests.store.events import JPEG, arrival, record
store = packing(SqliteStore.open(Path(sys.argv[1])))
number = int(sys.argv[2])
while True:
    batch = [arrival(record(n), image=JPEG + str(n).encode()) for n in range(number, number + 7)]
    store.write(batch)
    print(number, flush=True)
    number += 7
"""


def test_what_was_stored_is_there_after_the_process_was_killed(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    ensured(store, "SN-1", now_ms=0)
    folder = store.folder  # type: ignore[attr-defined]  # it is the store in a folder
    store.close()
    acknowledged: list[int] = []
    for round_ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, folder, str(round_ * 100_000)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(3 + 5 * round_):
            acknowledged.append(int(writer.stdout.readline()))
        writer.kill()
        acknowledged += [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        writer.stdout.close()
    store = open_store()
    page = store.records(RecordQuery(limit=100_000))
    found = {row.uuid: row.id for row in page.items}
    assert len(found) == len(page.items)
    for number in acknowledged:
        for n in range(number, number + 7):
            assert store.image(found[f"uuid-{n:06d}"]) == JPEG + str(n).encode()
    store.close()
    # An image whose event was not stored any more is harmless.
    assert {finding.kind for finding in check(folder).findings} <= {"image without event"}


def test_ids_go_on_after_a_process_was_killed(open_store: Opener) -> None:
    store = open_store()
    ensured(store, "SN-1", now_ms=0)
    highest = 0
    for round_ in range(3):
        stored = store.write([arrival(unknown(round_ * 2000 + n)) for n in range(1500)])
        assert min(s.id for s in stored) > highest
        highest = max(s.id for s in stored)
        store.close()
        store = open_store()
