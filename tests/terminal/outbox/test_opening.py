"""The folder: versions, strangers, locks."""

import errno
import os
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs
from tests.terminal.outbox_kit import JPEG, Clock, drain, name, outbox_in, put_many, record, settle_all

from gatepost.errors import OutboxCorrupt, OutboxInUse, OutboxTooNew, OutboxTooOld, OutboxUnavailable
from gatepost.journal import format as journal_format
from gatepost.journal.files import Files
from gatepost.terminal.outbox.opening import Lock
from gatepost.terminal.outbox.outbox import Outbox, State
from gatepost.terminal.outbox.reader import Reader, status_of_stopped
from gatepost.terminal.outbox.segments.scan import Scanned
from gatepost.terminal.outbox.state import log as state_log
from gatepost.terminal.outbox.state import state


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name != "lock"
    }


async def test_an_outbox_of_an_earlier_version_is_refused_with_a_sentence_and_untouched(
    tmp_path: Path,
) -> None:
    db = sqlite3.connect(tmp_path / "outbox.db")
    db.execute("CREATE TABLE entry (seq INTEGER)")
    db.close()
    before = content(tmp_path)
    with pytest.raises(OutboxTooOld, match=r"earlier gatepost.*let that version deliver"):
        await Outbox.open(tmp_path / "outbox")
    with pytest.raises(OutboxTooOld):
        Reader(tmp_path / "outbox")
    assert content(tmp_path) == before


@pytest.mark.parametrize("what", ["segment", "state", "checkpoint"])
async def test_an_outbox_of_a_later_version_is_refused_with_a_sentence_and_untouched(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        if what == "checkpoint":
            later.setattr(state, "VERSION", 2)
        else:
            later.setattr(journal_format, "VERSION", 2)
        async with outbox_in(tmp_path) as outbox:
            await outbox.put(record())
    if what == "segment":
        for file in [*(tmp_path / "outbox").glob("state-*"), *(tmp_path / "outbox").glob("*.index")]:
            file.unlink()
    before = content(tmp_path)
    with pytest.raises(OutboxTooNew, match="written by a later gatepost"):
        await Outbox.open(tmp_path / "outbox")
    assert content(tmp_path) == before


@pytest.mark.parametrize("what", ["segment", "state", "checkpoint"])
async def test_a_rescue_reads_the_events_of_a_later_version_and_changes_nothing(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        later.setattr(*((state, "VERSION", 2) if what == "checkpoint" else (journal_format, "VERSION", 2)))
        async with outbox_in(tmp_path) as outbox:
            await put_many(outbox, 3)
    if what == "segment":
        for kind in ("state-*", "deleted", "*.index"):
            for file in (tmp_path / "outbox").glob(kind):
                file.unlink()
    before = content(tmp_path)
    with pytest.raises(OutboxTooNew):
        Reader(tmp_path / "outbox")
    with capture_logs() as logs:
        found = Reader(tmp_path / "outbox", is_rescue=True).step([State.PENDING], 0)
    assert [name(stored) for stored in found] == ["uuid-1", "uuid-2", "uuid-3"]  # type: ignore[arg-type]
    assert ["written by a later gatepost" in line["error"] for line in logs] == [True]
    assert content(tmp_path) == before


async def test_a_file_in_its_place_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_bytes(b"hello" * 1000)
    with pytest.raises(OutboxCorrupt, match="move that file away"):
        await Outbox.open(tmp_path / "outbox")
    assert (tmp_path / "outbox").read_bytes() == b"hello" * 1000


async def test_an_empty_folder_as_after_a_power_cut_at_the_first_start_becomes_an_outbox(
    tmp_path: Path,
) -> None:
    (tmp_path / "outbox").mkdir()
    async with outbox_in(tmp_path) as outbox:
        assert await outbox.put(record()) == 1


def test_a_lock_ends_when_it_is_released(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    with pytest.raises(OutboxInUse, match="give this one its own folder"):
        Lock(tmp_path)
    lock.release()
    lock.release()
    Lock(tmp_path).release()


def test_a_reader_does_not_make_a_folder(tmp_path: Path) -> None:
    with pytest.raises(OutboxUnavailable, match="it is not there"):
        Reader(tmp_path / "outbox")
    assert list(tmp_path.iterdir()) == []


async def test_the_folder_is_made_and_others_may_not_read_the_faces_in_it(tmp_path: Path) -> None:
    async with outbox_in(tmp_path / "a" / "b") as outbox:
        await outbox.put(record())
        modes = {file.name: file.stat().st_mode & 0o077 for file in (tmp_path / "a" / "b").rglob("*")}
    assert modes == dict.fromkeys(modes, 0)
    assert "state-00000002" in modes


async def test_a_start_finds_the_order_of_its_lives_whatever_the_clock_says(tmp_path: Path) -> None:
    now = Clock()
    for life in range(3):
        async with outbox_in(tmp_path, now=now) as outbox:
            await put_many(outbox, 2, first=1 + 2 * life, image=JPEG)
        now.at -= 86_400
    async with outbox_in(tmp_path, now=now) as outbox:
        assert await drain(outbox, now()) == [f"uuid-{number}" for number in range(1, 7)]


async def test_a_start_with_50_000_that_wait_reads_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = Clock()
    async with outbox_in(tmp_path, now=now, capacity_bytes=64_000_000) as outbox:
        for first in range(0, 50_000, 1_000):
            await outbox.put_all([record(number) for number in range(first, first + 1_000)])

    def scan(path: Path, seed: bytes) -> None:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(Scanned, "of", scan)
    async with outbox_in(tmp_path, now=now) as outbox:
        assert [event.id for event in await outbox.claim(8, now=now())] == list(range(1, 9))
        assert (await outbox.status()).pending == 50_000
        assert len(list(outbox.path.glob("*.events"))) >= 3


async def test_the_state_is_taken_from_checkpoint_and_operations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_log, "LEAST_BYTES", 500)
    now = Clock()
    expected: list[Any] = []
    for life in range(4):
        async with outbox_in(tmp_path, now=now, capacity=20, history_events=5) as outbox:
            if life:
                status = msgspec.structs.replace(await outbox.status(), file_bytes=0, capacity_bytes=0)
                assert status == expected[-1]
            await put_many(outbox, 30, first=30 * life)
            await drain(outbox, now())
            await put_many(outbox, 3, first=1000)
            expected.append(msgspec.structs.replace(await outbox.status(), file_bytes=0, capacity_bytes=0))
            files = sorted(file.name for file in outbox.path.glob("state-*"))
            assert len(files) == 2
    assert int(files[-1][6:]) > 5, "more files than starts and subscriptions"


@pytest.mark.parametrize("suffix", ["journal", "state-00000002", ".events", ".index", ".writer"])
async def test_a_file_that_this_user_may_not_read_is_no_damage(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 3)
        await settle_all(outbox, await outbox.claim(2, now=now()))
    before, whole = content(tmp_path), Files.open

    def refuse(files: Files, path: Path, *, writes: bool = False) -> int:
        if path.name.endswith(suffix):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return whole(files, path, writes=writes)

    monkeypatch.setattr(Files, "open", refuse)
    for is_rescue in (False, True):
        with pytest.raises(OutboxUnavailable, match=rf"may not read .*{suffix}.*chown"):
            Reader(tmp_path / "outbox", is_rescue=is_rescue)
    with pytest.raises(OutboxUnavailable, match="chown"):
        await Outbox.open(tmp_path / "outbox")
    assert content(tmp_path) == before
    monkeypatch.undo()
    async with outbox_in(tmp_path) as outbox:
        status = await outbox.status()
        assert (status.accepted, status.delivered, status.pending) == (3, 2, 1)


async def test_a_system_that_opens_no_more_files_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with outbox_in(tmp_path) as outbox:
        await put_many(outbox, 3)

    def refuse(files: Files, path: Path, *, writes: bool = False) -> int:
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    monkeypatch.setattr(Files, "open", refuse)
    with pytest.raises(OutboxUnavailable, match="Too many open files"):
        await Outbox.open(tmp_path / "outbox")


async def test_the_status_of_a_stopped_terminal_is_only_read(tmp_path: Path) -> None:
    async with outbox_in(tmp_path, now=(now := Clock())) as outbox:
        await put_many(outbox, 5)
        await settle_all(outbox, await outbox.claim(2, now=now()))
        with pytest.raises(OutboxInUse, match="another process"):
            status_of_stopped(tmp_path / "outbox")
        before = await outbox.status()
    kept = content(tmp_path)
    after = status_of_stopped(tmp_path / "outbox")
    for field in ("accepted", "delivered", "pending", "dead", "dropped", "history", "bytes", "subscription"):
        assert getattr(after, field) == getattr(before, field), field
    assert content(tmp_path) == kept
    async with outbox_in(tmp_path):
        pass


async def test_what_the_administrator_makes_belongs_to_the_owner_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 12_345, 12_345)
    about = tmp_path.stat()
    given: dict[str, tuple[int, int]] = {}

    def note(handle: int, user: int, group: int) -> None:
        given[Path(f"/proc/self/fd/{handle}").readlink().name] = (user, group)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", note)
    files = Files()
    files.make_folder(tmp_path / "outbox")
    handle = files.create(tmp_path / "state")
    files.close(handle)
    Lock(tmp_path).release()
    assert given == dict.fromkeys(["outbox", "state", "lock"], (about.st_uid, about.st_gid))
