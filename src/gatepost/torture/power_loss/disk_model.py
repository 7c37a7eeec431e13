"""A disk that loses what was not synced: the operations on it, and what a power cut leaves. Pure.

Rules:

- All operations on a file are kept in order. A mark among them is the moment at which a caller was told that an event
  is safe.
- A cut at any moment leaves everything that was synced before it, and a random part of the rest. A write is there, not
  there, or there in part (whole sectors of 512 bytes). The same holds for a file's size, creation and deletion.
- The first sync of a new file by SQLite also syncs its folder, with all earlier creations and deletions there. SQLite
  does so with journals and logs, and both ends with their databases. Other programs sync the folder themselves.

Flow: a run appends to :class:`DiskModel` → :meth:`DiskModel.cuts` goes through it once → :class:`CrashState`, written
to a folder.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from msgspec import Struct, field

__all__ = [
    "SECTOR",
    "Create",
    "Delete",
    "DiskModel",
    "Mark",
    "Op",
    "CrashState",
    "Sync",
    "SyncFolder",
    "Truncate",
    "Write",
]

SECTOR = 512


class Create(Struct, frozen=True):
    """A new file, empty."""

    file: str


class Write(Struct, frozen=True):
    """Bytes at an offset."""

    file: str
    offset: int
    data: bytes


class Truncate(Struct, frozen=True):
    """A new size, smaller or larger."""

    file: str
    size: int


class Sync(Struct, frozen=True):
    """Every earlier operation on this file is durable from now on."""

    file: str
    with_folder: bool = True
    """The first sync of a new file also syncs its folder."""


class SyncFolder(Struct, frozen=True):
    """Every earlier creation and deletion in this folder is durable from now on."""

    folder: str


class Delete(Struct, frozen=True):
    """The file's name is gone. It is durably gone if ``durable``, or once a file of that name is synced."""

    file: str
    durable: bool


class Mark(Struct, frozen=True):
    """From now on the event of that name must survive."""

    name: str


Op = Create | Write | Truncate | Sync | SyncFolder | Delete | Mark


class _File(Struct):
    """A file: its durable content, and the operations since."""

    durable: bytearray = field(default_factory=bytearray)
    named: bool = False
    """Its name is durable."""
    since: list[Write | Truncate] = field(default_factory=list)
    before: "_File | None" = None
    """The file that had the name before, and may have it again after a cut."""


class CrashState(Struct, frozen=True):
    """Describe what a power cut leaves."""

    at: int
    """Number of operations before the cut."""
    files: Mapping[str, bytes]
    safe: frozenset[str]
    """The events that were marked before the cut."""

    def write(self, folder: Path) -> None:
        """Write the files into ``folder``; their names are paths below it."""
        for name, data in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


class DiskModel:
    """The operations in their order. Any thread may append to ``ops``."""

    def __init__(self) -> None:
        self.ops: list[Op] = []

    def cuts(self, positions: Sequence[int], rand: random.Random) -> Iterator[CrashState]:
        """Return what a cut after each of ``positions`` (ascending) operations leaves."""
        files: dict[str, _File | None] = {}
        safe: set[str] = set()
        done = 0
        for position in positions:
            for op in self.ops[done:position]:
                _apply(files, safe, op)
            done = position
            # The unsynced part that survives differs from cut to cut: nothing, all, or some of it.
            share = rand.choice((0.0, 1.0, 0.5, rand.random()))
            left = {name: _left(file, share, rand) for name, file in files.items()}
            yield CrashState(
                position, {name: data for name, data in left.items() if data is not None}, frozenset(safe)
            )


def _apply(files: dict[str, _File | None], safe: set[str], op: Op) -> None:
    if isinstance(op, Mark):
        safe.add(op.name)
        return
    if isinstance(op, SyncFolder):
        _sync_folder(files, op.folder)
        return
    file = files.get(op.file)
    if isinstance(op, Delete):
        files[op.file] = (
            None if op.durable or file is None else _File(before=file, named=False, since=[], durable=_GONE)
        )
        return
    if file is None or file.durable is _GONE:
        file = files[op.file] = _File(before=None if file is None else file.before)
    if isinstance(op, Create):
        return
    if isinstance(op, Sync):
        for change in file.since:
            _change(file.durable, change)
        file.since.clear()
        if op.with_folder and not file.named:
            _sync_folder(files, str(PurePath(op.file).parent))
    else:
        file.since.append(op)


def _sync_folder(files: dict[str, _File | None], folder: str) -> None:
    """Make every name in a folder durable, and every deletion."""
    for other in [other for other in files if PurePath(other).parent == PurePath(folder)]:
        file = files[other]
        if file is None or file.durable is _GONE:
            files[other] = None
        else:
            file.named = True
            file.before = None


_GONE = bytearray()
"""Stands, by identity, for a file whose deletion is not durable yet."""


def _left(file: _File | None, share: float, rand: random.Random) -> bytes | None:
    """Return a file's bytes after a cut; ``None`` if there is no file."""
    if file is None:
        return None
    if not file.named and rand.random() >= share:
        # The new file of that name is lost. The deletion of the old one may be lost, too.
        old = file.durable is _GONE or rand.random() < 0.5
        return _left(file.before, share, rand) if old else None
    if file.durable is _GONE:
        return None
    content = bytearray(file.durable)
    for change in file.since:
        roll = rand.random()
        if roll < share:
            _change(content, change)
        elif isinstance(change, Write) and roll < share + (1 - share) * 0.3 and share:
            _change(content, _torn(change, rand))
    return bytes(content)


def _torn(change: Write, rand: random.Random) -> Write:
    sectors = max(1, len(change.data) // SECTOR)
    cut = SECTOR * rand.randint(0, sectors)
    if rand.random() < 0.5:
        return Write(change.file, change.offset, change.data[:cut])
    return Write(change.file, change.offset + cut, change.data[cut:])


def _change(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    if not change.data:
        return
    end = change.offset + len(change.data)
    if end > len(content):
        content.extend(bytes(end - len(content)))
    content[change.offset : end] = change.data
