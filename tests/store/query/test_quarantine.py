from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.store.events import NOON, RECEIVED_MS, arrival, refused, sample, times, unknown
from tests.terminals import ensured

from gatepost.store.base import BaseStore
from gatepost.store.cursor import BadCursor, encode_cursor
from gatepost.store.interface import QuarantineQuery
from gatepost.store.query import quarantine as trouble
from gatepost.store.query.quarantine import MAX_REFUSED_OF_A_PEER
from gatepost.store.schema import tables as t


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    return store


def refusals(store: BaseStore) -> list[tuple[int, int, str, int, int]]:
    with store.reading() as db:
        return sorted(tuple(row) for row in db.execute(select(t.refusals)))


def refuse(store: BaseStore, paths: Sequence[str], *, now_ms: int) -> None:
    store.note_refused({refused(path): times(1, now_ms) for path in paths}, {})


def quarantine(store: BaseStore, *numbers: int) -> list[int]:
    return [stored.id for stored in store.write([arrival(unknown(number)) for number in numbers])]


def test_each_process_adds_to_its_own_refusals_and_the_last_one_is_when_it_was(store: BaseStore) -> None:
    with store.changing() as db:
        trouble.count_refused(db, {(1, "slow"): 2, (0, "slow"): 1}, writer=0, now_ms=5)
        trouble.count_refused(db, {(1, "slow"): 3}, writer=0, now_ms=7)
        trouble.count_refused(db, {(1, "slow"): 4}, writer=1, now_ms=6)
    assert refusals(store) == [(0, 0, "slow", 1, 5), (1, 0, "slow", 5, 7), (1, 1, "slow", 4, 6)]
    assert store.terminals()[0].refused == 9
    assert store.stats().refusals == {"slow": 10}


def test_of_a_reason_only_so_much_is_kept_as_tells_it_from_others(store: BaseStore) -> None:
    reason = "no\0" + "x" * 500
    with store.changing() as db:
        trouble.count_refused(db, {(1, reason): 1, (1, reason + "y"): 2}, writer=0, now_ms=5)
    assert refusals(store) == [(1, 0, "no\ufffd" + "x" * 97, 3, 5)]


def test_nothing_to_count_changes_nothing(store: BaseStore) -> None:
    with store.changing() as db:
        trouble.count_refused(db, {}, writer=0, now_ms=5)
        trouble.note_refused(db, {}, {})
    assert refusals(store) == []
    assert store.refused() == []


def test_refusals_are_told_apart_by_peer_reason_path_and_serial_and_the_latest_comes_first(
    store: BaseStore,
) -> None:
    one, two = refused("/a", serial="SN-1"), refused("/a")
    store.note_refused({one: times(1), two: times(2)}, {})
    store.note_refused({refused("/a", peer="10.0.0.8", serial="SN-1"): times(3, RECEIVED_MS + 1000)}, {})
    store.note_refused({two: times(4, RECEIVED_MS + 2000)}, {})
    rows = store.refused()
    assert [(row.peer, row.serial, row.count) for row in rows] == [
        ("10.0.0.9", None, 6),
        ("10.0.0.8", "SN-1", 3),
        ("10.0.0.9", "SN-1", 1),
    ]
    assert (rows[0].first_at, rows[0].last_at) == (NOON, NOON + timedelta(seconds=2))


def test_what_no_database_can_hold_is_shown_without_it(store: BaseStore) -> None:
    odd = refused("/\0\ud800", peer="::\0", serial="SN\0")
    store.note_refused({odd: times(detail="x\0" * 1000)}, {("::\0", "no JSON"): sample(b"\0\xff")})
    (row,) = store.refused()
    assert (row.peer, row.serial) == ("::\ufffd", "SN\ufffd")
    assert row.path.startswith("/\ufffd")
    assert (row.detail[:2], len(row.detail)) == ("x\ufffd", 300)
    kept = store.refusal_sample(row.sample_id or 0)
    assert kept is not None
    assert kept.content == b"\0\xff"


def test_beyond_the_bound_those_that_were_not_seen_for_longest_go(store: BaseStore) -> None:
    refuse(store, ["/kept", "/gone-1", "/gone-2"], now_ms=1)
    refuse(store, [f"/{number}" for number in range(MAX_REFUSED_OF_A_PEER - 3)], now_ms=2)
    assert len(store.refused()) == MAX_REFUSED_OF_A_PEER
    refuse(store, ["/kept"], now_ms=3)
    refuse(store, ["/new-1", "/new-2"], now_ms=4)
    rows = store.refused()
    assert len(rows) == MAX_REFUSED_OF_A_PEER
    assert {row.path for row in rows[:3]} == {"/new-1", "/new-2", "/kept"}
    assert not {"/gone-1", "/gone-2"} & {row.path for row in rows}


def test_the_bound_holds_for_paths_of_one_moment_too(store: BaseStore) -> None:
    refuse(store, ["/before"], now_ms=1)
    refuse(store, [f"/{number}" for number in range(MAX_REFUSED_OF_A_PEER + 30)], now_ms=2)
    rows = store.refused()
    assert len(rows) == MAX_REFUSED_OF_A_PEER
    assert "/before" not in {row.path for row in rows}


def test_pages_of_the_quarantine_follow_each_other_while_more_comes_in_and_goes_out(store: BaseStore) -> None:
    ids = quarantine(store, *range(6))
    first = store.quarantined(QuarantineQuery(limit=2))
    assert [row.id for row in first.items] == [ids[5], ids[4]]
    quarantine(store, 6)
    store.discard_quarantined([ids[3], ids[4]])
    second = store.quarantined(QuarantineQuery(limit=2, cursor=first.next_cursor))
    assert [row.id for row in second.items] == [ids[2], ids[1]]
    third = store.quarantined(QuarantineQuery(limit=2, cursor=second.next_cursor))
    assert ([row.id for row in third.items], third.next_cursor) == ([ids[0]], None)


def test_a_page_that_holds_all_that_there_is_has_no_next_one(store: BaseStore) -> None:
    assert store.quarantined(QuarantineQuery(limit=1)).next_cursor is None
    quarantine(store, 1, 2)
    assert store.quarantined(QuarantineQuery(limit=1)).next_cursor is not None
    assert store.quarantined(QuarantineQuery(limit=2)).next_cursor is None


@pytest.mark.parametrize(
    "cursor", ["", "x", encode_cursor("terminals", 0, 3), encode_cursor("quarantine", 3)]
)
def test_a_cursor_of_another_list_is_refused(store: BaseStore, cursor: str) -> None:
    with pytest.raises(BadCursor):
        store.quarantined(QuarantineQuery(cursor=cursor))


def test_chosen_ones_come_in_the_order_in_which_they_arrived_whatever_was_asked_for(store: BaseStore) -> None:
    one, two, three = quarantine(store, 1, 2, 3)
    assert [row.id for row in store.quarantined_by_id([three, 10**15, one, three])] == [one, three]
    assert store.quarantined_by_id([]) == []
    (row,) = store.quarantined_by_id([two])
    assert (row.received_at, row.serial, row.problems) == (NOON, "SN-1", ())


def test_what_was_discarded_comes_in_again_when_it_is_pushed_again(store: BaseStore) -> None:
    (one,) = quarantine(store, 1)
    assert store.discard_quarantined([]) == 0
    assert store.discard_quarantined([one, one]) == 1
    assert store.discard_quarantined([one]) == 0
    (again,) = store.write([arrival(unknown(1))])
    assert again.new
    assert [row.id for row in store.quarantined().items] == [again.id]


def test_a_try_is_counted_for_what_was_tried_and_nothing_else(store: BaseStore) -> None:
    one, two, three = quarantine(store, 1, 2, 3)
    for ids in ([one, three], [three], []):
        with store.changing() as db:
            trouble.tried_quarantined(db, ids)
    tries = {row.id: row.tries for row in store.quarantined().items}
    assert tries == {one: 1, two: 0, three: 2}
