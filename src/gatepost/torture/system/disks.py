"""The disks under the ends, which fill up and become read-only: real ones where that is possible, else a limit.

Rules:

- A real disk is a ``tmpfs`` under one data folder. Full is made by shrinking it to what is on it: the next write finds
  what it finds on one that was filled up (ENOSPC), and no memory is spent on ballast. Read-only is made by mounting the
  folder over itself read-only, for the kernel lets no mount become so on which files are open for writing: whatever is
  opened from then on finds EROFS, files that are open already stay as they are.
- A SIGKILL takes nothing from a ``tmpfs``; a power cut would, and is simulated elsewhere (``powercut``).
- Mounts are made in a namespace of the run's own (``mount_namespaces(7)``), so that nobody else sees them and none
  outlives the run. Root may have one, others where user namespaces are allowed.
- Where neither may be, ``RLIMIT_FSIZE`` (``prlimit(2)``) on the running process stands for both: writes beyond the
  limit fail with EFBIG. Which of the two it was is part of what a run says.

Flow: ``enter`` → a namespace of our own, or the reason why not → one disk an end → ``fill`` / ``free``, ``protect`` /
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

__all__ = ["Disk", "DiskError", "Disks", "Limit", "Mounted", "enter", "room"]

INSIDE = "GATEPOST_TORTURE_NAMESPACE"
"""Set for the process that runs in the namespace that was made for it."""

WAYS: Sequence[Sequence[str]] = (
    ("unshare", "--mount", "--propagation", "private"),
    ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"),
)
"""As root, and as anybody else."""

TRIES = 50
MOUNT_S = 30.0

BYTES_AN_EVENT = 100_000
"""What an event that the rate promises costs at most, at both ends, surges included: 65 KB measured."""
SMALLEST = 192 << 20
"""However short a run is: a store's log alone grows to 64 MB before it is begun anew."""


class DiskError(GatepostError):
    """A disk cannot be made, or does not do what it was told."""


class Disks(Struct, frozen=True):
    """Which disks a run has, and why not the real ones."""

    real: bool
    size: int = SMALLEST
    """Of each, in bytes, at most; only what is on it takes memory."""
    why: str = ""


class Disk(Protocol):
    """What one end stands on. ``fill`` and ``protect`` answer whether they did it; ``free`` and ``release`` undo it."""

    real: bool

    def open(self) -> None: ...
    def fill(self) -> bool: ...
    def free(self) -> None: ...
    def protect(self) -> bool: ...
    def release(self) -> None: ...
    def close(self, *, keep: bool) -> None: ...


class Limit:
    """No disk at all: a limit on the process, by ``limit``, at the size of its ``largest`` file or at nothing."""

    real = False

    def __init__(self, limit: Callable[[int | None], bool], largest: Callable[[], int]) -> None:
        self._limit = limit
        self._largest = largest

    def open(self) -> None:
        """Nothing: the limit is put on whatever process there is."""

    def fill(self) -> bool:
        """Let no file grow beyond the largest that there is."""
        return self._limit(self._largest())

    def protect(self) -> bool:
        """Let nothing be written."""
        return self._limit(0)

    def free(self) -> None:
        """Lift the limit."""
        self._limit(None)

    def release(self) -> None:
        """Lift the limit."""
        self._limit(None)

    def close(self, *, keep: bool) -> None:
        """Nothing: the folder was on the person's own disk all the time."""


class Mounted:
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
        """Take all space away that is not in use. Whoever writes meanwhile is quicker at times: then once more."""
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
        """Let whatever is opened from now on find a read-only disk."""
        beside = self._folder.with_name(f"{self._folder.name}.read-only")
        beside.mkdir(exist_ok=True)
        # Made beside, and put in place when it is what it should be: a file opened in between would keep it writable.
        _run("mount", "--bind", str(self._folder), str(beside))
        _run("mount", "-o", "remount,bind,ro", str(beside))
        _run("mount", "--move", str(beside), str(self._folder))
        self._protected = True
        beside.rmdir()
        return self._refuses(errno.EROFS)

    def release(self) -> None:
        """Let it be writable again; whoever has files of the read-only disk open keeps those."""
        if self._protected:
            self._protected = False
            _run("umount", "--lazy", str(self._folder))

    def close(self, *, keep: bool) -> None:
        """Unmount it; ``keep``: what is on it stays in the folder."""
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
    """Run this program again in a namespace of its own, and answer real disks there; or answer why not, here.

    ``size``: how many bytes all disks may come to hold; there must be twice as much memory. Does not return where it
    succeeds, but for the program that it starts in place of this one.
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
    """Answer how many bytes a run comes to hold on all its disks."""
    return int(seconds * terminals * rate * BYTES_AN_EVENT)


def _available() -> int:
    """How much memory this process may take, in bytes: of the machine, and of its group if that has a limit."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    there = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        most = int((group / "memory.max").read_text(encoding="ascii"))
        there = min(there, most - int((group / "memory.current").read_text(encoding="ascii")))
    return there


def _no_files(folder: str, names: list[str]) -> list[str]:
    """What cannot be copied: sockets."""
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
