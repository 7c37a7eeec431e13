"""How fast is a durable `record()` with a 30 KB JPEG, against the disk's own `fdatasync` of as many bytes?

From one caller, and from 16 concurrent callers who share a sync. Every run has a new outbox, fewer events than its
capacity, and no receiver: pushing is disabled by the subscription, as on a terminal whose receiver is away.
"""

import asyncio
import shutil
import time
from pathlib import Path
from statistics import median

from benchmarks.backlog import opened, passages
from benchmarks.bench import Bench
from benchmarks.machine import fdatasync_rate
from benchmarks.payloads import IMAGE_BYTES
from benchmarks.report import Row

MOST = 45_000  # under the outbox's capacity of 50,000
ONE, MANY = 1, 16


def run(bench: Bench) -> list[Row]:
    """Measure the disk, one caller and 16 callers in turn."""
    rates: dict[int, list[float]] = {ONE: [], MANY: []}
    disk = []
    for turn in range(bench.rounds):
        for callers in rates:
            folder = bench.folder(f"record-{turn}-{callers}")
            disk.append(fdatasync_rate(folder, size=IMAGE_BYTES, seconds=bench.seconds / 2))
            rates[callers].append(asyncio.run(_record(folder / "data", callers, seconds=bench.seconds)))
            bench.say(f"disk {disk[-1]:,.0f}/s, {callers} callers {rates[callers][-1]:,.0f}/s")
            shutil.rmtree(folder)
    return [
        Row(
            what=f"`record()` with a 30 KB JPEG, {callers} {'caller' if callers == 1 else 'callers'}",
            value=median(rates[callers]),
            unit="/s",
            peer="fdatasync of 30 KB",
            peer_value=median(disk),
            target=target,
        )
        for callers, target in ((ONE, 0.85), (MANY, 2))
    ]


async def _record(data: Path, callers: int, *, seconds: float) -> float:
    """Events a second that `callers` tasks, each waiting for its own event, make durable."""
    events = passages()
    async with opened(data) as terminal:
        began = time.perf_counter()
        recorded = 0

        async def caller() -> None:
            nonlocal recorded
            while time.perf_counter() - began < seconds and recorded < MOST:
                recorded += 1
                await terminal.record(next(events))

        await asyncio.gather(*(caller() for _ in range(callers)))
        return recorded / (time.perf_counter() - began)
