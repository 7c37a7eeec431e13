"""The outbox's promises to those who use it."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from tests.terminal.outbox_kit import (
    JPEG,
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

from gatepost.errors import (
    EncodeError,
    NotSubscribed,
    OutboxInUse,
    OutboxOfAnotherTerminal,
    OutboxUnavailable,
)
from gatepost.retry import DeadLetter, Done, RetryAt
from gatepost.terminal.outbox.outbox import Outbox, State
from gatepost.wire import Record, Subscription, decode, encode


async def test_what_is_pushed_is_what_was_recorded_byte_for_byte(tmp_path: Path) -> None:
    event = record(image=JPEG, user_id="5", name="王五", job_number="23385")
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await outbox.put(event)
        (claimed,) = await outbox.claim(8, now=now())
    assert claimed.body == encode(event)
    assert claimed.image == JPEG


async def test_numbers_count_what_was_accepted(tmp_path: Path) -> None:
    async with outbox_in(tmp_path) as outbox:
        assert await put_many(outbox, 3) == [1, 2, 3]
    async with outbox_in(tmp_path) as outbox:
        assert await outbox.put(alarm()) == 4


async def test_what_was_recorded_is_there_after_a_restart(tmp_path: Path) -> None:
    now = Clock()
    async with outbox_in(tmp_path) as outbox:
        await put_many(outbox, 3, image=JPEG)
    async with outbox_in(tmp_path) as outbox:
        assert await drain(outbox, now()) == ["uuid-1", "uuid-2", "uuid-3"]


async def test_before_anyone_subscribed_nothing_is_cached_and_the_caller_is_told(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, subscribed=False) as outbox:
        assert await outbox.subscription() is None
        with pytest.raises(NotSubscribed, match="/v1/event/subscribe"):
            await outbox.put(record())
        assert (await outbox.status()).accepted == 0


async def test_the_subscription_survives_a_restart(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, subscribed=False) as outbox:
        await outbox.subscribe(SUBSCRIPTION)
        await outbox.subscribe(Subscription("https://192.0.2.7/Record", False))
    async with outbox_in(tmp_path, subscribed=False) as outbox:
        assert await outbox.subscription() == Subscription("https://192.0.2.7/Record", False)
        assert outbox.current_subscription == await outbox.subscription()


async def test_a_disabled_or_changed_subscription_keeps_the_backlog_and_goes_on_caching(
    tmp_path: Path,
) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 2)
        await outbox.subscribe(Subscription("http://192.0.2.8/Record", False))
        await outbox.put(record(3))
        assert await drain(outbox, now()) == ["uuid-1", "uuid-2", "uuid-3"]


async def test_a_claimed_event_is_not_claimed_again_before_it_is_settled(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 3)
        first = await outbox.claim(2, now=now())
        second = await outbox.claim(2, now=now())
        assert [name(event) for event in first + second] == ["uuid-1", "uuid-2", "uuid-3"]
        assert await outbox.claim(2, now=now()) == []


async def test_a_crash_makes_what_was_in_flight_pending_with_its_attempt_counted(tmp_path: Path) -> None:
    now = Clock(1000.0)
    async with outbox_in(tmp_path, now=now) as outbox:
        await outbox.put(record())
        (claimed,) = await outbox.claim(1, now=1000.0)
        assert (claimed.attempts, claimed.last_attempt_at) == (1, None)
    async with outbox_in(tmp_path, now=now) as outbox:
        (claimed,) = await outbox.claim(1, now=1001.0)
        assert (claimed.attempts, claimed.last_attempt_at) == (2, 1000.0)


async def test_a_released_event_is_claimed_again_at_once(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 2)
        claimed = await outbox.claim(2, now=now())
        await outbox.release([claimed[0].id])
        assert [name(event) for event in await outbox.claim(2, now=now())] == ["uuid-1"]
        await outbox.release()
        assert len(await outbox.claim(2, now=now())) == 2


async def test_a_claim_whose_caller_is_cancelled_holds_nothing_back(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await outbox.put(record())
        claim = asyncio.ensure_future(outbox.claim(1, now=now()))
        await asyncio.sleep(0)
        claim.cancel()
        with pytest.raises(asyncio.CancelledError):
            await claim
        async with asyncio.timeout(10):
            while not (claimed := await outbox.claim(1, now=now())):
                pass
        assert name(claimed[0]) == "uuid-1"


async def test_an_event_is_stored_and_the_pusher_woken_although_its_caller_was_cancelled(
    tmp_path: Path,
) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        outbox.kicked.clear()
        putting = asyncio.ensure_future(outbox.put(record()))
        await asyncio.sleep(0)
        putting.cancel()
        async with asyncio.timeout(10):
            await outbox.kicked.wait()
        assert await drain(outbox, now()) == ["uuid-1"]


async def test_recording_subscribing_and_releasing_wake_the_pusher(tmp_path: Path) -> None:
    async with outbox_in(tmp_path) as outbox:
        for step in (
            lambda: outbox.put(record()),
            lambda: outbox.subscribe(SUBSCRIPTION),
            outbox.release,
        ):
            outbox.kicked.clear()
            await step()
            assert outbox.kicked.is_set()


async def test_next_due_tells_when_a_claim_finds_something(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        assert await outbox.claim(1, now=now()) == []
        assert outbox.next_due() is None
        await put_many(outbox, 2)
        assert outbox.next_due() == 0.0
        (first,) = await outbox.claim(1, now=now())
        assert outbox.next_due() == 0.0
        await outbox.claim(2, now=now())
        assert outbox.next_due() is None
        await outbox.settle([(first.id, RetryAt(now() + 5, reason="HTTP 503"))])
        assert outbox.next_due() == now() + 5
        assert await outbox.claim(2, now=now()) == []
        assert outbox.next_due() == now() + 5
        now.at += 5
        assert [event.id for event in await outbox.claim(2, now=now())] == [first.id]


async def test_the_ledger_adds_up_through_every_fate(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=5, history_events=2) as outbox:
        await put_many(outbox, 7)
        claimed = await outbox.claim(4, now=now())
        await settle_all(outbox, claimed[:2])
        await outbox.settle([(claimed[2].id, DeadLetter("code 500")), (claimed[3].id, RetryAt(now() + 60))])
        status = await outbox.status()
        assert (status.accepted, status.delivered, status.pending, status.dead, status.dropped) == (
            7,
            2,
            2,
            1,
            2,
        )
        await assert_the_ledger_adds_up(outbox)


async def test_the_status_shows_age_bytes_and_the_last_error(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await outbox.put(record(image=JPEG))
        now.at += 30
        await outbox.put(alarm())
        claimed = await outbox.claim(1, now=now())
        await settle_all(outbox, claimed, RetryAt(now() + 1, reason="connection refused"))
        await outbox.claim(1, now=now())
        now.at += 60
        status = await outbox.status()
    assert status.oldest_pending_s == 90.0
    assert status.bytes > len(JPEG)
    assert status.file_bytes > status.bytes
    assert (status.last_error, status.last_error_at) == ("connection refused", now() - 60)
    assert status.last_success_at is None
    assert (status.pending_records, status.pending_alarms, status.in_flight) == (1, 1, 1)
    assert (status.capacity, status.storage_error, status.subscription) == (50_000, None, SUBSCRIPTION)


async def test_settling_what_is_not_pending_changes_nothing(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await outbox.put(record())
        await drain(outbox, now())
        await outbox.settle([(1, Done()), (1, DeadLetter("late")), (99, Done())])
        assert (await outbox.status()).delivered == 1
        await assert_the_ledger_adds_up(outbox)


async def test_an_event_that_is_none_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    async with outbox_in(tmp_path) as outbox:
        with pytest.raises(EncodeError, match="recognizeScore"):
            await outbox.put(Record(uuid="u", score=float("nan")))
        assert (await outbox.status()).accepted == 0


async def test_a_second_process_cannot_open_it(tmp_path: Path) -> None:
    async with outbox_in(tmp_path):
        with pytest.raises(OutboxInUse, match="another process"):
            await Outbox.open(tmp_path / "outbox")
    async with outbox_in(tmp_path) as outbox:
        assert (await outbox.status()).accepted == 0


async def test_close_is_idempotent_and_finishes_what_was_begun(tmp_path: Path) -> None:
    async with outbox_in(tmp_path) as outbox:
        putting = asyncio.gather(*(outbox.put(record(number)) for number in range(100)))
        await asyncio.sleep(0)
        await outbox.close()
        assert sorted(await putting) == list(range(1, 101))
        await outbox.close()
        with pytest.raises(OutboxUnavailable, match="closed"):
            await outbox.put(record())
        with pytest.raises(OutboxUnavailable, match="closed"):
            await outbox.status()


async def test_an_export_is_one_push_body_a_line_oldest_first(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 150, image=JPEG)
        await settle_all(outbox, await outbox.claim(1, now=now()))
        await settle_all(outbox, await outbox.claim(1, now=now()), DeadLetter("no"))
        lines = [line async for line in outbox.export()]
        delivered = [line async for line in outbox.export([State.DELIVERED])]
    events = [decode(line).event for line in lines]
    assert [event.uuid for event in events if isinstance(event, Record)] == [
        f"uuid-{n}" for n in range(2, 151)
    ]
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    assert [decode(line).event for line in delivered] == [record(1, image=JPEG)]


@pytest.mark.parametrize(("serials", "refused"), [(("SN1",), True), (("OTHER", "SN1"), False), ((), False)])
async def test_a_folder_that_does_not_say_whose_it_is_belongs_to_the_terminal_of_its_records(
    tmp_path: Path, serials: tuple[str, ...], refused: bool
) -> None:
    async with outbox_in(tmp_path) as outbox:
        for number, serial in enumerate(serials):
            await outbox.put(msgspec.structs.replace(record(number, image=JPEG), serial=serial))
        await outbox.put(alarm())
    path = tmp_path / "outbox"
    if refused:
        with pytest.raises(OutboxOfAnotherTerminal, match="belongs to terminal SN1"):
            await Outbox.open(path, serial="OTHER")
    for serial in ("SN1",) if refused else ("OTHER", "OTHER"):
        await (await Outbox.open(path, serial=serial)).close()
    with pytest.raises(OutboxOfAnotherTerminal):
        await Outbox.open(path, serial="THIRD")
