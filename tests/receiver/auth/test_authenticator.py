import asyncio
import threading
from pathlib import Path
from typing import Any, Literal

import argon2
import pytest
from tests.receiver.kit import Clock, opened

from gatepost.errors import SettingsError
from gatepost.receiver.auth.authenticator import HELD_S, MAX_HELD, Doors, LoginRefused
from gatepost.receiver.auth.cookies import COOKIE, device_cookie_name, same_origin
from gatepost.receiver.auth.hashing import MAX_WAITING
from gatepost.receiver.auth.issuing import first_administrator, issue_token
from gatepost.receiver.auth.login_throttle import FREE
from gatepost.receiver.auth.principal import Principal, may
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.rows import AccountRow

PASSWORD = "correct horse"
QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(opened(tmp_path / "data"))


@pytest.fixture
def held() -> list[float]:
    """For how many seconds refusals were held back."""
    return []


@pytest.fixture
def doors(accounts: Accounts, clock: Clock, held: list[float]) -> Doors:
    async def sleep(seconds: float) -> None:
        held.append(seconds)

    doors = Doors(accounts, now=clock, monotonic=clock, session_s=3600, idle_s=600, hasher=QUICK, sleep=sleep)
    accounts.create("anna", "operator", doors.hash(PASSWORD), now_ms=0)
    return doors


def login(
    doors: Doors, name: str, password: str, *, address: str, device: dict[str, str] | None = None
) -> tuple[str, AccountRow]:
    """Log in, and return the session's secret; ``device``: the cookies of known devices, which get the new one."""
    headers = {"cookie": "; ".join(f"{key}={value}" for key, value in (device or {}).items())}
    made = asyncio.run(doors.login(name, password, address=address, headers=headers))
    if device is not None:
        device[device_cookie_name(made.account.id)] = made.device
    return made.secret, made.account


def cookie(secret: str, **more: str) -> dict[str, str]:
    return {"cookie": f"other=1; {COOKIE}={secret}", **more}


def test_each_role_includes_the_ones_before() -> None:
    order = ("guard", "viewer", "operator", "admin")
    for have in order:
        for need in order:
            assert may(have, need) == (order.index(have) >= order.index(need))  # type: ignore[arg-type]
    assert may("guard", "operator", also="guard")
    assert not may("viewer", "operator", also="guard")


def test_the_first_administrator_is_made_once_and_a_made_up_password_is_told_once(accounts: Accounts) -> None:
    password = first_administrator(accounts, password=None, now_ms=0)
    assert password is not None
    assert first_administrator(accounts, password=None, now_ms=0) is None
    secret, account = login(Doors(accounts, now=Clock(), monotonic=Clock()), "admin", password, address="::1")
    assert secret
    assert account.role == "admin"


def test_the_first_administrators_password_can_come_from_outside(accounts: Accounts) -> None:
    assert first_administrator(accounts, password="from outside", now_ms=0) is None
    assert login(Doors(accounts, now=Clock(), monotonic=Clock()), "admin", "from outside", address="::1")
    with pytest.raises(SettingsError, match="12 to 256"):
        Doors(accounts, now=Clock(), monotonic=Clock()).hash("short")


def test_who_logs_in_is_known_by_the_cookie(doors: Doors) -> None:
    secret, account = login(doors, "anna", PASSWORD, address="::1")
    assert doors.authenticate("GET", cookie(secret), host="h") == Principal(
        "anna", "operator", account.id, owner_id=account.id
    )
    assert doors.authenticate("GET", cookie("guessed"), host="h") is None
    assert doors.authenticate("GET", {}, host="h") is None


def test_every_login_has_a_secret_of_its_own_and_the_store_has_none_of_them(
    doors: Doors, tmp_path: Path
) -> None:
    first, _ = login(doors, "anna", PASSWORD, address="::1")
    second, _ = login(doors, "anna", PASSWORD, address="::1")
    assert first != second
    stored = b"".join(file.read_bytes() for file in (tmp_path / "data").glob("gatepost.db*"))
    for secret in (first, second, PASSWORD):
        assert secret.encode() not in stored


def test_to_be_asked_about_keeps_no_session_alive(doors: Doors, clock: Clock) -> None:
    secret, _ = login(doors, "anna", PASSWORD, address="::1")
    for at_least in (300, 250):
        clock.at += at_least
        assert doors.authenticate("GET", cookie(secret), host="h", is_use=False) is not None
    clock.at += 100
    assert doors.authenticate("GET", cookie(secret), host="h", is_use=False) is None


def test_a_session_ends_when_it_is_old_idle_or_logged_out(doors: Doors, clock: Clock) -> None:
    secret, _ = login(doors, "anna", PASSWORD, address="::1")
    for _ in range(7):
        clock.at += 500
        assert doors.authenticate("GET", cookie(secret), host="h") is not None
    clock.at += 100
    assert doors.authenticate("GET", cookie(secret), host="h") is None
    secret, _ = login(doors, "anna", PASSWORD, address="::1")
    clock.at += 600
    assert doors.authenticate("GET", cookie(secret), host="h") is None
    secret, _ = login(doors, "anna", PASSWORD, address="::1")
    doors.logout(secret, address="::1")
    assert doors.authenticate("GET", cookie(secret), host="h") is None


class Noting(argon2.PasswordHasher):
    """Notes what it is to verify, and at what cost; and what it found."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.costs: list[object] = []
        self.hashed = 0

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.hashed += 1
        return super().hash(password, salt=salt)

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        assert isinstance(hash, str)
        self.costs.append(argon2.extract_parameters(hash))
        with pytest.raises(argon2.exceptions.VerifyMismatchError):
            super().verify(hash, password)
        raise argon2.exceptions.VerifyMismatchError


def test_a_wrong_name_costs_what_a_wrong_password_costs_and_a_start_nothing(accounts: Accounts) -> None:
    hasher = Noting()
    doors = Doors(accounts, now=Clock(), monotonic=Clock(), hasher=hasher)
    assert hasher.hashed == 0
    accounts.create("anna", "operator", doors.hash(PASSWORD), now_ms=0)
    for name in ("anna", "nobody"):
        with pytest.raises(LoginRefused):
            login(doors, name, "wrong password", address="::1")
    assert hasher.costs[0] == hasher.costs[1]


def test_a_disabled_account_neither_logs_in_nor_goes_on(doors: Doors, accounts: Accounts) -> None:
    accounts.create("root", "admin", doors.hash(PASSWORD), now_ms=0)
    secret, account = login(doors, "anna", PASSWORD, address="::1")
    accounts.change(account.id, now_ms=0, disabled=True)
    assert doors.authenticate("GET", cookie(secret), host="h") is None
    with pytest.raises(LoginRefused):
        login(doors, "anna", PASSWORD, address="::1")


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"origin": "https://host:8080"}, True),
        ({"origin": "https://elsewhere"}, False),
        ({"origin": "null"}, False),
        ({}, False),
    ],
)
def test_a_session_counts_for_a_change_only_from_our_own_pages(
    doors: Doors, more: dict[str, str], counts: bool
) -> None:
    secret, _ = login(doors, "anna", PASSWORD, address="::1")
    found = doors.authenticate("POST", cookie(secret, **more), host="host:8080")
    assert (found is not None) is counts
    assert same_origin(more, host="host:8080") is counts


@pytest.mark.parametrize(
    ("host", "origin", "ours"),
    [
        ("door.example", "http://door.example:18480", True),
        ("door.example", "https://DOOR.example:8443", True),
        ("[2001:db8::7]", "http://[2001:db8::7]:81", True),
        ("door.example:443", "https://door.example", True),
        ("door.example:80", "http://door.example", True),
        ("door.example:8080", "http://door.example", False),
        ("door.example:8080", "http://door.example:18480", False),
        ("door.example", "http://evil.example:18480", False),
        ("door.example", "http://door.example.evil.example", False),
        ("door.example", "http://door.example:port", False),
        ("door.example:port", "http://door.example", False),
        ("door.example", "null", False),
        ("", "null", False),
        ("", "http://door.example", False),
        ("[::1", "http://[::1", False),
    ],
)
def test_a_proxy_may_drop_the_port_from_host_and_the_name_is_compared(
    host: str, origin: str, ours: bool
) -> None:
    assert same_origin({"origin": origin}, host=host) is ours


def test_a_browser_that_says_that_the_port_is_another_is_believed() -> None:
    headers = {"origin": "http://door.example:18480", "sec-fetch-site": "same-site"}
    assert not same_origin(headers, host="door.example")


def test_a_token_counts_in_the_header_and_nowhere_else(doors: Doors, accounts: Accounts) -> None:
    secret, row = issue_token(accounts, "payroll", "viewer", by="root", now_ms=0)
    principal = Principal("token:payroll", "viewer", token_id=row.id, made_by="root")
    assert doors.authenticate("POST", {"authorization": f"Bearer {secret}"}, host="h") == principal
    for wrong in (f"Basic {secret}", secret, "Bearer", "Bearer x", f"bearer{secret}"):
        assert doors.authenticate("GET", {"authorization": wrong}, host="h") is None
    assert doors.authenticate("GET", cookie(secret), host="h") is None
    accounts.revoke_token(row.id, now_ms=0)
    assert doors.authenticate("GET", {"authorization": f"Bearer {secret}"}, host="h") is None


def fail(doors: Doors, times: int, match: str = "wrong", **where: Any) -> None:
    for _ in range(times):
        with pytest.raises(LoginRefused, match=match):
            login(doors, "anna", "guessed", **where)


def test_guessing_is_slowed_by_network_and_then_by_account(doors: Doors, clock: Clock) -> None:
    fail(doors, FREE["network"], address="10.0.0.1")
    with pytest.raises(LoginRefused, match="too many attempts") as early:
        login(doors, "anna", PASSWORD, address="10.0.0.1")
    assert early.value.retry_after_s == 2.0
    for number in range(FREE["account"] - FREE["network"]):
        fail(doors, 1, address=f"2001:db8:0:{number}::1")
    fail(doors, 1, "too many attempts", address="2001:db8:1::1")
    clock.at += 2.0
    assert login(doors, "anna", PASSWORD, address="10.0.0.2")
    fail(doors, 1, address="10.0.0.2")


def test_a_refusal_without_a_look_at_the_password_is_held_back_and_no_other(
    doors: Doors, held: list[float]
) -> None:
    fail(doors, FREE["network"], address="10.0.0.1")
    assert held == []
    fail(doors, 3, "too many attempts", address="10.0.0.1")
    assert held == [HELD_S] * 3


async def test_so_many_refusals_are_held_back_at_once_and_further_ones_are_not(
    accounts: Accounts, clock: Clock
) -> None:
    go, begun = asyncio.Event(), 0

    async def sleep(seconds: float) -> None:
        nonlocal begun
        begun += 1
        await go.wait()

    async def refused() -> None:
        with pytest.raises(LoginRefused, match="too many"):
            await doors.login("anna", "guessed", address="10.0.0.1", headers={})

    doors = Doors(accounts, now=clock, monotonic=clock, hasher=QUICK, sleep=sleep)
    for _ in range(FREE["network"]):
        with pytest.raises(LoginRefused, match="wrong"):
            await doors.login("anna", "guessed", address="10.0.0.1", headers={})
    waiting = [asyncio.create_task(refused()) for _ in range(MAX_HELD)]
    async with asyncio.timeout(30):
        while begun < MAX_HELD:  # noqa: ASYNC110 - begun from a thread's reply
            await asyncio.sleep(0)
        await refused()
        assert begun == MAX_HELD
        waiting.pop().cancel()
        go.set()
        await asyncio.gather(*waiting)
        await refused()
        assert begun == MAX_HELD + 1, "there is room again"
    doors.close()


async def test_who_finds_the_queue_full_is_held_back_too(accounts: Accounts, clock: Clock) -> None:
    held: list[float] = []

    async def sleep(seconds: float) -> None:
        held.append(seconds)

    doors = Doors(accounts, now=clock, monotonic=clock, hasher=QUICK, sleep=sleep)
    go = threading.Event()
    lane = doors._lanes[False]
    waiting = [asyncio.create_task(lane.run(lambda: go.wait(60))) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(LoginRefused, match="too many log in at once"):
        await doors.login("anna", "guessed", address="10.0.0.1", headers={})
    go.set()
    await asyncio.gather(*waiting)
    assert held == [HELD_S]
    doors.close()


def test_a_clock_that_is_put_right_locks_out_no_right_password(accounts: Accounts, clock: Clock) -> None:
    doors = Doors(accounts, now=clock, monotonic=Clock(), hasher=QUICK)
    accounts.create("anna", "operator", doors.hash(PASSWORD), now_ms=0)
    clock.at += 86_400
    fail(doors, 1, address="10.0.0.1")
    clock.at -= 86_400
    assert login(doors, "anna", PASSWORD, address="10.0.0.1")


def test_refusals_of_a_provider_are_counted_by_a_clock_that_is_never_set(
    accounts: Accounts, clock: Clock
) -> None:
    steady = Clock()
    doors = Doors(accounts, now=clock, monotonic=steady, hasher=QUICK)
    clock.at += 86_400
    for _ in range(FREE["provider"]):
        assert doors.is_noted_alone("10.0.0.1")
    assert not doors.is_noted_alone("10.0.0.1")
    clock.at -= 86_400
    steady.at += 2.0
    assert doors.is_noted_alone("10.0.0.1")


def test_an_account_that_is_unlocked_on_the_machine_is_not_limited_for_ten_minutes(
    doors: Doors, accounts: Accounts, clock: Clock
) -> None:
    for number in range(FREE["account"]):
        fail(doors, 1, address=f"10.0.1.{number}")
    with pytest.raises(LoginRefused, match="too many attempts"):
        login(doors, "anna", PASSWORD, address="10.0.0.1")
    assert accounts.unlock("ANNA", now_ms=int(clock.at * 1000)) is not None
    for number in range(FREE["account"]):
        fail(doors, 1, address=f"10.0.2.{number}")
    fail(doors, FREE["network"], address="10.0.3.1")
    fail(doors, 1, "too many attempts", address="10.0.3.1")
    clock.at += 599.0
    assert login(doors, "anna", PASSWORD, address="10.0.0.1")
    for number in range(FREE["account"]):
        fail(doors, 1, address=f"10.0.4.{number}")
    clock.at += 1.0
    for number in range(FREE["account"]):
        fail(doors, 1, address=f"10.0.5.{number}")
    fail(doors, 1, "too many attempts", address="10.0.0.1")


def test_a_network_of_ipv6_is_one_however_many_addresses_are_tried(doors: Doors) -> None:
    for number in range(FREE["network"]):
        fail(doors, 1, address=f"2001:db8::{number}:1")
    fail(doors, 1, "too many attempts", address="2001:db8::ffff:2")
    fail(doors, 1, address="2001:db8:0:1::1")


def test_nobody_locks_a_person_out_whose_device_is_known(doors: Doors, clock: Clock) -> None:
    device: dict[str, str] = {}
    secret, _ = login(doors, "anna", PASSWORD, address="10.0.0.9", device=device)
    doors.logout(secret, address="::1")
    for number in range(FREE["account"] + 50):
        with pytest.raises(LoginRefused):
            login(doors, "anna", "guessed", address=f"10.0.1.{number}")
    fail(doors, FREE["network"] + 1, "too many attempts", address="10.0.0.9")
    assert login(doors, "anna", PASSWORD, address="10.0.0.9", device=device)
    fail(doors, FREE["device"], address="10.0.0.9", device=device)
    fail(doors, 1, "too many attempts", address="10.0.0.9", device=device)
    clock.at += 2.0
    assert login(doors, "anna", PASSWORD, address="10.0.0.9", device=device)


def test_a_device_is_known_for_its_account_and_its_password_only(doors: Doors, accounts: Accounts) -> None:
    device: dict[str, str] = {}
    _, anna = login(doors, "anna", PASSWORD, address="10.0.0.9", device=device)
    accounts.create("berta", "admin", doors.hash(PASSWORD), now_ms=0)
    berta = accounts.account("berta")
    assert berta is not None
    name, value = device_cookie_name(anna.id), device[device_cookie_name(anna.id)]

    def known(account: AccountRow, cookies: dict[str, str]) -> bool:
        headers = {"cookie": "; ".join(f"{key}={value}" for key, value in cookies.items())}
        return doors._device(account, headers) is not None

    assert known(anna, device)
    assert known(anna, {device_cookie_name(berta.id): "x.y", **device})
    assert not known(berta, {device_cookie_name(berta.id): value})
    for forged in (value[:-1], f"x{value}", value.partition(".")[0] + ".", "." + value.partition(".")[2], ""):
        assert not known(anna, {name: forged})
    changed = accounts.change(anna.id, now_ms=0, password=doors.hash("another horse"))
    assert changed is not None
    assert not known(changed, device)


def test_many_people_behind_one_address_log_in_without_a_wait(doors: Doors) -> None:
    for _ in range(3 * FREE["network"]):
        assert login(doors, "anna", PASSWORD, address="10.0.0.1")


def test_asking_again_for_the_password_is_slowed_too_and_by_nobody_else(
    doors: Doors, accounts: Accounts
) -> None:
    anna = accounts.account("anna")
    assert anna is not None
    for number in range(FREE["account"] + 1):
        with pytest.raises(LoginRefused):
            login(doors, "anna", "guessed", address=f"10.0.1.{number}")
    assert asyncio.run(doors.verify(anna.id, PASSWORD))
    for _ in range(FREE["session"]):
        assert not asyncio.run(doors.verify(anna.id, "guessed"))
    with pytest.raises(LoginRefused):
        asyncio.run(doors.verify(anna.id, PASSWORD))


def test_logins_are_in_the_audit_log_refused_ones_too(doors: Doors, accounts: Accounts) -> None:
    login(doors, "anna", PASSWORD, address="10.0.0.1")
    with pytest.raises(LoginRefused):
        login(doors, "anna", "guessed", address="10.0.0.2")
    with pytest.raises(LoginRefused):
        login(doors, "my password", "anna", address="10.0.0.3")
    found = [(row.actor, row.action, row.address, row.subject) for row in accounts.audit().items]
    assert found == [
        ("unknown", "login.refused", "10.0.0.3", ""),
        ("unknown", "login.refused", "10.0.0.2", "anna"),
        ("anna", "login", "10.0.0.1", ""),
    ]


def test_a_password_is_the_same_however_it_is_composed(doors: Doors, accounts: Accounts) -> None:
    accounts.create("zoe", "viewer", doors.hash("Zoe\u0308 and Chloe\u0308"), now_ms=0)
    assert login(doors, "zoe", "Zo\u00eb and Chlo\u00eb", address="::1")
