"""Windows are stored in their order while the next ones are fetched, several at once where storing is slower."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from gatepost.errors import StoreUnavailable
from gatepost.fleet.history.records import Window
from gatepost.fleet.history.storing import MAX_READY, Fetched, Storing


class Keeping:
    """What stores windows: it waits where a test wants that."""

    def __init__(self) -> None:
        self.stored: list[list[int]] = []
        self.begun, self.may_go_on = threading.Event(), threading.Event()
        self.goes_on: bool | Exception = True

    def __call__(self, some: Sequence[Fetched]) -> bool:
        self.begun.set()
        assert self.may_go_on.wait(60)
        self.stored.append([one.window.begin_s for one in some])
        if isinstance(self.goes_on, Exception):
            raise self.goes_on
        return self.goes_on


def fetched(second: int, size: int = 1) -> Fetched:
    return Fetched(Window(second, second), [b"x" * size])


async def test_what_is_fetched_while_a_window_is_stored_is_stored_together() -> None:
    keeping = Keeping()
    storing = Storing(keeping)
    assert await storing.add(fetched(0))
    assert await asyncio.to_thread(keeping.begun.wait, 60)
    assert await storing.add(fetched(1))
    waiting = asyncio.create_task(storing.add(fetched(2)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()  # no more wait to be stored than MAX_READY
    keeping.may_go_on.set()
    assert await waiting
    assert await storing.finish()
    assert keeping.stored == [[0], [1, 2]]
    assert MAX_READY == 2


async def test_a_large_window_waits_alone() -> None:
    keeping = Keeping()
    storing = Storing(keeping)
    assert await storing.add(fetched(0))
    assert await asyncio.to_thread(keeping.begun.wait, 60)
    waiting = asyncio.create_task(storing.add(fetched(1, 5 * 1024 * 1024)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    keeping.may_go_on.set()
    assert await waiting
    assert await storing.finish()
    assert keeping.stored == [[0], [1]]


async def test_after_a_window_that_is_not_to_be_stored_none_is() -> None:
    keeping = Keeping()
    keeping.goes_on = False
    storing = Storing(keeping)
    assert await storing.add(fetched(0))
    assert await storing.add(fetched(1))
    keeping.may_go_on.set()
    assert not await storing.finish()
    assert not await storing.add(fetched(2))
    await storing.settle()
    assert len(keeping.stored) == 1


async def test_what_storing_raises_is_raised_by_the_next_one() -> None:
    keeping = Keeping()
    keeping.goes_on = StoreUnavailable("away")
    keeping.may_go_on.set()
    storing = Storing(keeping)
    assert await storing.add(fetched(0))
    with pytest.raises(StoreUnavailable, match="away"):
        await storing.finish()
    with pytest.raises(StoreUnavailable, match="away"):
        await storing.add(fetched(1))
    await storing.settle()
    assert keeping.stored == [[0]]


async def test_nothing_added_is_nothing_to_wait_for() -> None:
    storing = Storing(Keeping())
    assert await storing.finish()
    await storing.settle()
