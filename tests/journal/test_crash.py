"""Whatever ends a writer, and wherever: what it returned for is there, once, and nothing else is called damaged."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.journal.kit import read_all, remove

from gatepost.conformance.torture.lossy import NotedFiles
from gatepost.conformance.torture.powercut import Disk, Mark
from gatepost.errors import JournalError
from gatepost.journal.files import Files
from gatepost.journal.folder import ALARMS, RECORDS, Folder, Position
from gatepost.journal.writer import Writer


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
    disk = Disk()
    run = folder / "run"
    run.mkdir(parents=True)
    journal = Folder.open(run / "journal", files=NotedFiles(disk, run))
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
        monkeypatch.setattr(NotedFiles, call, lambda self, what: None)
        assert power_cuts(tmp_path / call, seed=1, cuts=30) != []
        monkeypatch.undo()
