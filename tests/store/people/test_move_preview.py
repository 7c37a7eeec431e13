from collections.abc import Callable
from typing import Any

import pytest
from tests.store.events import RECEIVED_MS, arrival, record

from gatepost.store.base import BaseStore
from gatepost.store.people import move_preview
from gatepost.store.people.move_preview import NameThere, WouldMove, would_move
from gatepost.store.people.person import Scope
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.wire import User


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    """Terminals 1 and 2 stand at site 1, terminal 3 at site 2. Terminal 1 has seen five people."""
    store = open_store()
    store.create_site("Berlin", "Europe/Berlin", now_ms=0)
    for serial, site_id in (("SN-1", 1), ("SN-2", 1), ("SN-3", 2)):
        store.create_terminal(now_ms=0, serial=serial, site_id=site_id)
    for at, terminal_id, user_id, name in (
        (1, 1, "1", "Anna"),
        (2, 1, "1", "Anna Schwarz"),  # goes along
        (3, 1, "2", "Bertha"),
        (4, 2, "2", "Bertha"),  # is divided
        (5, 1, "3", "Carla"),
        (6, 3, "3", "CARLA"),  # is one person there
        (7, 1, "4", "Dora"),
        (8, 3, "4", "Emil"),  # perhaps another one
        (9, 1, "", "Frieda"),
        (10, 3, "", "Frieda"),
        (11, 2, "7", "Gerda"),  # has nothing to do with it
    ):
        who = User(user_id=user_id, name=name)
        store.write([arrival(record(at, user=who), terminal_id)])
    store.write([arrival(record(12, user=None), 1)])
    return store


def ask(store: BaseStore, site_id: int = 2, scope: Scope = "site", terminal_id: int = 1) -> WouldMove:
    with store.reading() as db:
        return would_move(db, terminal_id, site_id, scope)


def test_it_tells_who_goes_along_who_is_divided_and_who_becomes_one(store: BaseStore) -> None:
    assert ask(store) == WouldMove(
        records=6,
        people=5,
        divided=1,
        joining=2,
        different=1,
        names=(NameThere(user_id="4", name="Dora", name_there="Emil"),),
    )


@pytest.mark.parametrize("scope", ["terminal", "everywhere"])
def test_nobody_is_divided_or_joined_where_sites_do_not_tell_people_apart(
    store: BaseStore, scope: Scope
) -> None:
    assert ask(store, scope=scope) == WouldMove(records=6, people=5)


@pytest.mark.parametrize(("terminal_id", "site_id"), [(1, 1), (99, 2)])
def test_where_nothing_moves_nothing_changes(store: BaseStore, terminal_id: int, site_id: int) -> None:
    assert ask(store, site_id, terminal_id=terminal_id) == WouldMove()


def test_erased_people_are_not_counted(store: BaseStore) -> None:
    erase(store, Whom(user_id="4", site_id=1), now_ms=RECEIVED_MS)
    found = ask(store)
    assert (found.people, found.records, found.different) == (4, 5, 0)


def test_the_list_of_names_is_bounded_and_the_count_is_not(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move_preview, "LISTED", 1)
    values: dict[str, Any] = {"user_id": "3"}
    store.write([arrival(record(20, user=User(name="Zoe", **values)), 2)])
    store.update_terminal(2, site_id=2)
    found = ask(store)
    assert (found.different, len(found.names)) == (1, 1)
