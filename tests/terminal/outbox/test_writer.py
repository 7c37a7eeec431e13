"""The writer: shared syncs, and nothing that costs others anything."""

import asyncio
import errno
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.terminal.outbox_kit import (
    SUBSCRIPTION,
    Clock,
    SmallDisk,
    alarm,
    assert_the_ledger_adds_up,
    drain,
    outbox_in,
    record,
)

from gatepost.errors import OutboxFull, OutboxUnavailable
from gatepost.journal.files import Files
from gatepost.journal.folder import Folder
from gatepost.journal.streams import Position
from gatepost.journal.writer import Writer as JournalWriter
from gatepost.retry import Done
from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox import writer as writer_module
from gatepost.terminal.outbox.contents import Contents
from gatepost.terminal.outbox.state.log import StateLog
from gatepost.terminal.outbox.types import NewEvent
from gatepost.terminal.outbox.writer import Writer


def failing(error: OSError) -> Callable[..., Any]:
    """Return what raises an error whenever it is called."""

    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


KB = bytes(1024)
SETTINGS = TerminalSettings(capacity=500, overflow="refuse-newest")


@pytest.fixture
def disk(tmp_path: Path) -> SmallDisk:
    return SmallDisk(tmp_path)


@pytest.fixture
async def writer(tmp_path: Path, disk: SmallDisk) -> AsyncIterator[Writer]:
    folder = tmp_path / "outbox"
    folder.mkdir()
    writer = Writer(Contents(folder, settings=SETTINGS, files=disk, now=Clock()))
    yield writer
    disk.error = None
    await writer.close()


@pytest.fixture
def held(writer: Writer) -> Iterator[threading.Event]:
    """Holds the writer's thread up, so that everything handed over meanwhile is done together."""
    go = threading.Event()
    writer.submit(lambda contents: go.wait(30))
    yield go
    go.set()


def put(writer: Writer, *numbers: int) -> "asyncio.Future[list[int]]":
    return writer.put([NewEvent.of(record(number)) for number in numbers], then=lambda _: None)


async def accepted(writer: Writer) -> int:
    return (await writer.submit(lambda contents: contents.status())).accepted


async def test_those_who_wait_together_share_one_sync(
    writer: Writer, held: threading.Event, disk: SmallDisk
) -> None:
    waiting = [put(writer, number) for number in range(16)]
    disk.syncs = 0
    held.set()
    assert await asyncio.gather(*waiting) == [[number] for number in range(1, 17)]
    assert disk.syncs == 2, "of the header of the first segment, and of the events"


async def test_a_refusal_is_told_to_its_caller_and_harms_nobody(
    writer: Writer, held: threading.Event
) -> None:
    results = asyncio.gather(put(writer, 1), put(writer, *range(501)), put(writer, 2), return_exceptions=True)
    held.set()
    first, second, third = await results
    assert (first, third) == ([1], [2])
    assert isinstance(second, OutboxFull)
    assert await accepted(writer) == 2


async def test_a_failing_disk_is_said_until_it_takes_something_again(writer: Writer, disk: SmallDisk) -> None:
    disk.error = errno.ENOSPC
    with pytest.raises(OutboxUnavailable, match="the disk is full; free some space"):
        await put(writer, 1)
    status = await writer.submit(lambda contents: contents.status())
    assert (status.accepted, "free some space" in str(status.storage_error)) == (0, True)
    disk.error = None
    assert await put(writer, 1) == [1]
    assert (await writer.submit(lambda contents: contents.status())).storage_error is None


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EROFS, "read-only; make it writable"), (errno.EIO, "reports an error")]
)
async def test_what_the_disk_says_is_said_in_a_sentence(
    writer: Writer, disk: SmallDisk, number: int, words: str
) -> None:
    disk.error = number
    with pytest.raises(OutboxUnavailable, match=words):
        await put(writer, 1)


async def test_a_disk_that_takes_nothing_is_tried_again_although_nothing_happens(
    writer: Writer, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "RETRY_S", 0.01)
    disk.error = errno.EIO
    with pytest.raises(OutboxUnavailable):
        await put(writer, 1)
    disk.error = None
    async with asyncio.timeout(10):
        while writer._contents.storage_error is not None:  # noqa: ASYNC110 - a disk has no event
            await asyncio.sleep(0.01)


async def test_a_defect_in_one_piece_of_work_is_told_to_its_caller_and_harms_nobody(
    writer: Writer, held: threading.Event
) -> None:
    def defect(contents: Contents) -> None:
        raise ZeroDivisionError

    results = asyncio.gather(writer.submit(defect), put(writer, 1), return_exceptions=True)
    held.set()
    first, second = await results
    assert isinstance(first, ZeroDivisionError)
    assert second == [1]


async def test_of_a_record_and_an_alarm_together_none_is_stored_where_one_of_them_cannot_be(
    tmp_path: Path, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), files=disk) as outbox:
        assert await outbox.put_all([record(1), alarm("T-1")]) == [1, 2]
        write = disk.write

        def fail(handle: int, data: bytes, offset: int) -> None:
            if "alarms" in disk._paths[handle].name:
                raise OSError(errno.EIO, "EIO")
            write(handle, data, offset)

        with monkeypatch.context() as failing:
            failing.setattr(disk, "write", fail)
            with pytest.raises(OutboxUnavailable):
                await outbox.put_all([record(2), alarm("T-2")])
        (segment,) = outbox.path.glob("*records-000001.events")
        assert b"uuid-1" in segment.read_bytes()
        assert b"uuid-2" not in segment.read_bytes()
        assert await outbox.put_all([alarm("T-3"), record(3)]) == [3, 4]
        shutil.copytree(outbox.path, tmp_path / "copy" / "outbox")
        assert await drain(outbox, now()) == ["T-1:1", "T-3:1", "uuid-1", "uuid-3"]
    async with outbox_in(tmp_path / "copy", now=now) as outbox:
        assert await drain(outbox, now()) == ["T-1:1", "T-3:1", "uuid-1", "uuid-3"]


class CutDisk(Files):
    """A disk whose alarms or syncs fail when told to, and of which a power cut takes what is not synced of the cuts."""

    def __init__(self) -> None:
        self.fails: set[str] = set()
        self.was: dict[Path, bytes] = {}
        """What stood in a file before it was cut, until that is synced."""

    def write(self, handle: int, data: bytes, offset: int) -> None:
        if "alarms" in self.fails and "alarms-0" in _path(handle).name:
            raise OSError(errno.ENOSPC, "ENOSPC")
        super().write(handle, data, offset)

    def sync_all(self, handles: Sequence[int]) -> None:
        super().sync_all(handles)
        if "events" in self.fails:
            raise OSError(errno.EIO, "EIO")

    def truncate(self, handle: int, size: int) -> None:
        if "cut" in self.fails:
            raise OSError(errno.EIO, "EIO")
        self.was[_path(handle)] = _path(handle).read_bytes()
        super().truncate(handle, size)

    def sync(self, handle: int) -> None:
        if "sync of the cut" in self.fails and _path(handle) in self.was:
            raise OSError(errno.EIO, "EIO")
        super().sync(handle)
        self.was.pop(_path(handle), None)

    def cut_power(self, folder: Path, copy: Path) -> None:
        shutil.copytree(folder, copy)
        for path, data in self.was.items():
            (copy / path.name).write_bytes(data)


def _path(handle: int) -> Path:
    return Path(f"/proc/self/fd/{handle}").readlink()


@pytest.mark.parametrize("cut", ["works", "cut", "sync of the cut"])
@pytest.mark.parametrize("failing", ["alarms", "events"])
async def test_an_event_that_was_refused_takes_no_number_from_another_after_a_power_cut(
    tmp_path: Path, failing: str, cut: str
) -> None:
    disk, now = CutDisk(), Clock()
    async with outbox_in(tmp_path, now=now, files=disk, overflow="refuse-newest") as outbox:
        assert await outbox.put(record(1)) == 1
        disk.fails = {failing, cut}
        with pytest.raises(OutboxUnavailable):
            await outbox.put_all([record(2), alarm("T-2")])
        disk.fails.clear()
        await outbox.put(alarm("T-3"))
        await outbox.put(record(3))
        status = await outbox.status()
        assert (status.pending, status.accepted) == (3, 3 + status.dropped)
        assert (status.dropped > 0) == (cut != "works")
        disk.cut_power(outbox.path, tmp_path / "copy" / "outbox")
    async with outbox_in(tmp_path / "copy", now=now) as outbox:
        assert await drain(outbox, now()) == ["T-3:1", "uuid-1", "uuid-3"]
        assert (await outbox.status()).dropped == status.dropped
        await assert_the_ledger_adds_up(outbox)


async def test_a_new_event_is_synced_and_what_became_of_it_is_not(tmp_path: Path, disk: SmallDisk) -> None:
    async with outbox_in(tmp_path, now=(now := Clock()), files=disk) as outbox:
        await outbox.put(record(1))
        disk.syncs = 0
        await outbox.put(record(2))
        assert disk.syncs == 1
        claimed = await outbox.claim(2, now=now())
        await outbox.settle([(event.id, Done()) for event in claimed])
        assert disk.syncs == 1
        await outbox.subscribe(SUBSCRIPTION)
        assert disk.syncs > 1


class OnceUnsynced(Files):
    """A disk that fails one sync of a file of the state, and says from then on what happens."""

    def __init__(self) -> None:
        self.is_due = False
        self.events: list[str] = []

    def create(self, path: Path) -> int:
        self._note("begun", path)
        return super().create(path)

    def remove(self, path: Path) -> None:
        if path.suffix == ".events":
            self._note("deleted", path)
        super().remove(path)

    def sync(self, handle: int) -> None:
        super().sync(handle)
        if self.is_due and "state-" in _path(handle).name:
            self.is_due = False
            self.events = ["failed"]
            raise OSError(errno.EIO, "EIO")

    def _note(self, what: str, path: Path) -> None:
        if self.events and (what == "deleted" or "state-" in path.name):
            self.events.append(what)


async def test_after_a_sync_of_the_state_that_failed_nothing_is_deleted_until_another_file_is_begun(
    tmp_path: Path,
) -> None:
    disk, now = OnceUnsynced(), Clock()
    async with outbox_in(tmp_path, now=now, files=disk, history_events=0, capacity_bytes=1_000_000) as outbox:
        for number in range(20):
            await outbox.put(record(number, image=bytes(9000)))
        disk.is_due = True
        assert len(await drain(outbox, now())) == 20
        await outbox.put(record(20))
        assert disk.events[:3] == ["failed", "begun", "deleted"]
        assert (await outbox.status()).storage_error is None


def test_a_file_of_the_state_whose_sync_failed_takes_nothing_more(tmp_path: Path, disk: SmallDisk) -> None:
    log = StateLog(Folder.open(tmp_path / "outbox", files=disk), 0)
    log.begin({})
    disk.error = errno.EIO
    with pytest.raises(OSError, match="error"):
        log.write([], sync=True)
    disk.error = None
    with pytest.raises(OSError, match="error"):
        log.write([], sync=True)
    assert not log.is_clean
    log.begin({})
    log.write([], sync=True)
    assert log.is_clean
    log.close()


def test_a_kill_between_records_and_alarms_counts_no_event_that_was_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = Contents(tmp_path / "open", settings=SETTINGS, files=Files(), now=Clock())
    assert contents.put([[NewEvent.of(record(1)), NewEvent.of(alarm("T-0"))]]) == [[1, 2]]
    contents.flush()
    contents.tidy()
    true = JournalWriter.append

    def append(self: JournalWriter, bodies: Sequence[bytes]) -> Position:
        if self.stream.endswith("alarms"):
            shutil.copytree(tmp_path / "open", tmp_path / "killed")
        return true(self, bodies)

    monkeypatch.setattr(JournalWriter, "append", append)
    events = [[NewEvent.of(one)] for one in (record(2), alarm("T-1"), alarm("T-2"), record(3))]
    assert contents.put(events) == [[3], [4], [5], [6]]
    contents.close()
    for _ in range(2):
        killed = Contents(tmp_path / "killed", settings=SETTINGS, files=Files(), now=Clock())
        status = killed.status()
        assert (status.accepted, status.pending, status.dropped, status.delivered) == (4, 4, 0, 0)
        killed.close()
    killed = Contents(tmp_path / "killed", settings=SETTINGS, files=Files(), now=Clock())
    assert killed.put([[NewEvent.of(record(4))]]) == [[7]]
    killed.close()


def test_a_write_of_which_a_power_cut_took_the_middle_counts_no_event_that_was_not_taken(
    tmp_path: Path,
) -> None:
    contents = Contents(tmp_path / "open", settings=SETTINGS, files=Files(), now=Clock())
    assert contents.put([[NewEvent.of(record(1, image=KB))]]) == [[1]]
    contents.flush()
    shutil.copytree(tmp_path / "open", tmp_path / "cut")
    assert contents.put([[NewEvent.of(record(number, image=KB)) for number in (2, 3, 4)]]) == [[2, 3, 4]]
    (segment,) = contents._segments.all
    data = bytearray(segment.path.read_bytes())
    start, end = segment.columns.starts[2], segment.columns.ends[2]
    data[start:end] = bytes(end - start)
    (tmp_path / "cut" / segment.path.name).write_bytes(data)
    contents.close()
    for _ in range(2):
        left = Contents(tmp_path / "cut", settings=SETTINGS, files=Files(), now=Clock())
        status = left.status()
        assert (status.accepted, status.pending, status.dropped, status.set_aside) == (3, 3, 0, 0)
        left.close()


@pytest.mark.parametrize("is_stopped", [False, True], ids=["power cut", "stopped"])
def test_operations_that_were_not_synced_are_no_damage_where_a_power_cut_took_them(
    tmp_path: Path, is_stopped: bool
) -> None:
    contents = Contents(tmp_path / "open", settings=SETTINGS, files=Files(), now=Clock())
    contents.put([[NewEvent.of(record(number)) for number in (1, 2, 3)]])
    ends = []
    for number in (1, 2, 3):
        contents.claim(1, 0.0)
        contents.settle([(number, Done())])
        contents.flush()
        last = max(contents.path.glob("state-*"))
        ends.append(last.stat().st_size)
    if is_stopped:
        contents.close()
    shutil.copytree(tmp_path / "open", tmp_path / "cut")
    data = bytearray(last.read_bytes())
    data[ends[0] : ends[1]] = bytes(ends[1] - ends[0])
    (tmp_path / "cut" / last.name).write_bytes(data)
    contents.close()
    left = Contents(tmp_path / "cut", settings=SETTINGS, files=Files(), now=Clock())
    status = left.status()
    assert (status.accepted, status.delivered, status.pending, status.dropped) == (3, 2, 1, 0)
    assert status.set_aside == int(is_stopped)
    left.close()


def test_a_file_that_cannot_be_opened_once_more_costs_no_event_that_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = Contents(tmp_path, settings=SETTINGS, files=Files(), now=Clock())
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing(OSError(errno.EMFILE, "too many open files")))
        assert contents.put([[NewEvent.of(record(1))], [NewEvent.of(alarm())]]) == [[1], [2]]
    assert [event.id for event in contents.claim(5, 0.0)[0]] == [2, 1]
    contents.close()


def test_a_start_on_a_full_disk_says_that_it_is_full(tmp_path: Path, disk: SmallDisk) -> None:
    folder = tmp_path / "outbox"
    folder.mkdir()
    Contents(folder, settings=SETTINGS, files=disk, now=Clock()).close()
    disk.error = errno.ENOSPC
    contents = Contents(folder, settings=SETTINGS, files=disk, now=Clock())
    contents.release(None)
    contents.try_again()
    with pytest.raises(OutboxUnavailable, match="the disk is full"):
        contents.subscribe(SUBSCRIPTION)
    assert "the disk is full" in str(contents.status().storage_error)
    disk.error = None
    contents.subscribe(SUBSCRIPTION)
    contents.try_again()
    assert contents.status().storage_error is None
    contents.close()


async def test_an_event_costs_its_own_bytes_once(tmp_path: Path, disk: SmallDisk) -> None:
    image = bytes(30_000)
    async with outbox_in(tmp_path, now=(now := Clock()), files=disk) as outbox:
        disk.written = 0
        for number in range(200):
            await outbox.put(record(number, image=image))
            claimed = await outbox.claim(8, now=now())
            await outbox.settle([(event.id, Done()) for event in claimed])
        size = (await outbox.status()).history_bytes
    assert size > 200 * 30_000
    assert disk.written < 1.03 * size


async def test_what_waits_together_is_done_in_an_order_that_loses_no_time(tmp_path: Path) -> None:
    """A claim that is handed over with an event finds it."""
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        go = threading.Event()
        holding = outbox._writer.submit(lambda contents: go.wait(30))
        claim = asyncio.ensure_future(outbox.claim(1, now=now()))
        putting = asyncio.ensure_future(outbox.put(alarm()))
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(holding, putting)
        assert [event.id for event in await claim] == [1]


async def test_everything_that_was_handed_over_is_finished_before_it_closes(writer: Writer) -> None:
    waiting = [put(writer, number) for number in range(400)]
    await writer.close()
    assert [await one for one in waiting] == [[number] for number in range(1, 401)]
    with pytest.raises(OutboxUnavailable, match="closed"):
        await put(writer, 1)


@pytest.mark.parametrize("step", ["flush", "tidy", "try_again"])
async def test_a_defect_in_what_the_thread_does_by_itself_does_not_end_it(
    tmp_path: Path, disk: SmallDisk, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder := tmp_path / "outbox").mkdir()
    monkeypatch.setattr(writer_module, "RETRY_S", 0.0)
    contents = Contents(folder, settings=SETTINGS, files=disk, now=Clock())
    writer, failed = Writer(contents), threading.Event()

    def fail() -> None:
        failed.set()
        raise MemoryError

    try:
        with monkeypatch.context() as defect:
            defect.setattr(contents, step, fail)
            if step == "try_again":
                disk.error = errno.ENOSPC
                with pytest.raises(OutboxUnavailable):
                    await put(writer, 1)
            else:
                assert await put(writer, 1) == [1], "it is on disk"
            assert await asyncio.to_thread(failed.wait, 30)
            if step == "flush":
                with pytest.raises(MemoryError):
                    await writer.submit(lambda contents: contents.status())
        disk.error = None
        (number,) = await put(writer, 2)
        assert await accepted(writer) == number
    finally:
        disk.error = None
        await writer.close()
