"""What can be read from an outbox, beside its writer."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.terminal.outbox_kit import (
    JPEG,
    Clock,
    SmallDisk,
    alarm,
    assert_the_ledger_adds_up,
    drain,
    outbox_in,
    put_many,
    record,
    settle_all,
)

from gatepost.errors import OutboxUnavailable
from gatepost.retry import DeadLetter, Done, RetryAt, Step
from gatepost.terminal.outbox.outbox import HistoryQuery, Outbox, State, Stored
from gatepost.terminal.outbox.reader import Reader
from gatepost.wire import decode

T0 = 1_700_000_000


async def seen(outbox: Outbox, **query: object) -> tuple[int, list[int]]:
    page = await outbox.history(HistoryQuery(**query))  # type: ignore[arg-type]
    return page.total, [stored.id for stored in page.items]


async def test_history_is_what_was_recorded_sent_or_not_and_no_alarms(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await outbox.put(record(1, image=JPEG))
        await outbox.put(alarm())
        await drain(outbox, now())
        await outbox.put(record(2))
        page = await outbox.history()
    assert page.total == 2
    first, second = page.items
    assert decode(first.body).event == record(1, image=JPEG)
    assert (first.state, first.settled_at) == (State.DELIVERED, now())
    assert (second.state, second.settled_at) == (State.PENDING, None)


async def test_history_is_filtered_by_when_it_happened_both_ends_included(tmp_path: Path) -> None:
    async with outbox_in(tmp_path) as outbox:
        for number in range(1, 6):
            await outbox.put(record(number, at=T0 + number))
        assert await seen(outbox, since=T0 + 2, until=T0 + 4) == (3, [2, 3, 4])
        assert await seen(outbox, since=T0 + 5) == (1, [5])
        assert await seen(outbox, until=T0) == (0, [])


async def test_history_is_filtered_by_the_first_given_of_three_numbers_only(tmp_path: Path) -> None:
    async with outbox_in(tmp_path) as outbox:
        await outbox.put(record(1, user_id="5", job_number="J1", ic_number="C1"))
        await outbox.put(record(2, user_id="6", job_number="J1", ic_number="C2"))
        await outbox.put(record(3))
        assert await seen(outbox, user_id="5", job_number="J9") == (1, [1])
        assert await seen(outbox, job_number="J1", ic_number="C9") == (2, [1, 2])
        assert await seen(outbox, ic_number="C2") == (1, [2])


async def test_history_comes_in_pages_either_way_and_says_how_many_match(tmp_path: Path) -> None:
    async with outbox_in(tmp_path) as outbox:
        for number in range(1, 8):
            await outbox.put(record(number, at=T0 - number))
        assert await seen(outbox, limit=2, offset=1) == (7, [6, 5])
        assert await seen(outbox, limit=2, offset=1, newest_first=True) == (7, [2, 3])
        assert await seen(outbox, limit=2, offset=6) == (7, [1])


async def test_history_keeps_the_newest_of_what_was_delivered(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), history_events=3) as outbox:
        await put_many(outbox, 5)
        await drain(outbox, now(), window=1)
        assert await seen(outbox) == (3, [3, 4, 5])
        await assert_the_ledger_adds_up(outbox)


async def test_history_of_none_keeps_nothing_and_the_ledger_still_knows(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), history_events=0) as outbox:
        await put_many(outbox, 3)
        await drain(outbox, now())
        assert await seen(outbox) == (0, [])
        assert (await outbox.status()).delivered == 3
        await assert_the_ledger_adds_up(outbox)


async def test_history_grows_old(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), history_days=2) as outbox:
        await put_many(outbox, 2)
        await drain(outbox, now())
        now.at += 3 * 86_400
        await put_many(outbox, 1, first=3)
        await drain(outbox, now())
        assert await seen(outbox) == (1, [3])
        await assert_the_ledger_adds_up(outbox)


async def test_a_lowered_history_shrinks_with_the_next_deliveries(tmp_path: Path) -> None:
    now = Clock()
    async with outbox_in(tmp_path, now=now) as outbox:
        await put_many(outbox, 20)
        await drain(outbox, now())
    async with outbox_in(tmp_path, now=now, history_events=5) as outbox:
        await put_many(outbox, 1, first=21)
        await drain(outbox, now())
        assert await seen(outbox) == (5, [17, 18, 19, 20, 21])


async def test_another_process_can_read_while_this_one_writes_and_changes_nothing(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await outbox.put(record(1, user_id="5"))
        await outbox.put(record(2, user_id="6"))
        await settle_all(outbox, await outbox.claim(1, now=now()))
        before = {file.name: file.read_bytes() for file in outbox.path.iterdir()}
        reader = Reader(outbox.path)
        assert reader.count() == {"pending": 1, "delivered": 1, "dead": 0}
        assert [stored.id for stored in reader.history(HistoryQuery(user_id="6")).items] == [2]
        assert [stored.id for stored in reader.step([State.DELIVERED], 0)] == [1]
        assert {file.name: file.read_bytes() for file in outbox.path.iterdir()} == before


async def test_what_is_deleted_while_it_is_read_is_passed_over(tmp_path: Path) -> None:
    async with outbox_in(tmp_path) as outbox:
        await outbox.put(record(1))
        reader = Reader(outbox.path)
        (segment,) = outbox.path.glob("*.events")
        segment.unlink()
        assert reader.step([State.PENDING], 0) == []


@pytest.mark.parametrize("overflow", ["refuse-newest", "drop-oldest"])
@pytest.mark.parametrize("step", [DeadLetter("code 500"), RetryAt(3e9, reason="code 500")])
async def test_on_a_full_disk_delivered_records_go_from_among_those_that_stay(
    tmp_path: Path, overflow: str, step: Step
) -> None:
    disk, now = SmallDisk(tmp_path, 3_000_000), Clock()
    async with outbox_in(tmp_path, now=now, files=disk, overflow=overflow) as outbox:
        for number in range(300):
            await outbox.put(record(number, image=bytes(30_000)))
            for event in await outbox.claim(8, now=now()):
                await outbox.settle([(event.id, step if event.id % 30 == 0 else Done())])
        status = await outbox.status()
        assert (status.accepted, status.delivered, status.dropped, status.refused_full) == (300, 290, 0, 0)
        assert status.pending + status.dead == 10
        assert 0 < status.history < 100
        assert status.storage_error is None
        await assert_the_ledger_adds_up(outbox)
        pending = [event.id async for event in stored(outbox)]
        assert pending == list(range(30, 301, 30))
    shutil.copytree(tmp_path / "outbox", tmp_path / "scanned" / "outbox")
    for index in (tmp_path / "scanned" / "outbox").glob("*.index"):
        index.unlink()
    for folder in (tmp_path, tmp_path / "scanned"):
        with capture_logs() as logs:
            async with outbox_in(folder, now=now) as outbox:
                again = await outbox.status()
                assert (again.accepted, again.delivered, again.dropped) == (300, 290, 0)
                assert again.history == status.history
                await assert_the_ledger_adds_up(outbox)
                assert [event.id async for event in stored(outbox)] == pending
        assert [line["event"] for line in logs if "damaged" in line["event"] or "lost" in line["event"]] == []


async def stored(outbox: Outbox) -> AsyncIterator[Stored]:
    """Yield what waits or is dead, read from its segments."""
    after = 0
    while found := await outbox._read(lambda view: view.step([State.PENDING, State.DEAD], after)):  # noqa: B023
        for event in found:
            assert event.image == bytes(30_000)
            yield event
        after = found[-1].id


async def test_bytes_that_were_given_back_count_as_delivered_where_the_state_does_not_say_so(
    tmp_path: Path,
) -> None:
    now = Clock()
    async with outbox_in(tmp_path, now=now, capacity_bytes=500_000) as outbox:
        for number in range(100):
            await outbox.put(record(number, image=bytes(10_000)))
            for event in await outbox.claim(8, now=now()):
                await outbox.settle([(event.id, DeadLetter("no") if event.id % 5 == 0 else Done())])
        assert (await outbox.status()).dead == 20
        segments = list((tmp_path / "outbox").glob("*.events"))
        blocks = sum(file.stat().st_blocks for file in segments)
        assert blocks * 512 < 750_000, "those of the extents among them"
        assert sum(file.stat().st_size for file in segments) > 900_000
    for file in (tmp_path / "outbox").glob("state-*"):
        file.write_bytes(bytes(file.stat().st_size))
    async with outbox_in(tmp_path, now=now) as outbox:
        status = await outbox.status()
        assert status.dropped == 0
        assert status.accepted == 100
        assert 20 <= status.pending < 60, "of what was delivered, only what is whole is sent once more"


async def test_a_reader_goes_on_while_bytes_around_what_it_reads_are_given_back(tmp_path: Path) -> None:
    now = Clock()
    async with outbox_in(tmp_path, now=now, capacity_bytes=500_000) as outbox:
        for number in range(40):
            await outbox.put(record(number, image=bytes(10_000)))
        await settle_all(outbox, [event for event in await outbox.claim(40, now=now()) if event.id % 5])
        reader = Reader(tmp_path / "outbox")
        await put_many(outbox, 60, first=100, image=bytes(10_000))
        found = reader.step([State.PENDING], 0)
        assert {5, 10, 15, 20, 25, 30, 35, 40} <= {event.id for event in found}


class WithoutHoles(SmallDisk):
    """A file system that can only overwrite."""

    def __init__(self, folder: Path, size: int) -> None:
        super().__init__(folder, size)
        self.overwrites = 0

    def punch(self, handle: int, offset: int, size: int) -> None:
        self.overwrites += 1
        self.write(handle, bytes(size), offset)


async def test_a_file_system_that_makes_no_holes_is_asked_once_and_keeps_what_waits(tmp_path: Path) -> None:
    disk, now = WithoutHoles(tmp_path, 3_000_000), Clock()
    async with outbox_in(tmp_path, now=now, files=disk, overflow="refuse-newest") as outbox:
        refused = 0
        for number in range(200):
            try:
                await outbox.put(record(number, image=b"\xff" * 30_000))
            except OutboxUnavailable:
                refused += 1
            for event in await outbox.claim(8, now=now()):
                await outbox.settle([(event.id, DeadLetter("no") if event.id % 5 == 0 else Done())])
        status = await outbox.status()
        assert status.accepted + refused == 200
        assert refused > 0
        assert (status.dropped, status.dead) == (0, status.accepted // 5)
        assert len(await outbox.dead_letters()) == status.dead
    assert 0 < disk.overwrites < 10, "the rows of one segment"
