"""Read the images of packs, in the journal's folder and in the archive."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from gatepost.errors import JournalCorrupt, JournalGone, JournalTooNew
from gatepost.journal.files import Files
from gatepost.journal.folder import Folder
from gatepost.journal.format import HEADER_BYTES, TAG_BYTES, decode_pack_header, decrypt
from gatepost.journal.packs.files import OPEN_PACKS, STEP, Pack, PackFile, is_pack_name, packs_in, unavailable
from gatepost.journal.places import Place

if TYPE_CHECKING:
    from gatepost.journal.packs.archive import Archive, OpenPack

__all__ = ["PackReader"]


class _PackInMemory:
    """A pack that was read completely."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def size(self) -> int:
        return len(self._content)

    def read(self, length: int, offset: int) -> bytes:
        return self._content[offset : offset + length]

    def is_there(self) -> bool:
        return True


class PackReader:
    """The packs of a journal, to read. Thread-safe; several processes may have them open."""

    def __init__(self, folder: Folder, archive: Archive | None = None) -> None:
        """``archive``: where closed packs are kept; several journals may share it."""
        self._folder = folder
        self._archive = archive
        self._files: Files = folder.files
        self._open: OrderedDict[str, OpenPack] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, place: Place) -> bytes:
        """Return the image at a place.

        Raises :class:`~gatepost.errors.JournalGone` if there is no such pack,
        :class:`~gatepost.errors.JournalCorrupt` if the bytes were not encrypted with this key,
        :class:`~gatepost.errors.JournalTooNew` and :class:`~gatepost.errors.JournalUnavailable`.
        """
        if not is_pack_name(place.pack):
            raise JournalCorrupt("the place of an image is damaged; restore it from a backup")
        try:
            pack = self._opened(place.pack)
            if not _is_inside(place, pack.size()):
                image = None
            else:
                image = decrypt(pack.read(place.length, place.offset), place.key)
        except FileNotFoundError:
            raise JournalGone(
                f"the pack {place.pack} is not here: another receiver has it, or it is gone, and its images with it;"
                " put it back from a backup if there is one"
            ) from None
        except OSError as error:
            raise unavailable(f"the pack {place.pack} cannot be read", error) from error
        if image is None:
            raise JournalCorrupt(
                f"an image in the pack {place.pack} is damaged, or its key is another one;"
                " restore the pack from a backup"
            )
        return image

    def copy(self, place: Place) -> bytes | None:
        """Return the encrypted bytes of an image, for a backup; ``None`` if there are none any more.

        Raises :class:`~gatepost.errors.JournalTooNew` and :class:`~gatepost.errors.JournalUnavailable`.
        """
        try:
            pack = self._opened(place.pack)
            if not _is_inside(place, pack.size()):
                return None
            data = pack.read(place.length, place.offset)
        except (FileNotFoundError, JournalCorrupt):
            return None
        except OSError as error:
            raise unavailable(f"the pack {place.pack} cannot be read", error) from error
        return data if data.count(0) < len(data) else None

    def has(self, place: Place) -> bool:
        """Return whether :meth:`copy` returns bytes, with little memory for any length. Raises as it does."""
        try:
            pack = self._opened(place.pack)
            if not _is_inside(place, pack.size()):
                return False
            end = place.offset + place.length
            for start in range(place.offset, end, STEP):
                data = pack.read(min(STEP, end - start), start)
                if data.count(0) < len(data):
                    return True
        except (FileNotFoundError, JournalCorrupt):
            pass
        except OSError as error:
            raise unavailable(f"the pack {place.pack} cannot be read", error) from error
        return False

    def size(self, name: str) -> int | None:
        """Return how many bytes a pack has, holes included; ``None`` without a readable one.

        Raises as :meth:`copy`.
        """
        try:
            return self._opened(name).size()
        except (FileNotFoundError, JournalCorrupt):
            return None
        except OSError as error:
            raise unavailable(f"the pack {name} cannot be read", error) from error

    def is_here(self, name: str) -> bool:
        """Return whether a pack is in the journal's folder, and not only in the archive."""
        return is_pack_name(name) and (self._folder.packs / name).exists()

    def journal_of(self, name: str) -> bytes | None:
        """Return the id of the journal that a pack was written for; ``None`` if it cannot be read.

        Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        try:
            return decode_pack_header(self._opened(name).read(HEADER_BYTES, 0)).journal
        except (FileNotFoundError, JournalCorrupt, JournalTooNew):
            return None
        except OSError as error:
            raise unavailable(f"the pack {name} cannot be read", error) from error

    @contextlib.contextmanager
    def read_through(self, name: str) -> Iterator[None]:
        """Keep a pack of a bucket in memory while all of it is read, so that it is fetched once.

        Raises as :meth:`copy`.
        """
        whole: OpenPack | None = None
        try:
            pack = self._opened(name)
            if not isinstance(pack, PackFile):
                whole = _PackInMemory(pack.read(pack.size(), 0))
        except (FileNotFoundError, JournalCorrupt):
            pass
        except OSError as error:
            raise unavailable(f"the pack {name} cannot be read", error) from error
        if whole is None:
            yield
            return
        with self._lock:
            self._open[name] = whole
        try:
            yield
        finally:
            with self._lock:
                self._open.pop(name, None)

    def confirm(self, places: Sequence[Place]) -> bool:
        """Sync the packs of these images, and return whether the images are complete.

        For events that no commit covers (see :class:`~gatepost.journal.reader.Batch`). Raises
        :class:`~gatepost.errors.JournalTooNew` and :class:`~gatepost.errors.JournalUnavailable`.
        """
        try:
            for name in {place.pack for place in places}:
                pack = self._opened(name)
                if isinstance(pack, PackFile):
                    self._files.sync(pack.number)
            for place in places:
                self.read(place)
        except (FileNotFoundError, JournalGone, JournalCorrupt):
            return False
        except OSError as error:
            raise unavailable("a pack cannot be synced", error) from error
        return True

    def all(self) -> list[Pack]:
        """Return every pack, by kind, day and age.

        Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        local = self.local()  # first, so that a pack moved meanwhile is found there
        found = {pack.name: pack for pack in (*local, *self.archived())}
        return [found[name] for name in sorted(found)]

    def disk_bytes(self) -> int:
        """Return the bytes that all packs take. Raises :class:`~gatepost.errors.JournalUnavailable`."""
        try:
            there = 0 if self._archive is None else self._archive.disk_bytes()
        except OSError as error:
            raise unavailable("the archive of packs cannot be read", error) from error
        return there + sum(pack.disk_bytes for pack in self.local())

    def local(self) -> list[Pack]:
        """Return the packs of the journal's folder. Raises :class:`~gatepost.errors.JournalUnavailable`."""
        try:
            return packs_in(self._folder.packs)
        except OSError as error:
            raise unavailable("the folder of packs cannot be read", error) from error

    def archived(self, kind: str = "", before: date | None = None) -> list[Pack]:
        """Return the packs in the archive; if given, only those of one kind, and of the days before one.

        Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        try:
            return [] if self._archive is None else self._archive.all(kind, before)
        except OSError as error:
            raise unavailable("the archive of packs cannot be read", error) from error

    @property
    def folder(self) -> Folder:
        """Return the journal that they belong to."""
        return self._folder

    def close(self) -> None:
        """Close every file. Idempotent."""
        with self._lock:
            self._open.clear()

    def _here(self, name: str) -> Path:
        """Return the path of a pack in the journal's folder. Raises ``FileNotFoundError`` for another name."""
        if not is_pack_name(name):
            raise FileNotFoundError(name)
        return self._folder.packs / name

    def _open_pack(self, name: str) -> OpenPack:
        """Open a pack, here or in the archive. Raises ``OSError``, ``FileNotFoundError`` without one."""
        try:
            return PackFile(self._files.open(self._here(name)))
        except FileNotFoundError:
            if self._archive is None:
                raise
        try:
            return self._archive.open(name)
        except FileNotFoundError:
            return PackFile(self._files.open(self._here(name)))  # a restore has just written it here

    def _opened(self, name: str) -> OpenPack:
        """Return a pack with a valid header.

        Raises ``OSError``, ``FileNotFoundError`` also if it was deleted since it was opened,
        :class:`~gatepost.errors.JournalCorrupt` and :class:`~gatepost.errors.JournalTooNew`.
        """
        with self._lock:
            pack = self._open.get(name)
            if pack is not None and pack.is_there():
                self._open.move_to_end(name)
                return pack
            self._open.pop(name, None)
        pack = self._open_pack(name)
        try:
            header = decode_pack_header(pack.read(HEADER_BYTES, 0))
            if header.name != name:
                raise JournalCorrupt(f"it is the pack {header.name}; give it its name back")
        except (JournalCorrupt, JournalTooNew) as error:
            raise type(error)(f"{name}: {error}") from None
        with self._lock:
            self._open[name] = pack
            while len(self._open) > OPEN_PACKS:
                self._open.popitem(last=False)
        return pack


def _is_inside(place: Place, size: int) -> bool:
    """Return whether an image at this place fits into a pack of this size."""
    return place.offset >= HEADER_BYTES and TAG_BYTES <= place.length <= size - place.offset
