"""An image that was appended is read by its place, and by nothing else, until its pack or its bytes are deleted."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import random
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.journal.kit import FailingFiles, append_events, end_abruptly, read_all, read_events

from gatepost.errors import JournalCorrupt, JournalGone, JournalTooNew, JournalUnavailable
from gatepost.journal import files as files_module
from gatepost.journal import format as f
from gatepost.journal.files import Files
from gatepost.journal.folder import Folder
from gatepost.journal.packs import reader
from gatepost.journal.packs.archive import FolderArchive, Succession
from gatepost.journal.packs.files import LARGEST_PACK, PackFile
from gatepost.journal.packs.packs import Packs
from gatepost.journal.packs.writer import PackCopies
from gatepost.journal.places import Image, Place
from gatepost.journal.reader import Reader
from gatepost.journal.writer import Writer

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0


class Clock:
    """A wall clock, and one that is never set."""

    def __init__(self) -> None:
        self.now = NOON
        self.monotonic = 0.0

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.monotonic += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.open(tmp_path / "journal")


@pytest.fixture
def begin(folder: Folder, clock: Clock) -> Iterator[Callable[..., Writer]]:
    """Begin writers by this clock; they are closed at the end."""
    writers: list[Writer] = []

    def new(folder: Folder = folder, **options: int) -> Writer:
        writers.append(
            Writer(folder, now=lambda: clock.now, monotonic=lambda: clock.monotonic, **options)  # type: ignore[arg-type]
        )
        return writers[-1]

    yield new
    for writer in writers:
        writer.close()


@pytest.fixture
def writer(begin: Callable[..., Writer]) -> Writer:
    return begin()


@pytest.fixture
def packs(folder: Folder) -> Iterator[Packs]:
    packs = Packs(folder)
    yield packs
    packs.close()


def append(writer: Writer, *images: bytes, kind: str = "people", name: str = "event") -> list[Place]:
    """Append one event with these images."""
    return append_events(writer, [(name, [Image(kind, data) for data in images])])[0]


def test_images_are_read_by_the_places_in_their_events(folder: Folder, writer: Writer, packs: Packs) -> None:
    rand = random.Random(1)
    events = {
        f"{number:03}": [
            Image(rand.choice(("people", "strangers")), rand.randbytes(rand.choice((0, 1, 500, 30_000))))
            for _ in range(rand.randint(0, 3))
        ]
        for number in range(60)
    }
    waiting = list(events.items())
    while waiting:
        count = rand.randint(1, 9)
        append_events(writer, waiting[:count])
        del waiting[:count]
    found, damages = read_events(folder)
    assert (list(found), damages) == (list(events), [])
    keys, taken = set(), []
    for name, places in found.items():
        assert [packs.read(place) for place in places] == [image.data for image in events[name]]
        assert [place.pack.split("-")[0] for place in places] == [image.kind for image in events[name]]
        keys |= {place.key for place in places}
        taken += [(place.pack, place.offset, place.offset + place.length) for place in places]
    taken.sort()
    assert len(keys) == len(taken)
    assert all(a[0] != b[0] or a[2] == b[1] for a, b in itertools.pairwise(taken))
    assert {start for _, start, _ in taken if start == f.HEADER_BYTES}


def test_an_image_stands_nowhere_in_clear(folder: Folder, writer: Writer) -> None:
    append(writer, b"a face that is known" * 10)
    for path in [path for path in folder.path.rglob("*") if path.is_file()]:
        assert b"a face that is known" not in path.read_bytes()


def test_the_same_randomness_makes_the_same_pack(tmp_path: Path, clock: Clock) -> None:
    def contents(name: str) -> bytes:
        rand = random.Random(7)
        writer = Writer(Folder.open(tmp_path / name), now=lambda: clock.now, random=rand.randbytes)
        place = append(writer, b"image")[0]
        writer.close()
        return (tmp_path / name / "packs" / place.pack).read_bytes()[f.HEADER_BYTES :]

    assert contents("one") == contents("two")


def test_without_images_there_is_no_second_file_and_no_second_sync(
    tmp_path: Path, begin: Callable[..., Writer]
) -> None:
    files = FailingFiles()
    folder = Folder.open(tmp_path / "outbox", files=files)
    writer = begin(folder)
    writer.append([b"before"])
    files.calls.clear()
    writer.append([b"the image is in the event"])
    assert files.calls == ["sync"]
    assert not folder.packs.exists()
    assert Packs(folder).all() == []


def test_nothing_is_told_before_segment_and_packs_are_synced(
    tmp_path: Path, begin: Callable[..., Writer]
) -> None:
    files = FailingFiles()
    folder = Folder.open(tmp_path / "journal", files=files)
    writer = begin(folder)
    images = [Image("people", b"one"), Image("strangers", b"two")]
    append_events(writer, [("before", images)])
    seen: list[tuple[str, ...]] = []
    lock = threading.Lock()
    true = files.sync

    def sync(handle: int) -> None:
        with lock:
            seen.append(tuple(read_events(folder)[0]))
        true(handle)

    files.sync = sync  # type: ignore[method-assign]
    append_events(writer, [("not yet", images)])
    assert seen == [("before",)] * 3
    assert list(read_events(folder)[0]) == ["before", "not yet"]


def test_syncs_at_the_same_time_have_all_ended_when_one_of_them_has_failed(tmp_path: Path) -> None:
    """Else a descriptor would be closed under a sync."""
    has_failed, done = threading.Event(), threading.Event()

    class Slow(Files):
        def sync(self, handle: int) -> None:
            if handle == first:
                has_failed.set()
                raise OSError(errno.EIO, "EIO")
            assert has_failed.wait(60), "they are not at the same time"
            super().sync(handle)
            done.set()

    files = Slow()
    first, second = (files.create(tmp_path / name) for name in ("first", "second"))
    with pytest.raises(OSError, match="EIO"):
        files.sync_all([first, second])
    assert done.is_set()
    has_failed.clear()
    done.clear()
    with pytest.raises(OSError, match="EIO"):
        files.sync_all([second, first])
    assert done.is_set()
    for handle in (first, second):
        os.close(handle)


def test_files_are_synced_also_where_no_thread_can_be_begun(tmp_path: Path) -> None:
    class NoThreads:
        def submit(self, *args: object) -> None:
            raise RuntimeError("can't start new thread")

    class Noted(Files):
        _pool = NoThreads()  # type: ignore[assignment]

        def sync(self, handle: int) -> None:
            synced.append(handle)
            super().sync(handle)

    files, synced = Noted(), []
    handles = [files.create(tmp_path / f"{number}") for number in range(3)]
    files.sync_all(handles)
    assert synced == handles
    os.close(handles[1])
    with pytest.raises(OSError, match="descriptor"):
        files.sync_all(handles)
    assert synced == handles * 2, "the others were left out"
    os.close(handles[0])
    os.close(handles[2])


def test_whatever_interrupts_an_append_nothing_of_it_counts_with_the_next_one(
    folder: Folder, writer: Writer, packs: Packs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(handle: int) -> None:
        raise MemoryError

    append(writer, b"first", name="first")
    with monkeypatch.context() as patched:
        patched.setattr(folder.files, "sync", interrupted)
        with pytest.raises(MemoryError):
            append(writer, b"interrupted", name="interrupted")
    append(writer, b"third", name="third")
    found, damages = read_events(folder)
    assert (list(found), damages) == (["first", "third"], [])
    assert [packs.read(places[0]) for places in found.values()] == [b"first", b"third"]


@pytest.mark.parametrize("why", ["full", "an hour old", "of another day"])
@pytest.mark.parametrize("is_idle", [False, True])
def test_a_pack_is_closed_when_it_is_due(
    begin: Callable[..., Writer], packs: Packs, clock: Clock, why: str, is_idle: bool
) -> None:
    writer = begin(pack_bytes=5000)
    clock.advance(DAY / 2 - HOUR / 2)  # half an hour before midnight
    first = append(writer, b"x" * 1000)[0]
    clock.advance(HOUR / 2 - 1)
    assert append(writer, b"x" * 1000)[0].pack == first.pack
    if why == "full":
        append(writer, b"x" * 3000)
    elif why == "of another day":
        clock.advance(1)
    else:
        clock.now -= 10  # it was set meanwhile
        clock.advance(HOUR)
    if is_idle:
        assert packs.remove([first.pack]).packs == ()
        writer.finish_if_due()
        assert packs.remove([first.pack]).packs == (first.pack,)
    second = append(writer, b"x")[0]
    assert second.pack > first.pack
    assert [pack.number for pack in packs.all()] == ([2] if is_idle else [1, 2])
    day = 29 if why == "full" else 30
    assert packs.all()[-1].day == date(2026, 11, day)


def test_a_clock_that_is_set_back_begins_a_pack_of_that_day(
    writer: Writer, packs: Packs, clock: Clock
) -> None:
    append(writer, b"one")
    clock.now -= DAY
    append(writer, b"two")
    clock.now += DAY
    append(writer, b"three")
    assert [(pack.day.day, pack.number) for pack in packs.all()] == [(28, 2), (29, 1), (29, 3)]


def test_names_have_kind_day_stream_and_number_and_sort(
    writer: Writer, packs: Packs, clock: Clock, folder: Folder
) -> None:
    for kind in ("strangers", "people"):
        append(writer, b"x", kind=kind)
    clock.advance(DAY)
    append(writer, b"x")
    (folder.packs / "something else").write_bytes(b"")
    (folder.packs / f"people-20261399-{writer.stream}-000009.pack").write_bytes(b"")
    found = packs.all()
    assert [(pack.kind, pack.day, pack.stream, pack.number) for pack in found] == [
        ("people", date(2026, 11, 29), writer.stream, 2),
        ("people", date(2026, 11, 30), writer.stream, 3),
        ("strangers", date(2026, 11, 29), writer.stream, 1),
    ]
    assert found[0].name == f"people-20261129-{writer.stream}-000002.pack"
    assert all(pack.disk_bytes >= f.HEADER_BYTES for pack in found)


@pytest.mark.parametrize("kind", ["", "a b", "../up", "People", "a" * 33, "people\n"])
def test_a_kind_that_is_no_part_of_a_name_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="a kind of images is 1 to 32 letters"):
        Image(kind, b"x")


def test_an_event_that_cannot_be_encoded_appends_nothing_and_costs_no_other_image(
    folder: Folder, writer: Writer, packs: Packs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(places: Sequence[Place]) -> Sequence[bytes]:
        raise RuntimeError("no body")

    first = append(writer, b"first")[0]
    with pytest.raises(RuntimeError, match="no body"):
        writer.append_with_images([Image("people", b"dead" * 500)], refuse)
    second = append(writer, b"second", name="second")[0]
    with monkeypatch.context() as patched:
        patched.setattr(f, "MAX_BODY", 10)
        with pytest.raises(ValueError, match="a frame holds at most 10 bytes"):
            append(writer, b"dead")
    writer.append([])
    third = append(writer, b"third", name="third")[0]
    assert list(read_events(folder)[0]) == ["event", "second", "third"]
    assert [packs.read(place) for place in (first, second, third)] == [b"first", b"second", b"third"]
    assert second.offset == first.offset + first.length


class NthFailing(Files):
    """The real disk, on which calls fail from one of them on; and what failed to be synced is watched."""

    def __init__(self) -> None:
        self.calls = 0
        self.fatal = 0
        self.number = 0
        self.is_lasting = False
        self.failed: set[int] = set()
        """Descriptors whose sync has failed."""
        self.again: list[int] = []

    def _call(self) -> bool:
        self.calls += 1
        return self.calls == self.fatal or bool(self.is_lasting and 0 < self.fatal < self.calls)

    def _step(self) -> None:
        if self._call():
            raise OSError(self.number, os.strerror(self.number))

    def make_folder(self, path: Path) -> None:
        self._step()
        super().make_folder(path)

    def create(self, path: Path) -> int:
        self._step()
        return self._new(super().create(path))

    def open(self, path: Path, *, writes: bool = False) -> int:
        return self._new(super().open(path, writes=writes))

    def _new(self, handle: int) -> int:
        self.failed.discard(handle)
        return handle

    def write(self, handle: int, data: bytes, offset: int) -> None:
        if self._call():
            super().write(handle, data[: len(data) // 2], offset)
            raise OSError(self.number, os.strerror(self.number))
        super().write(handle, data, offset)

    def sync_all(self, handles: Sequence[int]) -> None:
        errors = []
        for handle in handles:
            try:
                self.sync(handle)
            except OSError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def sync(self, handle: int) -> None:
        if handle in self.failed:
            self.again.append(handle)
        if self._call():
            self.failed.add(handle)
            raise OSError(self.number, os.strerror(self.number))

    def truncate(self, handle: int, size: int) -> None:
        self._step()
        super().truncate(handle, size)
        self.failed.discard(handle)  # the next sync is for the cut: nothing counts that was written before

    def sync_folder(self, path: Path) -> None:
        self._step()

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)


@pytest.mark.parametrize("is_lasting", [False, True])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_the_disk_fails_at_each_call(tmp_path: Path, number: int, is_lasting: bool) -> None:
    """What was acknowledged is whole, what was not has no event or all of its images, and it goes on afterwards."""
    fatal = calls = failures = 0
    while fatal <= calls:
        fatal += 1
        files = NthFailing()
        folder = Folder.open(tmp_path / f"{fatal}", files=files)
        writer = Writer(folder, segment_bytes=3000, pack_bytes=6000)
        acknowledged: list[str] = []
        refused = 0
        data: dict[str, list[bytes]] = {}
        files.calls, files.fatal, files.number, files.is_lasting = 0, fatal, number, is_lasting
        for index in range(16):
            if index == 10:
                calls, files.fatal = files.calls, 0
            name = f"{index:02}"
            data[name] = [name.encode() * 1000, name.encode() * 500][: 1 + index % 2]
            images = [
                Image(kind, one) for kind, one in zip(("people", "strangers"), data[name], strict=False)
            ]
            try:
                append_events(writer, [(name, images)])
                acknowledged.append(name)
            except JournalUnavailable:
                refused += 1
        assert acknowledged[-6:] == [f"{index:02}" for index in range(10, 16)]
        failures += refused > 0
        writer.close()
        found, damages = read_events(folder)
        assert damages == []
        assert set(acknowledged) <= set(found)
        assert files.again == [], "a descriptor was synced again whose sync had failed"
        packs = Packs(folder)
        for name, places in found.items():
            assert [packs.read(place) for place in places] == data[name]
        packs.close()
    assert failures > 50


def test_a_failed_sync_of_a_pack_closes_it_and_the_segment_and_cuts_off_what_was_not_synced(
    folder: Folder, writer: Writer, packs: Packs, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = append(writer, b"before", name="before")[0]
    handle = writer._packs._packs["people"].handle
    failing = handle

    def sync(handle: int) -> None:
        if handle == failing:
            raise OSError(errno.EIO, "EIO")

    with monkeypatch.context() as patched:
        patched.setattr(folder.files, "sync", sync)
        with pytest.raises(JournalUnavailable, match="cannot be written"):
            append(writer, b"refused" * 1000, name="refused")
    pack = folder.packs / before.pack
    assert pack.stat().st_size == before.offset + before.length
    after = append(writer, b"after", name="after")[0]
    assert after.pack != before.pack
    assert writer.position.segment == 2
    # The event of the image that is cut off was cut off, too.
    bodies = read_all(folder)[0]
    found, damages = read_events(folder)
    assert (len(bodies), list(found), damages) == (2, ["before", "after"], [])
    assert [packs.read(place) for place in (before, after)] == [b"before", b"after"]


def test_a_pack_in_which_nothing_was_synced_is_deleted_after_a_failure(
    tmp_path: Path, begin: Callable[..., Writer]
) -> None:
    files = FailingFiles()
    folder = Folder.open(tmp_path / "journal", files=files)
    writer = begin(folder)
    writer.append([])
    for call in ("create", "sync", "sync_folder", "write"):
        files.failing[call] = errno.ENOSPC
        with pytest.raises(JournalUnavailable):
            append(writer, b"refused" * 100)
        files.failing.clear()
        assert Packs(folder).all() == []
    assert append(writer, b"taken")[0].pack == Packs(folder).all()[0].name


def test_what_no_commit_covers_is_told_apart(
    folder: Folder, begin: Callable[..., Writer], clock: Clock
) -> None:
    def read(max_bodies: int = 100) -> list[tuple[int, tuple[int, ...]]]:
        reader = Reader(folder, {})
        found = []
        while (batch := reader.read(max_bodies=max_bodies, max_bytes=1 << 20)).bodies:
            found.append((len(batch.bodies), batch.uncommitted))
        reader.close()
        return found

    writer = begin()
    writer.append([b"one", b"two"])
    writer.append([b"three", b"four"])
    assert read() == [(4, ())], "they are published"
    end_abruptly(writer)
    assert read() == [(4, ())], "it had published them"
    folder.writer_file(writer.stream).unlink()  # as a power cut may do
    assert read() == [(4, (2, 3))]
    assert read(3) == [(3, (2,)), (1, (0,))]
    clock.advance(1)  # streams sort by age
    other = begin()
    other.append([b"five"])
    other.close()
    assert read() == [(5, (2, 3))], "what was closed in order ends with a commit"
    folder.writer_file(other.stream).unlink()
    assert read() == [(5, (2, 3))]


def test_images_are_confirmed_where_they_are_whole(folder: Folder, writer: Writer, packs: Packs) -> None:
    places = [*append(writer, b"one", b"two"), *append(writer, b"three", kind="strangers")]
    assert packs.confirm(places)
    assert packs.confirm([])
    assert not packs.confirm([replace(places[0], key=bytes(32)), *places[1:]])
    assert not packs.confirm([*places, replace(places[1], offset=places[1].offset + 1000)])
    (folder.packs / places[2].pack).unlink()
    assert packs.confirm(places[:2])
    assert not packs.confirm(places)


def test_images_are_confirmed_after_a_sync(tmp_path: Path, begin: Callable[..., Writer]) -> None:
    """A writer that was killed may have left them in memory only."""
    files = FailingFiles()
    folder = Folder.open(tmp_path / "journal", files=files)
    writer = begin(folder)
    places = append(writer, b"one", b"two")
    end_abruptly(writer)
    packs = Packs(folder)
    files.calls.clear()
    assert packs.confirm(places)
    assert files.calls == ["sync"]
    files.failing["sync"] = errno.EIO
    with pytest.raises(JournalUnavailable, match=r"cannot be synced: .* try again"):
        packs.confirm(places)
    packs.close()


def damage(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(bytes(data))


def test_damage_costs_one_image_and_is_told(folder: Folder, writer: Writer, packs: Packs) -> None:
    first, second, third = append(writer, b"first", b"second", b"third")
    path = folder.packs / first.pack
    damage(path, second.offset + 2)
    damage(path, 20)  # one of the two headers
    with pytest.raises(JournalCorrupt, match=r"people-20261129-.* is damaged, or its key .* from a backup"):
        packs.read(second)
    assert [packs.read(place) for place in (first, third)] == [b"first", b"third"]
    with pytest.raises(JournalCorrupt):
        packs.read(replace(first, key=third.key))
    os.truncate(path, third.offset + third.length - 1)
    with pytest.raises(JournalCorrupt):
        packs.read(third)
    assert packs.read(first) == b"first"


@pytest.mark.parametrize(
    "change",
    [
        {"offset": -1},
        {"offset": 0},
        {"offset": 1 << 62},
        {"length": -1},
        {"length": 0},
        {"length": 15},
        {"length": 1 << 62},
        {"key": b""},
        {"pack": ""},
        {"pack": "../journal"},
        {"pack": "../../journal/packs/people"},
    ],
)
def test_a_place_that_is_damaged_reads_nothing(
    writer: Writer, packs: Packs, change: dict[str, object]
) -> None:
    place = append(writer, b"image" * 100)[0]
    with pytest.raises(JournalCorrupt, match="backup"):
        packs.read(replace(place, **change))
    assert not packs.confirm([replace(place, **change)])
    if "key" not in change:  # a hole needs none
        assert packs.punch([replace(place, **change)])
        assert packs.read(place) == b"image" * 100


def test_a_pack_of_a_later_version_is_told_with_a_sentence(
    folder: Folder, writer: Writer, packs: Packs
) -> None:
    place = append(writer, b"image")[0]
    head = f._PACK_HEADER.pack(b"gatepack", f.VERSION + 1, folder.id, place.pack.encode())
    with (folder.packs / place.pack).open("r+b") as file:
        file.write((head + f._CHECK.pack(f.crc32(head))).ljust(512, b"\0") * 2)
    for use in (lambda: packs.read(place), lambda: packs.confirm([place]), lambda: packs.punch([place])):
        with pytest.raises(JournalTooNew, match=r"\.pack: it has version 2 .* install the later one"):
            use()


def test_a_pack_under_the_name_of_another_one_is_told(folder: Folder, writer: Writer, packs: Packs) -> None:
    place, other = append(writer, b"image")[0], append(writer, b"other", kind="strangers")[0]
    (folder.packs / other.pack).rename(folder.packs / place.pack)
    with pytest.raises(JournalCorrupt, match=f"it is the pack {other.pack}; give it its name back"):
        packs.read(place)
    with pytest.raises(JournalGone):
        packs.read(other)


def test_a_disk_that_does_not_return_a_pack_is_told_without_its_path(
    folder: Folder, writer: Writer, packs: Packs, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = append(writer, b"image")[0]

    def failing(*args: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", failing)
        with pytest.raises(JournalUnavailable, match=r"cannot be read: .* try again") as raised:
            packs.read(place)
        with pytest.raises(JournalUnavailable):
            packs.confirm([place])
    assert str(folder.path) not in str(raised.value)
    assert packs.read(place) == b"image"


def test_a_pack_that_is_deleted_or_restored_by_another_process_is_seen(
    folder: Folder, writer: Writer, packs: Packs
) -> None:
    place = append(writer, b"image")[0]
    path = folder.packs / place.pack
    assert packs.read(place) == b"image"
    data = path.read_bytes()
    path.unlink()
    with pytest.raises(JournalGone, match=r"the pack people-.* is gone, .* put it back from a backup"):
        packs.read(place)
    path.write_bytes(data)
    assert packs.read(place) == b"image"


def open_packs(folder: Folder) -> int:
    """Return how many descriptors of this process are of packs."""
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            found += path.readlink().is_relative_to(folder.packs)
    return found


def test_only_some_packs_are_kept_open(folder: Folder, begin: Callable[..., Writer], packs: Packs) -> None:
    writer = begin(pack_bytes=1)
    places = [append(writer, b"%d" % number)[0] for number in range(40)]
    writer.close()
    assert len(packs.all()) == 40
    for number, place in enumerate(places):
        assert packs.read(place) == b"%d" % number
        assert open_packs(folder) <= 16
    packs.close()
    assert open_packs(folder) == 0
    packs.close()


def test_threads_read_while_others_let_go_of_packs(
    folder: Folder, begin: Callable[..., Writer], packs: Packs
) -> None:
    writer = begin(pack_bytes=1)
    places = [append(writer, b"%d" % number)[0] for number in range(40)]

    def read(seed: int) -> bool:
        order = list(range(40)) * 3
        random.Random(seed).shuffle(order)
        return all(packs.read(places[number]) == b"%d" % number for number in order)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(read, range(6)))
    assert open_packs(folder) <= 17  # the writer has one


def test_packs_of_a_kind_and_day_fall_due(writer: Writer, packs: Packs, clock: Clock) -> None:
    places = []
    for _ in range(3):
        places.append(append(writer, b"p")[0])
        places.append(append(writer, b"s", kind="strangers")[0])
        clock.advance(DAY)
    today = date(2026, 12, 2)
    assert packs.read(places[0]) == b"p"
    assert packs.remove_before("people", date(2026, 11, 30)).packs == (places[0].pack,)
    with pytest.raises(JournalGone):
        packs.read(places[0])
    assert packs.remove_before("people", date(2026, 11, 30)).packs == ()
    assert packs.remove_before("people", today).packs == (places[2].pack,), "the last one is still open"
    writer.finish_if_due()
    assert packs.remove_before("people", today).packs == (places[4].pack,)
    assert [packs.read(place) for place in places[1::2]] == [b"s"] * 3
    assert packs.remove_before("strangers", date.min).packs == ()


def test_a_pack_of_a_writer_that_was_killed_can_be_deleted(writer: Writer, packs: Packs) -> None:
    place = append(writer, b"image")[0]
    assert packs.remove([place.pack, "people-none.pack", "../journal"]).packs == ()
    end_abruptly(writer)
    assert packs.remove([place.pack, "people-none.pack", "../journal"]).packs == (place.pack,)


def test_a_pack_that_is_deleted_before_it_is_locked_takes_no_image(
    tmp_path: Path, begin: Callable[..., Writer]
) -> None:
    class Hasty(Files):
        removed = 0

        def create(self, path: Path) -> int:
            handle = super().create(path)
            if path.suffix == ".pack" and self.removed < 2:
                self.removed += len(Packs(folder).remove([path.name]).packs)
            return handle

    files = Hasty()
    folder = Folder.open(tmp_path / "journal", files=files)
    place = append(begin(folder), b"image")[0]
    assert files.removed == 2
    assert Packs(folder).read(place) == b"image"


@pytest.mark.parametrize("with_folder", [False, True])
def test_a_pack_that_was_deleted_by_hand_takes_no_more_images(
    folder: Folder, writer: Writer, packs: Packs, with_folder: bool
) -> None:
    lost = append(writer, b"lost")[0]
    (folder.packs / lost.pack).unlink()
    if with_folder:
        folder.packs.rmdir()
    place = append(writer, b"image")[0]
    assert place.pack != lost.pack
    assert packs.read(place) == b"image"


def test_pins_hold_packs_and_holes_back(folder: Folder, writer: Writer, packs: Packs) -> None:
    place = append(writer, b"image")[0]
    writer.close()
    with folder.pinned(), folder.pinned():
        assert packs.remove([place.pack]).is_incomplete
        assert packs.remove_before("people", date.max).is_incomplete
        assert not packs.punch([place])
        assert packs.read(place) == b"image"
    assert packs.punch([place])
    assert packs.remove([place.pack]).packs == (place.pack,)
    assert packs.punch([place]), "what is gone needs no hole"


@pytest.mark.parametrize("can_punch", [True, False])
def test_a_hole_takes_no_neighbour_along(
    folder: Folder, writer: Writer, packs: Packs, monkeypatch: pytest.MonkeyPatch, can_punch: bool
) -> None:
    if not can_punch:
        monkeypatch.setattr(files_module, "_punch_hole", lambda handle, offset, size: False)
        monkeypatch.setattr(files_module, "_STEP", 1000)
    rand = random.Random(3)
    images = [rand.randbytes(rand.choice((10, 5000, 40_000))) for _ in range(60)]
    places = append(writer, *images)
    dead = set(rand.sample(range(60), 30)) | {10, 11, 12}
    path = folder.packs / places[0].pack
    size, before = path.stat().st_size, packs.all()[0].disk_bytes
    assert packs.punch([places[number] for number in sorted(dead, reverse=True)])
    assert path.stat().st_size == size
    assert (packs.all()[0].disk_bytes < before) == can_punch
    data = path.read_bytes()
    for number, (place, image) in enumerate(zip(places, images, strict=True)):
        if number in dead:
            assert not any(data[place.offset : place.offset + place.length])
            with pytest.raises(JournalCorrupt):
                packs.read(place)
        else:
            assert packs.read(place) == image
    assert packs.read(append(writer, b"more")[0]) == b"more"


def test_a_file_system_without_holes_gets_zeros(
    folder: Folder, writer: Writer, packs: Packs, monkeypatch: pytest.MonkeyPatch
) -> None:
    class System:
        def __init__(self, *args: object, **options: object) -> None:
            self.numbers = iter((errno.EINTR, errno.EOPNOTSUPP))

        def fallocate64(self, *args: object) -> int:
            files_module.ctypes.set_errno(next(self.numbers))
            return -1

    place, other = append(writer, b"image" * 1000, b"other")
    with monkeypatch.context() as patched:
        patched.setattr(files_module.ctypes, "CDLL", System)
        assert packs.punch([place])
    data = (folder.packs / place.pack).read_bytes()
    assert not any(data[place.offset : place.offset + place.length])
    assert packs.read(other) == b"other"


def test_a_hole_or_a_removal_that_the_disk_refuses_is_told(
    tmp_path: Path, begin: Callable[..., Writer]
) -> None:
    files = FailingFiles()
    folder = Folder.open(tmp_path / "journal", files=files)
    writer = begin(folder)
    place = append(writer, b"image")[0]
    writer.close()
    packs = Packs(folder)
    files.failing["sync"] = errno.EIO
    with pytest.raises(JournalUnavailable, match="an image cannot be deleted from its pack"):
        packs.punch([place])
    files.failing["remove"] = errno.EROFS
    with pytest.raises(JournalUnavailable, match="a pack cannot be deleted"):
        packs.remove([place.pack])
    packs.close()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_nobody_else_may_read_packs_and_no_program_inherits_them(
    tmp_path: Path, begin: Callable[..., Writer], umask: int
) -> None:
    before = os.umask(umask)
    try:
        folder = Folder.open(tmp_path / "journal")
        writer = begin(folder)
        place = append(writer, b"image")[0]
        packs = Packs(folder)
        packs.read(place)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.packs.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.packs.iterdir()} == {0o600}
    opened = packs._opened(place.pack)
    assert isinstance(opened, PackFile)
    handles = [writer._packs._packs["people"].handle, opened.number]
    assert not any(map(os.get_inheritable, handles))
    packs.close()


def test_a_folder_of_packs_that_cannot_be_read(folder: Folder, packs: Packs) -> None:
    folder.packs.write_bytes(b"")
    with pytest.raises(JournalUnavailable, match="the folder of packs cannot be read"):
        packs.all()


def test_a_copy_is_what_was_encrypted_and_nothing_where_nothing_is_left(
    folder: Folder, writer: Writer, packs: Packs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "STEP", 1000)
    first, second, short = append(writer, b"first" * 1000, b"second", b"")
    no_key = replace(first, key=b"")
    data = (folder.packs / first.pack).read_bytes()
    assert packs.copy(no_key) == data[first.offset : first.offset + first.length]
    assert packs.copy(short) == data[short.offset :]
    assert all(map(packs.has, (no_key, second, short)))
    nothing = [
        replace(first, length=first.length * 2),
        replace(first, length=f.TAG_BYTES - 1),
        replace(first, length=-1),
        replace(first, length=1 << 62),
        replace(first, offset=1 << 62),
        replace(first, offset=f.HEADER_BYTES - 1),
        replace(first, offset=-1),
        replace(first, pack=first.pack.replace("people", "others")),
        replace(first, pack="../journal"),
        replace(first, pack=""),
    ]
    assert [packs.copy(place) for place in nothing] == [None] * len(nothing)
    assert not any(map(packs.has, nothing))
    assert packs.punch([first])
    assert packs.copy(first) is None
    assert not packs.has(first)
    assert packs.has(replace(first, length=first.length + 1)), "a byte of the next one is there"
    assert packs.read(second) == b"second"


def test_sizes_of_packs_are_told_where_they_can_be_read(folder: Folder, writer: Writer, packs: Packs) -> None:
    place = append(writer, b"image")[0]
    other = append(writer, b"other", kind="strangers")[0]
    assert packs.size(place.pack) == place.offset + place.length == (folder.packs / place.pack).stat().st_size
    assert packs.punch([place])
    assert packs.size(place.pack) == place.offset + place.length
    (folder.packs / other.pack).write_bytes(b"no pack")
    for name in (other.pack, other.pack.replace("strangers", "others"), "../journal", ""):
        assert packs.size(name) is None


def test_a_pack_is_written_until_its_writer_lets_go_of_it(
    begin: Callable[..., Writer], packs: Packs, clock: Clock
) -> None:
    writer = begin()
    place = append(writer, b"image")[0]
    assert packs.is_written(place.pack)
    assert packs.is_written(place.pack), "asking changes nothing"
    clock.advance(HOUR)
    writer.finish_if_due()
    assert not packs.is_written(place.pack)
    place = append(writer, b"image")[0]
    assert packs.is_written(place.pack)
    end_abruptly(writer)
    assert not packs.is_written(place.pack)
    assert not packs.is_written("people-none.pack")
    assert packs.remove([place.pack]).packs == (place.pack,), "no lock is left"


def test_a_disk_that_fails_is_told_by_copies_and_sizes(
    writer: Writer, packs: Packs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*args: object, **options: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    place = append(writer, b"image")[0]
    for call in ("open", "pread"):
        monkeypatch.setattr(os, call, failing)
        for use in (packs.copy, packs.has):
            with pytest.raises(JournalUnavailable, match=r"cannot be read: .* try again"):
                use(place)
    for ask in (packs.size, packs.is_written):
        with pytest.raises(JournalUnavailable, match=r"cannot be read: .* try again"):
            ask(place.pack)


def copied(packs: Packs, copies: PackCopies, places: Sequence[Place]) -> None:
    for place in places:
        data = packs.copy(place)
        assert data is not None
        copies.put(place.pack, place.offset, data)


def test_more_packs_than_are_kept_open_are_copied_in_any_order(
    folder: Folder, begin: Callable[..., Writer], packs: Packs, tmp_path: Path
) -> None:
    writer = begin(pack_bytes=4000)
    rand = random.Random(5)
    images = [rand.randbytes(900) for _ in range(160)]
    places = [append(writer, image)[0] for image in images]
    assert len({place.pack for place in places}) == 40
    order = list(zip(places, images, strict=True))
    rand.shuffle(order)
    other = Folder.open(tmp_path / "other")
    with contextlib.closing(PackCopies(other)) as copies:
        for place, _ in order[:120]:
            copied(packs, copies, [place])
            assert open_packs(other) <= 16
    assert open_packs(other) == 0
    copies.close()
    there = Packs(other)
    assert [there.read(place) for place, _ in order[:120]] == [image for _, image in order[:120]]
    for place, _ in order[120:]:
        assert there.copy(place) is None, "what was left out is a hole"
    assert {stat.S_IMODE(path.stat().st_mode) for path in other.packs.iterdir()} == {0o600}
    assert stat.S_IMODE(other.packs.stat().st_mode) == 0o700
    there.close()


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "", ".", "people.pack", "people-20261129-x-000001.pack", "../{}", "{}/x", "{}\n", "x{}\0"],
)
def test_a_copy_under_a_name_that_is_no_packs_name_is_refused(
    writer: Writer, packs: Packs, tmp_path: Path, name: str
) -> None:
    place = append(writer, b"image")[0]
    other = Folder.open(tmp_path / "other")
    before = set(tmp_path.rglob("*"))
    with (
        contextlib.closing(PackCopies(other)) as copies,
        pytest.raises(ValueError, match="is no name of a pack"),
    ):
        copies.put(name.format(place.pack), place.offset, b"x" * 20)
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "offset", [-1, 0, f.HEADER_BYTES - 1, LARGEST_PACK - 19, LARGEST_PACK, 1 << 63, 1 << 64]
)
def test_a_copy_in_the_header_or_beyond_any_pack_is_refused(
    writer: Writer, tmp_path: Path, offset: int
) -> None:
    name = append(writer, b"image")[0].pack
    other = Folder.open(tmp_path / "other")
    with (
        contextlib.closing(PackCopies(other)) as copies,
        pytest.raises(ValueError, match=f"begins at {offset}"),
    ):
        copies.put(name, offset, b"x" * 20)
    assert not other.packs.exists()


@pytest.mark.parametrize("call", ["create", "write", "sync", "sync_folder"])
def test_a_disk_that_is_full_fails_copies_and_keeps_no_descriptor(
    folder: Folder, begin: Callable[..., Writer], packs: Packs, tmp_path: Path, call: str
) -> None:
    writer = begin(pack_bytes=1)
    places = [append(writer, b"image" * 10)[0] for _ in range(20)]
    files = FailingFiles()
    other = Folder.open(tmp_path / "other", files=files)
    copies = PackCopies(other)
    copied(packs, copies, places[:10])
    files.failing[call] = errno.ENOSPC
    with pytest.raises(OSError, match="ENOSPC"), contextlib.closing(copies):
        copied(packs, copies, places[10:])
    assert open_packs(other) == 0


# A folder that several journals share.


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir(mode=0o700)
    return tmp_path / "shared"


def appended(writer: Writer, data: bytes, kind: str = "people") -> Place:
    ((place,),) = append_events(writer, [("event", [Image(kind, data)])])
    return place


def test_what_is_closed_is_moved_and_read_there_by_others(
    folder: Folder, begin: Callable[..., Writer], shared: Path, tmp_path: Path
) -> None:
    writer = begin()
    one = appended(writer, b"one")
    writer.close()
    mine = Packs(folder, FolderArchive(shared, folder))
    assert mine.read(one) == b"one"  # open before it is moved
    assert mine.move() == 1
    assert (list(folder.packs.iterdir()), [path.name for path in shared.iterdir()]) == ([], [one.pack])
    assert stat.S_IMODE((shared / one.pack).stat().st_mode) == 0o600
    elsewhere = Folder.open(tmp_path / "other")
    other = Packs(elsewhere, FolderArchive(shared, elsewhere))
    assert mine.read(one) == other.read(one) == b"one"
    assert [pack.name for pack in other.all()] == [one.pack]
    assert mine.move() == 0


def test_what_is_being_written_stays(folder: Folder, begin: Callable[..., Writer], shared: Path) -> None:
    place = appended(begin(), b"one")
    packs = Packs(folder, FolderArchive(shared, folder))
    assert packs.move() == 0
    assert packs.read(place) == b"one"
    assert list(shared.iterdir()) == []


def test_holes_stay_holes_and_are_made_there_too(
    folder: Folder, begin: Callable[..., Writer], shared: Path
) -> None:
    writer = begin()
    first, second, third = (appended(writer, bytes([n]) * 300_000) for n in range(3))
    writer.close()
    packs = Packs(folder, FolderArchive(shared, folder))
    assert packs.punch([first])
    before = sum(pack.disk_bytes for pack in packs.all())
    packs.move()
    assert packs.copy(first) is None
    assert packs.read(second) == b"\1" * 300_000
    assert sum(pack.disk_bytes for pack in packs.all()) <= before + 64 * 1024
    assert packs.punch([second])
    assert packs.copy(second) is None
    assert packs.read(third) == b"\2" * 300_000


def test_a_pack_is_deleted_wherever_it_is(folder: Folder, begin: Callable[..., Writer], shared: Path) -> None:
    writer = begin()
    place = appended(writer, b"one")
    writer.close()
    packs = Packs(folder, FolderArchive(shared, folder))
    packs.move()
    assert packs.remove_before("people", date(2026, 11, 30)).packs == (place.pack,)
    assert list(shared.iterdir()) == []
    with pytest.raises(JournalGone):
        packs.read(place)


class _Killed(BaseException):
    """Ends a process in the eyes of a test."""


@pytest.mark.parametrize("is_done", [False, True])
def test_a_move_that_is_cut_off_anywhere_leaves_the_pack_whole_here_or_there(
    folder: Folder, begin: Callable[..., Writer], shared: Path, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    writer = begin()
    place = appended(writer, bytes(range(256)) * 10_000)
    writer.close()
    image = bytes(range(256)) * 10_000
    calls = ("create", "write", "sync", "sync_folder", "remove")
    for fatal in itertools.count(1):
        left = fatal

        def counting(true: Callable[..., object]) -> Callable[..., object]:
            def call(*what: object, **more: object) -> object:
                nonlocal left
                left -= 1
                if not left and not is_done:
                    raise _Killed
                done = true(*what, **more)
                if not left:
                    raise _Killed
                return done

            return call

        packs = Packs(folder, FolderArchive(shared, folder))
        with monkeypatch.context() as patch:
            for name in calls:
                patch.setattr(folder.files, name, counting(getattr(folder.files, name)), raising=False)
            with contextlib.suppress(_Killed):
                packs.move()
        assert Packs(folder, FolderArchive(shared, folder)).read(place) == image
        if left > 0:
            break
        if not folder.packs.joinpath(place.pack).exists():
            (shared / place.pack).rename(folder.packs / place.pack)  # for the next round
    assert fatal > 4
    assert Packs(folder, FolderArchive(shared, folder)).move() in (0, 1)
    assert [path.name for path in shared.iterdir()] == [place.pack]


def test_readers_never_miss_a_pack_that_is_moved_meanwhile(
    folder: Folder, begin: Callable[..., Writer], shared: Path
) -> None:
    writers = [begin() for _ in range(30)]
    places = [appended(writer, b"%d" % number) for number, writer in enumerate(writers)]
    for writer in writers:
        writer.close()
    stop = threading.Event()

    def read() -> int:
        count = 0
        while not stop.is_set() or not count:
            packs = Packs(folder, FolderArchive(shared, folder))
            assert [packs.read(place) for place in places] == [b"%d" % number for number in range(30)]
            packs.close()
            count += 1
        return count

    with ThreadPoolExecutor(2) as pool:
        reading = [pool.submit(read) for _ in range(2)]
        assert Packs(folder, FolderArchive(shared, folder)).move() == 30
        stop.set()
        assert all(each.result() > 0 for each in reading)


def test_a_full_disk_is_told_and_the_pack_stays(
    folder: Folder, begin: Callable[..., Writer], shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = begin()
    place = appended(writer, b"one")
    writer.close()
    packs = Packs(folder, FolderArchive(shared, folder))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folder.files, "write", full, raising=False)
        with pytest.raises(JournalUnavailable, match="No space left"):
            packs.move()
    assert packs.read(place) == b"one"
    assert packs.move() == 1
    assert packs.read(place) == b"one"


def test_one_that_cannot_be_moved_holds_no_other_up(
    folder: Folder, begin: Callable[..., Writer], shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = []
    for kind in ("alarms", "people", "strangers"):
        writer = begin()
        places.append(appended(writer, kind.encode(), kind))
        writer.close()
    create = folder.files.create

    def failing(path: Path) -> int:
        if path.name.startswith(".alarms"):
            raise OSError(errno.EIO, "Input/output error")
        return create(path)

    packs = Packs(folder, FolderArchive(shared, folder))
    with monkeypatch.context() as patch:
        patch.setattr(folder.files, "create", failing, raising=False)
        with pytest.raises(JournalUnavailable, match="the setting packs"):
            packs.move()
    assert sorted(path.name[:6] for path in shared.iterdir()) == ["people", "strang"]
    assert [packs.read(place) for place in places] == [b"alarms", b"people", b"strangers"]


@pytest.mark.parametrize("how", ["move", "bring"])
def test_two_packs_are_on_their_way_at_the_same_time(
    folder: Folder, begin: Callable[..., Writer], shared: Path, how: str
) -> None:
    both = threading.Barrier(2, timeout=60)

    class Meeting(FolderArchive):
        def put(self, name: str, source: int) -> None:
            both.wait()
            super().put(name, source)

    writers = [begin() for _ in range(4)]
    places = [appended(writer, b"%d" % number) for number, writer in enumerate(writers)]
    for writer in writers:
        writer.close()
    packs = Packs(folder, Meeting(shared, folder))
    if how == "move":
        assert packs.move() == 4
    else:
        packs.bring([place.pack for place in places])
    assert sorted(path.name for path in shared.iterdir()) == sorted(place.pack for place in places)
    assert [packs.read(place) for place in places] == [b"0", b"1", b"2", b"3"]


def test_one_that_cannot_be_taken_along_holds_no_other_up(
    folder: Folder,
    begin: Callable[..., Writer],
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = []
    for kind in ("alarms", "people", "strangers"):
        writer = begin()
        places.append(appended(writer, kind.encode(), kind))
        writer.close()
    old, new = FolderArchive(shared, folder), FolderArchive(tmp_path / "new", folder)
    new.path.mkdir()
    Packs(folder, old).move()
    create = folder.files.create

    def failing(path: Path) -> int:
        if path.name.startswith(".alarms"):
            raise OSError(errno.EIO, "Input/output error")
        return create(path)

    packs = Packs(folder, Succession(new, old))
    with monkeypatch.context() as patch:
        patch.setattr(folder.files, "create", failing, raising=False)
        for _ in range(2):
            with pytest.raises(JournalUnavailable, match="the setting packs"):
                packs.move()
    assert sorted(path.name[:6] for path in new.path.iterdir()) == ["people", "strang"]
    assert [path.name[:6] for path in shared.iterdir()] == ["alarms"]
    assert packs.move() == 1
    assert [packs.read(place) for place in places] == [b"alarms", b"people", b"strangers"]


def test_a_pack_that_pushes_wait_for_is_next_however_many_are_taken_along(
    folder: Folder, begin: Callable[..., Writer], shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    bringing: list[threading.Thread] = []

    class Taking(FolderArchive):
        def put(self, name: str, source: int) -> None:
            order.append("put")
            super().put(name, source)

        def take_along(self) -> int:
            order.append("along")
            if not bringing:
                bringing.append(threading.Thread(target=packs.bring, args=([place.pack],)))
                bringing[0].start()
                while not packs._turn.locked():  # only looking tells
                    bringing[0].join(0.001)
            return int(order.count("along") < 4)

    packs = Packs(folder, Taking(shared, folder))
    writer = begin()
    place = appended(writer, b"one")
    writer.close()
    monkeypatch.setattr(packs, "local", list)  # it is closed while the others are taken along
    assert packs.move() == 3
    bringing[0].join()
    assert order == ["along", "put", "along", "along", "along"]
    assert packs.read(place) == b"one"


def test_what_is_there_already_is_never_replaced_by_less(
    folder: Folder, begin: Callable[..., Writer], shared: Path
) -> None:
    writer = begin()
    one, two = appended(writer, b"one" * 1000), appended(writer, b"two" * 1000)
    writer.close()
    packs = Packs(folder, FolderArchive(shared, folder))
    packs.move()
    copies = PackCopies(folder)  # as a restore of a part has it
    copies.put(one.pack, one.offset, (shared / one.pack).read_bytes()[one.offset : one.offset + one.length])
    copies.close()
    assert packs.move() == 1
    assert (packs.read(one), packs.read(two)) == (b"one" * 1000, b"two" * 1000)


def test_a_pack_that_was_begun_just_now_is_not_moved(folder: Folder, shared: Path) -> None:
    folder.files.make_folder(folder.packs)
    name = "people-20261129-1796000000000-0123abcd-records-000001.pack"
    (folder.packs / name).touch()
    assert Packs(folder, FolderArchive(shared, folder)).move() == 0
    assert list(shared.iterdir()) == []


@pytest.mark.parametrize("how", ["pinned", "moving"])
def test_a_hole_that_cannot_be_made_now_is_made_by_the_next_call(
    folder: Folder, begin: Callable[..., Writer], how: str
) -> None:
    writer = begin()
    one, two = appended(writer, b"one" * 1000), appended(writer, b"two" * 1000)
    writer.close()
    packs = Packs(folder)
    with folder.pinned() if how == "pinned" else packs._changing:
        assert not packs.punch([one])
        assert packs.has(one)
    assert packs.punch()
    assert not packs.has(one)
    assert packs.read(two) == b"two" * 1000


def test_an_image_whose_pack_was_deleted_meanwhile_is_not_acknowledged(
    folder: Folder, begin: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = begin()
    place = appended(writer, b"one")
    sync_all = folder.files.sync_all

    def deleting(handles: Sequence[int]) -> None:
        (folder.packs / place.pack).unlink(missing_ok=True)
        sync_all(handles)

    with monkeypatch.context() as patch:
        patch.setattr(folder.files, "sync_all", deleting, raising=False)
        with pytest.raises(JournalUnavailable):
            appended(writer, b"two")
    assert Packs(folder).read(appended(writer, b"two")) == b"two"


def test_where_packs_are_only_looked_for_nothing_is_changed(
    folder: Folder, begin: Callable[..., Writer], shared: Path
) -> None:
    """As by a restored copy of a store, which knows the folder of the first one."""
    writer = begin()
    place = appended(writer, b"one" * 1000)
    writer.close()
    Packs(folder, FolderArchive(shared, folder)).move()
    before = (shared / place.pack).read_bytes()
    packs = Packs(folder, FolderArchive(shared, folder), moves=False)
    assert packs.read(place) == b"one" * 1000
    assert packs.punch([place])
    assert packs.remove_before("people", date.max).packs == ()
    assert packs.move() == 0
    assert (shared / place.pack).read_bytes() == before


def test_a_pack_in_which_no_hole_can_be_made_holds_no_other_up_and_is_tried_again(
    folder: Folder, begin: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = []
    for kind in ("alarms", "people"):
        writer = begin()
        places.append(appended(writer, b"image" * 1000, kind))
        writer.close()
    packs = Packs(folder)
    punch, calls = folder.files.punch, []

    def failing(handle: int, offset: int, size: int) -> None:
        calls.append(handle)
        if len(calls) == 1:
            raise OSError(errno.EIO, "Input/output error")
        punch(handle, offset, size)

    with monkeypatch.context() as patch:
        patch.setattr(folder.files, "punch", failing, raising=False)
        with pytest.raises(JournalUnavailable, match="cannot be deleted"):
            packs.punch(places)
        assert [packs.has(place) for place in places] == [True, False]
        assert packs.punch()
    assert not packs.has(places[0])
