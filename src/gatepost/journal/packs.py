"""Images beside a journal: packs, in a folder of their own.

Rules:

* A *pack* has images of one kind that one stream wrote on one day (UTC). Nobody appends to a pack of another stream,
  or of another day.
* Each image has a key of its own. Pack, offset, length and key are its *place*, which is kept in an event. Who deletes
  the place deletes the image: nothing else opens it. A hole only gives the blocks back.
* A failed write or sync closes every pack of the writer for ever. What it had not synced is cut off.
* A pack is locked while it is written, and not deleted then. A pin of the journal also holds packs and holes back.
* Packs that are closed may be moved to an archive, which several journals share. Their places stay.
* Which images are still in use is known to the caller alone. A caller that looks for packs without any looks at the
  events that are still to be read as well.

Names: ``KIND-YYYYMMDD-STREAM-000001.pack``. They sort by kind, day and age.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatepost.errors import JournalCorrupt, JournalGone, JournalTooNew, JournalUnavailable
from gatepost.journal.files import Files
from gatepost.journal.folder import Folder, try_lock
from gatepost.journal.format import HEADER_BYTES, TAG_BYTES, decode_pack_header, decrypt

if TYPE_CHECKING:
    from gatepost.journal.archive import Archive, OpenPack

__all__ = [
    "LARGEST_PACK", "OPEN_PACKS", "STEP", "Image", "Pack", "PackFile", "Packs", "Place", "RemovedPacks",
    "as_pack", "bytes_in", "join_places", "packs_in", "parse_name", "split_places",
]  # fmt: skip

LARGEST_PACK = 1024 * 1024 * 1024
"""Bytes. No pack comes near it: one is closed with the append that makes it full."""

STEP = 1024 * 1024
"""Bytes that are looked at at once."""

_MOST_DEAD = 100_000
"""Of so many images it is remembered that they have to become holes. Others leave with their pack."""

OPEN_PACKS = 16
"""So many packs are kept open at once."""

_KIND = re.compile(r"[a-z]{1,32}")
_NAME = re.compile(r"([a-z]{1,32})-(\d{8})-(\d{13}-[0-9a-f]{8}-[a-z]+)-(\d{6,})\.pack")


class Image(Struct, frozen=True):
    """An image that is to be written. Raises ``ValueError`` for a kind that cannot be part of a name."""

    kind: str
    """Images of one kind share packs: one to 32 letters from a to z."""
    data: bytes

    def __post_init__(self) -> None:
        if not _KIND.fullmatch(self.kind):
            raise ValueError(f"a kind of images is 1 to 32 letters from a to z, not {self.kind!r}")


class Place(Struct, frozen=True, array_like=True):
    """The place of an image in a pack, and its key."""

    pack: str
    """The name of the file."""
    offset: int
    length: int
    """Bytes in the pack: those of the image, and :data:`~gatepost.journal.format.TAG_BYTES`."""
    key: bytes
    """Of the image; who keeps places may encrypt it, and decrypts it before :meth:`Packs.read`."""


_Joined = tuple[tuple[Place, ...], msgspec.Raw]
_JOINING, _SPLITTING = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_Joined)


def join_places(body: bytes, places: Sequence[Place]) -> bytes:
    """Return the body of a frame that has images. ``body``: msgpack, of one value."""
    return _JOINING.encode((places, msgspec.Raw(body)))


def split_places(joined: bytes) -> tuple[bytes, tuple[Place, ...]]:
    """Return the body, and the places of its images. Raises ``ValueError`` for a body of another form."""
    places, body = _SPLITTING.decode(joined)
    return bytes(body), places


def parse_name(name: str) -> tuple[str, date]:
    """Return kind and day of a pack. Raises ``ValueError`` for what is no name of a pack."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is no name of a pack")
    return match[1], date.fromisoformat(match[2])


class Pack(Struct, frozen=True):
    """A pack that is there."""

    name: str
    kind: str
    day: date
    """On which it was written, UTC."""
    stream: str
    number: int
    """Within its stream, from 1; some are missing where none could be begun."""
    disk_bytes: int
    """Bytes on disk; holes are not counted."""


class RemovedPacks(Struct, frozen=True):
    """The result of a removal."""

    packs: tuple[str, ...]
    """The names of those that were deleted."""
    is_incomplete: bool = False
    """Something was left: the journal is pinned, or a pack is written or moved just now."""


class PackFile:
    """A pack in a file. It is closed when no thread uses it any more. Its methods raise ``OSError``."""

    def __init__(self, number: int) -> None:
        """Take over a descriptor."""
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)

    def size(self) -> int:
        """Return its bytes, holes included."""
        return os.fstat(self.number).st_size

    def read(self, length: int, offset: int) -> bytes:
        """Return so many bytes at an offset, fewer at the end of the file."""
        data = os.pread(self.number, length, offset)
        while len(data) < length and (part := os.pread(self.number, length - len(data), offset + len(data))):
            data += part
        return data

    def is_there(self) -> bool:
        """Return whether it was not deleted."""
        return os.fstat(self.number).st_nlink > 0


class _PackInMemory:
    """A pack of which all was read."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def size(self) -> int:
        return len(self._content)

    def read(self, length: int, offset: int) -> bytes:
        return self._content[offset : offset + length]

    def is_there(self) -> bool:
        return True


class Packs:
    """The packs of a journal, to be read and deleted. Thread-safe; several processes may have them open."""

    def __init__(self, folder: Folder, archive: Archive | None = None, *, moves: bool = True) -> None:
        """``archive``: where packs are kept that are closed; several journals may have it in common.

        ``moves``: whether :meth:`move` brings packs there. Else they are only read there: nothing in it is changed.
        """
        self._folder = folder
        self._archive = archive
        self.moves = moves
        self._dead: list[Place] = []
        """Images that are not in use any more, and are no holes yet."""
        self._files: Files = folder.files
        self._open: OrderedDict[str, OpenPack] = OrderedDict()
        self._lock = threading.Lock()
        self._changing = threading.Lock()

    def read(self, place: Place) -> bytes:
        """Return the image at a place.

        Raises :class:`~gatepost.errors.JournalGone` where there is no such pack,
        :class:`~gatepost.errors.JournalCorrupt` where the bytes are not those that were encrypted with this key,
        :class:`~gatepost.errors.JournalTooNew` and :class:`~gatepost.errors.JournalUnavailable`.
        """
        if not _NAME.fullmatch(place.pack):
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
        """Return the bytes of an image as they are, encrypted, for a backup; ``None`` where there are none any more.

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
        """Return whether :meth:`copy` returns bytes; in little memory, however long the place is. Raises as it."""
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
        """Return how many bytes a pack has, holes included; ``None`` where there is none that can be read.

        Raises as :meth:`copy`.
        """
        try:
            return self._opened(name).size()
        except (FileNotFoundError, JournalCorrupt):
            return None
        except OSError as error:
            raise unavailable(f"the pack {name} cannot be read", error) from error

    def is_here(self, name: str) -> bool:
        """Return whether a pack is beside the journal, and not only in the archive."""
        return bool(_NAME.fullmatch(name)) and (self._folder.packs / name).exists()

    def journal_of(self, name: str) -> bytes | None:
        """Return the id of the journal beside which a pack was written; ``None`` where it cannot be told.

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
        """Hold a pack of a bucket in memory while all of it is read, so that it is asked for once.

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

    def is_written(self, name: str) -> bool:
        """Return whether a writer still adds to a pack. Raises :class:`~gatepost.errors.JournalUnavailable`."""
        try:
            return self._is_locked(name)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise unavailable(f"the pack {name} cannot be read", error) from error

    def _is_locked(self, name: str) -> bool:
        """Return whether a pack beside the journal is being written. Raises ``OSError``."""
        pack = PackFile(self._files.open(self._here(name)))
        return not try_lock(pack.number, fcntl.LOCK_SH)

    def confirm(self, places: Sequence[Place]) -> bool:
        """Return whether these images are whole, after a sync of their packs.

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
        local = self.local()  # first: what is moved meanwhile is then seen there
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
        """Return the packs in the archive; of one kind, and of the days before one, where given.

        Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        try:
            return [] if self._archive is None else self._archive.all(kind, before)
        except OSError as error:
            raise unavailable("the archive of packs cannot be read", error) from error

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

    @property
    def has_archive(self) -> bool:
        """Return whether :meth:`move` has a place to move packs to."""
        return self._archive is not None and self.moves

    @property
    def folder(self) -> Folder:
        """Return the journal beside which they are."""
        return self._folder

    def close(self) -> None:
        """Let go of every file. May be called twice."""
        with self._lock:
            self._open.clear()

    def _here(self, name: str) -> Path:
        """Return the path of a pack beside the journal. Raises ``FileNotFoundError`` for what is no name of one."""
        if not _NAME.fullmatch(name):
            raise FileNotFoundError(name)
        return self._folder.packs / name

    def _open_pack(self, name: str) -> OpenPack:
        """Open a pack, here or there. Raises ``OSError``, ``FileNotFoundError`` where there is none."""
        try:
            return PackFile(self._files.open(self._here(name)))
        except FileNotFoundError:
            if self._archive is None:
                raise
        try:
            return self._archive.open(name)
        except FileNotFoundError:
            return PackFile(self._files.open(self._here(name)))  # a restore has just put it here

    def _opened(self, name: str) -> OpenPack:
        """Return a pack whose header is right.

        Raises ``OSError``, ``FileNotFoundError`` also where it was deleted since it was opened,
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


def as_pack(name: str, disk_bytes: int) -> Pack | None:
    """Return the pack of a name; ``None`` for what is no name of one."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        day = date.fromisoformat(match[2])
    except ValueError:
        return None
    return Pack(name, match[1], day, match[3], int(match[4]), disk_bytes)


def packs_in(folder: Path) -> list[Pack]:
    """Return the packs in a folder, by kind, day and age; none where there is no folder. Raises ``OSError``."""
    found: list[Pack] = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if pack := as_pack(entry.name, entry.stat().st_blocks * 512):
                    found.append(pack)
    return sorted(found, key=lambda pack: pack.name)


def bytes_in(folder: Path) -> int:
    """Return the bytes that the packs in a folder take. Raises ``OSError``."""
    return sum(pack.disk_bytes for pack in packs_in(folder))


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


def _is_inside(place: Place, size: int) -> bool:
    """Return whether a pack of this size can have an image there."""
    return place.offset >= HEADER_BYTES and TAG_BYTES <= place.length <= size - place.offset


def unavailable(what: str, error: OSError) -> JournalUnavailable:
    """Return the error for what cannot be done now with a pack."""
    where = "bucket" if isinstance(error, ConnectionError) else "disk"
    return JournalUnavailable(f"{what}: {error.strerror}; look at the {where}, and try again")
