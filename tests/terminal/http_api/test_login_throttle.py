import asyncio

import pytest

from gatepost.terminal.http_api.login_throttle import LoginThrottle, TooManyAttempts


class Clock:
    """Seconds that pass only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


async def fail(throttle: LoginThrottle, peer: str, times: int = 1) -> None:
    for _ in range(times):
        async with throttle.turn(peer) as turn:
            turn.failed()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> LoginThrottle:
    return LoginThrottle(now=clock, sleep=clock.sleep)


async def test_the_first_three_mistakes_cost_nothing_and_then_the_wait_doubles_up_to_a_limit(
    throttle: LoginThrottle, clock: Clock
) -> None:
    await fail(throttle, "192.0.2.1", 9)
    assert clock.waits == [1, 2, 4, 8, 8, 8]


async def test_one_peer_does_not_slow_another(throttle: LoginThrottle, clock: Clock) -> None:
    await fail(throttle, "192.0.2.1", 3)
    await fail(throttle, "192.0.2.2", 3)
    assert clock.waits == []


async def test_an_ipv6_peer_is_its_whole_network(throttle: LoginThrottle) -> None:
    await fail(throttle, "2001:db8::1", 3)
    assert throttle.wait_s("2001:db8::ffff") == 1
    assert throttle.wait_s("2001:db8:0:1::1") == 0


async def test_an_ipv4_peer_is_the_same_through_an_ipv6_listener(throttle: LoginThrottle) -> None:
    await fail(throttle, "::ffff:192.0.2.1", 3)
    assert throttle.wait_s("192.0.2.1") == 1


async def test_the_right_password_starts_anew(throttle: LoginThrottle) -> None:
    await fail(throttle, "192.0.2.1", 3)
    async with throttle.turn("192.0.2.1") as turn:
        turn.succeeded()
    assert throttle.wait_s("192.0.2.1") == 0


async def test_quiet_for_a_quarter_of_an_hour_starts_anew(throttle: LoginThrottle, clock: Clock) -> None:
    await fail(throttle, "192.0.2.1", 3)
    clock.now += 901
    await fail(throttle, "192.0.2.1")
    assert clock.waits == []


async def test_many_connections_at_once_gain_nothing(clock: Clock) -> None:
    gate = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await gate.wait()

    throttle = LoginThrottle(now=clock, sleep=sleep, queue=2)
    await fail(throttle, "192.0.2.1", 3)
    waiting = [asyncio.create_task(fail(throttle, "192.0.2.1")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyAttempts) as refused:
        await fail(throttle, "192.0.2.1")
    assert refused.value.retry_after_s >= 1
    gate.set()
    await asyncio.gather(*waiting)


async def test_what_is_remembered_is_bounded(clock: Clock) -> None:
    throttle = LoginThrottle(now=clock, sleep=clock.sleep, peers=10)
    for number in range(100):
        await fail(throttle, f"192.0.2.{number}", 3)
    assert sum(throttle.wait_s(f"192.0.2.{number}") > 0 for number in range(100)) == 10
