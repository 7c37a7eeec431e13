"""A program for the tests: restores a backup in children of its own, and kills one at each call to the disk.

Prints as JSON how often each state of the folder was found.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.journal.kit import read_all
from tests.store.events import JPEG, arrival, record
from tests.store.packed import open_at
from tests.terminals import ensured

from gatepost.errors import StoreError
from gatepost.journal import files
from gatepost.journal.folder import Folder
from gatepost.journal.streams import ALARMS, RECORDS
from gatepost.journal.writer import Writer
from gatepost.store.interface import RecordQuery
from gatepost.store.maintenance.backup import backup
from gatepost.store.maintenance.restore import restore
from gatepost.store.sqlite.data_folder import JOURNAL
from gatepost.store.sqlite.store import SqliteStore


def make(file: Path, folder: Path) -> None:
    """Back up a store with two records in two packs, and one event in each lane of its journal."""
    store = open_at({"folder": folder})
    ensured(store, "SN-1", now_ms=0)
    store.write(
        [arrival(record(number), image=JPEG, received_at_ms=number * 86_400_000) for number in (1, 2)]
    )
    store.close()
    for lane in (ALARMS, RECORDS):
        writer = Writer(Folder.open(folder / JOURNAL), lane)
        writer.append([lane.encode()])
        writer.close()
    backup(file, folder=folder, now=0.0)


def kill_at(fatal: int) -> None:
    """Kill this process before the call to the disk with this number; a write comes half as far."""
    left = [fatal]

    def fatally(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **options)

        return counted

    for name in ("rename", "mkdir", "fsync", "rmdir"):
        setattr(os, name, fatally(getattr(os, name)))
    files._sync = fatally(files._sync)
    write = os.pwrite

    def half(handle: int, data: Any, offset: int) -> int:
        if left[0] == 1:
            write(handle, data[: len(data) // 2], offset)
        return fatally(write)(handle, data, offset)

    os.pwrite = half


def state(file: Path, folder: Path) -> str:
    """Return what became of a folder: a restore into it, and the next start, say the same."""
    said = attempt(lambda: restore(file, folder=folder))
    if "was cut off" in said:
        assert "was cut off" in attempt(lambda: SqliteStore.open(folder).close())
        return "it was cut off"
    store = SqliteStore.open(folder)
    records = store.records(RecordQuery()).items
    assert [store.image(row.id) for row in records] == [JPEG] * 2
    store.close()
    assert read_all(Folder.open(folder / JOURNAL)) == ([b"alarms", b"records"], [])
    assert not said or "holds a store already" in said
    return "all is there" if said else "nothing was made"


def attempt(call: Callable[[], object]) -> str:
    """Return what the error says, or nothing."""
    try:
        call()
    except StoreError as error:
        return str(error)
    return ""


def main() -> None:
    """Kill at the first call, the second one, and so on until the restore comes to its end."""
    root = Path(sys.argv[1])
    file = root / "b.tar"
    make(file, root / "source")
    found: Counter[str] = Counter()
    fatal = 1
    while True:
        folder = root / str(fatal)
        child = os.fork()
        if child == 0:
            kill_at(fatal)
            restore(file, folder=folder)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        found[state(file, folder)] += 1
        if not os.WIFSIGNALED(status):
            assert status == 0
            break
        fatal += 1
    print(json.dumps(found))  # noqa: T201 (that is what it is for)


if __name__ == "__main__":
    main()
