"""A ZIP that is written once, from its first byte to its last, and never held: for a response.

The standard library's writer keeps an object for each file until the end; here an entry of the directory is some
hundred bytes in a temporary file. Images are stored as they are (a JPEG does not get smaller), the table is deflated.

Source: PKWARE's APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 and 4.3.15 (ZIP64).
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Self

from msgspec import Struct

__all__ = ["Archive", "Packed", "packed"]

_STORED, _DEFLATED = 0, 8
_UTF8 = 1 << 11
_DATE, _TIME = (1 << 5) | 1, 0  # 1980-01-01: what an export was made of has times of its own
_FULL = 0xFFFFFFFF
_CHUNK = 256 * 1024
_SPOOL = 1024 * 1024
_REGULAR = 0o100644 << 16


class Packed(Struct, frozen=True):
    """A deflated file: what a header says of it, and where it is."""

    crc: int
    size: int
    packed_size: int
    file: IO[bytes]


@contextmanager
def packed(source: IO[bytes]) -> Iterator[Packed]:
    """Deflate a file from where it stands to its end, into a temporary one."""
    crc = size = 0
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    with tempfile.TemporaryFile(prefix="gatepost-export-") as out:
        while piece := source.read(_CHUNK):
            crc = zlib.crc32(piece, crc)
            size += len(piece)
            out.write(deflate.compress(piece))
        out.write(deflate.flush())
        packed_size = out.tell()
        out.seek(0)
        yield Packed(crc, size, packed_size, out)


class Archive:
    """Each method yields what comes next. ``with`` removes what it keeps for the end, wherever it is left."""

    def __init__(self) -> None:
        self._offset = 0
        self._entries = 0
        self._directory = tempfile.SpooledTemporaryFile(_SPOOL)  # noqa: SIM115 - closed in __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._directory.close()

    def add(self, name: str, data: bytes) -> Iterator[bytes]:
        """Yield a file as it is."""
        yield self._head(name, _STORED, zlib.crc32(data), len(data), len(data))
        yield data

    def add_file(self, name: str, file: Packed) -> Iterator[bytes]:
        """Yield a deflated file."""
        yield self._head(name, _DEFLATED, file.crc, file.size, file.packed_size)
        while piece := file.file.read(_CHUNK):
            yield piece

    def _head(self, name: str, method: int, crc: int, size: int, packed_size: int) -> bytes:
        raw = name.encode()
        large = size >= _FULL or packed_size >= _FULL
        extra = struct.pack("<HHQQ", 1, 16, size, packed_size) if large else b""
        sizes = (_FULL, _FULL) if large else (packed_size, size)
        version = 45 if large else 20
        common = struct.pack(
            "<HHHHHLLLHH", version, _UTF8, method, _TIME, _DATE, crc, *sizes, len(raw), len(extra)
        )
        self._enter(raw, common, size=size, packed_size=packed_size, large=large)
        head = b"PK\x03\x04" + common + raw + extra
        self._offset += len(head) + packed_size
        return head

    def _enter(self, raw: bytes, common: bytes, *, size: int, packed_size: int, large: bool) -> None:
        far = self._offset >= _FULL
        values = ([size, packed_size] if large else []) + ([self._offset] if far else [])
        extra = struct.pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values) if values else b""
        fields = common[:-2] + struct.pack("<H", len(extra))
        tail = struct.pack("<HHHLL", 0, 0, 0, _REGULAR, _FULL if far else self._offset)
        made_by = struct.pack("<H", 3 << 8 | 45)  # Unix, so that the permission counts
        self._directory.write(b"PK\x01\x02" + made_by + fields + tail + raw + extra)
        self._entries += 1

    def end(self) -> Iterator[bytes]:
        """Yield the directory; the archive is whole behind it."""
        begin, size = self._offset, self._directory.tell()
        self._directory.seek(0)
        while piece := self._directory.read(_CHUNK):
            yield piece
        if begin >= _FULL or size >= _FULL or self._entries >= 0xFFFF:
            record = struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, self._entries, self._entries, size, begin)
            yield b"PK\x06\x06" + record + b"PK\x06\x07" + struct.pack("<LQL", 0, begin + size, 1)
        entries = min(self._entries, 0xFFFF)
        yield b"PK\x05\x06" + struct.pack(
            "<HHHHLLH", 0, 0, entries, entries, min(size, _FULL), min(begin, _FULL), 0
        )
