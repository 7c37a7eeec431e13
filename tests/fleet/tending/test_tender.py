"""What the job decides without any terminal: who came back, and what a person is told."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gatepost.fleet.tending.decisions import MAX_SETS, Kept, after, next_step, was_set
from gatepost.fleet.tending.tender import SILENCE_MS, returned
from gatepost.fleet.tending.visit import notices_of
from gatepost.store.terminals.adopted import AdoptedRow, Looked

NOW = 1_700_000_000.0
ROW = AdoptedRow(
    terminal_id=7,
    serial="SN-7",
    name=None,
    site_id=1,
    site="default",
    terminal_state="approved",
    token_digests=frozenset(),
    address="https://192.0.2.7:8000",
    ours="https://us.example/Record",
    secrets=None,
    certificate=None,
    previous_shown=None,
    state="ours",
    reason="",
    due_ms=0,
    failures=0,
    sets=(),
    must_set=False,
    shows=True,
    set_at=None,
    looked_at=None,
    reached_at=None,
    found="ours",
    shown=None,
    said=None,
    clock_error_ms=None,
    last_seen=None,
    adopted_at=datetime(2026, 1, 1, tzinfo=UTC),
    adopted_by="anna",
    revision=1,
)


def looked(state: str, **more: Any) -> Looked:
    fields: dict[str, Any] = {"reason": "", "due_ms": 0, "failures": 0, "sets": (), "must_set": False}
    fields |= {"looked_at_ms": 5, "found": "ours", "reached_at_ms": 5}
    return Looked(terminal_id=7, revision=1, state=state, **(fields | more))


@pytest.mark.parametrize(
    ("before", "now", "away", "back"),
    [
        ({7: 0}, {7: SILENCE_MS}, set(), []),
        ({7: 0}, {7: SILENCE_MS + 1}, set(), [7]),
        ({7: 0}, {7: 1}, {7}, [7]),
        ({7: 1}, {7: 1}, {7}, []),
        ({}, {7: SILENCE_MS * 9}, set(), []),
        ({}, {7: 1}, {7}, [7]),
    ],
    ids=[
        "as usual",
        "after a silence",
        "away until now",
        "still away",
        "the first time",
        "the first time, away",
    ],
)
def test_one_comes_back_that_pushes_after_a_silence_or_was_away(
    before: dict[int, int], now: dict[int, int], away: set[int], back: list[int]
) -> None:
    assert returned(before, now, away) == back


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        ("ours", ["terminal.ours", "terminal.managed"]),
        ("adopted", ["terminal.managed"]),
        ("contested", ["terminal.contested", "terminal.managed"]),
        ("stopped", ["terminal.stopped"]),
    ],
)
def test_a_person_is_told_what_begins_and_what_is_over(state: str, kinds: list[str]) -> None:
    assert [one.kind for one in notices_of(ROW, looked(state))] == kinds


def test_nothing_is_over_for_one_that_cannot_be_reached() -> None:
    assert notices_of(ROW, looked("away", reached_at_ms=None)) == []


def test_one_that_showed_its_address_and_shows_none_has_forgotten_it() -> None:
    kept = after(Kept(sets=(NOW,)), "ours", now=NOW, rand=lambda: 0.5, has_arrived=True)

    forgot = after(kept, "silent", now=NOW, rand=lambda: 0.5, has_arrived=True)

    assert next_step(forgot, now=NOW) == "set"


def test_what_was_set_again_and_again_by_a_receiver_that_ended_is_not_set_once_more() -> None:
    kept = Kept(must_set=True)
    for _ in range(MAX_SETS):
        assert next_step(kept, now=NOW) == "set"
        kept = Kept(must_set=True, sets=was_set(kept, now=NOW).sets)

    assert next_step(kept, now=NOW) == "verify"
