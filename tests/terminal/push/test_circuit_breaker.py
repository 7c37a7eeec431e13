"""The gate: everything, one try, or nothing yet."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.retry import Backoff
from gatepost.terminal.push.circuit_breaker import REFUSES_ALL, SUSPECTS, Gate
from gatepost.wire import Refused, Unreachable

AWAY = Unreachable("HTTP 500")
NO = Refused("code 500: Zhang Wei is unknown here")


@pytest.fixture
def gate() -> Gate:
    return Gate(Backoff(first=1.0, cap=60.0), random.Random(7).random)


def closed(gate: Gate, tick: float = 0.0) -> float:
    """Let an event fail; answer when the gate opens for a try."""
    gate.unreachable(1, gate.epoch, AWAY, tick)
    return tick + gate.backoff(tick)


def test_a_gate_is_open_until_something_fails(gate):
    assert gate.room(8, [], 0.0) == 8
    assert gate.room(3, [0, 0, 0, 0, 0], 0.0) == 3
    assert gate.wait([], 0.0) == 0.0


def test_while_it_is_closed_nothing_begins(gate):
    opens = closed(gate)
    assert 1.0 <= opens <= 2.0
    assert gate.room(8, [], opens - 0.01) == 0
    assert gate.wait([], 0.25) == pytest.approx(opens - 0.25)


def test_after_the_back_off_one_event_is_tried_and_no_second(gate):
    opens = closed(gate)
    assert gate.room(8, [], opens) == 1
    assert gate.room(7, [gate.epoch], opens) == 0
    assert gate.wait([gate.epoch], opens) is None


def test_attempts_from_before_do_not_stand_in_the_way_of_a_try(gate):
    before = gate.epoch
    opens = closed(gate)
    assert gate.room(1, [before] * 7, opens) == 1
    assert gate.room(0, [before] * 8, opens) == 0


def test_of_attempts_that_fail_together_one_counts(gate):
    epoch = gate.epoch
    for event in range(8):
        gate.unreachable(event, epoch, AWAY, 0.0)
    assert gate.failures == 1


def test_the_first_delivery_opens_the_window(gate):
    for _ in range(9):
        closed(gate)
    gate.delivered(2)
    assert (gate.failures, gate.reason, gate.backoff(0.0)) == (0, None, 0.0)
    assert gate.room(8, [], 0.0) == 8


def test_a_refusal_shows_that_the_receiver_is_there(gate):
    closed(gate)
    gate.refused(2, gate.epoch, NO, 5.0)
    assert gate.room(8, [], 5.0) == 8


def test_the_back_off_grows_and_retry_after_lengthens_it(gate):
    tick = 0.0
    for n in range(12):
        opens = closed(gate, tick)
        assert 1.0 <= opens - tick <= min(60.0, 2.0 ** (n + 1))
        tick = opens
    gate.unreachable(1, gate.epoch, Unreachable("HTTP 503", retry_after_s=90.0), tick)
    assert gate.backoff(tick) == pytest.approx(90.0)


def test_an_event_that_failed_is_due_just_after_the_try_of_another(gate):
    again = gate.unreachable(1, gate.epoch, AWAY, 0.0)
    assert gate.backoff(0.0) < again < gate.backoff(0.0) + 1.0


def test_a_long_retry_after_holds_the_gate_and_not_the_event(gate):
    again = gate.unreachable(1, gate.epoch, Unreachable("HTTP 503", retry_after_s=3000.0), 0.0)
    assert gate.backoff(0.0) == 3000.0
    assert again == pytest.approx(60.1)


def test_an_event_that_fails_while_others_get_through_is_to_blame_and_closes_nothing(gate):
    gate.unreachable(1, gate.epoch, AWAY, 0.0)
    waits = []
    for other in range(2, 12):
        gate.delivered(other)
        waits.append(gate.unreachable(1, gate.epoch, AWAY, 0.0))
        assert gate.failures == 0
    assert all(1.0 <= wait <= min(60.0, 2.0 ** (n + 2)) for n, wait in enumerate(waits))
    assert max(waits) > 10.0, "and it waits longer each time"


def test_without_a_connection_the_gate_closes_and_no_event_is_remembered(gate):
    epoch = gate.epoch
    for _ in range(3):
        gate.absent(epoch, AWAY, 0.0)
    assert gate.failures == 1
    assert gate.backoff(0.0) >= 1.0
    assert not gate._suspects


def test_no_event_is_to_blame_for_an_outage(gate):
    epoch = gate.epoch
    for event in (1, 2, 3):
        gate.unreachable(event, epoch, AWAY, 0.0)
    for event in itertools.islice(itertools.cycle((1, 2, 3)), 9):
        before = gate.failures
        gate.unreachable(event, gate.epoch, AWAY, 0.0)
        assert gate.failures == before + 1


def test_a_delivered_event_is_forgiven(gate):
    gate.unreachable(1, gate.epoch, AWAY, 0.0)
    gate.delivered(1)
    gate.delivered(2)
    gate.unreachable(1, gate.epoch, AWAY, 0.0)
    assert gate.failures == 1


def test_the_memory_of_failures_is_bounded(gate):
    for event in range(SUSPECTS * 3):
        gate.unreachable(event, gate.epoch, AWAY, 0.0)
    assert len(gate._suspects) == SUSPECTS


def test_a_knock_brings_the_next_try_forward_and_forgets_nothing(gate):
    closed(gate)
    closed(gate)
    gate.knock()
    assert gate.room(8, [], 0.0) == 1
    assert gate.failures == 2


def test_a_new_address_starts_afresh(gate):
    old = gate.epoch
    closed(gate)
    gate.readdress()
    assert gate.room(8, [], 0.0) == 8
    assert old != gate.epoch


class TestARefuserOfEverything:
    def refuse(self, gate: Gate, events: range) -> None:
        for event in events:
            gate.refused(event, gate.epoch, NO, 0.0)

    def test_one_event_that_is_refused_again_and_again_closes_nothing(self, gate):
        for _ in range(REFUSES_ALL * 2):
            gate.refused(1, gate.epoch, NO, 0.0)
        assert gate.failures == 0

    def test_many_refused_in_a_row_are_a_receiver_that_is_away(self, gate):
        self.refuse(gate, range(REFUSES_ALL - 1))
        assert gate.room(8, [], 0.0) == 8
        self.refuse(gate, range(REFUSES_ALL - 1, REFUSES_ALL))
        assert gate.room(8, [], 0.0) == 0
        assert gate.reason == "every event is refused, code 500", "and not a word about a person"
        opens = gate.backoff(0.0)
        assert gate.room(8, [], opens) == 1

    def test_each_refused_try_lengthens_the_back_off(self, gate):
        self.refuse(gate, range(REFUSES_ALL + 5))
        assert gate.failures == 6

    def test_one_delivery_ends_it(self, gate):
        self.refuse(gate, range(REFUSES_ALL))
        gate.delivered(1000)
        assert gate.room(8, [], 0.0) == 8
        self.refuse(gate, range(REFUSES_ALL - 1))
        assert gate.room(8, [], 0.0) == 8

    def test_a_delivery_in_between_keeps_the_gate_open(self, gate):
        for start in range(0, 1000, 50):
            self.refuse(gate, range(start, start + 50))
            gate.delivered(start)
        assert gate.failures == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["delivered", "refused", "away", "late"]), st.integers(0, 9)), max_size=60
    )
)
def test_whatever_comes_a_gate_opens_again_and_never_lets_more_begin_than_is_free(script):
    gate, tick = Gate(Backoff(), random.Random(1).random), 0.0
    for what, event in script:
        if what == "delivered":
            gate.delivered(event)
        elif what == "refused":
            gate.refused(event, gate.epoch, NO, tick)
        else:
            wait = gate.unreachable(event, gate.epoch - (what == "late"), AWAY, tick)
            assert 0.0 < wait <= 61.0
        assert 0 <= gate.room(5, [], tick) <= 5
        assert gate.wait([], tick) is not None
        assert 1 <= gate.room(5, [], tick + gate.backoff(tick)) <= 5
        tick += 0.5
