"""Events leave no faster than a rate allows, and a burst gathers before it is told."""

import random

from gatepost.forward.forwarder.pace import Pace


def test_a_rate_is_kept_whatever_the_turns_are() -> None:
    dice = random.Random(1)
    pace, tick, left = Pace(0.0, rate=10.0), 0.0, 0
    while tick < 100.0:
        tick += dice.random() * 0.2
        room = pace.room(256, tick)
        pace.spend(room)
        left += room
    assert 900 <= left <= 1003


def test_a_wait_is_until_one_event_may_leave() -> None:
    pace = Pace(0.0, rate=4.0)
    assert pace.room(256, 0.0) == 0
    assert pace.wait(0.0) == 0.25
    assert pace.room(256, 0.25) == 1


def test_without_a_rate_all_may_leave() -> None:
    pace = Pace(0.0, rate=None)
    assert (pace.room(256, 0.0), pace.wait(0.0)) == (256, 0.0)


def test_what_waits_gathers_once_unless_it_is_enough() -> None:
    pace = Pace(0.0, rate=None, gather_s=2.0, full=64)
    assert pace.has_gathered(0, 0.0)
    assert not pace.has_gathered(1, 10.0)
    assert pace.wait(11.0) == 1.0
    assert pace.has_gathered(64, 11.0)
    assert pace.has_gathered(2, 12.0)
    assert pace.has_gathered(0, 12.0)
    assert not pace.has_gathered(1, 13.0)
