"""Real disks where this machine has them, the limit everywhere, and which of the two it is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gatepost.torture.system import disks
from gatepost.torture.system.disks import (
    INSIDE,
    SMALLEST,
    WAYS,
    DiskError,
    Disks,
    MountedDisk,
    SizeLimit,
    enter,
    room,
)

# Does everything that a disk can do to a folder, and says what a program that has a file open there meets meanwhile.
SCRIPT = """
import errno, json, sys
from pathlib import Path
from gatepost.torture.system.disks import MountedDisk

def write(name, size=100_000):
    try:
        (folder / name).write_bytes(bytes(size))
    except OSError as error:
        return errno.errorcode[error.errno]
    return "written"

folder = Path(sys.argv[1])
disk = MountedDisk(folder, 1 << 24)
disk.open()
said = {"before": write("a")}
with (folder / "open").open("wb", buffering=0) as file:
    said["filled"] = disk.fill()
    said["full"] = write("b")
    disk.free()
    said["free"] = write("c")
    said["protected"] = disk.protect()
    said["read-only"] = write("d")
    said["again"] = write("c")
    said["open already"] = file.write(b"kept")
    disk.release()
    said["released"] = write("e")
    disk.protect()
disk.close(keep=sys.argv[2] == "keep")
print(json.dumps(said))
"""


def _possible(way: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run(
            [*way, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


# A machine on which nobody may mount has none of them; what is done there then is tested below.
NAMESPACES = [tuple(way) for way in WAYS if _possible(tuple(way))]


def test_a_real_disk_fills_up_and_becomes_read_only_and_is_well_again(tmp_path: Path) -> None:
    for number, way in enumerate(NAMESPACES):
        folder = tmp_path / str(number)
        folder.mkdir()
        done = subprocess.run(
            [*way, sys.executable, "-c", SCRIPT, str(folder), "keep"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.stderr == ""
        assert json.loads(done.stdout) == {
            "before": "written",
            "filled": True,
            "full": "ENOSPC",
            "free": "written",
            "protected": True,
            "read-only": "EROFS",
            "again": "EROFS",
            "open already": 4,
            "released": "written",
        }
        assert (folder / "open").read_bytes() == b"kept"
        assert (folder / "e").stat().st_size == 100_000
        assert sorted(os.listdir(tmp_path)) == [str(each) for each in range(number + 1)]  # noqa: PTH208
    with pytest.raises(DiskError):
        MountedDisk(tmp_path / "not" / "there", SMALLEST).open()


def test_what_is_not_to_be_kept_leaves_an_empty_folder(tmp_path: Path) -> None:
    for way in NAMESPACES:
        words = [*way, sys.executable, "-c", SCRIPT, str(tmp_path), "drop"]
        done = subprocess.run(words, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0
    MountedDisk(tmp_path, SMALLEST).close(keep=True)  # nothing was mounted: nothing to do
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_the_limit_stands_for_both_and_is_lifted() -> None:
    put: list[int | None] = []

    def limit(size: int | None) -> bool:
        put.append(size)
        return True

    disk = SizeLimit(limit, lambda: 4096)
    disk.open()
    assert (disk.fill(), disk.protect()) == (True, True)
    disk.free()
    disk.release()
    disk.close(keep=True)
    assert put == [4096, 0, None, None]


# -- into a namespace


def test_the_process_in_the_namespace_has_real_disks_of_the_size_that_it_takes() -> None:
    inside = {INSIDE: "1"}
    assert enter(SMALLEST * 3, ways=(), environ=inside) == Disks(True, SMALLEST * 3)
    assert enter(1, ways=(), environ=inside) == Disks(True, SMALLEST)


def test_without_enough_memory_there_are_no_real_disks() -> None:
    found = enter(600 << 20, ways=(("true",),), environ={}, available=lambda: 1000 << 20)
    assert found == Disks(False, why="real ones may take 600 MB, and 1000 MB of memory are free")


@pytest.mark.parametrize(
    ("ways", "why"),
    [
        ((), "no way is known"),
        ((("sh", "-c", "echo not permitted >&2; exit 1"),), "not permitted"),
        ((("false",),), "exit code 1"),
        ((("no-such-program",),), "no-such-program: No such file or directory"),
    ],
)
def test_where_nothing_may_be_mounted_it_is_said_why(ways: Any, why: str) -> None:
    assert enter(0, ways=ways, environ={}) == Disks(False, why=why)


def test_the_program_is_run_again_in_the_first_namespace_that_may_mount(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[Any] = []

    def replaced(program: str, words: list[str], environ: dict[str, str]) -> None:
        ran.append((program, words, environ))
        raise SystemExit  # as a program that is replaced never goes on

    monkeypatch.setattr(disks.os, "execvpe", replaced)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "gatepost.cli", "torture"])
    with pytest.raises(SystemExit):
        enter(0, ways=(("false",), ("true", "--option")), environ={"HOME": "/h"})
    assert ran == [
        ("true", ["true", "--option", "python", "-m", "gatepost.cli", "torture"], {"HOME": "/h", INSIDE: "1"})
    ]


def test_the_room_for_a_run_grows_with_its_length_and_its_events() -> None:
    three_minutes = room(seconds=180, terminals=3, rate=15)
    assert 500 << 20 < three_minutes < 1 << 30
    assert room(seconds=360, terminals=3, rate=30) == 4 * three_minutes
