"""A program for the tests: writes and reads a journal in children of its own, and kills one at each call to the disk.

Prints what was found, as JSON: how many calls there were, and what was wrong.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import msgspec
from tests.journal.kit import append_events, read_events, remove

from gatepost.errors import JournalError
from gatepost.journal.files import Files
from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Image, Place
from gatepost.journal.streams import Position
from gatepost.journal.writer import Writer

EVENTS = [
    (
        f"event {number:03}" + "x" * 400,
        [Image(kind, bytes([number]) * 1500) for kind in ("people", "strangers")[: number % 3]],
    )
    for number in range(12)
]
NAMES = [name for name, _ in EVENTS]
PUNCHED = NAMES[2]


class KillingFiles(Files):
    """The real disk. The process is killed before the call with this number, and in the middle of a write.

    Nothing is synced: what a process wrote outlives it all the same.
    """

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

    def open(self, path: Path, *, writes: bool = False) -> int:
        if self._call():
            _die()
        return super().open(path, writes=writes)

    def link(self, path: Path, name: Path) -> None:
        if self._call():
            _die()
        super().link(path, name)

    def rename(self, path: Path, name: Path) -> None:
        if self._call():
            _die()
        super().rename(path, name)

    def write(self, handle: int, data: bytes, offset: int) -> None:
        if self._call():
            super().write(handle, data[: len(data) // 2], offset)
            _die()
        super().write(handle, data, offset)

    def sync(self, handle: int) -> None:
        if self._call():
            _die()

    def sync_all(self, handles: Sequence[int]) -> None:
        for handle in handles:
            self.sync(handle)

    def punch(self, handle: int, offset: int, size: int) -> None:
        if self._call():
            _die()
        super().punch(handle, offset, size)

    def sync_folder(self, path: Path) -> None:
        if self._call():
            _die()

    def remove(self, path: Path) -> None:
        if self._call():
            _die()
        super().remove(path)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write(path: Path, told: int, fatal: int) -> None:
    """Append events two by two; read and remove after four, when the segment is finished, after eight, and at the end.

    Then also make a hole of an image, and delete packs. Tell what is done.
    """
    folder = Folder.open(path, files=KillingFiles(fatal))
    writer = Writer(folder, segment_bytes=2500, pack_bytes=5000)
    packs = Packs(folder)
    positions: dict[str, Position] = {}
    done = 0
    punched: list[Place] = []
    for start in range(0, len(EVENTS), 2):
        places = append_events(writer, EVENTS[start : start + 2])
        _tell(told, "appended", start + 2, places)
        if start == 2:
            punched = places[0]
            writer.finish()
        if start in (2, 6):
            done += len(read_events(folder, positions)[0])
            _tell(told, "read", done)
            remove(folder, positions)
    _tell(told, "punching", 1)
    packs.punch(punched)
    writer.close()
    done += len(read_events(folder, positions)[0])
    _tell(told, "read", done)
    remove(folder, positions)
    _tell(told, "removing", 1)
    packs.remove_before("people", date.max)


def _tell(told: int, what: str, count: int, places: list[list[Place]] | None = None) -> None:
    os.write(told, msgspec.json.encode((what, count, places or [])) + b"\n")


def look(path: Path, fatal: int) -> tuple[bool, list[str]]:
    """Return whether the writer was killed, and what is wrong afterwards."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        write(path, writing, fatal)
        os._exit(0)
    os.close(writing)
    counts = {"appended": 0, "read": 0, "punching": 0, "removing": 0}
    places: list[list[Place]] = []
    with os.fdopen(reading, "rb") as stream:
        for line in stream:
            what, count, more = msgspec.json.decode(line, type=tuple[str, int, list[list[Place]]])
            counts[what] = count
            places += more
    _, status = os.waitpid(child, 0)
    was_killed = os.WIFSIGNALED(status)
    folder = Folder.open(path, files=KillingFiles(0))
    # Without positions everything comes again that was not removed.
    found, damages = read_events(folder)
    wrong: list[str] = []
    if status and not was_killed:
        wrong.append(f"it ended with {status}")
    if missing := set(NAMES[: counts["appended"]]) - set(NAMES[: counts["read"]]) - set(found):
        wrong.append(f"missing: {sorted(missing)}")
    if list(found) != sorted(found):
        wrong.append("they are not in order")
    if not all(damage.end == 0 and counts["read"] for damage in damages):  # what was removed is told as gone
        wrong.append(f"damage is told: {damages}")
    wrong += images(folder, {**dict(zip(NAMES, places, strict=False)), **found}, counts)
    writer = Writer(folder)
    append_events(writer, [("zz after", [Image("people", b"after")])])
    writer.close()
    found, _ = read_events(folder)
    if list(found)[-1:] != ["zz after"] or Packs(folder).read(found["zz after"][0]) != b"after":
        wrong.append("what is appended afterwards is not read")
    return was_killed, wrong


def images(folder: Folder, found: dict[str, list[Place]], counts: dict[str, int]) -> list[str]:
    """Return what is wrong with the images of these events."""
    wrong: list[str] = []
    packs = Packs(folder)
    for name, expected in EVENTS:
        for place, image in zip(found.get(name, []), expected, strict=False):
            if (counts["punching"] and name == PUNCHED) or (counts["removing"] and image.kind == "people"):
                continue
            try:
                if packs.read(place) != image.data:
                    wrong.append(f"another image of {name}")
            except JournalError as error:
                wrong.append(f"{name}: {error}")
    return wrong


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
