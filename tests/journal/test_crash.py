"""Whatever ends a writer, and wherever: what it returned for is there, once, and nothing else is called damaged."""

from __future__ import annotations

import errno
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.journal.kit import append_events, read_all, read_events, remove

from gatepost.errors import JournalError, JournalUnavailable
from gatepost.journal.files import Files
from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Image, Place
from gatepost.journal.streams import ALARMS, RECORDS, Position
from gatepost.journal.writer import Writer
from gatepost.torture.power_loss.disk_model import DiskModel, Mark
from gatepost.torture.power_loss.sqlite_vfs import RecordingFiles


def test_a_writer_is_killed_at_each_call_to_the_disk(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.journal.steps", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["calls"] > 40


def power_cuts(folder: Path, *, seed: int, cuts: int) -> list[str]:
    """Run two writers and a reader on a disk that forgets, cut it, read what is left, and return what is wrong."""
    rand = random.Random(seed)
    disk = DiskModel()
    run = folder / "run"
    run.mkdir(parents=True)
    journal = Folder.open(run / "journal", files=RecordingFiles(disk, run))
    begun = len(disk.ops)
    commits: list[tuple[dict[str, Position], int]] = [({}, 0)]
    done: list[bytes] = []
    positions: dict[str, Position] = {}
    number = 0
    for _ in range(3):
        writers = [Writer(journal, lane, segment_bytes=4000) for lane in (RECORDS, RECORDS, ALARMS)]
        for _ in range(25):
            writer = rand.choice(writers)
            bodies = [
                b"%04d" % (number + n) + rand.randbytes(rand.randint(0, 900))
                for n in range(rand.randint(1, 4))
            ]
            number += len(bodies)
            writer.append(bodies)
            disk.ops += [Mark(body[:4].decode()) for body in bodies]
            if rand.random() < 0.1:
                writer.finish()
            if rand.random() < 0.3:
                done += read_all(journal, positions)[0]
                commits.append((dict(positions), len(done)))
                disk.ops.append(Mark(f"commit {len(commits) - 1}"))
                remove(journal, positions)
        for writer in writers:
            if rand.random() < 0.5:
                writer.close()
            else:
                writer._abandon()
                Files().close(writer._lock)
    at = sorted(rand.randint(begun, len(disk.ops)) for _ in range(cuts))
    wrong: list[str] = []
    for index, rest in enumerate(disk.cuts(at, rand)):
        left = folder / f"cut{index}"
        rest.write(left)
        commit = max([int(name[7:]) for name in rest.safe if name.startswith("commit ")], default=0)
        kept, count = commits[commit]
        try:
            bodies, damages = read_all(Folder.open(left / "journal"), dict(kept))
        except JournalError as error:
            wrong.append(f"cut {index} at {rest.at}: {error}")
            continue
        names = [body[:4].decode() for body in (*done[:count], *bodies)]
        missing = {name for name in rest.safe if not name.startswith("commit ")} - set(names)
        if missing:
            wrong.append(f"cut {index} at {rest.at}: missing {sorted(missing)}")
        if len(names) != len(set(names)):
            wrong.append(f"cut {index} at {rest.at}: twice")
        if damages:
            wrong.append(f"cut {index} at {rest.at}: called damaged: {damages}")
    return wrong


def test_power_is_cut(tmp_path: Path) -> None:
    assert power_cuts(tmp_path, seed=1, cuts=60) == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10, 20))
def test_power_is_cut_a_thousand_times(tmp_path: Path, seed: int) -> None:
    assert power_cuts(tmp_path, seed=seed, cuts=1000) == []


def test_the_power_cuts_notice_a_missing_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the sync of the folder, or of the file, the campaign must fail: else it proves nothing."""
    for call in ("sync", "sync_folder"):
        monkeypatch.setattr(RecordingFiles, call, lambda self, what: None)
        assert power_cuts(tmp_path / call, seed=1, cuts=30) != []
        monkeypatch.undo()


class FlakyFiles(RecordingFiles):
    """A disk of which a sync of several files fails now and then, and which tells ``early`` before each."""

    early: Sequence[Mark] = ()
    rand: random.Random

    def sync_all(self, handles: Sequence[int]) -> None:
        self._disk.ops += self.early
        if self.rand.random() < 0.05:
            super().sync_all([handle for handle in handles if self.rand.random() < 0.5])
            raise OSError(errno.EIO, "EIO")
        super().sync_all(handles)


def image_cuts(folder: Path, *, seed: int, cuts: int, tells_early: bool = False) -> list[str]:
    """Append events with images on a disk that forgets, cut it, read what is left, and return what is wrong.

    Some syncs fail, some images become holes, and some packs are deleted. ``tells_early``: acknowledge before the sync.
    """
    rand = random.Random(seed)
    disk = DiskModel()
    run = folder / "run"
    run.mkdir(parents=True)
    files = FlakyFiles(disk, run)
    files.rand = rand
    journal = Folder.open(run / "journal", files=files)
    begun = len(disk.ops)
    packs = Packs(journal)
    clock = [1_790_000_000.0]
    data: dict[str, list[bytes]] = {}
    alive: dict[str, list[Place]] = {}
    for _ in range(3):
        writers = [
            Writer(
                journal,
                lane,
                segment_bytes=3000,
                pack_bytes=9000,
                pack_s=3600,
                now=lambda: clock[0],
                monotonic=lambda: clock[0],
                random=rand.randbytes,
            )
            for lane in (RECORDS, ALARMS)
        ]
        for _ in range(20):
            clock[0] += rand.choice((1, 1, 1, 20_000))
            events = [
                (
                    f"{len(data) + n:04}",
                    [
                        Image(rand.choice(("people", "strangers")), rand.randbytes(rand.randint(0, 3000)))
                        for _ in range(rand.randint(0, 2))
                    ],
                )
                for n in range(rand.randint(1, 3))
            ]
            data.update((name, [image.data for image in images]) for name, images in events)
            marks = [Mark(name) for name, _ in events]
            files.early = marks if tells_early else ()
            try:
                places = append_events(rand.choice(writers), events)
            except JournalUnavailable:
                continue
            disk.ops += marks
            alive.update((name, own) for (name, _), own in zip(events, places, strict=True))
            if rand.random() < 0.2:
                written = {pack.name for one in writers for pack in one._packs._packs.values()}
                _forget(rand, disk, packs, alive, written)
        for writer in writers:
            if rand.random() < 0.5:
                writer.close()
            else:
                writer._abandon()
                for pack in writer._packs._packs.values():
                    Files().close(pack.handle)
                Files().close(writer._lock)
    packs.close()
    at = sorted(rand.randint(begun, len(disk.ops)) for _ in range(cuts))
    wrong: list[str] = []
    for index, rest in enumerate(disk.cuts(at, rand)):
        left = folder / f"cut{index}"
        rest.write(left)
        where = f"cut {index} at {rest.at}"
        forgotten = {name.removeprefix("forget ") for name in rest.safe if name.startswith("forget ")}
        try:
            remains = Folder.open(left / "journal")
            found, damages = read_events(remains)
        except JournalError as error:
            wrong.append(f"{where}: {error}")
            continue
        acknowledged = {name for name in rest.safe if not name.startswith("forget ")}
        # The event of an image that was made a hole may be taken for one that was not acknowledged.
        if missing := acknowledged - forgotten - set(found):
            wrong.append(f"{where}: missing {sorted(missing)}")
        if damages:
            wrong.append(f"{where}: called damaged: {damages}")
        after = Packs(remains)
        for name, places in found.items():
            if name in forgotten:
                continue
            for place, image in zip(places, data[name], strict=True):
                try:
                    if after.read(place) != image:
                        wrong.append(f"{where}: another image of {name}")
                except JournalError as error:
                    wrong.append(f"{where}: {name}: {error}")
        after.close()
    return wrong


def _forget(
    rand: random.Random, disk: DiskModel, packs: Packs, alive: dict[str, list[Place]], written: set[str]
) -> None:
    """Make holes of the images of some events, or delete a pack that is not being written."""
    closed = [pack.name for pack in packs.all() if pack.name not in written]
    gone = rand.choice(closed) if closed and rand.random() < 0.5 else ""
    names = {
        name
        for name, places in alive.items()
        if (any(place.pack == gone for place in places) if gone else rand.random() < 0.1)
    }
    disk.ops += [Mark(f"forget {name}") for name in sorted(names)]
    if gone:
        assert packs.remove([gone]).packs == (gone,)
    else:
        packs.punch([place for name in sorted(names) for place in alive[name]])
    for name in names:
        del alive[name]


def test_power_is_cut_between_segment_and_packs(tmp_path: Path) -> None:
    assert image_cuts(tmp_path, seed=1, cuts=60) == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10, 20))
def test_power_is_cut_between_segment_and_packs_a_thousand_times(tmp_path: Path, seed: int) -> None:
    assert image_cuts(tmp_path, seed=seed, cuts=1000) == []


@pytest.mark.parametrize("which", ["segment", "packs"])
def test_the_power_cuts_notice_that_only_one_of_the_two_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    true = FlakyFiles.sync_all

    def sync_all(self: FlakyFiles, handles: Sequence[int]) -> None:
        true(self, handles[:1] if which == "segment" else handles[1:])

    monkeypatch.setattr(FlakyFiles, "sync_all", sync_all)
    wrong = image_cuts(tmp_path, seed=1, cuts=40)
    assert any("missing" in one for one in wrong)


def test_the_power_cuts_notice_who_tells_before_the_sync(tmp_path: Path) -> None:
    assert any("missing" in one for one in image_cuts(tmp_path, seed=1, cuts=40, tells_early=True))


def test_the_power_cuts_notice_that_the_folder_of_packs_is_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = RecordingFiles.sync_folder

    def sync_folder(self: RecordingFiles, path: Path) -> None:
        if path.name != "packs":
            true(self, path)

    monkeypatch.setattr(RecordingFiles, "sync_folder", sync_folder)
    assert any("missing" in one for one in image_cuts(tmp_path, seed=1, cuts=40))


def test_the_power_cuts_notice_a_reader_that_uses_what_no_commit_covers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Packs, "confirm", lambda self, places: True)
    assert image_cuts(tmp_path, seed=1, cuts=80) != []
