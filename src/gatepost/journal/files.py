"""The calls to the disk that a journal makes, in one place: a test may put a disk that forgets in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Files"]

_sync = getattr(os, "fdatasync", os.fsync)


class Files:
    """The real disk. Every method raises ``OSError``.

    Files are made with mode 0600 and folders with 0700, whatever the umask.
    """

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it, and sync the one that it stands in. Do nothing where it exists."""
        if path.is_dir():
            return
        if not path.parent.is_dir():
            self.make_folder(path.parent)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            path.chmod(0o700)
        self.sync_folder(path.parent)

    def create(self, path: Path) -> int:
        """Make a file, and return its descriptor. Raises ``FileExistsError`` where it exists."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.fchmod(handle, 0o600)
        return handle

    def link(self, path: Path, name: Path) -> None:
        """Give a file a second name. Raises ``FileExistsError`` where that exists."""
        name.hardlink_to(path)

    def write(self, handle: int, data: bytes, offset: int) -> None:
        """Write all of ``data`` at an offset."""
        view = memoryview(data)
        while view:
            written = os.pwrite(handle, view, offset)
            view, offset = view[written:], offset + written

    def sync(self, handle: int) -> None:
        """Return when the file's data are on disk."""
        _sync(handle)

    def sync_folder(self, path: Path) -> None:
        """Return when the names in a folder are on disk."""
        with _folder(path) as handle:
            os.fsync(handle)

    def remove(self, path: Path) -> None:
        """Delete a file; do nothing where there is none."""
        path.unlink(missing_ok=True)

    def close(self, handle: int) -> None:
        """Close a descriptor."""
        os.close(handle)


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)
