"""When a push is given up: by what gets through, however long it takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.terminal.push.progress import LEAST, LOOKS, SLOWEST, SMALL, STEP, Handshake, Pace, Progress

SIZE = 40 * STEP


def push(size: int = SIZE, *, acknowledged: int = 0) -> Progress:
    return Progress(size, acknowledged=acknowledged, tick=0.0, send_s=30.0, reply_s=20.0)


def ends(progress: Progress, got_through, *, tick: float = 0.0, allowance: float = 0.0) -> float:
    """Look as often as it asks to, from ``tick`` on; return when it is given up. ``got_through``: acknowledged and
    received, at a tick."""
    for _ in range(10_000):
        again = progress.look(*got_through(tick), tick, allowance=allowance)
        if not again:
            return tick
        tick += again
    raise AssertionError("it is never given up")


def test_a_push_may_take_as_long_as_it_likes_while_bytes_are_acknowledged():
    progress = push()
    for tick in range(0, 40 * 25, 5):
        assert progress.look(tick // 25 * STEP, 0, float(tick), allowance=0.0) > 0, "1 KB in 25 s"


def test_without_progress_it_is_given_up_after_the_limit_for_sending():
    progress = push()
    assert ends(progress, lambda _: (5000, 0)) == pytest.approx(30.0)
    assert progress.reason == "time-out while sending"


def test_less_than_a_step_is_no_progress():
    assert ends(push(), lambda tick: (int(tick), 0)) == pytest.approx(30.0), "a byte a second"


def test_once_all_is_acknowledged_the_limit_for_the_reply_begins():
    progress = push(500)
    assert ends(progress, lambda tick: (500 if tick >= 15.0 else 0, 0)) == pytest.approx(35.0)
    assert progress.reason == "time-out while waiting for the reply"


def test_what_was_acknowledged_before_does_not_count():
    progress = push(500, acknowledged=1_000_000)
    assert ends(progress, lambda _: (1_000_499, 0)) == pytest.approx(30.0)
    assert progress.reason == "time-out while sending"


def test_a_long_reply_may_take_its_time_and_a_short_one_comes_whole():
    assert ends(push(), lambda tick: (SIZE, int(min(tick, 50.0) * STEP / 10))) >= 70.0 - 20.0 / LOOKS
    assert ends(push(), lambda tick: (SIZE, int(tick))) == pytest.approx(20.0)


def test_the_wait_for_the_reply_is_longer_by_the_allowance_and_the_most_that_it_was_stays():
    assert ends(push(), lambda _: (SIZE, 0), allowance=40.0) == pytest.approx(60.0)
    progress = push()
    progress.look(SIZE, 0, 0.0, allowance=40.0)
    assert ends(progress, lambda _: (SIZE, 0), tick=5.0) == pytest.approx(60.0)


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 300)), min_size=1, max_size=200))
def test_whatever_gets_through_a_push_ends_within_its_limit_after_the_last_progress(script):
    """The model knows each moment; what looks sometimes is late by one part of the limit at most."""
    progress, tick, acknowledged, received = push(), 0.0, 0, 0
    counted, since, sent = 0, 0.0, False
    for more, back in script:
        again = progress.look(acknowledged, received, tick, allowance=0.0)
        limit = 20.0 if sent else 30.0
        assert (again > 0) == (tick - since < limit)
        if not again:
            return
        assert again <= limit / LOOKS
        tick += again
        acknowledged = min(SIZE, acknowledged + more)
        received += back if acknowledged == SIZE else 0
        if (acknowledged == SIZE) != sent or acknowledged + received - counted >= STEP:
            sent, counted, since = acknowledged == SIZE, acknowledged + received, tick


class TestPace:
    def test_before_a_reply_a_kb_has_a_second_with_a_limit_of_30(self):
        pace = Pace(30.0)
        assert pace.allowance() == 0.0
        pace.begun(40 * 1024)
        assert pace.allowance() == pytest.approx(40.0)
        pace.begun(40 * 1024)
        assert pace.allowance() == pytest.approx(80.0)
        pace.ended(40 * 1024)
        assert pace.allowance() == pytest.approx(40.0)

    def test_a_reply_teaches_the_pace(self):
        pace = Pace(30.0)
        pace.replied(40 * 1024, 10.0)
        pace.begun(80 * 1024)
        assert pace.allowance() == pytest.approx(20.0)
        pace.replied(40 * 1024, 0.004)
        assert pace.allowance() < 0.01

    @pytest.mark.parametrize("seconds", [0.001, 0.6, 20.0])
    def test_a_small_push_teaches_nothing(self, seconds):
        pace = Pace(30.0)
        pace.begun(40 * 1024)
        pace.replied(SMALL, 1.0)
        pace.replied(SMALL - 1, seconds)
        assert pace.allowance() == pytest.approx(5.0)

    def test_it_is_never_slower_than_the_slowest_and_is_so_again_after_a_time_out(self):
        pace = Pace(30.0)
        pace.begun(SLOWEST)
        pace.replied(SLOWEST, 500.0)
        assert pace.allowance() == pytest.approx(30.0)
        pace.replied(SLOWEST, 0.1)
        pace.forget()
        assert pace.allowance() == pytest.approx(30.0)


class TestHandshake:
    def test_it_may_take_as_long_as_it_likes_while_it_moves(self):
        handshake = Handshake(moved=5, tick=0.0, limit_s=10.0)
        for tick in range(0, 400, 4):
            assert handshake.look(5 + tick // 8 * LEAST, float(tick), allowance=0.0) > 0

    @pytest.mark.parametrize(("rate", "allowance"), [(0, 0.0), (0, 7.0), (LEAST / 20, 0.0)])
    def test_it_is_given_up_after_its_limit_and_the_allowance_without_progress(self, rate, allowance):
        handshake, tick = Handshake(moved=0, tick=0.0, limit_s=10.0), 0.0
        while again := handshake.look(int(rate * tick), tick, allowance=allowance):
            assert again <= (10.0 + allowance) / LOOKS
            tick += again
        assert tick == pytest.approx(10.0 + allowance)

    def test_the_most_that_the_allowance_was_stays(self):
        handshake = Handshake(moved=0, tick=0.0, limit_s=10.0)
        handshake.look(0, 1.0, allowance=30.0)
        assert handshake.look(0, 39.0, allowance=0.0) > 0
        assert handshake.look(0, 40.0, allowance=0.0) == 0
