"""What can be counted at a glance, on both databases."""

from datetime import timedelta

import pytest
from tests.store.conftest import Opener
from tests.store.events import JPEG, NOON, RECEIVED_MS, alarm, arrival, record

from gatepost.store.interface import EVERYTHING, Store
from gatepost.store.query import dashboard
from gatepost.wire.codes import AlarmStatus


@pytest.fixture
def store(open_store: Opener) -> Store:
    """Either database, empty."""
    return open_store()


def filled(store: Store) -> dict[str, int]:
    """Two terminals, one of them held."""
    ids = {
        "open": store.create_terminal(now_ms=0, serial="SN-1").id,
        "held": store.create_terminal(now_ms=0, serial="SN-2", state="held").id,
    }
    for name, terminal in ids.items():
        store.write(
            [
                arrival(record(1), terminal),
                arrival(record(2, passed=False, abnormal_type=20002), terminal),
                arrival(record(3, recognition_type=3, user=None, passed=False), terminal),
                arrival(record(4, recorded_at=NOON - timedelta(days=2)), terminal),
                arrival(alarm(f"{name}-1"), terminal),
                arrival(alarm(f"{name}-2"), terminal),
                arrival(alarm(f"{name}-2", int(AlarmStatus.CLEARED)), terminal),
            ]
        )
    return ids


def test_records_since_a_moment_are_counted_by_how_they_went(store: Store) -> None:
    filled(store)
    with store.reading() as db:
        found = dashboard.since(db, NOON - timedelta(hours=1), EVERYTHING)
    assert found == dashboard.Since(records=3, refused=2, strangers=1, abnormal=1)


def test_terminals_are_counted_by_state_and_tell_when_they_were_heard_of(store: Store) -> None:
    filled(store)
    store.create_terminal(now_ms=0, serial="SN-3")
    with store.reading() as db:
        assert dashboard.states(db, EVERYTHING) == {"approved": 2, "held": 1}
        heard = dashboard.heard_of(db, EVERYTHING)
    assert sorted(one.last_seen is not None for one in heard) == [False, True]


def test_the_latest_to_arrive_come_first_without_those_of_held_terminals(store: Store) -> None:
    ids = filled(store)
    last = store.write([arrival(record(9, recorded_at=NOON - timedelta(days=9)), ids["open"])])[0].id
    store.write([arrival(record(10), ids["held"])])
    with store.reading() as db:
        assert dashboard.latest(db, 3, EVERYTHING)[0] == last
        assert len(dashboard.latest(db, 100, EVERYTHING)) == 5


def test_a_portrait_is_the_latest_image_of_a_person(store: Store) -> None:
    terminal = store.create_terminal(now_ms=0, serial="SN-1").id
    stored = store.write(
        [
            arrival(record(1, image=JPEG), terminal),
            arrival(record(6, image=JPEG), terminal),
            arrival(record(11), terminal, received_at_ms=RECEIVED_MS + 1),
        ]
    )
    found = store.record(stored[1].id)
    assert found is not None
    assert found.person is not None
    with store.reading() as db:
        assert dashboard.portrait(db, [found.person.identity_id], EVERYTHING) == stored[1].id
        assert dashboard.portrait(db, [found.person.identity_id + 1000], EVERYTHING) is None
