"""A program for the tests: writes and reads a journal in children of its own, and kills one at each call to the disk.

Prints what was found, as JSON: how many calls there were, and what was wrong.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from tests.journal.kit import read_all, remove

from gatepost.journal.files import Files
from gatepost.journal.folder import Folder, Position
from gatepost.journal.writer import Writer

BODIES = [b"body %03d " % number + b"x" * 400 for number in range(12)]


class KillingFiles(Files):
    """The real disk. The process is killed before the call with this number, and in the middle of a write."""

    def __init__(self, fatal: int) -> None:
        self._left = fatal

    def _call(self) -> bool:
        self._left -= 1
        return self._left == 0

    def step(self) -> None:
        """Count a call to something else."""
        if self._call():
            _die()

    def create(self, path: Path) -> int:
        if self._call():
            _die()
        return super().create(path)

    def link(self, path: Path, name: Path) -> None:
        if self._call():
            _die()
        super().link(path, name)

    def write(self, handle: int, data: bytes, offset: int) -> None:
        if self._call():
            super().write(handle, data[: len(data) // 2], offset)
            _die()
        super().write(handle, data, offset)

    def sync(self, handle: int) -> None:
        if self._call():
            _die()
        super().sync(handle)

    def sync_folder(self, path: Path) -> None:
        if self._call():
            _die()
        super().sync_folder(path)

    def remove(self, path: Path) -> None:
        if self._call():
            _die()
        super().remove(path)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write(path: Path, told: int, fatal: int) -> None:
    """Append bodies two by two; read and remove after four, when the segment is finished, after eight, and at the end.

    Tell what is done.
    """
    folder = Folder.open(path, files=KillingFiles(fatal))
    writer = Writer(folder, segment_bytes=2500)
    positions: dict[str, Position] = {}
    done = 0
    for start in range(0, len(BODIES), 2):
        writer.append(BODIES[start : start + 2])
        os.write(told, b"appended %d\n" % (start + 2))
        if start == 2:
            writer.finish()
        if start in (2, 6):
            done += len(read_all(folder, positions)[0])
            os.write(told, b"read %d\n" % done)
            remove(folder, positions)
    writer.close()
    done += len(read_all(folder, positions)[0])
    os.write(told, b"read %d\n" % done)
    remove(folder, positions)


def look(path: Path, fatal: int) -> tuple[bool, list[str]]:
    """Return whether the writer was killed, and what is wrong afterwards."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        write(path, writing, fatal)
        os._exit(0)
    os.close(writing)
    counts = {"appended": 0, "read": 0}
    with os.fdopen(reading) as stream:
        for line in stream:
            what, count = line.split()
            counts[what] = int(count)
    _, status = os.waitpid(child, 0)
    was_killed = os.WIFSIGNALED(status)
    folder = Folder.open(path)
    # Without positions everything comes again that was not removed.
    bodies, damages = read_all(folder)
    wrong: list[str] = []
    if status and not was_killed:
        wrong.append(f"it ended with {status}")
    if missing := set(BODIES[: counts["appended"]]) - set(BODIES[: counts["read"]]) - set(bodies):
        wrong.append(f"missing: {sorted(missing)}")
    if bodies != sorted(set(bodies)):
        wrong.append("they are not in order, or not once")
    if not all(damage.end == 0 and counts["read"] for damage in damages):  # what was removed is told as gone
        wrong.append(f"damage is told: {damages}")
    writer = Writer(folder)
    writer.append([b"zz after"])
    writer.close()
    if read_all(folder)[0][-1:] != [b"zz after"]:
        wrong.append("what is appended afterwards is not read")
    return was_killed, wrong


def main() -> None:
    """Kill at the first call, the second one, and so on until the writer comes to its end."""
    root = Path(sys.argv[1])
    found: list[str] = []
    fatal = 1
    while True:
        was_killed, wrong = look(root / str(fatal), fatal)
        found += [f"killed at call {fatal}: {what}" for what in wrong]
        if not was_killed:
            break
        fatal += 1
    print(json.dumps({"calls": fatal, "wrong": found}))  # noqa: T201 (that is what it is for)


if __name__ == "__main__":
    main()
