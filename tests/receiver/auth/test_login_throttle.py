from gatepost.receiver.auth.login_throttle import FREE, LONGEST_WAIT_S, MAX_REMEMBERED, PEACE_S, Attempts


def fail(attempts: Attempts, *keys: str, times: int, now: float = 0.0) -> list[float]:
    return [attempts.wait(*keys, now=now) for _ in range(times)]


def test_five_attempts_in_a_row_are_free_and_the_next_has_to_wait() -> None:
    attempts = Attempts()
    assert fail(attempts, "account a", times=FREE) == [0.0] * FREE
    assert attempts.wait("account a", now=0.0) > 0


def test_each_further_failure_doubles_the_wait_up_to_a_quarter_of_an_hour() -> None:
    attempts, now, waits = Attempts(), 0.0, []
    for _ in range(30):
        early = attempts.wait("account a", now=now)
        now += early
        if early:
            waits.append(early)
    assert waits[:3] == [2.0, 4.0, 8.0]
    assert max(waits) == LONGEST_WAIT_S


def test_an_attempt_that_is_too_early_is_not_counted() -> None:
    attempts = Attempts()
    fail(attempts, "account a", times=FREE)
    early = fail(attempts, "account a", times=50)
    assert set(early) == {2.0}
    assert attempts.wait("account a", now=2.0) == 0.0


def test_an_account_and_an_address_are_counted_apart() -> None:
    attempts = Attempts()
    for number in range(FREE):
        assert attempts.wait(f"account {number}", "address x", now=0.0) == 0.0
    assert attempts.wait("account new", "address x", now=0.0) > 0
    assert attempts.wait("account new", "address y", now=0.0) == 0.0


def test_a_success_or_an_hour_of_peace_begins_anew() -> None:
    attempts = Attempts()
    fail(attempts, "account a", times=FREE)
    attempts.succeeded("account a")
    assert attempts.wait("account a", now=0.0) == 0.0
    fail(attempts, "account b", times=FREE)
    assert fail(attempts, "account b", times=FREE, now=PEACE_S) == [0.0] * FREE


def test_what_is_remembered_is_bounded_and_the_quietest_is_forgotten_first() -> None:
    attempts = Attempts()
    fail(attempts, "address loud", times=FREE)
    for number in range(MAX_REMEMBERED - 1):
        attempts.wait(f"address {number}", now=1.0)
    assert attempts.wait("address loud", now=1.0) > 0
    attempts.wait("address one more", now=1.0)
    assert attempts.wait("address loud", now=1.0) == 0.0
