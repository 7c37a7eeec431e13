import itertools
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select
from tests.store.events import NOON, RECEIVED_MS, arrival, record
from tests.terminals import ensured

from gatepost.store.attendance.attendance import Attendance
from gatepost.store.base import BaseStore
from gatepost.store.interface import RecordQuery
from gatepost.store.people import moving
from gatepost.store.people.moving import Moves
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Person, Rules, Scope
from gatepost.store.privacy.erasure import Whom, erase, finish
from gatepost.store.query.statistics import StatisticsQuery, statistics
from gatepost.store.schema import tables as t
from gatepost.store.sqlite.store import SqliteStore
from gatepost.wire import Group, User

Opener = Callable[[], BaseStore]


@pytest.fixture
def store(open_store: Opener) -> BaseStore:
    """Terminals 1 and 2 stand at site 1, terminal 3 at site 2."""
    return filled(open_store())


def filled(store: BaseStore) -> BaseStore:
    store.create_site("Berlin", "Europe/Berlin", now_ms=0)
    for serial, site_id in (("SN-1", 1), ("SN-2", 1), ("SN-3", 2)):
        store.create_terminal(now_ms=0, serial=serial, site_id=site_id)
    return store


def seen(store: BaseStore, at: int, terminal_id: int = 1, **user: Any) -> int:
    """A person is seen ``at`` seconds after noon; return the record's id."""
    who: dict[str, Any] = {"user_id": "5", "name": "王五", "type": 1} | user
    return store.write([arrival(record(at, user=User(**who)), terminal_id)])[0].id


def page(store: BaseStore, scope: Scope = "site", **query: Any) -> list[Person]:
    return list(People(store, Rules(scope=scope)).page(PeopleQuery(**query)).items)


def passages(store: BaseStore) -> dict[tuple[int, str], set[int]]:
    """Return the records of each person, by site and ``user_id``."""
    r, i = t.records.c, t.identities.c
    joined = select(r.id, i.site_id, i.user_id).join(t.identities, i.id == r.identity_id)
    found: dict[tuple[int, str], set[int]] = {}
    with store.reading() as db:
        for row in db.execute(joined.where(i.erased_at_ms.is_(None))):
            found.setdefault((row.site_id, row.user_id), set()).add(row.id)
    return found


def settle(store: BaseStore) -> int:
    """Do what moves have left to do, round after round, until nothing waits. Return how many rows were changed."""
    moves, total = Moves(store), 0
    for _ in range(3):
        while (done := moves.once()) is not None:
            total += done
    assert waiting(store) == ["moves:checked"]
    return total


def waiting(store: BaseStore) -> list[str]:
    c = t.meta.c
    with store.reading() as db:
        return list(db.execute(select(c.name).where(c.name.startswith("move")).order_by(c.name)).scalars())


def unused(store: BaseStore) -> int:
    i, r = t.identities.c, t.records.c
    used = select(r.identity_id).where(r.identity_id.is_not(None))
    with store.reading() as db:
        return int(db.execute(select(func.count()).where(i.id.not_in(used))).scalar_one())


def misplaced(store: BaseStore) -> int:
    with store.reading() as db:
        return moving.count_misplaced(db)


def test_people_go_along_with_their_terminal_under_their_id(store: BaseStore) -> None:
    first, second = seen(store, 1), seen(store, 2, name="王五五")
    (before,) = page(store)
    store.update_terminal(1, site_id=2)
    assert settle(store) == 2
    third = seen(store, 3)
    (person,) = page(store)
    assert (person.id, person.site_id, person.timezone) == (before.id, 2, "Europe/Berlin")
    assert passages(store) == {(2, "5"): {first, second, third}}
    assert settle(store) == 0


def test_a_person_of_two_terminals_is_divided_when_one_of_them_moves(store: BaseStore) -> None:
    here, there = seen(store, 1, 1), seen(store, 2, 2)
    store.update_terminal(2, site_id=2)
    settle(store)
    assert passages(store) == {(1, "5"): {here}, (2, "5"): {there}}
    assert len(page(store)) == 2
    (everywhere,) = page(store, "everywhere")
    assert len(everywhere.identities) == 2


@pytest.mark.parametrize("name", ["王五", "Wang"], ids=["in the same form", "in another form"])
def test_the_same_number_at_the_new_site_is_one_person_with_it(store: BaseStore, name: str) -> None:
    mine, other = seen(store, 1, 1), seen(store, 2, 3, name=name)
    store.update_terminal(1, site_id=2)
    settle(store)
    assert passages(store) == {(2, "5"): {mine, other}}
    assert len(page(store)) == 1
    assert unused(store) == 0


def test_there_and_back_leaves_everything_as_it_was(store: BaseStore) -> None:
    for terminal_id in (1, 2, 3):
        seen(store, terminal_id, terminal_id)
        seen(store, 10 + terminal_id, terminal_id, user_id=str(terminal_id))
    before, people = passages(store), page(store)
    store.update_terminal(1, site_id=2)
    settle(store)
    assert passages(store) != before
    store.update_terminal(1, site_id=1)
    settle(store)
    assert passages(store) == before
    assert [(one.site_id, one.user_id) for one in page(store)] == [
        (one.site_id, one.user_id) for one in people
    ]
    assert (unused(store), misplaced(store)) == (0, 0)


def test_back_before_anything_was_done_leaves_everything_as_it_was(store: BaseStore) -> None:
    seen(store, 1)
    store.update_terminal(1, site_id=2)
    later = seen(store, 2)
    store.update_terminal(1, site_id=1)
    settle(store)
    (person,) = page(store)
    assert (person.site_id, len(passages(store)[1, "5"])) == (1, 2)
    assert later in passages(store)[1, "5"]


def test_hold_move_and_approve_ends_like_a_move(store: BaseStore) -> None:
    first = seen(store, 1)
    store.update_terminal(1, state="held")
    second = seen(store, 2)
    store.update_terminal(1, site_id=2)
    settle(store)
    assert page(store) == []
    store.update_terminal(1, state="approved")
    assert passages(store) == {(2, "5"): {first, second}}
    assert [person.site_id for person in page(store)] == [2]


def test_people_attendance_groups_and_statistics_of_a_site_agree_after_a_move(store: BaseStore) -> None:
    groups = (Group("3", "夜班"),)
    late = 11 * 3600  # 23:00 UTC on the sixth is 01:00 in Berlin on the seventh
    seen(store, late, 1, groups=groups)
    seen(store, late + 60, 1, groups=groups)
    seen(store, 2, 2, user_id="6")
    store.update_terminal(1, site_id=2)
    settle(store)
    days = date(2024, 5, 6), date(2024, 5, 7)
    people, attendance = People(store, Rules()), Attendance(store, Rules())
    for site_id, numbers, records, named in ((1, ["6"], 1, []), (2, ["5"], 2, ["夜班"])):
        query = StatisticsQuery(first=days[0], last=days[1], site_id=site_id)
        assert [person.user_id for person in page(store, site_id=site_id)] == numbers
        assert len(store.records(RecordQuery(site_id=site_id)).items) == records
        assert statistics(store, query).total.records == records
        assert [group.name for group in people.groups(site_id)] == named
        assert [each.group.name for each in attendance.groups(*days, site_id=site_id)] == named
        rows = attendance.page(PeopleQuery(site_id=site_id, limit=10), *days).items
        assert [row.person.user_id for row in rows] == numbers
    (person,) = page(store, site_id=2)
    (shift,) = attendance.shifts(person, *days)
    assert (shift.day, shift.last_out) == (days[1], NOON + timedelta(seconds=late + 60))


def test_a_terminal_without_a_serial_moves_as_well(store: BaseStore) -> None:
    number = ensured(store, None, peer="10.0.0.7", now_ms=0).id
    mine = seen(store, 1, number)
    store.update_terminal(number, site_id=2)
    settle(store)
    assert passages(store) == {(2, "5"): {mine}}


def test_people_without_a_number_go_along_too(store: BaseStore) -> None:
    seen(store, 1, user_id="")
    seen(store, 2, 3, user_id="")
    store.update_terminal(1, site_id=2)
    settle(store)
    (person,) = page(store)
    assert (person.site_id, len(person.identities)) == (2, 1)


def test_a_change_that_moves_nothing_leaves_nothing_to_do(store: BaseStore) -> None:
    settle(store)
    store.update_terminal(1, site_id=1, name="Gate")
    store.update_terminal(99, site_id=2)
    assert waiting(store) == ["moves:checked"]


def test_erased_people_are_those_of_the_site_where_the_terminal_stands(store: BaseStore) -> None:
    seen(store, 1, 1)
    seen(store, 2, 2, user_id="6")
    for number in ("5", "6"):
        erase(store, Whom(user_id=number, site_id=1), now_ms=RECEIVED_MS)
    store.update_terminal(1, site_id=2)
    settle(store)
    assert misplaced(store) == 0
    assert len(store.records(RecordQuery(site_id=2)).items) == 1
    store.update_terminal(2, site_id=2)
    settle(store)
    r = t.records.c
    with store.reading() as db:
        assert len(set(db.execute(select(r.identity_id)).scalars())) == 1
    assert (unused(store), misplaced(store)) == (0, 0)


def test_an_erasure_finds_what_still_waits_to_be_moved(store: BaseStore) -> None:
    seen(store, 1, 1)
    seen(store, 2, 2)
    seen(store, 3, 3, name="Wang")
    store.update_terminal(1, site_id=2)
    done = erase(store, Whom(user_id="5", site_id=2), now_ms=RECEIVED_MS)
    assert (done.identities, done.records) == (2, 2)
    settle(store)
    assert list(passages(store)) == [(1, "5")]
    assert misplaced(store) == 0


def test_an_erasure_that_was_cut_off_and_a_move_end_at_the_new_site(store: BaseStore) -> None:
    seen(store, 1)
    with pytest.raises(PowerCut), cut_after(store, 3):
        erase(store, Whom(user_id="5", site_id=1), now_ms=RECEIVED_MS)
    store.update_terminal(1, site_id=2)
    settle(store)
    while finish(store):
        pass
    erase(store, Whom(user_id="5", site_id=1), now_ms=RECEIVED_MS)
    settle(store)
    assert passages(store) == {}
    assert (unused(store), misplaced(store)) == (0, 0)


def test_a_store_that_was_split_before_is_looked_through_once(store: BaseStore) -> None:
    seen(store, 1)
    with store.changing() as db:  # as a version without this rule moved a terminal
        db.execute(t.terminals.update().where(t.terminals.c.id == 1).values(site_id=2))
    seen(store, 2)
    assert len(page(store)) == 2
    assert settle(store) == 1
    (person,) = page(store)
    assert person.site_id == 2


def test_what_a_batch_of_before_the_move_stores_is_found_a_round_later(
    store: BaseStore,
) -> None:
    settle(store)
    seen(store, 1, 1)
    store.update_terminal(1, site_id=2)
    moves = Moves(store)
    while moves.once() is not None:
        pass
    assert waiting(store) == ["moved:1", "moves:checked"]
    stale = seen(store, 2, 2)  # of terminal 2, and with the identity that went away
    with store.changing() as db:
        went = select(t.identities.c.id).where(t.identities.c.site_id == 2)
        db.execute(
            t.records.update().where(t.records.c.id == stale).values(identity_id=went.scalar_subquery())
        )
        db.execute(t.identities.delete().where(t.identities.c.site_id == 1))
    assert misplaced(store) == 1
    while moves.once() is not None:
        pass
    assert passages(store)[1, "5"] == {stale}
    assert misplaced(store) == 0


def test_pushes_go_on_while_terminals_move_and_everything_is_at_its_site_in_the_end(
    open_store: Opener,
) -> None:
    store = filled(open_store())
    # On a server another process writes; in a folder there is one store only.
    other = store if isinstance(store, SqliteStore) else open_store()
    done, counts = threading.Event(), itertools.count()

    def push(terminals: tuple[int, ...]) -> dict[int, int]:
        written: dict[int, int] = {}
        while not done.is_set():
            rows = []
            for terminal_id in terminals:
                number = next(counts)
                user = User(user_id=str(number % 7), name=f"name {number % 7}")
                rows.append(arrival(record(number, user=user), terminal_id))
            stored = other.write(rows)
            written.update({one.id: row.terminal_id for one, row in zip(stored, rows, strict=True)})
        return written

    with ThreadPoolExecutor(2) as pool:
        pushing = [pool.submit(push, terminals) for terminals in ((1, 2), (3, 1))]
        try:
            for site_id in (2, 1) * 4:
                store.update_terminal(1, site_id=site_id)
                moving.finish(store)
        finally:
            done.set()
        written = {key: at for one in pushing for key, at in one.result(60).items()}
    settle(store)
    assert misplaced(store) == 0
    assert unused(store) == 0
    sites = {1: 1, 2: 1, 3: 2}
    found = {key: site for (site, _), keys in passages(store).items() for key in keys}
    assert found == {key: sites[at] for key, at in written.items()}


class PowerCut(Exception):
    pass


@contextmanager
def cut_after(store: BaseStore, transactions: int) -> Iterator[None]:
    """Let the process end in place of the commit that follows so many."""
    left = transactions
    changing = store.changing

    @contextmanager
    def cut() -> Iterator[Connection]:
        nonlocal left
        with changing() as db:
            yield db
            if not left:
                raise PowerCut
            left -= 1

    store.changing = cut  # type: ignore[method-assign]
    try:
        yield
    finally:
        store.changing = changing  # type: ignore[method-assign]


def test_a_move_that_is_cut_off_anywhere_ends_like_one_that_is_not(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "STEP", 2)
    store = filled(open_store())
    settle(store)
    mine = {seen(store, number, 1, user_id=str(number % 4)) for number in range(8)}
    theirs = {seen(store, number, 2, user_id="1") for number in range(20, 23)}
    there = {seen(store, number, 3, user_id="2") for number in range(30, 33)}
    store.update_terminal(1, site_id=2)
    cuts = 0
    while True:
        try:
            with cut_after(store, cuts % 4):
                moving.finish(store)
            break
        except PowerCut:
            cuts += 1
        assert cuts < 100
    assert cuts > 2
    found = passages(store)
    assert set().union(*(ids for (site, _), ids in found.items() if site == 2)) == mine | there
    assert found[1, "1"] == theirs
    assert settle(store) == 0
    assert (unused(store), misplaced(store)) == (0, 0)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(1, 3), st.integers(0, 3)),
        st.tuples(st.just("move"), st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.just("state"), st.integers(1, 3), st.sampled_from(["held", "approved"])),
        st.tuples(st.just("erase"), st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.just("step"), st.integers(1, 3), st.just(0)),
    ),
    min_size=5,
    max_size=30,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS, seed=st.integers(0, 99))
def test_whatever_happens_each_person_has_the_passages_that_a_plain_model_says(
    open_store: Opener, actions: list[tuple[str, int, Any]], seed: int
) -> None:
    rand = random.Random(seed)
    store = open_store()
    while len(store.sites()) < 3:
        store.create_site(f"site {rand.random()}", "UTC", now_ms=0)
    # Of each example its own terminals and numbers: the examples share one store.
    terminals = {
        number: store.create_terminal(
            now_ms=0, serial=f"S-{rand.random()}-{number}-{len(store.terminals())}"
        ).id
        for number in (1, 2, 3)
    }
    mark = f"{min(terminals.values())}-"
    at = dict.fromkeys(terminals, 1)
    known: dict[int, tuple[int, str]] = {}
    moves = Moves(store)
    for count, (action, number, value) in enumerate(actions):
        terminal_id = terminals[number]
        if action == "push":
            who = f"{mark}{value}"
            name = rand.choice(["Anna", "Bertha"])
            known[seen(store, count, terminal_id, user_id=who, name=name)] = (number, who)
        elif action == "move":
            store.update_terminal(terminal_id, site_id=value)
            at[number] = value
        elif action == "state":
            store.update_terminal(terminal_id, state=value)
        elif action == "erase":
            erase(store, Whom(user_id=f"{mark}1", site_id=value), now_ms=RECEIVED_MS)
            known = {
                key: (place, who)
                for key, (place, who) in known.items()
                if (who, at[place]) != (f"{mark}1", value)
            }
        else:
            moves.once()
    settle(store)
    expected: dict[tuple[int, str], set[int]] = {}
    for key, (number, who) in known.items():
        expected.setdefault((at[number], who), set()).add(key)
    assert {key: ids for key, ids in passages(store).items() if key[1].startswith(mark)} == expected
    assert (unused(store), misplaced(store)) == (0, 0)
    assert settle(store) == 0
    store.close()
