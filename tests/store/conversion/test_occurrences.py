import itertools

import pytest

from gatepost.store.conversion.occurrences import (
    UNOPENED,
    Occurrence,
    Step,
    contribution,
    effective,
    may_join,
    moves,
    tie,
)

DOOR, FIRE = 10003, 20003


def step(
    status: int | None = 1,
    code: int | None = None,
    at: int = 10,
    received: int = 10,
    *,
    number: int = 9,
    timed: bool = True,
) -> Step:
    return Step(number, 1, "t", status, code, at if timed else None, at if timed else received, received)


def occurrence(
    code: int | None = DOOR,
    at: int = 10,
    *,
    timed: bool = True,
    own: int = 1,
    status: int = 1,
    received: int = 0,
) -> Occurrence:
    return Occurrence(1, code, at, 0, timed, own, status, received if timed else at, 5)


def test_the_tie_tells_codes_and_times_apart_and_is_the_same_everywhere() -> None:
    steps = [step(code=code, at=at) for code, at in itertools.product((None, DOOR, FIRE), (1, 2))]
    assert len({tie(each) for each in steps}) == len(steps)
    assert tie(step(code=DOOR, at=1)) == 10003 << 32 | 668_826_833
    huge = [step(code=code) for code in (-(1 << 63), -1, 0, 1, (1 << 31) - 1, 1 << 31, (1 << 63) - 1)]
    assert len({tie(each) for each in huge}) == len(huge)
    assert all(0 <= tie(each) < 1 << 63 for each in steps + huge)


def test_of_those_that_opened_together_a_fire_alarm_is_the_first_and_the_others_are_in_the_order_of_codes() -> (
    None
):
    in_order = [FIRE, -7, 10001, 10002, DOOR, 10004, 20002, 20004, 1 << 40, None]
    for at in range(1, 50):
        ties = [tie(step(code=code, at=at)) for code in in_order]
        assert ties == sorted(ties)


@pytest.mark.parametrize("status", [2, 3, 9, None])
def test_a_step_without_a_usable_time_joins_nothing_that_was_received_after_it(status: int | None) -> None:
    unsure = step(status, received=30, timed=False)
    assert may_join(unsure, occurrence(at=20, received=29))
    assert may_join(unsure, occurrence(at=20, received=30))
    assert not may_join(unsure, occurrence(at=20, received=31))
    assert not may_join(unsure, occurrence(at=31, received=29))
    first = step(status, received=30, timed=False, number=4)
    assert not may_join(first, occurrence(at=20, received=30))
    assert may_join(step(status, at=30, received=1), occurrence(at=20, received=31))


@pytest.mark.parametrize(("status", "gives"), [(1, 1), (2, 2), (3, 3), (0, 0), (9, 0), (-3, 0), (None, 0)])
def test_a_step_gives_an_occurrence_its_status_if_the_page_knows_it(status: int | None, gives: int) -> None:
    assert contribution(step(status), occurrence()) == gives


def test_a_clear_known_before_does_not_clear_what_has_no_usable_time() -> None:
    unsure = occurrence(at=20, timed=False)
    assert contribution(step(3, at=30, received=19), unsure) == 0
    assert contribution(step(3, at=30, received=20), unsure) == 3
    assert contribution(step(3, at=30, received=20, number=4), unsure) == 0
    assert contribution(step(3, at=30, received=19), occurrence(at=20)) == 3


def test_what_is_older_than_a_cleared_one_of_its_code_is_cleared() -> None:
    cleared = occurrence(at=20, own=3, status=3)
    assert effective(occurrence(), cleared) == 3
    assert effective(occurrence(timed=False), cleared) == 1
    assert effective(occurrence(timed=False), occurrence(timed=False, own=3, status=3)) == 3
    assert effective(occurrence(own=2), occurrence(own=2, status=2)) == 2
    assert effective(occurrence(own=2), None) == 2


def test_a_step_goes_to_the_newer_occurrence_unless_it_names_the_code_of_the_older_one() -> None:
    door, fire = occurrence(DOOR), occurrence(FIRE, at=20)
    assert moves(step(3, at=20), fire, door)
    assert not moves(step(3, at=19), fire, door)
    assert moves(step(3, FIRE, at=20), fire, door)
    assert moves(step(3, 7, at=20), fire, door)
    assert not moves(step(3, DOOR, at=20), fire, door)
    assert moves(step(3, DOOR, at=20), occurrence(DOOR, at=20), door)
    assert not moves(step(1, FIRE, at=20), fire, door)
    assert moves(step(3, DOOR, at=20), fire, occurrence(None, UNOPENED))
    assert not moves(step(3, received=30, timed=False), occurrence(FIRE, at=20, received=31), door)
