"""Tell whether the disk of a data folder has room for more than is acknowledged already."""

import shutil
from collections.abc import Callable
from pathlib import Path

from gatepost.settings import ReceiverSettings

__all__ = ["journal_bytes", "reserved_bytes", "room"]

MIN_FREE_BYTES, MAX_FREE_BYTES = 64 * 1024**2, 1024**3
"""By default a twentieth of the disk stays free, and so many bytes at least and at most."""

MAX_JOURNAL_BYTES = 16 * 1024**3
"""By default as many bytes may wait in the journal, and a tenth of the disk at most."""


def journal_bytes(folder: Path) -> int:
    """Return how much of a journal may wait by default."""
    return min(MAX_JOURNAL_BYTES, shutil.disk_usage(folder).total // 10)


def reserved_bytes(disk_bytes: int) -> int:
    """Return how much of a disk of this size stays free by default."""
    return max(MIN_FREE_BYTES, min(MAX_FREE_BYTES, disk_bytes // 20))


def room(folder: Path, settings: ReceiverSettings) -> Callable[[int], bool]:
    """Return the function that tells whether the disk has room beyond so many bytes that are not listed."""
    # In a database on this disk they take as much again for its log, and for what it needs while it writes.
    needed = 0 if settings.database else 2
    reserve = settings.min_free_bytes or reserved_bytes(shutil.disk_usage(folder).total)
    return lambda unread: shutil.disk_usage(folder).free >= reserve + needed * unread
