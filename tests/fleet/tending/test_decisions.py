"""When a terminal is looked at, and what is done then."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.fleet.tending.decisions import (
    EVERY_S,
    LAST_AGAIN_S,
    MAX_SETS,
    WITHIN_S,
    Found,
    Kept,
    after,
    came_back,
    compared,
    next_step,
    resumed,
    was_set,
)
from gatepost.wire import Subscription

NOW = 1_700_000_000.0


def looked(
    kept: Kept,
    found: Found,
    *,
    now: float = NOW,
    rand: float = 0.5,
    has_arrived: bool = False,
    is_quiet: bool = False,
) -> Kept:
    return after(kept, found, now=now, rand=lambda: rand, has_arrived=has_arrived, is_quiet=is_quiet)


def test_one_that_pushes_to_us_is_looked_at_again_in_five_minutes_more_or_less_a_fifth() -> None:
    first, last = (looked(Kept(), "ours", rand=rand) for rand in (0.0, 1.0))

    assert (first.state, first.due_at - NOW) == ("ours", 0.8 * EVERY_S)
    assert last.due_at - NOW == 1.2 * EVERY_S
    assert next_step(first, now=NOW) == "nothing"
    assert next_step(first, now=first.due_at) == "verify"


def test_an_address_that_differs_is_set_and_read_back() -> None:
    kept = looked(Kept(state="ours"), "differs")
    assert next_step(kept, now=NOW) == "set"

    kept = was_set(kept, now=NOW)

    assert (kept.state, next_step(kept, now=NOW)) == ("adopted", "verify")
    assert looked(kept, "ours").state == "ours"


def test_another_tool_that_sets_it_each_minute_is_told_after_three_times_an_hour() -> None:
    kept, now = Kept(state="ours"), NOW
    for _ in range(MAX_SETS):
        kept = looked(kept, "differs", now=now)
        assert next_step(kept, now=now) == "set"
        kept = was_set(kept, now=now)
        now += 60

    kept = looked(kept, "differs", now=now)

    assert kept.state == "contested"
    assert "which other tool" in kept.reason
    assert next_step(kept, now=kept.due_at) == "verify"
    later = looked(kept, "differs", now=NOW + WITHIN_S + 61)
    assert next_step(later, now=later.due_at) == "set"


def test_one_that_is_away_is_tried_again_and_again_with_growing_pauses() -> None:
    kept, pauses = Kept(), []
    for _ in range(12):
        kept = looked(kept, "away")
        pauses.append(kept.due_at - NOW)

    assert kept.state == "away"
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (15.0, LAST_AGAIN_S)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("wrong account", "password"),
        ("another terminal", "another terminal"),
        ("another certificate", "adopt it again"),
    ],
)
def test_what_only_a_person_can_mend_stops_it(found: Found, said: str) -> None:
    kept = looked(Kept(state="ours"), found)

    assert kept.state == "stopped"
    assert said in kept.reason
    assert next_step(kept, now=NOW + 10 * 86400) == "nothing"
    assert next_step(came_back(kept, now=NOW), now=NOW) == "nothing"
    assert next_step(resumed(kept, now=NOW), now=NOW) == "verify"


def test_one_that_says_nothing_after_its_address_was_set_is_not_set_for_ever() -> None:
    kept = looked(Kept(), "silent")
    assert next_step(kept, now=NOW) == "set"
    kept = was_set(kept, now=NOW)

    for _ in range(50):
        kept = looked(kept, "silent", now=kept.due_at)
        assert next_step(kept, now=kept.due_at) == "verify"

    assert looked(kept, "silent", now=kept.due_at, has_arrived=True).state == "ours"


@pytest.mark.parametrize("has_arrived", [True, False])
def test_one_that_never_shows_its_address_is_set_once_more_after_it_was_away(has_arrived: bool) -> None:
    kept = looked(was_set(Kept(must_set=True), now=NOW), "silent", has_arrived=has_arrived)
    later = NOW + 2 * WITHIN_S

    back = looked(looked(kept, "away", now=later), "silent", now=later, has_arrived=has_arrived)
    assert next_step(back, now=later) == "set"

    calm = looked(was_set(back, now=later), "silent", now=later)
    assert (calm.state, next_step(calm, now=calm.due_at)) == ("adopted", "verify")


def test_one_that_never_shows_its_address_is_set_once_more_after_a_quiet_day() -> None:
    kept = looked(was_set(Kept(must_set=True), now=NOW), "silent", has_arrived=True)
    assert kept.state == "ours"

    quiet = looked(kept, "silent", now=NOW + 86_400, has_arrived=True, is_quiet=True)

    assert next_step(quiet, now=quiet.due_at) == "set"


def test_one_that_is_away_again_and_again_and_shows_nothing_is_not_set_for_ever() -> None:
    kept, sets = was_set(Kept(must_set=True), now=NOW), 1
    for _ in range(20):
        kept = looked(looked(kept, "away"), "silent")
        if next_step(kept, now=NOW) == "set":
            kept, sets = was_set(kept, now=NOW), sets + 1

    assert (sets, kept.state) == (MAX_SETS, "adopted")


def test_one_that_comes_back_is_looked_at_now() -> None:
    kept = looked(Kept(), "away")

    assert next_step(came_back(kept, now=NOW), now=NOW) == "verify"


OURS = "https://gate.example/Record/a-token"


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (None, "silent"),
        (Subscription(OURS, True), "ours"),
        (Subscription("https://gate.example/Record/***", True), "ours"),
        (Subscription(OURS, False), "differs"),
        (Subscription("https://gate.example/Record/another", True), "differs"),
        (Subscription("https://other.example/Record/***", True), "differs"),
        (Subscription("", True), "differs"),
    ],
)
def test_where_it_pushes_to_is_compared_also_where_it_hides_the_token(
    told: Subscription | None, found: Found
) -> None:
    assert compared(told, OURS) == found


FOUND = st.sampled_from(
    ["ours", "differs", "silent", "away", "wrong account", "another terminal", "another certificate"]
)


@given(st.lists(st.tuples(FOUND, st.floats(0, 7200), st.booleans()), max_size=60), st.integers(0, 9))
def test_whatever_is_found_it_is_set_at_most_three_times_an_hour(
    story: list[tuple[Found, float, bool]], seed: int
) -> None:
    rand, kept, now = Random(seed).random, Kept(), NOW
    sets: list[float] = []
    for found, pause, has_arrived in story:
        now = max(now + pause, kept.due_at)
        if next_step(kept, now=now) == "set":
            kept = was_set(kept, now=now)
            sets.append(now)
        kept = after(kept, found, now=now, rand=rand, has_arrived=has_arrived)
        assert len(kept.sets) <= MAX_SETS
        assert sum(now - at < WITHIN_S for at in sets) <= MAX_SETS


@given(st.floats(1, 1e6))
def test_a_clock_that_was_set_back_holds_nothing_up_for_longer_than_an_hour(back: float) -> None:
    kept = Kept(sets=(NOW + back,) * MAX_SETS)
    contested = looked(kept, "differs")
    assert contested.state == "contested"
    assert max(contested.sets) <= NOW + back
