"""Bytes that are not what was written: the terminal starts, loses what was hit, says so, and records on."""

import asyncio
import errno
import itertools
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct
from structlog.testing import capture_logs
from tests.terminal.outbox_kit import (
    SUBSCRIPTION,
    Clock,
    SmallDisk,
    alarm,
    assert_the_ledger_adds_up,
    drain,
    outbox_in,
    put_many,
    record,
    settle_all,
)

from gatepost.errors import OutboxOfAnotherTerminal, OutboxUnavailable
from gatepost.journal.files import Files
from gatepost.journal.format import HEADER_BYTES, Framing, decode_header
from gatepost.retry import DeadLetter
from gatepost.terminal.outbox.contents import READ_AGAIN_S, READS
from gatepost.terminal.outbox.outbox import Outbox, State
from gatepost.terminal.outbox.reader import Reader
from gatepost.terminal.outbox.segments.set_aside import MOST_FILES, Aside
from gatepost.terminal.outbox.state.owner import Owner, read_owner
from gatepost.wire import Subscription

NOT_DATA = ("lock", "reserve")
"""Files without content."""


class Harm(Struct, frozen=True):
    """What is done to a file: a byte flipped, or everything from an offset on zeroed or cut off."""

    file: str
    offset: int
    kind: str

    def do(self, folder: Path) -> None:
        path = folder / self.file
        data = bytearray(path.read_bytes())
        if self.kind == "flip":
            data[self.offset] ^= 0x40
        elif self.kind == "zero":
            data[self.offset :] = bytes(len(data) - self.offset)
        else:
            del data[self.offset :]
        path.write_bytes(data)

    def hits(self, start: int, end: int) -> bool:
        return start <= self.offset < end if self.kind == "flip" else end > self.offset


class Small(Struct, frozen=True):
    """An outbox that was stopped, and what is in it."""

    folder: Path
    places: dict[str, tuple[str, int, int]]
    """File, begin and end of each event that waits or is a dead letter."""
    accepted: int
    dropped: int

    def files(self) -> Iterator[Path]:
        return (file for file in sorted(self.folder.iterdir()) if file.name not in NOT_DATA)


async def fill(folder: Path, *, count: int, image: int, **settings: object) -> Small:
    """Two lives: some of what came first was delivered, dropped, and is dead; the rest waits."""
    now = Clock()
    async with outbox_in(folder, now=now, capacity=count, **settings) as outbox:
        await put_many(outbox, count // 2, image=bytes(image))
        await outbox.put(alarm("T-1", 1))
        await settle_all(outbox, (await outbox.claim(3, now=now()))[:2])
        await outbox.release()
        await settle_all(outbox, await outbox.claim(1, now=now()), DeadLetter("code 500"))
    async with outbox_in(folder, now=now, capacity=count, **settings) as outbox:
        await put_many(outbox, count - count // 2 + 3, first=1000, image=bytes(image))
        await outbox.put(alarm("T-1", 2))
        status = await outbox.status()
        assert (status.delivered, status.dead, status.dropped > 0) == (2, 1, True)
    return Small(folder / "outbox", places_of(folder / "outbox"), status.accepted, status.dropped)


def places_of(folder: Path) -> dict[str, tuple[str, int, int]]:
    reader = Reader(folder)
    return {
        name_of(stored.body): (segment.path.name, segment.columns.starts[at], segment.columns.ends[at])
        for segment in reader._segments
        for at in range(len(segment.columns))
        if (stored := reader._read(segment, at)) is not None and stored.state is not State.DELIVERED
    }


def name_of(line: bytes) -> str:
    data = json.loads(line)["data"]
    return data.get("uuid") or f"{data['trace_id']}:{data['status']}"


async def assert_it_goes_on(small: Small, folder: Path, harms: list[Harm], *, exactly: bool = True) -> None:
    """Open what was harmed, record, and deliver everything: only what was hit is missing, and is counted."""
    hit = {
        name
        for name, (file, start, end) in small.places.items()
        if any(harm.file == file and harm.hits(start, end) for harm in harms)
    }
    with capture_logs():
        exported = {name_of(stored.body) for stored in Reader(folder).step(tuple(State), 0)}
        now = Clock(1_700_001_000.0)
        outbox = await Outbox.open(folder, now=now)
        if outbox.current_subscription is None:  # all three files that it stands in are damaged
            hit_files = {harm.file for harm in harms}
            assert "owner" in hit_files
            assert len([file for file in hit_files if file.startswith("state-")]) > 1
            await outbox.subscribe(SUBSCRIPTION)
        assert await outbox.put(record(5000)) == small.accepted + 1
        await outbox.retry_dead()
        arrived = set(await drain(outbox, now()))
        status = await outbox.status()
        await assert_the_ledger_adds_up(outbox)
        await outbox.close()
    assert small.places.keys() - hit <= arrived
    assert "uuid-5000" in arrived
    assert status.pending == status.dead == 0
    if exactly:
        assert small.places.keys() - hit <= exported
        damaged = sum(drop.count for drop in status.drops if drop.reason == "damaged")
        assert status.dropped - damaged <= small.dropped, (
            "where that they were dropped was damaged, they arrived"
        )
        assert len(hit - arrived) <= damaged <= len(hit) + 2, (
            "delivered events of a damaged file may be among them"
        )


def all_harms(small: Small) -> Iterator[Harm]:
    for file in small.files():
        for offset in range(file.stat().st_size):
            for kind in ("flip", "zero", "cut"):
                yield Harm(file.name, offset, kind)


def copied(small: Small, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(small.folder, to)
    return to


async def test_a_page_that_is_lost_of_an_open_segment_costs_the_events_in_it(tmp_path: Path) -> None:
    async with outbox_in(tmp_path / "open") as outbox:
        await put_many(outbox, 30, image=bytes(1000))
        shutil.copytree(tmp_path / "open" / "outbox", tmp_path / "killed" / "outbox")
    (segment,) = (tmp_path / "killed" / "outbox").glob("*-records-*.events")
    with segment.open("r+b") as file:
        file.write(bytes(4096))
    with capture_logs():
        async with outbox_in(tmp_path / "killed") as outbox:
            status = await outbox.status()
            assert (status.accepted, status.dropped + status.pending) == (30, 30)
            assert 1 <= status.dropped <= 4
            assert len(await drain(outbox, Clock()())) == status.pending
            await assert_the_ledger_adds_up(outbox)


async def test_any_byte_of_any_file_may_be_damaged(tmp_path: Path) -> None:
    small = await fill(tmp_path, count=6, image=60)
    harms = list(all_harms(small))
    for harm in random.Random(16).sample(harms, 150):
        folder = copied(small, tmp_path / "harmed" / "outbox")
        harm.do(folder)
        try:
            await assert_it_goes_on(small, folder, [harm])
        except BaseException as error:
            error.add_note(str(harm))
            raise


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(4))
async def test_every_byte_of_every_file_may_be_damaged(tmp_path: Path, part: int) -> None:
    small = await fill(tmp_path, count=6, image=60)
    for harm in itertools.islice(all_harms(small), part, None, 4):
        folder = copied(small, tmp_path / "harmed" / "outbox")
        harm.do(folder)
        try:
            await assert_it_goes_on(small, folder, [harm])
        except BaseException as error:
            error.add_note(str(harm))
            raise


@pytest.mark.parametrize("seed", range(6))
async def test_much_of_a_large_outbox_may_be_damaged(tmp_path: Path, seed: int) -> None:
    rand = random.Random(seed)
    small = await fill(tmp_path, count=400, image=2_000, capacity_bytes=1_000_000)
    files = [file for file in small.files() if file.stat().st_size]
    harms = []
    for _ in range(12):
        file = rand.choice(files)
        kind = rand.choice(("flip", "flip", "flip", "flip", "zero", "cut"))
        harms.append(Harm(file.name, rand.randrange(file.stat().st_size), kind))
    folder = copied(small, tmp_path / "harmed" / "outbox")
    for harm in harms:
        if harm.offset < (folder / harm.file).stat().st_size:  # an earlier one may have cut it off
            harm.do(folder)
    await assert_it_goes_on(small, folder, harms, exactly=False)


async def test_what_is_damaged_before_the_first_alarm_does_not_count_as_delivered(tmp_path: Path) -> None:
    async with outbox_in(tmp_path / "first") as outbox:
        await put_many(outbox, 20, image=bytes(900))
        await outbox.put(alarm())
        shutil.copytree(outbox.path, tmp_path / "copy" / "outbox")
    folder = tmp_path / "copy" / "outbox"
    places = places_of(folder)
    for file, start in [
        *((file, start + 100) for file, start, _ in (places["uuid-5"], places["uuid-6"], places["uuid-9"])),
        (max(folder.glob("state-*")).name, HEADER_BYTES + 20),
    ]:
        data = bytearray((folder / file).read_bytes())
        data[start] ^= 1
        (folder / file).write_bytes(data)
    with capture_logs() as logs:
        async with outbox_in(tmp_path / "copy") as outbox:
            status = await outbox.status()
    assert {"outbox.damaged", "outbox.events_lost"} <= {line["event"] for line in logs}
    assert (status.accepted, status.delivered, status.pending, status.dropped) == (21, 0, 18, 3)


@pytest.mark.parametrize("kind", ["cut", "zero"])
async def test_delivered_events_do_not_count_as_damaged_where_the_end_of_the_state_is_missing(
    tmp_path: Path, kind: str
) -> None:
    settings = {"history_events": 0, "capacity_bytes": 1_000_000}
    async with outbox_in(tmp_path / "open", now=(now := Clock()), **settings) as outbox:
        for number in range(20):
            await outbox.put(record(number, image=bytes(9000)))
            await outbox.put(alarm(f"T-{number}"))
        contents = outbox._writer._contents
        contents._segments.finish(0)  # so that no alarm is left from which to tell that others are deleted
        for _ in range(5):
            await settle_all(outbox, await outbox.claim(8, now=now()))
        await outbox.put(record(20))
        shutil.copytree(outbox.path, tmp_path / "killed")
        assert not list(outbox.path.glob("*-alarms-*.events"))
        assert len(list(outbox.path.glob("*.events"))) < 3
    state = max((tmp_path / "killed").glob("state-*"))
    header = decode_header(state.read_bytes())
    frames = Framing(header.seed).scan(state.read_bytes()[HEADER_BYTES:], HEADER_BYTES, is_end=True).frames
    assert len(frames) > 10
    for frame in frames[1:]:
        folder = tmp_path / "harmed" / "outbox"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "killed", folder)
        Harm(state.name, frame.start, kind).do(folder)
        with capture_logs():
            async with outbox_in(tmp_path / "harmed", now=now, **settings) as outbox:
                status = await outbox.status()
                assert (status.accepted, status.dropped) == (41, 0)
                assert await outbox.put(record(5000)) == 42
                await assert_the_ledger_adds_up(outbox)


async def test_a_damaged_file_of_the_state_is_set_aside(tmp_path: Path) -> None:
    async with outbox_in(tmp_path) as outbox:
        await put_many(outbox, 3)
    state = max((tmp_path / "outbox").glob("state-*"))
    Harm(state.name, HEADER_BYTES + 20, "flip").do(tmp_path / "outbox")
    bad = state.read_bytes()
    with capture_logs():
        for _ in range(3):
            async with outbox_in(tmp_path) as outbox:
                (aside,) = outbox.path.glob("damaged-*")
                status = await outbox.status()
                assert (status.set_aside, status.set_aside_bytes, status.pending) == (1, len(bad), 3)
    assert not state.exists()
    assert (aside.name, aside.read_bytes()) == (f"damaged-{state.name}-0", bad)


async def test_of_whole_segments_that_are_damaged_the_newest_are_kept_within_a_bound(tmp_path: Path) -> None:
    settings = {"capacity_bytes": 1_000_000}
    async with outbox_in(tmp_path, **settings) as outbox:
        await put_many(outbox, 60, image=bytes(9000))
    segments = sorted((tmp_path / "outbox").glob("*.events"))
    assert len(segments) > 6
    for segment in segments:
        Harm(segment.name, 0, "zero").do(tmp_path / "outbox")
        segment.with_suffix(".index").unlink()
    with capture_logs():
        async with outbox_in(tmp_path, **settings) as outbox:
            status = await outbox.status()
            kept = sorted(outbox.path.glob("damaged-*"))
    assert 2 <= len(kept) == status.set_aside < len(segments)
    assert status.set_aside_bytes == sum(file.stat().st_size for file in kept) <= 4 * 65_536
    assert status.set_aside_gone == len(segments) - len(kept)
    assert [file.name[8:-2] for file in kept] == [segment.name for segment in segments[-len(kept) :]]


def test_of_more_pieces_than_are_kept_the_oldest_go_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100))
    aside = Aside(tmp_path, Files(), most_bytes=1_000)
    for start in range(10, MOST_FILES + 30):
        aside.take_part(tmp_path / "file", start, start + 1)
    assert aside.count() == (MOST_FILES, MOST_FILES)
    assert aside.gone == 20
    kept = {int(file.name.rpartition("-")[2]) for file in tmp_path.glob("damaged-*")}
    assert kept == set(range(30, 30 + MOST_FILES))
    while aside.drop_oldest():
        pass
    assert (aside.count(), aside.gone) == ((0, 0), 20 + MOST_FILES)


async def test_damage_is_set_aside_and_said(tmp_path: Path) -> None:
    async with outbox_in(tmp_path) as outbox:
        await put_many(outbox, 3)
    (segment,) = (tmp_path / "outbox").glob("*.events")
    _, start, end = places_of(tmp_path / "outbox")["uuid-2"]
    Harm(segment.name, start + 40, "flip").do(tmp_path / "outbox")
    bad = segment.read_bytes()[start:end]
    with capture_logs() as logs:
        async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
            assert await drain(outbox, now()) == ["uuid-1", "uuid-3"]
            (drop,) = (await outbox.status()).drops
    assert (drop.reason, drop.count, drop.first_id) == ("damaged", 1, 2)
    assert "outbox.events_lost" in [line["event"] for line in logs]
    (aside,) = (tmp_path / "outbox").glob("damaged-*")
    assert aside.read_bytes() == bad


async def test_of_a_folder_without_its_id_and_state_everything_is_exported_and_delivered(
    tmp_path: Path,
) -> None:
    async with outbox_in(tmp_path) as outbox:
        await put_many(outbox, 3)
    for file in (tmp_path / "outbox").iterdir():
        if file.suffix != ".events":
            file.unlink()
    with capture_logs():
        assert len(Reader(tmp_path / "outbox").step([State.PENDING], 0)) == 3
        async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
            assert await drain(outbox, now()) == ["uuid-1", "uuid-2", "uuid-3"]


async def test_of_a_file_with_the_id_that_the_disk_does_not_give_the_others_know_the_id(
    tmp_path: Path,
) -> None:
    async with outbox_in(tmp_path) as outbox:
        await put_many(outbox, 3)
    (tmp_path / "outbox" / "journal").unlink()
    (tmp_path / "outbox" / "journal").mkdir()
    with capture_logs():
        assert len(Reader(tmp_path / "outbox").step([State.PENDING], 0)) == 3
        async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
            assert await drain(outbox, now()) == ["uuid-1", "uuid-2", "uuid-3"]


@pytest.mark.parametrize("is_there", [True, False])
async def test_events_of_a_folder_of_which_only_the_indexes_tell_the_id_are_read(
    tmp_path: Path, is_there: bool
) -> None:
    async with outbox_in(tmp_path) as outbox:
        await put_many(outbox, 3)
    folder = tmp_path / "outbox"
    for file in folder.iterdir():
        if file.suffix == ".events":
            file.write_bytes(bytes(HEADER_BYTES) + file.read_bytes()[HEADER_BYTES:])
        elif file.suffix != ".index":
            file.unlink()
    if is_there:
        (folder / "journal").mkdir()
    for is_rescue in (True, False):
        found = Reader(folder, is_rescue=is_rescue).step([State.PENDING], 0)
        assert [name_of(one.body) for one in found] == [f"uuid-{number}" for number in (1, 2, 3)]


def test_a_rescue_of_nothing_says_why(tmp_path: Path) -> None:
    with pytest.raises(OutboxUnavailable, match="nothing is in it"):
        Reader(tmp_path, is_rescue=True)


async def test_what_the_disk_does_not_give_at_a_start_is_damaged_and_the_terminal_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with outbox_in(tmp_path) as outbox:
        await put_many(outbox, 3, image=b"x" * 10_000)
    _, start, end = places_of(tmp_path / "outbox")["uuid-2"]
    for file in (tmp_path / "outbox").glob("*.index"):
        file.unlink()
    read = os.pread

    def pread(handle: int, size: int, offset: int) -> bytes:
        bad = (start + end) // 2
        if Path(f"/proc/self/fd/{handle}").readlink().suffix == ".events" and offset <= bad < offset + size:
            raise OSError(5, "Input/output error")
        return read(handle, size, offset)

    monkeypatch.setattr(os, "pread", pread)
    with capture_logs():
        async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
            assert await drain(outbox, now()) == ["uuid-1", "uuid-3"]
            assert (await outbox.status()).dropped == 1


async def test_an_event_that_the_disk_does_not_give_waits_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 2)

        def fail(number: int) -> bytes | None:
            if number == 1:
                raise OSError(5, "Input/output error")
            return read(number)

        segments = outbox._writer._contents._segments
        read = segments.read
        monkeypatch.setattr(segments, "read", fail)
        assert await drain(outbox, now()) == ["uuid-2"]
        assert "Input/output error" in str((await outbox.status()).last_error)
        monkeypatch.undo()
        now.at += 60
        assert await drain(outbox, now()) == ["uuid-1"]
        await asyncio.sleep(0)


@pytest.mark.parametrize("lost", [4096, None], ids=["the first pages", "all"])
async def test_where_both_files_of_the_state_are_lost_address_and_serial_are_known(
    tmp_path: Path, lost: int | None
) -> None:
    now = Clock()
    outbox = await Outbox.open(tmp_path / "outbox", now=now, serial="SN1")
    await outbox.subscribe(Subscription("http://192.0.2.1/old", True))
    await outbox.subscribe(Subscription("http://192.0.2.1/new", False))
    await outbox.put(record(1))
    await outbox.close()
    states = list((tmp_path / "outbox").glob("state-*"))
    assert len(states) == 2
    for state in states:
        content = state.read_bytes()
        state.write_bytes(bytes(len(content[:lost])) + content[len(content[:lost]) :])
    with capture_logs():
        with pytest.raises(OutboxOfAnotherTerminal, match="belongs to terminal SN1"):
            await Outbox.open(tmp_path / "outbox", now=now, serial="SN2")
        for _ in range(2):  # the second start finds it in the state again
            outbox = await Outbox.open(tmp_path / "outbox", now=now, serial="SN1")
            assert outbox.current_subscription == Subscription("http://192.0.2.1/new", False)
            assert (await outbox.status()).pending == 1
            await outbox.close()
            (tmp_path / "outbox" / "owner").unlink(missing_ok=True)
    async with outbox_in(tmp_path, now=now, subscribed=False) as outbox:
        assert outbox.current_subscription == Subscription("http://192.0.2.1/new", False)
        assert (outbox.path / "owner").exists()


async def test_a_file_with_address_and_serial_that_cannot_be_written_is_no_older_one(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path)
    async with outbox_in(tmp_path, files=disk) as outbox:
        assert read_owner(outbox.path).event_dest == SUBSCRIPTION.event_dest
        create = disk.create

        def full(path: Path) -> int:
            if path.name == "owner":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return create(path)

        disk.create = full  # type: ignore[method-assign]
        await outbox.subscribe(Subscription("http://192.0.2.1/new", True))
        assert read_owner(outbox.path) == Owner()


@pytest.mark.parametrize(("number", "is_lost"), [(errno.EIO, True), (errno.EMFILE, False)])
async def test_an_alarm_on_a_bad_sector_lets_the_next_of_its_trace_go_after_some_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_lost: bool
) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await outbox.put(alarm("T-1", 1))
        await outbox.put(alarm("T-1", 3))
        _, start, end = places_of(outbox.path)["T-1:1"]
        read = os.pread

        def pread(handle: int, size: int, offset: int) -> bytes:
            if offset <= (start + end) // 2 < offset + size:
                raise OSError(number, os.strerror(number))
            return read(handle, size, offset)

        monkeypatch.setattr(os, "pread", pread)
        arrived = []
        with capture_logs() as logs:
            for minute in range(20):
                arrived += [(name, minute) for name in await drain(outbox, now())]
                now.at += READ_AGAIN_S
        status = await outbox.status()
        monkeypatch.undo()
        assert arrived == ([("T-1:3", READS - 1)] if is_lost else [])
        assert [(drop.reason, drop.lane, drop.count) for drop in status.drops] == (
            [("damaged", "alarms", 1)] if is_lost else []
        )
        assert ("outbox.events_lost" in [line["event"] for line in logs]) == is_lost
        assert await drain(outbox, now()) == ([] if is_lost else ["T-1:1", "T-1:3"])
        await assert_the_ledger_adds_up(outbox)


@pytest.mark.parametrize("whole", ["the indexes", "the mark and the indexes of records"])
async def test_where_each_first_page_is_lost_the_indexes_tell_whose_the_events_are(
    tmp_path: Path, whole: str
) -> None:
    async with outbox_in(tmp_path) as outbox:
        await put_many(outbox, 40, image=bytes(3000))
        await outbox.put(alarm())
    folder = tmp_path / "outbox"
    for file in [folder / "journal", *folder.glob("state-*"), *folder.glob("*.events")]:
        content = file.read_bytes()
        file.write_bytes(bytes(min(1024, len(content))) + content[1024:])
    lost = 0
    if whole != "the indexes":
        lost = 1
        next(folder.glob("*alarms*.index")).unlink()
    before = len(Reader(folder, is_rescue=True).step(tuple(State), 0))
    assert before == 41 - lost
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        status = await outbox.status()
        assert status.pending == before
        assert len(await drain(outbox, now())) == before
