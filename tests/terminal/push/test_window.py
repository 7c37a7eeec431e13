"""The window: how many pushes may be under way at once."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.terminal.push.window import FEW, FIRST_TRY, IMAGE, LAST_TRY, SLOW_S, Window


class Line:
    """Pushes one after the other, by a clock of its own."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.tick = 0.0

    def replied(self, size: int, seconds: float) -> None:
        began, self.tick = self.tick, self.tick + seconds
        self.window.replied(size, began, self.tick)


def test_it_begins_with_one_and_grows_by_one_with_each_reply_up_to_the_most():
    window = Window(4)
    sizes = [window.size]
    line = Line(window)
    for _ in range(5):
        line.replied(IMAGE, 0.1)
        sizes.append(window.size)
    assert sizes == [1, 2, 3, 4, 4, 4]


def test_a_slow_reply_makes_it_smaller_by_one_and_one_push_stays():
    window = Window(8, size=3)
    line, sizes = Line(window), []
    for seconds in (SLOW_S, SLOW_S + 0.1, 20.0, 20.0, 20.0, 20.0):
        line.replied(IMAGE, seconds)
        sizes.append(window.size)
    assert sizes == [4, 3, 2, 1, 1, 1]


def test_a_small_push_opens_it_all_only_if_an_image_would_be_quick_at_its_pace():
    def opened(size: int, seconds: float) -> int:
        window = Window(8)
        line = Line(window)
        for _ in range(20):
            line.replied(size, seconds)
        return window.size

    assert opened(500, 0.001) == 8, "a local network"
    assert opened(500, 0.15) == FEW, "4 KB/s, or a long way"
    assert opened(IMAGE // 2, SLOW_S / 2) == 8
    assert opened(IMAGE // 2, SLOW_S / 2 + 0.1) == FEW


def test_a_small_push_takes_nothing_from_a_window_that_images_opened():
    window = Window(8, size=5)
    Line(window).replied(500, 0.15)
    assert window.size == 5


def test_a_time_out_halves_it_and_one_push_stays():
    window = Window(8, size=8)
    sizes = []
    for tick in range(1, 6):
        window.timed_out(tick - 0.5, float(tick))
        sizes.append(window.size)
    assert sizes == [4, 2, 1, 1, 1]


def test_pushes_that_were_under_way_together_halve_it_once():
    window = Window(8, size=8)
    for number in range(8):
        window.timed_out(1.0 + number / 10, 31.0 + number / 10)
    assert window.size == 4
    window.timed_out(40.0, 70.0)
    assert window.size == 2


def test_another_address_begins_again():
    window = Window(8)
    Line(window).replied(IMAGE, 0.1)
    window.readdress()
    assert window.size == 1


def simulated(
    window: Window, pace: Callable[[int], float], *, seconds: float, count: int, size: int = IMAGE
) -> list[int]:
    """Push ``count`` times, as many at once as the window allows; return its size after each reply.

    ``pace`` returns how fast each push gets on by how many are under way: 1 for one alone, which takes ``seconds``.
    """
    tick, under_way, sizes = 0.0, list[tuple[float, float]](), []
    for _ in range(count):
        under_way += [(seconds, tick)] * (window.size - len(under_way))
        at_once = pace(len(under_way))
        left, began = min(under_way)
        under_way.remove((left, began))
        tick += left / at_once
        under_way = [(other - left, start) for other, start in under_way]
        window.replied(size, began, tick)
        sizes.append(window.size)
    return sizes


def test_a_receiver_that_takes_long_for_each_reply_gets_all_of_it():
    window = Window(8)
    sizes = simulated(window, lambda under_way: 1.0, seconds=8.0, count=200)
    assert set(sizes[60:]) == {8}


def test_a_slow_receiver_gets_about_as_many_at_once_as_it_takes_no_longer_for():
    window = Window(8)
    sizes = simulated(window, lambda under_way: min(1.0, 3 / under_way), seconds=8.0, count=1_000)
    assert set(sizes[100:]) <= {2, 3, 4, 5}
    assert sum(sizes[100:]) / 900 > 3


def test_without_images_a_slow_receiver_gets_few():
    window = Window(8)
    simulated(window, lambda under_way: 1.0, seconds=8.0, count=100, size=500)
    assert window.size == FEW


def test_on_a_slow_link_a_second_push_is_tried_seldom_and_never_a_third():
    window = Window(8)
    sizes = simulated(window, lambda under_way: 1 / under_way, seconds=10.0, count=1_000)
    tries = sizes.count(2)
    assert 1_000 / LAST_TRY / 2 < tries < 1_000 / LAST_TRY + 6
    assert max(sizes) == 2


@pytest.mark.parametrize("seconds", [(6.0, 20.0), (20.0, 6.0)])
def test_replies_that_do_not_take_equally_long_try_no_second_push(seconds):
    window = Window(8)
    line = Line(window)
    for _ in range(100):
        for each in seconds:
            line.replied(IMAGE, each)
    assert window.size == 1


def test_a_push_from_before_the_others_ended_does_not_count_as_one_alone():
    window = Window(8, size=2)
    line = Line(window)
    window.replied(IMAGE, 0.0, 20.0)
    assert window.size == 1
    line.tick = 20.0
    for _ in range(2 * FIRST_TRY):
        window.replied(IMAGE, 0.0, 21.0)
    for _ in range(2 * FIRST_TRY):
        line.replied(IMAGE, 10.0)
    assert window.size == 1
    line.replied(IMAGE, 10.0)
    assert window.size == 2


@given(st.integers(1, 256), st.lists(st.one_of(st.floats(0.0, 60.0), st.none()), max_size=300))
def test_whatever_comes_it_lets_one_push_begin_and_never_more_than_the_most(most, script):
    """One more at most with each reply, always with a quick one; half with a time-out, one push after another."""
    window = Window(most)
    line = Line(window)
    for seconds in script:
        before = window.size
        if seconds is None:
            window.timed_out(line.tick, line.tick + 30.0)
            line.tick += 31.0
            assert window.size == max(1, before // 2)
        else:
            line.replied(IMAGE, seconds)
            if seconds <= SLOW_S:
                assert window.size == min(most, before + 1)
            assert window.size <= before + 1
        assert 1 <= window.size <= most
