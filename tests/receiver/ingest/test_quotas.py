"""How much is taken from terminals that nobody approved."""

import pytest
from msgspec.structs import replace

from gatepost.receiver.ingest.quotas import MAX_REMEMBERED, Amounts, Quotas
from gatepost.settings import ReceiverSettings

NOON = 1_700_000_000.0 // 86_400 * 86_400 + 43_200
FEW = Amounts(
    events_per_minute=10,
    bytes_per_minute=1000,
    events_per_day=30,
    bytes_per_day=2500,
    terminals_per_address=3,
)


def taken(
    quotas: Quotas, terminal: str = "A", peer: str = "10.0.0.1", *, at: float = NOON, **push: int
) -> str:
    said = {"events": 1, "size": 1, "quarantined": 0} | push
    return quotas.take(terminal, peer, now=at, **said) or "taken"


def test_a_terminal_has_its_events_of_a_minute_and_of_a_day() -> None:
    quotas = Quotas(FEW)
    assert [taken(quotas) for _ in range(11)] == ["taken"] * 10 + ["unapproved_events_per_minute"]
    assert [taken(quotas, at=NOON + 60, events=10), taken(quotas, at=NOON + 120, events=10)] == ["taken"] * 2
    assert taken(quotas, at=NOON + 180) == "unapproved_events_per_day"
    assert taken(quotas, at=NOON + 43_200) == "taken"


def test_a_terminal_has_its_bytes_of_a_minute_and_of_a_day() -> None:
    quotas = Quotas(FEW)
    assert [taken(quotas, size=600) for _ in range(2)] == ["taken", "unapproved_bytes_per_minute"]
    assert taken(quotas, size=400) == "taken"
    assert taken(quotas, size=1000, at=NOON + 60) == "taken"
    assert taken(quotas, size=600, at=NOON + 120) == "unapproved_bytes_per_day"
    assert taken(quotas, size=500, at=NOON + 120) == "taken"


def test_what_is_not_taken_does_not_count() -> None:
    quotas = Quotas(FEW)
    assert taken(quotas, events=9) == "taken"
    assert taken(quotas, events=2) == "unapproved_events_per_minute"
    assert taken(quotas, events=1) == "taken"


def test_a_push_larger_than_its_quota_is_taken_once() -> None:
    quotas = Quotas(FEW)
    assert taken(quotas, events=200, size=9000) == "taken"
    assert taken(quotas) != "taken"


def test_an_address_has_what_some_terminals_have() -> None:
    quotas = Quotas(FEW)
    assert [taken(quotas, name, events=10) for name in "ABCD"] == ["taken"] * 3 + [
        "unapproved_events_per_minute"
    ]
    assert taken(quotas, "D", "10.0.0.2", events=10) == "taken"


def test_addresses_of_one_ipv6_network_are_one_sender() -> None:
    quotas = Quotas(FEW)
    for number in range(3):
        assert taken(quotas, f"{number}", f"2001:db8::{number + 1:x}", events=10) == "taken"
    assert taken(quotas, "X", "2001:db8::ffff") == "unapproved_events_per_minute"
    assert taken(quotas, "X", "2001:db8:0:1::1") == "taken"
    assert taken(quotas, "X", "fe80::1%eth0") == "taken"
    assert taken(quotas, "X", "no address") == "taken"


def test_the_quarantine_has_a_tenth() -> None:
    quotas = Quotas(FEW)
    assert taken(quotas, quarantined=1) == "taken"
    assert taken(quotas, quarantined=1) == "unapproved_events_per_minute"
    assert taken(quotas) == "taken"
    assert taken(quotas, size=90, quarantined=1, at=NOON + 60) == "taken"
    assert taken(quotas, "B", size=90, quarantined=1, at=NOON + 60) == "taken"
    quotas = Quotas(replace(FEW, events_per_minute=1000, events_per_day=1000))
    assert taken(quotas, size=90, quarantined=1) == "taken"
    assert taken(quotas, size=20, quarantined=1) == "unapproved_bytes_per_minute"


def test_a_clock_that_is_put_back_begins_anew() -> None:
    quotas = Quotas(FEW)
    assert taken(quotas, events=10) == "taken"
    assert taken(quotas, events=10, at=NOON - 3 * 86_400) == "taken"


def test_so_many_are_remembered_and_the_longest_silent_is_forgotten() -> None:
    quotas = Quotas(FEW)
    for number in range(MAX_REMEMBERED):
        taken(quotas, f"{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(quotas) == MAX_REMEMBERED
    assert taken(quotas, "19999", "10.0.78.31", events=10) != "taken"
    assert taken(quotas, "1", "10.0.0.1", events=10) == "taken"


@pytest.mark.parametrize("processes", [1, 4])
def test_the_ingests_share_the_settings(processes: int) -> None:
    settings = ReceiverSettings(ingest_processes=processes, unapproved_events_per_day=2)
    amounts = Amounts.of(settings)
    assert amounts.events_per_minute == settings.unapproved_events_per_minute // processes
    assert amounts.bytes_per_day == settings.unapproved_bytes_per_day // processes
    assert amounts.events_per_day == (2 if processes == 1 else 1)
