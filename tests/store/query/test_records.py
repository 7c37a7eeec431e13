"""Pages are found by an index, whatever is asked for."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from tests.store.conftest import Opener
from tests.store.events import NOON, arrival, record
from tests.terminals import ensured

from gatepost.store.base import BaseStore
from gatepost.store.interface import AlarmQuery, RecordQuery
from gatepost.store.query import record_search
from gatepost.store.sqlite.store import SqliteStore
from gatepost.wire import User

FILTERS: dict[str, Any] = {
    "since": NOON,
    "until": NOON + timedelta(days=1),
    "terminal": "SN-1",
    "site_id": 1,
    "person": "3",
    "name": "王",
    "job_number": "J1",
    "recognition_type": 3,
    "passed": False,
    "abnormal_type": 20001,
    "entry_mode": 42,
    "has_image": True,
    "q": "J",
}


@pytest.fixture
def store(open_sqlite: Opener) -> SqliteStore:
    store = open_sqlite()
    assert isinstance(store, SqliteStore)
    ensured(store, "SN-1", now_ms=0)
    for start in range(0, 600, 100):
        store.write([arrival(record(n, entry_mode=1 + n % 3)) for n in range(start, start + 100)])
    return store


def plans(
    store: SqliteStore, query: RecordQuery | AlarmQuery, *, only: str = "", counts: bool = False
) -> list[str]:
    """Return how SQLite executes every statement of a query, or those with ``only`` in them; ``counts``: to count."""
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "WITH")):
            asked.append((statement, values))

    event.listen(store._engine, "before_cursor_execute", note)
    if counts:
        assert isinstance(query, RecordQuery)
        store.count_records(query)
    elif isinstance(query, RecordQuery):
        store.records(query)
    else:
        store.alarms(query)
    event.remove(store._engine, "before_cursor_execute", note)
    with store.reading() as db:
        return [
            row[3]
            for statement, values in asked
            if only in statement
            for row in db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]


@pytest.mark.parametrize("order", ["newest", "oldest", "received"])
@pytest.mark.parametrize("one", FILTERS)
def test_no_filter_makes_a_page_read_all_records(store: SqliteStore, order: str, one: str) -> None:
    for two in FILTERS:
        query = RecordQuery(order=order, **{one: FILTERS[one], two: FILTERS[two]})  # type: ignore[arg-type]
        scans = [line for line in plans(store, query) if line.startswith("SCAN") and "records" in line]
        # In order of arrival a page is read from the cursor on, by the primary key.
        assert scans == [] or order == "received", (one, two, scans)


@pytest.mark.parametrize("one", FILTERS)
def test_no_filter_is_counted_by_reading_all_records(store: SqliteStore, one: str) -> None:
    for two in FILTERS:
        query = RecordQuery(**{one: FILTERS[one], two: FILTERS[two]})  # type: ignore[arg-type]
        looks = [line for line in plans(store, query, counts=True) if re.search(r"\brecords\b", line)]
        assert all(line.startswith("SEARCH") for line in looks), (one, two, looks)


def test_the_thousandth_page_begins_where_it_begins(store: SqliteStore) -> None:
    page = store.records(RecordQuery(limit=50))
    lines = plans(store, RecordQuery(limit=50, cursor=page.next_cursor))
    assert any("ix_records_facet_id_at_ms (facet_id=? AND at_ms<?)" in line for line in lines), lines


@pytest.mark.parametrize("order", ["newest", "oldest", "received"])
def test_only_the_order_of_arrival_asks_what_is_settled(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch, order: Any
) -> None:
    store: BaseStore = open_store()
    asked: list[str] = []
    horizon = store.horizon

    def ask(db: Connection) -> int:
        asked.append(order)
        return horizon(db)

    monkeypatch.setattr(store, "horizon", ask)
    store.records(RecordQuery(order=order))
    assert asked == (["received"] if order == "received" else [])


def test_records_near_are_counted_by_an_index_alone(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_search, "_FEW", 1)
    lines = plans(store, RecordQuery(name="王", passed=True), only="count(*)")
    looks = [line for line in lines if "records" in line]
    assert looks
    assert all("COVERING INDEX ix_records_facet_id_at_ms" in line for line in looks), lines


def test_many_people_with_another_filter_are_looked_for_among_what_it_leaves(open_store: Opener) -> None:
    store: BaseStore = open_store()
    ensured(store, "SN-1", now_ms=0)
    batch = []
    for n in range(300):
        who = User(user_id=str(n % 100), name=f"王{n % 100}")
        batch.append(arrival(record(n, user=who, entry_mode=3 if n % 60 == 7 else 1)))
    store.write(batch)
    found = store.records(RecordQuery(name="王", entry_mode=3)).items
    assert [row.uuid for row in found] == [
        "uuid-000247",
        "uuid-000187",
        "uuid-000127",
        "uuid-000067",
        "uuid-000007",
    ]
    assert len(store.records(RecordQuery(name="王", terminal="SN-1", limit=500)).items) == 300
    assert len(store.records(RecordQuery(name="王", site_id=1, limit=500)).items) == 300
    with store.reading() as db:
        assert db.execute(text("SELECT count(*) FROM identities")).scalar_one() == 100
