import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.receiver.kit import opened, until

from gatepost.errors import StoreError, StoreUnavailable
from gatepost.receiver import committer as module
from gatepost.receiver.committer import Committer
from gatepost.store.store import Arrival, RecordQuery, Stored
from gatepost.wire import Record, digest


class Gate:
    """A real store whose writing can be held up, counted, and made to fail."""

    begins_ahead = False

    def __init__(self, folder: Path, *, begins: bool = True) -> None:
        """``begins``: whether a batch can be begun on the loop."""
        self.begins = begins
        self.store = opened(folder)
        self.terminal_id = self.store.ensure_terminal("SN-1", now_ms=0).id
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.batches: list[int] = []
        self.taken: list[int] = []
        """Batches that were begun."""
        self.fails: Callable[[Sequence[Arrival]], Exception | None] = lambda batch: None

    def begin(self, batch: Sequence[Arrival]) -> Callable[[], list[Stored]] | None:
        commit = self.store.begin(batch) if self.begins and self.fails(batch) is None else None
        if commit is None:
            return None
        self.taken.append(len(batch))

        def held_up() -> list[Stored]:
            self.entered.set()
            assert self.open.wait(20)
            self.batches.append(len(batch))
            return commit()

        return held_up

    def write(self, batch: Sequence[Arrival]) -> list[Stored]:
        self.entered.set()
        assert self.open.wait(20)
        self.batches.append(len(batch))
        error = self.fails(batch)
        if error is not None:
            raise error
        return self.store.write(batch)

    def arrival(self, uuid: str, *, size: int = 0) -> Arrival:
        return Arrival(
            terminal_id=self.terminal_id,
            key=digest(f"u:{uuid}"),
            event=Record(serial="SN-1", uuid=uuid),
            received_at_ms=1,
            original=b"{}" + b" " * size,
        )

    def uuids(self) -> set[str | None]:
        return {row.uuid for row in self.store.records(RecordQuery(limit=1000)).items}


@pytest.fixture(params=["begins", "writes"])
async def gate(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Gate]:
    made = Gate(tmp_path / "data", begins=request.param == "begins")
    yield made
    made.open.set()
    made.store.close()


async def started(gate: Gate) -> None:
    await asyncio.get_running_loop().run_in_executor(None, gate.entered.wait, 20)
    gate.entered.clear()


async def test_what_is_submitted_together_shares_one_commit(gate: Gate) -> None:
    committer = Committer(gate)
    stored = await asyncio.gather(*(committer.submit(gate.arrival(f"u-{n}")) for n in range(50)))
    assert all(row.new for row in stored)
    assert gate.batches == [50]
    assert await committer.close()


async def test_the_next_batch_is_begun_before_the_last_one_is_answered(gate: Gate) -> None:
    committer = Committer(gate)
    gate.open.clear()
    heard: list[list[int]] = []
    committer.enqueue(gate.arrival("u-0"), lambda stored, error: heard.append([*gate.taken]))
    await started(gate)
    waiting = asyncio.create_task(committer.submit(gate.arrival("u-1")))
    await asyncio.sleep(0)
    gate.open.set()
    await waiting
    assert heard == [[1, 1]] if gate.begins else heard
    await committer.close()


async def test_a_batch_that_cannot_even_be_begun_is_written_all_the_same(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(batch: Sequence[Arrival]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(gate, "begin", broken)
    committer = Committer(gate)
    assert (await committer.submit(gate.arrival("u-0"))).new
    assert await committer.close()


async def test_after_a_batch_that_was_slow_to_begin_the_thread_does_all_of_it_for_a_second(
    gate: Gate,
) -> None:
    now = 100.0
    committer = Committer(gate, monotonic=lambda: now)

    def slow(batch: Sequence[Arrival]) -> None:
        nonlocal now
        now += 0.02

    gate.fails = slow
    for begun in (1, 1, 1):
        await committer.submit(gate.arrival("u"))
        assert len(gate.taken) == begun * gate.begins
    now += 1.0
    await committer.submit(gate.arrival("u"))
    assert len(gate.taken) == 2 * gate.begins
    await committer.close()


class WorksOnTwo(Gate):
    """A store that begins a batch while another one is being committed."""

    begins_ahead = True

    def begin(self, batch: Sequence[Arrival]) -> Callable[[], list[Stored]]:
        self.taken.append(len(batch))
        return lambda: self.write(batch)


async def test_the_next_batch_is_begun_ahead_when_half_of_those_under_way_wait_for_it(tmp_path: Path) -> None:
    gate = WorksOnTwo(tmp_path / "data")
    committer = Committer(gate)
    await asyncio.gather(*(committer.submit(gate.arrival(f"a-{n}")) for n in range(4)))
    gate.entered.clear()
    gate.open.clear()
    waiting = [asyncio.create_task(committer.submit(gate.arrival(f"b-{n}"))) for n in range(4)]
    await started(gate)
    assert gate.taken == [4, 4]
    begun = []
    for number in range(12):
        waiting.append(asyncio.create_task(committer.submit(gate.arrival(f"c-{number}"))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        begun.append(gate.taken[2:])
    # 8 are under way; one more ahead is enough.
    assert begun == [[]] * 3 + [[4]] * 9
    gate.open.set()
    await asyncio.gather(*waiting)
    assert gate.batches == [4, 4, 4, 8]
    assert await committer.close()
    assert len(gate.uuids()) == 20
    gate.store.close()


async def test_a_store_that_cannot_is_not_asked_to_begin_ahead(gate: Gate) -> None:
    # A commit that fails is written anew, in the thread: that must not wait for a batch that was begun meanwhile.
    committer = Committer(gate)
    gate.open.clear()
    waiting = [asyncio.create_task(committer.submit(gate.arrival("u-0")))]
    await started(gate)
    before = len(gate.taken)
    for number in range(1, 20):
        waiting.append(asyncio.create_task(committer.submit(gate.arrival(f"u-{number}"))))
        await asyncio.sleep(0)
    assert len(gate.taken) == before
    gate.open.set()
    await asyncio.gather(*waiting)
    assert await committer.close()


async def test_what_comes_during_a_commit_gathers_for_the_next(gate: Gate) -> None:
    committer = Committer(gate)
    gate.open.clear()
    first = asyncio.create_task(committer.submit(gate.arrival("u-0")))
    await started(gate)
    rest = [asyncio.create_task(committer.submit(gate.arrival(f"u-{n}"))) for n in range(1, 31)]
    await asyncio.sleep(0)
    assert not first.done()
    gate.open.set()
    await asyncio.gather(first, *rest)
    assert gate.batches == [1, 30]
    await committer.close()


async def test_nobody_is_told_before_the_commit(gate: Gate) -> None:
    committer = Committer(gate)
    gate.open.clear()
    waiting = asyncio.create_task(committer.submit(gate.arrival("u-1")))
    await started(gate)
    assert gate.uuids() == set()
    assert not waiting.done()
    gate.open.set()
    assert (await waiting).new
    assert gate.uuids() == {"u-1"}
    await committer.close()


async def test_a_batch_is_bounded(gate: Gate) -> None:
    committer = Committer(gate, max_batch=8)
    await asyncio.gather(*(committer.submit(gate.arrival(f"u-{n}")) for n in range(20)))
    assert gate.batches == [8, 8, 4]
    await committer.close()


async def test_every_waiter_of_a_batch_hears_of_its_failure_and_the_next_batch_is_stored(gate: Gate) -> None:
    committer = Committer(gate)
    gate.fails = lambda batch: StoreUnavailable("the disk is full")
    failed = await asyncio.gather(
        *(committer.submit(gate.arrival(f"u-{n}")) for n in range(5)), return_exceptions=True
    )
    assert [str(error) for error in failed] == ["the disk is full"] * 5
    gate.fails = lambda batch: None
    assert (await committer.submit(gate.arrival("u-1"))).new
    assert gate.uuids() == {"u-1"}
    await committer.close()


async def test_one_poisonous_event_fails_alone(gate: Gate) -> None:
    committer = Committer(gate)
    poison = gate.arrival("u-13")
    gate.fails = lambda batch: ValueError("a defect") if poison in batch else None
    outcomes = await asyncio.gather(
        *(committer.submit(poison if n == 13 else gate.arrival(f"u-{n}")) for n in range(40)),
        return_exceptions=True,
    )
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Exception)] == [13]
    assert isinstance(outcomes[13], StoreError)
    assert not isinstance(outcomes[13], StoreUnavailable)
    assert len(gate.uuids()) == 39
    await committer.close()


async def test_a_full_queue_refuses_at_once(gate: Gate) -> None:
    committer = Committer(gate, max_queue=3)
    gate.open.clear()
    tasks = [asyncio.create_task(committer.submit(gate.arrival("u-0")))]
    await started(gate)
    tasks += [asyncio.create_task(committer.submit(gate.arrival(f"u-{n}"))) for n in range(1, 4)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="full"):
        await committer.submit(gate.arrival("u-9"))
    gate.open.set()
    await asyncio.gather(*tasks)
    assert (await committer.submit(gate.arrival("u-9"))).new
    await committer.close()


async def test_the_queue_is_bounded_in_bytes_too(gate: Gate) -> None:
    committer = Committer(gate, max_queue_bytes=1000)
    gate.open.clear()
    task = asyncio.create_task(committer.submit(gate.arrival("u-0", size=1000)))
    await started(gate)
    with pytest.raises(StoreUnavailable, match="full"):
        await committer.submit(gate.arrival("u-1"))
    gate.open.set()
    await task
    assert (await committer.submit(gate.arrival("u-1"))).new
    await committer.close()


async def test_to_close_commits_what_is_queued_and_takes_nothing_more(gate: Gate) -> None:
    committer = Committer(gate, max_batch=2)
    gate.open.clear()
    tasks = [asyncio.create_task(committer.submit(gate.arrival(f"u-{n}"))) for n in range(9)]
    await started(gate)
    closing = asyncio.create_task(committer.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="stopping"):
        await committer.submit(gate.arrival("u-10"))
    gate.open.set()
    assert await closing
    assert all(row.new for row in await asyncio.gather(*tasks))
    assert len(gate.uuids()) == 9
    assert await committer.close()


async def test_to_close_is_bounded_when_the_store_hangs(gate: Gate) -> None:
    committer = Committer(gate, max_batch=1)
    gate.open.clear()
    tasks = [asyncio.create_task(committer.submit(gate.arrival(f"u-{n}"))) for n in range(3)]
    await started(gate)
    assert not await committer.close(timeout_s=0.05)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert (committer.failed, committer.committed) == (3, 0)
    gate.open.set()
    # What was under way may be stored all the same; that nobody is told, who was told something else.
    await until(lambda: gate.uuids() == {"u-0"})
    assert not await committer.close()


async def test_an_errand_runs_between_two_commits_in_the_thread_that_writes(gate: Gate) -> None:
    committer = Committer(gate)
    thread = await committer.call(threading.current_thread)
    assert thread.name == "gatepost-committer"

    def failing() -> None:
        raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable, match="away"):
        await committer.call(failing)
    assert (await committer.submit(gate.arrival("u-1"))).new
    await committer.close()


async def test_whoever_stops_waiting_does_not_withdraw_the_event(gate: Gate) -> None:
    committer = Committer(gate)
    gate.open.clear()
    task = asyncio.create_task(committer.submit(gate.arrival("u-1")))
    await started(gate)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open.set()
    await committer.close()
    assert gate.uuids() == {"u-1"}


async def test_to_close_needs_no_thread_but_its_own(gate: Gate) -> None:
    # Handlers that hang may have all the threads of the loop.
    held = threading.Event()
    threads = ThreadPoolExecutor(1)
    threads.submit(held.wait, 20)
    asyncio.get_running_loop().set_default_executor(threads)
    committer = Committer(gate)
    gate.open.clear()
    task = asyncio.create_task(committer.submit(gate.arrival("u-1")))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert not await committer.close(timeout_s=0.05)
    held.set()
    with pytest.raises(StoreUnavailable):
        await task


async def test_whoever_waits_can_be_told_at_any_time_that_the_store_did_not_take_it(gate: Gate) -> None:
    committer = Committer(gate, max_batch=1)
    gate.open.clear()
    pushes = [asyncio.create_task(committer.submit(gate.arrival(f"u-{n}"))) for n in range(3)]
    await started(gate)
    errand = asyncio.create_task(committer.call(gate.uuids))
    await asyncio.sleep(0)
    assert committer.unanswered == 3
    assert committer.give_up() == 3
    for told in await asyncio.gather(*pushes, errand, return_exceptions=True):
        assert isinstance(told, StoreUnavailable)
        assert "stopped before this was stored" in str(told)
    assert committer.give_up() == 0
    with pytest.raises(StoreUnavailable, match="stopping"):
        await committer.submit(gate.arrival("u-9"))
    with pytest.raises(StoreUnavailable, match="stopping"):
        await committer.call(gate.uuids)
    gate.open.set()
    assert not await committer.close()


async def test_an_errand_that_hangs_is_given_up_too(gate: Gate) -> None:
    committer = Committer(gate)
    held = threading.Event()
    errands = [asyncio.create_task(committer.call(lambda: held.wait(20))) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert committer.give_up() == 0
    outcomes = await asyncio.gather(*errands, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 2
    held.set()


async def test_where_nobody_waits_there_is_nothing_to_give_up(gate: Gate) -> None:
    committer = Committer(gate)
    assert committer.give_up() == 0
    assert (await committer.submit(gate.arrival("u-1"))).new
    assert await committer.close()


@pytest.mark.parametrize("takes_s", [0.5, 5.0])
async def test_where_it_takes_long_to_find_out_that_the_store_is_away_all_who_wait_are_told(
    gate: Gate, takes_s: float
) -> None:
    now = 100.0
    committer = Committer(gate, max_batch=1, monotonic=lambda: now)
    gate.fails = lambda batch: StoreUnavailable("the server is silent")
    gate.open.clear()
    pushes = [asyncio.create_task(committer.submit(gate.arrival("u-0")))]
    await started(gate)
    pushes += [asyncio.create_task(committer.submit(gate.arrival(f"u-{n}"))) for n in range(1, 4)]
    errand = asyncio.create_task(committer.call(lambda: "done"))
    await asyncio.sleep(0)
    now += takes_s
    gate.open.set()
    told = await asyncio.gather(*pushes, return_exceptions=True)
    assert [str(error) for error in told] == ["the server is silent"] * 4
    assert len(gate.batches) == (1 if takes_s > 1 else 4)
    (done,) = await asyncio.gather(errand, return_exceptions=True)
    assert str(done) == ("the server is silent" if takes_s > 1 else "done")
    gate.fails = lambda batch: None
    assert (await committer.submit(gate.arrival("u-1"))).new
    assert committer.failed == 4
    assert await committer.close()


async def test_what_an_errand_found_out_about_the_store_is_not_found_out_again_in_the_same_go(
    gate: Gate,
) -> None:
    now = 100.0
    committer = Committer(gate, monotonic=lambda: now)

    def slow() -> None:
        nonlocal now
        now += 5.0
        raise StoreUnavailable("the server is silent")

    errands = [asyncio.create_task(committer.call(slow)) for _ in range(3)]
    push = asyncio.create_task(committer.submit(gate.arrival("u-1")))
    told = await asyncio.gather(*errands, push, return_exceptions=True)
    assert [str(error) for error in told] == ["the server is silent"] * 4
    assert now == 105.0
    assert gate.batches == []
    await committer.close()


async def test_the_queue_is_touched_by_no_thread_but_the_loops(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of two that pop, one may find it empty after it has looked.
    popped: set[threading.Thread] = set()

    class Seen(deque[Any]):
        def popleft(self) -> Any:
            popped.add(threading.current_thread())
            return super().popleft()

    monkeypatch.setattr(module, "deque", Seen)
    committer = Committer(gate, max_batch=2)
    gate.open.clear()
    tasks = [asyncio.create_task(committer.submit(gate.arrival(f"u-{n}"))) for n in range(9)]
    await started(gate)
    errand = asyncio.create_task(committer.call(lambda: "done"))
    closing = asyncio.create_task(committer.close())
    await asyncio.sleep(0)
    gate.open.set()
    assert await closing
    assert await errand == "done"
    assert all(row.new for row in await asyncio.gather(*tasks))
    assert popped == {threading.main_thread()}
