"""The packs of a journal: images of its events, in a folder of their own.

Rules:

* A *pack* has images of one kind that one stream wrote on one day (UTC). No other stream appends to it, and none on
  another day.
* Each image has a key of its own. Pack, offset, length and key are its *place*, which is stored in an event. Deleting
  the place deletes the image, because nothing else decrypts it. A hole only gives the blocks back.
* A failed write or sync closes every pack of the writer for ever. Unsynced bytes are cut off.
* A pack is locked while it is written, and not deleted then. A pin of the journal also delays deletions and holes.
* Closed packs may be moved to an archive, which several journals share. Their places stay valid.
* Only the caller knows which images are in use. A caller that looks for unused packs has to consider unread events,
  too.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import TYPE_CHECKING, TypeGuard

from msgspec import Struct

from gatepost.errors import JournalCorrupt, JournalTooNew, JournalUnavailable
from gatepost.journal.folder import Folder, try_lock
from gatepost.journal.format import HEADER_BYTES, TAG_BYTES
from gatepost.journal.packs.files import PackFile, unavailable
from gatepost.journal.packs.reader import PackReader
from gatepost.journal.places import Place

if TYPE_CHECKING:
    from gatepost.journal.packs.archive import Archive

__all__ = ["Packs", "RemovedPacks"]

_MOST_DEAD = 100_000
"""Images that wait to become holes, at most. Others are deleted with their pack."""

_AT_ONCE = 2
"""So many packs are moved at once: while a bucket syncs one, the next is on its way."""


class RemovedPacks(Struct, frozen=True):
    """The result of a removal."""

    packs: tuple[str, ...]
    """The names of the deleted packs."""
    is_incomplete: bool = False
    """Something is left, because the journal is pinned, or a pack is being written or moved."""


class Packs(PackReader):
    """The packs of a journal, to read, move and delete. Thread-safe; several processes may have them open."""

    def __init__(self, folder: Folder, archive: Archive | None = None, *, moves: bool = True) -> None:
        """``archive``: where closed packs are kept; several journals may share it.

        ``moves``: :meth:`move` moves packs there. If not, they are only read there, and nothing in it is changed.
        """
        super().__init__(folder, archive)
        self.moves = moves
        self._dead: list[Place] = []
        """Unused images that are no holes yet."""
        self._changing = threading.Lock()
        self._turn = threading.Lock()
        """Held by the next one to hold ``_changing``, so that a long move does not keep :meth:`bring` waiting."""

    @property
    def has_archive(self) -> bool:
        """Return whether :meth:`move` has an archive to move packs to."""
        return self._archive is not None and self.moves

    def is_written(self, name: str) -> bool:
        """Return whether a writer still adds to a pack. Raises :class:`~gatepost.errors.JournalUnavailable`."""
        try:
            return self._is_locked(name)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise unavailable(f"the pack {name} cannot be read", error) from error

    def _is_locked(self, name: str) -> bool:
        """Return whether a pack in the journal's folder is being written. Raises ``OSError``."""
        pack = PackFile(self._files.open(self._here(name)))
        return not try_lock(pack.number, fcntl.LOCK_SH)

    def remove_before(self, kind: str, day: date) -> RemovedPacks:
        """Delete the packs of a kind that were written before a day.

        Does nothing while the journal is pinned. Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        local = self.remove(pack.name for pack in self.local() if pack.kind == kind and pack.day < day)
        if not self.moves or self._archive is None:
            return local
        there = self.remove(pack.name for pack in self.archived(kind, day))
        return RemovedPacks(local.packs + there.packs, local.is_incomplete or there.is_incomplete)

    def remove(self, names: Iterable[str]) -> RemovedPacks:
        """Delete these packs, except those that are being written.

        Does nothing while the journal is pinned. Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        removed: list[str] = []
        is_incomplete = False
        try:
            with self._folder.unpinned() as may_remove:
                if not may_remove:
                    return RemovedPacks((), is_incomplete=True)
                for name in names:
                    if self._remove(name):
                        removed.append(name)
                    elif self.is_here(name):
                        is_incomplete = True
                if removed and self._folder.packs.is_dir():
                    self._files.sync_folder(self._folder.packs)
        except OSError as error:
            raise unavailable("a pack cannot be deleted", error) from error
        return RemovedPacks(tuple(removed), is_incomplete)

    def _remove(self, name: str) -> bool:
        """Delete a pack here and in the archive; return whether one was deleted. Raises ``OSError``."""
        is_there = False
        with contextlib.suppress(FileNotFoundError):
            here = self._here(name)
            pack = PackFile(self._files.open(here))
            if not try_lock(pack.number, fcntl.LOCK_EX):
                return False
            self._files.remove(here)
            is_there = True
        if self._archive is not None and self.moves:
            with contextlib.suppress(FileNotFoundError):
                self._archive.open(name)
                self._archive.remove([name])
                is_there = True
        with self._lock:
            self._open.pop(name, None)
        return is_there

    def move(self) -> int:
        """Move closed packs to the archive; return how many.

        At every moment each of them is here or there, also after a crash. A pack that cannot be moved does not delay
        others. In that case :class:`~gatepost.errors.JournalUnavailable` is raised at the end, and the next call tries
        again.
        """
        if self._archive is None or not self.moves:
            return 0
        count = 0
        failed: OSError | None = None
        for names in _groups([pack.name for pack in self.local()]):
            moved = self._move_group(names, self._archive)
            count += moved.count(True)
            failed = next(filter(_is_failure, moved), failed)
            if any(isinstance(each, ConnectionError) for each in moved):
                break  # no other one can be moved now
        else:
            try:
                while more := self._take_along(self._archive):
                    count += more
            except OSError as error:
                failed = error
        if failed is not None:
            raise unavailable("packs cannot be moved to where the setting packs says", failed) from failed
        return count

    def bring(self, names: Iterable[str]) -> None:
        """Move these packs to the archive, as far as they are here.

        Raises :class:`~gatepost.errors.JournalUnavailable` if one of them cannot be moved now, or is being written.
        """
        if self._archive is None or not self.moves:
            return
        for group in _groups([name for name in names if self.is_here(name)]):
            for name, moved in zip(group, self._move_group(group, self._archive), strict=True):
                if _is_failure(moved):
                    raise unavailable(f"the pack {name} cannot be moved to its archive", moved) from moved
                if moved is False:
                    raise JournalUnavailable(f"the pack {name} is still being written")

    def _move_group(self, names: Sequence[str], archive: Archive) -> list[bool | OSError]:
        """Move packs at the same time; return for each what :meth:`_move` returns, or raises."""

        def moved(name: str) -> bool | OSError:
            try:
                return self._move(name, archive)
            except OSError as error:
                return error

        with self._in_turn():
            if len(names) == 1:  # no thread for it
                return [moved(names[0])]
            with ThreadPoolExecutor(_AT_ONCE, "gatepost-packs") as pool:
                return list(pool.map(moved, names))

    def _take_along(self, archive: Archive) -> int:
        with self._in_turn():
            return archive.take_along()

    @contextlib.contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Hold ``_changing``, in the order in which it was asked for."""
        with self._turn:
            self._changing.acquire()
        try:
            yield
        finally:
            self._changing.release()

    def _move(self, name: str, archive: Archive) -> bool:
        """Move a pack, unless it is being written or was just started."""
        here = self._here(name)
        source = self._files.open(here)
        try:
            if not try_lock(source, fcntl.LOCK_EX) or os.fstat(source).st_size <= HEADER_BYTES:
                return False
            archive.put(name, source)
            self._files.remove(here)
        finally:
            self._files.close(source)
        return True

    def punch(self, places: Iterable[Place] = ()) -> bool:
        """Make holes of unused images, and give their blocks back. Never waits.

        Other images keep their places. Keys are not needed. Missing packs are skipped. Return ``False`` if it is not
        possible now, because the journal is pinned, or packs are being moved or deleted; the next call does it as well.
        Raises :class:`~gatepost.errors.JournalTooNew` and :class:`~gatepost.errors.JournalUnavailable`.
        """
        with self._lock:
            self._dead += itertools.islice(places, max(0, _MOST_DEAD - len(self._dead)))
            if not self._dead:
                return True
        if not self._changing.acquire(blocking=False):
            return False
        try:
            with self._folder.unpinned() as may_remove:
                if not may_remove:
                    return False
                self._punch_all()
        finally:
            self._changing.release()
        return True

    def _punch_all(self) -> None:
        """Make every hole that is due. Failed ones stay due, and do not delay others."""
        with self._lock:
            dead, self._dead = self._dead, []
        by_pack: dict[str, list[Place]] = {}
        for place in dead:
            by_pack.setdefault(place.pack, []).append(place)
        failed = None
        for name, some in by_pack.items():
            try:
                self._punch(name, some)
            except (FileNotFoundError, JournalCorrupt):
                pass
            except (OSError, JournalTooNew) as error:
                failed = error
                with self._lock:
                    self._dead += some
        if isinstance(failed, OSError):
            raise unavailable("an image cannot be deleted from its pack", failed) from failed
        if failed is not None:
            raise failed

    def _punch(self, name: str, places: Sequence[Place]) -> None:
        is_here = self.is_here(name)
        if not (self.moves or is_here):
            return
        size = self._opened(name).size()
        holes = [
            (start, end)
            for start, end in _joined(places)
            if start >= HEADER_BYTES and start + TAG_BYTES <= end <= size
        ]
        if not is_here:
            if self._archive is not None:
                self._archive.punch(name, holes)
            return
        pack = PackFile(self._files.open(self._here(name), writes=True))
        for start, end in holes:
            self._files.punch(pack.number, start, end - start)
        self._files.sync(pack.number)


def _groups(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield as many at a time as are moved at once."""
    return (names[at : at + _AT_ONCE] for at in range(0, len(names), _AT_ONCE))


def _is_failure(moved: bool | OSError) -> TypeGuard[OSError]:
    """Return whether a pack could not be moved. One that was deleted meanwhile is no failure."""
    return isinstance(moved, OSError) and not isinstance(moved, FileNotFoundError)


def _joined(places: Iterable[Place]) -> list[tuple[int, int]]:
    """Return the stretches of these images, with neighbours joined, so that whole blocks between them become free."""
    found: list[tuple[int, int]] = []
    for place in sorted(places, key=lambda place: place.offset):
        end = place.offset + place.length
        if found and found[-1][1] >= place.offset:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((place.offset, end))
    return found
