"""The packs of a journal: images of its events, in a folder of their own.

Rules:

* A *pack* has images of one kind that one stream wrote on one day (UTC). No other stream appends to it, and none on
  another day.
* Each image has a key of its own. Pack, offset, length and key are its *place*, which is kept in an event. To delete
  the place is to delete the image: nothing else opens it. A hole only gives the blocks back.
* A failed write or sync closes every pack of the writer for ever. What it had not synced is cut off.
* A pack is locked while it is written, and not deleted then. A pin of the journal also holds packs and holes back.
* Packs that are closed may be moved to an archive, which several journals share. Their places stay.
* Which images are still in use is known to the caller alone. A caller that looks for packs without any looks at the
  events that are still to be read as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import threading
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING

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
"""Of so many images it is remembered that they have to become holes. Others leave with their pack."""


class RemovedPacks(Struct, frozen=True):
    """The result of a removal."""

    packs: tuple[str, ...]
    """The names of those that were deleted."""
    is_incomplete: bool = False
    """Something was left: the journal is pinned, or a pack is written or moved just now."""


class Packs(PackReader):
    """The packs of a journal, to be read, moved and deleted. Thread-safe; several processes may have them open."""

    def __init__(self, folder: Folder, archive: Archive | None = None, *, moves: bool = True) -> None:
        """``archive``: where packs are kept that are closed; several journals may have it in common.

        ``moves``: whether :meth:`move` brings packs there. Else they are only read there: nothing in it is changed.
        """
        super().__init__(folder, archive)
        self.moves = moves
        self._dead: list[Place] = []
        """Images that are not in use any more, and are no holes yet."""
        self._changing = threading.Lock()

    @property
    def has_archive(self) -> bool:
        """Return whether :meth:`move` has a place to move packs to."""
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
        """Delete these packs, but for those that are being written.

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
        """Delete a pack here and there; return whether there was one that could be deleted. Raises ``OSError``."""
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
        """Move to the archive what is closed; return how many packs.

        Each of them is there or here at every moment, also after a crash. One that cannot be moved holds none of the
        others up. Raises :class:`~gatepost.errors.JournalUnavailable` at the end then; it is tried again the next time.
        """
        if self._archive is None or not self.moves:
            return 0
        count = 0
        failed: OSError | None = None
        for pack in self.local():
            try:
                with self._changing:
                    count += self._move(pack.name, self._archive)
            except FileNotFoundError:
                pass  # it was deleted meanwhile
            except ConnectionError as error:
                failed = error
                break  # nor can any other be moved now
            except OSError as error:
                failed = error
        try:
            with self._changing:
                while failed is None and (more := self._archive.take_along()):
                    count += more
        except OSError as error:
            failed = error
        if failed is not None:
            raise unavailable("packs cannot be moved to where the setting packs says", failed) from failed
        return count

    def bring(self, names: Iterable[str]) -> None:
        """Move these packs to the archive, those of them that are here.

        Raises :class:`~gatepost.errors.JournalUnavailable` where one of them cannot be moved now, or is being written.
        """
        if self._archive is None or not self.moves:
            return
        for name in names:
            try:
                with self._changing:
                    is_moved = not self.is_here(name) or self._move(name, self._archive)
            except FileNotFoundError:
                continue  # it was deleted meanwhile
            except OSError as error:
                raise unavailable(f"the pack {name} cannot be moved to its archive", error) from error
            if not is_moved:
                raise JournalUnavailable(f"the pack {name} is still being written")

    def _move(self, name: str, archive: Archive) -> bool:
        """Move a pack, unless it is being written, or was begun just now."""
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
        """Make holes of images that are not in use any more, and give their blocks back. Never waits.

        Others keep their places, and keys are not needed. Packs that are gone are passed over. Return ``False`` where
        it cannot be done now, because the journal is pinned, or packs are moved or deleted just now: the next call does
        it as well. Raises :class:`~gatepost.errors.JournalTooNew` and :class:`~gatepost.errors.JournalUnavailable`.
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
        """Make every hole that is due. Those of a pack that fails stay due, and hold no other up."""
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


def _joined(places: Iterable[Place]) -> list[tuple[int, int]]:
    """Return the stretches that these images take, neighbours in one: whole blocks between them become free."""
    found: list[tuple[int, int]] = []
    for place in sorted(places, key=lambda place: place.offset):
        end = place.offset + place.length
        if found and found[-1][1] >= place.offset:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((place.offset, end))
    return found
