"""A disk that forgets what was not synced: what SQLite did to it, and what a power cut would leave of that. Pure.

Rules:

- Everything that was done to a file is kept in order, with marks among it at the moments when somebody was told that
  an event is safe.
- A cut at any moment leaves what was synced before it, and of what was not a random part: each write is there, or
  not, or in part (whole sectors of 512 bytes); likewise the size of a file, its creation and its deletion.
- The first sync of a new file by SQLite also syncs its folder, and with it what was created and deleted there before:
  SQLite does so with journals and logs, and both ends with their databases. Others sync a folder by itself.

Flow: a run appends to :class:`Disk` → :meth:`Disk.cuts` walks through it once → :class:`Rest`, written to a folder.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from msgspec import Struct, field

__all__ = [
    "SECTOR",
    "Create",
    "Delete",
    "Disk",
    "Mark",
    "Op",
    "Rest",
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
    """A new size; smaller or larger."""

    file: str
    size: int


class Sync(Struct, frozen=True):
    """Everything done to this file before is durable from now on."""

    file: str
    with_folder: bool = True
    """The first sync of a new file also syncs its folder."""


class SyncFolder(Struct, frozen=True):
    """Make durable what was created and deleted in this folder before."""

    folder: str


class Delete(Struct, frozen=True):
    """The file's name is gone; for good only once ``durable``, or when something of that name is synced."""

    file: str
    durable: bool


class Mark(Struct, frozen=True):
    """From now on the event of that name must survive."""

    name: str


Op = Create | Write | Truncate | Sync | SyncFolder | Delete | Mark


class _File(Struct):
    """One file: what of it is durable, and what was done since."""

    durable: bytearray = field(default_factory=bytearray)
    named: bool = False
    """Whether its name is durable."""
    since: list[Write | Truncate] = field(default_factory=list)
    before: "_File | None" = None
    """What had that name before, and may have it again after a cut."""


class Rest(Struct, frozen=True):
    """What a cut leaves."""

    at: int
    """How many operations had been done."""
    files: Mapping[str, bytes]
    safe: frozenset[str]
    """The events that had been marked."""

    def write(self, folder: Path) -> None:
        """Write the files into ``folder``; their names are paths below it."""
        for name, data in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


class Disk:
    """The operations in their order. ``ops`` may be appended to from any thread."""

    def __init__(self) -> None:
        self.ops: list[Op] = []

    def cuts(self, positions: Sequence[int], rand: random.Random) -> Iterator[Rest]:
        """Answer what a cut after each of ``positions`` (ascending) operations leaves."""
        files: dict[str, _File | None] = {}
        safe: set[str] = set()
        done = 0
        for position in positions:
            for op in self.ops[done:position]:
                _apply(files, safe, op)
            done = position
            # How much of what is unsynced survives differs from cut to cut: nothing, all, or some of it.
            share = rand.choice((0.0, 1.0, 0.5, rand.random()))
            left = {name: _left(file, share, rand) for name, file in files.items()}
            yield Rest(
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
    """Answer a file's bytes after a cut, ``None`` where there is none."""
    if file is None:
        return None
    if not file.named and rand.random() >= share:
        # The new file of that name did not get through; nor did, perhaps, the deletion of the old one.
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
