"""What is done many times in a row is a line at once, and one more for the rest of the minute."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from tests.receiver.kit import Clock, opened

from gatepost.errors import StoreUnavailable
from gatepost.receiver.auth.audit_groups import WINDOW_MS, AuditGroups
from gatepost.store.accounts.accounts import Accounts


class Breaking(Accounts):
    """Accounts of a store that is away now and then."""

    away = False

    def note(self, **values: Any) -> None:
        if self.away:
            raise StoreUnavailable("away")
        super().note(**values)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(tmp_path: Path) -> Breaking:
    return Breaking(opened(tmp_path / "data"))


@pytest.fixture
def groups(accounts: Breaking, clock: Clock) -> AuditGroups:
    return AuditGroups(accounts, lambda: int(clock.at * 1000))


def lines(accounts: Accounts) -> list[tuple[str, str, dict[str, Any]]]:
    rows = accounts.audit(limit=1000).items
    return [(row.actor, row.action, row.detail) for row in reversed(rows)]


def look(groups: AuditGroups, *ids: int, actor: str = "anna", address: str = "::1") -> None:
    for number in ids:
        groups.add(actor, address, "images.opened", event_id=number)


def test_the_first_is_a_line_at_once_and_the_rest_of_the_minute_one_more(
    groups: AuditGroups, accounts: Breaking, clock: Clock
) -> None:
    look(groups, 7)
    first = ("anna", "images.opened", {"count": 1, "first": 7, "last": 7})
    assert lines(accounts) == [first]
    look(groups, 9, 3, 5)
    groups.flush()
    assert lines(accounts) == [first]
    clock.at += WINDOW_MS / 1000
    groups.flush()
    groups.flush()
    rest = ("anna", "images.opened", {"count": 3, "first": 3, "last": 9})
    assert lines(accounts) == [first, rest]
    look(groups, 1)
    assert lines(accounts)[2:] == [("anna", "images.opened", {"count": 1, "first": 1, "last": 1})]


def test_every_look_is_counted_once_whoever_looks_from_wherever(
    groups: AuditGroups, accounts: Breaking, clock: Clock
) -> None:
    looks = list(itertools.product(range(40), ("anna", "berta"), ("::1", "::2")))
    for number, actor, address in looks:
        look(groups, number, actor=actor, address=address)
        clock.at += 3
    groups.flush(all_of_them=True)
    assert sum(detail["count"] for _, _, detail in lines(accounts)) == len(looks)


def test_a_thousand_in_a_minute_are_two_lines(groups: AuditGroups, accounts: Breaking) -> None:
    look(groups, *range(1000))
    groups.flush(all_of_them=True)
    assert [detail["count"] for _, _, detail in lines(accounts)] == [1, 999]


def test_what_cannot_be_noted_is_said_and_nothing_that_was_counted_is_lost(
    groups: AuditGroups, accounts: Breaking, clock: Clock
) -> None:
    accounts.away = True
    with pytest.raises(StoreUnavailable):
        look(groups, 1)
    accounts.away = False
    look(groups, 2, 3)
    accounts.away = True
    clock.at += WINDOW_MS / 1000
    for action in (groups.flush, lambda: look(groups, 4)):
        with pytest.raises(StoreUnavailable):
            action()
    accounts.away = False
    groups.flush()
    assert [detail for _, _, detail in lines(accounts)] == [
        {"count": 1, "first": 2, "last": 2},
        {"count": 1, "first": 3, "last": 3},
    ]
