from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy import exc as sa
from sqlalchemy.event import listen
from sqlalchemy.pool import QueuePool
from tests.store.events import NOON, RECEIVED_MS, alarm, arrival, record, unknown
from tests.terminals import ensured

from gatepost import wire
from gatepost.errors import StoreError, StoreUnavailable
from gatepost.store.base import BaseStore, unavailable
from gatepost.store.interface import AlarmQuery, FeedPage
from gatepost.store.schema import tables as t


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    return store


class Quoting(Exception):
    """What a driver says: the reason, and then the values."""

    def __str__(self) -> str:
        return "could not extend file\nDETAIL: Key (name)=(王五)"


@pytest.mark.parametrize("kind", [sa.OperationalError, sa.InterfaceError, sa.InternalError, sa.DatabaseError])
def test_a_database_that_is_away_full_or_busy_is_unavailable_and_its_values_are_not_quoted(
    kind: type[sa.DBAPIError],
) -> None:
    with pytest.raises(StoreUnavailable) as raised, unavailable():
        raise kind("INSERT INTO identities VALUES (?)", ("王五",), Quoting())
    assert str(raised.value) == "the store cannot be used now: could not extend file"
    assert isinstance(raised.value.__cause__, kind)


@pytest.mark.parametrize(
    "kind",
    [sa.IntegrityError, sa.DataError, sa.ProgrammingError, sa.NotSupportedError],
    ids=lambda kind: kind.__name__,
)
def test_what_a_row_itself_does_wrong_is_not_the_store_being_away(kind: type[sa.DBAPIError]) -> None:
    error = kind("INSERT", (), Quoting())
    with pytest.raises(kind) as raised, unavailable():
        raise error
    assert raised.value is error


@pytest.mark.parametrize("error", [ZeroDivisionError(), StoreError("no"), KeyboardInterrupt()])
def test_what_no_database_raised_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, unavailable():
        raise error
    assert raised.value is error


def test_more_readers_than_there_is_room_for_are_told_to_come_back() -> None:
    engine = create_engine("sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with engine.connect(), pytest.raises(StoreUnavailable, match="too many readers"), unavailable():
        engine.connect()
    engine.dispose()


def test_a_change_that_fails_half_way_leaves_nothing_behind(store: BaseStore) -> None:
    def half_of_it() -> None:
        with store.changing() as db:
            db.execute(t.sites.update().values(name="changed"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_of_it()
    assert [site.name for site in store.sites()] == ["default"]
    store.update_site(1, name="changed")
    assert [site.name for site in store.sites()] == ["changed"]


EACH_KIND = [
    [record(1), record(2), record(3)],
    [alarm("T", 1), alarm("T", 3), alarm("T", 2)],
    [unknown(1), unknown(2), unknown(3)],
]


@pytest.mark.parametrize("kind", EACH_KIND, ids=["record", "alarm", "unknown"])
@pytest.mark.parametrize("others", [0, 30])
def test_for_which_terminal_an_event_was_stored_is_known_by_its_key_and_the_address(
    store: BaseStore, kind: list[wire.Event], others: int
) -> None:
    other = ensured(store, "SN-2", now_ms=0)
    # So many at once that the records among them are in no index at first.
    store.write([arrival(record(1000 + n)) for n in range(others)])
    first, second = arrival(kind[0]), arrival(kind[1], other.id, peer="10.0.0.8")
    store.write([first, second])
    assert store.holders(first.event, first.key, "10.0.0.9") == [1]
    assert store.holders(second.event, second.key, "10.0.0.8") == [other.id]
    assert store.holders(first.event, first.key, "10.0.0.8") == []
    third = arrival(kind[2])
    assert store.holders(third.event, third.key, "10.0.0.9") == []


@pytest.mark.parametrize("event", [kind[0] for kind in EACH_KIND], ids=["record", "alarm", "unknown"])
def test_to_ask_for_which_terminal_an_event_was_stored_reads_no_table_of_events(
    open_sqlite: Callable[[], BaseStore], event: wire.Event
) -> None:
    store = open_sqlite()
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        asked.append((statement, values))

    listen(store._engine, "before_cursor_execute", note)
    store.holders(event, arrival(event).key, "10.0.0.9")
    statement, values = asked[-1]
    with store.reading() as db:
        plan = [row[3] for row in db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    looks = [line for line in plan if "terminal_id=? AND key=?" in line and line.startswith("SEARCH")]
    assert len(looks) == 1, plan
    assert [line for line in plan if line.startswith("SCAN") and "terminals" not in line] == []


def test_the_latest_acknowledgement_counts_and_its_note_is_what_a_database_can_hold(store: BaseStore) -> None:
    store.write([arrival(alarm())])
    (row,) = store.alarms(AlarmQuery()).items
    assert store.acknowledge_alarm(row.id, by="ada", note="looked", now_ms=1)
    assert store.acknowledge_alarm(row.id, by="bob", note="fixed\0", now_ms=RECEIVED_MS)
    now = store.alarm(row.id)
    assert now is not None
    assert (now.acknowledged_by, now.note, now.acknowledged_at) == ("bob", "fixed\ufffd", NOON)
    assert store.alarm(10**15) is None


def test_a_follower_that_begins_at_the_end_sees_what_comes_later_and_nothing_else(store: BaseStore) -> None:
    store.write([arrival(record(1))])
    end = store.end_of_feed()
    assert store.read_feed(end) == FeedPage((), end, {})
    store.write([arrival(unknown(1)), arrival(record(2)), arrival(alarm())])
    happened, place = store.happened(end)
    assert [item.kind for item, _ in happened] == ["record", "alarm"]
    assert place > end
