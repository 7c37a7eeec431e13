"""Marks of people: why, until when, by whom, and at which sites they are seen. On both databases."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.store.events import arrival, record

from gatepost.store.base import BaseStore
from gatepost.store.interface import Visible
from gatepost.store.people.marked import MarkedPeople
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Person, Rules
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.terminals.registry import Conflict
from gatepost.wire import User

NOW = datetime(2024, 5, 10, tzinfo=UTC)
NOW_MS = round(NOW.timestamp() * 1000)
BY = {"by": "office", "now_ms": NOW_MS}

_number = iter(range(1, 1_000_000))


def seen(user_id: str, name: str, terminal_id: int) -> Any:
    return arrival(record(next(_number), user=User(user_id=user_id, name=name)), terminal_id)


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    store = open_store()
    store.create_site("Hamburg", "UTC", now_ms=0)
    store.create_terminal(now_ms=0, serial="SN-1", site_id=1)
    store.create_terminal(now_ms=0, serial="SN-2", site_id=2)
    store.write([seen("5", "Anna", 1), seen("5", "Bert", 2), seen("", "Card", 1)])
    return store


def named(store: BaseStore, name: str) -> Person:
    return next(one for one in People(store, Rules()).page(PeopleQuery()).items if one.name == name)


def test_a_mark_is_the_persons_until_its_end(store: BaseStore) -> None:
    marks = MarkedPeople(store, Rules())
    until = NOW + timedelta(days=1)
    made = marks.mark(named(store, "Anna"), reason="  ask at the desk ", until=until, **BY)
    assert (made.reason, made.until, made.made_by, made.made_at, made.user_id) == (
        "ask at the desk", until, "office", NOW, "5"
    )  # fmt: skip
    assert marks.listed(NOW_MS) == [made]
    # Whatever form of their data is seen next.
    store.write([seen("5", "Anna Berg", 1)])
    anna = named(store, "Anna Berg")
    found = marks.now(NOW_MS)
    assert [found.of_form(form, "5", 1) for form in anna.identities] == [made, made]
    assert found.of_form(named(store, "Bert").identities[0], "5", 2) is None
    assert not marks.now(NOW_MS + 86_400_000)
    assert marks.listed(NOW_MS + 86_400_000) == []


def test_another_mark_takes_its_place_and_one_is_taken_away(store: BaseStore) -> None:
    marks, anna = MarkedPeople(store, Rules()), named(store, "Anna")
    marks.mark(anna, reason="first", until=None, **BY)
    second = marks.mark(anna, reason="second", until=None, **BY)
    assert marks.listed(NOW_MS) == [second]
    assert marks.take_away(anna) == second
    assert marks.take_away(anna) is None
    assert marks.listed(NOW_MS) == []


def test_a_person_without_a_number_is_marked_as_well(store: BaseStore) -> None:
    marks, card = MarkedPeople(store, Rules()), named(store, "Card")
    made = marks.mark(card, reason="x", until=None, **BY)
    assert marks.now(NOW_MS).of_form(card.identities[0], "", 1) == made


def test_a_user_of_some_sites_sees_the_marks_there(store: BaseStore) -> None:
    MarkedPeople(store, Rules()).mark(named(store, "Anna"), reason="x", until=None, **BY)
    for site, many in ((1, 1), (2, 0)):
        marks = MarkedPeople(store.seen_by(Visible(sites=frozenset({site}))), Rules())
        assert len(marks.listed(NOW_MS)) == many


def test_it_leaves_with_the_person(store: BaseStore) -> None:
    marks = MarkedPeople(store, Rules())
    marks.mark(named(store, "Anna"), reason="x", until=None, **BY)
    marks.mark(named(store, "Bert"), reason="y", until=None, **BY)
    erase(store, Whom(user_id="5", site_id=1), now_ms=NOW_MS)
    assert [one.reason for one in marks.listed(NOW_MS)] == ["y"]


def test_what_cannot_be_marked_is_said(store: BaseStore) -> None:
    marks, anna = MarkedPeople(store, Rules()), named(store, "Anna")
    for reason in ("", "  ", "x" * 201):
        with pytest.raises(ValueError, match="reason: say why, in 1 to 200 characters"):
            marks.mark(anna, reason=reason, until=None, **BY)
    with pytest.raises(ValueError, match="until: a mark ends at a time that is to come"):
        marks.mark(anna, reason="x", until=NOW, **BY)


def test_who_was_erased_meanwhile_is_not_marked(store: BaseStore) -> None:
    """The person is as they were read, before another user erased them."""
    anna = named(store, "Anna")
    erase(store, Whom(user_id="5", site_id=1), now_ms=NOW_MS)
    with pytest.raises(Conflict, match="this person was erased"):
        MarkedPeople(store, Rules()).mark(anna, reason="x", until=None, **BY)
    assert MarkedPeople(store, Rules()).listed(NOW_MS) == []
