"""What the writer remembers of the database."""

import pytest
from tests.store.conftest import Opener
from tests.store.events import RECEIVED_MS, arrival, record

from gatepost.store import arrivals as a
from gatepost.store import remembered
from gatepost.store.remembered import Remembered
from gatepost.store.store import RecordQuery
from gatepost.wire import Record, User


def known(*people: User, site: int = 1) -> Remembered:
    """What is remembered of two terminals, at a site each, and of these people."""
    found = Remembered()
    found.sites.update({1: 1, 2: 2})
    found.facets[a.facet(Record(), False)] = 7
    for number, user in enumerate(people, 100):
        who = a.person(user, site)
        assert who is not None
        found.learn(who, number)
    return found


def test_a_person_is_told_from_another_and_at_each_site() -> None:
    anna, bob = User(user_id="1", name="Anna"), User(user_id="2", name="Bob")
    found = known(anna, bob)
    for _ in range(2):
        assert found.of(Record(user=anna), 1, has_image=False) == (7, 100)
        assert found.of(Record(user=bob), 1, has_image=False) == (7, 101)
        assert found.of(Record(user=anna), 2, has_image=False) is None
    assert found.stranger_to(Record(user=anna), 2) == a.person(anna, 2)
    assert found.stranger_to(Record(user=anna), 1) is None


def test_a_stranger_has_no_identity_and_a_new_facet_is_not_known() -> None:
    found = known()
    for user in (None, User(), User(remark="x" * 10_000)):
        for _ in range(2):
            assert found.of(Record(user=user), 1, has_image=False) == (7, None)
        assert found.stranger_to(Record(user=user), 1) is None
    assert found.of(Record(), 1, has_image=True) is None


def test_a_terminal_that_nobody_made_is_an_error() -> None:
    with pytest.raises(KeyError):
        known().of(Record(), 3, has_image=False)


def test_objects_that_are_gone_are_not_taken_for_others_in_their_place() -> None:
    found = known(*(User(user_id=str(number)) for number in range(1, 10_001)))
    for number in range(1, 10_001):
        assert found.of(Record(user=User(user_id=str(number))), 1, has_image=False) == (7, 99 + number)


def test_how_much_is_remembered_is_bounded_in_people_and_in_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "_IDENTITIES", 3)
    monkeypatch.setattr(remembered, "_LETTERS", 100_000)
    two = [User(user_id=str(number)) for number in (1, 2)]
    assert not known(*two).is_full
    assert known(*two, User(user_id="3")).is_full
    assert known(User(name="x" * 100_000)).is_full


def test_a_store_that_has_seen_too_many_begins_anew_and_finds_everybody(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "_IDENTITIES", 3)
    store = open_store()
    store.ensure_terminal("SN-1", now_ms=RECEIVED_MS)
    for start in range(0, 60, 20):
        for _ in range(2):
            store.write([arrival(record(number)) for number in range(start, start + 20)])
    found = store.records(RecordQuery(limit=100)).items
    assert len(found) == 60
    assert len({one.person.identity_id for one in found if one.person}) == 5
