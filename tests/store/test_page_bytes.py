"""A page has so many bytes, however large the rows are that strangers sent, and none is skipped or repeated."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from tests.store.events import RECEIVED_MS, alarm, arrival, record, unknown
from tests.terminals import ensured

from gatepost import wire
from gatepost.store.base import BaseStore
from gatepost.store.interface import AlarmQuery, Page, QuarantineQuery, RecordQuery
from gatepost.store.page_bytes import PAGE_BYTES, fitting
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Rules
from gatepost.store.query.alarms import MAX_STEPS

LARGE = b"x" * (1024 * 1024)


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> Iterator[BaseStore]:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    yield store
    store.close()


def pages(ask: Callable[[str | None], Page[Any]]) -> list[list[Any]]:
    """Every page that has something on it."""
    found, cursor = [], None
    while True:
        page = ask(cursor)
        cursor = page.next_cursor
        if page.items:
            found.append(list(page.items))
        if cursor is None or not page.items:
            return found


def test_so_many_rows_fit_and_one_always_does() -> None:
    half = PAGE_BYTES // 2
    assert fitting([]) == 0
    assert fitting([10 * PAGE_BYTES]) == 1
    assert fitting([half, half, 1]) == 2
    assert fitting([1, 10 * PAGE_BYTES]) == 1
    assert fitting([1] * 1000) == 1000


@pytest.mark.parametrize("order", ["newest", "oldest", "received"])
def test_a_page_of_records_ends_early(store: BaseStore, order: Any) -> None:
    store.write([arrival(record(number), original=LARGE) for number in range(10)])
    found = pages(lambda cursor: store.records(RecordQuery(order=order, limit=1000, cursor=cursor)))
    assert [len(page) for page in found] == [3, 3, 3, 1]
    ids = [row.id for page in found for row in page]
    assert sorted(ids, reverse=order == "newest") == ids
    assert len(set(ids)) == 10


def test_a_page_of_the_quarantine_ends_early(store: BaseStore) -> None:
    store.write([replace(arrival(unknown(number)), original=LARGE) for number in range(10)])
    found = pages(lambda cursor: store.quarantined(QuarantineQuery(limit=1000, cursor=cursor)))
    assert [len(page) for page in found] == [3, 3, 3, 1]
    assert len({row.id for page in found for row in page}) == 10


def test_a_page_of_alarms_ends_early(store: BaseStore) -> None:
    store.write([arrival(alarm(f"trace-{number}"), original=LARGE) for number in range(10)])
    found = pages(lambda cursor: store.alarms(AlarmQuery(limit=1000, cursor=cursor)))
    assert [len(page) for page in found] == [3, 3, 3, 1]
    assert len({row.id for page in found for row in page}) == 10


def test_an_alarm_with_any_number_of_steps_shows_the_latest(store: BaseStore) -> None:
    for start in range(0, MAX_STEPS + 100, 100):
        store.write(
            [
                arrival(
                    alarm(description=f"{number}"),
                    key=number.to_bytes(16),
                    received_at_ms=RECEIVED_MS + number,
                )
                for number in range(start, start + 100)
            ]
        )
    (row,) = store.alarms(AlarmQuery()).items
    assert len(row.history) == MAX_STEPS


def test_of_an_alarm_with_large_steps_the_latest_have_their_original(store: BaseStore) -> None:
    store.write([arrival(alarm(status=step), original=LARGE, key=bytes([step]) * 16) for step in (1, 2, 3)])
    store.write(
        [
            arrival(alarm(status=1, description=f"{n}"), original=LARGE, key=bytes([n]) * 16)
            for n in range(4, 9)
        ]
    )
    (row,) = store.alarms(AlarmQuery()).items
    assert len(row.history) == 8
    assert sum(step.original is not None for step in row.history) == 4


def test_the_live_stream_reads_a_page_at_a_time_and_skips_nothing(store: BaseStore) -> None:
    store.write([arrival(record(number), original=LARGE) for number in range(6)])
    store.write([arrival(alarm("trace"), original=LARGE)])
    seen, place, sizes = [], 0, []
    while True:
        happened, place = store.happened(place)
        if not happened:
            break
        sizes.append(len(happened))
        seen += [item.id for item, _ in happened]
    assert sizes == [3, 3, 1]
    assert seen == sorted(set(seen))
    assert len(seen) == 7
    assert [row.id for row in store.latest_records(50)] == seen[5:2:-1]


def test_a_page_of_people_ends_early(store: BaseStore) -> None:
    groups = tuple(wire.Group(f"{n}", "g" * 500, {"x": "y" * 9000}) for n in range(100))
    people = [wire.User(user_id=f"{n}", name=f"{n}", groups=groups) for n in range(10)]
    store.write([arrival(record(n, user=user), original=b"{}") for n, user in enumerate(people)])
    rules = Rules()
    found = pages(lambda cursor: People(store, rules).page(PeopleQuery(limit=1000, cursor=cursor)))
    assert len(found) > 2
    assert len({person.user_id for page in found for person in page}) == 10
