"""The store in PostgreSQL: the suite, and what only several processes and a server can do to it."""

import random
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy import text
from tests.postgres import Postgres
from tests.store.conftest import Opener
from tests.store.events import JPEG, RECEIVED_MS, alarm, arrival, record
from tests.store.store_suite import StoreSuite, store

from gatepost.errors import SettingsError, StoreCorrupt, StoreError, StoreTooNew, StoreUnavailable
from gatepost.store import arrivals as a
from gatepost.store.base import BaseStore
from gatepost.store.check import check
from gatepost.store.postgres import PostgresStore
from gatepost.store.store import AlarmQuery, Arrival, RecordQuery, Stored
from gatepost.wire import User

__all__ = ["store"]


@pytest.fixture(params=["postgres", "begun"])
def open_store(request: pytest.FixtureRequest) -> Opener:
    opener: Opener = request.getfixturevalue(f"open_{request.param}")
    return opener


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
    other = store.ensure_terminal("SN-2", now_ms=0)
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


def test_a_stream_does_not_skip_what_commits_late(store: BaseStore, open_store: Opener) -> None:
    store.write([arrival(record(6)), arrival(record(7))])  # so that the two below have nothing new in common
    start = store.end_of_feed()
    slow = open_store()
    connection = connection_of(slow)
    with pytest.MonkeyPatch.context() as patch:
        # The slow process has begun, and inserted, and is not done yet.
        original = connection.execute

        def hold_back(query: object, *args: object, **kwargs: object) -> object:
            return original("SELECT 1") if query == "COMMIT" else original(query, *args, **kwargs)  # type: ignore[arg-type]

        patch.setattr(connection, "execute", hold_back)
        (late,) = slow.write([arrival(record(1))])
    (early,) = store.write([arrival(record(2))])
    assert late.id < early.id
    assert store.feed(start) == ([], start)
    page = store.records(RecordQuery(order="received"))
    assert [row.uuid for row in page.items] == ["uuid-000006", "uuid-000007"]
    connection.execute("COMMIT")
    items, _ = store.feed(start)
    assert [item.id for item in items] == [late.id, early.id]
    page = store.records(RecordQuery(order="received", cursor=page.next_cursor))
    assert [row.id for row in page.items] == [late.id, early.id]


def test_ids_go_on_above_what_was_restored_from_a_server_that_had_counted_further(
    open_store: Opener, store: BaseStore
) -> None:
    (stored,) = store.write([arrival(record(1))])
    further = stored.id + 4096 * 1_000_000
    connection_of(store).execute("UPDATE records SET id = %s WHERE id = %s", (further, stored.id))
    again = open_store()
    (later,) = again.write([arrival(record(2))])
    assert later.id > further
    items, _ = again.feed(0)
    assert [item.id for item in items] == [further, later.id]


def test_a_person_whom_another_process_erased_is_made_anew(open_store: Opener, store: BaseStore) -> None:
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
    made = other.ensure_terminal("SN-2", now_ms=0)
    site = other.create_site("b", "UTC", now_ms=0)
    other.update_terminal(1, site_id=site.id)
    store.write([arrival(record(1), made.id), arrival(record(6))])
    identities = {
        row.person.identity_id for row in store.records(RecordQuery(person="1")).items if row.person
    }
    assert len(identities) == 2


def test_more_than_one_transaction_holds_is_stored_in_several(store: BaseStore) -> None:
    stored = store.write([arrival(record(n)) for n in range(4500)])
    assert len({s.id for s in stored}) == 4500
    assert store.stats().records == 4500


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


def test_what_was_stored_is_there_after_the_server_was_killed(own_server: Postgres) -> None:
    store = PostgresStore.open(own_server.create())
    store.ensure_terminal("SN-1", now_ms=0)
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
    connection_of(store).execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreTooNew, match="9999"):
        open_store()
    assert connection_of(store).execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


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


def test_a_check_finds_nothing_wrong_with_what_several_processes_wrote(store: BaseStore) -> None:
    store.write([arrival(record(n), image=JPEG) for n in range(20)])
    url = connection_of(store).info
    database = f"postgresql://postgres:@/{url.dbname}?host={url.host}"
    assert check(database=database, folder=None).ok  # type: ignore[arg-type]  # no folder is looked at


def test_a_question_is_not_compiled(open_postgres: Opener) -> None:
    with open_postgres().reading() as db:
        assert db.execute(text("SHOW jit")).scalar_one() == "off"


def commit(store: BaseStore, batch: Sequence[Arrival]) -> list[Stored]:
    """Begin a batch, which must be possible, and commit it."""
    begun = store.begin(batch)
    assert begun is not None
    return begun()


@pytest.fixture
def warm(open_postgres: Opener) -> PostgresStore:
    """A store that knows the five people of the records, and two more."""
    store = open_postgres()
    assert isinstance(store, PostgresStore)
    store.ensure_terminal("SN-1", now_ms=0)
    assert store.begin([arrival(record(0))]) is None  # it remembers nothing yet
    store.write([arrival(record(number), image=JPEG if number % 2 else None) for number in range(10)])
    return store


def transactions(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is begun and ended from now on."""
    said: list[str] = []
    execute = psycopg.Connection.execute

    def noted(connection: Any, query: Any, *rest: Any, **options: Any) -> Any:
        if query in ("BEGIN", "COMMIT", "ROLLBACK"):
            said.append(query)
        return execute(connection, query, *rest, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", noted)
    return said


def test_what_is_all_new_is_written_at_once_and_as_in_steps(
    warm: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = transactions(warm, monkeypatch)
    numbers = range(20, 40)
    stored = commit(warm, [arrival(record(number), image=JPEG if number % 2 else None) for number in numbers])
    assert said == ["BEGIN", "COMMIT"]
    assert all(one.new for one in stored)
    rows = {row.id: row for row in warm.records(RecordQuery(limit=1000)).items}
    for number, one in zip(numbers, stored, strict=True):
        row = rows[one.id]
        assert row.uuid == f"uuid-{number:06d}"
        assert row.person is not None
        assert row.person.user_id == str(number % 5)
        assert warm.image(one.id) == (JPEG if number % 2 else None)
    (terminal,) = warm.terminals()
    assert (terminal.records, terminal.duplicates) == (30, 0)


def test_what_is_not_all_new_is_written_in_steps_and_so_are_the_next_ones(
    warm: PostgresStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said = transactions(warm, monkeypatch)
    stored = commit(warm, [arrival(record(number), image=JPEG) for number in range(5, 15)])
    assert [one.new for one in stored] == [False] * 5 + [True] * 5
    assert said.count("BEGIN") == 2  # the first of them was refused by the server
    assert caplog.records == []
    (terminal,) = warm.terminals()
    assert (terminal.records, terminal.duplicates) == (15, 5)
    said.clear()
    for number in range(100, 120):
        commit(warm, [arrival(record(number))])
    assert len(said) == 2 * 20
    assert warm.stats().records == 35


def test_what_was_worked_out_before_a_change_is_worked_out_anew(
    warm: PostgresStore, open_postgres: Opener
) -> None:
    begun = warm.begin([arrival(record(20)), arrival(record(21))])
    assert begun is not None
    other = open_postgres()
    with other.changing() as db:
        db.execute(text("UPDATE records SET identity_id = NULL"))
        db.execute(text("DELETE FROM identities"))
    assert [one.new for one in begun()] == [True, True]
    named = {row.uuid: row.person for row in warm.records(RecordQuery(limit=100)).items}
    assert named["uuid-000020"] is not None
    assert named["uuid-000020"].user_id == "0"


def test_one_batch_is_worked_out_while_another_one_is_not_yet_written(warm: PostgresStore) -> None:
    one, two = warm.begin([arrival(record(20))]), warm.begin([arrival(record(20)), arrival(record(21))])
    assert one is not None
    assert two is not None
    assert [stored.new for stored in one()] == [True]
    assert [stored.new for stored in two()] == [False, True]


@pytest.mark.parametrize("number", [5, 6])
def test_a_person_or_a_combination_of_codes_that_is_new_is_not_begun(
    warm: PostgresStore, number: int
) -> None:
    new = {5: record(50, user=User(user_id="new", name="新")), 6: record(50, entry_mode=9)}[number]
    assert warm.begin([arrival(new)]) is None
    assert warm.write([arrival(new)])[0].new
    assert commit(warm, [arrival(replace(new, uuid="again"))])[0].new


def test_what_no_index_can_hold_is_the_fault_of_the_event_and_not_of_the_server(
    warm: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(a, "LONGEST", 1_000_000)
    noise = random.Random(1).randbytes(6_000).hex()
    with pytest.raises(psycopg.errors.ProgramLimitExceeded):
        warm.write([arrival(record(50, user=User(user_id=noise)))])
    assert warm.write([arrival(record(51))])[0].new


def test_a_terminal_that_two_processes_see_at_an_address_was_there_at_the_later_time(
    open_postgres: Opener,
) -> None:
    one, two = open_postgres(), open_postgres()
    one.ensure_terminal("SN-1", now_ms=0)
    for number, (opened, at) in enumerate([(one, RECEIVED_MS + 9), (two, RECEIVED_MS)]):
        opened.write([arrival(record(number), bind_peer=True, received_at_ms=at)])
        assert opened.peers() == {("10.0.0.9", 1): RECEIVED_MS + 9}
