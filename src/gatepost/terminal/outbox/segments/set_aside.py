"""Damaged bytes that are set aside for inspection: files ``damaged-NAME-OFFSET`` next to their origin.

Rules:

* Nothing reads them again, and nothing waits for them. What the disk does not take is not set aside.
* They are bounded in number and bytes. The oldest are deleted first, and counted.
* On a full disk they are deleted before delivered history.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from gatepost.journal.files import Files

__all__ = ["MOST_FILES", "Aside"]

MOST_FILES = 16


class Aside:
    """The damaged bytes of one folder."""

    def __init__(self, folder: Path, files: Files, *, most_bytes: int) -> None:
        self._folder = folder
        self._files = files
        self._most_bytes = most_bytes
        self.gone = 0
        """Files that were deleted since the start, because there were too many or for space."""

    def take_part(self, path: Path, start: int, end: int) -> None:
        """Keep some bytes of a file that will be deleted."""
        name = _name(path, start)
        with contextlib.suppress(OSError):
            if name.exists():
                return
            with path.open("rb") as file:
                file.seek(start)
                data = file.read(end - start)
            handle = self._files.create(name)
            try:
                self._files.write(handle, data, 0)
            except OSError:
                self._files.remove(name)
                raise
            finally:
                self._files.close(handle)
        self.trim()

    def take(self, path: Path) -> None:
        """Keep a file that is no longer used, under another name."""
        with contextlib.suppress(OSError):
            path.rename(_name(path, 0))
            self._files.sync_folder(self._folder)
        self.trim()

    def take_copy(self, path: Path) -> None:
        """Keep a file that stays in use and is not written to: it gets a second name."""
        with contextlib.suppress(OSError):
            self._files.link(path, _name(path, 0))
        self.trim()

    def trim(self) -> None:
        """Delete the oldest files while there are too many."""
        kept = self._kept()
        while len(kept) > MOST_FILES or sum(size for _, size in kept) > self._most_bytes:
            if not self._remove(kept.pop(0)[0]):
                return

    def drop_oldest(self) -> bool:
        """Delete the oldest file; return whether there was one."""
        kept = self._kept()
        return bool(kept) and self._remove(kept[0][0])

    def count(self) -> tuple[int, int]:
        """Return how many files there are, and their bytes."""
        kept = self._kept()
        return len(kept), sum(size for _, size in kept)

    def _remove(self, path: Path) -> bool:
        try:
            self._files.remove(path)
        except OSError:
            return False
        self.gone += 1
        return True

    def _kept(self) -> list[tuple[Path, int]]:
        """Return each file and its bytes, the oldest first."""
        found = []
        with contextlib.suppress(OSError):
            for path in self._folder.glob("damaged-*"):
                with contextlib.suppress(OSError):
                    about = path.stat()
                    found.append((about.st_ctime_ns, path, about.st_size))
        return [(path, size) for _, path, size in sorted(found)]


def _name(path: Path, start: int) -> Path:
    return path.with_name(f"damaged-{path.name}-{start}")
