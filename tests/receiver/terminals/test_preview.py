from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gatepost.receiver.terminals.claims import Policy, RequireToken, Unknowns
from gatepost.receiver.terminals.preview import refused_of
from gatepost.store.conversion.values import ms
from gatepost.store.interface import TerminalRow

NOW = datetime(2026, 5, 8, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def row(number: int = 1, **values: Any) -> TerminalRow:
    known: dict[str, Any] = {
        "id": number, "serial": f"SN-{number}", "anonymous_peer": None, "name": None, "site_id": 1, "site": "default",
        "timezone": "UTC", "state": "approved", "has_token": False, "networks": (), "model": None, "dialect": None,
        "created_at": NOW - 30 * DAY, "last_seen": NOW - HOUR, "peer": "10.0.0.1",
    }  # fmt: skip
    return TerminalRow(**{**known, **values})


TOKENLESS = row(tokenless_at=NOW - HOUR)
WITH_TOKEN = row(has_token=True, token_used_at=NOW - 9 * DAY, token_required_since=NOW - 9 * DAY)
ALWAYS = Policy(require_token=RequireToken.ALWAYS)


def reasons(policy: Policy, *rows: TerminalRow, at: str = "10.0.0.1") -> list[str]:
    peers = {(at, one.id): ms(NOW - HOUR) for one in rows}
    return [one.reason for one in refused_of(rows, peers, policy, now=NOW).values()]


def test_what_pushed_without_its_token_would_be_refused_where_one_is_always_required() -> None:
    assert reasons(ALWAYS, TOKENLESS) == ["token missing"]
    assert reasons(ALWAYS, WITH_TOKEN) == []
    assert reasons(Policy(), TOKENLESS) == []


@pytest.mark.parametrize(("ago", "told"), [(timedelta(days=6, hours=23), 1), (timedelta(days=7, hours=1), 0)])
def test_a_week_is_looked_back(ago: timedelta, told: int) -> None:
    assert len(reasons(ALWAYS, row(tokenless_at=NOW - ago, last_seen=NOW - ago))) == told


def test_a_terminal_that_nobody_approved_would_be_refused_where_unknown_ones_are() -> None:
    refuse = Policy(unknowns=Unknowns.REFUSE)
    new, nameless = row(1, state="new", tokenless_at=NOW), row(2, state="new", serial=None, tokenless_at=NOW)
    assert reasons(refuse, new) == ["unknown terminal"]
    assert refused_of([nameless], {}, refuse, now=NOW)[2].reason == "unknown terminal"
    assert reasons(refuse, TOKENLESS) == []


def test_every_address_of_the_week_is_looked_at() -> None:
    bound = row(tokenless_at=NOW, networks=("10.0.0.0/24",))
    assert reasons(Policy(), bound) == []
    peers = {("10.0.0.1", 1): ms(NOW), ("10.0.1.1", 1): ms(NOW - 6 * DAY), ("10.0.2.1", 1): ms(NOW - 8 * DAY)}
    assert refused_of([bound], peers, Policy(), now=NOW)[1].peer == "10.0.1.1"


def test_a_retired_terminal_would_be_refused_with_its_token_too() -> None:
    retired = row(state="retired", has_token=True, token_used_at=NOW - DAY)
    assert reasons(Policy(), retired) == ["retired"]
