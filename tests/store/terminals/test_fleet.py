"""Adopted terminals on both databases: what opens them, what a look found, and whose token counts."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.postgres import Postgres
from tests.store.conftest import Opener
from tests.store.packed import open_at
from tests.terminals import ensured

from gatepost.errors import StoreError
from gatepost.store.base import BaseStore
from gatepost.store.maintenance.backup import backup
from gatepost.store.maintenance.restore import restore
from gatepost.store.receivers.leases import MAX_MS, Leases
from gatepost.store.schema import tables as t
from gatepost.store.terminals.adopted import Credentials, Looked, NewAdopted, Previous
from gatepost.store.terminals.adoptions import Adoptions, ToAdopt
from gatepost.store.terminals.fleet import Adopted

NOW = 1_714_989_600_000
OURS = "https://us.example/Record"
ACCOUNT = Credentials("admin", "the-password-of-door-3", "a-token-of-its-own")


@pytest.fixture
def store(open_store: Opener) -> BaseStore:
    made = open_store()
    ensured(made, "SN-1", now_ms=NOW)
    ensured(made, "SN-2", now_ms=NOW)
    return made


@pytest.fixture
def adopted(store: BaseStore) -> Adopted:
    return Adopted(store)


def new(terminal_id: int = 1, **fields: object) -> NewAdopted:
    values: dict[str, object] = {
        "address": "https://192.0.2.7:8000",
        "ours": OURS,
        "credentials": ACCOUNT,
        "certificate": b"c" * 32,
        "previous": Previous("https://other.example/in/secret", True),
        "previous_shown": "https://other.example/in/***",
        "must_set": True,
        "clock_error_ms": 1200,
        "by": "anna",
        **fields,
    }
    return NewAdopted(terminal_id=terminal_id, **values)  # type: ignore[arg-type]


def looked(terminal_id: int = 1, **fields: object) -> Looked:
    values: dict[str, object] = {
        "revision": 1,
        "state": "ours",
        "reason": "",
        "due_ms": NOW + 300_000,
        "failures": 0,
        "sets": (1.5,),
        "must_set": False,
        "looked_at_ms": NOW + 5,
        "found": "ours",
        **fields,
    }
    return Looked(terminal_id=terminal_id, **values)  # type: ignore[arg-type]


def test_what_opens_a_terminal_is_kept_sealed(store: BaseStore, adopted: Adopted) -> None:
    row = adopted.adopt(new(), now_ms=NOW)

    assert (row.serial, row.state, row.must_set) == ("SN-1", "adopted", True)
    assert adopted.opened(row) == ACCOUNT
    assert adopted.previous(1) == Previous("https://other.example/in/secret", True)
    again = Adopted(store).one(1)
    assert again is not None
    assert Adopted(store).opened(again) == ACCOUNT
    assert (ACCOUNT.password in repr(again), ACCOUNT.password.encode() in (again.secrets or b"")) == (
        False,
        False,
    )


def test_what_is_sealed_opens_in_no_other_row(adopted: Adopted) -> None:
    adopted.adopt(new(), now_ms=NOW)
    with pytest.raises(StoreError, match="adopt the terminal again"):
        adopted._seal.open(adopted._seal.close(b"x", "account 1"), "account 2")


def test_to_adopt_again_keeps_where_it_pushed_to_unless_another_place_is_given(adopted: Adopted) -> None:
    adopted.adopt(new(), now_ms=NOW)

    row = adopted.adopt(new(previous=None, previous_shown=None, address="https://192.0.2.8:8000"), now_ms=NOW)

    assert (row.address, row.revision) == ("https://192.0.2.8:8000", 2)
    assert row.previous_shown == "https://other.example/in/***"
    assert adopted.previous(1) == Previous("https://other.example/in/secret", True)


def test_a_look_counts_unless_a_person_changed_the_terminal_meanwhile(adopted: Adopted) -> None:
    adopted.adopt(new(), now_ms=NOW)
    assert adopted.keep([looked(reached_at_ms=NOW + 4)]) == 1
    row = adopted.one(1)
    assert row is not None
    assert (row.state, row.sets, row.clock_error_ms, row.found) == ("ours", (1.5,), 1200, "ours")

    adopted.resume(1, now_ms=NOW)

    assert adopted.keep([looked(state="stopped")]) == 0
    row = adopted.one(1)
    assert row is not None
    assert (row.state, row.due_ms) == ("adopted", NOW)


def test_those_that_are_due_are_the_longest_due_first_without_stopped_and_retired_ones(
    store: BaseStore, adopted: Adopted
) -> None:
    adopted.adopt(new(1), now_ms=NOW)
    adopted.adopt(new(2), now_ms=NOW - 5)

    assert [row.terminal_id for row in adopted.due(10, now_ms=NOW)] == [2, 1]
    assert [row.terminal_id for row in adopted.due(10, now_ms=NOW, leave_out=[2])] == [1]
    assert [row.terminal_id for row in adopted.due(1, now_ms=NOW)] == [2]
    assert adopted.due(10, now_ms=NOW - 6) == []
    adopted.keep([looked(2, state="stopped", due_ms=NOW)])
    assert [row.terminal_id for row in adopted.due(10, now_ms=NOW)] == [1]
    store.update_terminal(1, state="retired", token_digest=None)
    assert adopted.due(10, now_ms=NOW) == []
    assert adopted.counts() == {"adopted": 1, "stopped": 1}


def test_one_that_pushes_again_is_due_at_once(adopted: Adopted) -> None:
    adopted.adopt(new(), now_ms=NOW)
    adopted.keep([looked()])
    assert adopted.due(10, now_ms=NOW) == []

    adopted.came_back([1, 2], now_ms=NOW)

    assert [row.terminal_id for row in adopted.due(10, now_ms=NOW)] == [1]


def test_the_token_before_counts_until_the_terminal_has_taken_the_next(
    store: BaseStore, adopted: Adopted
) -> None:
    store.update_terminal(1, token_digest=b"o" * 16)
    store.use_token(b"o" * 16, now_ms=NOW)
    adopted.adopt(new(next_token=b"n" * 16), now_ms=NOW)

    assert store.tokens() == {b"o" * 16: 1, b"n" * 16: 1}
    for digest in (b"o" * 16, b"n" * 16):
        row = store.terminal_by_token(digest)
        assert row is not None
        assert row.id == 1

    assert adopted.took_token(1, b"n" * 16)
    assert not adopted.took_token(1, b"n" * 16)

    assert store.tokens() == {b"n" * 16: 1}
    row = store.use_token(b"n" * 16, now_ms=NOW)
    assert row is not None
    assert row.token_required_since is not None
    assert store.use_token(b"o" * 16, now_ms=NOW) is None


def test_an_address_that_a_person_replaces_ends_both_tokens(store: BaseStore, adopted: Adopted) -> None:
    adopted.adopt(new(next_token=b"n" * 16), now_ms=NOW)
    store.update_terminal(1, token_digest=b"p" * 16)
    assert store.tokens() == {b"p" * 16: 1}

    adopted.give_token(1, Credentials("admin", "pw", "another"), b"q" * 16)

    assert store.tokens() == {b"p" * 16: 1, b"q" * 16: 1}
    row = adopted.one(1)
    assert row is not None
    assert adopted.opened(row) == Credentials("admin", "pw", "another")
    assert row.token_digests == {b"p" * 16, b"q" * 16}


def test_a_released_terminal_is_forgotten_and_its_next_token_is_nobodys(
    store: BaseStore, adopted: Adopted
) -> None:
    adopted.adopt(new(next_token=b"n" * 16), now_ms=NOW)

    assert adopted.release(1)

    assert not adopted.release(1)
    assert (adopted.one(1), adopted.previous(1), store.tokens()) == (None, None, {})


def test_one_process_looks_and_what_a_former_one_found_changes_nothing(
    store: BaseStore, adopted: Adopted
) -> None:
    leases = Leases(store)
    adopted.adopt(new(), now_ms=NOW)
    # The time of a server counts where there is one: a lease that is over at once is over on both.
    first = leases.take("tending", "one", now_ms=NOW, for_ms=0)
    assert first is not None
    second = leases.take("tending", "two", now_ms=NOW, for_ms=MAX_MS)
    assert second == first + 1
    assert leases.take("tending", "one", now_ms=NOW, for_ms=MAX_MS) is None
    assert leases.take("tending", "two", now_ms=NOW, for_ms=MAX_MS) == second

    assert adopted.keep([looked(state="away")], fence=first) == 0
    assert adopted.keep([looked()], fence=second) == 1

    leases.let_go("two")
    assert leases.take("tending", "one", now_ms=NOW, for_ms=MAX_MS) == second + 1


@pytest.fixture(params=["sqlite", "postgresql"])
def places(
    request: pytest.FixtureRequest, postgres_server: Postgres, tmp_path: Path
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Where a store is, and where its backup is restored."""
    with ExitStack() as stack:
        found: list[dict[str, Any]] = []
        for name in ("data", "restored"):
            place: dict[str, Any] = {"folder": tmp_path / name}
            if request.param == "postgresql":
                make = postgres_server.create if name == "restored" else postgres_server.create_with_store
                place["database"] = make()
                stack.callback(postgres_server.drop, place["database"])
            found.append(place)
        yield found[0], found[1]


def test_a_backup_has_nothing_that_opens_a_terminal_and_what_it_restores_is_stopped(
    places: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    original, restored = places
    waiting = ToAdopt(address="192.0.2.9", username="admin", password="the-password-of-door-9")
    with closing(open_at(original)) as store:
        ensured(store, "SN-1", now_ms=NOW)
        Adopted(store).adopt(new(next_token=b"n" * 16), now_ms=NOW)
        order = Adoptions(store).create([waiting], ours=OURS, by="anna", now_ms=NOW)
        Leases(store).take("tending", "one", now_ms=NOW, for_ms=MAX_MS)
        with store.reading() as db:
            sealed = [
                *db.execute(select(t.adopted_terminals.c.secrets, t.adopted_terminals.c.previous)).one(),
                db.execute(select(t.adoption_rows.c.secrets)).scalar_one(),
            ]

    backup(tmp_path / "backup.tar", **original, now=NOW / 1000 + 60)

    content = (tmp_path / "backup.tar").read_bytes()
    secret = (ACCOUNT.password.encode(), ACCOUNT.token.encode(), b"in/secret", b"of-door-9", *sealed)
    assert [piece for piece in secret if piece in content] == []
    restore(tmp_path / "backup.tar", **restored)
    with closing(open_at(restored)) as store:
        (row,) = Adopted(store).all()
        assert (row.state, row.secrets, row.address) == ("stopped", None, "https://192.0.2.7:8000")
        assert "adopt the terminal again" in row.reason
        assert (Adopted(store).previous(1), store.tokens()) == (None, {})
        assert [one.state for one in Adoptions(store).rows(order.id)] == ["failed"]
        assert Leases(store).take("tending", "two", now_ms=NOW, for_ms=MAX_MS) == 1
