"""What a writer returned for is read once, in order, by whoever keeps the place, and no loss is silent."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.journal.kit import FailingFiles, read_all, remove, write_later_version

from gatepost.errors import JournalCorrupt, JournalTooNew, JournalUnavailable
from gatepost.journal import format as f
from gatepost.journal.folder import Folder
from gatepost.journal.reader import Batch, Reader
from gatepost.journal.streams import ALARMS, START, Backlog, Position, Stream, encode_publication
from gatepost.journal.writer import Writer


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.open(tmp_path / "journal")


@pytest.fixture
def writer(folder: Folder) -> Iterator[Writer]:
    writer = Writer(folder)
    yield writer
    writer.close()


def segments(folder: Folder, writer: Writer) -> list[Path]:
    return sorted(folder.path.glob(f"{writer.stream}-*.events"))


def test_what_was_appended_is_read_in_order_and_once(folder: Folder, writer: Writer) -> None:
    positions: dict[str, Position] = {}
    writer.append([b"one", b"two"])
    assert read_all(folder, positions)[0] == [b"one", b"two"]
    assert read_all(folder, positions)[0] == []
    writer.append([b"three"])
    assert read_all(folder, positions)[0] == [b"three"]
    assert positions == {writer.stream: writer.position}
    assert writer.position.events == 3


def test_the_place_is_the_callers_to_keep(folder: Folder, writer: Writer) -> None:
    """A reader that ends between reading and keeping the place reads the same again."""
    writer.append([b"one", b"two", b"three"])
    reader = Reader(folder, {})
    first = reader.read(max_bodies=2, max_bytes=100)
    assert first.bodies == (b"one", b"two")
    reader.rewind({})
    assert reader.read(max_bodies=2, max_bytes=100) == first
    reader.rewind(first.positions)
    assert reader.read(max_bodies=2, max_bytes=100).bodies == (b"three",)
    reader.close()


def test_limits_of_a_batch(folder: Folder, writer: Writer) -> None:
    writer.append([b"x" * 10] * 5)
    reader = Reader(folder, {})
    assert len(reader.read(max_bodies=3, max_bytes=1000).bodies) == 3
    assert len(reader.read(max_bodies=3, max_bytes=5).bodies) == 1
    assert len(reader.read(max_bodies=3, max_bytes=1000).bodies) == 1
    reader.close()


def test_alarms_overtake_whatever_waits(folder: Folder, writer: Writer) -> None:
    alarms = Writer(folder, ALARMS)
    writer.append([b"record"] * 50)
    reader = Reader(folder, {})
    assert set(reader.read(max_bodies=10, max_bytes=1000).bodies) == {b"record"}
    alarms.append([b"alarm"])
    assert reader.read(max_bodies=10, max_bytes=1000).bodies[0] == b"alarm"
    reader.close()
    alarms.close()


def test_two_writers_share_no_segment(folder: Folder) -> None:
    first, second = Writer(folder), Writer(folder)
    for number in range(20):
        first.append([b"a%d" % number])
        second.append([b"b%d" % number])
    bodies, damages = read_all(folder)
    assert (sorted(bodies), damages) == (
        sorted([b"%s%d" % (name, number) for name in (b"a", b"b") for number in range(20)]),
        [],
    )
    assert first.stream != second.stream
    first.close()
    second.close()


def test_a_segment_is_closed_by_size_and_by_time(folder: Folder) -> None:
    clock = [0.0]
    writer = Writer(folder, segment_bytes=3000, segment_s=60, monotonic=lambda: clock[0])
    for number in range(10):
        writer.append([b"%d" % number + b"x" * 1000])
    by_size = len(segments(folder, writer))
    assert by_size == 5
    clock[0] = 61
    writer.append([b"late"])
    assert len(segments(folder, writer)) == by_size + 1
    assert len(read_all(folder)[0]) == 11
    writer.close()
    assert len(read_all(folder)[0]) == 11


def test_nothing_is_read_before_its_sync(tmp_path: Path) -> None:
    files = FailingFiles()
    folder = Folder.open(tmp_path / "journal", files=files)
    writer = Writer(folder)
    writer.append([b"synced"])
    seen: list[list[bytes]] = []

    def look(handle: int) -> None:
        seen.append(read_all(folder)[0])
        os.fsync(handle)

    files.sync = look  # type: ignore[method-assign]
    writer.append([b"not yet"])
    assert seen == [[b"synced"]]
    assert read_all(folder)[0] == [b"synced", b"not yet"]
    writer.close()


@pytest.mark.parametrize("call", ["write", "sync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_failure_fails_who_waits_and_closes_the_segment(tmp_path: Path, call: str, number: int) -> None:
    files = FailingFiles()
    folder = Folder.open(tmp_path / "journal", files=files)
    writer = Writer(folder)
    writer.append([b"before"])
    files.failing[call] = number
    for _ in range(3):
        with pytest.raises(JournalUnavailable, match="cannot be written"):
            writer.append([b"refused" * 100])
    files.failing.clear()
    files.calls.clear()
    writer.append([b"after"])
    assert files.calls == ["create", "sync", "sync_folder", "sync"], "the failed descriptor was used again"
    assert len(segments(folder, writer)) == 2
    bodies, damages = read_all(folder)
    assert [body for body in bodies if b"refused" not in body] == [b"before", b"after"]
    assert damages == [], "what was cut short was never acknowledged, so it is no damage"
    writer.close()


@pytest.mark.parametrize("is_first_in_segment", [False, True])
def test_an_append_that_is_taken_back_is_not_read_and_the_stream_goes_on(
    folder: Folder, writer: Writer, is_first_in_segment: bool
) -> None:
    place = writer.append([b"before"])
    if is_first_in_segment:
        writer.finish()
        place = writer.position
    writer.append([b"taken back"])
    writer.take_back(place)
    assert writer.append([b"after"]).events == 2
    assert read_all(folder) == ([b"before", b"after"], [])


@pytest.mark.parametrize("call", ["create", "sync_folder"])
def test_no_segment_is_left_where_none_could_be_begun(tmp_path: Path, call: str) -> None:
    files = FailingFiles()
    folder = Folder.open(tmp_path / "journal", files=files)
    writer = Writer(folder)
    files.failing[call] = errno.ENOSPC
    with pytest.raises(JournalUnavailable):
        writer.append([b"refused"])
    assert segments(folder, writer) == []
    files.failing.clear()
    writer.append([b"taken"])
    assert [path.name[-13:] for path in segments(folder, writer)] == ["000001.events"]
    assert read_all(folder) == ([b"taken"], [])
    writer.close()


def test_nothing_is_left_of_a_stream_that_could_not_be_begun(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(handle: int, data: bytes, offset: int) -> None:
        raise OSError(errno.ENOSPC, "ENOSPC")

    before = sorted(folder.path.iterdir())
    monkeypatch.setattr(folder.files, "write", fail)
    for _ in range(3):
        with pytest.raises(JournalUnavailable, match="takes no new file"):
            Writer(folder)
    assert sorted(folder.path.iterdir()) == before


def test_a_segment_that_could_be_neither_begun_nor_deleted_is_begun_when_the_disk_is_back(
    tmp_path: Path,
) -> None:
    files = FailingFiles()
    folder = Folder.open(tmp_path / "journal", files=files)
    writer = Writer(folder)
    files.failing = {"sync": errno.EIO, "remove": errno.EROFS}
    for _ in range(2):
        with pytest.raises(JournalUnavailable):
            writer.append([b"refused"])
    files.failing.clear()
    writer.append([b"taken"])
    assert read_all(folder) == ([b"taken"], [])
    writer.close()


def test_a_damaged_frame_costs_one_event_and_is_told(folder: Folder, writer: Writer) -> None:
    writer.append([b"first", b"second", b"third"])
    writer.append([b"fourth"])
    path = segments(folder, writer)[0]
    data = bytearray(path.read_bytes())
    data[data.index(b"second")] ^= 1
    path.write_bytes(bytes(data))
    for close in (False, True):
        if close:
            writer.close()
        bodies, damages = read_all(folder)
        assert bodies == [b"first", b"third", b"fourth"]
        assert [(damage.stream, damage.segment) for damage in damages] == [(writer.stream, 1)]
        assert b"second"[1:] in data[damages[0].start : damages[0].end]


def test_a_torn_tail_is_no_damage(folder: Folder) -> None:
    """A writer that was killed in the middle of a write: what it had not told anyone may be cut anywhere."""
    writer = Writer(folder)
    synced = writer.append([b"first", b"second"])
    writer.append([b"third"])
    path = segments(folder, writer)[0]
    whole = path.read_bytes()
    os.close(writer._lock)  # as the system does for a process that was killed
    folder.writer_file(writer.stream).write_bytes(encode_publication(synced))
    for cut in range(whole.index(b"third") - 12, len(whole)):
        path.write_bytes(whole[:cut])
        assert read_all(folder) == ([b"first", b"second"], [])
        path.write_bytes(whole[:cut] + bytes(len(whole) - cut + 100))
        assert read_all(folder) == ([b"first", b"second"], [])
    path.write_bytes(whole + b"rest" * 10)
    assert read_all(folder) == ([b"first", b"second", b"third"], [])


def test_a_segment_that_was_cut_short_is_damage(folder: Folder, writer: Writer) -> None:
    for number in range(3):
        writer.append([b"body %d" % number])
    path = segments(folder, writer)[0]
    data = path.read_bytes()
    os.truncate(path, data.index(b"body 2"))
    for close in (False, True):
        if close:
            os.close(writer._lock)
            writer._lock = -1
        bodies, damages = read_all(folder)
        assert bodies == [b"body 0", b"body 1"]
        assert sum(damage.end - damage.start for damage in damages) > 0
        assert damages[-1].end == len(data)


def test_a_segment_that_vanished_is_told_and_the_others_are_read(folder: Folder) -> None:
    writer = Writer(folder, segment_bytes=1)
    for number in range(4):
        writer.append([b"%d" % number])
    for number in (2, 4):
        folder.segment(writer.stream, number).unlink()
    for close in (False, True):
        if close:
            writer.close()
        positions: dict[str, Position] = {}
        bodies, damages = read_all(folder, positions)
        assert bodies == [b"0", b"2"]
        assert [(damage.segment, damage.why) for damage in damages] == [
            (2, "it is gone, and was not read to its end"),
            (4, "it is gone, and was not read to its end"),
        ]


def test_a_stream_that_vanished_is_told_where_it_was_not_at_its_end(folder: Folder, writer: Writer) -> None:
    positions: dict[str, Position] = {}
    writer.append([b"one"])
    assert read_all(folder, positions)[0] == [b"one"]
    for path in [*segments(folder, writer), folder.writer_file(writer.stream)]:
        path.unlink()
    bodies, damages = read_all(folder, positions)
    assert (bodies, [damage.stream for damage in damages]) == ([], [writer.stream])
    assert remove(folder, positions) == 0
    assert positions == {}


def test_a_stream_that_vanished_between_two_segments_is_told_and_one_that_was_removed_is_not(
    folder: Folder, writer: Writer
) -> None:
    other = Writer(folder)
    positions: dict[str, Position] = {}
    for one in (writer, other):
        one.append([b"one"])
        one.finish()
    assert read_all(folder, positions)[0] == [b"one", b"one"]
    assert {place.offset for place in positions.values()} == {0}
    folder.remove(positions)
    other.close()
    folder.writer_file(writer.stream).unlink()
    kept = dict(positions)
    _, damages = read_all(folder, positions)
    assert [(damage.stream, damage.is_gone) for damage in damages] == [(writer.stream, True)]
    kept[other.stream] = positions[other.stream]
    assert kept[other.stream].has_ended
    assert folder.remove({other.stream: positions[other.stream]}).streams == (other.stream,)
    _, damages = read_all(folder, kept)  # as after a kill before the places are forgotten
    assert [damage.stream for damage in damages] == [writer.stream]


def test_a_stream_that_is_looked_at_before_its_writer_has_locked_it_is_read_later(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions: dict[str, Position] = {}
    lock = fcntl.flock
    looks = 0

    def look_first(handle: int, kind: int) -> None:
        nonlocal looks
        if kind == fcntl.LOCK_EX:
            looks += 1
            assert read_all(folder, positions) == ([], [])
            assert positions == {}
        lock(handle, kind)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", look_first)
        writer = Writer(folder)
    assert looks == 1
    writer.append([b"one"])
    writer.close()
    assert read_all(folder, positions) == ([b"one"], [])


@pytest.mark.parametrize("looked_at", ["_names", "_state"])
def test_a_stream_that_begins_while_the_folder_is_looked_at_has_not_ended(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, looked_at: str
) -> None:
    begun: list[Writer] = []
    real = getattr(folder, looked_at)
    unlocked = folder.writer_file("1780000000000-00000000-records")
    if looked_at == "_state":
        unlocked.touch()

    def look(*told: str) -> object:
        found = real(*told)
        if not begun:
            unlocked.unlink(missing_ok=True)
            begun.append(Writer(folder, now=lambda: 1780000000.0, random=bytes))
            begun[0].append([b"one"])
        return found

    monkeypatch.setattr(folder, looked_at, look)
    positions: dict[str, Position] = {}
    bodies, _ = read_all(folder, positions)
    remove(folder, positions)
    begun[0].append([b"two"])
    more, _ = read_all(folder, positions)
    assert (bodies + more, begun[0].position.events) == ([b"one", b"two"], 2)
    begun[0].close()


def test_a_stream_that_began_and_ended_since_it_was_looked_at_keeps_its_writers_file(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(folder)
    looked = Stream(writer.stream, {}, START, is_alive=False)
    writer.append([b"one"])
    writer.close()
    with monkeypatch.context() as patch:
        patch.setattr(folder, "streams", lambda: [looked])
        folder.remove({})
    (stream,) = folder.streams()
    assert stream.published == writer.position


def test_an_emptied_folder_is_another_journal(folder: Folder, writer: Writer) -> None:
    writer.append([b"one"])
    for path in folder.path.iterdir():
        path.unlink()
    assert Folder.open(folder.path).id != folder.id


def test_segments_without_their_id_are_not_touched(folder: Folder, writer: Writer) -> None:
    writer.append([b"one"])
    (folder.path / "journal").write_text("odd")
    with pytest.raises(JournalCorrupt, match="restore that file"):
        Folder.open(folder.path)
    (folder.path / "journal").unlink()
    with pytest.raises(JournalCorrupt, match="restore that file"):
        Folder.open(folder.path)


def test_a_damaged_id_without_segments_is_made_anew(tmp_path: Path) -> None:
    folder = Folder.open(tmp_path / "journal")
    (folder.path / "journal").write_text("")
    again = Folder.open(tmp_path / "journal")
    assert Folder.open(tmp_path / "journal").id == again.id


def test_a_segment_of_another_journal_is_told_and_not_read(folder: Folder, tmp_path: Path) -> None:
    other = Writer(Folder.open(tmp_path / "other"))
    other.append([b"foreign"])
    other.close()
    writer = Writer(folder)
    writer.append([b"own"])
    writer.close()
    source = next((tmp_path / "other").glob("*.events"))
    (folder.path / source.name).write_bytes(source.read_bytes())
    bodies, damages = read_all(folder)
    assert bodies == [b"own"]
    assert [(damage.stream, damage.why[:24]) for damage in damages] == [
        (other.stream, "it belongs to another jo")
    ]


def test_a_stream_of_a_later_version_waits_with_a_sentence_and_the_others_are_read(
    folder: Folder, writer: Writer
) -> None:
    others = Writer(folder, ALARMS), Writer(folder)
    writer.append([b"one"])
    others[0].append([b"alarm"])
    others[1].append([b"two"])
    path = segments(folder, writer)[0]
    before = path.read_bytes()
    write_later_version(path)
    reader = Reader(folder, {})
    batch = reader.read(max_bodies=10, max_bytes=1000)
    assert (batch.bodies, batch.positions.keys()) == (
        (b"alarm", b"two"),
        {other.stream for other in others},
    )
    why = batch.waiting[writer.stream]
    assert isinstance(why, JournalTooNew)
    assert re.fullmatch(
        r"\d+-\w+-records-000001\.events: it has version 2 .* install the later one", str(why)
    )
    assert remove(folder, dict(batch.positions)) == 0
    path.write_bytes(before)
    batch = reader.read(max_bodies=10, max_bytes=1000)
    assert (batch.bodies, batch.waiting) == ((b"one",), {})
    reader.close()
    for other in others:
        other.close()


def test_a_stream_that_the_disk_does_not_return_waits_and_nothing_of_it_is_passed_over(
    folder: Folder, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = Writer(folder, ALARMS)
    alarms.append([b"alarm"])
    writer.append([b"one"])
    read = os.pread

    def failing(handle: int, size: int, offset: int) -> bytes:
        if b"one" in (data := read(handle, size, offset)):
            raise OSError(errno.EIO, "EIO")
        return data

    reader = Reader(folder, {})
    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", failing)
        batch = reader.read(max_bodies=10, max_bytes=1000)
    assert batch.bodies == (b"alarm",)
    assert isinstance(batch.waiting[writer.stream], JournalUnavailable)
    assert str(folder.path) not in str(batch.waiting[writer.stream])
    assert reader.read(max_bodies=10, max_bytes=1000).bodies == (b"one",)
    reader.close()
    alarms.close()


def test_only_what_was_read_is_deleted(folder: Folder) -> None:
    writer = Writer(folder, segment_bytes=1)
    for number in range(4):
        writer.append([b"%d" % number])
    assert remove(folder, {}) == 0
    assert remove(folder, {writer.stream: Position(3, 0, 2)}) == 2
    positions = {writer.stream: Position(3, 0, 2)}
    assert read_all(folder, positions)[0] == [b"2", b"3"]
    assert remove(folder, positions) == 1, "the last one is still written"
    writer.close()
    assert read_all(folder, positions)[0] == []
    assert remove(folder, positions) == 1
    assert [path.name for path in folder.path.iterdir() if writer.stream in path.name] == []
    assert read_all(folder, positions) == ([], [])
    assert positions == {}


def test_a_writer_that_wrote_nothing_leaves_nothing(folder: Folder) -> None:
    writer = Writer(folder)
    remove(folder, {})
    assert folder.writer_file(writer.stream).exists()
    writer.append([b"one"])
    assert read_all(folder)[0] == [b"one"]
    writer.close()
    idle = Writer(folder)
    idle.close()
    positions: dict[str, Position] = {}
    read_all(folder, positions)
    remove(folder, positions)
    assert sorted(path.name for path in folder.path.iterdir()) == ["journal"]


def test_a_segment_that_is_finished_is_read_to_its_end_and_deleted_while_its_writer_lives(
    folder: Folder, writer: Writer
) -> None:
    positions: dict[str, Position] = {}
    writer.append([b"one"])
    read_all(folder, positions)
    assert remove(folder, positions) == 0
    writer.finish()
    assert read_all(folder, positions) == ([], [])
    assert positions == {writer.stream: Position(2, 0, 1)} == {writer.stream: writer.position}
    assert (remove(folder, positions), segments(folder, writer)) == (1, [])
    assert read_all(folder, positions) == ([], [])
    writer.finish()
    assert writer.append([b"two"]).segment == 2
    assert read_all(folder, positions) == ([b"two"], [])
    assert read_all(Folder.open(folder.path), {writer.stream: Position(2, 0, 1)}) == ([b"two"], [])


@pytest.mark.parametrize("has_appended_more", [False, True])
def test_a_reader_that_was_away_reads_what_was_finished(
    folder: Folder, writer: Writer, has_appended_more: bool
) -> None:
    expected = [b"one", b"two"]
    for body in expected:
        writer.append([body])
        writer.finish()
    if has_appended_more:
        expected.append(b"three")
        writer.append([b"three"])
    for close in (False, True):
        if close:
            writer.close()
        positions: dict[str, Position] = {}
        assert read_all(folder, positions, max_bodies=1) == (expected, [])
        assert folder.backlog(positions) == Backlog(0, 0)


def test_finish_where_nothing_was_appended_does_nothing(folder: Folder, writer: Writer) -> None:
    writer.finish()
    writer.finish_if_due()
    assert (writer.position, segments(folder, writer)) == (START, [])
    assert read_all(folder) == ([], [])


@pytest.mark.parametrize("why", ["old", "full"])
def test_a_segment_is_finished_when_it_is_due_though_nothing_is_appended(folder: Folder, why: str) -> None:
    clock = [0.0]
    writer = Writer(folder, segment_bytes=3000, segment_s=60, monotonic=lambda: clock[0])
    synced = writer.append([b"one"])
    clock[0] = 59
    writer.finish_if_due()
    assert writer.position == synced
    if why == "old":
        clock[0] = 60
    else:
        writer.append([b"x" * 3000])
    events = writer.position.events
    writer.finish_if_due()
    assert writer.position == Position(2, 0, events)
    writer.close()


@pytest.mark.parametrize("is_first_in_segment", [False, True])
def test_a_segment_that_failed_is_passed_though_nothing_is_appended(
    folder: Folder, writer: Writer, monkeypatch: pytest.MonkeyPatch, is_first_in_segment: bool
) -> None:
    writer.append([b"one"])
    if is_first_in_segment:
        writer.finish()
    # The header of a segment is synced, too.
    results = [None, OSError(errno.EIO, "EIO")] if is_first_in_segment else [OSError(errno.EIO, "EIO")]

    def sync(handle: int) -> None:
        if results and (error := results.pop(0)) is not None:
            raise error

    with monkeypatch.context() as patched:
        patched.setattr(folder.files, "sync", sync)
        with pytest.raises(JournalUnavailable):
            writer.append([b"refused"])
    positions: dict[str, Position] = {}
    read_all(folder, positions)
    writer.finish_if_due()
    assert read_all(folder, positions)[1] == []
    assert folder.backlog(positions) == Backlog(0, 0)
    remove(folder, positions)
    assert segments(folder, writer) == []
    writer.append([b"after"])
    assert read_all(folder, positions) == ([b"after"], [])


def test_finish_does_not_fail_on_a_full_disk(tmp_path: Path) -> None:
    files = FailingFiles()
    folder = Folder.open(tmp_path / "journal", files=files)
    writer = Writer(folder)
    writer.append([b"one"])
    files.failing["sync"] = errno.ENOSPC
    writer.finish()
    assert read_all(folder) == ([b"one"], [])
    writer.close()


def test_backlog_is_what_is_synced_and_not_read(folder: Folder) -> None:
    records, alarms = Writer(folder, segment_bytes=1000), Writer(folder, ALARMS)
    assert folder.backlog({}) == Backlog(0, 0)
    records.append([b"x" * 100] * 3)
    alarms.append([b"y" * 50])
    records.append([b"x" * 100])
    positions: dict[str, Position] = {}
    assert folder.backlog(positions) == Backlog(5, folder.size())
    reader = Reader(folder, positions)
    positions.update(reader.read(max_bodies=2, max_bytes=1000).positions)
    assert folder.backlog(positions).events == 3
    left = folder.size() - sum(position.offset for position in positions.values())
    assert folder.backlog(positions).bytes == left
    reader.close()
    read_all(folder, positions)
    assert folder.backlog(positions) == Backlog(0, 0)
    records.close()
    alarms.close()
    read_all(folder, positions)
    assert folder.backlog(positions) == Backlog(0, 0)


@pytest.mark.parametrize("deleted", ["*.events", "*.writer", "*-records*"])
def test_what_is_deleted_under_a_writer_takes_nothing_more_and_it_goes_on_with_other_files(
    folder: Folder, writer: Writer, deleted: str
) -> None:
    positions: dict[str, Position] = {}
    writer.append([b"one"])
    assert read_all(folder, positions) == ([b"one"], [])
    for path in folder.path.glob(deleted):
        path.unlink()
    with pytest.raises(JournalUnavailable, match="one of its files was deleted"):
        writer.append([b"two"])
    assert writer.append([b"three"]).events in (1, 2)
    bodies, _ = read_all(folder, positions)
    assert bodies[-1] == b"three"
    assert bodies.count(b"three") == 1
    assert b"one" not in bodies


def test_a_publication_that_is_damaged_holds_up_its_stream_alone_until_the_next_event(
    folder: Folder, writer: Writer
) -> None:
    writer.append([b"one"])
    folder.writer_file(writer.stream).write_bytes(b"damage")
    other = Writer(folder)
    other.append([b"of another stream"])
    assert folder.backlog({}).events == 2  # what is not known to be synced counts all the same
    with closing(Reader(folder, {})) as reader:
        batch = reader.read(max_bodies=10, max_bytes=1 << 20)
    assert batch.bodies == (b"of another stream",)
    assert [name for name, why in batch.waiting.items() if "is damaged" in str(why)] == [writer.stream]
    writer.append([b"two"])
    bodies, damages = read_all(folder)
    assert (sorted(bodies), damages) == ([b"of another stream", b"one", b"two"], [])


def test_what_waits_since_when_is_known_without_reading(folder: Folder) -> None:
    writers = [Writer(folder), Writer(folder)]
    assert folder.waits_since({}) is None
    for age, writer in enumerate(writers, 1):
        for body in (b"first", b"second"):
            writer.append([body])
            writer.finish()
        for number in (1, 2):
            os.utime(folder.segment(writer.stream, number), (0, 1000 * age + number))
    positions: dict[str, Position] = {}
    assert folder.waits_since(positions) == 1001
    positions[writers[0].stream] = Position(2, 0, 1)
    assert folder.waits_since(positions) == 1002
    positions[writers[0].stream] = writers[0].position
    assert folder.waits_since(positions) == 2001
    read_all(folder, positions)
    assert folder.waits_since(positions) is None
    for writer in writers:
        writer.close()


def test_backlog_has_nothing_that_is_not_synced_yet(folder: Folder, writer: Writer) -> None:
    writer.append([b"one"])
    synced = folder.backlog({})
    with segments(folder, writer)[0].open("ab") as file:
        file.write(b"x" * 500)
    folder.segment(writer.stream, 2).write_bytes(bytes(2000))
    assert folder.backlog({}) == synced
    assert synced.events == 1


def test_backlog_ends_when_all_was_read_though_frames_were_damaged(folder: Folder, writer: Writer) -> None:
    writer.append([b"first", b"second"])
    path = segments(folder, writer)[0]
    path.write_bytes(path.read_bytes().replace(b"first", b"xxxxx"))
    writer.finish()
    positions: dict[str, Position] = {}
    assert read_all(folder, positions)[0] == [b"second"]
    assert folder.backlog(positions) == Backlog(0, 0)
    writer.append([b"third"])
    assert folder.backlog(positions).events == 1


def test_backlog_counts_what_a_writer_left_without_telling_how_many(folder: Folder, writer: Writer) -> None:
    writer.append([b"one", b"two"])
    writer.close()
    assert folder.backlog({}).events == 2
    folder.writer_file(writer.stream).unlink()
    assert folder.backlog({}).events == 1
    positions: dict[str, Position] = {}
    read_all(folder, positions)
    assert folder.backlog(positions) == Backlog(0, 0)


def test_a_body_that_no_frame_holds_is_refused_and_the_others_are_taken(
    folder: Folder, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f, "MAX_BODY", 1000)
    for bodies in ([b"x" * 1001], [b"small", b"x" * 1001]):
        with pytest.raises(ValueError, match="a frame holds at most 1000 bytes, and this has 1001"):
            writer.append(bodies)
        assert read_all(folder) == ([], [])
    writer.append([b"x" * 1000])
    assert read_all(folder) == ([b"x" * 1000], [])


def test_a_reader_of_streams_as_they_were_reads_nothing_of_later(folder: Folder, writer: Writer) -> None:
    alarms = Writer(folder, ALARMS)
    writer.append([b"one"])
    writer.append([b"two"])
    alarms.append([b"alarm"])
    then = [stream for stream in folder.streams() if not stream.is_alarms]
    for body in (b"three", b"four"):
        writer.append([body])
        writer.finish()
    reader = Reader(folder, {}, then)
    assert reader.read(max_bodies=1, max_bytes=100).bodies == (b"one",)
    assert reader.read(max_bodies=100, max_bytes=100).bodies == (b"two",)
    assert reader.read(max_bodies=100, max_bytes=100) == Batch((), {}, ())
    reader.close()
    alarms.close()


def test_another_process_finds_a_journal_and_makes_none(folder: Folder, tmp_path: Path) -> None:
    found = Folder.find(folder.path)
    assert found is not None
    assert found.id == folder.id
    assert Folder.find(tmp_path / "none") is None
    (tmp_path / "empty").mkdir()
    assert Folder.find(tmp_path / "empty") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "journal"]
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_journal_that_is_gone_cannot_be_read_or_pinned(folder: Folder) -> None:
    shutil.rmtree(folder.path)
    with pytest.raises(JournalUnavailable, match="cannot be read"):
        folder.backlog({})
    with pytest.raises(JournalUnavailable, match="cannot be opened"), folder.pinned():
        pass


def test_nothing_is_deleted_while_the_journal_is_pinned(folder: Folder) -> None:
    writer = Writer(folder)
    writer.append([b"one"])
    writer.close()
    positions: dict[str, Position] = {}
    read_all(folder, positions)
    with folder.pinned(), folder.pinned():
        assert remove(folder, positions) == 0
    assert remove(folder, positions) == 1


def test_size_counts_every_segment(folder: Folder, writer: Writer) -> None:
    assert folder.size() == 0
    writer.append([b"x" * 100])
    assert folder.size() == segments(folder, writer)[0].stat().st_size > f.HEADER_BYTES + 100


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_nobody_else_may_read_it(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        folder = Folder.open(tmp_path / "above" / "journal")
        writer = Writer(folder)
        writer.append([b"one"])
        with folder.pinned():
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.path.iterdir()} == {0o600}
    writer.close()


def test_a_large_body_takes_as_many_steps_as_it_needs(folder: Folder, writer: Writer) -> None:
    large = os.urandom(3 * 1024 * 1024)
    writer.append([b"small", large, b"small"])
    assert read_all(folder)[0] == [b"small", large, b"small"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalUnavailable, match="cannot be opened"):
        Folder.open(tmp_path / "file" / "journal")
