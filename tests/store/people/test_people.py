from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.store.events import NOON, arrival, record

from gatepost.store.base import BaseStore
from gatepost.store.cursor import BadCursor
from gatepost.store.interface import RecordQuery
from gatepost.store.people.groups import Group as Named
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Person, Rules, Scope
from gatepost.wire import Group, User


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    """Terminals 1 and 2 stand at site 1, terminal 3 at site 2."""
    store = open_store()
    store.create_site("Berlin", "Europe/Berlin", now_ms=0)
    for serial, site_id in (("SN-1", 1), ("SN-2", 1), ("SN-3", 2)):
        store.create_terminal(now_ms=0, serial=serial, site_id=site_id)
    return store


def seen(store: BaseStore, at: int, terminal_id: int = 1, **user: Any) -> int:
    """Somebody is seen ``at`` seconds after noon; answer the record's id."""
    who: dict[str, Any] = {"user_id": "5", "name": "王五", "type": 1} | user
    event = record(at, user=User(**who))
    return store.write([arrival(event, terminal_id)])[0].id


def page(store: BaseStore, scope: Scope = "site", **query: Any) -> list[Person]:
    return list(People(store, Rules(scope=scope)).page(PeopleQuery(**query)).items)


def test_a_stranger_whose_user_id_is_written_as_zero_is_no_person(
    open_store: Callable[[], BaseStore],
) -> None:
    store = open_store()
    store.create_terminal(now_ms=0, serial="SN-1")
    for number, user in enumerate(
        (
            User(user_id="0"),
            User(user_id="0", name="零"),
            User(user_id="0", name="一"),
            User(user_id="0", type=1),
        )
    ):
        store.write([arrival(record(number, user=user, recognition_type=3, uuid=f"z-{number}"))])
    # Two with a name are two people; only one with a type has the number.
    people = People(store, Rules()).page(PeopleQuery()).items
    assert [(person.name, person.user_id) for person in people] == [("", "0"), ("一", ""), ("零", "")]
    assert len(store.records(RecordQuery(strangers=True)).items) == 1


def test_a_person_is_called_as_they_were_last_seen_and_found_by_earlier_names(store: BaseStore) -> None:
    seen(store, 1, name="Anna Weiß")
    seen(store, 9, name="Anna Schwarz", job_number="J-7")
    seen(store, 5, name="Anna Grün")  # comes late, from a backlog
    (person,) = page(store)
    assert (person.name, person.job_number) == ("Anna Schwarz", "J-7")
    assert person.first_seen == NOON + timedelta(seconds=1)
    assert person.last_seen == NOON + timedelta(seconds=9)
    assert len(person.identities) == 3
    for q in ("Weiß", "Grün", "warz", "J-7", "5"):
        assert page(store, q=q) == [person]
    assert page(store, q="%") == []


def test_who_goes_back_to_an_earlier_name_is_called_by_it(store: BaseStore) -> None:
    for at, name in ((1, "Anna"), (2, "Bertha"), (3, "Anna")):
        seen(store, at, name=name)
    assert [person.name for person in page(store)] == ["Anna"]


@pytest.mark.parametrize(("scope", "count"), [("site", 2), ("terminal", 3), ("everywhere", 1)])
def test_the_scope_says_within_what_a_number_is_one_person(
    store: BaseStore, scope: Scope, count: int
) -> None:
    for terminal_id in (1, 2, 3):
        seen(store, terminal_id, terminal_id)
    people = page(store, scope)
    assert len(people) == len({person.id for person in people}) == count
    assert {person.site_id for person in people} <= {1, 2}
    for person in people:
        assert People(store, Rules(scope=scope)).person(person.id) == person
    assert [person.terminal_id for person in people] == ([3, 2, 1] if scope == "terminal" else [None] * count)


def test_a_person_has_the_time_zone_of_their_site(store: BaseStore) -> None:
    seen(store, 1, 3)
    assert [(person.site, person.timezone) for person in page(store)] == [("Berlin", "Europe/Berlin")]


def test_people_without_a_number_stand_alone(store: BaseStore) -> None:
    for at, name in ((1, "Anna"), (2, "Bertha"), (3, "Anna")):
        seen(store, at, user_id="", name=name)
    assert sorted(person.name for person in page(store)) == ["Anna", "Bertha"]
    for person in page(store):
        assert People(store, Rules()).person(person.id) == person


def test_strangers_are_no_people(store: BaseStore) -> None:
    store.write([arrival(record(1, user=None)), arrival(record(2, user=User(name="", user_id="")))])
    assert page(store) == []


def test_an_id_is_understood_in_every_form_and_is_the_first_ones(store: BaseStore) -> None:
    seen(store, 1)
    seen(store, 2, name="Other")
    (person,) = page(store)
    people = People(store, Rules())
    assert [people.person(str(identity)) for identity in person.identities] == [person, person]
    assert person.id == str(min(person.identities))
    for unknown in ("", "0", "99", "x", f"{person.id}-1", "-1", "1 ", "9" * 40):
        assert people.person(unknown) is None
    assert People(store, Rules(scope="terminal")).person(person.id) is None
    assert People(store, Rules(scope="terminal")).person(f"{person.id}-9") is None


def test_what_only_a_held_terminal_has_seen_is_not_shown(store: BaseStore) -> None:
    seen(store, 1, 1, name="Before")
    seen(store, 2, 2, name="Secret")
    seen(store, 3, 2, user_id="6", name="Nobody")
    store.update_terminal(2, state="held")
    for scope in ("site", "terminal", "everywhere"):
        assert [person.name for person in page(store, scope)] == ["Before"]
    store.update_terminal(2, state="approved")
    assert {person.name for person in page(store)} == {"Secret", "Nobody"}


def test_filters_look_at_how_somebody_was_last_seen(store: BaseStore) -> None:
    old, new = (Group(id="3", name="Old"),), (Group(id="4", name="New"),)
    seen(store, 1, groups=old)
    seen(store, 2, groups=new, type=2)
    seen(store, 3, 3, user_id="6", groups=old)
    assert [person.user_id for person in page(store, group="4")] == ["5"]
    assert [person.user_id for person in page(store, group="3")] == ["6"]
    assert [person.user_id for person in page(store, type=1)] == ["6"]
    assert [person.user_id for person in page(store, site_id=1)] == ["5"]
    assert page(store, group='"') == page(store, group="3%") == []


def test_groups_are_listed_by_name_as_they_were_last_called(store: BaseStore) -> None:
    seen(store, 1, groups=(Group(id="3", name="Zoo"), Group(id="4", name="Lab")))
    seen(store, 2, groups=(Group(id="3", name="Aquarium"),))
    seen(store, 3, 3, user_id="6", groups=(Group(id="9", name="Else"),))
    people = People(store, Rules())
    assert people.groups(1) == [Named("Aquarium", ("3",)), Named("Lab", ("4",))]
    assert [group.id for group in people.groups()] == ["3", "9", "4"]


@pytest.mark.parametrize("scope", ["site", "terminal", "everywhere"])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_have_everybody_once_while_more_arrive(store: BaseStore, scope: Scope, limit: int) -> None:
    for number in range(12):
        seen(store, number, 1 + number % 3, user_id=str(number % 5))
    people = People(store, Rules(scope=scope))
    everybody = [person.id for person in people.page(PeopleQuery()).items]
    found: list[str] = []
    cursor = None
    for turn in range(50):
        stretch = people.page(PeopleQuery(limit=limit, cursor=cursor))
        found += [person.id for person in stretch.items]
        cursor = stretch.next_cursor
        if cursor is None:
            break
        seen(store, 100 + turn, user_id=f"new-{turn}")
    assert found == everybody


def test_pages_go_on_where_a_filter_leaves_few(store: BaseStore) -> None:
    for number in range(30):
        seen(
            store,
            number,
            user_id=str(number),
            groups=(Group(id="rare" if number % 10 == 0 else "x", name=""),),
        )
        seen(
            store,
            100 + number,
            user_id=str(number),
            type=3,
            groups=(Group(id="x", name=""),) * (number != 10),
        )
    seen(store, 200, user_id="20", groups=(Group(id="rare", name=""),))
    people = People(store, Rules())
    first = people.page(PeopleQuery(group="rare", limit=1))
    assert ([person.user_id for person in first.items], first.next_cursor) == (["20"], None)
    some = people.page(PeopleQuery(group="x", limit=25))
    rest = people.page(PeopleQuery(group="x", limit=25, cursor=some.next_cursor))
    assert len({person.id for person in (*some.items, *rest.items)}) == 28
    assert rest.next_cursor is None


def test_a_cursor_of_another_list_is_refused(store: BaseStore) -> None:
    seen(store, 1)
    with pytest.raises(BadCursor):
        page(store, cursor="x")
