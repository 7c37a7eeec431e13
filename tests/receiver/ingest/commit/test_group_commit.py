"""Many requests share one sync, and nothing is told to be stored before it."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.journal.kit import FailingFiles, read_all
from tests.receiver.kit import Clock, until

from gatepost.errors import JournalUnavailable, StoreUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.streams import ALARMS, RECORDS, Position
from gatepost.receiver.ingest.commit import group_commit as module
from gatepost.receiver.ingest.commit.group_commit import GroupCommit
from gatepost.receiver.ingest.commit.space import JournalSpace
from gatepost.receiver.ingest.commit.until_listed import PATIENCE_S, UntilListed


class Disk(FailingFiles):
    """The real disk, on which a sync can be held up."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.synced: list[str] = []
        """The lane of each segment that was synced, in order."""
        self._lanes: dict[int, str] = {}

    def create(self, path: Path) -> int:
        handle = super().create(path)
        self._lanes[handle] = ALARMS if ALARMS in path.name else RECORDS
        return handle

    def sync(self, handle: int) -> None:
        self.entered.set()
        assert self.open.wait(20)
        super().sync(handle)
        self.synced.append(self._lanes[handle])

    def hold(self) -> None:
        """Hold up every sync from now on."""
        self.entered.clear()
        self.open.clear()

    async def started(self) -> None:
        """Wait until a sync is held up."""
        await asyncio.get_running_loop().run_in_executor(None, self.entered.wait, 20)


class Journal:
    """A journal to write, and what is read of it."""

    def __init__(self, path: Path) -> None:
        self.disk = Disk()
        self.folder = Folder.open(path, files=self.disk)
        self.made: list[GroupCommit] = []
        self.batches: list[int] = []
        """How many events each sync took."""

    def commit(self, **options: Any) -> GroupCommit:
        """Make a group commit."""

        def appended() -> None:
            if made.committed > sum(self.batches):
                self.batches.append(made.committed - sum(self.batches))

        made = GroupCommit(self.folder, lambda body, places: body, on_append=appended, **options)
        self.made.append(made)
        return made

    def bodies(self) -> list[bytes]:
        """Return what a reader may read now."""
        bodies, damages = read_all(self.folder)
        assert damages == []
        return bodies

    def segments(self, lane: str = RECORDS) -> int:
        return len(list(self.folder.path.glob(f"*-{lane}-*.events")))


@pytest.fixture
async def journal(tmp_path: Path) -> Any:
    journal = Journal(tmp_path / "journal")
    yield journal
    journal.disk.open.set()
    journal.disk.failing.clear()
    for each in journal.made:
        await each.close()


def submits(commit: GroupCommit, *bodies: bytes, is_alarm: bool = False) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(commit.submit(body, is_alarm=is_alarm)) for body in bodies]


def numbered(count: int) -> list[bytes]:
    return [b"event %02d" % number for number in range(count)]


async def test_what_is_submitted_together_shares_one_sync(journal: Journal) -> None:
    commit = journal.commit()
    await commit.submit(b"first")
    journal.disk.calls.clear()
    await asyncio.gather(*submits(commit, *numbered(50)))
    assert journal.batches == [1, 50]
    assert journal.disk.calls == ["sync"]
    assert journal.bodies() == [b"first", *numbered(50)]
    assert (commit.commits, commit.committed, commit.failed) == (2, 51, 0)


async def test_what_comes_during_a_sync_gathers_for_the_next(journal: Journal) -> None:
    commit = journal.commit()
    journal.disk.hold()
    first = submits(commit, b"event 00")
    await journal.disk.started()
    rest = submits(commit, *numbered(31)[1:])
    await asyncio.sleep(0)
    assert (commit.waiting, commit.unanswered) == (30, 31)
    journal.disk.open.set()
    await asyncio.gather(*first, *rest)
    assert journal.batches == [1, 30]
    assert journal.bodies() == numbered(31)


async def test_alone_an_event_waits_for_no_timer(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    commit = journal.commit()
    timers: list[object] = []
    monkeypatch.setattr(loop, "call_later", lambda *given: timers.append(given))
    monkeypatch.setattr(loop, "call_at", lambda *given, **_: timers.append(given))
    await commit.submit(b"alone")
    assert timers == []


async def test_none_is_told_before_the_sync(journal: Journal) -> None:
    commit = journal.commit()
    await commit.submit(b"before")
    journal.disk.hold()
    (waiting,) = submits(commit, b"held up")
    await journal.disk.started()
    assert journal.bodies() == [b"before"]
    assert not waiting.done()
    journal.disk.open.set()
    await waiting
    assert journal.bodies() == [b"before", b"held up"]


async def test_the_next_batch_is_given_to_the_thread_before_the_last_one_is_told(journal: Journal) -> None:
    commit = journal.commit()
    journal.disk.hold()
    waiting_when_told: list[int] = []
    commit.enqueue(b"first", lambda error: waiting_when_told.append(commit.waiting))
    await journal.disk.started()
    later = submits(commit, b"second")
    await asyncio.sleep(0)
    assert commit.waiting == 1
    journal.disk.open.set()
    await asyncio.gather(*later)
    assert waiting_when_told == [0]


async def test_a_batch_is_bounded(journal: Journal) -> None:
    commit = journal.commit(max_batch=8)
    await asyncio.gather(*submits(commit, *numbered(20)))
    assert journal.batches == [8, 8, 4]


async def test_alarms_are_synced_first_and_in_a_stream_of_their_own(journal: Journal) -> None:
    commit = journal.commit()
    await asyncio.gather(*submits(commit, b"record"), *submits(commit, b"alarm", is_alarm=True))
    journal.disk.synced.clear()
    tasks = submits(commit, b"record 1", b"record 2") + submits(commit, b"alarm 1", is_alarm=True)
    await asyncio.gather(*tasks)
    assert journal.batches == [2, 3]
    assert journal.disk.synced == [ALARMS, RECORDS]
    assert journal.bodies() == [b"alarm", b"alarm 1", b"record", b"record 1", b"record 2"]


async def test_a_full_queue_refuses_at_once(journal: Journal) -> None:
    commit = journal.commit(max_queue=3)
    journal.disk.hold()
    tasks = submits(commit, b"event 00")
    await journal.disk.started()
    tasks += submits(commit, *numbered(4)[1:])
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="queue is full"):
        await commit.submit(b"one too many")
    journal.disk.open.set()
    await asyncio.gather(*tasks)
    await commit.submit(b"event 04")
    assert journal.bodies() == numbered(5)


async def test_the_queue_is_bounded_in_bytes_too_and_counts_what_is_being_synced(journal: Journal) -> None:
    commit = journal.commit(max_queue_bytes=1000)
    journal.disk.hold()
    tasks = submits(commit, b"x" * 1000)
    await journal.disk.started()
    with pytest.raises(StoreUnavailable, match="queue is full"):
        await commit.submit(b"one too many")
    journal.disk.open.set()
    await asyncio.gather(*tasks)
    await commit.submit(b"fits again")
    assert journal.bodies() == [b"x" * 1000, b"fits again"]


async def test_a_failed_batch_gives_its_room_in_the_queue_back(journal: Journal) -> None:
    commit = journal.commit(max_queue_bytes=100)
    journal.disk.failing["sync"] = errno.EIO
    with pytest.raises(StoreUnavailable, match="cannot store"):
        await commit.submit(b"x" * 100)
    journal.disk.failing.clear()
    await commit.submit(b"y" * 100)


async def test_nothing_is_taken_while_too_much_of_the_journal_is_not_listed(journal: Journal) -> None:
    unread = [999]
    now = Clock(0.0)
    space = JournalSpace(max_unread_bytes=1000, unread_bytes=lambda: unread[0], monotonic=now)
    commit = journal.commit(space=space)
    await commit.submit(b"fits")
    assert not commit.is_full
    unread[0] = 1000
    await commit.submit(b"not measured again so soon")
    now.at += 1.0
    await commit.submit(b"measured")
    assert commit.is_full
    with pytest.raises(StoreUnavailable, match="journal is full"):
        await commit.submit(b"one too many")
    unread[0] = 0
    commit.tend()
    await until(lambda: not commit.is_full)
    await commit.submit(b"fits again")
    assert len(journal.bodies()) == 4


async def test_nothing_is_taken_while_the_disk_has_no_room_for_what_waits(journal: Journal) -> None:
    free = [10_000]
    space = JournalSpace(unread_bytes=lambda: 4_000, has_room=lambda unread: free[0] >= 2 * unread)
    commit = journal.commit(space=space)
    await commit.submit(b"fits")
    free[0] = 7_000
    commit.tend()
    await until(lambda: commit.is_full)
    with pytest.raises(StoreUnavailable, match="journal is full"):
        await commit.submit(b"one too many")
    free[0] = 8_000
    commit.tend()
    await until(lambda: not commit.is_full)
    await commit.submit(b"fits again")


async def test_a_journal_that_cannot_be_measured_is_as_full_as_before(journal: Journal) -> None:
    answers = iter([2000])

    def unread() -> int:
        for size in answers:
            return size
        raise JournalUnavailable("the journal cannot be read")

    commit = journal.commit(space=JournalSpace(max_unread_bytes=1000, unread_bytes=unread))
    await commit.submit(b"fits")
    await until(lambda: commit.is_full)
    commit.tend()
    assert await commit.close()
    assert commit.is_full


@pytest.mark.parametrize("call", ["write", "sync", "create", "sync_folder"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
async def test_a_failure_fails_the_whole_batch_and_it_recovers_by_itself(
    journal: Journal, call: str, number: int
) -> None:
    commit = journal.commit()
    if call in ("write", "sync"):
        await commit.submit(b"before")
    journal.disk.failing[call] = number
    with capture_logs() as logs:
        tasks = submits(commit, *[b"%d refused" % number + b"x" * 100 for number in range(5)])
        for told in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(told, StoreUnavailable)
            assert str(told) == "the receiver cannot store events now; send it again later"
    assert [(log["event"], log["events"]) for log in logs] == [("journal.append_failed", 5)]
    assert str(journal.folder.path) not in str(logs)
    assert (commit.is_failing, commit.failed) == (True, 5)
    commit.tend()
    journal.disk.calls.clear()
    commit.tend()
    await until(lambda: bool(journal.disk.calls))
    assert commit.is_failing
    before = journal.segments()
    journal.disk.failing.clear()
    commit.tend()
    await until(lambda: not commit.is_failing)
    await commit.submit(b"after")
    assert journal.segments() == before + 1, "a segment that failed is not written again"
    bodies = [body for body in journal.bodies() if b"refused" not in body]
    assert bodies == ([b"before", b"after"] if call in ("write", "sync") else [b"after"])


async def test_what_is_pushed_again_tries_the_disk_without_waiting_to_be_tended(journal: Journal) -> None:
    commit = journal.commit()
    journal.disk.failing["sync"] = errno.ENOSPC
    with pytest.raises(StoreUnavailable):
        await commit.submit(b"refused")
    journal.disk.failing.clear()
    await commit.submit(b"taken")
    assert not commit.is_failing
    assert journal.bodies() == [b"taken"]


async def test_a_failing_disk_is_logged_once_a_minute(journal: Journal) -> None:
    now = Clock(0.0)
    commit = journal.commit(monotonic=now)
    journal.disk.failing["sync"] = errno.ENOSPC
    with capture_logs() as logs:
        for _ in range(20):
            with pytest.raises(StoreUnavailable):
                await commit.submit(b"refused")
            now.at += 10.0
    assert [log["why"] for log in logs] == ["the journal cannot be written: ENOSPC"] * 4


async def test_where_only_records_fail_their_alarms_are_told_the_same(journal: Journal) -> None:
    """They are of one batch. What was synced of it is listed, and a duplicate when it is sent again."""
    commit = journal.commit()
    await commit.submit(b"alarm", is_alarm=True)
    journal.disk.failing["create"] = errno.EIO  # of the first segment of records
    tasks = submits(commit, b"record") + submits(commit, b"alarm 1", is_alarm=True)
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in told] == [StoreUnavailable] * 2
    assert journal.bodies() == [b"alarm", b"alarm 1"]


async def test_an_event_larger_than_a_frame_is_not_queued(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BODY", 100)
    commit = journal.commit()
    told = await asyncio.gather(*submits(commit, b"one", b"x" * 101, b"two"), return_exceptions=True)
    assert [type(each) for each in told] == [type(None), ValueError, type(None)]
    assert journal.bodies() == [b"one", b"two"]


async def test_one_who_cannot_be_told_keeps_none_of_the_others_from_it(journal: Journal) -> None:
    commit = journal.commit()
    heard: list[StoreUnavailable | None] = []

    def broken(error: StoreUnavailable | None) -> None:
        raise ZeroDivisionError

    with capture_logs() as logs:
        commit.enqueue(b"one", broken)
        commit.enqueue(b"two", heard.append)
        await until(lambda: bool(heard))
    assert heard == [None]
    assert [(log["event"], log["kind"]) for log in logs] == [
        ("group_commit.settle_failed", "ZeroDivisionError")
    ]


async def test_to_tend_closes_segments_that_are_old(journal: Journal) -> None:
    now = Clock(0.0)
    commit = journal.commit(monotonic=now)
    await asyncio.gather(*submits(commit, b"record"), *submits(commit, b"alarm", is_alarm=True))
    now.at += 59.0
    commit.tend()
    await commit.submit(b"the same segment")
    assert {stream.published.segment for stream in journal.folder.streams()} == {1}
    now.at += 1.0
    commit.tend()
    await until(lambda: finished(journal) == {2})
    assert len(journal.bodies()) == 3
    await commit.submit(b"another segment")
    assert journal.segments() == 2


async def test_every_segment_is_closed_on_request(journal: Journal) -> None:
    commit = journal.commit()
    await asyncio.gather(*submits(commit, b"record"), *submits(commit, b"alarm", is_alarm=True))
    journal.disk.hold()
    held = submits(commit, b"held up")
    await journal.disk.started()
    commit.tend(finish=True)
    commit.tend()
    journal.disk.open.set()
    await asyncio.gather(*held)
    await until(lambda: finished(journal) == {2})
    positions: dict[str, Position] = {}
    assert len(read_all(journal.folder, positions)[0]) == 3
    assert journal.folder.remove(positions).segments == 2
    assert journal.segments(RECORDS) + journal.segments(ALARMS) == 0


def finished(journal: Journal) -> set[int]:
    """Return the segments that come next, where all that there are have been closed."""
    places = {stream.published for stream in journal.folder.streams()}
    return set() if any(place.offset for place in places) else {place.segment for place in places}


async def test_to_close_syncs_what_is_queued_and_takes_nothing_more(journal: Journal) -> None:
    commit = journal.commit(max_batch=2)
    journal.disk.hold()
    tasks = submits(commit, *numbered(9))
    await journal.disk.started()
    closing = asyncio.create_task(commit.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="stopping"):
        await commit.submit(b"too late")
    journal.disk.open.set()
    assert await closing
    await asyncio.gather(*tasks)
    assert journal.bodies() == numbered(9)
    assert not any(stream.is_alive for stream in journal.folder.streams())
    assert await commit.close()


async def test_to_close_is_bounded_when_the_disk_hangs(journal: Journal) -> None:
    commit = journal.commit(max_batch=1)
    journal.disk.hold()
    tasks = submits(commit, *numbered(3))
    await journal.disk.started()
    assert not await commit.close(timeout_s=0.05)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert (commit.failed, commit.committed) == (3, 0)
    journal.disk.open.set()
    # What was under way is listed all the same, though its sender was told that it is not stored.
    await until(lambda: journal.bodies() == [b"event 00"])
    assert not await commit.close()


async def test_to_close_is_bounded_when_the_disk_hangs_and_none_waits(journal: Journal) -> None:
    now = Clock(0.0)
    commit = journal.commit(monotonic=now)
    await commit.submit(b"one")
    journal.disk.hold()
    now.at += 60.0
    commit.tend()
    await journal.disk.started()
    assert not await commit.close(timeout_s=0.05)
    journal.disk.open.set()
    assert await commit.close()


async def test_to_close_needs_no_thread_but_its_own(journal: Journal) -> None:
    # Handlers that hang may have all the threads of the loop.
    held = threading.Event()
    threads = ThreadPoolExecutor(1)
    threads.submit(held.wait, 20)
    asyncio.get_running_loop().set_default_executor(threads)
    commit = journal.commit()
    journal.disk.hold()
    (task,) = submits(commit, b"one")
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert not await commit.close(timeout_s=0.05)
    held.set()
    with pytest.raises(StoreUnavailable):
        await task


async def test_everyone_who_waits_can_be_told_at_any_time(journal: Journal) -> None:
    commit = journal.commit(max_batch=1)
    journal.disk.hold()
    tasks = submits(commit, *numbered(3))
    await journal.disk.started()
    assert commit.unanswered == 3
    assert commit.give_up() == 3
    for told in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(told, StoreUnavailable)
        assert "stopped before this was stored" in str(told)
    assert commit.give_up() == 0
    with pytest.raises(StoreUnavailable, match="stopping"):
        await commit.submit(b"too late")
    journal.disk.open.set()
    assert not await commit.close()


async def test_where_none_waits_there_is_nothing_to_give_up(journal: Journal) -> None:
    commit = journal.commit()
    assert commit.give_up() == 0
    await commit.submit(b"one")
    assert await commit.close()


# Until it is listed.


def listed(journal: Journal, lane: str = RECORDS) -> dict[str, Position]:
    """Return up to where the streams of a lane are synced: the desk says so when it has listed them."""
    streams = [stream for stream in journal.folder.streams() if stream.is_alarms is (lane == ALARMS)]
    return {stream.name: stream.published for stream in streams}


async def soon(awaited: Awaitable[Any]) -> Any:
    """Wait for what is to end now."""
    return await asyncio.wait_for(awaited, 20)


async def synced(commit: GroupCommit, events: int) -> None:
    """Wait until so many events are synced, and the loop knows."""
    await until(lambda: commit.committed == events and commit.unanswered - commit.waiting == commit._unlisted)


async def test_an_event_is_told_of_when_its_stream_is_listed_and_an_alarm_does_not_wait_for_records(
    journal: Journal,
) -> None:
    commit = journal.commit(until_listed=UntilListed())
    (record,) = submits(commit, b"record")
    (alarm_,) = submits(commit, b"alarm", is_alarm=True)
    await synced(commit, 2)
    assert (commit.unanswered, commit.waiting, journal.bodies()) == (2, 0, [b"alarm", b"record"])
    commit.hear(listed(journal, ALARMS), in_doubt=False)
    await soon(alarm_)
    assert (commit.unanswered, record.done()) == (1, False)
    commit.hear(listed(journal), in_doubt=False)
    await soon(record)
    assert (commit.unanswered, commit.failed) == (0, 0)


async def test_without_waiting_for_the_list_an_event_is_told_of_when_it_is_synced(journal: Journal) -> None:
    commit = journal.commit()
    await commit.submit(b"record")
    commit.hear({}, in_doubt=True)
    assert (commit.unanswered, journal.bodies()) == (0, [b"record"])


async def test_what_waits_until_it_is_listed_is_part_of_the_queue(journal: Journal) -> None:
    for bound in ({"max_queue": 2}, {"max_queue_bytes": 10}):
        commit = journal.commit(until_listed=UntilListed(), **bound)
        tasks = submits(commit, b"12345", b"67890")
        await synced(commit, 2)
        with pytest.raises(StoreUnavailable, match="queue is full"):
            await soon(commit.submit(b"one too many"))
        commit.hear(listed(journal), in_doubt=False)
        await soon(asyncio.gather(*tasks))
        (next_,) = submits(commit, b"fits again")
        await synced(commit, 3)
        commit.hear(listed(journal), in_doubt=False)
        await soon(next_)


async def test_what_is_not_listed_in_time_is_refused_and_its_room_given_back(journal: Journal) -> None:
    now = Clock(0.0)
    commit = journal.commit(max_queue=1, until_listed=UntilListed(monotonic=now))
    (first,) = submits(commit, b"first")
    await synced(commit, 1)
    now.at += PATIENCE_S
    commit.tend()
    with pytest.raises(StoreUnavailable, match="acknowledge_after is store"):
        await soon(first)
    (second,) = submits(commit, b"second")
    await synced(commit, 2)
    commit.hear(listed(journal), in_doubt=False)
    await soon(second)
    assert (commit.failed, journal.bodies()) == (1, [b"first", b"second"])


async def test_what_the_first_word_of_a_desk_covers_is_refused(journal: Journal) -> None:
    commit = journal.commit(until_listed=UntilListed())
    (task,) = submits(commit, b"record")
    await synced(commit, 1)
    commit.hear(listed(journal), in_doubt=True)
    with pytest.raises(StoreUnavailable, match="send it again"):
        await soon(task)


async def test_a_failed_sync_is_told_at_once_and_waits_for_no_list(journal: Journal) -> None:
    commit = journal.commit(until_listed=UntilListed())
    journal.disk.failing["sync"] = errno.EIO
    with pytest.raises(StoreUnavailable, match="cannot store"):
        await commit.submit(b"refused")
    assert commit.unanswered == 0


async def test_a_stream_whose_writer_file_is_deleted_keeps_none_of_the_next_stream_waiting(
    journal: Journal,
) -> None:
    now = Clock(0.0)
    commit = journal.commit(until_listed=UntilListed(monotonic=now))
    (old,) = submits(commit, b"old")
    await synced(commit, 1)
    for path in journal.folder.path.glob("*.writer"):
        path.unlink()
    with pytest.raises(StoreUnavailable, match="cannot store"):
        await commit.submit(b"its file is gone")
    (new,) = submits(commit, b"new")
    await synced(commit, 2)
    commit.hear({name: place for name, place in listed(journal).items() if place.offset}, in_doubt=False)
    await soon(new)
    assert not old.done()
    now.at += PATIENCE_S
    commit.tend()
    with pytest.raises(StoreUnavailable):
        await soon(old)


async def test_at_the_end_what_is_not_listed_is_refused(journal: Journal) -> None:
    given_up = journal.commit(until_listed=UntilListed())
    tasks = submits(given_up, b"record") + submits(given_up, b"alarm", is_alarm=True)
    await synced(given_up, 2)
    assert given_up.give_up() == 2
    closed = journal.commit(until_listed=UntilListed())
    tasks += submits(closed, b"last")
    await synced(closed, 1)
    assert not await closed.close()
    for told in await soon(asyncio.gather(*tasks, return_exceptions=True)):
        assert isinstance(told, StoreUnavailable)
    assert (given_up.unanswered, closed.unanswered) == (0, 0)
    given_up.hear(listed(journal), in_doubt=False)


async def test_a_wait_that_is_cancelled_does_not_withdraw_the_event(journal: Journal) -> None:
    commit = journal.commit()
    journal.disk.hold()
    (task,) = submits(commit, b"one")
    await journal.disk.started()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    journal.disk.open.set()
    assert await commit.close()
    assert journal.bodies() == [b"one"]


async def test_the_queue_is_touched_by_no_thread_but_the_loops(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of two that pop, one may find it empty after it has looked.
    touched: set[threading.Thread] = set()

    def seen(name: str) -> Callable[..., Any]:
        def call(self: deque[Any], *args: Any) -> Any:
            touched.add(threading.current_thread())
            return getattr(deque, name)(self, *args)

        return call

    class Seen(deque[Any]):
        popleft, append, __len__, __iter__ = map(seen, ("popleft", "append", "__len__", "__iter__"))

    monkeypatch.setattr(module, "deque", Seen)
    commit = journal.commit(max_batch=2)
    journal.disk.hold()
    tasks = submits(commit, *numbered(9))
    await journal.disk.started()
    commit.tend(finish=True)
    closing = asyncio.create_task(commit.close())
    await asyncio.sleep(0)
    journal.disk.open.set()
    assert await closing
    await asyncio.gather(*tasks)
    assert touched == {threading.main_thread()}


def test_a_loop_that_is_closed_meanwhile_costs_nothing_that_was_synced(tmp_path: Path) -> None:
    async def leave() -> tuple[Journal, GroupCommit]:
        journal = Journal(tmp_path / "journal")
        commit = journal.commit()
        journal.disk.hold()
        commit.enqueue(b"one", lambda error: None)
        await journal.disk.started()
        return journal, commit

    journal, commit = asyncio.run(leave())
    with capture_logs() as logs:
        journal.disk.open.set()
        commit._given.put(None)
        commit._thread.join(20)
    assert [log["event"] for log in logs] == ["group_commit.loop_closed"] * 2
    assert journal.bodies() == [b"one"]
