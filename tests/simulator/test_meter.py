import pytest

from gatepost.simulator.meter import Count, Latency, Meter, Rate


def test_a_percentile_is_close_to_the_truth_and_never_below_it() -> None:
    latency = Latency()
    for milliseconds in range(1, 1001):
        latency.add(milliseconds / 1000)
    for share in (0.5, 0.95, 0.99):
        assert share <= latency.percentile(share) <= share * 1.05


def test_the_last_percentile_is_the_longest_duration() -> None:
    latency = Latency()
    for seconds in (0.001, 0.5, 3000.0):
        latency.add(seconds)
    assert latency.percentile(1.0) <= latency.longest == 3000.0
    assert latency.count == 3


def test_nothing_counted_has_no_percentile() -> None:
    assert Latency().percentile(0.99) == 0.0


def test_the_backlog_is_what_was_recorded_and_not_acknowledged() -> None:
    meter = Meter([Count(serial="a", recorded=5), Count(serial="b", recorded=2)])
    meter.answered(meter.counts[0], 0.01)
    assert (meter.recorded, meter.acknowledged, meter.backlog) == (7, 1, 6)


def test_failures_are_told_apart_and_their_reasons_do_not_grow_without_bound() -> None:
    meter = Meter([Count(serial="a")])
    for number in range(500):
        meter.failed(meter.counts[0], f"reason {number}", refused=number % 2 == 0)
    assert (meter.counts[0].refused, meter.counts[0].unanswered) == (250, 250)
    assert meter.errors.total() == 500
    assert len(meter.errors) <= 51


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate(window=2.0)
    assert rate.at(0.0, 0) == 0.0
    assert rate.at(1.0, 100) == pytest.approx(100)
    assert rate.at(2.0, 200) == pytest.approx(100)
    assert rate.at(3.0, 200) == pytest.approx(50)
    assert rate.at(10.0, 200) == pytest.approx(0)
