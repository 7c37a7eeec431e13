"""The judge's destination knows what it took, and fails as it is told."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from msgspec.json import encode

from gatepost.torture.fault_plan import Kind
from gatepost.torture.system.destination import (
    ACCEPTED_SINCE,
    LOST_REPLIES,
    MAX_REFUSALS,
    Destination,
    is_refused,
)

GOODS = [name for name in (f"g-{number}" for number in range(40)) if not is_refused(name)][:ACCEPTED_SINCE]
GOOD, POISON = "u-0", next(name for name in (f"u-{number}" for number in range(10_000)) if is_refused(name))


@pytest.fixture
async def destination() -> AsyncIterator[Destination]:
    made = Destination()
    await made.open()
    yield made
    await made.close()


async def send(destination: Destination, name: str, event_id: str = "record-1", **more: Any) -> int:
    event = {"id": event_id, "data": {"uuid": name}, **more}
    async with (
        aiohttp.ClientSession() as session,
        session.post(destination.url, data=encode(event)) as reply,
    ):
        return reply.status


async def test_what_is_taken_is_known_by_name_and_id(destination: Destination) -> None:
    assert [await send(destination, GOOD), await send(destination, GOOD, "record-2")] == [204, 204]
    assert destination.taken == {GOOD: 2}
    assert destination.ids == {GOOD: {"record-1", "record-2"}}


async def test_some_events_are_refused_always(destination: Destination) -> None:
    assert await send(destination, POISON) == 422
    assert destination.taken == {}
    assert 0 < sum(is_refused(f"u-{number}") for number in range(2_000)) < 100


async def test_an_event_is_overdue_that_is_sent_again_although_others_of_its_kind_were_taken(
    destination: Destination,
) -> None:
    for _ in range(MAX_REFUSALS + LOST_REPLIES + 1):
        await send(destination, POISON)
    assert destination.overdue == []  # none was taken since
    destination.expect_dead_letters()
    await send(destination, POISON)
    for number in range(ACCEPTED_SINCE):
        await send(destination, f"trace/{number}")  # alarms say nothing of records
    for _ in range(MAX_REFUSALS + LOST_REPLIES):
        await send(destination, POISON)
    assert destination.overdue == []
    destination.expect_dead_letters()
    await send(destination, POISON)
    for name in GOODS:
        await send(destination, name)
    for _ in range(MAX_REFUSALS - 1 + LOST_REPLIES):
        await send(destination, POISON)
    assert destination.overdue == []
    await send(destination, POISON)
    assert destination.overdue == [POISON]


async def test_at_the_end_of_a_run_those_are_taken_as_well(destination: Destination) -> None:
    destination.refuses = False
    assert await send(destination, POISON) == 204
    assert destination.taken == {POISON: 1}


@pytest.mark.parametrize(("kind", "status"), [(Kind.DESTINATION_BUSY, 503), (Kind.DESTINATION_FAILS, 500)])
async def test_one_that_is_broken_takes_nothing_until_it_is_healed(
    destination: Destination, kind: Kind, status: int
) -> None:
    await destination.break_(kind)
    assert await send(destination, GOOD) == status
    await destination.heal()
    assert await send(destination, GOOD) == 204
    assert destination.taken == {GOOD: 1}
    assert destination.met == {f"met {kind}": 1}


async def test_a_lost_reply_comes_after_the_event_was_taken(destination: Destination) -> None:
    await destination.break_(Kind.DESTINATION_LOSES_REPLY)
    with pytest.raises(aiohttp.ClientError):
        await send(destination, GOOD)
    assert destination.taken == {GOOD: 1}


async def test_one_that_refuses_connections_listens_at_the_same_port_afterwards(
    destination: Destination,
) -> None:
    before = destination.url
    await destination.break_(Kind.DESTINATION_REFUSE)
    with pytest.raises(aiohttp.ClientConnectionError):
        await send(destination, GOOD)
    await destination.heal()
    assert destination.url == before
    assert await send(destination, GOOD) == 204


async def test_what_is_no_event_is_a_defect(destination: Destination) -> None:
    async with aiohttp.ClientSession() as session, session.post(destination.url, data=b"[]") as reply:
        assert reply.status == 422
    assert destination.defects
