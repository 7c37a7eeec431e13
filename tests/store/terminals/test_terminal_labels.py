"""Where terminals are, on both databases."""

import pytest
from tests.store.conftest import Opener
from tests.terminals import ensured

from gatepost.store.interface import EVERYTHING, Store
from gatepost.store.terminals.terminal_labels import places, terminals_named


@pytest.fixture
def store(open_store: Opener) -> Store:
    """Either database, empty."""
    return open_store()


def test_a_place_says_where_a_terminal_is_and_what_to_call_it(store: Store) -> None:
    site = store.create_site("Campus", "Asia/Shanghai", now_ms=0)
    named = store.create_terminal(now_ms=0, serial="SN-1", name="Gate", site_id=site.id)
    own_clock = store.create_terminal(now_ms=0, serial="SN-2", timezone="Europe/Berlin")
    unknown = ensured(store, None, peer="10.0.0.9", now_ms=0)
    with store.reading() as db:
        found = places(db, [named.id, own_clock.id, unknown.id, 999, named.id], EVERYTHING)
    assert found.keys() == {named.id, own_clock.id, unknown.id}
    assert (found[named.id].label, found[named.id].site, found[named.id].timezone) == (
        "Gate",
        "Campus",
        "Asia/Shanghai",
    )
    assert (found[own_clock.id].label, found[own_clock.id].timezone) == ("SN-2", "Europe/Berlin")
    assert found[unknown.id].label == "10.0.0.9"


def test_a_terminal_is_found_by_its_serial_or_else_its_name_or_else_its_id(store: Store) -> None:
    first = store.create_terminal(now_ms=0, serial="SN-1", name="Gate")
    second = store.create_terminal(now_ms=0, serial=str(first.id), name="Gate")
    third = store.create_terminal(now_ms=0, name="SN-1")
    with store.reading() as db:
        found = {
            asked: terminals_named(db, asked, EVERYTHING)
            for asked in ("SN-1", "Gate", str(first.id), f"#{first.id}", str(third.id), "gate", "9" * 30, "#")
        }
        assert found == {
            "SN-1": [first.id],
            "Gate": [first.id, second.id],
            str(first.id): [second.id],
            f"#{first.id}": [first.id],
            str(third.id): [third.id],
            "gate": [first.id, second.id],
            "9" * 30: [],
            "#": [],
        }
        assert terminals_named(db, first.id, EVERYTHING) == [first.id]


def test_a_name_is_found_however_it_is_written_and_as_it_is_written_first(store: Store) -> None:
    lab = store.create_terminal(now_ms=0, serial="SN-1", name="  Lab door ").id
    cafe = store.create_terminal(now_ms=0, serial="SN-2", name="Cafe\u0301").id
    gates = [store.create_terminal(now_ms=0, serial=f"G-{name}", name=name).id for name in ("Gate", "GATE")]
    with store.reading() as db:
        for asked, found in (
            ("Lab door", [lab]),
            ("lab  door", [lab]),
            ("Ｌａｂ door", [lab]),
            ("Labdoor", []),
            ("CAFÉ", [cafe]),
            ("Cafe", []),
            ("GATE", [gates[1]]),
            ("gate", gates),
            (" ", []),
        ):
            assert terminals_named(db, asked, EVERYTHING) == found, asked
