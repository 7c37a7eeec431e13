from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.store.events import NOON, RECEIVED_MS, arrival, record, unknown

from gatepost.store.base import BaseStore
from gatepost.store.cursor import BadCursor
from gatepost.store.interface import EVERYTHING, TerminalRow
from gatepost.store.terminals import registry


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    store = open_store()
    store.create_site("Berlin", "Europe/Berlin", now_ms=0)
    for number in range(1, 6):
        store.create_terminal(now_ms=0, serial=f"SN-{number}", site_id=1 + number % 2)
    return store


def serials(store: BaseStore, *, limit: int, **query: object) -> list[list[str | None]]:
    """Every page."""
    pages = []
    cursor = None
    while True:
        with store.reading() as db:
            page = registry.terminals_page(db, EVERYTHING, limit=limit, cursor=cursor, **query)  # type: ignore[arg-type]
        pages.append([row.serial for row in page.items])
        cursor = page.next_cursor
        if cursor is None:
            return pages


def one(store: BaseStore, terminal_id: int) -> TerminalRow:
    with store.reading() as db:
        row = registry.terminal(db, terminal_id)
    assert row is not None
    return row


def test_terminals_come_page_by_page_in_the_order_in_which_they_appeared(store: BaseStore) -> None:
    assert serials(store, limit=2) == [["SN-1", "SN-2"], ["SN-3", "SN-4"], ["SN-5"]]
    assert serials(store, limit=5) == [["SN-1", "SN-2", "SN-3", "SN-4", "SN-5"]]
    assert serials(store, limit=2, site_id=2) == [["SN-1", "SN-3"], ["SN-5"]]
    store.update_terminal(3, state="held")
    assert serials(store, limit=9, state="held") == [["SN-3"]]
    assert serials(store, limit=1, state="approved", site_id=2) == [["SN-1"], ["SN-5"]]
    assert serials(store, limit=1, site_id=9) == [[]]
    with store.reading() as db, pytest.raises(BadCursor):
        registry.terminals_page(db, EVERYTHING, cursor="x")


def test_when_the_last_late_event_arrived_is_kept_through_what_is_punctual(store: BaseStore) -> None:
    def arrives(number: int, *, after_s: int, at_ms: int) -> None:
        event = record(
            number, recorded_at=NOON + timedelta(milliseconds=at_ms - RECEIVED_MS, seconds=-after_s)
        )
        store.write([arrival(event, 1, received_at_ms=at_ms)])

    arrives(1, after_s=600, at_ms=RECEIVED_MS)
    assert (one(store, 1).late, one(store, 1).late_at) == (0, None)
    arrives(2, after_s=601, at_ms=RECEIVED_MS + 1000)
    arrives(3, after_s=0, at_ms=RECEIVED_MS + 2000)
    assert (one(store, 1).late, one(store, 1).late_at) == (1, NOON + timedelta(seconds=1))
    arrives(4, after_s=9999, at_ms=RECEIVED_MS + 3000)
    assert (one(store, 1).late, one(store, 1).late_at) == (2, NOON + timedelta(seconds=3))
    assert one(store, 2).late_at is None


def test_refusals_are_told_by_reason(store: BaseStore) -> None:
    store.count_refused({(1, "too large"): 2, (1, "address"): 1, (2, "address"): 5}, now_ms=0)
    store.count_refused({(1, "too large"): 3}, now_ms=1)
    with store.reading() as db:
        assert registry.refusals(db, 1) == {"address": 1, "too large": 5}
        assert registry.refusals(db, 3) == {}


def test_disagreements_are_told_with_how_often_and_since_when(store: BaseStore) -> None:
    for number, said in enumerate(("SN-8", "SN-9", "SN-8")):
        event = unknown(number)
        at = RECEIVED_MS + number * 1000
        store.write([arrival(event, 1, received_at_ms=at, disagreements=(("header", said),))])
    with store.reading() as db:
        found = registry.disagreements(db, 1)
        assert registry.disagreements(db, 2) == []
    assert [(row.source, row.said, row.count) for row in found] == [
        ("header", "SN-8", 2),
        ("header", "SN-9", 1),
    ]
    assert (found[0].first_at, found[0].last_at) == (NOON, NOON + timedelta(seconds=2))


def test_names_are_stored_without_what_a_database_cannot_hold(store: BaseStore) -> None:
    store.update_terminal(1, name="a\0b")
    store.update_site(2, name="a\0b")
    site = store.create_site("c\0d", "UTC", now_ms=0)
    assert one(store, 1).name == "a\ufffdb"
    assert [row.name for row in store.sites()] == ["default", "a\ufffdb", "c\ufffdd"]
    assert site.name == "c\ufffdd"
