"""An error of the store tells whether the event is at fault, or nothing can be stored now."""

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from tests.store.conftest import Opener
from tests.store.events import arrival, record
from tests.terminals import ensured

from gatepost.errors import StoreError, StoreUnavailable
from gatepost.store.base import BaseStore
from gatepost.store.interface import Arrival
from gatepost.store.sqlite.store import SqliteStore

GOOD = arrival(record(2))
BAD: dict[str, Callable[[], Arrival]] = {
    "half a character": lambda: replace(GOOD, peer="half \ud800"),
    "a time beyond 64 bits": lambda: replace(GOOD, received_at_ms=1 << 63),
    "a code beyond 64 bits": lambda: replace(GOOD, event=record(2, mask=1 << 70)),
    "no number": lambda: replace(GOOD, event=record(2, score=object())),
    "no text": lambda: replace(GOOD, peer=object()),
}
SQLITE = {"too long": lambda: replace(GOOD, original=b" " * 200_000)}
POSTGRES = {"a NUL": lambda: replace(GOOD, peer="NUL \0")}


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> BaseStore:
    opener: Opener = request.getfixturevalue(f"open_{request.param}")
    store = opener()
    ensured(store, "SN-1", now_ms=0)
    if isinstance(store, SqliteStore):
        store._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100_000)
    return store


def test_a_value_that_the_database_does_not_hold_is_the_fault_of_the_event(store: BaseStore) -> None:
    """Else it would be written again for ever, and all the others with it."""
    number = 10
    bad = BAD | (SQLITE if isinstance(store, SqliteStore) else POSTGRES)
    for what, make in bad.items():
        number += 2
        good = [arrival(record(number)), arrival(record(number + 1))]
        for batch in ([good[0], make(), good[1]], [make()]):
            error: Any = None
            try:
                store.write(batch)
            except Exception as raised:
                error = raised
            assert error is not None, what
            assert not isinstance(error, StoreError), (what, error)
        assert [row.new for row in store.write(good)] == [True, True]


def test_a_table_that_is_gone_and_a_right_that_is_taken_away_are_no_events_fault(
    open_postgres: Opener,
) -> None:
    store = open_postgres()
    ensured(store, "SN-1", now_ms=0)
    store.write([arrival(record(1))])
    with store.changing() as db:
        db.execute(text("ALTER TABLE records RENAME TO hidden"))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            store.write([arrival(record(2))])
    with store.changing() as db:
        db.execute(text("ALTER TABLE hidden RENAME TO records"))
        db.execute(text("CREATE ROLE nothing NOLOGIN"))
    store._connect().execute("SET ROLE nothing")
    store._connect().commit()
    with pytest.raises(StoreUnavailable):
        store.write([arrival(record(2))])
    assert store.write([arrival(record(2))])[0].new  # on another connection
    with store.changing() as db:
        db.execute(text("DROP ROLE nothing"))


def test_a_store_that_was_closed_is_away_and_no_events_fault(open_sqlite: Opener) -> None:
    store = open_sqlite()
    assert isinstance(store, SqliteStore)
    store._db.close()
    with pytest.raises(StoreUnavailable):
        store.write([arrival(record(1))])
