"""The owner of an outbox, serial and subscription, in a second file.

Rules:

* The state has both, and is used normally. This file is for a state that cannot be read: a lost page of flash takes the
  begin of a file of the state, and two such pages take both files.
* It is written, synced, when one of the two changes, and at a start if it differs from the state. It is deleted first,
  so that a present file is never older than the state, except after a crash in between.
* It does not depend on the journal: a terminal knows its address also without any event.
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
    """``None``: there was never one."""
    enabled: bool = False
    receiver: str = ""
    """The last address that was not empty."""


def read_owner(folder: Path) -> Owner:
    """Return the content of the file; an empty owner without a complete file."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        data = (folder / _NAME).read_bytes()
        body, check = data[: -_CHECK.size], data[-_CHECK.size :]
        if body.startswith(_MAGIC) and check == _CHECK.pack(crc32(body)):
            return msgspec.msgpack.decode(body[len(_MAGIC) :], type=Owner)
    return Owner()


def write_owner(folder: Path, owner: Owner, files: Files) -> None:
    """Write the file, if the disk takes it. The state has the same content."""
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
