"""Adoptions of many on both databases: each row once, also over a restart."""

import pytest
from sqlalchemy import select
from tests.store.conftest import Opener

from gatepost.store.base import BaseStore
from gatepost.store.schema import tables as t
from gatepost.store.terminals import adoptions as module
from gatepost.store.terminals.adoptions import Adoptions, Ordered, ToAdopt

NOW = 1_714_989_600_000
OURS = "https://us.example/Record"


@pytest.fixture
def store(open_store: Opener) -> BaseStore:
    return open_store()


def wanted(count: int) -> list[ToAdopt]:
    return [
        ToAdopt(
            address=f"https://192.0.2.{n}:8000", username="admin", password=f"password-{n}", name=f"Door {n}"
        )
        for n in range(1, count + 1)
    ]


def ended(adoptions: Adoptions, row: Ordered, terminal_id: int | None, reason: str = "") -> bool:
    return adoptions.end(row, now_ms=NOW, serial="SN-1", terminal_id=terminal_id, reason=reason)


def test_each_row_is_done_once_in_its_order_and_its_account_is_gone_then(store: BaseStore) -> None:
    adoptions = Adoptions(store)
    made = adoptions.create(wanted(3), ours=OURS, by="anna", now_ms=NOW)
    assert (made.counts, made.finished_at, made.created_by) == ({"waiting": 3}, None, "anna")

    first, second = adoptions.begin(2)
    assert [row.what.password for row in (first, second)] == ["password-1", "password-2"]
    assert (first.ours, first.by) == (OURS, "anna")
    (third,) = adoptions.begin(2)
    assert adoptions.begin(2) == []

    assert not ended(adoptions, first, 7)
    assert not ended(adoptions, second, None, "its password is wrong")
    assert ended(adoptions, third, 8)

    rows = adoptions.rows(made.id)
    assert [(row.number, row.state, row.terminal_id, row.reason) for row in rows] == [
        (1, "adopted", 7, ""),
        (2, "failed", None, "its password is wrong"),
        (3, "adopted", 8, ""),
    ]
    assert [row.number for row in adoptions.rows(made.id, after=1, limit=1)] == [2]
    now = adoptions.one(made.id)
    assert now is not None
    assert (now.counts, now.finished_at is not None) == ({"adopted": 2, "failed": 1}, True)
    with store.reading() as db:
        assert set(db.execute(select(t.adoption_rows.c.secrets)).scalars()) == {None}


def test_after_a_restart_what_was_being_tried_has_failed_and_the_others_go_on(store: BaseStore) -> None:
    made = Adoptions(store).create(wanted(2), ours=OURS, by="anna", now_ms=NOW)
    Adoptions(store).begin(1)

    adoptions = Adoptions(store)
    assert adoptions.fail_interrupted("the receiver was stopped", now_ms=NOW) == 1

    assert [row.state for row in adoptions.rows(made.id)] == ["failed", "waiting"]
    (row,) = adoptions.begin(10)
    assert (row.number, row.what.password) == (2, "password-2")
    assert ended(adoptions, row, 1)


def test_the_latest_adoptions_are_kept_and_none_that_is_not_over_is_deleted(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    adoptions = Adoptions(store)
    first = adoptions.create(wanted(1), ours=OURS, by="anna", now_ms=NOW)
    for _ in range(4):
        made = adoptions.create(wanted(1), ours=OURS, by="anna", now_ms=NOW)
        for row in adoptions.begin(10):
            if row.adoption_id != first.id:
                ended(adoptions, row, 1)

    assert [one.id for one in adoptions.latest()] == [made.id, made.id - 1, first.id]
