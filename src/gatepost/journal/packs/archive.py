"""An archive for closed packs: a folder or a bucket, which several journals share.

Rules:

* A pack is stored whole. It gets its name once all of it is durable, and only then may the local one be deleted.
* A stored pack is never replaced.
* A folder gives the blocks of a deleted image back. A bucket keeps a pack until all of it is due.
* If an archive replaces another one, packs are found in both while they are moved.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Protocol

from gatepost.journal.folder import Folder
from gatepost.journal.packs.files import STEP, Pack, PackFile, packs_in

__all__ = ["Archive", "FolderArchive", "OpenPack", "Succession", "data_of"]


class OpenPack(Protocol):
    """A pack that can be read. Its methods raise ``OSError``."""

    def size(self) -> int:
        """Return its bytes, holes included."""
        ...

    def read(self, length: int, offset: int) -> bytes:
        """Return ``length`` bytes at an offset, fewer at the end of the pack."""
        ...

    def is_there(self) -> bool:
        """Return whether it still exists, as far as known without a request."""
        ...


class Archive(Protocol):
    """Packs that several journals share. Thread-safe. Its methods raise ``OSError``."""

    def all(self, kind: str = "", before: date | None = None) -> list[Pack]:
        """Return the packs, by kind, day and age; if given, only those of one kind, and of the days before one."""
        ...

    def disk_bytes(self) -> int:
        """Return the bytes of all packs; may be some minutes old."""
        ...

    def open(self, name: str) -> OpenPack:
        """Open a pack. Raises ``FileNotFoundError``."""
        ...

    def put(self, name: str, source: int) -> None:
        """Store a pack, from a descriptor; do nothing if all of it is stored already."""
        ...

    def remove(self, names: Sequence[str]) -> None:
        """Delete packs; skip those that do not exist."""
        ...

    def punch(self, name: str, stretches: Iterable[tuple[int, int]]) -> None:
        """Give the bytes between these offsets back, if possible. Raises ``FileNotFoundError``."""
        ...

    def take_along(self) -> int:
        """Move a pack from the archive that this one replaces; return how many, 0 when none is left."""
        ...


class FolderArchive:
    """A folder that several journals share."""

    def __init__(self, path: Path, journal: Folder) -> None:
        """``journal``: the one whose packs this process stores here."""
        self.path = path
        self._files = journal.files
        self._id = journal.id

    def all(self, kind: str = "", before: date | None = None) -> list[Pack]:
        return [
            pack
            for pack in packs_in(self.path)
            if (not kind or pack.kind == kind) and (before is None or pack.day < before)
        ]

    def disk_bytes(self) -> int:
        return sum(pack.disk_bytes for pack in packs_in(self.path))

    def open(self, name: str) -> PackFile:
        return PackFile(self._files.open(self.path / name))

    def put(self, name: str, source: int) -> None:
        there, size = self.path / name, os.fstat(source).st_size
        if there.exists() and there.stat().st_size >= size:
            return
        partial = there.with_name(f".{name}.{self._id.hex()}")
        self._files.remove(partial)  # left by an interrupted attempt
        copy = self._files.create(partial)
        try:
            _copy(self._files.write, source, copy)
            self._files.sync(copy)
        finally:
            self._files.close(copy)
        partial.rename(there)
        self._files.sync_folder(self.path)

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            self._files.remove(self.path / name)
        if names:
            with contextlib.suppress(FileNotFoundError):
                self._files.sync_folder(self.path)

    def punch(self, name: str, stretches: Iterable[tuple[int, int]]) -> None:
        pack = PackFile(self._files.open(self.path / name, writes=True))
        for start, end in stretches:
            self._files.punch(pack.number, start, end - start)
        self._files.sync(pack.number)

    def take_along(self) -> int:
        return 0


class Succession:
    """An archive that replaces another one."""

    def __init__(self, new: Archive, old: Archive) -> None:
        self._new = new
        self._old = old
        self._failed: dict[str, OSError] = {}
        """Packs that :meth:`take_along` could not move, until it has tried all of them."""

    def all(self, kind: str = "", before: date | None = None) -> list[Pack]:
        old = self._old.all(kind, before)  # first, so that a pack moved meanwhile is found in the new one
        found = {pack.name: pack for pack in (*old, *self._new.all(kind, before))}
        return [found[name] for name in sorted(found)]

    def disk_bytes(self) -> int:
        return self._old.disk_bytes() + self._new.disk_bytes()

    def open(self, name: str) -> OpenPack:
        try:
            return self._new.open(name)
        except FileNotFoundError:
            pass
        try:
            return self._old.open(name)
        except FileNotFoundError:
            return self._new.open(name)  # it was just moved

    def put(self, name: str, source: int) -> None:
        self._new.put(name, source)

    def remove(self, names: Sequence[str]) -> None:
        self._old.remove(names)
        self._new.remove(names)

    def punch(self, name: str, stretches: Iterable[tuple[int, int]]) -> None:
        holes = list(stretches)
        try:
            self._new.punch(name, holes)
        except FileNotFoundError:
            self._old.punch(name, holes)

    def take_along(self) -> int:
        """Move one pack. At every moment it is in the old archive or in the new one.

        A pack that cannot be moved does not delay others: the error is raised once none of them is left.
        """
        for pack in self._old.all():
            if pack.name in self._failed:
                continue
            try:
                self._take_along(pack.name)
            except FileNotFoundError:
                continue  # another receiver moves it
            except OSError as error:
                if isinstance(error, ConnectionError) or error.errno == errno.ENOSPC:
                    raise  # no other one can be moved now
                self._failed[pack.name] = error
            else:
                return 1
        failed, self._failed = self._failed, {}
        for failure in failed.values():
            raise failure
        return 0

    def _take_along(self, name: str) -> None:
        opened = self._old.open(name)
        if isinstance(opened, PackFile):
            self._new.put(name, opened.number)
        else:
            with tempfile.TemporaryFile() as file:
                for at in range(0, opened.size(), STEP):
                    file.write(opened.read(STEP, at))
                file.flush()
                self._new.put(name, file.fileno())
        self._old.remove([name])


def _copy(write: Callable[[int, bytes, int], None], source: int, copy: int) -> None:
    """Copy a file; holes stay holes."""
    os.ftruncate(copy, os.fstat(source).st_size)
    for start, end in data_of(source):
        for at in range(start, end, STEP):
            write(copy, os.pread(source, min(STEP, end - at), at), at)


def data_of(source: int) -> Iterable[tuple[int, int]]:
    """Yield the offsets of the parts of a file that are no hole."""
    size, at = os.fstat(source).st_size, 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        end = os.lseek(source, at, os.SEEK_HOLE)
        yield at, end
        at = end
