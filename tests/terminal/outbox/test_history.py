"""What can be read from an outbox, beside its writer."""

from pathlib import Path

from tests.terminal.outbox_kit import (
    JPEG,
    Clock,
    alarm,
    assert_the_ledger_adds_up,
    drain,
    outbox_in,
    put_many,
    record,
    settle_all,
)

from gatepost.terminal.outbox.history import Reader
from gatepost.terminal.outbox.outbox import HistoryQuery, Outbox, State
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
