"""The window: how many pushes may be under way at once."""

from hypothesis import given
from hypothesis import strategies as st

from gatepost.terminal.push.window import FEW, IMAGE, SLOW_S, Window


def test_it_begins_with_one_and_grows_by_one_with_each_reply_up_to_the_most():
    window = Window(4)
    sizes = [window.size]
    for _ in range(5):
        window.replied(IMAGE, 0.1)
        sizes.append(window.size)
    assert sizes == [1, 2, 3, 4, 4, 4]


def test_a_slow_reply_makes_it_smaller_by_one_and_one_push_stays():
    window = Window(8, size=3)
    sizes = []
    for seconds in (SLOW_S, SLOW_S + 0.1, 20.0, 20.0, 20.0, 20.0):
        window.replied(IMAGE, seconds)
        sizes.append(window.size)
    assert sizes == [4, 3, 2, 1, 1, 1]


def test_a_small_push_opens_it_all_only_if_an_image_would_be_quick_at_its_pace():
    def opened(size: int, seconds: float) -> int:
        window = Window(8)
        for _ in range(20):
            window.replied(size, seconds)
        return window.size

    assert opened(500, 0.001) == 8, "a local network"
    assert opened(500, 0.15) == FEW, "4 KB/s, or a long way"
    assert opened(IMAGE // 2, SLOW_S / 2) == 8
    assert opened(IMAGE // 2, SLOW_S / 2 + 0.1) == FEW


def test_a_small_push_takes_nothing_from_a_window_that_images_opened():
    window = Window(8, size=5)
    window.replied(500, 0.15)
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
    window.replied(IMAGE, 0.1)
    window.readdress()
    assert window.size == 1


@given(st.integers(1, 256), st.lists(st.one_of(st.floats(0.0, 60.0), st.none()), max_size=300))
def test_whatever_comes_it_lets_one_push_begin_and_never_more_than_the_most(most, script):
    """The model: one more for a quick reply, one less for a slow one, half for a time-out, one push after another."""
    window, model, tick = Window(most), 1, 0.0
    for seconds in script:
        if seconds is None:
            window.timed_out(tick, tick + 30.0)
            model = max(1, model // 2)
            tick += 31.0
        else:
            window.replied(IMAGE, seconds)
            model = min(most, model + 1) if seconds <= SLOW_S else max(1, model - 1)
        assert window.size == model
        assert 1 <= window.size <= most
