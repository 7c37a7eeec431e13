"""A terminal's backlog: 50,000 passages with 30 KB JPEGs in an outbox whose receiver is away."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.payloads import jpeg, run_id
from gatepost.terminal import Terminal
from gatepost.wire import Group, Record, User

SERIAL = "BENCH0000001"
NOWHERE = "http://127.0.0.1:9/Record"
FILLERS = 64


def passages() -> Iterator[Record]:
    """Passages without end, each unique, of 1,000 people."""
    run = run_id()
    start = int(time.time()) - 86_400
    for n in itertools.count():
        person = f"{n % 1000:04d}"
        yield Record(
            serial=SERIAL,
            uuid=f"{run[:8]}-{run[8:]}-4000-8000-{n:012x}",
            recognition_type=1,
            entry_mode=1,
            score=0.9302213788032532,
            mode=3,
            image=jpeg(n, run),
            temperature=36.5,
            passed=True,
            recorded_at=datetime.fromtimestamp(start + n // 64, UTC),
            user=User(
                name=f"王五{person}",
                user_id=person,
                type=1,
                job_number=f"2{person}",
                ic_number=f"12345{person}",
                groups=(Group(id="3", name="测试3"), Group(id="4", name="测试4")),
            ),
        )


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[Terminal]:
    """A terminal that caches and does not push: a subscription exists and is disabled."""
    async with Terminal(SERIAL, data) as terminal:
        await terminal.subscribe(NOWHERE, enabled=False)
        yield terminal


def fill(data: Path, count: int) -> float:
    """Record `count` passages; return the seconds that it took."""
    return asyncio.run(_fill(data, count))


async def _fill(data: Path, count: int) -> float:
    events = itertools.islice(passages(), count)
    began = time.perf_counter()
    async with opened(data) as terminal:

        async def filler() -> None:
            for event in events:
                await terminal.record(event)

        await asyncio.gather(*(filler() for _ in range(FILLERS)))
    return time.perf_counter() - began
