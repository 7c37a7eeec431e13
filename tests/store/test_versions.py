"""Two people change one thing at once: one of them is told; on both databases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from msgspec.structs import replace
from tests.store.events import arrival, record

from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.saved_views import Reader, SavedViews
from gatepost.store.attendance.corrections import Corrections
from gatepost.store.attendance.schedules import Schedule
from gatepost.store.attendance.stored_schedules import Schedules
from gatepost.store.base import BaseStore
from gatepost.store.forwarding.destinations import Destinations
from gatepost.store.interface import EVERYTHING
from gatepost.store.people.joined import Joins
from gatepost.store.people.marked import UNMARKED, MarkedPeople
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Rules
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.receivers.changed_settings import ChangedSettings, version_of_settings
from gatepost.store.terminals.registry import Conflict
from gatepost.store.versions import ChangedMeanwhile, version_of
from gatepost.wire import User

OFFICE = Schedule(name="Office", start_min=480, end_min=1020)
FIRST = date(2024, 5, 6)
ROUNDS = 6


@pytest.fixture
def stores(open_store: Callable[[], BaseStore]) -> tuple[BaseStore, BaseStore]:
    """Return two receivers' stores of one database; SQLite has one process."""
    store = open_store()
    return store, open_store() if isinstance(store, PostgresStore) else store


def at_once(*what: Callable[[], Any]) -> list[Any]:
    """Do each in a thread of its own, all at the same moment; return what came of it, or the error."""
    start = Barrier(len(what))

    def one(do: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return do()
        except (Conflict, ChangedMeanwhile) as error:
            return error

    with ThreadPoolExecutor(len(what)) as threads:
        return list(threads.map(one, what))


def test_equal_values_have_equal_versions() -> None:
    assert version_of({"a": 1, "b": None}) == version_of({"b": None, "a": 1})
    assert version_of({"a": 1}) != version_of({"a": "1"})


def test_of_two_who_change_a_schedule_at_once_one_is_told(stores: tuple[BaseStore, BaseStore]) -> None:
    mine, others = map(Schedules, stores)
    row = mine.create(OFFICE, now_ms=0)
    first = row.version
    for number in range(ROUNDS):
        versions, grace = [row.version], 2 * number
        results = at_once(
            partial(mine.change, row.id, replace(OFFICE, grace_min=grace + 1), versions=versions),
            partial(others.change, row.id, replace(OFFICE, grace_min=grace + 2), versions=versions),
        )
        told = [one for one in results if isinstance(one, ChangedMeanwhile)]
        (done,) = (one for one in results if not isinstance(one, ChangedMeanwhile))
        assert len(told) == 1
        found = mine.one(row.id)
        assert found == done[1]
        row = done[1]
    changed = mine.change(row.id, OFFICE)
    assert changed is not None
    assert changed[1].version == first


def test_of_two_assignments_from_one_day_on_one_is_refused(stores: tuple[BaseStore, BaseStore]) -> None:
    store = stores[0]
    store.create_terminal(now_ms=0, serial="SN-1", site_id=1)
    # Anna has two forms of her data.
    store.write(
        [
            arrival(
                record(n, recorded_at=datetime(2024, 5, 6, n, tzinfo=UTC), user=User(user_id="5", name=name)),
                1,
            )
            for n, name in enumerate(("Anna", "Anna Meier"))
        ]
    )
    (anna,) = People(store, Rules()).page(PeopleQuery()).items
    assert len(anna.identities) == 2
    mine, others = map(Schedules, stores)
    office = mine.create(OFFICE, now_ms=0).id
    for number in range(ROUNDS):
        day = FIRST + timedelta(number)
        for target in ({"group": "Sales"}, {"identities": anna.identities}):
            results = at_once(
                *(partial(one.assign, office, day, **target, by="x", now_ms=1) for one in (mine, others))
            )
            assert sum(isinstance(one, Conflict) for one in results) == 1, results


def test_two_pairs_that_are_joined_at_once_stay_two_people(stores: tuple[BaseStore, BaseStore]) -> None:
    store = stores[0]
    store.create_terminal(now_ms=0, serial="SN-1", site_id=1)
    store.write(
        [arrival(record(n, user=User(user_id=f"{n + 1}", name=f"n{n}")), 1) for n in range(4 * ROUNDS)]
    )
    people = sorted(People(store, Rules()).page(PeopleQuery()).items, key=lambda one: int(one.user_id))
    for number in range(0, len(people), 4):
        a, b, c, d = people[number : number + 4]
        at_once(
            partial(Joins(stores[0], Rules()).join, a, b, by="x", now_ms=1),
            partial(Joins(stores[1], Rules()).join, c, d, by="x", now_ms=1),
        )
    found = People(store, Rules()).page(PeopleQuery()).items
    assert sorted(len(Joins(store, Rules()).numbers(one)) for one in found) == [2] * (2 * ROUNDS)


def test_of_two_equal_corrections_and_of_two_equal_names_one_is_refused(
    stores: tuple[BaseStore, BaseStore],
) -> None:
    store = stores[0]
    store.create_terminal(now_ms=0, serial="SN-1", site_id=1)
    store.write([arrival(record(0, user=User(user_id="5", name="Anna")), 1)])
    (anna,) = People(store, Rules()).page(PeopleQuery()).items
    reader = Reader(account_id=None, role="operator", every_site=True)
    for number in range(ROUNDS):
        at = datetime(2024, 5, 6, number, tzinfo=UTC)
        for do in (
            lambda one, at=at: Corrections(one, Rules()).add(anna, at, note="x", by="x", now_ms=2**41),
            lambda one, name=f"v{number}": SavedViews(one.seen_by(EVERYTHING), reader).save(
                "live", name, {}, shared=True, by="x", now_ms=1
            ),
        ):
            results = at_once(*(partial(do, one) for one in stores))
            assert [type(one) for one in results].count(Conflict) == 1, results


def test_two_administrators_who_disable_each_other_leave_one(stores: tuple[BaseStore, BaseStore]) -> None:
    accounts = Accounts(stores[0])
    pair = [accounts.create(name, "admin", "hash", now_ms=0) for name in ("anna", "bert")]
    results = at_once(
        *(
            partial(Accounts(one).change, which.id, now_ms=1, disabled=True)
            for one, which in zip(stores, pair, strict=True)
        )
    )
    assert [type(one) for one in results].count(Conflict) == 1


def test_of_two_who_change_a_site_at_once_one_is_told(stores: tuple[BaseStore, BaseStore]) -> None:
    mine, others = stores
    for number in range(ROUNDS):
        versions = [mine.sites()[0].version]
        results = at_once(
            partial(mine.update_site, 1, name=f"mine {number}", versions=versions),
            partial(others.update_site, 1, name=f"other {number}", versions=versions),
        )
        assert [type(one) for one in results].count(ChangedMeanwhile) == 1
    mine.update_site(1, name="last")
    assert mine.sites()[0].name == "last"


def test_of_two_who_change_settings_at_once_one_is_told(stores: tuple[BaseStore, BaseStore]) -> None:
    mine, others = map(ChangedSettings, stores)
    for number in range(ROUNDS):
        versions = [version_of_settings(mine.read())]
        results = at_once(
            partial(mine.change, {"repeat_s": number + 1}, by="a", now_ms=1, versions=versions),
            partial(others.change, {"image_days": number + 1}, by="b", now_ms=1, versions=versions),
        )
        assert [type(one) for one in results].count(ChangedMeanwhile) == 1


def test_who_marks_a_person_that_was_marked_meanwhile_is_told_by_whom(
    stores: tuple[BaseStore, BaseStore],
) -> None:
    store = stores[0]
    store.create_terminal(now_ms=0, serial="SN-1", site_id=1)
    store.write([arrival(record(0, user=User(user_id="5", name="Anna")), 1)])
    (anna,) = People(store, Rules()).page(PeopleQuery()).items
    mine, others = (MarkedPeople(one, Rules()) for one in stores)
    made = mine.mark(anna, reason="a", until=None, by="maria", now_ms=1000, versions=[UNMARKED])
    with pytest.raises(ChangedMeanwhile) as error:
        others.mark(anna, reason="b", until=None, by="otto", now_ms=2000, versions=[UNMARKED])
    assert (error.value.by, error.value.at) == ("maria", made.made_at)
    again = others.mark(anna, reason="b", until=None, by="otto", now_ms=2000, versions=[made.version])
    assert again.version != made.version


def test_a_change_of_a_destination_that_another_one_came_before_changes_nothing(
    stores: tuple[BaseStore, BaseStore],
) -> None:
    mine, others = map(Destinations, stores)
    row = mine.create("here", "webhook", b'{"url":"1"}', b"{}", now_ms=0)
    assert mine.change(row.id, now_ms=0, paused=True) is not None
    paused = others.one(row.id)
    assert paused is not None
    # To pause it is no change of what it is.
    assert paused.version == row.version
    changed = mine.change(row.id, now_ms=0, config=b'{"url":"2"}', versions=[row.version])
    assert changed is not None
    with pytest.raises(ChangedMeanwhile):
        others.change(row.id, now_ms=0, config=b'{"url":"3"}', versions=[row.version])
    assert others.one(row.id) == changed
