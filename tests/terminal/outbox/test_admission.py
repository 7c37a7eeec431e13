"""What has to leave when there is no room."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.terminal.outbox_kit import (
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

from gatepost.errors import EncodeError, OutboxError, OutboxFull
from gatepost.journal.format import HEADER_BYTES
from gatepost.retry import DeadLetter
from gatepost.terminal.outbox import admission
from gatepost.terminal.outbox.outbox import Outbox
from gatepost.wire import Alarm, Record

KB = bytes(1024)


async def counts(outbox: Outbox) -> tuple[int, int, int]:
    await assert_the_ledger_adds_up(outbox)
    status = await outbox.status()
    return status.accepted, status.pending, status.dropped


async def test_at_the_cap_the_oldest_record_makes_room(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=3) as outbox:
        await put_many(outbox, 5)
        assert await counts(outbox) == (5, 3, 2)
        assert await drain(outbox, now()) == ["uuid-3", "uuid-4", "uuid-5"]


@pytest.mark.parametrize("capacity_bytes", [None, 4096])
async def test_of_several_events_of_which_one_does_not_fit_none_is_stored(
    tmp_path: Path, capacity_bytes: int | None
) -> None:
    settings = {"capacity": 4, "overflow": "refuse-newest", "capacity_bytes": capacity_bytes}
    async with outbox_in(tmp_path, now=(now := Clock()), **settings) as outbox:
        await put_many(outbox, 2)
        several = [record(number, image=KB if capacity_bytes else None) for number in (3, 4, 5)]
        alone = outbox.put(record(6))  # shares the commit, and is stored
        refused, six = await asyncio.gather(outbox.put_all(several), alone, return_exceptions=True)
        assert isinstance(refused, OutboxFull)
        assert six == 3
        assert await counts(outbox) == (3, 3, 0)
        assert (await outbox.status()).refused_full == 3
        assert await drain(outbox, now()) == ["uuid-1", "uuid-2", "uuid-6"]
        assert await outbox.put_all(several) == [4, 5, 6]


async def test_of_several_events_each_makes_room(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=3) as outbox:
        await put_many(outbox, 2)
        assert await outbox.put_all([record(3), alarm("T-1"), record(4)]) == [3, 4, 5]
        assert await counts(outbox) == (5, 3, 2)
        assert await drain(outbox, now()) == ["T-1:1", "uuid-3", "uuid-4"]


async def test_an_alarm_is_kept_as_long_as_there_is_a_record_to_drop(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=3) as outbox:
        await outbox.put(alarm("T-1"))
        await put_many(outbox, 2)
        for number in (2, 3):
            await outbox.put(alarm(f"T-{number}"))
        assert await drain(outbox, now()) == ["T-1:1", "T-2:1", "T-3:1"]


async def test_when_only_alarms_are_left_the_oldest_makes_room_for_the_newest(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=2) as outbox:
        for number in (1, 2, 3):
            await outbox.put(alarm(f"T-{number}"))
        assert await counts(outbox) == (3, 2, 1)
        assert await drain(outbox, now()) == ["T-2:1", "T-3:1"]


async def test_a_record_never_pushes_an_alarm_out(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, capacity=2) as outbox:
        await outbox.put(alarm("T-1"))
        await outbox.put(alarm("T-2"))
        with pytest.raises(OutboxFull, match="full of alarms"):
            await outbox.put(record())
        assert await counts(outbox) == (2, 2, 0)
        assert (await outbox.status()).refused_full == 1


async def test_dropping_the_first_alarm_of_a_trace_lets_the_next_go(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=2) as outbox:
        for status in (1, 2, 3):
            await outbox.put(alarm("T-1", status))
        assert await drain(outbox, now()) == ["T-1:2", "T-1:3"]


async def test_refuse_newest_keeps_what_is_stored_and_tells_the_caller(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=2, overflow="refuse-newest") as outbox:
        await put_many(outbox, 2)
        for event in (record(3), alarm()):
            with pytest.raises(OutboxFull, match="2 events wait for delivery; nothing was stored"):
                await outbox.put(event)
        assert await counts(outbox) == (2, 2, 0)
        assert (await outbox.status()).refused_full == 2
        assert await drain(outbox, now()) == ["uuid-1", "uuid-2"]
        assert await outbox.put(record(4)) == 3


async def test_what_is_in_flight_is_dropped_last(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=2) as outbox:
        await put_many(outbox, 2)
        in_flight = await outbox.claim(1, now=now())
        await outbox.put(record(3))
        await settle_all(outbox, in_flight)
        assert await drain(outbox, now()) == ["uuid-3"]
        assert (await outbox.status()).delivered == 2


async def test_a_byte_budget_forgets_history_first_then_dead_letters_then_the_oldest_records(
    tmp_path: Path,
) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity_bytes=4 * 1500) as outbox:
        await put_many(outbox, 4, image=KB)
        await settle_all(outbox, await outbox.claim(1, now=now()))
        await settle_all(outbox, await outbox.claim(1, now=now()), DeadLetter("no"))
        seen = []
        for number in (5, 6, 7, 8):
            await outbox.put(record(number, image=KB))
            status = await outbox.status()
            seen.append((status.history, status.dead, status.dropped))
            assert status.bytes + status.history_bytes <= 6000
            await assert_the_ledger_adds_up(outbox)
        assert seen == [(0, 1, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3)]
        assert await drain(outbox, now()) == ["uuid-5", "uuid-6", "uuid-7", "uuid-8"]


async def test_a_dead_letter_that_is_an_alarm_is_kept_as_long_as_there_is_a_record_to_drop(
    tmp_path: Path,
) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity_bytes=3200) as outbox:
        await outbox.put(alarm())
        await settle_all(outbox, await outbox.claim(1, now=now()), DeadLetter("no"))
        await put_many(outbox, 3, image=KB)
        status = await outbox.status()
        assert (status.dead, status.pending, status.dropped) == (1, 2, 1)
        for number in range(30):
            await outbox.put(alarm(f"T-{number}"))
        status = await outbox.status()
        assert (status.dead, status.pending_records, status.dropped > 3) == (0, 0, True)
        await assert_the_ledger_adds_up(outbox)


async def test_an_event_larger_than_the_whole_budget_is_refused_and_nothing_dropped(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, capacity_bytes=2000) as outbox:
        await outbox.put(record(1, image=KB))
        with pytest.raises(OutboxFull, match="2000 bytes"):
            await outbox.put(record(2, image=bytes(3000)))
        assert await counts(outbox) == (1, 1, 0)


async def test_a_record_that_would_need_the_room_of_alarms_is_refused_and_nothing_dropped(
    tmp_path: Path,
) -> None:
    async with outbox_in(tmp_path, capacity_bytes=2000) as outbox:
        await outbox.put(record(1))
        for number in range(8):
            await outbox.put(alarm(f"T-{number}"))
        before = await counts(outbox)
        with pytest.raises(OutboxFull):
            await outbox.put(record(2, image=KB))
        assert await counts(outbox) == before


async def test_with_refuse_newest_only_history_makes_room_for_bytes(tmp_path: Path) -> None:
    settings = {"capacity_bytes": 3000, "overflow": "refuse-newest"}
    async with outbox_in(tmp_path, now=(now := Clock()), **settings) as outbox:
        await put_many(outbox, 2, image=KB)
        await settle_all(outbox, await outbox.claim(1, now=now()))
        await outbox.put(record(3, image=KB))
        with pytest.raises(OutboxFull):
            await outbox.put(record(4, image=KB))
        assert await counts(outbox) == (3, 2, 0)


async def test_a_cap_lowered_below_the_backlog_throws_nothing_away_by_itself(tmp_path: Path) -> None:
    async with outbox_in(tmp_path) as outbox:
        await put_many(outbox, 6)
    async with outbox_in(tmp_path, capacity=2) as outbox:
        assert await counts(outbox) == (6, 6, 0)
        await outbox.put(record(7))
        assert await counts(outbox) == (7, 6, 1)


async def test_a_burst_of_drops_is_one_range_and_one_line_in_the_log(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=2) as outbox:
        with capture_logs() as logs:
            for number in range(1, 6):
                now.at += 1
                await outbox.put(record(number, at=1000 + number))
            now.at += 3600
            await outbox.put(record(6, at=1006))
        first, second = (await outbox.status()).drops
    assert (first.reason, first.lane, first.count, first.first_id, first.last_id) == (
        "capacity",
        "records",
        3,
        1,
        3,
    )
    assert (first.oldest_event_at, first.newest_event_at) == (1001, 1003)
    assert first.last_dropped_at - first.first_dropped_at == 2
    assert (second.count, second.first_id, second.last_id) == (1, 4, 4)
    dropping = [line for line in logs if line["event"] == "outbox.dropping"]
    assert [(line["first_id"], line["log_level"]) for line in dropping] == [(1, "warning"), (4, "warning")]


async def test_a_burst_of_refusals_is_one_line_in_the_log(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=1, overflow="refuse-newest") as outbox:
        await outbox.put(record(1))
        with capture_logs() as logs:
            for _ in range(3):
                with pytest.raises(OutboxFull):
                    await outbox.put(record(2))
            now.at += 3600
            with pytest.raises(OutboxFull):
                await outbox.put(record(2))
    assert [line["event"] for line in logs] == ["outbox.full", "outbox.full"]


@pytest.mark.soak
async def test_of_50_500_recorded_offline_the_newest_50_000_arrive_and_500_are_counted(
    tmp_path: Path,
) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), history_events=0) as outbox:
        for first in range(1, 50_500, 500):
            await asyncio.gather(*(outbox.put(record(number)) for number in range(first, first + 500)))
        assert await counts(outbox) == (50_500, 50_000, 500)
        (dropped,) = (await outbox.status()).drops
        assert (dropped.count, dropped.first_id, dropped.last_id) == (500, 1, 500)
        delivered = await drain(outbox, now(), window=256)
        assert delivered == [f"uuid-{number}" for number in range(501, 50_501)]


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (record(4, user_id="x" * 70_000), "data.user.user_id"),
        (record(4, user_id="x" * 40_000, ic_number="y" * 40_000), "data.user"),
        (alarm("t" * 70_000), "data.trace_id"),
    ],
)
async def test_an_event_with_a_text_that_is_too_long_is_refused_to_its_own_caller(
    tmp_path: Path, event: Record | Alarm, field: str
) -> None:
    async with outbox_in(tmp_path) as outbox:
        first, second, third = await asyncio.gather(
            outbox.put(record(3)), outbox.put(event), outbox.put(record(5)), return_exceptions=True
        )
        assert (first, third) == (1, 2)
        assert isinstance(second, EncodeError)
        assert field in str(second)
        assert await counts(outbox) == (2, 2, 0)


async def test_a_text_as_long_as_is_allowed_is_stored_and_found(tmp_path: Path) -> None:
    async with outbox_in(tmp_path) as outbox:
        await outbox.put(record(1, user_id="x" * 60_000))
        await outbox.put(alarm("t" * 60_000))
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        assert len(await drain(outbox, now())) == 2


async def test_a_defect_while_an_event_is_taken_in_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=3) as outbox:
        await put_many(outbox, 3)
        encode = admission.encode_body

        def fail(event: admission.NewEvent, *more: int) -> bytes:
            if b"uuid-5" in event.head:
                raise RuntimeError("a defect")
            return encode(event, *more)

        monkeypatch.setattr(admission, "encode_body", fail)
        results = await asyncio.gather(*(outbox.put(record(n)) for n in (4, 5)), return_exceptions=True)
        assert "a defect" in str(results[1])
        monkeypatch.undo()
        stored = sum(isinstance(result, int) for result in results)
        assert await counts(outbox) == (3 + stored, 3, stored), (
            "what was to make room for a refused event is there"
        )
        assert await outbox.put(record(6)) == 4 + stored
        assert len(await drain(outbox, now())) == 3
        await assert_the_ledger_adds_up(outbox)


@pytest.mark.parametrize("size", [(1, 500_000), (20, 25_000)], ids=["one event", "an array"])
async def test_on_a_full_disk_what_is_larger_than_a_segment_lets_go_what_it_needs(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    disk, (count, each) = SmallDisk(tmp_path, 2_000_000), size
    async with outbox_in(tmp_path, files=disk) as outbox:
        await put_many(outbox, 100, image=b"\xff" * 25_000)
        before = await outbox.status()
        stored = await outbox.put_all([record(200 + n, image=b"\xff" * each) for n in range(count)])
        after = await outbox.status()
        assert len(stored) == count
        assert before.dropped < after.dropped < before.dropped + 40
        await assert_the_ledger_adds_up(outbox)


@pytest.mark.parametrize("overflow", ["drop-oldest", "refuse-newest"])
async def test_on_a_full_disk_no_segment_stays_in_which_nothing_is(tmp_path: Path, overflow: str) -> None:
    disk = SmallDisk(tmp_path, 2_000_000)
    async with outbox_in(tmp_path, files=disk, overflow=overflow) as outbox:
        for number in range(100):
            with contextlib.suppress(OutboxError):
                await outbox.put(record(number, image=b"\xff" * 25_000))
        status = await outbox.status()
        assert status.dropped or status.storage_error
        sizes = [file.stat().st_size for file in outbox.path.glob("*.events")]
        assert min(sizes) > HEADER_BYTES


@pytest.mark.parametrize("overflow", ["drop-oldest", "refuse-newest"])
async def test_on_a_full_disk_what_cannot_fit_drops_nothing_and_forgets_nothing(
    tmp_path: Path, overflow: str
) -> None:
    disk, now = SmallDisk(tmp_path, 2_000_000), Clock()
    async with outbox_in(tmp_path, now=now, files=disk, overflow=overflow) as outbox:
        for number in range(60):
            await outbox.put(record(number, image=b"\xff" * 25_000))
            if number < 50:
                await drain(outbox, now())
        before = await outbox.status()
        for _ in range(3):
            with pytest.raises(OutboxError, match="disk is full"):
                await outbox.put(record(99, image=b"\xff" * 2_100_000))
        after = await outbox.status()
        assert (after.pending, after.dropped, after.history) == (before.pending, 0, before.history)
