"""Images beside a journal: packs, in a folder of their own.

Rules:

* A *pack* has images of one kind that one stream wrote on one day (UTC). Nobody appends to a pack of another stream,
  or of another day.
* Each image has a key of its own. Pack, offset, length and key are its *place*, which is kept in an event. Who deletes
  the place deletes the image: nothing else opens it. A hole only gives the blocks back.
* A failed write or sync closes every pack of the writer for ever. What it had not synced is cut off.
* A pack is locked while it is written, and not deleted then. A pin of the journal also holds packs and holes back.
* Packs that nobody writes any more may be moved to a folder that several journals share. Their places stay.
* Which images are still in use is known to the caller alone. A caller that looks for packs without any looks at the
  events that are still to be read as well.

Names: ``KIND-YYYYMMDD-STREAM-000001.pack``. They sort by kind, day and age.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from gatepost.errors import JournalCorrupt, JournalGone, JournalTooNew, JournalUnavailable
from gatepost.journal.files import Files
from gatepost.journal.folder import Folder, try_lock
from gatepost.journal.format import (
    HEADER_BYTES,
    KEY_BYTES,
    TAG_BYTES,
    PackHeader,
    decode_pack_header,
    decrypt,
    encode_pack_header,
    encrypt,
)

__all__ = [
    "LARGEST_PACK", "PACK_BYTES", "PACK_S", "Image", "Pack", "PackCopies", "PackWriter", "Packs", "Place",
    "RemovedPacks", "join_places", "parse_name", "split_places",
]  # fmt: skip

PACK_BYTES = 64 * 1024 * 1024
PACK_S = 3600.0
"""A pack is closed when it has so many bytes, so long after it was begun, or when its day ends."""

LARGEST_PACK = 1024 * 1024 * 1024
"""Bytes. No pack comes near it: one is closed with the append that makes it full."""

_STEP = 1024 * 1024
"""Bytes that are looked at at once."""

_MOST_DEAD = 100_000
"""Of so many images it is remembered that they have to become holes. Others leave with their pack."""

_OPEN_PACKS = 16
"""So many descriptors :class:`Packs` keeps."""

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


class _Written(Struct):
    """The pack of a kind that is being written."""

    name: str
    handle: int
    day: date
    began: float
    end: int
    """Up to where it is synced."""
    unsynced: int = 0
    """Bytes that are written behind ``end``."""


class PackWriter:
    """Writes the packs of one stream, one at a time for each kind. One thread at a time.

    Its methods raise ``OSError``; then :meth:`abandon` is due.
    """

    def __init__(
        self,
        folder: Folder,
        stream: str,
        *,
        pack_bytes: int,
        pack_s: float,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._folder = folder
        self._files = folder.files
        self._stream = stream
        self._pack_bytes = pack_bytes
        self._pack_s = pack_s
        self._now = now
        self._monotonic = monotonic
        self._random = random
        self._packs: dict[str, _Written] = {}
        self._number = 0

    def write(self, images: Sequence[Image]) -> list[Place]:
        """Write images behind what is synced, and return their places. What an earlier call wrote must be synced."""
        for pack in self._packs.values():
            pack.unsynced = 0  # of a call after which nothing was appended: nobody has these places
        self.finish_if_due()
        places: list[Place] = []
        parts: dict[str, list[bytes]] = {}
        for image in images:
            pack = self._packs.get(image.kind) or self._begin(image.kind)
            key = self._random(KEY_BYTES)
            data = encrypt(image.data, key)
            places.append(Place(pack.name, pack.end + pack.unsynced, len(data), key))
            pack.unsynced += len(data)
            parts.setdefault(image.kind, []).append(data)
        for kind, part in parts.items():
            self._files.write(self._packs[kind].handle, b"".join(part), self._packs[kind].end)
        return places

    @property
    def unsynced(self) -> list[int]:
        """Return the descriptors of the packs that have to be synced."""
        return [pack.handle for pack in self._packs.values() if pack.unsynced]

    def mark_synced(self) -> None:
        """Take note that all of :attr:`unsynced` were synced."""
        for pack in self._packs.values():
            pack.end, pack.unsynced = pack.end + pack.unsynced, 0

    def abandon(self) -> None:
        """Close every pack for ever after a failure, and cut off what is not synced. Never raises."""
        for pack in self._packs.values():
            with contextlib.suppress(OSError):
                if pack.end > HEADER_BYTES:
                    self._files.truncate(pack.handle, pack.end)
                else:
                    self._files.remove(self._folder.packs / pack.name)
        self.finish()

    def finish(self) -> None:
        """Close every pack. Never raises: everything in them was synced before."""
        for kind in list(self._packs):
            self._close(kind)

    def finish_if_due(self) -> None:
        """Close the packs that are full, old, of another day, or deleted by hand. Never raises."""
        today, now = self._today(), self._monotonic()
        for kind, pack in list(self._packs.items()):
            is_full = pack.end >= self._pack_bytes
            is_old = now - pack.began >= self._pack_s or pack.day != today
            if is_full or is_old or not os.fstat(pack.handle).st_nlink:
                self._close(kind)

    def _today(self) -> date:
        return datetime.fromtimestamp(self._now(), UTC).date()

    def _close(self, kind: str) -> None:
        with contextlib.suppress(OSError):
            self._files.close(self._packs.pop(kind).handle)

    def _begin(self, kind: str) -> _Written:
        self._files.make_folder(self._folder.packs)
        while True:
            day = self._today()
            self._number += 1
            name = f"{kind}-{day:%Y%m%d}-{self._stream}-{self._number:06d}.pack"
            path = self._folder.packs / name
            handle = self._files.create(path)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                self._files.write(handle, encode_pack_header(PackHeader(self._folder.id, name)), 0)
                self._files.sync(handle)
                self._files.sync_folder(path.parent)
                is_there = os.fstat(handle).st_nlink > 0  # else it was deleted before it was locked
            except BaseException:
                with contextlib.suppress(OSError):
                    self._files.close(handle)
                with contextlib.suppress(OSError):
                    self._files.remove(path)
                raise
            if is_there:
                pack = self._packs[kind] = _Written(name, handle, day, self._monotonic(), HEADER_BYTES)
                return pack
            self._files.close(handle)


class _Handle:
    """A descriptor that is closed when nobody uses it any more: a thread may still read while another lets go."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


class Packs:
    """The packs of a journal, to be read and deleted. Thread-safe; several processes may have them open."""

    def __init__(self, folder: Folder, shared: Path | None = None, *, moves: bool = True) -> None:
        """``shared``: where packs are kept that nobody writes any more; several journals may have it in common.

        ``moves``: whether :meth:`move` brings packs there. Else they are only read there: nothing in it is changed.
        """
        self._folder = folder
        self.shared = shared
        self.moves = moves
        self._dead: list[Place] = []
        """Images that are not in use any more, and are no holes yet."""
        self._files: Files = folder.files
        self._open: OrderedDict[str, _Handle] = OrderedDict()
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
            handle = self._handle(place.pack)
            if not _is_inside(place, _size(handle)):
                image = None
            else:
                image = decrypt(_pread(handle, place.length, place.offset), place.key)
        except FileNotFoundError:
            raise JournalGone(
                f"the pack {place.pack} is not here: another receiver has it, or it is gone, and its images with it;"
                " put it back from a backup if there is one"
            ) from None
        except OSError as error:
            raise _unavailable(f"the pack {place.pack} cannot be read", error) from error
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
            handle = self._handle(place.pack)
            if not _is_inside(place, _size(handle)):
                return None
            data = _pread(handle, place.length, place.offset)
        except (FileNotFoundError, JournalCorrupt):
            return None
        except OSError as error:
            raise _unavailable(f"the pack {place.pack} cannot be read", error) from error
        return data if data.count(0) < len(data) else None

    def has(self, place: Place) -> bool:
        """Return whether :meth:`copy` returns bytes; in little memory, however long the place is. Raises as it."""
        try:
            handle = self._handle(place.pack)
            if not _is_inside(place, _size(handle)):
                return False
            end = place.offset + place.length
            for start in range(place.offset, end, _STEP):
                data = _pread(handle, min(_STEP, end - start), start)
                if data.count(0) < len(data):
                    return True
        except (FileNotFoundError, JournalCorrupt):
            pass
        except OSError as error:
            raise _unavailable(f"the pack {place.pack} cannot be read", error) from error
        return False

    def size(self, name: str) -> int | None:
        """Return how many bytes a pack has, holes included; ``None`` where there is none that can be read.

        Raises as :meth:`copy`.
        """
        try:
            return _size(self._handle(name))
        except (FileNotFoundError, JournalCorrupt):
            return None
        except OSError as error:
            raise _unavailable(f"the pack {name} cannot be read", error) from error

    def is_here(self, name: str) -> bool:
        """Return whether a pack is beside the journal, and not only in the shared folder."""
        return bool(_NAME.fullmatch(name)) and (self._folder.packs / name).exists()

    def is_written(self, name: str) -> bool:
        """Return whether a writer still adds to a pack. Raises :class:`~gatepost.errors.JournalUnavailable`."""
        try:
            handle = _Handle(self._files.open(self._path(name)))
            return not try_lock(handle.number, fcntl.LOCK_SH)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unavailable(f"the pack {name} cannot be read", error) from error

    def confirm(self, places: Sequence[Place]) -> bool:
        """Return whether these images are whole, after a sync of their packs.

        For events that no commit covers (see :class:`~gatepost.journal.reader.Batch`). Raises
        :class:`~gatepost.errors.JournalTooNew` and :class:`~gatepost.errors.JournalUnavailable`.
        """
        try:
            for name in {place.pack for place in places}:
                handle = self._handle(name)
                self._files.sync(handle.number)
            for place in places:
                self.read(place)
        except (FileNotFoundError, JournalGone, JournalCorrupt):
            return False
        except OSError as error:
            raise _unavailable("a pack cannot be synced", error) from error
        return True

    def all(self) -> list[Pack]:
        """Return every pack, by kind, day and age.

        Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        found = {pack.name: pack for folder in self._folders for pack in _packs_in(folder)}
        return [found[name] for name in sorted(found)]

    def remove_before(self, kind: str, day: date) -> RemovedPacks:
        """Delete the packs of a kind that were written before a day.

        Does nothing while the journal is pinned. Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        packs = [pack for folder in self._own_folders for pack in _packs_in(folder)]
        return self.remove(pack.name for pack in packs if pack.kind == kind and pack.day < day)

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
                    with contextlib.suppress(FileNotFoundError):
                        if self._remove(name):
                            removed.append(name)
                        else:
                            is_incomplete = True
                if removed:
                    for folder in filter(Path.is_dir, self._own_folders):
                        self._files.sync_folder(folder)
        except OSError as error:
            raise _unavailable("a pack cannot be deleted", error) from error
        return RemovedPacks(tuple(removed), is_incomplete)

    def _remove(self, name: str) -> bool:
        handle = _Handle(self._files.open(self._path(name)))
        if not try_lock(handle.number, fcntl.LOCK_EX):
            return False
        for folder in self._own_folders:
            self._files.remove(folder / name)
        with self._lock:
            self._open.pop(name, None)
        return True

    def move(self) -> int:
        """Move to the shared folder what nobody writes any more; return how many packs.

        Each of them is there or here at every moment, also after a crash. One that cannot be moved holds none of the
        others up. Raises :class:`~gatepost.errors.JournalUnavailable` at the end then; it is tried again the next time.
        """
        if self.shared is None or not self.moves:
            return 0
        count, failed = 0, None
        for pack in _packs_in(self._folder.packs):
            try:
                with self._changing:
                    count += self._move(pack.name, self.shared)
            except FileNotFoundError:
                pass  # it was deleted meanwhile
            except OSError as error:
                failed = error
        if failed is not None:
            what = "packs cannot be moved to the folder that the setting packs names"
            raise _unavailable(what, failed) from failed
        return count

    def _move(self, name: str, shared: Path) -> bool:
        """Move a pack, unless it is being written, or was begun just now."""
        here, there = self._folder.packs / name, shared / name
        source = self._files.open(here)
        try:
            size = os.fstat(source).st_size
            if not try_lock(source, fcntl.LOCK_EX) or size <= HEADER_BYTES:
                return False
            if there.exists() and there.samefile(here):
                return False
            if not there.exists() or there.stat().st_size < size:
                self._copy(source, there)
            self._files.remove(here)
        finally:
            self._files.close(source)
        return True

    def _copy(self, source: int, there: Path) -> None:
        """Copy a pack to the shared folder; it has its name there once it is whole."""
        partial = there.with_name(f".{there.name}.{self._folder.id.hex()}")
        self._files.remove(partial)  # of an attempt that was cut off
        copy = self._files.create(partial)
        try:
            _copy(self._files, source, copy)
            self._files.sync(copy)
        finally:
            self._files.close(copy)
        partial.rename(there)
        self._files.sync_folder(there.parent)

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
            raise _unavailable("an image cannot be deleted from its pack", failed) from failed
        if failed is not None:
            raise failed

    def _punch(self, name: str, places: Sequence[Place]) -> None:
        if not (self.moves or self.is_here(name)):
            return
        size = _size(self._handle(name))
        handle = _Handle(self._files.open(self._path(name), writes=True))
        for start, end in _joined(places):
            if start >= HEADER_BYTES and start + TAG_BYTES <= end <= size:
                self._files.punch(handle.number, start, end - start)
        self._files.sync(handle.number)

    @property
    def folder(self) -> Folder:
        """Return the journal beside which they are."""
        return self._folder

    def close(self) -> None:
        """Let go of every file. May be called twice."""
        with self._lock:
            self._open.clear()

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise FileNotFoundError(name)
        here = self._folder.packs / name
        return here if self.shared is None or here.exists() else self.shared / name

    @property
    def _folders(self) -> list[Path]:
        return [self._folder.packs, *([] if self.shared is None else [self.shared])]

    @property
    def _own_folders(self) -> list[Path]:
        """Those in which something may be changed."""
        return self._folders if self.moves else [self._folder.packs]

    def _open_pack(self, name: str) -> _Handle:
        """Open a pack, also if it is moved meanwhile. Raises ``FileNotFoundError``."""
        try:
            return _Handle(self._files.open(self._path(name)))
        except FileNotFoundError:
            return _Handle(self._files.open(self._path(name)))

    def _handle(self, name: str) -> _Handle:
        """Return the descriptor of a pack whose header is right.

        Raises ``FileNotFoundError``, also where it was deleted since it was opened.
        """
        with self._lock:
            handle = self._open.get(name)
            if handle is not None and os.fstat(handle.number).st_nlink:
                self._open.move_to_end(name)
                return handle
            self._open.pop(name, None)
        handle = self._open_pack(name)
        try:
            header = decode_pack_header(_pread(handle, HEADER_BYTES, 0))
            if header.name != name:
                raise JournalCorrupt(f"it is the pack {header.name}; give it its name back")
        except (JournalCorrupt, JournalTooNew) as error:
            raise type(error)(f"{name}: {error}") from None
        with self._lock:
            self._open[name] = handle
            while len(self._open) > _OPEN_PACKS:
                self._open.popitem(last=False)
        return handle


class PackCopies:
    """Writes packs as a backup has them, each image at the offset that it had. One thread at a time."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._files = folder.files
        self._open: OrderedDict[str, int] = OrderedDict()

    def put(self, name: str, offset: int, data: bytes) -> None:
        """Write the encrypted bytes of an image. Raises ``ValueError`` for a place of no pack, and ``OSError``."""
        parse_name(name)
        if not HEADER_BYTES <= offset <= LARGEST_PACK - len(data):
            raise ValueError(f"no image of a pack begins at {offset}")
        handle = self._open.get(name)
        if handle is None:
            handle = self._open[name] = self._begin(name)
            while len(self._open) > _OPEN_PACKS:
                self._end(self._open.popitem(last=False)[1])
        self._open.move_to_end(name)
        self._files.write(handle, data, offset)

    def close(self) -> None:
        """Sync everything. May be called twice. Raises ``OSError``; every file is closed then."""
        with contextlib.ExitStack() as stack:
            while self._open:
                stack.callback(self._end, self._open.popitem()[1])
        if self._folder.packs.exists():
            self._files.sync_folder(self._folder.packs)

    def _begin(self, name: str) -> int:
        self._files.make_folder(self._folder.packs)
        path = self._folder.packs / name
        if path.exists():
            return self._files.open(path, writes=True)
        handle = self._files.create(path)
        try:
            self._files.write(handle, encode_pack_header(PackHeader(self._folder.id, name)), 0)
        except BaseException:
            self._files.close(handle)
            raise
        return handle

    def _end(self, handle: int) -> None:
        try:
            self._files.sync(handle)
        finally:
            self._files.close(handle)


def _copy(files: Files, source: int, copy: int) -> None:
    """Copy a file; holes stay holes."""
    size = os.fstat(source).st_size
    os.ftruncate(copy, size)
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        end = os.lseek(source, at, os.SEEK_HOLE)
        while at < end:
            data = os.pread(source, min(_STEP, end - at), at)
            files.write(copy, data, at)
            at += len(data)


def _packs_in(folder: Path) -> list[Pack]:
    """Return the packs in a folder. Raises :class:`~gatepost.errors.JournalUnavailable`."""
    found: list[Pack] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if match := _NAME.fullmatch(entry.name):
                    with contextlib.suppress(FileNotFoundError, ValueError):  # ValueError: no such day
                        day = date.fromisoformat(match[2])
                        size = entry.stat().st_blocks * 512
                        found.append(Pack(entry.name, match[1], day, match[3], int(match[4]), size))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unavailable("the folder of packs cannot be read", error) from error
    return sorted(found, key=lambda pack: pack.name)


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


def _size(handle: _Handle) -> int:
    return os.fstat(handle.number).st_size


def _pread(handle: _Handle, size: int, offset: int) -> bytes:
    """Read ``size`` bytes at an offset, fewer at the end of the file."""
    data = os.pread(handle.number, size, offset)
    while len(data) < size and (part := os.pread(handle.number, size - len(data), offset + len(data))):
        data += part
    return data


def _unavailable(what: str, error: OSError) -> JournalUnavailable:
    return JournalUnavailable(f"{what}: {error.strerror}; look at the disk, and try again")
