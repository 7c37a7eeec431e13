from gatepost.network_of import network_of
from gatepost.receiver.auth.login_throttle import (
    FREE,
    LONGEST_WAIT_S,
    MAX_REMEMBERED,
    PEACE_S,
    Attempts,
)


def fail(attempts: Attempts, *keys: str, times: int, now: float = 0.0) -> list[float]:
    return [attempts.wait(*keys, now=now) for _ in range(times)]


def test_five_attempts_in_a_row_are_free_and_the_next_has_to_wait() -> None:
    attempts = Attempts()
    assert fail(attempts, "network a", times=FREE["network"]) == [0.0] * FREE["network"]
    assert attempts.wait("network a", now=0.0) > 0


def test_each_further_failure_doubles_the_wait_up_to_a_quarter_of_an_hour() -> None:
    attempts, now, waits = Attempts(), 0.0, []
    for _ in range(30):
        early = attempts.wait("network a", now=now)
        now += early
        if early:
            waits.append(early)
    assert waits[:3] == [2.0, 4.0, 8.0]
    assert max(waits) == LONGEST_WAIT_S


def test_an_attempt_that_is_too_early_is_not_counted() -> None:
    attempts = Attempts()
    fail(attempts, "network a", times=FREE["network"])
    early = fail(attempts, "network a", times=50)
    assert set(early) == {2.0}
    assert attempts.wait("network a", now=2.0) == 0.0


def test_an_account_and_an_address_are_counted_apart() -> None:
    attempts = Attempts()
    for number in range(FREE["network"]):
        assert attempts.wait(f"account {number}", "network x", now=0.0) == 0.0
    assert attempts.wait("account new", "network x", now=0.0) > 0
    assert attempts.wait("account new", "network y", now=0.0) == 0.0


def test_a_success_or_an_hour_of_peace_begins_anew() -> None:
    attempts = Attempts()
    fail(attempts, "network a", times=FREE["network"])
    attempts.succeeded("network a")
    assert attempts.wait("network a", now=0.0) == 0.0
    fail(attempts, "network b", times=FREE["network"])
    assert fail(attempts, "network b", times=FREE["network"], now=PEACE_S) == [0.0] * FREE["network"]


def test_what_is_remembered_is_bounded_and_the_quietest_is_forgotten_first() -> None:
    attempts = Attempts()
    fail(attempts, "network loud", times=FREE["network"])
    for number in range(MAX_REMEMBERED - 1):
        attempts.wait(f"network {number}", now=1.0)
    assert attempts.wait("network loud", now=1.0) > 0
    attempts.wait("network one more", now=1.0)
    assert attempts.wait("network loud", now=1.0) == 0.0


def test_an_attempt_that_is_taken_back_counts_no_more() -> None:
    attempts = Attempts()
    for _ in range(3 * FREE["network"]):
        assert attempts.wait("network x", now=0.0) == 0.0
        attempts.take_back("network x")
    fail(attempts, "network x", times=FREE["network"])
    assert attempts.wait("network x", now=0.0) > 0
    attempts.take_back("network x")
    assert attempts.wait("network x", now=0.0) == 0.0


def test_an_account_bears_more_than_a_network() -> None:
    attempts = Attempts()
    assert fail(attempts, "account a", times=FREE["account"]) == [0.0] * FREE["account"]
    assert attempts.wait("account a", now=0.0) > 0


def test_a_network_is_an_address_of_ipv4_and_a_64_of_ipv6() -> None:
    assert network_of("10.0.0.1") == network_of("::ffff:10.0.0.1") == "10.0.0.1"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2") == "2001:db8::/64"
    assert network_of("2001:db8:0:1::1") != network_of("2001:db8::1")
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("") == ""
