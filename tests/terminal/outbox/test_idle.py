"""An outbox at which nothing happens: what has grown old leaves, a failing disk is tried again, and few wake-ups."""

import asyncio
import contextlib
import errno
import queue
import threading
from pathlib import Path
from typing import Any

from tests.terminal.outbox_kit import Clock, SmallDisk, drain, outbox_in, record

from gatepost.journal.files import Files
from gatepost.retry import Done
from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.contents import Contents
from gatepost.terminal.outbox.types import NewEvent
from gatepost.terminal.outbox.writer import Writer


class TimedJobs:
    """A queue whose waiting takes no time: it moves the clock up to an end, and from then on waits for real."""

    def __init__(self, now: Clock, seconds: float) -> None:
        self._now, self._end = now, now() + seconds
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.wakes = 0
        self.at_the_end = threading.Event()

    def put(self, job: Any) -> None:
        self._jobs.put(job)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        with contextlib.suppress(queue.Empty):
            return self._jobs.get(block=False)
        if not block:
            raise queue.Empty
        assert timeout is not None
        if self._now() + timeout <= self._end:
            self._now.at += timeout
            self.wakes += 1
            raise queue.Empty
        self.at_the_end.set()
        return self._jobs.get()


async def test_history_grows_old_although_nothing_happens_with_few_wake_ups(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), history_days=1) as outbox:
        await asyncio.gather(*(outbox.put(record(number, image=bytes(100))) for number in range(2_500)))
        assert len(await drain(outbox, now(), window=500)) == 2_500
    now.at += 86_401
    jobs = TimedJobs(now, seconds=600)
    contents = Contents(
        tmp_path / "outbox", settings=TerminalSettings(history_days=1), files=Files(), now=now
    )
    assert contents.status().history == 2_500
    writer = Writer(contents, monotonic=now, jobs=jobs)
    assert await asyncio.to_thread(jobs.at_the_end.wait, 30)
    assert jobs.wakes * 10 / 600 <= 4
    status = await writer.submit(lambda contents: contents.status())
    assert (status.history, status.delivered) == (0, 2_500)
    assert not list((tmp_path / "outbox").glob("*.events"))
    await writer.close()


async def test_faces_that_have_grown_old_leave_the_disk_also_from_the_segment_that_takes_more(
    tmp_path: Path,
) -> None:
    folder, now = tmp_path / "outbox", Clock()
    folder.mkdir()
    contents = Contents(folder, settings=TerminalSettings(history_days=1), files=Files(), now=now)
    jobs = TimedJobs(now, seconds=3 * 86_400)
    contents.put([[NewEvent.of(record(1, image=b"a face"))]])
    contents.claim(1, now())
    contents.settle([(1, Done())])
    assert len(list(folder.glob("*.events"))) == 1
    writer = Writer(contents, monotonic=now, jobs=jobs)
    assert await asyncio.to_thread(jobs.at_the_end.wait, 30)
    assert not list(folder.glob("*.events"))
    assert await writer.put([NewEvent.of(record(2))], then=lambda _: None) == [2]
    await writer.close()


async def test_while_the_disk_takes_nothing_it_is_tried_each_second(tmp_path: Path) -> None:
    folder, now, disk = tmp_path / "outbox", Clock(), SmallDisk(tmp_path)
    folder.mkdir()
    contents = Contents(folder, settings=TerminalSettings(), files=disk, now=now)
    disk.error = errno.EIO
    contents.put([[NewEvent.of(record(1))]])
    assert contents.storage_error is not None
    jobs = TimedJobs(now, seconds=10)
    writer = Writer(contents, monotonic=now, jobs=jobs)
    assert await asyncio.to_thread(jobs.at_the_end.wait, 30)
    assert jobs.wakes == 10
    disk.error = None
    await writer.close()
