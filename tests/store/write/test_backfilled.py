"""Records that a terminal pushed and that were fetched from its history are listed once, on either database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.events import JPEG, NOON, RECEIVED_MS, arrival, record
from tests.terminals import ensured

from gatepost import wire
from gatepost.store.base import BaseStore
from gatepost.store.interface import Arrival, RecordQuery, RecordRow
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.query.dashboard import heard_of
from gatepost.store.types.lists import EVERYTHING
from gatepost.store.write.backfilled import GAP_S, likeness, spans

LATER_MS = RECEIVED_MS + 3_600_000


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    store = open_store()
    for serial in ("SN-1", "SN-2"):
        ensured(store, serial, now_ms=RECEIVED_MS)
    return store


def fetched(number: int = 1, *, alike: int = 1, terminal_id: int = 1, **fields: Any) -> Arrival:
    return arrival(record(number, **fields), terminal_id, alike=alike, received_at_ms=LATER_MS)


def pushed(number: int = 1, *, image: bytes | None = None, **fields: Any) -> Arrival:
    return arrival(record(number, **fields), image=image)


def rows(store: BaseStore) -> Sequence[RecordRow]:
    return sorted(store.records(RecordQuery()).items, key=lambda row: row.id)


def test_a_fetched_record_is_listed_and_marked(store: BaseStore) -> None:
    assert [one.new for one in store.write([fetched(), pushed(2)])] == [True, True]
    assert [row.backfilled for row in rows(store)] == [True, False]


def test_the_same_key_is_one_record_whichever_came_first(store: BaseStore) -> None:
    store.write([pushed(1)])
    assert not store.write([fetched(1)])[0].new
    store.write([fetched(2)])
    assert not store.write([pushed(2)])[0].new
    assert [one.new for one in store.write([fetched(3), pushed(3)])].count(True) == 1
    assert [row.backfilled for row in rows(store)] == [False, True, False]


CUT = {"recorded_at": NOON + timedelta(seconds=9)}
EXACT = {"recorded_at": NOON + timedelta(seconds=9, milliseconds=250)}
"""A passage in the history, and as it was pushed."""


def test_history_without_milliseconds_and_ids_is_what_was_pushed(store: BaseStore) -> None:
    store.write([pushed(9, **EXACT, image=JPEG)])
    renamed = wire.User(user_id="4", name="another name", type=1)
    assert not store.write([fetched(9, **CUT, uuid=None, user=renamed)])[0].new
    (row,) = rows(store)
    assert (row.backfilled, row.has_image) == (False, True)
    assert row.person is not None
    assert row.person.name == "王4"


def test_a_push_wins_and_is_a_duplicate_however_often_it_comes(store: BaseStore) -> None:
    (first,) = store.write([fetched(9, **CUT, uuid=None)])
    for _ in range(3):
        (again,) = store.write([pushed(9, **EXACT)])
        assert (again.new, again.id) == (False, first.id)
    assert not store.write([fetched(9, **CUT, uuid=None)])[0].new
    assert len(rows(store)) == 1


def test_another_push_that_is_alike_is_another_record(store: BaseStore) -> None:
    store.write([fetched(9, **CUT, uuid=None)])
    one, other = pushed(9, **EXACT), pushed(9, uuid="uuid-another", **EXACT)
    assert [found.new for found in store.write([one, one, other, other])] == [False, False, True, False]
    assert len(rows(store)) == 2


def test_a_push_of_the_same_key_leaves_no_room_for_another(store: BaseStore) -> None:
    store.write([fetched(9)])
    store.write([pushed(9)])
    assert store.write([pushed(9, uuid="uuid-another")])[0].new
    assert len(rows(store)) == 2


def test_two_that_are_alike_are_two(store: BaseStore) -> None:
    store.write([pushed(9, **EXACT)])
    twice = [fetched(9, uuid=f"uuid-of-history-{n}", alike=2, **CUT) for n in range(2)]
    assert [one.new for one in store.write(twice)].count(True) == 1
    assert not any(one.new for one in store.write(twice))
    assert len(rows(store)) == 2


def test_of_two_alike_the_one_is_fetched_that_is_not_here(store: BaseStore) -> None:
    store.write([pushed(9, uuid="uuid-second")])
    for name in ("uuid-second", "uuid-first"):
        store.write([fetched(9, uuid=name, alike=2)])
    assert {row.uuid for row in rows(store)} == {"uuid-first", "uuid-second"}


@pytest.mark.parametrize(
    "other",
    [
        {"recorded_at": NOON + timedelta(seconds=10)},
        {"user": wire.User(user_id="5", name="王4")},
        {"entry_mode": 3},
        {"user": None},
    ],
)
def test_what_is_not_alike_is_another_record(store: BaseStore, other: dict[str, Any]) -> None:
    store.write([pushed(9)])
    assert store.write([fetched(9, **({"uuid": None} | other))])[0].new


def test_another_terminals_record_is_another_one(store: BaseStore) -> None:
    store.write([pushed(9)])
    assert store.write([fetched(9, terminal_id=2)])[0].new


def test_a_record_without_a_time_counts_by_its_key(store: BaseStore) -> None:
    store.write([pushed(9, recorded_at=None)])
    assert not store.write([fetched(9, recorded_at=None)])[0].new
    assert store.write([fetched(9, recorded_at=None, uuid="uuid-another")])[0].new


def test_a_clock_in_the_future_is_matched_by_its_own_time(store: BaseStore) -> None:
    """Such a record is listed by its receipt, and its time is another one."""
    ahead = {"recorded_at": NOON + timedelta(days=40)}
    store.write([pushed(9, **ahead)])
    assert not store.write([fetched(9, **ahead, uuid=None)])[0].new


def test_what_was_fetched_says_nothing_of_when_a_terminal_pushed(store: BaseStore) -> None:
    store.write([fetched(1), fetched(2, terminal_id=2)])
    store.write([pushed(3)])
    first, second = store.terminals()
    assert (first.records, second.records) == (2, 1)
    assert (first.late, first.late_at, second.last_seen, second.interval_ms) == (0, None, None, None)
    assert first.last_seen == NOON
    with store.reading() as db:
        assert [one.last_seen for one in heard_of(db, EVERYTHING)] == [NOON, None]


def test_an_erasure_holds_for_what_is_fetched_later(store: BaseStore) -> None:
    wang = wire.User(user_id="42", name="王小明", type=1)
    store.write([pushed(1, user=wang)])
    erase(store, Whom(user_id="42"), now_ms=RECEIVED_MS + 60_000)
    before = [fetched(1, user=wang, uuid=None), fetched(2, user=wang)]
    after = fetched(90, user=wang)
    assert [one.new for one in store.write([*before, after])] == [False, True, True]
    assert [row.person is not None for row in rows(store)] == [False, False, True]


@given(st.sets(st.integers(0, 20_000)))
def test_spans_have_every_second_and_no_long_gap(seconds: set[int]) -> None:
    found = list(spans(seconds))
    assert {one for begin, end in found for one in seconds if begin <= one <= end} == seconds
    assert all(second[0] - first[1] > GAP_S for first, second in pairwise(found))


def test_a_person_without_a_number_is_known_by_the_next_one() -> None:
    found = likeness(record(1, user=wire.User(user_id="", name="n", ic_number="IC")))
    assert found is not None
    assert found.number == "IC"


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2), (2, 0, 3, 1)])
@pytest.mark.parametrize("together", [True, False])
def test_in_every_order_two_passages_are_two_records(
    store: BaseStore, order: tuple[int, ...], together: bool
) -> None:
    """Pushed with milliseconds and fetched without, both alike, in one batch or in several."""
    pushes = [pushed(9, **EXACT), pushed(9, uuid="uuid-another", **EXACT)]
    history = [fetched(9, uuid=f"uuid-of-history-{n}", alike=2, **CUT) for n in range(2)]
    every = [*pushes, *history]
    batches = [[every[place] for place in order]] if together else [[every[place]] for place in order]
    for _ in range(2):
        for batch in batches:
            store.write(batch)
    assert len(rows(store)) == 2
