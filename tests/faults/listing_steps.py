"""A program for the tests: lists a journal in children of its own, and kills one at each call to disk and store.

Prints what was found, as JSON: how many calls there were, and what was wrong.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import structlog
from tests.journal.steps import KillingFiles
from tests.packing import append
from tests.terminals import ensured

from gatepost.journal.files import Files
from gatepost.journal.folder import Folder
from gatepost.journal.places import Place
from gatepost.journal.streams import ALARMS, RECORDS, Position
from gatepost.journal.writer import Writer
from gatepost.receiver.ingest.commit.frames import Frames
from gatepost.receiver.jobs.projector.projector import Projector
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.interface import Arrival, Progress, Stored
from gatepost.store.sqlite.data_folder import JOURNAL
from gatepost.store.sqlite.store import SqliteStore
from gatepost.torture import read_disk
from gatepost.torture.oracle import digest as image_digest
from gatepost.wire import Event, Record, digest

EARLIER, LATER = 12, 4
"""Events that an earlier life has left, and that come while they are listed."""

ACKNOWLEDGED = "acknowledged"
"""The file that says that these have come."""


class KillingStore:
    """The real store. Each call counts twice: the process is killed before or behind it."""

    def __init__(self, store: SqliteStore, files: KillingFiles) -> None:
        self._store = store
        self._files = files
        self.secret = store.secret

    def write(self, batch: Sequence[Arrival], progress: Progress | None = None) -> Sequence[Stored]:
        """Write a batch between two steps."""
        self._files.step()
        stored = self._store.write(batch, progress)
        self._files.step()
        return stored

    def holders(self, event: Event, key: bytes, peer: str) -> Sequence[int]:
        """Return the holders: it changes nothing."""
        return self._store.holders(event, key, peer)

    def unused(self, places: Sequence[Place]) -> Sequence[Place]:
        """Return places without an event: it changes nothing."""
        return self._store.unused(places)

    def positions(self, journal: bytes) -> Mapping[str, Position]:
        """Return the positions: it changes nothing."""
        return self._store.positions(journal)

    def forget_streams(self, journal: bytes, streams: Sequence[str]) -> None:
        """Forget streams between two steps."""
        self._files.step()
        self._store.forget_streams(journal, streams)
        self._files.step()


def image(number: int) -> bytes:
    """Return the image of an event."""
    return b"\xff\xd8" + b"%d" % number * 300 + b"\xff\xd9"


def append_some(writer: Writer, frames: Frames, numbers: range) -> None:
    """Append records of the first terminal."""
    append(
        writer,
        frames,
        [
            Arrival(
                terminal_id=1,
                key=digest(f"u:{number}"),
                event=Record(serial="SN-1", uuid=f"{number}", image=image(number)),
                received_at_ms=1,
                original=json.dumps({"type": 0, "data": {"uuid": f"{number}"}}).encode(),
            )
            for number in numbers
        ],
    )


@contextmanager
def opened(path: Path, files: Files | None = None) -> Iterator[tuple[SqliteStore, Folder, Frames]]:
    """Open store and journal of a data folder."""
    with closing(SqliteStore.open(path)) as store:
        yield store, Folder.open(path / JOURNAL, files=files), Frames(store.secret, ImageKeys())


def prepare(path: Path) -> None:
    """Leave events of two writers in four segments."""
    with opened(path) as (store, folder, frames):
        ensured(store, "SN-1", now_ms=1)
        writers = [Writer(folder, RECORDS), Writer(folder, ALARMS)]
        for start in range(0, EARLIER, 3):
            writer = writers[start % 2]
            append_some(writer, frames, range(start, start + 3))
            writer.finish()
        for writer in writers:
            writer.close()


def list_and_remove(path: Path, fatal: int) -> None:
    """List what is there, and what is appended meanwhile. Removal follows by itself."""
    files = KillingFiles(fatal)
    with opened(path, files) as (store, folder, frames):
        projector = Projector(folder, KillingStore(store, files), frames, max_batch=2)
        projector.step()
        writer = Writer(Folder(folder.path, folder.id, Files()))
        append_some(writer, frames, range(EARLIER, EARLIER + LATER))
        (path / ACKNOWLEDGED).touch()
        writer.finish()
        while projector.step():
            pass
        writer.close()
        projector.close(timeout_s=0)


def look(path: Path, fatal: int) -> tuple[bool, list[str]]:
    """Return whether the listing was killed, and what is wrong after the next one."""
    child = os.fork()
    if child == 0:
        list_and_remove(path, fatal)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    was_killed = os.WIFSIGNALED(status)
    wrong: list[str] = [] if was_killed or not status else [f"it ended with {status}"]
    with opened(path) as (store, folder, frames):
        projector = Projector(folder, store, frames)
        writer = Writer(folder)
        append_some(writer, frames, range(99, 100))
        writer.close()
        while projector.step():
            pass
        projector.close(timeout_s=0)
        if projector.damaged or projector.set_aside:
            wrong.append("damage is told")
        if names := sorted(
            each.name for each in folder.path.iterdir() if each.name not in ("journal", "packs", "reader")
        ):
            wrong.append(f"files are left: {names}")
        if positions := store.positions(folder.id):
            wrong.append(f"positions are left: {positions}")
    found = {each.name: each.image for each in read_disk.stored(path)}
    events = EARLIER + LATER if (path / ACKNOWLEDGED).exists() else EARLIER
    if found != {f"{number}": image_digest(image(number)) for number in (*range(events), 99)}:
        wrong.append(f"listed: {sorted(found)}")
    if read_disk.duplicates_seen(path) or len(read_disk.stored(path)) != len(found):
        wrong.append("an event is listed twice")
    return was_killed, wrong


def main() -> None:
    """Kill at the first call, the second one, and so on until the listing comes to its end."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    root = Path(sys.argv[1])
    prepare(root / "prepared")
    found: list[str] = []
    fatal = 1
    while True:
        path = root / str(fatal)
        shutil.copytree(root / "prepared", path)
        was_killed, wrong = look(path, fatal)
        found += [f"killed at call {fatal}: {what}" for what in wrong]
        if not was_killed:
            break
        fatal += 1
    print(json.dumps({"calls": fatal, "wrong": found}))  # noqa: T201 (that is what it is for)


if __name__ == "__main__":
    main()
