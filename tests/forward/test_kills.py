"""A process that sends is killed at any moment: nothing is missing, and what is sent twice is bounded."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.forward.kit import Hook, hooked
from tests.store.events import RECEIVED_MS, alarm, arrival, record
from tests.terminals import ensured

from gatepost.forward.check import check
from gatepost.forward.forwarder.forwarder import CLAIMED, GATHERED
from gatepost.store.forwarding.destinations import Destinations
from gatepost.store.sqlite.store import SqliteStore


def _ids(hook: Hook) -> Counter[str]:
    return Counter(headers["webhook-id"] for headers, _ in hook.requests)


async def _killed_when(folder: Path, hook: Hook, is_time: Callable[[], bool]) -> None:
    """Start a process, and kill it once the destination was sent enough."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.forward.sender", str(folder))
    try:
        async with asyncio.timeout(120):
            while not is_time():
                hook.arrived.clear()
                await hook.arrived.wait()
    finally:
        process.kill()
        await process.wait()


async def _kill(folder: Path, times: int, *, most: int, seed: int) -> None:
    """Kill one process after the other, each once it has sent up to ``most`` events."""
    rand = random.Random(seed)
    count = times * most
    async with hooked() as hook:
        with closing(SqliteStore.open(folder)) as store:
            ensured(store, "SN-1", now_ms=RECEIVED_MS)
            told = msgspec.json.encode({"kind": "webhook", "url": hook.url})
            destinations = Destinations(store)
            which = destinations.create("one", "webhook", told, b"{}", now_ms=RECEIVED_MS).id
            stored = store.write([arrival(record(number), 1) for number in range(count)])
            names = [f"record-{one.id}" for one in stored]
            stored = store.write([arrival(alarm(f"trace {number}"), 1) for number in range(times)])
            names += [f"alarm-{one.id}" for one in stored]
        for _ in range(times):
            until = len(hook.requests) + rand.randint(1, most)
            await _killed_when(folder, hook, lambda until=until: len(hook.requests) >= until)  # type: ignore[misc]
        await _killed_when(folder, hook, lambda: len(_ids(hook)) == len(names))
        with closing(SqliteStore.open(folder)) as store:
            assert check(Destinations(store), which).problems == []

    sent = _ids(hook)
    assert set(sent) == set(names)
    twice = sum(events - 1 for events in sent.values())
    assert twice <= (times + 1) * (CLAIMED + GATHERED)
    with closing(SqliteStore.open(folder)) as store:
        row = Destinations(store).one(which)
        assert row is not None
        # The last kill was before the last commit.
        assert row.ledger.seen == len(names) == row.ledger.delivered + row.ledger.waiting


@pytest.mark.timeout(300)
async def test_two_kills_lose_nothing(tmp_path: Path) -> None:
    await _kill(tmp_path, 2, most=100, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_fifty_kills_lose_nothing(tmp_path: Path) -> None:
    await _kill(tmp_path, 50, most=400, seed=2)
