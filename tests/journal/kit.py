"""What the tests of a journal share: a disk that can fail, and reading everything."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gatepost.journal import format as f
from gatepost.journal.files import Files
from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Image, Place
from gatepost.journal.reader import Damage, Reader
from gatepost.journal.streams import Position
from gatepost.journal.writer import Writer

_EVENT = msgspec.msgpack.Decoder(tuple[str, list[Place]])


class FailingFiles(Files):
    """The real disk, on which the calls that are named in ``failing`` fail, once each time they are named."""

    def __init__(self) -> None:
        self.failing: dict[str, int] = {}
        """An error number by the name of the method."""
        self.calls: list[str] = []

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if (number := self.failing.get(name)) is not None:
            raise OSError(number, errno.errorcode[number])

    def create(self, path: Path) -> int:
        self._call("create")
        return super().create(path)

    def write(self, handle: int, data: bytes, offset: int) -> None:
        if len(data) > 30 and (number := self.failing.get("write")) is not None:
            super().write(handle, data[: len(data) // 2], offset)  # a full disk takes a part
            raise OSError(number, errno.errorcode[number])
        super().write(handle, data, offset)

    def sync(self, handle: int) -> None:
        self._call("sync")
        super().sync(handle)

    def sync_folder(self, path: Path) -> None:
        self._call("sync_folder")
        super().sync_folder(path)

    def remove(self, path: Path) -> None:
        self._call("remove")
        super().remove(path)


def read_all(
    folder: Folder, positions: dict[str, Position] | None = None, *, max_bodies: int = 1000
) -> tuple[list[bytes], list[Damage]]:
    """Read until nothing comes any more; ``positions`` are brought up to date."""
    positions = {} if positions is None else positions
    reader = Reader(folder, positions)
    bodies: list[bytes] = []
    damages: list[Damage] = []
    while True:
        batch = reader.read(max_bodies=max_bodies, max_bytes=1 << 30)
        if not (batch.bodies or batch.positions or batch.damages):
            break
        bodies += batch.bodies
        damages += batch.damages
        positions.update(batch.positions)
    reader.close()
    return bodies, damages


def append_events(writer: Writer, events: Sequence[tuple[str, Sequence[Image]]]) -> list[list[Place]]:
    """Append events that have a name and images, and return the places of their images."""
    found: list[list[Place]] = []

    def encode(places: Sequence[Place]) -> list[bytes]:
        rest = iter(places)
        found.extend([next(rest) for _ in images] for _, images in events)
        return [msgspec.msgpack.encode((name, own)) for (name, _), own in zip(events, found, strict=True)]

    writer.append_with_images([image for _, images in events for image in images], encode)
    return found


def read_events(
    folder: Folder, positions: dict[str, Position] | None = None, *, max_bodies: int = 1000
) -> tuple[dict[str, list[Place]], list[Damage]]:
    """Read until nothing comes any more, as one has to: without events that were not acknowledged and lack an image.

    Fails where an event comes twice.
    """
    positions = {} if positions is None else positions
    reader, packs = Reader(folder, positions), Packs(folder)
    found: dict[str, list[Place]] = {}
    damages: list[Damage] = []
    while True:
        batch = reader.read(max_bodies=max_bodies, max_bytes=1 << 30)
        if not (batch.bodies or batch.positions or batch.damages):
            break
        for index, body in enumerate(batch.bodies):
            name, places = _EVENT.decode(body)
            if index not in batch.uncommitted or packs.confirm(places):
                assert name not in found, f"{name} comes twice"
                found[name] = places
        damages += batch.damages
        positions.update(batch.positions)
    reader.close()
    packs.close()
    return found, damages


def end_abruptly(writer: Writer) -> None:
    """Let go of everything as the system does for a process that was killed."""
    writer._abandon()
    for pack in writer._packs._packs.values():
        os.close(pack.handle)
    writer._packs._packs.clear()
    os.close(writer._lock)
    writer._lock = -1


def remove(folder: Folder, positions: dict[str, Position]) -> int:
    """Delete what was read, and forget the places that are not needed; return the number of segments."""
    removed = folder.remove(positions)
    for stream in removed.streams:
        del positions[stream]
    return removed.segments


def write_later_version(path: Path) -> None:
    """Overwrite a segment with the header that a later version of the format may have."""
    header = f.decode_header(path.read_bytes())
    head = f._HEADER.pack(b"gatepost", f.VERSION + 1, header.journal, header.number, header.seed)
    path.write_bytes((head + f._CHECK.pack(f.crc32(head))).ljust(512, b"\0") * 2)
