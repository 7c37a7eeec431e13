"""What a flood of terminals that are not approved, or of quarantined pushes, takes of disk and memory.

Measured from outside, of a receiver of its own: bytes on the disk, and the memory of all processes (PSS), against the
quota that is set.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.receiver.kit import Process, base64, record

MEGABYTE = 1024 * 1024

QUOTA = 16 * MEGABYTE
"""Of a terminal, for a day: its address has that of two, and the quarantine a tenth."""

SIZE = 96 * 1024
"""Of one push, roughly."""

SHARE = 3
"""How many times what was taken may be on the disk: in the journal, in the database, and in its log."""

BESIDES = 4 * MEGABYTE
"""What grows besides: a segment that is begun, the rows themselves."""

PEAK = 350 * MEGABYTE


def disk_bytes(folder: Path) -> int:
    """Return what a folder takes on the disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def stranger(number: int) -> dict[str, Any]:
    """A record of a terminal that comes for the first time, with an image that no other one has."""
    image = b"\xff\xd8" + number.to_bytes(4) + os.urandom(SIZE * 3 // 4) + b"\xff\xd9"
    return record(deviceSN=f"FLOOD-{number}", uuid=f"{number}", rgb_image=base64(image))


def unknown(number: int) -> dict[str, Any]:
    """A push that goes to the quarantine, of one of few terminals."""
    return {
        "type": 9,
        "data": {"deviceSN": f"FLOOD-{number % 4}", "n": number, "said": os.urandom(SIZE // 2).hex()},
    }


@pytest.fixture
async def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Process]:
    """A receiver with small quotas."""
    monkeypatch.setenv("GATEPOST_UNAPPROVED_BYTES_PER_DAY", str(QUOTA))
    monkeypatch.setenv("GATEPOST_UNAPPROVED_TERMINALS_PER_ADDRESS", "2")
    running = await Process.start(tmp_path / "data")
    yield running
    await running.kill()


@pytest.mark.parametrize(
    ("push", "allowed"), [(stranger, 2 * QUOTA), (unknown, 2 * QUOTA // 10)], ids=["terminals", "quarantine"]
)
async def test_a_flood_takes_no_more_disk_and_memory_than_its_quota(
    process: Process, tmp_path: Path, push: Callable[[int], Any], allowed: int
) -> None:
    before, statuses, peak = disk_bytes(tmp_path / "data"), Counter[int](), 0
    taken_bytes = 0
    numbers = iter(range(3 * 2 * QUOTA // SIZE))

    async def flood() -> None:
        nonlocal taken_bytes, peak
        sender = await process.connect()
        for number in numbers:
            content = json.dumps(push(number)).encode()
            answer = await sender.request("POST", "/Record", content)
            statuses[answer.status] += 1
            taken_bytes += len(content) if answer.status == 200 else 0
            if number % 10 == 0:
                peak = max(peak, await asyncio.to_thread(process.resident_bytes))

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(flood())
    await process.settle()
    grown = disk_bytes(tmp_path / "data") - before
    assert statuses.keys() == {200, 503}
    assert statuses[503] > statuses[200]
    assert allowed // 4 < taken_bytes <= allowed
    assert grown <= SHARE * allowed + BESIDES
    assert peak < PEAK
    # A terminal that is approved has no quota, and is not held up by the others at its address.
    made = await process.request(
        "POST", "/api/v1/terminals", json.dumps({"serial": "KNOWN", "token": False}).encode()
    )
    assert made.status == 201
    known = json.dumps(record(deviceSN="KNOWN", uuid="known")).encode()
    assert (await process.request("POST", "/Record", known)).status == 200


async def test_names_of_eight_megabytes_take_no_more_memory_than_is_documented(tmp_path: Path) -> None:
    running = await Process.start(tmp_path / "data")
    numbers, taken, peak = iter(range(16)), 0, 0

    async def push(content: bytes) -> bool:
        sender = await running.connect()
        try:
            return (await sender.request("POST", "/Record", content)).status == 200
        except (OSError, asyncio.IncompleteReadError):
            return False  # refused while it was being sent
        finally:
            await sender.close()

    async def worker() -> None:
        nonlocal taken
        for number in numbers:
            event = record(uuid=f"{number}", deviceSN=f"SN-{number % 4}")
            event["data"]["user"]["name"] = f"{number}" + "N" * 8_000_000
            content = json.dumps(event).encode()
            while not await push(content):
                pass
            taken += 1

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, await asyncio.to_thread(running.resident_bytes))

    try:
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(worker() for _ in range(8)))
        await running.settle()
        page = await running.request("GET", "/api/v1/records?include=original")
        watching.cancel()
    finally:
        await running.kill()
    names = [item["person"]["name"] for item in json.loads(page.body)["items"]]
    assert taken == 16
    assert {len(name) for name in names} == {512}
    assert peak < PEAK
