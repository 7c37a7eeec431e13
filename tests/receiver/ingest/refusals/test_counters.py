from pathlib import Path
from typing import Any

import pytest
from tests.receiver.kit import opened
from tests.terminals import ensured

from gatepost.receiver.ingest.refusals.counters import MAX_KEYS, Tally
from gatepost.store.sqlite.store import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = opened(tmp_path / "data")
    yield store
    store.close()


def flush(tally: Tally, store: SqliteStore, *, now_ms: int) -> None:
    store.count_refused(tally.take(), now_ms=now_ms)


def test_counts_reach_the_store_once(store: SqliteStore) -> None:
    tally = Tally()
    terminal = ensured(store, "SN-1", now_ms=0)
    tally.refused(terminal.id, "too large")
    tally.refused(terminal.id, "too large")
    tally.refused(None, "no JSON")
    flush(tally, store, now_ms=1000)
    flush(tally, store, now_ms=2000)
    assert store.terminals()[0].refused == 2
    assert store.stats().refusals == {"too large": 2, "no JSON": 1}


def test_a_store_that_is_away_loses_no_count(store: SqliteStore) -> None:
    tally = Tally()
    tally.refused(None, "no JSON")
    tally.put_back(tally.take())
    tally.refused(None, "no JSON")
    flush(tally, store, now_ms=2000)
    assert store.stats().refusals == {"no JSON": 2}


def test_counts_of_a_terminal_that_the_store_does_not_have_yet_wait_for_it(store: SqliteStore) -> None:
    ids: dict[int, int] = {}
    tally = Tally(ids.get)
    for _ in range(2):
        tally.refused(-1, "no JSON")
        flush(tally, store, now_ms=1)
    ids[-1] = ensured(store, "SN-1", now_ms=0).id
    flush(tally, store, now_ms=2)
    flush(tally, store, now_ms=3)
    assert store.terminals()[0].refused == 2


def test_memory_stays_bounded_whatever_is_sent(store: SqliteStore) -> None:
    tally = Tally()
    for number in range(3 * MAX_KEYS):
        tally.refused(number + 1, "no JSON")
    assert tally.by_reason.total() == 3 * MAX_KEYS
    flush(tally, store, now_ms=1000)
    assert store.stats().refusals == {"no JSON": 3 * MAX_KEYS}
