from collections import Counter
from itertools import islice

import pytest

from gatepost.torture.fault_plan import ALL, LINE, TRACKS, Kind, plan


@pytest.mark.parametrize("track", TRACKS)
def test_the_same_seed_makes_the_same_plan_and_another_one_another(track: tuple[Kind, ...]) -> None:
    first = list(islice(plan(7, track, terminals=3), 60))
    assert first == list(islice(plan(7, track, terminals=3), 60))
    assert first != list(islice(plan(8, track, terminals=3), 60))


@pytest.mark.parametrize("track", TRACKS)
def test_every_kind_comes_once_before_any_comes_again(track: tuple[Kind, ...]) -> None:
    faults = list(islice(plan(1, track, terminals=3), len(track)))
    assert Counter(fault.kind for fault in faults) == Counter(track)


def test_every_kind_is_on_exactly_one_track() -> None:
    assert Counter(kind for track in TRACKS for kind in track) == Counter(Kind)


def test_faults_hit_every_terminal_and_lines_also_all_at_once() -> None:
    targets = {fault.target for fault in islice(plan(1, LINE, terminals=3), 200)}
    assert targets == {ALL, 0, 1, 2}
    assert {fault.target for fault in islice(plan(1, TRACKS[1], terminals=2), 100)} == {0, 1}


def test_ten_minutes_have_room_for_more_than_two_hundred_faults() -> None:
    for track in TRACKS:
        faults = islice(plan(1, track, terminals=3), 70)
        # Starting an end again takes a second or two on a small machine.
        assert sum(fault.seconds + fault.pause + 2.5 for fault in faults) < 600
