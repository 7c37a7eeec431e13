"""The records of every kind that questions are asked about."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from benchmarks.varied import RARE_NAME, Varied, stock

from gatepost.store.interface import AlarmQuery, RecordQuery
from gatepost.store.sqlite.store import SqliteStore

NOW = 1_700_000_000


@pytest.fixture
def stocked(tmp_path: Path) -> Iterator[tuple[SqliteStore, Varied]]:
    with closing(SqliteStore.open(tmp_path / "data")) as store:
        yield store, stock(store, 2_000, now=NOW)


def test_what_was_asked_for_is_stored_over_a_year(stocked: tuple[SqliteStore, Varied]) -> None:
    store, known = stocked
    assert store.stats().records == 2_000
    assert known.ends - known.begins == timedelta(days=365) == 2_000 * known.step
    assert (known.month, known.day) == ("2023-10", "2023-11-11")


def test_what_is_rare_is_old_and_what_is_silent_has_sent_nothing(stocked: tuple[SqliteStore, Varied]) -> None:
    store, known = stocked
    rare = store.records(RecordQuery(name=RARE_NAME)).items
    assert 0 < len(rare) < 20
    assert max(row.at for row in rare) < known.begins + 400 * known.step
    assert len(store.records(RecordQuery(terminal=known.rare_terminal)).items) == 40
    assert store.records(RecordQuery(terminal=known.silent_terminal)).items == ()
    assert len(store.alarms(AlarmQuery(acknowledged=True)).items) > 0
