"""The bytes of segments and packs. Pure.

A segment begins with a header of two equal sectors, so that one of them may be damaged, followed by frames::

    frame   mark (4) | length of the body (4) | check (4) | kind (1) | body
    check   CRC-32 over length, kind and body

Mark and check begin with a random seed of the segment, which is only in its header. So a reader that looks for the next
frame never takes a part of a peer's body for one. Numbers are little-endian.

An *event* frame has an appended body. A *commit* frame has the offset up to which the segment was synced when the frame
was written. It is written with the next batch, so the last batch of a segment has none. Damaged bytes before the last
commit were acknowledged. Damaged bytes after it may be the rest of an incomplete write.

A pack also begins with a header of two equal sectors, followed by images without gaps and without frames::

    image   ciphertext | tag (16)

Each is encrypted with AES-256-GCM (NIST SP 800-38D) and a key of its own. So the nonce is always zero, and a matching
tag shows that the bytes are complete and that they are the requested image. The caller keeps the place of an image and
its key. Without them a pack is useless.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any
from zlib import crc32

from msgspec import Struct

from gatepost.errors import JournalCorrupt, JournalTooNew

__all__ = [
    "COMMIT",
    "COMMIT_BYTES",
    "EVENT",
    "FRAME_BYTES",
    "HEADER_BYTES",
    "KEY_BYTES",
    "MAX_BODY",
    "SEED_BYTES",
    "TAG_BYTES",
    "VERSION",
    "Frame",
    "Framing",
    "Gap",
    "Header",
    "PackHeader",
    "Scan",
    "decode_commit",
    "decode_header",
    "decode_pack_header",
    "decrypt",
    "encode_commit",
    "encode_header",
    "encode_pack_header",
    "encrypt",
    "last_commit",
]

VERSION = 1

EVENT, COMMIT = 1, 2

SEED_BYTES = 16
_SECTOR = 512
HEADER_BYTES = 2 * _SECTOR

MAX_BODY = 256 * 1024 * 1024
"""Bytes. A greater length is damage."""

KEY_BYTES = 32
TAG_BYTES = 16
_NONCE = bytes(12)

_MAGIC, _PACK_MAGIC = b"gatepost", b"gatepack"
_HEADER = struct.Struct("<8sI16sQ16s")
"""Magic, version, id of the journal, number of the segment, seed."""
_PACK_HEADER = struct.Struct("<8sI16s200s")
"""Magic, version, id of the journal, name of the pack."""
_CHECK = struct.Struct("<I")
_FRAME = struct.Struct("<4sIIB")
_SEEDED = struct.Struct("<IB")
FRAME_BYTES = _FRAME.size
"""Bytes of a frame besides its body."""
_COMMIT = struct.Struct("<Q")
COMMIT_BYTES = _FRAME.size + _COMMIT.size
"""Bytes of a whole commit frame."""


class Header(Struct, frozen=True):
    """The begin of a segment."""

    journal: bytes
    """Sixteen bytes: the id of the journal that it belongs to."""
    number: int
    """Its number within its stream, from 1."""
    seed: bytes


class Frame(Struct, frozen=True):
    """A frame, and its offsets in its segment."""

    kind: int
    body: bytes
    start: int
    end: int


class Gap(Struct, frozen=True):
    """Bytes of a segment that are no frame."""

    start: int
    end: int


class Scan(Struct, frozen=True):
    """The frames and gaps of a stretch of a segment."""

    frames: tuple[Frame, ...]
    gaps: tuple[Gap, ...]
    end: int
    """The offset after the last of them."""
    needs: int
    """Bytes of the next frame from ``end`` on, if the stretch ended within it; else 0."""


class PackHeader(Struct, frozen=True):
    """The begin of a pack."""

    journal: bytes
    """Sixteen bytes: the id of the journal that it was written for."""
    name: str
    """Its own name: kind, day, stream and number."""


def encode_header(header: Header) -> bytes:
    """Return the first :data:`HEADER_BYTES` of a segment."""
    return _twice(_HEADER.pack(_MAGIC, VERSION, header.journal, header.number, header.seed))


def decode_header(data: bytes, *, reads_later: bool = False) -> Header:
    """Read a header. One of its copies may be damaged.

    ``reads_later``: read one of a later version, too, as if it were of this one.
    Raises :class:`~gatepost.errors.JournalTooNew` and :class:`~gatepost.errors.JournalCorrupt`.
    """
    return Header(*_fields(data, _HEADER, _MAGIC, "segment", reads_later=reads_later))


def encode_pack_header(header: PackHeader) -> bytes:
    """Return the first :data:`HEADER_BYTES` of a pack."""
    return _twice(_PACK_HEADER.pack(_PACK_MAGIC, VERSION, header.journal, header.name.encode("ascii")))


def decode_pack_header(data: bytes) -> PackHeader:
    """Read a header. One of its copies may be damaged.

    Raises :class:`~gatepost.errors.JournalTooNew` and :class:`~gatepost.errors.JournalCorrupt`.
    """
    journal, name = _fields(data, _PACK_HEADER, _PACK_MAGIC, "pack")
    return PackHeader(journal, name.rstrip(b"\0").decode("ascii"))


def _twice(head: bytes) -> bytes:
    return (head + _CHECK.pack(crc32(head))).ljust(_SECTOR, b"\0") * 2


def _fields(
    data: bytes, layout: struct.Struct, magic: bytes, what: str, *, reads_later: bool = False
) -> tuple[Any, ...]:
    """Return the fields after magic and version, from one of the two copies."""
    for start in (0, _SECTOR):
        head = data[start : start + layout.size]
        check = data[start + layout.size : start + layout.size + _CHECK.size]
        if len(check) < _CHECK.size or _CHECK.unpack(check)[0] != crc32(head):
            continue
        found, version, *fields = layout.unpack(head)
        if found != magic:
            continue
        if version > VERSION and not reads_later:
            raise JournalTooNew(
                f"it has version {version} of the journal's format, and this gatepost reads version {VERSION};"
                " install the later one"
            )
        return tuple(fields)
    raise JournalCorrupt(f"it does not begin like a {what} of a journal")


def encrypt(image: bytes, key: bytes) -> bytes:
    """Return an image as it is in a pack. ``key``: :data:`KEY_BYTES`, never used before."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # a terminal needs no packs

    return AESGCM(key).encrypt(_NONCE, image, None)


def decrypt(data: bytes, key: bytes) -> bytes | None:
    """Return the image; ``None``: the bytes were not encrypted with this key."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(_NONCE, data, None)
    except (InvalidTag, ValueError):
        return None


def encode_commit(end: int) -> bytes:
    """Return the body of a commit frame: the segment is synced up to this offset."""
    return _COMMIT.pack(end)


def decode_commit(body: bytes) -> int:
    """Return the offset in a commit frame; 0 if the body is invalid."""
    return int(_COMMIT.unpack(body)[0]) if len(body) == _COMMIT.size else 0


class Framing:
    """The frames of one segment."""

    def __init__(self, seed: bytes) -> None:
        self._mark = blake2b(seed, digest_size=4, person=b"mark").digest()
        self._start = crc32(seed)

    def encode(self, kind: int, body: bytes) -> bytes:
        """Return a frame. Raises ``ValueError`` for a body of more than :data:`MAX_BODY`."""
        return self.head(kind, body) + body

    def head(self, kind: int, body: bytes) -> bytes:
        """Return the bytes before the body of a frame. Raises as :meth:`encode` does."""
        if len(body) > MAX_BODY:
            raise ValueError(f"a frame holds at most {MAX_BODY} bytes, and this has {len(body)}")
        check = crc32(body, crc32(_SEEDED.pack(len(body), kind), self._start))
        return _FRAME.pack(self._mark, len(body), check, kind)

    def scan(
        self,
        data: bytes,
        start: int,
        *,
        is_end: bool,
        max_events: int = sys.maxsize,
        max_bytes: int = sys.maxsize,
    ) -> Scan:
        """Read the frames of a stretch. ``data`` is from the offset ``start`` of the segment, where a frame begins.

        ``is_end``: nothing follows ``data``, so an incomplete frame is damaged. The scan stops before an event frame
        that exceeds ``max_events`` or ``max_bytes`` of bodies, but not before the first one. Other bytes are skipped up
        to the next mark with a valid check.
        """
        frames: list[Frame] = []
        gaps: list[Gap] = []
        at = size = events = 0
        while at < len(data):
            end = self._end(data, at, is_end=is_end)
            if end < 0:
                return Scan(tuple(frames), tuple(gaps), start + at, -end)
            if end == 0:
                found, needs = self._next(data, at + 1, is_end=is_end)
                if needs:
                    return Scan(tuple(frames), tuple(gaps), start + at, max(needs, len(data) - at + 1))
                gaps.append(Gap(start + at, start + found))
                at = found
                continue
            kind = data[at + _FRAME.size - 1]
            body = data[at + _FRAME.size : end]
            if kind == EVENT:
                size += len(body)
                if events and (events >= max_events or size > max_bytes):
                    break
                events += 1
            frames.append(Frame(kind, body, start + at, start + end))
            at = end
        return Scan(tuple(frames), tuple(gaps), start + at, 0)

    def _end(self, data: bytes, at: int, *, is_end: bool) -> int:
        """Return the end of the frame at ``at``; 0 without one; negative: how many bytes it takes."""
        if len(data) - at < _FRAME.size:
            return 0 if is_end else -_FRAME.size
        mark, length, check, kind = _FRAME.unpack_from(data, at)
        if mark != self._mark or length > MAX_BODY:
            return 0
        end = at + _FRAME.size + int(length)
        if end > len(data):
            return 0 if is_end else at - end
        begin = crc32(_SEEDED.pack(length, kind), self._start)
        return end if crc32(memoryview(data)[at + _FRAME.size : end], begin) == check else 0

    def _next(self, data: bytes, at: int, *, is_end: bool) -> tuple[int, int]:
        """Return the begin of the next frame, or the end; then how many bytes are missing to tell, or 0."""
        while True:
            at = data.find(self._mark, at)
            if at < 0:
                # Its mark may be cut off at the end of the stretch.
                return (len(data), 0) if is_end else (len(data), 1)
            end = self._end(data, at, is_end=is_end)
            if end > 0:
                return at, 0
            if end < 0:
                return at, -end
            at += 1


def last_commit(frames: Sequence[Frame]) -> int:
    """Return the highest offset in a commit frame of these; 0 without one."""
    return max((decode_commit(frame.body) for frame in frames if frame.kind == COMMIT), default=0)
