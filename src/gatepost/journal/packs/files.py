"""The files of packs: their names, those in a folder, and one that is open.

Names: ``KIND-YYYYMMDD-STREAM-000001.pack``. They sort by kind, day and age.
"""

from __future__ import annotations

import contextlib
import os
import re
from datetime import date
from pathlib import Path

from msgspec import Struct

from gatepost.errors import JournalUnavailable

__all__ = [
    "LARGEST_PACK",
    "OPEN_PACKS",
    "STEP",
    "Pack",
    "PackFile",
    "as_pack",
    "bytes_in",
    "is_pack_name",
    "packs_in",
    "parse_name",
    "unavailable",
]

LARGEST_PACK = 1024 * 1024 * 1024
"""Bytes. No pack is as large: it is closed with the append that makes it full."""

STEP = 1024 * 1024
"""Bytes that are read at once."""

OPEN_PACKS = 16
"""Packs that are open at once."""

_NAME = re.compile(r"([a-z]{1,32})-(\d{8})-(\d{13}-[0-9a-f]{8}-[a-z]+)-(\d{6,})\.pack")


class Pack(Struct, frozen=True):
    """A pack that exists."""

    name: str
    kind: str
    day: date
    """Day on which it was written, UTC."""
    stream: str
    number: int
    """Number within its stream, from 1. A number is missing if no pack could be made."""
    disk_bytes: int
    """Bytes on disk; holes are not counted."""


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
        """Return ``length`` bytes at an offset, fewer at the end of the file."""
        data = os.pread(self.number, length, offset)
        while len(data) < length and (part := os.pread(self.number, length - len(data), offset + len(data))):
            data += part
        return data

    def is_there(self) -> bool:
        """Return whether it still exists."""
        return os.fstat(self.number).st_nlink > 0


def is_pack_name(name: str) -> bool:
    """Return whether a pack may have this name."""
    return _NAME.fullmatch(name) is not None


def parse_name(name: str) -> tuple[str, date]:
    """Return kind and day of a pack. Raises ``ValueError`` for another name."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is no name of a pack")
    return match[1], date.fromisoformat(match[2])


def as_pack(name: str, disk_bytes: int) -> Pack | None:
    """Return the pack of a name; ``None`` for another name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        day = date.fromisoformat(match[2])
    except ValueError:
        return None
    return Pack(name, match[1], day, match[3], int(match[4]), disk_bytes)


def packs_in(folder: Path) -> list[Pack]:
    """Return the packs in a folder, by kind, day and age; none without a folder. Raises ``OSError``."""
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


def unavailable(what: str, error: OSError) -> JournalUnavailable:
    """Return the error for something that is not possible now with a pack."""
    where = "bucket" if isinstance(error, ConnectionError) else "disk"
    return JournalUnavailable(f"{what}: {error.strerror}; look at the {where}, and try again")
