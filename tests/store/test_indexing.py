"""Records that are not in the indexes yet: nobody notices."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.store.conftest import Opener
from tests.store.events import RECEIVED_MS, alarm, arrival, record

from gatepost.errors import StoreUnavailable
from gatepost.store import indexing
from gatepost.store import schema as t
from gatepost.store.people import PeopleQuery, Rules, people_page
from gatepost.store.sqlite import SqliteStore
from gatepost.store.store import RecordQuery, RecordRow


@pytest.fixture
def store(open_sqlite: Opener) -> SqliteStore:
    store = open_sqlite()
    assert isinstance(store, SqliteStore)
    store.ensure_terminal("SN-1", now_ms=RECEIVED_MS)
    return store


def behind(store: SqliteStore) -> int:
    """How many committed records are not in the indexes, as somebody else sees the file."""
    with closing(sqlite3.connect(store.folder / "gatepost.db")) as db:
        found = db.execute("SELECT count(*) FROM records WHERE facet_id IS NULL").fetchone()[0]
        said = db.execute("SELECT count(*) FROM records WHERE unindexed_facet_id IS NOT NULL").fetchone()[0]
    assert found == said
    return int(found)


def write(store: SqliteStore, first: int, count: int) -> None:
    store.write([arrival(record(number)) for number in range(first, first + count)])


def test_a_large_batch_is_behind_until_somebody_reads(store: SqliteStore) -> None:
    write(store, 0, indexing.TOGETHER)
    assert behind(store) == indexing.TOGETHER
    assert len(store.records(RecordQuery(person="3")).items) == 3
    assert behind(store) == 0


def test_a_small_batch_is_indexed_with_its_commit(store: SqliteStore) -> None:
    write(store, 0, indexing.TOGETHER - 1)
    assert behind(store) == 0


def test_when_the_load_is_over_the_rest_is_indexed_without_anybody_reading(store: SqliteStore) -> None:
    write(store, 0, 100)
    for number in range(100, 100 + indexing.QUIET - 1):
        write(store, number, 1)
    assert behind(store) == 100 + indexing.QUIET - 1
    write(store, 200, 1)
    assert behind(store) == 0
    write(store, 300, 1)
    assert behind(store) == 0


def test_under_load_a_small_batch_between_large_ones_is_left_behind_too(store: SqliteStore) -> None:
    for number in range(0, 1_000, 50):
        write(store, number, 1)
        write(store, number + 1, 49)
    assert behind(store) == 1_000 - 1  # the first one of all


def test_no_more_are_behind_than_may_be(open_sqlite: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "AT_MOST", 500)
    store = open_sqlite()
    assert isinstance(store, SqliteStore)
    store.ensure_terminal("SN-1", now_ms=RECEIVED_MS)
    most = 0
    for number in range(0, 2_000, 64):
        write(store, number, 64)
        most = max(most, behind(store))
    assert 400 < most <= 500


def test_an_event_that_comes_again_is_known_however_far_behind_the_first_one_is(store: SqliteStore) -> None:
    write(store, 0, 100)
    again = store.write([arrival(record(number)) for number in range(50, 150)])
    assert [one.new for one in again] == [False] * 50 + [True] * 50
    assert behind(store) == 150
    assert len(store.records(RecordQuery(limit=1000)).items) == 150


def test_what_was_indexed_before_the_load_is_known_under_load(store: SqliteStore) -> None:
    write(store, 0, 10)
    write(store, 10, 100)
    again = store.write([arrival(record(number)) for number in (3, 200, 50, 3, 200, 201)] * 3)
    assert [one.new for one in again] == [False, True, False, False, False, True] + [False] * 12
    assert [one.id for one in again[:3]] == [4, again[1].id, 51]
    assert again[4].id == again[1].id
    assert len(store.records(RecordQuery(limit=1000)).items) == 112


def test_a_batch_that_fails_leaves_no_key_behind(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(store._inserter, "_account", fail)
        with pytest.raises(StoreUnavailable):
            write(store, 0, 100)
    again = store.write([arrival(record(number)) for number in range(100)])
    assert all(one.new for one in again)


def test_the_same_key_twice_is_refused_by_the_database_itself(store: SqliteStore) -> None:
    write(store, 0, 10)
    write(store, 10, 100)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE constraint failed: behind"):
        store._db.execute("INSERT INTO temp.behind SELECT terminal_id, key, 0 FROM temp.behind LIMIT 1")
    columns = "id, terminal_id, key, received_at_ms, at_ms, facet_id"
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE constraint failed: records"):
        store._db.execute(
            f"INSERT INTO records ({columns}) SELECT 1000000, {columns[4:]} FROM records LIMIT 1"
        )


def test_people_may_be_forgotten_under_load(store: SqliteStore) -> None:
    write(store, 0, 100)
    store.forget_people()
    assert behind(store) == 100
    again = store.write([arrival(record(number)) for number in range(50, 150)])
    assert [one.new for one in again] == [False] * 50 + [True] * 50
    assert len(store.records(RecordQuery(limit=1000)).items) == 150


@pytest.mark.parametrize(
    ("took_s", "at_most"),
    [(0.0, indexing.AT_MOST), (1.0, int(10_000 * indexing.HOLD_UP_S)), (100.0, indexing.AT_LEAST)],
    ids=["at once", "a second", "for ever"],
)
def test_how_many_may_be_behind_follows_from_how_long_it_takes_to_catch_up(
    store: SqliteStore, took_s: float, at_most: int
) -> None:
    now_s = 0.0
    ours = indexing.Indexing(sqlite3.connect(store.folder / "gatepost.db"), lambda: now_s)
    ours.left_behind(10_000)
    ours.catch_up()
    now_s += took_s
    ours.caught_up(0)
    ours.left_behind(at_most - 64)
    assert not ours.is_due(64)
    assert ours.is_due(65)
    ours.catch_up()  # at once: as many as ever may be behind
    ours.caught_up(0)
    ours.left_behind(indexing.AT_MOST - 64)
    assert not ours.is_due(64)


def test_a_batch_of_nothing_but_duplicates_and_one_without_records_change_nothing(store: SqliteStore) -> None:
    write(store, 0, 100)
    write(store, 0, 100)
    store.write([arrival(alarm())])
    assert behind(store) == 100
    assert len(store.records(RecordQuery(person="1", limit=1000)).items) == 20


def test_who_follows_what_arrives_does_not_have_the_indexes_filled(store: SqliteStore) -> None:
    write(store, 0, 100)
    items, place = store.feed(0)
    assert [item.event_id for item in items] == list(range(1, 101))
    assert store.end_of_feed() == place == 100
    told, _ = store.happened(40, limit=3)
    assert [row.person.user_id for _, row in told if isinstance(row, RecordRow) and row.person] == [
        "0",
        "1",
        "2",
    ]
    assert [row.has_image for _, row in told if isinstance(row, RecordRow)] == [False] * 3
    one = store.record(7)
    assert one is not None
    assert one.recognition_type == 1
    assert store.stats().records == 100
    assert store.image(7) is None
    assert [terminal.records for terminal in store.terminals()] == [100]
    assert behind(store) == 100


def test_a_change_finds_every_record(store: SqliteStore) -> None:
    write(store, 0, 100)
    with store.changing() as db:
        assert (
            db.execute(t.records.update().where(t.records.c.identity_id == 1).values(mask=2)).rowcount == 20
        )
    assert behind(store) == 0


def test_a_change_that_fails_leaves_them_to_the_next_one(store: SqliteStore) -> None:
    write(store, 0, 100)
    with pytest.raises(ZeroDivisionError), store.changing():
        raise ZeroDivisionError
    assert behind(store) == 100
    write(store, 100, 20)
    assert len(store.records(RecordQuery(person="1", limit=1000)).items) == 24


def test_after_a_crash_they_are_found_where_they_are(store: SqliteStore, tmp_path: Path) -> None:
    write(store, 0, 10)
    write(store, 10, 100)
    shutil.copytree(store.folder, tmp_path / "crashed")
    crashed = SqliteStore.open(tmp_path / "crashed")
    assert behind(crashed) == 100
    again = crashed.write([arrival(record(number)) for number in (5, 50)])
    assert [(one.new, one.id) for one in again] == [(False, 6), (False, 51)]
    write(crashed, 200, 1)
    assert len(crashed.records(RecordQuery(person="1", limit=1000)).items) == 22
    with crashed.reading() as db:
        (one, *_) = people_page(db, PeopleQuery(), Rules()).items
    assert one.name.startswith("王")
    crashed.close()


def test_a_store_that_is_closed_in_order_is_not_behind(store: SqliteStore) -> None:
    write(store, 0, 100)
    store.close()
    assert behind(store) == 0


def test_while_the_disk_is_full_what_is_behind_is_not_among_what_is_searched_and_is_whole_by_itself(
    store: SqliteStore,
) -> None:
    write(store, 0, 5)
    write(store, 10, 2_000)
    size = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {size}")  # no room for an index to grow into
    assert len(store.records(RecordQuery(limit=1000)).items) == 5
    newest = store.record(2_005)
    assert newest is not None
    assert newest.person is not None
    assert behind(store) == 2_000
    store._db.execute("PRAGMA max_page_count = 1000000")
    assert len(store.records(RecordQuery(limit=5000)).items) == 2_005
