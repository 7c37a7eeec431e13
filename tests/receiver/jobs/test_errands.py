"""Short questions to the store are asked in order, in one thread, and none waits longer than it must."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.receiver.kit import Clock, until

from gatepost.errors import StoreInUse, StoreUnavailable
from gatepost.receiver.jobs.errands import Errands
from gatepost.store import deadlines


class Gate:
    """An errand that is held up."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.open.wait(20)
        return "through"


@pytest.fixture
async def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
async def errands(clock: Clock) -> AsyncIterator[Errands]:
    made = Errands(monotonic=clock)
    yield made
    made.give_up()


def calls(errands: Errands, *given: Callable[[], Any]) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(errands.call(each)) for each in given]


async def outcomes(tasks: list[asyncio.Task[Any]]) -> list[str]:
    return [str(each) for each in await asyncio.gather(*tasks, return_exceptions=True)]


async def test_errands_are_done_in_order_in_a_thread_of_their_own_that_is_in_a_hurry(
    errands: Errands,
) -> None:
    done: list[int] = []
    await asyncio.gather(
        *calls(errands, *[lambda number=number: done.append(number) for number in range(20)])
    )
    assert done == list(range(20))
    threads = await asyncio.gather(*calls(errands, threading.current_thread, threading.current_thread))
    assert {thread.name for thread in threads} == {"gatepost-errands"}
    assert await errands.call(deadlines.in_hurry)


async def test_the_loop_goes_on_while_an_errand_waits_for_the_store(errands: Errands) -> None:
    gate = Gate()
    (task,) = calls(errands, gate)
    await until(gate.entered.is_set)
    assert not task.done()
    gate.open.set()
    assert await task == "through"


async def test_what_an_errand_raises_is_raised_and_the_next_one_is_done(errands: Errands) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a defect")

    assert await outcomes(calls(errands, broken, lambda: "done")) == ["a defect", "done"]


@pytest.mark.parametrize("takes_s", [0.5, 5.0])
async def test_where_it_took_long_to_find_out_that_the_store_is_away_all_who_wait_are_told(
    errands: Errands, clock: Clock, takes_s: float
) -> None:
    gate = Gate()
    asked: list[str] = []

    def silent() -> None:
        gate()
        clock.at += takes_s
        raise StoreUnavailable("the server is silent")

    def asks() -> str:
        asked.append("asked")
        return "done"

    tasks = calls(errands, silent, asks, asks)
    await until(gate.entered.is_set)
    gate.open.set()
    told = "the server is silent" if takes_s > 1 else "done"
    assert await outcomes(tasks) == ["the server is silent", told, told]
    assert len(asked) == (0 if takes_s > 1 else 2)
    # It is asked again for who comes later.
    clock.at += 0.001
    assert await errands.call(asks) == "done"


async def test_an_error_that_is_not_the_stores_absence_is_told_to_its_own_caller_alone(
    errands: Errands, clock: Clock
) -> None:
    def slow() -> None:
        clock.at += 5.0
        raise StoreInUse("another process has it")

    assert await outcomes(calls(errands, slow, lambda: "done")) == ["another process has it", "done"]


async def test_everyone_who_waits_is_told_at_a_stop_and_nothing_more_is_taken(errands: Errands) -> None:
    gate = Gate()
    done: list[str] = []
    tasks = calls(errands, gate, lambda: done.append("never"))
    await until(gate.entered.is_set)
    errands.give_up()
    errands.give_up()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in told] == [StoreUnavailable] * 2
    assert {str(each) for each in told} == {"the receiver was stopped; try again later"}
    with pytest.raises(StoreUnavailable, match="stopping"):
        await errands.call(lambda: "too late")
    gate.open.set()
    await until(lambda: not errands._thread.is_alive())
    assert done == [], "what none waits for any more is not begun after a stop"


async def test_a_wait_that_is_cancelled_does_no_harm(errands: Errands) -> None:
    gate = Gate()
    first, second = calls(errands, gate, lambda: "done")
    await until(gate.entered.is_set)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.open.set()
    assert await second == "done"


async def test_nothing_is_kept_of_who_was_told(errands: Errands) -> None:
    await asyncio.gather(*calls(errands, *[lambda: "done"] * 10))
    assert not errands._waiting


def test_a_loop_that_is_closed_meanwhile_is_noted() -> None:
    gate = Gate()

    async def leave() -> Errands:
        made = Errands()
        calls(made, gate)
        await until(gate.entered.is_set)
        return made

    errands = asyncio.run(leave())
    with capture_logs() as logs:
        errands._given.put(None)
        gate.open.set()
        errands._thread.join(20)
    assert [log["event"] for log in logs] == ["errands.loop_closed"]
