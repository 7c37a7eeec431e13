"""The disks of the ends, which fill up and become read-only: real ones where that is possible, else a limit.

Rules:

- A real disk is a ``tmpfs`` under one data folder. It becomes full by shrinking it to its content: the next write gets
  ENOSPC, and no memory is spent on filling it. It becomes read-only by mounting the folder over itself, because the
  kernel makes no mount read-only on which files are open for writing. Files that are opened from then on get EROFS;
  files that are open already stay writable.
- A SIGKILL loses nothing on a ``tmpfs``. A power cut would; ``power_loss`` simulates that.
- Mounts are made in a namespace of the run (``mount_namespaces(7)``), so that other processes do not see them and none
  outlives the run. Root may make one, other users where user namespaces are allowed.
- Where neither is allowed, ``RLIMIT_FSIZE`` (``prlimit(2)``) on the running process replaces both: writes beyond the
  limit fail with EFBIG. The result of a run tells which of the two it was.

Flow: ``enter`` → a namespace of our own, or the reason why not → one disk per end → ``fill`` / ``free``, ``protect`` /
``release`` → ``close``.
"""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from gatepost.errors import GatepostError

__all__ = ["Disk", "DiskError", "Disks", "SizeLimit", "MountedDisk", "enter", "room"]

INSIDE = "GATEPOST_TORTURE_NAMESPACE"
"""The variable that marks the process inside the new namespace."""

WAYS: Sequence[Sequence[str]] = (
    ("unshare", "--mount", "--propagation", "private"),
    ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"),
)
"""As root, and as another user."""

TRIES = 50
MOUNT_S = 30.0

BYTES_AN_EVENT = 100_000
"""Bytes per event of the rate at most, at both ends, with surges; measured: 65 KB."""
SMALLEST = 192 << 20
"""Bytes for any run: a store's log alone grows to 64 MB before it starts again."""


class DiskError(GatepostError):
    """A disk cannot be made, filled or protected."""


class Disks(Struct, frozen=True):
    """Which disks a run has, and why not real ones."""

    real: bool
    size: int = SMALLEST
    """Bytes of each at most. Only its content takes memory."""
    why: str = ""


class Disk(Protocol):
    """The disk of one end. ``fill`` and ``protect`` return whether they did it; ``free`` and ``release`` undo it."""

    real: bool

    def open(self) -> None: ...
    def fill(self) -> bool: ...
    def free(self) -> None: ...
    def protect(self) -> bool: ...
    def release(self) -> None: ...
    def close(self, *, keep: bool) -> None: ...


class SizeLimit:
    """No disk: a limit on the process, by ``limit``, at the size of its ``largest`` file or at 0."""

    real = False

    def __init__(self, limit: Callable[[int | None], bool], largest: Callable[[], int]) -> None:
        self._limit = limit
        self._largest = largest

    def open(self) -> None:
        """Do nothing: the limit is put on the running process."""

    def fill(self) -> bool:
        """Let no file grow beyond the largest one."""
        return self._limit(self._largest())

    def protect(self) -> bool:
        """Allow no writes."""
        return self._limit(0)

    def free(self) -> None:
        """Lift the limit."""
        self._limit(None)

    def release(self) -> None:
        """Lift the limit."""
        self._limit(None)

    def close(self, *, keep: bool) -> None:
        """Do nothing: the folder was on the user's own disk all the time."""


class MountedDisk:
    """A file system of ``size`` bytes at most, for ``folder`` alone. Raises DiskError if it cannot be made."""

    real = True

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size
        self._open = False
        self._protected = False

    def open(self) -> None:
        """Mount it over the folder, which is empty."""
        _run("mount", "-t", "tmpfs", "-o", f"size={self._size},mode=0700", "tmpfs", str(self._folder))
        self._open = True

    def fill(self) -> bool:
        """Take all free space away. Try again if a writer was quicker."""
        for _ in range(TRIES):
            with suppress(DiskError):
                self._resize(max(self._used(), 1))
                if self._refuses(errno.ENOSPC):
                    return True
        self.free()
        return False

    def free(self) -> None:
        """Give the space back."""
        self._resize(self._size)

    def protect(self) -> bool:
        """Make the disk read-only for every file that is opened from now on."""
        beside = self._folder.with_name(f"{self._folder.name}.read-only")
        beside.mkdir(exist_ok=True)
        # Made elsewhere and moved into place when it is read-only: a file opened in between would keep it writable.
        _run("mount", "--bind", str(self._folder), str(beside))
        _run("mount", "-o", "remount,bind,ro", str(beside))
        _run("mount", "--move", str(beside), str(self._folder))
        self._protected = True
        beside.rmdir()
        return self._refuses(errno.EROFS)

    def release(self) -> None:
        """Make it writable again. Files that are open on the read-only disk stay there."""
        if self._protected:
            self._protected = False
            _run("umount", "--lazy", str(self._folder))

    def close(self, *, keep: bool) -> None:
        """Unmount it. ``keep``: copy its content to the folder."""
        if not self._open:
            return
        self.release()
        kept = self._folder.with_name(f"{self._folder.name}.kept")
        if keep:
            self.free()
            shutil.copytree(self._folder, kept, ignore=_no_files)
        self._open = False
        _run("umount", "--lazy", str(self._folder))
        if keep:
            self._folder.rmdir()
            kept.rename(self._folder)

    def _resize(self, size: int) -> None:
        _run("mount", "-o", f"remount,size={size}", str(self._folder))

    def _used(self) -> int:
        state = os.statvfs(self._folder)
        return (state.f_blocks - state.f_bfree) * state.f_frsize

    def _refuses(self, number: int) -> bool:
        probe = self._folder / "probe"
        try:
            probe.write_bytes(bytes(4096))
        except OSError as error:
            return error.errno == number
        finally:
            with suppress(OSError):
                probe.unlink()
        return False


def enter(
    size: int,
    *,
    ways: Sequence[Sequence[str]] = WAYS,
    environ: Mapping[str, str] = os.environ,
    available: Callable[[], int] | None = None,
) -> Disks:
    """Run this program again in a namespace of its own, and return real disks there; or return why not, here.

    ``size``: bytes that all disks may contain. Twice as much memory must be free. On success this returns only in the
    program that is started in place of this one.
    """
    if environ.get(INSIDE):
        return Disks(True, max(size, SMALLEST))
    there = (_available if available is None else available)()
    if size * 2 > there:
        return Disks(
            False, why=f"real ones may take {size >> 20} MB, and {there >> 20} MB of memory are free"
        )
    why = "no way is known"
    for way in ways:
        try:
            _run(*way, "mount", "-t", "tmpfs", "tmpfs", "/mnt")
        except DiskError as error:
            why = str(error)
            continue
        os.execvpe(way[0], [*way, *sys.orig_argv], {**environ, INSIDE: "1"})  # noqa: S606 (this very program again)
    return Disks(False, why=why)


def room(*, seconds: float, terminals: int, rate: float) -> int:
    """Return how many bytes a run writes to all its disks."""
    return int(seconds * terminals * rate * BYTES_AN_EVENT)


def _available() -> int:
    """Return how many bytes of memory this process may use, by the machine and by its group's limit."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    there = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        most = int((group / "memory.max").read_text(encoding="ascii"))
        there = min(there, most - int((group / "memory.current").read_text(encoding="ascii")))
    return there


def _no_files(folder: str, names: list[str]) -> list[str]:
    """Return the names that cannot be copied: sockets."""
    return [name for name in names if not (path := Path(folder) / name).is_file() and not path.is_dir()]


def _run(*words: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 (mount, umount, unshare, with words of our own)
            words, capture_output=True, text=True, check=False, timeout=MOUNT_S
        )
    except OSError as error:
        raise DiskError(f"{words[0]}: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise DiskError(said[0])
