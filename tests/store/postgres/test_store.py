"""The store in PostgreSQL: the suite, and what only several processes and a server can do to it."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from tests.packing import packed, packing
from tests.postgres import Postgres
from tests.store.conftest import Opener
from tests.store.events import JPEG, RECEIVED_MS, alarm, arrival, record
from tests.store.store_suite import JOURNAL, StoreSuite, progress, store
from tests.terminals import ensured

from gatepost.errors import SettingsError, StoreCorrupt, StoreError, StoreTooNew, StoreUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.journal.streams import Position
from gatepost.store.base import BaseStore
from gatepost.store.conversion import values
from gatepost.store.conversion.values import DAY_MS
from gatepost.store.interface import AlarmQuery, FeedPage, NewTerminal, RecordQuery, Stored
from gatepost.store.maintenance.check import check
from gatepost.store.postgres.inserter import Inserter
from gatepost.store.postgres.store import MAX_BATCH, PostgresStore
from gatepost.store.privacy.retention import Limits, Retention
from gatepost.store.query import feed
from gatepost.wire import Alarm, Record, User

__all__ = ["store"]


@pytest.fixture
def open_store(open_postgres: Opener) -> Opener:
    return open_postgres


class TestSuite(StoreSuite):
    pass


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    """A server that a test may kill."""
    server = Postgres()
    yield server
    server.stop()


def connection_of(store: BaseStore) -> psycopg.Connection[tuple[object, ...]]:
    connection = store._connect()  # type: ignore[attr-defined]  # it is a PostgresStore
    assert isinstance(connection, psycopg.Connection)
    return connection


def test_the_same_events_at_several_processes_at_once_are_stored_once(
    open_store: Opener, store: BaseStore, postgres_server: Postgres
) -> None:
    stores = [store, open_store(), open_store()]
    other = ensured(store, "SN-2", now_ms=0)
    events = [arrival(record(n, user=record(n % 40).user), image=JPEG) for n in range(120)]
    events += [arrival(alarm(f"t{n}", s), other.id) for n in range(20) for s in (1, 2, 3)]
    new: list[int] = []
    failed: list[BaseException] = []

    def ingest(mine: BaseStore, seed: int) -> None:
        shuffled = events * 2
        random.Random(seed).shuffle(shuffled)
        try:
            for start in range(0, len(shuffled), 16):
                new.extend(s.id for s in mine.write(shuffled[start : start + 16]) if s.new)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=ingest, args=(s, n)) for n, s in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(new) == len(set(new)) == len(events)
    rows = store.records(RecordQuery(limit=1000)).items
    assert len(rows) == 120
    assert all(store.image(row.id) == JPEG for row in rows)
    alarms = store.alarms(AlarmQuery(limit=100)).items
    assert [row.state for row in alarms] == ["cleared"] * 20
    assert all(len(row.history) == 3 for row in alarms)
    stats = store.stats()
    assert stats.records == 120
    assert stats.duplicates == len(events) * 5
    one, two = store.terminals()
    assert (one.records, two.alarms) == (120, 60)


def test_every_process_counts_in_rows_of_its_own(open_store: Opener, store: BaseStore) -> None:
    other = open_store()
    store.write([arrival(record(1))])
    other.write([arrival(record(2))])
    assert store.writer != other.writer
    assert store.terminals()[0].records == 2
    number = other.writer
    db = connection_of(store)
    [(process,)] = db.execute(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s", (number,)
    ).fetchall()
    other.close()
    # The server lets go of it a moment after the connection is closed.
    while db.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (process,)).fetchone():
        db.rollback()
    db.rollback()
    third = open_store()
    assert third.writer == number


def begin(slow: BaseStore, event: Record | Alarm) -> tuple[Stored, Callable[[], object]]:
    """Let a process insert an event without being done yet; return what it stored, and how it commits."""
    connection = connection_of(slow)
    original = connection.execute

    def hold_back(query: object, *args: object, **kwargs: object) -> object:
        return original("SELECT 1") if query == "COMMIT" else original(query, *args, **kwargs)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "execute", hold_back)
        (late,) = slow.write([arrival(event)])
    return late, lambda: connection.execute("COMMIT")


def test_a_stream_does_not_skip_what_commits_late(store: BaseStore, open_store: Opener) -> None:
    store.write([arrival(record(6)), arrival(record(7))])  # so that the two below have nothing new in common
    start = store.end_of_feed()
    slow = open_store()
    late, commit = begin(slow, record(1))
    (early,) = store.write([arrival(record(2))])
    assert late.id < early.id
    assert store.read_feed(start) == FeedPage((), start, {})
    page = store.records(RecordQuery(order="received"))
    assert [row.uuid for row in page.items] == ["uuid-000006", "uuid-000007"]
    commit()
    assert [item.id for item in store.read_feed(start).items] == [late.id, early.id]
    page = store.records(RecordQuery(order="received", cursor=page.next_cursor))
    assert [row.id for row in page.items] == [late.id, early.id]


def test_a_reader_does_not_go_past_what_commits_late_to_what_is_deleted(
    store: BaseStore, open_store: Opener
) -> None:
    store.write([arrival(record(6)), arrival(record(7))])  # so that the two below have nothing new in common
    start = store.end_of_feed()
    late, commit = begin(open_store(), alarm())
    (early,) = store.write([arrival(record(2))])
    retention = Retention(store, Limits(records_days=1))
    while retention.once(RECEIVED_MS + 9 * DAY_MS).deleted:
        pass
    assert store.read_feed(start) == FeedPage((), start, {})
    commit()
    page = store.read_feed(start)
    assert ([item.id for item in page.items], page.place, page.deleted) == (
        [late.id],
        early.id,
        {"record": 1},
    )


def test_ids_go_on_above_what_was_restored_from_a_server_that_had_counted_further(
    open_store: Opener, store: BaseStore
) -> None:
    (stored,) = store.write([arrival(record(1))])
    further = stored.id + 4096 * 1_000_000
    connection_of(store).execute("UPDATE records SET id = %s WHERE id = %s", (further, stored.id))
    again = open_store()
    (later,) = again.write([arrival(record(2))])
    assert later.id > further
    assert [item.id for item in again.read_feed(0).items] == [further, later.id]


def test_ids_go_on_above_what_was_deleted_in_a_server_that_had_counted_further(
    open_store: Opener, store: BaseStore
) -> None:
    further = store.end_of_feed() + 4096 * 1_000_000
    with store.changing() as db:
        feed.keep_deleted(db, "record", [further])
    (later,) = open_store().write([arrival(record(1))])
    assert later.id > further


def test_a_person_whom_another_process_erased_is_made_again(open_store: Opener, store: BaseStore) -> None:
    store.write([arrival(record(1))])
    db = connection_of(open_store())
    db.execute("UPDATE records SET identity_id = NULL")
    db.execute("DELETE FROM identities")
    (stored,) = store.write([arrival(record(6))])
    row = store.record(stored.id)
    assert row is not None
    assert row.person is not None
    assert row.person.user_id == "1"


def test_a_terminal_that_another_process_made_or_moved_is_known_at_once(
    open_store: Opener, store: BaseStore
) -> None:
    store.write([arrival(record(1))])
    other = open_store()
    made = ensured(other, "SN-2", now_ms=0)
    site = other.create_site("b", "UTC", now_ms=0)
    other.update_terminal(1, site_id=site.id)
    store.write([arrival(record(1), made.id), arrival(record(6))])
    identities = {
        row.person.identity_id for row in store.records(RecordQuery(person="1")).items if row.person
    }
    assert len(identities) == 2


def test_processes_that_make_the_same_terminals_in_any_order_wait_for_each_other_in_none(
    open_store: Opener,
) -> None:
    new = [NewTerminal(f"N-{number}", 1) for number in range(200)]
    new += [NewTerminal(None, 1, f"192.0.2.{number}") for number in range(50)]
    orders = [new, new[::-1], new[1::2] + new[::2], new[::2] + new[1::2]]
    stores = [open_store() for _ in orders]
    with ThreadPoolExecutor(len(orders)) as threads:
        made = list(threads.map(lambda store, mine: store.ensure_terminals(mine), stores, orders))
    ids = [{(row.serial, row.anonymous_peer): row.id for row in rows} for rows in made]
    assert len(ids[0]) == 250
    assert all(one == ids[0] for one in ids)


def test_a_batch_is_stored_in_one_transaction_or_refused(store: BaseStore) -> None:
    batch = [arrival(record(n)) for n in range(MAX_BATCH)]
    ids = [stored.id for stored in store.write(batch)]
    assert ids == list(range(ids[0], ids[0] + MAX_BATCH))
    with pytest.raises(ValueError, match="at most 4096 arrivals"):
        store.write([*batch, arrival(record(MAX_BATCH))], progress(records=Position(1, 10, 1)))
    assert store.positions(JOURNAL) == {}
    assert store.stats().records == MAX_BATCH


def test_it_syncs_before_it_answers_whatever_the_database_has_as_its_default(
    store: BaseStore, open_store: Opener
) -> None:
    db = connection_of(store)
    name = db.info.dbname
    db.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")  # type: ignore[call-overload]
    again = open_store()
    assert connection_of(again).execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_a_server_that_does_not_sync_is_refused(own_server: Postgres) -> None:
    with psycopg.connect(own_server.url(), autocommit=True) as db:
        db.execute("ALTER SYSTEM SET fsync = off")
        db.execute("SELECT pg_reload_conf()")
    own_server.kill()
    own_server.restart()
    with pytest.raises(StoreError, match="fsync = on"):
        PostgresStore.open(own_server.url())


def test_what_was_stored_is_there_after_the_server_was_killed(own_server: Postgres, tmp_path: Path) -> None:
    packs = Packs(Folder.open(tmp_path / "journal"))
    store = packing(PostgresStore.open(own_server.create_with_store(), packs=packs))
    ensured(store, "SN-1", now_ms=0)
    acknowledged = []
    for round_ in range(2):
        for n in range(20):
            batch = [arrival(record(round_ * 1000 + n * 8 + i), image=JPEG) for i in range(8)]
            acknowledged += [s.id for s in store.write(batch)]
        own_server.kill()
        with pytest.raises(StoreUnavailable):
            store.write([arrival(record(999_999))])
        with pytest.raises(StoreUnavailable):
            store.records(RecordQuery())
        own_server.restart()
        store.write([arrival(record(round_ * 1000 + 999))])
    rows = {row.id for row in store.records(RecordQuery(limit=1000)).items}
    assert rows >= set(acknowledged)
    assert all(store.image(number) == JPEG for number in acknowledged)
    store.close()


def test_a_database_of_a_later_version_is_left_as_it_is(store: BaseStore, open_store: Opener) -> None:
    connection_of(store).execute("UPDATE alembic_version SET version_num = '9999_later'")
    with pytest.raises(StoreTooNew, match="9999_later"):
        open_store()
    assert connection_of(store).execute("SELECT version_num FROM alembic_version").fetchall() == [
        ("9999_later",)
    ]


def test_a_database_of_an_earlier_layout_is_left_as_it_is(store: BaseStore, open_store: Opener) -> None:
    connection_of(store).execute("UPDATE alembic_version SET version_num = '0012'")
    with pytest.raises(StoreError, match="written by an earlier version"):
        open_store()
    assert connection_of(store).execute("SELECT version_num FROM alembic_version").fetchall() == [("0012",)]


def test_another_programs_database_is_left_as_it_is(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("CREATE TABLE records (theirs int)")
    with pytest.raises(StoreCorrupt, match="not gatepost's"):
        PostgresStore.open(postgres_url)
    with psycopg.connect(postgres_url) as db:
        assert db.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (1,)


@pytest.mark.parametrize("url", ["nonsense", "mysql://h/d", "://"])
def test_a_url_that_is_none_is_named_as_the_setting(url: str) -> None:
    with pytest.raises(SettingsError, match="database"):
        PostgresStore.open(url)


def test_a_server_that_cannot_be_reached_is_named_without_the_password() -> None:
    with pytest.raises(StoreUnavailable) as raised:
        PostgresStore.open("postgresql://me:secret@127.0.0.1:1/gatepost")
    assert "secret" not in str(raised.value)


def test_several_processes_that_start_at_once_migrate_once(postgres_url: str) -> None:
    stores: list[BaseStore] = []
    failed: list[BaseException] = []

    def start() -> None:
        try:
            stores.append(PostgresStore.open(postgres_url))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len({one.writer for one in stores}) == 4
    assert len(stores[0].sites()) == 1
    for one in stores:
        one.close()


def test_a_check_finds_nothing_wrong_with_what_several_processes_wrote(
    store: BaseStore, tmp_path: Path
) -> None:
    store.write([arrival(record(n), image=JPEG) for n in range(20)])
    url = connection_of(store).info
    database = f"postgresql://postgres:@/{url.dbname}?host={url.host}"
    report = check(tmp_path / "data", database)
    assert report.ok
    assert report.images == 20


def test_a_question_is_not_compiled(open_postgres: Opener) -> None:
    with open_postgres().reading() as db:
        assert db.execute(text("SHOW jit")).scalar_one() == "off"


def test_two_processes_that_read_one_journal_never_take_its_position_back(
    store: BaseStore, open_store: Opener
) -> None:
    stores, stored = [store, open_store()], [0, 0]
    refused: list[str] = []
    failed: list[BaseException] = []
    meeting = threading.Barrier(2)

    def read(which: int) -> None:
        try:
            for number in range(1, 41):
                meeting.wait()
                # Each comes to an offset of its own, and in turn to the larger one.
                place = Position(1, 10 * number + (number + which) % 2, number)
                batch = [arrival(record(1000 * which + 100 + number))]
                try:
                    stored[which] += len(stores[which].write(batch, progress(records=place)))
                except StoreError as error:
                    refused.append(str(error))
        except BaseException as error:
            failed.append(error)
            meeting.abort()

    threads = [threading.Thread(target=read, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert all("has read this journal further" in message for message in refused)
    assert sum(stored) + len(refused) == 80
    assert sum(stored) >= 40
    assert store.positions(JOURNAL) == {"records": Position(1, 401, 40)}
    assert store.stats().records == sum(stored)


def test_a_person_whom_another_process_erases_while_the_batch_is_written_is_made_again(
    store: BaseStore, open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(store, PostgresStore)
    store.write([arrival(record(1))])
    other = open_store()
    make = Inserter._make_people
    tries = []

    def and_erase(*args: Any) -> Any:
        found = make(*args)
        if not tries:
            with other.changing() as db:
                db.execute(text("UPDATE records SET identity_id = NULL"))
                db.execute(text("DELETE FROM identities"))
        tries.append(found)
        return found

    monkeypatch.setattr(Inserter, "_make_people", and_erase)
    (stored,) = store.write([arrival(record(6))])
    assert len(tries) == 2
    row = store.record(stored.id)
    assert row is not None
    assert row.person is not None
    assert row.person.user_id == "1"


def test_what_no_index_can_hold_is_the_fault_of_the_event_and_not_of_the_server(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "LONGEST", 1_000_000)
    noise = random.Random(1).randbytes(6_000).hex()
    with pytest.raises(psycopg.errors.ProgramLimitExceeded):
        store.write([arrival(record(50, user=User(user_id=noise)))])
    assert store.write([arrival(record(51))])[0].new


def test_a_terminal_that_two_processes_see_at_an_address_was_there_at_the_later_time(
    open_postgres: Opener,
) -> None:
    one, two = open_postgres(), open_postgres()
    ensured(one, "SN-1", now_ms=0)
    for number, (opened, at) in enumerate([(one, RECEIVED_MS + 9), (two, RECEIVED_MS)]):
        opened.write([arrival(record(number), bind_peer=True, received_at_ms=at)])
        assert opened.peers() == {("10.0.0.9", 1): RECEIVED_MS + 9}


def test_a_pack_that_another_process_deletes_while_an_image_of_it_is_listed_is_made_again(
    open_postgres: Opener,
) -> None:
    """The retention has emptied the pack, and an event of it was in the journal still."""
    store, other = open_postgres(), open_postgres()
    ensured(store, "SN-1", now_ms=0)
    assert store.packs is not None
    one, two = packed(store.packs, [arrival(record(n), image=JPEG) for n in (1, 2)])
    (gone,) = store.write([one])
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with ThreadPoolExecutor(1) as pool:
        with other.changing() as db:
            db.execute(text("DELETE FROM images"))
            db.execute(text("DELETE FROM packs"))
            writing = pool.submit(store.write, [two])
            while not writing.done():
                with other.reading() as looking:
                    if looking.execute(waits).scalar_one():
                        break
        (late,) = writing.result(60)
    assert late.new
    assert (store.image(gone.id), store.image(late.id)) == (None, JPEG)
