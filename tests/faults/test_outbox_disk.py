"""A disk that is full or read-only: history goes first, then the overflow policy; what is stored drains; all heals."""

import asyncio
import errno
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct
from structlog.testing import capture_logs
from tests.faults.disks import DISKS, folder_for_everybody, read_only
from tests.terminal.outbox_kit import (
    SUBSCRIPTION,
    Clock,
    SmallDisk,
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
from gatepost.journal.files import Files
from gatepost.retry import RetryAt
from gatepost.terminal.outbox.outbox import Outbox
from gatepost.terminal.outbox.state import log as state_log
from gatepost.terminal.outbox.types import NewEvent

PHOTO = b"\xff\xd8" + bytes(30_000)

MB = 1024 * 1024


class Disk(Struct, frozen=True):
    """A disk of 8 MB, that others may fill."""

    folder: Path
    files: Files
    fill: Callable[[], None]
    free: Callable[[], None]


@contextmanager
def injected(folder: Path) -> Iterator[Disk]:
    files = SmallDisk(folder, 8 * MB)

    def fill() -> None:
        files.others = 8 * MB - files.used

    def free() -> None:
        files.others = 0

    yield Disk(folder, files, fill, free)


@contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    with DISKS["file system"](folder) as disk:
        yield Disk(folder, Files(), disk.fill, disk.free)


@pytest.fixture(params=[injected, mounted] if "file system" in DISKS else [injected])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with request.param(tmp_path) as disk:
        yield disk


async def recovered(outbox: Outbox) -> None:
    async with asyncio.timeout(20):
        while (await outbox.status()).storage_error is not None:  # noqa: ASYNC110 - a disk has no event
            await asyncio.sleep(0.01)


async def fill_up(outbox: Outbox, disk: Disk) -> int:
    """Fill the disk, then record until it does not take any more; return how many it still took."""
    disk.fill()
    for taken in range(1000):
        try:
            await outbox.put(record(1000 + taken, image=PHOTO))
        except OutboxUnavailable:
            return taken
    raise AssertionError("the disk never got full")


async def test_a_full_disk_refuses_records_and_alarms_and_accepts_nothing_of_them(disk: Disk) -> None:
    async with outbox_in(disk.folder, files=disk.files, overflow="refuse-newest") as outbox:
        await put_many(outbox, 20, image=PHOTO)
        taken = await fill_up(outbox, disk)
        with pytest.raises(OutboxUnavailable, match="free some space"):
            await outbox.put(record(image=PHOTO))
        status = await outbox.status()
        assert (status.accepted, status.pending) == (20 + taken, 20 + taken)
        assert "free some space" in str(status.storage_error)
        await assert_the_ledger_adds_up(outbox)


async def test_what_is_stored_on_a_full_disk_goes_on_draining_and_nothing_is_pushed_twice(
    disk: Disk,
) -> None:
    async with outbox_in(
        disk.folder, now=(now := Clock()), files=disk.files, overflow="refuse-newest"
    ) as outbox:
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


async def test_recording_works_again_by_itself_when_space_returns(disk: Disk) -> None:
    async with outbox_in(disk.folder, files=disk.files, overflow="refuse-newest") as outbox:
        await put_many(outbox, 20, image=PHOTO)
        taken = await fill_up(outbox, disk)
        disk.free()
        assert await outbox.put(record(image=PHOTO)) == 21 + taken
        await recovered(outbox)


async def test_the_status_says_that_space_returned_although_nothing_happens(disk: Disk) -> None:
    async with outbox_in(disk.folder, files=disk.files, overflow="refuse-newest") as outbox:
        await put_many(outbox, 20, image=PHOTO)
        await fill_up(outbox, disk)
        disk.free()
        await recovered(outbox)


async def test_a_failed_event_waits_for_its_time_on_a_full_disk_too(disk: Disk) -> None:
    async with outbox_in(
        disk.folder, now=(now := Clock()), files=disk.files, overflow="refuse-newest"
    ) as outbox:
        await put_many(outbox, 1, image=PHOTO)
        await fill_up(outbox, disk)
        first = await outbox.claim(1, now=now())
        await settle_all(outbox, first, RetryAt(now() + 60, reason="HTTP 503"))
        assert "uuid-1" not in [name(event) for event in await outbox.claim(100, now=now())]
        assert outbox.next_due() == now() + 60
        now.at += 60
        assert [name(event) for event in await outbox.claim(100, now=now())] == ["uuid-1"]


async def test_a_start_on_a_full_disk_drains_what_is_stored(disk: Disk) -> None:
    now = Clock()
    async with outbox_in(disk.folder / "data", files=disk.files) as outbox:
        await put_many(outbox, 20, image=PHOTO)
    disk.fill()
    async with outbox_in(disk.folder / "data", now=now, files=disk.files) as outbox:
        assert outbox.current_subscription == SUBSCRIPTION
        assert len(await drain(outbox, now())) == 20
        disk.free()
        await recovered(outbox)
        await outbox.put(record(21))
        assert await drain(outbox, now()) == ["uuid-21"]
        assert (await outbox.status()).delivered == 21
        await assert_the_ledger_adds_up(outbox)


async def test_a_disk_full_of_delivered_history_takes_every_new_record(disk: Disk) -> None:
    async with outbox_in(disk.folder, now=(now := Clock()), files=disk.files) as outbox:
        with capture_logs() as logs:
            for number in range(800):
                await outbox.put(record(number, image=PHOTO))
                await settle_all(outbox, await outbox.claim(1, now=now()))
        status = await outbox.status()
        assert (status.delivered, status.dropped, status.refused_full) == (800, 0, 0)
        assert 50 < status.history < 300
        assert status.storage_error is None
        assert "outbox.history_shortened" in [line["event"] for line in logs]
        await assert_the_ledger_adds_up(outbox)


async def test_a_disk_full_of_what_waits_takes_every_new_record_and_drops_the_oldest(disk: Disk) -> None:
    async with outbox_in(disk.folder, now=(now := Clock()), files=disk.files) as outbox:
        for number in range(800):
            if number % 8 == 0:
                await outbox.put(alarm(f"T-{number}"))
            await outbox.put(record(number, image=PHOTO))
        status = await outbox.status()
        (burst,) = status.drops
        assert (status.refused_full, burst.reason, burst.lane) == (0, "disk", "records")
        assert status.pending + status.dropped == 900
        assert status.pending_alarms == 100
        assert 50 < status.pending_records < 300
        await assert_the_ledger_adds_up(outbox)
    async with outbox_in(disk.folder, now=now, files=disk.files) as outbox:
        arrived = await drain(outbox, now())
        assert arrived[:100] == [f"T-{number}:1" for number in range(0, 800, 8)]
        assert arrived[100:] == [f"uuid-{number}" for number in range(900 - len(arrived), 800)]


@pytest.mark.parametrize("has_reserve", [True, False])
async def test_after_many_failed_attempts_on_a_full_disk_what_is_delivered_makes_room_and_stays_delivered(
    disk: Disk, has_reserve: bool
) -> None:
    now = Clock()
    async with outbox_in(disk.folder, now=now, files=disk.files) as outbox:
        await put_many(outbox, 40, image=PHOTO)
        reserve = outbox.path / "reserve"
        if not has_reserve:
            disk.files.remove(reserve)
        disk.fill()
        while not (await outbox.status()).unsaved:
            some = await outbox.claim(8, now=now())
            await settle_all(outbox, some, RetryAt(now() + 60, reason="no connection"))
            now.at += 60
        assert reserve.exists() == has_reserve
        if has_reserve:
            disk.files.remove(reserve)
            disk.fill()
        assert len(await drain(outbox, now())) == 40
        for number in range(41, 61):
            await outbox.put(record(number, image=PHOTO))
        status = await outbox.status()
        assert (status.delivered, status.pending, status.dropped, status.unsaved) == (40, 20, 0, 0)
        await assert_the_ledger_adds_up(outbox)
    async with outbox_in(disk.folder, now=now, files=disk.files) as outbox:
        assert await drain(outbox, now()) == [f"uuid-{number}" for number in range(41, 61)]
        assert (await outbox.status()).dropped == 0


async def test_an_event_that_is_too_large_for_the_disk_drops_nothing(disk: Disk) -> None:
    async with outbox_in(disk.folder, files=disk.files) as outbox:
        await put_many(outbox, 20, image=PHOTO)
        for _ in range(3):
            with pytest.raises(OutboxUnavailable, match="free some space"):
                await outbox.put(record(21, image=bytes(9 * MB)))
        status = await outbox.status()
        assert (status.pending, status.dropped) == (20, 0)
        await put_many(outbox, 400, first=21, image=PHOTO)
        assert (await outbox.status()).accepted == 420, "on a full disk those that fit are taken"
        with pytest.raises(OutboxUnavailable, match="free some space"):
            await outbox.put(record(421, image=bytes(9 * MB)))
        await put_many(outbox, 10, first=422, image=PHOTO)
        await assert_the_ledger_adds_up(outbox)


@pytest.mark.parametrize("lacks", [1, 4096, 9000])
async def test_an_event_whose_frame_does_not_fit_drops_nothing(tmp_path: Path, lacks: int) -> None:
    files = SmallDisk(tmp_path, 8 * MB)
    async with outbox_in(tmp_path, files=files) as outbox:
        await put_many(outbox, 20, image=PHOTO)
        contents = outbox._writer._contents
        free = contents._space.free() + sum(one.columns.ends[-1] for one in contents._segments.all)
        around = NewEvent.of(record(21, image=b"x")).size - 1
        with pytest.raises(OutboxUnavailable, match="free some space"):
            await outbox.put(record(21, image=bytes(free - lacks - around)))
        status = await outbox.status()
        assert (status.pending, status.dropped) == (20, 0)
        await assert_the_ledger_adds_up(outbox)


async def test_damaged_bytes_make_room_before_history_does(tmp_path: Path) -> None:
    files = SmallDisk(tmp_path, 8 * MB)
    async with outbox_in(tmp_path, now=(now := Clock()), files=files) as outbox:
        await put_many(outbox, 20, image=PHOTO)
        await drain(outbox, now())
        segment = next(outbox.path.glob("*.events"))
        for start in range(3):
            outbox._writer._contents._segments.aside.take_part(segment, start, start + 5000)
        assert (await outbox.status()).set_aside == 3
        files.others = files.space(tmp_path)[1] - 4096
        await outbox.put(record(21))
        status = await outbox.status()
        assert (status.set_aside, status.set_aside_gone, status.dropped) == (0, 3, 0)


async def test_on_a_full_disk_attempts_that_fail_take_no_more_and_more_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_log, "MOST_UNWRITTEN", 100)
    files = SmallDisk(tmp_path, 8 * MB)
    async with outbox_in(tmp_path, now=(now := Clock()), files=files, overflow="refuse-newest") as outbox:
        await put_many(outbox, 20, image=PHOTO)
        await settle_all(outbox, await outbox.claim(3, now=now()))
        log = outbox._writer._contents._saver.log
        files.error = errno.ENOSPC
        await settle_all(outbox, await outbox.claim(1, now=now()))
        for _ in range(300):
            some = await outbox.claim(8, now=now())
            await settle_all(outbox, some, RetryAt(now() + 60, reason="no connection"))
            now.at += 60
            assert len(log.unwritten) <= 120
        assert (await outbox.status()).unsaved >= 1
        files.error = None
        await recovered(outbox)
        (first, *_) = await outbox.claim(1, now=now())
        assert first.attempts > 100
        assert log.is_clean
        shutil.copytree(outbox.path, tmp_path / "copy" / "outbox")
    async with outbox_in(tmp_path / "copy", now=now) as outbox:
        status = await outbox.status()
        assert (status.delivered, status.pending) == (4, 16)
        (again, *_) = await outbox.claim(1, now=now())
        assert again.attempts == first.attempts + 1, "what was left out stood in a checkpoint"


async def test_a_disk_full_of_alarms_takes_new_alarms_for_old_ones_and_records_for_records_alone(
    disk: Disk,
) -> None:
    async with outbox_in(disk.folder, files=disk.files) as outbox:
        for number in range(400):
            await outbox.put(msgspec.structs.replace(alarm(f"T-{number}"), image=PHOTO))
        status = await outbox.status()
        assert 50 < status.pending_alarms < 300
        assert {(drop.reason, drop.lane) for drop in status.drops} == {("disk", "alarms")}
        for number in range(100):
            with suppress(OutboxUnavailable):
                await outbox.put(record(number, image=PHOTO))
        assert (await outbox.status()).pending_alarms == status.pending_alarms
        await assert_the_ledger_adds_up(outbox)


@pytest.mark.parametrize("lane", ["records", "alarms"])
async def test_a_program_that_takes_all_space_costs_no_more_events_than_new_ones_need(
    disk: Disk, lane: str
) -> None:
    async with outbox_in(disk.folder, now=(now := Clock()), files=disk.files) as outbox:

        async def put(number: int) -> None:
            if lane == "records":
                await outbox.put(record(number, image=PHOTO))
            else:
                await outbox.put(msgspec.structs.replace(alarm(f"uuid-{number}"), image=PHOTO))

        for number in range(120):
            await put(number)
        a_segment = max(len(one.columns) for one in outbox._writer._contents._segments.all)
        stored = set(range(120))
        disk.fill()
        for number in range(120, 180):
            with suppress(OutboxUnavailable):
                await put(number)
                stored.add(number)
            with suppress(FileNotFoundError):
                disk.free()
            disk.fill()
        status = await outbox.status()
        assert status.accepted == len(stored)
        # Blocks are given back whole, so that it is two for some, and the program takes what is over.
        assert status.dropped <= 2 * (len(stored) - 120) + a_segment
        await assert_the_ledger_adds_up(outbox)
        arrived = await drain(outbox, now())
        kept = sorted(stored)[status.dropped :]
        assert [name.split(":")[0] for name in arrived] == [f"uuid-{number}" for number in kept]


async def test_where_the_space_of_what_was_given_up_is_taken_at_once_the_rest_is_kept(tmp_path: Path) -> None:
    files = SmallDisk(tmp_path, 8 * MB)
    async with outbox_in(tmp_path, now=(now := Clock()), files=files) as outbox:
        await put_many(outbox, 120, image=PHOTO)
        segments = outbox._writer._contents._segments.lanes[1]
        one, longest = len(segments[0].columns), max(map(len, (each.columns for each in segments)))
        space = files.space

        def taken_at_once(path: Path) -> tuple[int, int]:
            files.others = 8 * MB - files.used
            return space(path)

        files.space = taken_at_once  # type: ignore[method-assign]
        for number in range(40):
            with pytest.raises(OutboxUnavailable, match="free some space"):
                await outbox.put(record(1000 + number, image=PHOTO))
        status = await outbox.status()
        assert (status.accepted, status.delivered) == (120, 0)
        assert one <= status.dropped <= longest + 6
        files.space, files.others = space, 0  # type: ignore[method-assign]
        await outbox.put(record(2000, image=PHOTO))
        await recovered(outbox)
        assert len(await drain(outbox, now())) == 121 - status.dropped
        await assert_the_ledger_adds_up(outbox)


async def test_a_disk_of_20_mb_and_20_000_records_with_a_receiver_that_comes_and_goes(tmp_path: Path) -> None:
    rand, now = random.Random(7), Clock()
    files = SmallDisk(tmp_path, 20 * MB)
    arrived: list[str] = []
    recorded = 0
    while recorded < 20_000:
        async with outbox_in(tmp_path, now=now, files=files, history_days=1) as outbox:
            for _ in range(rand.randint(3, 8)):
                images = [bytes(rand.choice((3_000, 30_000))) for _ in range(rand.randint(100, 900))]
                is_away = rand.random() < 0.6
                for first in range(0, len(images), 16):
                    some = [
                        record(recorded + at, image=image)
                        for at, image in enumerate(images[first : first + 16])
                    ]
                    await asyncio.gather(*(outbox.put(each) for each in some))
                    recorded += len(some)
                    if not is_away:
                        arrived += await drain(outbox, now(), window=16)
                    now.at += 600
            status = await outbox.status()
            assert (status.storage_error, status.refused_full, status.accepted) == (None, 0, recorded)
            assert files.used <= 20 * MB
    async with outbox_in(tmp_path, now=now, files=files) as outbox:
        arrived += await drain(outbox, now(), window=16)
        status = await outbox.status()
        assert {drop.reason for drop in status.drops} == {"disk"}
        assert len(arrived) == len(set(arrived)) == status.delivered == status.accepted - status.dropped
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
        (folder / "data").chmod(0o755)
        with read_only(folder / "data" / "outbox"):
            outbox = await Outbox.open(folder / "data" / "outbox", now=now)
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
