"""A disk that is full or read-only: nothing is accepted, everything drains, and all is well again by itself."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.faults.disks import DISKS, SmallDisk, folder_for_everybody, read_only
from tests.terminal.outbox_kit import (
    SUBSCRIPTION,
    Clock,
    alarm,
    assert_the_ledger_adds_up,
    drain,
    name,
    outbox_in,
    put_many,
    record,
    settle_all,
)

from gatepost.errors import OutboxUnavailable
from gatepost.retry import RetryAt
from gatepost.terminal.outbox.outbox import Outbox

PHOTO = b"\xff\xd8" + bytes(30_000)


@pytest.fixture(params=DISKS.values(), ids=DISKS.keys())
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    make: Callable[[Path], AbstractContextManager[SmallDisk]] = request.param
    with make(tmp_path) as disk:
        yield disk


async def recovered(outbox: Outbox) -> None:
    async with asyncio.timeout(20):
        while (await outbox.status()).storage_error is not None:  # noqa: ASYNC110 - a disk has no event
            await asyncio.sleep(0.01)


async def fill_up(outbox: Outbox, disk: SmallDisk) -> int:
    """Fill the disk, then record until it does not take any more; answer how many it still took."""
    disk.fill()
    for taken in range(1000):
        try:
            await outbox.put(record(1000 + taken, image=PHOTO))
        except OutboxUnavailable:
            return taken
    raise AssertionError("the disk never got full")


async def test_a_full_disk_refuses_records_and_alarms_and_accepts_nothing_of_them(disk: SmallDisk) -> None:
    async with outbox_in(disk.folder) as outbox:
        await put_many(outbox, 20, image=PHOTO)
        taken = await fill_up(outbox, disk)
        with pytest.raises(OutboxUnavailable, match="free some space"):
            await outbox.put(record(image=PHOTO))
        status = await outbox.status()
        assert (status.accepted, status.pending) == (20 + taken, 20 + taken)
        assert "free some space" in str(status.storage_error)
        await assert_the_ledger_adds_up(outbox)


async def test_what_is_stored_on_a_full_disk_goes_on_draining_and_nothing_is_pushed_twice(
    disk: SmallDisk,
) -> None:
    async with outbox_in(disk.folder, now=(now := Clock())) as outbox:
        await put_many(outbox, 20, image=PHOTO)
        await outbox.put(alarm("T-1", 1))
        await outbox.put(alarm("T-1", 3))
        await fill_up(outbox, disk)
        delivered = await drain(outbox, now())
        assert delivered[:1] == ["T-1:1"]
        assert len(delivered) == len(set(delivered))
        assert {f"uuid-{number}" for number in range(1, 21)} <= set(delivered)
        status = await outbox.status()
        assert status.accepted == status.delivered + status.pending
        disk.free()
        await recovered(outbox)
        delivered += await drain(outbox, now())
        status = await outbox.status()
        assert (status.unsaved, status.pending, status.delivered) == (0, 0, len(delivered))
        assert len(delivered) == len(set(delivered)) == status.accepted
        await assert_the_ledger_adds_up(outbox)


async def test_recording_works_again_by_itself_when_space_returns(disk: SmallDisk) -> None:
    async with outbox_in(disk.folder) as outbox:
        await put_many(outbox, 20, image=PHOTO)
        taken = await fill_up(outbox, disk)
        disk.free()
        assert await outbox.put(record(image=PHOTO)) == 21 + taken
        await recovered(outbox)


async def test_the_status_says_that_space_returned_although_nothing_happens(disk: SmallDisk) -> None:
    async with outbox_in(disk.folder) as outbox:
        await put_many(outbox, 20, image=PHOTO)
        await fill_up(outbox, disk)
        disk.free()
        await recovered(outbox)
        assert (await outbox.status()).storage_error is None


async def test_a_failed_event_waits_for_its_time_on_a_full_disk_too(disk: SmallDisk) -> None:
    async with outbox_in(disk.folder, now=(now := Clock())) as outbox:
        await put_many(outbox, 1, image=PHOTO)
        await fill_up(outbox, disk)
        first = await outbox.claim(1, now=now())
        await settle_all(outbox, first, RetryAt(now() + 60, reason="HTTP 503"))
        assert "uuid-1" not in [name(event) for event in await outbox.claim(100, now=now())]
        assert outbox.next_due() == now() + 60
        now.at += 60
        assert [name(event) for event in await outbox.claim(100, now=now())] == ["uuid-1"]


async def test_a_start_on_a_full_disk_drains_what_is_stored(disk: SmallDisk) -> None:
    now = Clock()
    async with outbox_in(disk.folder / "data") as outbox:
        await put_many(outbox, 20, image=PHOTO)
    disk.fill()
    async with outbox_in(disk.folder / "data", now=now) as outbox:
        assert outbox.current_subscription == SUBSCRIPTION
        assert len(await drain(outbox, now())) == 20
        disk.free()
        await recovered(outbox)
        await outbox.put(record(21))
        assert await drain(outbox, now()) == ["uuid-21"]
        assert (await outbox.status()).delivered == 21
        await assert_the_ledger_adds_up(outbox)


@pytest.mark.parametrize("ending", ["stopped", "killed"])
async def test_a_start_on_a_read_only_disk_drains_what_is_stored_and_accepts_again_when_it_can(
    ending: str,
) -> None:
    now = Clock()
    with folder_for_everybody() as folder:
        async with outbox_in(folder / "first") as outbox:
            await put_many(outbox, 20, image=PHOTO)
            if ending == "killed":
                shutil.copytree(folder / "first", folder / "data")
        if ending == "stopped":
            shutil.copytree(folder / "first", folder / "data")
        with read_only(folder / "data"):
            outbox = await Outbox.open(folder / "data" / "outbox.db", now=now)
            with pytest.raises(OutboxUnavailable, match="cannot be written"):
                await outbox.put(record())
            assert len(await drain(outbox, now())) == 20
            status = await outbox.status()
            assert (status.delivered, status.pending, status.unsaved) == (20, 0, 20)
            assert status.storage_error is not None
        await recovered(outbox)
        assert await outbox.put(record(21)) == 21
        assert await drain(outbox, now()) == ["uuid-21"]
        status = await outbox.status()
        assert (status.delivered, status.pending, status.unsaved) == (21, 0, 0)
        await assert_the_ledger_adds_up(outbox)
        await outbox.close()
