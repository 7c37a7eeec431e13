"""The circuit breaker: all attempts, one trial, or none yet."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.retry import Backoff
from gatepost.terminal.push.circuit_breaker import FAILING_EVENTS, REFUSES_ALL, CircuitBreaker
from gatepost.wire import Refused, Unreachable

AWAY = Unreachable("HTTP 500")
NO = Refused("code 500: Zhang Wei is unknown here")


@pytest.fixture
def circuit() -> CircuitBreaker:
    return CircuitBreaker(Backoff(first=1.0, cap=60.0), random.Random(7).random)


def opened(circuit: CircuitBreaker, tick: float = 0.0) -> float:
    """Let an event fail; return when the circuit is half-open."""
    circuit.unreachable(1, circuit.epoch, AWAY, tick)
    return tick + circuit.backoff(tick)


def test_a_circuit_is_closed_until_something_fails(circuit):
    assert circuit.allowed(8, [], 0.0) == 8
    assert circuit.allowed(3, [0, 0, 0, 0, 0], 0.0) == 3
    assert circuit.wait([], 0.0) == 0.0


def test_while_it_is_open_nothing_begins(circuit):
    half_open_at = opened(circuit)
    assert 1.0 <= half_open_at <= 2.0
    assert circuit.allowed(8, [], half_open_at - 0.01) == 0
    assert circuit.wait([], 0.25) == pytest.approx(half_open_at - 0.25)


def test_after_the_back_off_one_event_is_tried_and_no_second(circuit):
    half_open_at = opened(circuit)
    assert circuit.allowed(8, [], half_open_at) == 1
    assert circuit.allowed(7, [circuit.epoch], half_open_at) == 0
    assert circuit.wait([circuit.epoch], half_open_at) is None


def test_attempts_from_before_do_not_stand_in_the_way_of_a_try(circuit):
    before = circuit.epoch
    half_open_at = opened(circuit)
    assert circuit.allowed(1, [before] * 7, half_open_at) == 1
    assert circuit.allowed(0, [before] * 8, half_open_at) == 0


def test_of_attempts_that_fail_together_one_counts(circuit):
    epoch = circuit.epoch
    for event in range(8):
        circuit.unreachable(event, epoch, AWAY, 0.0)
    assert circuit.failures == 1


def test_the_first_delivery_opens_the_window(circuit):
    for _ in range(9):
        opened(circuit)
    circuit.delivered(2)
    assert (circuit.failures, circuit.reason, circuit.backoff(0.0)) == (0, None, 0.0)
    assert circuit.allowed(8, [], 0.0) == 8


def test_a_refusal_shows_that_the_receiver_is_there(circuit):
    opened(circuit)
    circuit.refused(2, circuit.epoch, NO, 5.0)
    assert circuit.allowed(8, [], 5.0) == 8


def test_the_back_off_grows_and_retry_after_lengthens_it(circuit):
    tick = 0.0
    for n in range(12):
        half_open_at = opened(circuit, tick)
        assert 1.0 <= half_open_at - tick <= min(60.0, 2.0 ** (n + 1))
        tick = half_open_at
    circuit.unreachable(1, circuit.epoch, Unreachable("HTTP 503", retry_after_s=90.0), tick)
    assert circuit.backoff(tick) == pytest.approx(90.0)


def test_an_event_that_failed_is_due_just_after_the_try_of_another(circuit):
    again = circuit.unreachable(1, circuit.epoch, AWAY, 0.0)
    assert circuit.backoff(0.0) < again < circuit.backoff(0.0) + 1.0


def test_a_long_retry_after_holds_the_circuit_and_not_the_event(circuit):
    again = circuit.unreachable(1, circuit.epoch, Unreachable("HTTP 503", retry_after_s=3000.0), 0.0)
    assert circuit.backoff(0.0) == 3000.0
    assert again == pytest.approx(60.1)


def test_an_event_that_fails_while_others_get_through_gets_a_strike_and_opens_nothing(circuit):
    circuit.unreachable(1, circuit.epoch, AWAY, 0.0)
    waits = []
    for other in range(2, 12):
        circuit.delivered(other)
        waits.append(circuit.unreachable(1, circuit.epoch, AWAY, 0.0))
        assert circuit.failures == 0
    assert all(1.0 <= wait <= min(60.0, 2.0 ** (n + 2)) for n, wait in enumerate(waits))
    assert max(waits) > 10.0, "and it waits longer each time"


def test_without_a_connection_the_circuit_opens_and_no_event_is_remembered(circuit):
    epoch = circuit.epoch
    for _ in range(3):
        circuit.connect_failed(epoch, AWAY, 0.0)
    assert circuit.failures == 1
    assert circuit.backoff(0.0) >= 1.0
    assert not circuit._failing


def test_no_event_gets_a_strike_for_an_outage(circuit):
    epoch = circuit.epoch
    for event in (1, 2, 3):
        circuit.unreachable(event, epoch, AWAY, 0.0)
    for event in itertools.islice(itertools.cycle((1, 2, 3)), 9):
        before = circuit.failures
        circuit.unreachable(event, circuit.epoch, AWAY, 0.0)
        assert circuit.failures == before + 1


def test_a_delivered_event_is_forgiven(circuit):
    circuit.unreachable(1, circuit.epoch, AWAY, 0.0)
    circuit.delivered(1)
    circuit.delivered(2)
    circuit.unreachable(1, circuit.epoch, AWAY, 0.0)
    assert circuit.failures == 1


def test_the_memory_of_failures_is_bounded(circuit):
    for event in range(FAILING_EVENTS * 3):
        circuit.unreachable(event, circuit.epoch, AWAY, 0.0)
    assert len(circuit._failing) == FAILING_EVENTS


def test_a_knock_brings_the_next_try_forward_and_forgets_nothing(circuit):
    opened(circuit)
    opened(circuit)
    circuit.retry_now()
    assert circuit.allowed(8, [], 0.0) == 1
    assert circuit.failures == 2


def test_a_new_address_starts_afresh(circuit):
    old = circuit.epoch
    opened(circuit)
    circuit.reset()
    assert circuit.allowed(8, [], 0.0) == 8
    assert old != circuit.epoch


class TestARefuserOfEverything:
    def refuse(self, circuit: CircuitBreaker, events: range) -> None:
        for event in events:
            circuit.refused(event, circuit.epoch, NO, 0.0)

    def test_one_event_that_is_refused_again_and_again_opens_nothing(self, circuit):
        for _ in range(REFUSES_ALL * 2):
            circuit.refused(1, circuit.epoch, NO, 0.0)
        assert circuit.failures == 0

    def test_many_refused_in_a_row_are_a_receiver_that_is_away(self, circuit):
        self.refuse(circuit, range(REFUSES_ALL - 1))
        assert circuit.allowed(8, [], 0.0) == 8
        self.refuse(circuit, range(REFUSES_ALL - 1, REFUSES_ALL))
        assert circuit.allowed(8, [], 0.0) == 0
        assert circuit.reason == "every event is refused, code 500", "and not a word about a person"
        half_open_at = circuit.backoff(0.0)
        assert circuit.allowed(8, [], half_open_at) == 1

    def test_each_refused_try_lengthens_the_back_off(self, circuit):
        self.refuse(circuit, range(REFUSES_ALL + 5))
        assert circuit.failures == 6

    def test_one_delivery_ends_it(self, circuit):
        self.refuse(circuit, range(REFUSES_ALL))
        circuit.delivered(1000)
        assert circuit.allowed(8, [], 0.0) == 8
        self.refuse(circuit, range(REFUSES_ALL - 1))
        assert circuit.allowed(8, [], 0.0) == 8

    def test_a_delivery_in_between_keeps_the_circuit_closed(self, circuit):
        for start in range(0, 1000, 50):
            self.refuse(circuit, range(start, start + 50))
            circuit.delivered(start)
        assert circuit.failures == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["delivered", "refused", "away", "late"]), st.integers(0, 9)), max_size=60
    )
)
def test_whatever_comes_a_circuit_closes_again_and_never_lets_more_begin_than_is_free(script):
    circuit, tick = CircuitBreaker(Backoff(), random.Random(1).random), 0.0
    for what, event in script:
        if what == "delivered":
            circuit.delivered(event)
        elif what == "refused":
            circuit.refused(event, circuit.epoch, NO, tick)
        else:
            wait = circuit.unreachable(event, circuit.epoch - (what == "late"), AWAY, tick)
            assert 0.0 < wait <= 61.0
        assert 0 <= circuit.allowed(5, [], tick) <= 5
        assert circuit.wait([], tick) is not None
        assert 1 <= circuit.allowed(5, [], tick + circuit.backoff(tick)) <= 5
        tick += 0.5
