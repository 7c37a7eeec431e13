"""Write packs: new images of a stream, or those of a backup at their former places."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

from msgspec import Struct

from gatepost.journal.folder import Folder
from gatepost.journal.format import HEADER_BYTES, KEY_BYTES, PackHeader, encode_pack_header, encrypt
from gatepost.journal.packs.files import LARGEST_PACK, OPEN_PACKS, parse_name
from gatepost.journal.places import Image, Place

__all__ = ["PACK_BYTES", "PACK_S", "PackCopies", "PackWriter"]

PACK_BYTES = 64 * 1024 * 1024
PACK_S = 3600.0
"""A pack is closed when it has that many bytes, that many seconds after its begin, or when its day ends."""


class _Written(Struct):
    """The pack of a kind that is being written."""

    name: str
    handle: int
    day: date
    began: float
    end: int
    """Offset up to which it is synced."""
    unsynced: int = 0
    """Bytes written after ``end``."""


class PackWriter:
    """Writes the packs of one stream, one at a time per kind. One thread at a time.

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
        """Write images after the synced ones, and return their places. Images of earlier calls must be synced."""
        for pack in self._packs.values():
            pack.unsynced = 0  # left by a call without an append; these places are used nowhere
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
        """Note that all of :attr:`unsynced` were synced."""
        for pack in self._packs.values():
            pack.end, pack.unsynced = pack.end + pack.unsynced, 0

    def abandon(self) -> None:
        """Close every pack for ever after a failure, and cut off unsynced bytes. Never raises."""
        for pack in self._packs.values():
            with contextlib.suppress(OSError):
                if pack.end > HEADER_BYTES:
                    self._files.truncate(pack.handle, pack.end)
                else:
                    self._files.remove(self._folder.packs / pack.name)
        self.finish()

    def finish(self) -> None:
        """Close every pack. Never raises, because everything in them is synced."""
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
                is_there = os.fstat(handle).st_nlink > 0  # otherwise it was deleted before it was locked
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


class PackCopies:
    """Writes packs of a backup, each image at its former offset. One thread at a time."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._files = folder.files
        self._open: OrderedDict[str, int] = OrderedDict()

    def put(self, name: str, offset: int, data: bytes) -> None:
        """Write the encrypted bytes of an image. Raises ``ValueError`` for an invalid place, and ``OSError``."""
        parse_name(name)
        if not HEADER_BYTES <= offset <= LARGEST_PACK - len(data):
            raise ValueError(f"no image of a pack begins at {offset}")
        handle = self._open.get(name)
        if handle is None:
            handle = self._open[name] = self._begin(name)
            while len(self._open) > OPEN_PACKS:
                self._end(self._open.popitem(last=False)[1])
        self._open.move_to_end(name)
        self._files.write(handle, data, offset)

    def close(self) -> None:
        """Sync everything. Idempotent. Raises ``OSError``; every file is closed then, too."""
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
