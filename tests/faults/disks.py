"""Real disks that fill up, and real folders that cannot be written."""

import os
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

NOBODY = 65_534


class SmallDisk(NamedTuple):
    """A folder in which space can run out, and come back."""

    folder: Path
    fill: Callable[[], None]
    free: Callable[[], None]


@contextmanager
def small_file_system(folder: Path) -> Iterator[SmallDisk]:
    """A file system of its own, filled by a file beside."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=True, capture_output=True
    )
    ballast = folder / "ballast"

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    try:
        yield SmallDisk(folder, fill, ballast.unlink)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def file_size_limit(folder: Path) -> Iterator[SmallDisk]:
    """The kernel's limit of a file's size, which needs no privilege: no file may grow any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        largest = max((file.stat().st_size for file in folder.rglob("*") if file.is_file()), default=0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))

    def free() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    try:
        yield SmallDisk(folder, fill, free)
    finally:
        free()


def _can_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_file_system(Path(folder)):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


DISKS = {"file size limit": file_size_limit} | ({"file system": small_file_system} if _can_mount() else {})
"""The ways that this machine has of running out of space; the first is there on every one."""


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take the right to write to a folder and its files away, from root as well."""
    paths = [folder, *folder.iterdir()]
    modes = {path: path.stat().st_mode for path in paths}
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, mode in modes.items():
            if path.exists():
                path.chmod(mode)


@contextmanager
def folder_for_everybody() -> Iterator[Path]:
    """A folder that is reached by a user without privileges too."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder
