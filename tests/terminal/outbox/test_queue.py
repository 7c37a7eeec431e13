"""Which event goes next, and what becomes of it."""

from pathlib import Path

import pytest
import structlog
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

from gatepost.retry import DeadLetter, RetryAt
from gatepost.wire import Alarm, Record

DAY = 86_400.0


async def test_alarms_go_before_records_and_the_oldest_first_in_each_lane(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 2)
        await outbox.put(alarm("T-1"))
        await outbox.put(record(3))
        await outbox.put(alarm("T-2"))
        claimed = await outbox.claim(4, now=now())
        assert [name(event) for event in claimed] == ["T-1:1", "T-2:1", "uuid-1", "uuid-2"]


async def test_alarms_of_one_trace_leave_strictly_in_order(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        for trace, status in (("T-1", 1), ("T-1", 2), ("T-2", 1), ("T-1", 3)):
            await outbox.put(alarm(trace, status))
        first = await outbox.claim(8, now=now())
        assert [name(event) for event in first] == ["T-1:1", "T-2:1"]
        assert await outbox.claim(8, now=now()) == []
        await settle_all(outbox, first[:1], RetryAt(now() + 10))
        now.at += 5
        assert await outbox.claim(8, now=now()) == []
        now.at += 5
        assert await drain(outbox, now()) == ["T-1:1", "T-1:2", "T-1:3"]


async def test_a_dead_letter_lets_the_next_alarm_of_its_trace_go(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await outbox.put(alarm("T-1", 1))
        await outbox.put(alarm("T-1", 3))
        await settle_all(outbox, await outbox.claim(8, now=now()), DeadLetter("code 500"))
        assert await drain(outbox, now()) == ["T-1:3"]
        await outbox.retry_dead()
        assert await drain(outbox, now()) == ["T-1:1"]


async def test_the_order_within_a_trace_survives_a_restart(tmp_path: Path) -> None:
    now = Clock()
    async with outbox_in(tmp_path, now=now) as outbox:
        for status in (1, 2, 3):
            await outbox.put(alarm("T-1", status))
        await outbox.claim(8, now=now())
    async with outbox_in(tmp_path, now=now) as outbox:
        assert [name(event) for event in await outbox.claim(8, now=now())] == ["T-1:1"]


async def test_an_event_that_waits_holds_up_nobody(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 3)
        await settle_all(
            outbox, await outbox.claim(1, now=now()), RetryAt(now() + 60, refused=True, reason="no")
        )
        assert await drain(outbox, now()) == ["uuid-2", "uuid-3"]
        now.at += 60
        (claimed,) = await outbox.claim(8, now=now())
        assert (name(claimed), claimed.attempts, claimed.refusals) == ("uuid-1", 2, 1)


@pytest.mark.parametrize(
    ("first", "others", "since"),
    [
        pytest.param(
            record(1, image=JPEG),
            [record(2, image=JPEG), record(3), alarm()],
            1,
            id="a record with a picture",
        ),
        pytest.param(record(1), [record(2, image=JPEG), record(3), alarm()], 2, id="a record without"),
        pytest.param(alarm("T-9"), [record(2, image=JPEG), alarm("T-1"), alarm("T-2")], 2, id="an alarm"),
    ],
)
async def test_of_a_refused_event_it_is_known_how_many_of_its_kind_were_delivered_since(
    tmp_path: Path, first: Record | Alarm, others: list[Record | Alarm], since: int
) -> None:
    refused = RetryAt(1.0, refused=True, reason="code 500")
    now = Clock()
    async with outbox_in(tmp_path, now=now) as outbox:
        await put_many(outbox, 3, first=10, image=JPEG)
        await drain(outbox, now())  # before it was refused
        await outbox.put(first)
        (claimed,) = await outbox.claim(1, now=now())
        assert claimed.delivered_since == 0
        await settle_all(outbox, [claimed], refused)
        for event in others:
            await outbox.put(event)
        delivering = [event for event in await outbox.claim(8, now=now()) if event.id != claimed.id]
        await settle_all(outbox, delivering)
    async with outbox_in(tmp_path, now=now) as outbox:
        (again,) = await outbox.claim(8, now=now())
        assert (again.refusals, again.delivered_since) == (1, since)
        await settle_all(outbox, [again], refused)
        (again,) = await outbox.claim(8, now=now())
        assert (again.refusals, again.delivered_since) == (2, since), "since the first refusal, not the last"


async def test_a_refused_event_that_is_dropped_ends_its_kind_of_refusal_in_the_log(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with outbox_in(tmp_path, now=(now := Clock()), capacity=1) as outbox:
            await outbox.put(record(1))
            refused = RetryAt(now() + 60, refused=True, reason="code 500: Zhang Wei")
            await settle_all(outbox, await outbox.claim(1, now=now()), refused)
            await outbox.put(record(2))
    told = [(line["event"], line["reason"]) for line in logs if "reason" in line]
    assert told == [
        ("outbox.refused", "code 500"),
        ("outbox.refusals_ended", "code 500"),
        ("outbox.dropping", "capacity"),
    ]


async def test_an_event_whose_time_has_come_goes_before_younger_ones(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 3)
        await settle_all(outbox, await outbox.claim(1, now=now()), RetryAt(now()))
        assert await drain(outbox, now(), window=1) == ["uuid-1", "uuid-2", "uuid-3"]


async def test_an_event_dropped_in_flight_stays_dropped_when_it_is_settled(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), capacity=1) as outbox:
        await outbox.put(record(1))
        in_flight = await outbox.claim(1, now=now())
        await outbox.put(record(2))
        await settle_all(outbox, in_flight)
        status = await outbox.status()
        assert (status.delivered, status.dropped, status.pending) == (0, 1, 1)
        await assert_the_ledger_adds_up(outbox)


@pytest.mark.parametrize("step", [DAY, -DAY], ids=["a day forward", "a day back"])
async def test_a_clock_that_jumps_strands_nothing(tmp_path: Path, step: float) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 3)
        await settle_all(outbox, await outbox.claim(2, now=now()), RetryAt(now() + 60))
        now.at += step
        assert await drain(outbox, now()) == ["uuid-1", "uuid-2", "uuid-3"]


async def test_a_clock_that_was_set_back_while_the_terminal_was_off_strands_nothing(tmp_path: Path) -> None:
    now = Clock()
    async with outbox_in(tmp_path, now=now) as outbox:
        await outbox.put(record())
        await settle_all(outbox, await outbox.claim(1, now=now()), RetryAt(now() + 60))
    now.at -= DAY
    async with outbox_in(tmp_path, now=now) as outbox:
        assert await drain(outbox, now()) == ["uuid-1"]


async def test_a_clock_set_back_leaves_later_waits_as_they_are(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 1)
        await settle_all(outbox, await outbox.claim(1, now=now()), RetryAt(now() + 60))
        now.at -= DAY
        await settle_all(outbox, await outbox.claim(1, now=now()), RetryAt(now() + 60))
        now.at += 30
        assert await outbox.claim(1, now=now()) == []


async def test_when_somebody_subscribes_again_nothing_waits_any_longer_but_alarms_keep_their_order(
    tmp_path: Path,
) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        for status in (1, 2):
            await outbox.put(alarm("T-1", status))
        await outbox.put(record(1))
        await settle_all(outbox, await outbox.claim(8, now=now()), RetryAt(now() + 60, refused=True))
        await outbox.subscribe(SUBSCRIPTION)
        assert [name(event) for event in await outbox.claim(8, now=now())] == ["T-1:1", "uuid-1"]


async def test_a_backlog_of_thousands_that_waits_does_not_hide_what_is_due(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 1000)
        for _ in range(4):
            await settle_all(outbox, await outbox.claim(250, now=now()), RetryAt(now() + 60, refused=True))
        await outbox.put(record(1001))
        assert await drain(outbox, now()) == ["uuid-1001"]
