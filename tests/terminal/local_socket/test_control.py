import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from gatepost import wire
from gatepost.errors import DecodeError, OutboxInUse
from gatepost.retry import DeadLetter
from gatepost.terminal.local_socket.control import (
    BadCommand,
    NoOutbox,
    commands,
    outbox_folder,
    run_stopped,
)
from gatepost.terminal.outbox.outbox import Outbox

ADDRESS = "http://192.0.2.1/Record"


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    outbox = await Outbox.open(tmp_path / "outbox")
    await outbox.subscribe(wire.Subscription(ADDRESS, enabled=True))
    yield outbox
    await outbox.close()


async def kill(outbox: Outbox, count: int) -> list[int]:
    """Put events in and make dead letters of them."""
    for number in range(count):
        await outbox.put(wire.Record(uuid=str(number)))
    claimed = await outbox.claim(count, now=1e10)
    await outbox.settle([(event.id, DeadLetter("code 500")) for event in claimed])
    return [event.id for event in claimed]


async def ask(outbox: Outbox, question: str, **fields: object) -> object:
    async def status() -> Mapping[str, object]:
        return {"pending": 3}

    return await commands(outbox, status)[question](fields)


async def test_the_status_is_the_one_that_was_given(outbox: Outbox) -> None:
    assert await ask(outbox, "status") == {"pending": 3}


async def test_subscribing_stores_the_address(outbox: Outbox) -> None:
    await ask(outbox, "subscribe", event_dest="https://192.0.2.2/x", enabled=False)
    assert await ask(outbox, "subscription") == wire.Subscription("https://192.0.2.2/x", enabled=False)


async def test_a_bad_subscription_is_named_and_changes_nothing(outbox: Outbox) -> None:
    with pytest.raises(DecodeError) as wrong:
        await ask(outbox, "subscribe", event_dest="ftp://h/", enabled=True)
    assert wrong.value.where == "event_dest"
    assert await ask(outbox, "subscription") == wire.Subscription(ADDRESS, enabled=True)


async def test_chosen_dead_letters_are_pending_again(outbox: Outbox) -> None:
    ids = await kill(outbox, 3)
    assert await ask(outbox, "retry", ids=ids[:2]) == {"retried": 2}
    status = await outbox.status()
    assert (status.pending, status.dead) == (2, 1)


async def test_all_dead_letters_is_more_than_one_step(outbox: Outbox) -> None:
    await kill(outbox, 1_100)
    assert await ask(outbox, "retry", ids=None) == {"retried": 1_100}
    assert (await outbox.status()).dead == 0


async def test_discarded_ones_count_as_dropped(outbox: Outbox) -> None:
    await kill(outbox, 2)
    assert await ask(outbox, "discard", ids=None) == {"discarded": 2}
    status = await outbox.status()
    assert (status.dropped, status.dead, status.accepted) == (2, 0, 2)


@pytest.mark.parametrize("ids", ["1", [True], [1.5], {"a": 1}])
async def test_ids_are_numbers(outbox: Outbox, ids: object) -> None:
    with pytest.raises(BadCommand, match="ids"):
        await ask(outbox, "retry", ids=ids)


async def test_a_running_terminal_that_does_not_answer_is_named(outbox: Outbox, tmp_path: Path) -> None:
    with pytest.raises(OutboxInUse):
        await asyncio.to_thread(run_stopped, tmp_path, "status", {})


async def test_a_stopped_terminal_answers_from_its_outbox(outbox: Outbox, tmp_path: Path) -> None:
    await kill(outbox, 1)
    await outbox.close()
    found = await asyncio.to_thread(run_stopped, tmp_path, "status", {})
    assert (found["accepted"], found["dead"], found["running"]) == (1, 1, False)


def test_a_folder_without_an_outbox_is_named_and_left_empty(tmp_path: Path) -> None:
    with pytest.raises(NoOutbox, match=str(tmp_path)):
        run_stopped(tmp_path, "status", {})
    with pytest.raises(NoOutbox):
        outbox_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
