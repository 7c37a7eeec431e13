import itertools

import pytest

from gatepost.store.occurrences import UNOPENED, Occurrence, Step, contribution, effective, moves, tie

DOOR, FIRE = 10003, 20003


def step(status: int | None = 1, code: int | None = None, at: int = 10, received: int = 10) -> Step:
    return Step(1, 1, "t", status, code, at, at, received)


def occurrence(
    code: int | None = DOOR, at: int = 10, *, timed: bool = True, own: int = 1, status: int = 1
) -> Occurrence:
    return Occurrence(1, code, at, 0, timed, own, status)


def test_the_tie_tells_codes_and_times_apart_and_is_the_same_everywhere() -> None:
    steps = [step(code=code, at=at) for code, at in itertools.product((None, DOOR, FIRE), (1, 2))]
    assert len({tie(each) for each in steps}) == len(steps)
    assert tie(step(code=FIRE, at=1)) == -3_620_243_019_050_783_942
    assert all(-(1 << 63) <= tie(each) < 1 << 63 for each in steps)


@pytest.mark.parametrize(("status", "gives"), [(1, 1), (2, 2), (3, 3), (0, 0), (9, 0), (-3, 0), (None, 0)])
def test_a_step_gives_an_occurrence_its_status_if_the_page_knows_it(status: int | None, gives: int) -> None:
    assert contribution(step(status), occurrence()) == gives


def test_a_clear_known_before_does_not_clear_what_has_no_usable_time() -> None:
    unsure = occurrence(at=20, timed=False)
    assert contribution(step(3, at=30, received=19), unsure) == 0
    assert contribution(step(3, at=30, received=20), unsure) == 3
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
    assert moves(step(3), fire, door)
    assert moves(step(3, FIRE), fire, door)
    assert moves(step(3, 7), fire, door)
    assert not moves(step(3, DOOR), fire, door)
    assert moves(step(3, DOOR), occurrence(DOOR, at=20), door)
    assert not moves(step(1, FIRE), fire, door)
    assert moves(step(3, DOOR), fire, occurrence(None, UNOPENED))
