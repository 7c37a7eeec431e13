"""What comes after an attempt: the rules of gatepost.retry."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.errors import SettingsError
from gatepost.retry import Backoff, DeadLetter, Done, RetryAt, next_step
from gatepost.wire import Delivered, Outcome, Refused, Unreachable

POLICY = Backoff()


def step(
    outcome: Outcome,
    *,
    refusals: int = 0,
    delivered_since: int = 0,
    failures: int = 0,
    rand: float = 0.5,
    policy: Backoff = POLICY,
) -> Done | RetryAt | DeadLetter:
    return next_step(
        outcome,
        refusals=refusals,
        delivered_since=delivered_since,
        failures=failures,
        now=1000.0,
        rand=lambda: rand,
        policy=policy,
    )


def test_a_delivered_event_is_done() -> None:
    assert step(Delivered(), refusals=9, failures=99) == Done()


def test_an_unreachable_receiver_never_makes_a_dead_letter() -> None:
    last = step(Unreachable("connection refused"), refusals=9, delivered_since=99, failures=1_000_000)
    assert isinstance(last, RetryAt)
    assert last.refused is False
    assert last.reason == "connection refused"


def test_a_refused_event_is_tried_until_the_last_refusal_and_then_is_a_dead_letter() -> None:
    steps = [step(Refused("code 500: no"), refusals=n, delivered_since=3) for n in range(10)]
    assert all(isinstance(s, RetryAt) and s.refused for s in steps[:9])
    assert steps[9] == DeadLetter("code 500: no")


@pytest.mark.parametrize("refusals", [9, 10, 1_000_000])
def test_while_fewer_than_three_of_its_kind_are_accepted_no_refusal_is_the_last(refusals: int) -> None:
    for accepted in range(3):
        last = step(Refused("code 500: no"), refusals=refusals, delivered_since=accepted)
        assert isinstance(last, RetryAt)
        assert last.refused
        assert last.at - 1000.0 <= POLICY.cap
    assert isinstance(step(Refused("no"), refusals=refusals, delivered_since=3), DeadLetter)


def test_the_kind_of_a_refusal_is_without_the_receivers_text() -> None:
    assert RetryAt(1.0, refused=True, reason="HTTP 400, code 7: Zhang Wei: no").kind == "HTTP 400, code 7"


def test_the_wait_doubles_from_the_first_second_to_the_cap() -> None:
    longest = [POLICY.delay(n, lambda: 1.0) for n in range(1, 9)]
    assert longest == [2, 4, 8, 16, 32, 60, 60, 60]


def test_the_jitter_is_full() -> None:
    assert POLICY.delay(30, lambda: 0.0) == 1.0
    assert POLICY.delay(30, lambda: 0.5) == pytest.approx(30.5)


@given(failures=st.integers(0, 10**9), seed=st.integers())
def test_every_wait_lies_between_the_first_and_the_cap(failures: int, seed: int) -> None:
    assert POLICY.first <= POLICY.delay(failures, random.Random(seed).random) <= POLICY.cap


def test_retry_after_lengthens_the_wait() -> None:
    assert step(Unreachable("HTTP 503", 120.0)) == RetryAt(1120.0, reason="HTTP 503")


def test_retry_after_never_shortens_the_wait() -> None:
    assert step(Unreachable("HTTP 503", 0.0), failures=9, rand=1.0) == RetryAt(1060.0, reason="HTTP 503")


def test_a_retry_after_of_a_year_is_cut_to_an_hour() -> None:
    assert step(Unreachable("HTTP 503", 31_536_000.0)) == RetryAt(4600.0, reason="HTTP 503")


@pytest.mark.parametrize(
    ("wrong", "setting"),
    [
        ({"first": 0.0}, "backoff_first"),
        ({"first": 2.0, "cap": 1.0}, "backoff_first"),
        ({"max_refusals": 0}, "max_refusals"),
    ],
)
def test_a_policy_that_cannot_work_names_the_setting(wrong: dict[str, float], setting: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Backoff(**wrong)  # type: ignore[arg-type]
    assert caught.value.setting == setting
