"""People who are joined and parted: what is about one is about both, and parting restores it. On both databases."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.store.events import arrival, record

from gatepost.store.attendance.attendance import Attendance
from gatepost.store.attendance.schedules import Schedule
from gatepost.store.attendance.stored_schedules import Schedules
from gatepost.store.base import BaseStore
from gatepost.store.interface import Visible
from gatepost.store.people import moving
from gatepost.store.people.joined import Joins
from gatepost.store.people.marked import MarkedPeople
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Person, Rules
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.terminals.registry import Conflict
from gatepost.wire import User

DAY = date(2024, 5, 6)
NOW_MS = round(datetime(2024, 5, 10, tzinfo=UTC).timestamp() * 1000)
BY = {"by": "office", "now_ms": NOW_MS}
HOME, AWAY = 1, 2
SITE_ONE, SITE_TWO = Visible(sites=frozenset({1})), Visible(sites=frozenset({2}))

_number = iter(range(1, 1_000_000))


def seen(user_id: str, name: str, hour: int, terminal_id: int, day: int = 6) -> Any:
    at = datetime(2024, 5, day, hour, tzinfo=UTC)
    event = record(next(_number), recorded_at=at, user=User(user_id=user_id, name=name, type=1))
    return arrival(event, terminal_id, received_at_ms=round(at.timestamp() * 1000))


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    """Anna is 5 at the first site, and 70 at the second one, where 5 is Bert."""
    store = open_store()
    store.create_site("Hamburg", "UTC", now_ms=0)
    store.create_terminal(now_ms=0, serial="SN-1", site_id=1)
    store.create_terminal(now_ms=0, serial="SN-2", site_id=2)
    store.write(
        [
            seen("5", "Anna", 8, HOME),
            seen("5", "Anna B", 9, HOME),
            seen("70", "A. Anna", 17, AWAY),
            seen("5", "Bert", 10, AWAY),
        ]
    )
    return store


def everyone(store: Any, visible: Visible | None = None, **query: Any) -> dict[str, Person]:
    asked = store if visible is None else store.seen_by(visible)
    return {one.name: one for one in People(asked, Rules()).page(PeopleQuery(**query)).items}


def join(store: BaseStore, one: str, other: str) -> Person:
    people = everyone(store)
    Joins(store, Rules()).join(people[one], people[other], **BY)
    return everyone(store)[max((people[one], people[other]), key=lambda each: each.last_seen).name]


def test_joined_people_are_one_and_parting_restores_what_was(store: BaseStore) -> None:
    before = everyone(store)
    anna = join(store, "Anna B", "A. Anna")
    assert sorted(everyone(store)) == ["A. Anna", "Bert"]
    assert anna.identities == tuple(sorted(before["Anna B"].identities + before["A. Anna"].identities))
    assert anna.id in (before["Anna B"].id, before["A. Anna"].id)
    assert (anna.site, anna.user_id) == ("Hamburg", "70")
    people = People(store, Rules())
    for form in anna.identities:
        assert people.person(str(form)) == anna
        assert set(people.ids([(form, HOME)]).values()) == {anna.id}
    (shift,) = Attendance(store, Rules()).shifts(anna, DAY, DAY)
    assert (shift.first_in.hour, shift.last_out and shift.last_out.hour, shift.passages) == (8, 17, 3)
    numbers = Joins(store, Rules()).numbers(anna)
    assert [(one.user_id, one.site, one.made_by) for one in numbers] == [
        ("5", "default", "office"),
        ("70", "Hamburg", "office"),
    ]
    parted = Joins(store, Rules()).part(anna, numbers[1].identity_id)
    assert parted == numbers[1]
    assert everyone(store) == before
    assert Joins(store, Rules()).numbers(before["Anna B"]) == []


def test_filters_and_pages_find_a_joined_person_by_each_number(store: BaseStore) -> None:
    store.write([seen(str(number), f"P{number}", 7, HOME) for number in range(100, 108)])
    anna = join(store, "Anna B", "A. Anna")
    for query in ({"q": "Anna B"}, {"q": "70"}, {"site_id": 1, "q": "Anna"}, {"site_id": 2, "q": "Anna"}):
        assert list(everyone(store, **query)) == ["A. Anna"]
    assert everyone(store, q="nothing") == {}
    found, cursor = [], None
    while True:
        page = People(store, Rules()).page(PeopleQuery(limit=3, cursor=cursor))
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len({one.id for one in found}) == len(found) == 10
    assert anna in found


def test_a_user_of_one_site_does_not_learn_of_the_other(store: BaseStore) -> None:
    before = [everyone(store, visible) for visible in (SITE_ONE, SITE_TWO)]
    ids = [[one.id for one in found.values()] for found in before]
    anna = join(store, "Anna B", "A. Anna")
    assert [everyone(store, visible) for visible in (SITE_ONE, SITE_TWO)] == before
    assert [[one.id for one in found.values()] for found in before] == ids
    for visible, name in ((SITE_ONE, "Anna B"), (SITE_TWO, "A. Anna")):
        mine = store.seen_by(visible)
        person = everyone(store, visible)[name]
        assert Joins(mine, Rules()).numbers(person) == []
        assert Joins(mine, Rules()).part(person, anna.identities[0]) is None
        others = [form for form in anna.identities if form not in person.identities]
        assert [People(mine, Rules()).person(str(form)) for form in others] == [None] * len(others)
        assert set(People(mine, Rules()).ids((form, 1) for form in person.identities).values()) == {person.id}


def test_schedules_and_marks_follow(store: BaseStore) -> None:
    schedules = Schedules(store)
    office = schedules.create(
        Schedule(name="Office", start_min=480, end_min=1020, days=frozenset(range(1, 8))), now_ms=0
    )
    people = everyone(store)
    schedules.assign(office.id, DAY, identities=people["Anna B"].identities, **BY)
    marks = MarkedPeople(store, Rules())
    marks.mark(people["Anna B"], reason="ask at the desk", until=None, **BY)
    anna = join(store, "Anna B", "A. Anna")
    item = Attendance(store, Rules(), NOW_MS).of(anna, DAY, DAY + timedelta(days=1))
    assert [shift.planned is not None for shift in item.shifts] == [True]
    assert [one.day for one in item.absences] == [DAY + timedelta(days=1)]
    assert [one.reason for one in marks.listed(NOW_MS)] == ["ask at the desk"]
    found = marks.now(NOW_MS)
    assert found.of_form(people["A. Anna"].identities[0], "70", 2) is not None
    assert found.of_form(people["Bert"].identities[0], "5", 2) is None
    # What is set now is about both numbers, and stays with both of them.
    marks.mark(anna, reason="both", until=None, **BY)
    numbers = Joins(store, Rules()).numbers(anna)
    Joins(store, Rules()).part(anna, numbers[0].identity_id)
    listed = sorted((one.user_id, one.reason) for one in marks.listed(NOW_MS))
    assert listed == [("5", "both"), ("70", "both")]


def test_erasing_a_joined_person_erases_each_number(store: BaseStore) -> None:
    anna = join(store, "Anna B", "A. Anna")
    whoms = Joins(store, Rules()).numbers(anna)
    for one in whoms:
        erase(store, Whom(user_id=one.user_id, site_id=one.site_id), now_ms=NOW_MS)
    assert sorted(everyone(store)) == ["Bert"]
    assert Joins(store, Rules()).numbers(anna) == []


def test_a_terminal_that_moves_takes_the_join_along(store: BaseStore) -> None:
    join(store, "Anna B", "A. Anna")
    store.update_terminal(AWAY, site_id=1)
    moving.finish(store)
    # 5 and 70 of one site; Bert's number is Anna's now, as in every move.
    (person,) = everyone(store).values()
    assert person.site == "default"


def test_joining_more_and_parting_one(store: BaseStore) -> None:
    store.write([seen("9", "Anna N", 18, AWAY, day=7)])
    join(store, "Anna B", "A. Anna")
    anna = join(store, "A. Anna", "Anna N")
    joins = Joins(store, Rules())
    numbers = joins.numbers(anna)
    assert [one.user_id for one in numbers] == ["5", "70", "9"]
    joins.part(anna, numbers[0].identity_id)
    assert sorted(everyone(store)) == ["Anna B", "Anna N", "Bert"]
    rest = everyone(store)["Anna N"]
    assert [one.user_id for one in joins.numbers(rest)] == ["70", "9"]


def test_what_cannot_be_joined_is_said(store: BaseStore) -> None:
    joins, people = Joins(store, Rules()), everyone(store)
    with pytest.raises(Conflict, match="one person already"):
        joins.join(people["Bert"], people["Bert"], **BY)
    with pytest.raises(ValueError, match="people_scope"):
        Joins(store, Rules(scope="terminal")).join(people["Bert"], people["Anna B"], **BY)
    anna = join(store, "Anna B", "A. Anna")
    assert joins.part(anna, people["Bert"].identities[0]) is None
    assert joins.part(people["Bert"], anna.identities[0]) is None
