"""Passwords are hashed where no other request waits for it."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import argon2
import pytest
from tests.receiver.kit import PATIENCE_S, Running, body, receiving, until

from gatepost.receiver.auth.hashing import MAX_WAITING, BusyError, Lane
from gatepost.store.accounts.rows import AccountRow

PASSWORD = "correct horse"


class Stuck(argon2.PasswordHasher):
    """Verifies nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.go = threading.Event()
        self.names: set[str] = set()

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]
        self.names.add(threading.current_thread().name)
        self.go.wait(2 * PATIENCE_S)
        return super().verify(hash, password)


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Running]:
    async with receiving(tmp_path / "data", trusted_proxies=("127.0.0.1",)) as running:
        yield running


async def log_in(receiver: Running, number: int, cookies: str = "") -> tuple[int, dict[str, str]]:
    sender = await receiver.connect()
    headers = {"X-Forwarded-For": f"10.0.{number // 200}.{number % 200 + 1}", "Cookie": cookies}
    answer = await sender.request(
        "POST", "/api/v1/session", body({"name": "anna", "password": PASSWORD}), headers
    )
    return answer.status, {**answer.headers, **answer.cookies}


async def test_forty_logins_at_once_from_as_many_addresses_hold_up_nothing_else(receiver: Running) -> None:
    doors = receiver.desk.access.doors

    def make() -> AccountRow:
        return doors.accounts.create("anna", "admin", doors.hash(PASSWORD), now_ms=0)

    anna = await asyncio.to_thread(make)
    status, known = await log_in(receiver, 0)
    device = {name: value for name, value in known.items() if name.startswith("gatepost_device_")}
    assert (status, list(device)) == (200, [f"gatepost_device_{anna.id}"])
    doors._hasher = stuck = Stuck()
    logins = [asyncio.create_task(log_in(receiver, number)) for number in range(1, 41)]
    refused = 40 - MAX_WAITING
    # Those that find the lane full.
    await until(lambda: sum(task.done() for task in logins) == refused)
    for task in logins:
        if task.done():
            status, headers = task.result()
            assert (status, int(headers["retry-after"]) >= 1) == (429, True)
    for _ in range(20):
        assert (await receiver.get("/api/v1/records")).status == 200
    # A device that logged in before has a lane of its own.
    mine = asyncio.create_task(log_in(receiver, 99, "; ".join(f"{k}={v}" for k, v in device.items())))
    await until(lambda: len(stuck.names) == 2)
    stuck.go.set()
    assert (await mine)[0] == 200
    statuses = [(await task)[0] for task in logins]
    assert (statuses.count(429), statuses.count(200)) == (refused, MAX_WAITING)


async def test_a_lane_takes_so_many_and_refuses_the_rest_at_once() -> None:
    lane, go = Lane("test"), threading.Event()
    try:
        waiting = [asyncio.create_task(lane.run(lambda: go.wait(60))) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await lane.run(lambda: True)
        go.set()
        assert await asyncio.gather(*waiting) == [True] * MAX_WAITING
        assert await lane.run(lambda: True)
    finally:
        lane.close()
