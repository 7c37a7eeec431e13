"""The owner of an outbox, serial and subscription, once more in a file of its own.

Rules:

* The state has both, and goes by itself. This file is for where the state cannot be read: a page of flash that is lost
  takes the begin of a file of the state, and two such pages both files.
* It is written, synced, when one of the two changes, and at a start where it is not as the state says. It is deleted
  first, so that one that is there is never older than the state, but for a crash in between.
* It says nothing of the journal: a terminal knows its address also where no event is left.
"""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from zlib import crc32

import msgspec
from msgspec import Struct

from gatepost.journal.files import Files

__all__ = ["Owner", "read_owner", "write_owner"]

_NAME = "owner"
_MAGIC = b"gpowner1"
_CHECK = struct.Struct("<I")


class Owner(Struct, frozen=True, array_like=True):
    """The terminal of an outbox, and its receiver."""

    serial: str | None = None
    event_dest: str | None = None
    """``None``: none was ever given."""
    enabled: bool = False
    receiver: str = ""
    """The last address that was not empty."""


def read_owner(folder: Path) -> Owner:
    """Return what the file says; nothing where there is none that is whole."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        data = (folder / _NAME).read_bytes()
        body, check = data[: -_CHECK.size], data[-_CHECK.size :]
        if body.startswith(_MAGIC) and check == _CHECK.pack(crc32(body)):
            return msgspec.msgpack.decode(body[len(_MAGIC) :], type=Owner)
    return Owner()


def write_owner(folder: Path, owner: Owner, files: Files) -> None:
    """Write the file, as far as the disk lets it: the state has the same."""
    body = _MAGIC + msgspec.msgpack.encode(owner)
    with contextlib.suppress(OSError):
        files.remove(folder / _NAME)
        handle = files.create(folder / _NAME)
        try:
            files.write(handle, body + _CHECK.pack(crc32(body)), 0)
            files.sync(handle)
        finally:
            files.close(handle)
        files.sync_folder(folder)
