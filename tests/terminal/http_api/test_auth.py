from base64 import b64encode

import jwt
import pytest

from gatepost.terminal.http_api.auth import Accounts, Denied
from gatepost.terminal.http_api.login_throttle import LoginThrottle


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(clock: Clock) -> Accounts:
    return make(clock)


def make(clock: Clock) -> Accounts:
    return Accounts({"admin": "s3cret 门"}, throttle=LoginThrottle(now=clock, sleep=clock.sleep), now=clock)


def basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


async def code_of(accounts: Accounts, header: str) -> int:
    with pytest.raises(Denied) as denied:
        await accounts.authenticate(header, peer="192.0.2.1")
    return denied.value.code


async def test_a_token_proves_its_account_until_its_minutes_are_over(
    accounts: Accounts, clock: Clock
) -> None:
    token = await accounts.login("admin", "s3cret 门", minutes=5, peer="192.0.2.1")
    clock.now += 299
    assert await accounts.authenticate(f"Bearer {token}", peer="192.0.2.9") == "admin"
    clock.now += 1
    assert await code_of(accounts, f"Bearer {token}") == 401


async def test_basic_proves_the_account_with_each_request(accounts: Accounts) -> None:
    assert await accounts.authenticate(basic("admin", "s3cret 门"), peer="192.0.2.1") == "admin"


async def test_no_header_proves_nothing(accounts: Accounts) -> None:
    assert await accounts.authenticate(None, peer="192.0.2.1") is None


async def test_an_unknown_account_is_1000_and_a_wrong_password_1001(accounts: Accounts) -> None:
    assert await code_of(accounts, basic("root", "s3cret 门")) == 1000
    assert await code_of(accounts, basic("admin", "wrong")) == 1001


@pytest.mark.parametrize(
    "header",
    [
        "Digest x",
        "Basic",
        "Basic ===",
        "Basic " + b64encode(b"no colon").decode(),
        "Bearer",
        "Bearer x.y.z",
        "x",
    ],
)
async def test_a_header_that_proves_nothing_is_401(accounts: Accounts, header: str) -> None:
    assert await code_of(accounts, header) == 401


async def test_a_token_of_another_start_is_401(accounts: Accounts, clock: Clock) -> None:
    token = await make(clock).login("admin", "s3cret 门", minutes=5, peer="192.0.2.1")
    assert await code_of(accounts, f"Bearer {token}") == 401


async def test_a_token_without_a_signature_is_401(accounts: Accounts, clock: Clock) -> None:
    forged = jwt.encode({"sub": "admin", "exp": int(clock.now) + 60}, None, algorithm="none")
    assert await code_of(accounts, f"Bearer {forged}") == 401


async def test_wrong_passwords_slow_the_next_ones_by_either_way(accounts: Accounts, clock: Clock) -> None:
    for _ in range(3):
        await code_of(accounts, basic("admin", "guess"))
    assert clock.waits == []
    with pytest.raises(Denied):
        await accounts.login("admin", "guess", minutes=5, peer="192.0.2.1")
    assert clock.waits == [1]
