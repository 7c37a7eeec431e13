"""How many events a destination took by minute."""

from gatepost.forward.rates import MINUTES, Rates


def test_events_are_counted_in_their_minute() -> None:
    rates = Rates()
    rates.note({1: 1000}, 7)  # what was delivered before this process began is of no minute
    rates.note({1: 1003}, 7)
    rates.note({1: 1005}, 8)
    rates.note({1: 1009}, 10)
    assert rates.of(1)[-5:] == [0, 3, 2, 0, 4]
    assert len(rates.of(1)) == MINUTES


def test_a_long_pause_and_a_clock_that_goes_back_do_no_harm() -> None:
    rates = Rates()
    rates.note({1: 0}, 1)
    rates.note({1: 5}, 100_000)
    assert rates.of(1) == [0] * (MINUTES - 1) + [5]
    rates.note({1: 6}, 99_000)
    assert rates.of(1)[-1] == 6


def test_of_a_destination_that_is_gone_or_unknown_nothing_is_kept() -> None:
    rates = Rates()
    rates.note({1: 1, 2: 2}, 1)
    rates.note({2: 3}, 2)
    assert rates.of(1) == [0] * MINUTES
    assert rates.of(2)[-1] == 1


def test_no_more_than_an_hour_is_kept() -> None:
    rates = Rates()
    for minute in range(200):
        rates.note({1: minute}, minute)
    assert rates.of(1) == [1] * MINUTES
