"""The live stream's hub, on a feed that is a list."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from gatepost.errors import StoreUnavailable
from gatepost.receiver.live_stream import BATCH, Crowded, Live, Told, event_block, place_block
from gatepost.store.terminals.terminal_labels import TerminalLabel

TERMINAL = TerminalLabel(
    id=1,
    serial="SN-1",
    anonymous_peer=None,
    name=None,
    site_id=1,
    site="Site",
    timezone="UTC",
    state="approved",
)


class Feed:
    """What the store's feed is: ids in order, some of which (of held terminals) are passed over."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.held: set[int] = set()
        self.readings: list[int] = []
        self.trouble: Exception | None = None
        self.refused = threading.Event()

    def put(self, *ids: int, held: bool = False) -> None:
        self.ids += ids
        self.held |= set(ids) if held else set()

    def read(self, after: int, limit: int) -> tuple[list[Told], int]:
        self.readings.append(after)
        if self.trouble is not None:
            self.refused.set()
            raise self.trouble
        found = [number for number in self.ids if number > after][:limit]
        told = [
            Told(
                n,
                "record",
                replace(TERMINAL, serial=f"SN-{n % 3}"),
                event_block(n, "record", b"{}"),
                event_block(n, "record", b'{"original":""}'),
                event_block(n, "record", b'{"bare":true}'),
            )
            for n in found
            if n not in self.held
        ]
        return told, found[-1] if found else after

    def end(self) -> int:
        return self.ids[-1] if self.ids else 0


@pytest.fixture
def feed() -> Feed:
    return Feed()


@asynccontextmanager
async def running(feed: Feed, **options: Any) -> AsyncIterator[Live]:
    """A hub that reads when it is woken."""
    live = Live(feed.read, feed.end, **{"poll_s": 60.0, "gather_s": 0.0, **options})
    task = asyncio.create_task(live.run())
    try:
        yield live
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def ids(piece: bytes) -> list[int]:
    """The events of a piece."""
    blocks = piece.decode().split("\n\n")
    return [int(block.split("\n")[0].removeprefix("id: ")) for block in blocks if "event:" in block]


def place(piece: bytes) -> int:
    """The ``Last-Event-ID`` that a client has after a piece."""
    return int([line for line in piece.decode().split("\n") if line.startswith("id: ")][-1][4:])


async def until(stream: AsyncIterator[bytes], last: int) -> list[int]:
    """Every event up to one."""
    found: list[int] = []
    async with asyncio.timeout(20):
        while not found or found[-1] < last:
            found += ids(await anext(stream))
    return found


async def begun(stream: AsyncIterator[bytes]) -> int:
    """The place at which a stream begins."""
    return place(await anext(stream))


async def test_everyone_is_told_what_arrives_in_order_and_it_is_read_once(feed: Feed) -> None:
    feed.put(1, 2)
    async with running(feed) as live:
        streams = [live.listen() for _ in range(20)]
        assert [await begun(stream) for stream in streams] == [2] * 20
        feed.put(3, 5)
        live.wake()
        assert [await until(stream, 5) for stream in streams] == [[3, 5]] * 20
        assert feed.readings.count(2) == 1


async def test_nothing_is_read_while_nobody_listens(feed: Feed) -> None:
    async with running(feed) as live:
        feed.put(1)
        live.wake()
        assert not await live.once()
        stream = live.listen()
        await begun(stream)
        await stream.aclose()
        feed.put(2)
        assert not await live.once()
        assert feed.readings == []
        assert live.listeners == 0


async def test_whoever_comes_after_a_pause_begins_with_what_arrives_then(feed: Feed) -> None:
    async with running(feed) as live:
        stream = live.listen()
        await begun(stream)
        await stream.aclose()
        feed.put(1, 2, 3)
        stream = live.listen()
        assert await begun(stream) == 3
        feed.put(4)
        live.wake()
        assert await until(stream, 4) == [4]


@pytest.mark.parametrize("window", [1, 7, 4096])
async def test_from_any_place_it_goes_on_without_a_gap_or_a_repeat(feed: Feed, window: int) -> None:
    everything = sorted(random.Random(1).sample(range(1, 2000), 3 * BATCH))
    feed.put(*everything[:-5])
    async with running(feed, window_events=window) as live:
        watching = live.listen()
        await begun(watching)
        feed.put(*everything[-5:])
        live.wake()
        for after in [0, everything[0], everything[BATCH - 1], 777, everything[-7], everything[-4]]:
            stream = live.listen(after)
            assert await begun(stream) == after
            assert await until(stream, everything[-1]) == [n for n in everything if n > after]
            await stream.aclose()


async def test_one_that_comes_and_goes_while_events_arrive_sees_each_exactly_once(feed: Feed) -> None:
    rand = random.Random(2)
    async with running(feed, window_events=20) as live:
        watching = live.listen()
        await begun(watching)
        found: list[int] = []
        after, number = 0, 0

        async def drain() -> None:
            while True:
                await anext(watching)

        background = asyncio.create_task(drain())
        while number < 3000 or after < number:
            stream = live.listen(after)
            await begun(stream)
            for _ in range(rand.randrange(4)):
                if number < 3000:
                    burst = rand.randrange(1, 40)
                    feed.put(*range(number + 1, number + burst + 1))
                    number += burst
                    live.wake()
                if after < number:
                    async with asyncio.timeout(20):
                        piece = await anext(stream, b"")  # cut off is one way to go
                    found += ids(piece)
                    after = place(piece) if piece else after
            await stream.aclose()
        background.cancel()
        assert found == list(range(1, number + 1))


async def test_a_slow_one_is_cut_off_and_misses_nothing_when_it_comes_back(feed: Feed) -> None:
    async with running(feed, window_events=10) as live:
        slow, quick = live.listen(), live.listen()
        await begun(slow)
        await begun(quick)
        feed.put(1)
        live.wake()
        assert await until(slow, 1) == [1]
        for number in range(2, 41):
            feed.put(number)
            live.wake()
            await until(quick, number)
        assert [piece async for piece in slow] == []
        assert live.cut_off == 1
        assert live.listeners == 1
        again = live.listen(1)
        await begun(again)
        assert await until(again, 40) == list(range(2, 41))


async def test_the_window_is_bounded_in_bytes_too(feed: Feed) -> None:
    async with running(feed, window_bytes=200) as live:
        slow, quick = live.listen(), live.listen()
        await begun(slow)
        await begun(quick)
        feed.put(1)
        live.wake()
        assert await until(slow, 1) == [1]
        for number in range(2, 21):
            feed.put(number)
            live.wake()
            await until(quick, number)
        assert [piece async for piece in slow] == []


async def test_only_what_is_wanted_is_told_and_the_place_moves_on(feed: Feed) -> None:
    feed.put(1, 2, 3, 4)
    async with running(feed, heartbeat_s=0.01) as live:
        stream = live.listen(0, wanted=lambda told: told.terminal.serial == "SN-2")
        await begun(stream)
        assert await until(stream, 2) == [2]
        feed.put(5, 6, 7)
        live.wake()
        assert await until(stream, 5) == [5]
        async with asyncio.timeout(20):
            while place(piece := await anext(stream)) < 7:
                assert ids(piece) == []


async def test_what_is_held_is_passed_over(feed: Feed) -> None:
    feed.put(1)
    feed.put(*range(2, 2 + 3 * BATCH), held=True)
    last = feed.ids[-1]
    async with running(feed) as live:
        watching = live.listen()
        await begun(watching)
        feed.put(*range(last + 1, last + 2 * BATCH), held=True)
        feed.put(last + 2 * BATCH)
        live.wake()
        assert await until(watching, feed.ids[-1]) == [feed.ids[-1]]
        stream = live.listen(0)
        await begun(stream)
        assert await until(stream, feed.ids[-1]) == [1, feed.ids[-1]]


async def test_a_place_that_was_never_reached_counts_as_now(feed: Feed) -> None:
    feed.put(1, 2)
    async with running(feed) as live:
        stream = live.listen(10**15)
        assert await begun(stream) == 2
        feed.put(3)
        live.wake()
        assert await until(stream, 3) == [3]


async def test_a_stream_ends_at_a_heartbeat_once_it_is_no_longer_allowed(feed: Feed) -> None:
    answers = iter([True, True, False])

    async def allowed() -> bool:
        return next(answers)

    async with running(feed, heartbeat_s=0.005) as live:
        stream = live.listen(allowed=allowed)
        await begun(stream)
        async with asyncio.timeout(20):
            assert [piece async for piece in stream] == [place_block(0)] * 2


async def test_a_stream_that_always_has_events_is_asked_all_the_same(feed: Feed) -> None:
    async def allowed() -> bool:
        return False

    async with running(feed, heartbeat_s=0.0) as live:
        stream = live.listen(allowed=allowed)
        await begun(stream)
        feed.put(1)
        live.wake()
        assert [piece async for piece in stream] == []


async def test_a_stream_is_asked_at_once_when_something_was_withdrawn(feed: Feed) -> None:
    answers = iter([True, False])

    async def allowed() -> bool:
        return next(answers)

    async with running(feed, heartbeat_s=3600.0) as live:
        stream = live.listen(allowed=allowed)
        await begun(stream)
        waiting = asyncio.ensure_future(anext(stream))
        live.ask_again()
        async with asyncio.timeout(20):
            assert await waiting == place_block(0)
            live.ask_again()
            assert [piece async for piece in stream] == []


async def test_a_stream_that_catches_up_is_asked_too(feed: Feed) -> None:
    feed.put(*range(1, 5 * BATCH))

    async def allowed() -> bool:
        return False

    async with running(feed, heartbeat_s=3600.0) as live:
        stream = live.listen(0, allowed=allowed)
        await begun(stream)
        live.ask_again()
        assert [piece async for piece in stream] == []


async def test_there_are_only_so_many_listeners(feed: Feed) -> None:
    async with running(feed, max_listeners=2) as live:
        streams = [live.listen(), live.listen()]
        for stream in streams:
            await begun(stream)
        with pytest.raises(Crowded, match="2 streams"):
            await anext(live.listen())
        await streams[0].aclose()
        assert await begun(live.listen()) == 0


async def test_a_stop_ends_every_stream_and_begins_no_other(feed: Feed) -> None:
    async with running(feed) as live:
        stream = live.listen()
        await begun(stream)
        waiting = asyncio.ensure_future(anext(stream, None))
        live.close()
        live.close()
        assert await asyncio.wait_for(waiting, 20) is None
        with pytest.raises(Crowded):
            await anext(live.listen())


async def test_what_is_forgotten_is_told_by_the_store_or_not_at_all(feed: Feed) -> None:
    async with running(feed) as live:
        stream, quick = live.listen(), live.listen()
        await begun(stream)
        await begun(quick)
        feed.put(1)
        live.wake()
        assert await until(stream, 1) == [1]
        feed.put(2, 3)
        live.wake()
        await until(quick, 3)
        live.forget()
        feed.ids.remove(2)
        assert [piece async for piece in stream] == []
        again = live.listen(1)
        await begun(again)
        assert await until(again, 3) == [3]


async def test_whoever_listens_is_sent_something_so_that_what_was_sent_last_is_let_go_of(feed: Feed) -> None:
    async with running(feed) as live:
        stream = live.listen()
        await begun(stream)
        feed.put(1)
        live.wake()
        assert await until(stream, 1) == [1]
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        live.forget()
        assert await asyncio.wait_for(waiting, 20) == b": alive\nid: 1\n\n"


async def test_it_goes_on_when_the_store_is_back(feed: Feed) -> None:
    async with running(feed, poll_s=0.01) as live:
        stream = live.listen()
        await begun(stream)
        feed.trouble = StoreUnavailable("away")
        feed.put(1)
        live.wake()
        await asyncio.wait_for(asyncio.to_thread(feed.refused.wait), 20)
        feed.trouble = None
        assert await until(stream, 1) == [1]


async def test_what_nobody_wakes_it_for_is_found_by_asking(feed: Feed) -> None:
    async with running(feed, poll_s=0.01) as live:
        stream = live.listen()
        await begun(stream)
        feed.put(1)
        assert await until(stream, 1) == [1]
