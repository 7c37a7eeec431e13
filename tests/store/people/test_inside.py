"""Who is inside: the latest passage decides, by the direction of the terminal. On both databases."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.store.events import arrival, record

from gatepost.store.base import BaseStore
from gatepost.store.interface import Visible
from gatepost.store.people import inside
from gatepost.store.people.inside import Inside, InsideQuery, WhoIsInside
from gatepost.store.people.joined import Joins
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Person, Rules
from gatepost.store.people.staff import Staff
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.wire import User
from gatepost.wire.events import Group

NOW = datetime(2024, 5, 7, 12, 0, tzinfo=UTC)
IN, OUT, BOTH, ELSEWHERE = 1, 2, 3, 4
"""Terminals: three at the first site, one of direction *in* at the second."""


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    store = open_store()
    store.create_site("Hamburg", "Europe/Berlin", now_ms=0)
    for number, direction in enumerate(("in", "out", "both", "in"), 1):
        store.create_terminal(
            now_ms=0, serial=f"SN-{number}", direction=direction, site_id=2 if number == ELSEWHERE else 1
        )
    return store


_number = iter(range(1, 1_000_000))


def seen(  # type: ignore[no-untyped-def]
    who: str, at: datetime, terminal_id: int, *, received: datetime | None = None, **fields: object
):
    event = record(next(_number), recorded_at=at, user=User(user_id=who, name=f"N{who}"), **fields)
    return arrival(event, terminal_id, received_at_ms=round((received or at).timestamp() * 1000))


def hours(before: float) -> datetime:
    return NOW - timedelta(hours=before)


def ask(
    store: BaseStore, *, rules: Rules | None = None, visible: Visible | None = None, **asked: object
) -> Inside:
    """Ask in both ways: among all passages of the last hours, and form by form."""
    query = InsideQuery(**({"at": NOW} | asked))  # type: ignore[arg-type]
    seen_by = store if visible is None else store.seen_by(visible)
    who = WhoIsInside(seen_by, rules or Rules())
    found = who.ask(query)
    with pytest.MonkeyPatch.context() as many:
        many.setattr(inside, "MANY", 0)
        assert who.ask(query) == found
    return found


def names(found: Inside) -> list[tuple[str, str]]:
    return [(one.site, one.user_id) for one in found.people]


def person(store: BaseStore, user_id: str, site: str) -> Person:
    found = People(store, Rules()).page(PeopleQuery()).items
    return next(one for one in found if (one.user_id, one.site) == (user_id, site))


def test_the_latest_passage_decides(store: BaseStore) -> None:
    store.write(
        [
            seen("1", hours(3), IN),
            seen("2", hours(3), IN),
            seen("2", hours(2), OUT),
            seen("3", hours(4), OUT),
            seen("3", hours(1), IN),
            seen("4", hours(2), BOTH),
            seen("5", hours(1), IN, passed=False),
            seen("6", hours(3), IN),
            seen("6", hours(2), OUT, passed=False),
        ]
    )
    found = ask(store)
    assert names(found) == [("default", "1"), ("default", "3"), ("default", "4"), ("default", "6")]
    assert [(one.site, one.people) for one in found.sites] == [("Hamburg", 0), ("default", 4)]
    (first, *_) = found.people
    assert (first.at, first.terminal, first.direction, first.name) == (hours(3), "SN-1", "in", "N1")
    assert len(ask(store, rules=Rules(scope="terminal")).people) >= len(ask(store).people)


def test_a_passage_holds_for_a_while_alone(store: BaseStore) -> None:
    store.write(
        [
            seen("1", hours(36), IN),
            seen("2", hours(36.01), IN),
            seen("3", hours(13), BOTH),
            seen("4", hours(13.01), BOTH),
            # The latest passage decides, also where an earlier one would hold for longer.
            seen("5", hours(20), IN),
            seen("5", hours(14), BOTH),
        ]
    )
    assert names(ask(store)) == [("default", "1"), ("default", "3")]


def test_it_is_asked_for_a_moment(store: BaseStore) -> None:
    store.write([seen("1", hours(3), IN), seen("1", hours(1), OUT), seen("2", hours(2), IN)])
    assert names(ask(store, at=hours(2.5), is_now=False)) == [("default", "1")]
    assert names(ask(store, at=hours(2), is_now=False)) == [("default", "1"), ("default", "2")]
    assert names(ask(store, at=hours(4), is_now=False)) == []
    # A terminal whose clock is somewhat ahead: the present is what has arrived.
    store.write([seen("3", NOW + timedelta(minutes=2), IN, received=NOW)])
    assert ("default", "3") in names(ask(store))


def test_a_late_event_counts_when_it_happened(store: BaseStore) -> None:
    store.write([seen("1", hours(1), OUT)])
    store.write([seen("1", hours(3), IN, received=NOW), seen("2", hours(3), IN, received=NOW)])
    assert names(ask(store)) == [("default", "2")]
    assert names(ask(store, at=hours(2), is_now=False)) == [("default", "1"), ("default", "2")]


def test_direction_is_what_it_is_now(store: BaseStore) -> None:
    store.write([seen("1", hours(1), BOTH)])
    store.update_terminal(BOTH, direction="out")
    assert names(ask(store)) == []
    (label,) = store.labels([BOTH]).values()
    assert label.direction == "out"


def test_strangers_are_counted(store: BaseStore) -> None:
    nobody = {"user": User(), "recognition_type": 3}
    store.write(
        [
            arrival(
                record(next(_number), recorded_at=at, passed=passed, **nobody),
                terminal,
                received_at_ms=round(at.timestamp() * 1000),
            )
            for at, passed, terminal in (
                (hours(1), True, IN),
                (hours(2), True, BOTH),
                (hours(2), False, IN),
                (hours(2), True, OUT),
                (hours(14), True, IN),
                (hours(3), True, ELSEWHERE),
            )
        ]
    )
    found = ask(store)
    assert found.people == ()
    assert [(one.site, one.strangers) for one in found.sites] == [("Hamburg", 1), ("default", 2)]


def test_sites_and_held_terminals_that_are_not_shown(store: BaseStore) -> None:
    store.write([seen("1", hours(1), IN), seen("1", hours(1), ELSEWHERE), seen("2", hours(2), BOTH)])
    assert names(ask(store)) == [("Hamburg", "1"), ("default", "1"), ("default", "2")]
    assert names(ask(store, site_id=2)) == [("Hamburg", "1")]
    found = ask(store, visible=Visible(sites=frozenset({2})))
    assert names(found) == [("Hamburg", "1")]
    assert [one.site for one in found.sites] == ["Hamburg"]
    store.update_terminal(BOTH, state="held")
    assert ("default", "2") not in names(ask(store))


def test_a_person_of_several_sites_is_inside_where_they_were_last(store: BaseStore) -> None:
    store.write([seen("1", hours(3), IN), seen("1", hours(1), ELSEWHERE), seen("7", hours(2), ELSEWHERE)])
    assert names(ask(store, rules=Rules(scope="everywhere"))) == [("Hamburg", "1"), ("Hamburg", "7")]
    store.write([seen("8", hours(0.5), IN)])
    Joins(store, Rules()).join(person(store, "7", "Hamburg"), person(store, "8", "default"), by="x", now_ms=0)
    assert names(ask(store)) == [("Hamburg", "1"), ("default", "1"), ("default", "8")]
    # A user of one site does not learn of the other one.
    assert ("Hamburg", "7") in names(ask(store, visible=Visible(sites=frozenset({2}))))


def test_groups_kinds_and_imported_names(store: BaseStore) -> None:
    user = User(user_id="1", name="Old", type=1, groups=(Group("3", "Office"),))
    event = record(next(_number), recorded_at=hours(1), user=user)
    store.write(
        [
            arrival(event, IN, received_at_ms=round(hours(1).timestamp() * 1000)),
            arrival(
                record(next(_number), recorded_at=hours(1), user=User(user_id="2", name="Vi", type=2)),
                IN,
                received_at_ms=round(hours(1).timestamp() * 1000),
            ),
        ]
    )
    Staff(store).load(b"user_id,name,department\n1,New,Night\n", site_id=None, check=False, now_ms=0)
    first = ask(store).people[0]
    assert (first.name, first.departments) == ("New", ("Office", "Night"))
    for group in ("Office", "night", "3"):
        assert [one.user_id for one in ask(store, group=group).people] == ["1"]
    assert [one.user_id for one in ask(store, kind="visitors").people] == ["2"]
    assert [one.user_id for one in ask(store, kind="employees").people] == ["1"]


def test_who_was_erased_is_not_listed(store: BaseStore) -> None:
    store.write([seen("1", hours(1), IN), seen("2", hours(1), IN)])
    erase(store, Whom(user_id="1", site_id=1), now_ms=round(NOW.timestamp() * 1000))
    assert names(ask(store)) == [("default", "2")]
