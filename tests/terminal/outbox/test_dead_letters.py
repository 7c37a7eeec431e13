"""Dead letters: kept, listed, taken up again, given up."""

from pathlib import Path

import pytest
import structlog
from tests.terminal.outbox_kit import (
    SUBSCRIPTION,
    Clock,
    assert_the_ledger_adds_up,
    drain,
    outbox_in,
    put_many,
    record,
    settle_all,
)

from gatepost.retry import DeadLetter, RetryAt
from gatepost.terminal.outbox import retention
from gatepost.terminal.outbox.outbox import Outbox, State
from gatepost.wire import Subscription

REFUSED = RetryAt(1.0, refused=True, reason="code 500: no")


async def bury(outbox: Outbox, count: int, now: float) -> None:
    await put_many(outbox, count)
    await settle_all(outbox, await outbox.claim(count, now=now), DeadLetter("code 500: no"))


async def test_a_dead_letter_is_listed_with_its_reason_and_history(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await bury(outbox, 1, now())
        (letter,) = await outbox.dead_letters()
    assert (letter.id, letter.state, letter.reason) == (1, State.DEAD, "code 500: no")
    assert (letter.attempts, letter.refusals, letter.settled_at) == (1, 1, now())


async def test_dead_letters_are_listed_in_pages(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await bury(outbox, 5, now())
        assert [letter.id for letter in await outbox.dead_letters(2)] == [1, 2]
        assert [letter.id for letter in await outbox.dead_letters(2, after=2)] == [3, 4]


async def test_a_dead_letter_is_never_claimed(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await bury(outbox, 1, now())
        now.at += 10**6
        assert await outbox.claim(8, now=now()) == []


async def test_taken_up_again_it_is_as_if_it_had_never_been_refused(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await bury(outbox, 3, now())
        outbox.kicked.clear()
        assert await outbox.retry_dead([2, 2, 99]) == [2]
        assert outbox.kicked.is_set()
        (claimed,) = await outbox.claim(8, now=now())
        assert (claimed.id, claimed.refusals, claimed.attempts) == (2, 0, 2)
        await assert_the_ledger_adds_up(outbox)
        assert await outbox.retry_dead() == [1, 3]
        assert await drain(outbox, now()) == ["uuid-1", "uuid-3"]


@pytest.mark.parametrize(
    "changes", ["http://127.0.0.1:9/other", "http://127.0.0.1:10/Record", "http://b/Record"]
)
async def test_another_host_or_path_takes_them_all_up(tmp_path: Path, changes: str) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await bury(outbox, 1_200, now())
        await outbox.put(record(1_201))
        with structlog.testing.capture_logs() as logs:
            await outbox.subscribe(Subscription(changes, enabled=True))
        assert [(line["event"], line["count"], line["left"]) for line in logs] == [
            ("outbox.dead_letters_taken_up", 1_200, 0)
        ]
        assert len(await drain(outbox, now(), window=256)) == 1_201
        await assert_the_ledger_adds_up(outbox)


async def test_another_address_takes_up_the_oldest_within_the_capacity(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=4) as outbox:
        await bury(outbox, 4, now())
        await put_many(outbox, 2, first=5)
        await outbox.subscribe(Subscription("http://b/Record", enabled=True))
        assert [letter.id for letter in await outbox.dead_letters()] == [3, 4]
        status = await outbox.status()
        assert (status.pending, status.dead, status.dropped) == (4, 2, 0)
        await assert_the_ledger_adds_up(outbox)


async def test_the_same_receiver_takes_up_none_however_its_address_is_posted_again(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await bury(outbox, 2, now())
        for dest, enabled in (
            (SUBSCRIPTION.event_dest, True),
            (SUBSCRIPTION.event_dest, False),
            ("HTTP://127.0.0.1:9/Record", True),
            ("", False),
            (SUBSCRIPTION.event_dest, True),
        ):
            await outbox.subscribe(Subscription(dest, enabled))
            assert (await outbox.status()).dead == 2
        await outbox.subscribe(Subscription("", enabled=False))
    async with outbox_in(tmp_path, now=now) as outbox:
        await outbox.subscribe(Subscription("http://b/Record", enabled=True))
        assert (await outbox.status()).dead == 0, "however long there was no address in between"


async def test_another_receiver_has_refused_nothing_yet(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 1)
        await settle_all(outbox, await outbox.claim(1, now=now()), REFUSED)
        with structlog.testing.capture_logs() as logs:
            await outbox.subscribe(Subscription("http://b/Record", enabled=True))
        assert [line["event"] for line in logs] == ["outbox.refusals_ended"]
        await put_many(outbox, 3, first=2)
        first, *others = await outbox.claim(4, now=now())
        assert (first.refusals, first.delivered_since) == (0, 0)
        await settle_all(outbox, others)
        await settle_all(outbox, [first], REFUSED)
        now.at += 60
        (again,) = await outbox.claim(1, now=now())
        assert (again.refusals, again.delivered_since) == (1, 0)


async def test_only_as_many_are_taken_up_as_there_is_room_for(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=3) as outbox:
        await bury(outbox, 3, now())
        await put_many(outbox, 2, first=4)
        assert await outbox.retry_dead() == [1]
        assert await outbox.retry_dead() == []
        await assert_the_ledger_adds_up(outbox)


async def test_given_up_it_counts_as_dropped_with_its_reason(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await bury(outbox, 3, now())
        assert await outbox.discard_dead([2]) == [2]
        assert await outbox.discard_dead() == [1, 3]
        status = await outbox.status()
        assert (status.dead, status.dropped, status.bytes) == (0, 3, 0)
        assert [(drop.reason, drop.count, drop.first_id, drop.last_id) for drop in status.drops] == [
            ("discarded", 3, 1, 3)
        ]
        await assert_the_ledger_adds_up(outbox)


async def test_dead_letters_take_no_room_from_what_waits(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=2) as outbox:
        await bury(outbox, 2, now())
        await put_many(outbox, 2, first=3)
        status = await outbox.status()
        assert (status.dead, status.pending, status.dropped) == (2, 2, 0)


async def test_of_too_many_the_oldest_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MAX_DEAD", 3)
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await bury(outbox, 5, now())
        assert [letter.id for letter in await outbox.dead_letters()] == [3, 4, 5]
        assert (await outbox.status()).drops[0].reason == "dead-letters"
        await assert_the_ledger_adds_up(outbox)


async def test_one_that_was_retried_and_delivered_and_is_gone_counts_as_delivered_after_a_start(
    tmp_path: Path,
) -> None:
    now, settings = Clock(), {"history_events": 0, "capacity_bytes": 1_000_000}
    async with outbox_in(tmp_path, now=now, **settings) as outbox:
        await put_many(outbox, 1)
        await settle_all(outbox, await outbox.claim(1, now=now()), DeadLetter("code 500"))
    async with outbox_in(tmp_path, now=now, **settings) as outbox:  # its checkpoint has the dead letter
        assert await outbox.retry_dead() == [1]
        await put_many(outbox, 30, first=10, image=bytes(9000))
        assert len(await drain(outbox, now())) == 31
    async with outbox_in(tmp_path, now=now, **settings) as outbox:
        status = await outbox.status()
        assert (status.accepted, status.delivered, status.dead, status.dropped) == (31, 31, 0, 0)
