"""The calls to the disk that a journal makes, in one place, so that a test can replace the disk."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

__all__ = ["Files", "give_to_owner"]

_sync = getattr(os, "fdatasync", os.fsync)

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
"""Flags of Linux's fallocate(2)."""
_STEP = 1024 * 1024
"""Bytes of zeros that are written at once."""


class Files:
    """The real disk. Every method raises ``OSError``.

    Files are made with mode 0600 and folders with 0700, whatever the umask. If root makes them in the folder of another
    user, they belong to that user.
    """

    def make_folder(self, path: Path) -> None:
        """Make a folder and its parents, and sync its parent. Do nothing if it exists."""
        if path.is_dir():
            return
        if not path.parent.is_dir():
            self.make_folder(path.parent)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            path.chmod(0o700)
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                give_to_owner(handle, path.parent)
            finally:
                os.close(handle)
        self.sync_folder(path.parent)

    def create(self, path: Path) -> int:
        """Make a file, and return its descriptor. Raises ``FileExistsError`` if it exists."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.fchmod(handle, 0o600)
        give_to_owner(handle, path.parent)
        return handle

    def open(self, path: Path, *, writes: bool = False) -> int:
        """Open an existing file, and return its descriptor."""
        return os.open(path, (os.O_RDWR if writes else os.O_RDONLY) | os.O_CLOEXEC)

    def link(self, path: Path, name: Path) -> None:
        """Give a file a second name. Raises ``FileExistsError`` if that exists."""
        name.hardlink_to(path)

    def rename(self, path: Path, name: Path) -> None:
        """Rename a file within its folder."""
        path.rename(name)

    def write(self, handle: int, data: bytes, offset: int) -> None:
        """Write all of ``data`` at an offset."""
        view = memoryview(data)
        while view:
            written = os.pwrite(handle, view, offset)
            view, offset = view[written:], offset + written

    def sync(self, handle: int) -> None:
        """Sync a file's data. They are on disk when this returns."""
        _sync(handle)

    def sync_all(self, handles: Sequence[int]) -> None:
        """Sync the data of all these files. They are on disk when this returns.

        When it raises, every sync has ended, and any of them may have failed.
        """
        here, elsewhere = list(handles[:1]), []
        for handle in handles[1:]:
            try:
                elsewhere.append(self._pool.submit(self.sync, handle))
            except RuntimeError:  # the system has no thread now
                here.append(handle)
        errors: list[BaseException] = []
        for handle in here:
            try:
                self.sync(handle)
            except BaseException as error:  # raised when the others have ended
                errors.append(error)
        errors += [failed for other in elsewhere if (failed := other.exception()) is not None]
        if errors:
            raise errors[0]

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(4, thread_name_prefix="gatepost-sync")

    def truncate(self, handle: int, size: int) -> None:
        """Cut a file off."""
        os.ftruncate(handle, size)

    def punch(self, handle: int, offset: int, size: int) -> None:
        """Replace a part of a file by zeros, and give its blocks back if the file system can."""
        if not _punch_hole(handle, offset, size):
            for start in range(offset, offset + size, _STEP):
                self.write(handle, bytes(min(_STEP, offset + size - start)), start)

    def sync_folder(self, path: Path) -> None:
        """Sync the names in a folder. They are on disk when this returns."""
        with _folder(path) as handle:
            os.fsync(handle)

    def is_named(self, handle: int) -> bool:
        """Return whether a file still has a name: it was not deleted."""
        return os.fstat(handle).st_nlink > 0

    def remove(self, path: Path) -> None:
        """Delete a file; do nothing if it does not exist."""
        path.unlink(missing_ok=True)

    def close(self, handle: int) -> None:
        """Close a descriptor."""
        os.close(handle)

    def space(self, path: Path) -> tuple[int, int]:
        """Return the bytes of a folder's file system, and the free ones for this user."""
        disk = os.statvfs(path)
        return disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize


def give_to_owner(handle: int, folder: Path) -> None:
    """Give a file that root has made to the owner of its folder, if the system allows it."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            about = folder.stat()
            if about.st_uid:
                os.fchown(handle, about.st_uid, about.st_gid)


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def _punch_hole(handle: int, offset: int, size: int) -> bool:
    """Make a hole; return whether the system and the file system can."""
    system = ctypes.CDLL(None, use_errno=True)
    call = getattr(system, "fallocate64", None) or getattr(system, "fallocate", None)
    if call is None:
        return False
    while call(handle, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_int64(offset), ctypes.c_int64(size)):
        number = ctypes.get_errno()
        if number in (errno.EOPNOTSUPP, errno.ENOSYS):
            return False
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))
    return True
