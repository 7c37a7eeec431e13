"""Files in a journal's folder: what was acknowledged, and cannot be listed.

Rules:

* ``unlisted-DIGEST`` is the body of a frame that neither list nor quarantine takes. A start tries it again.
* ``doubtful-DIGEST`` is one that was perhaps never acknowledged, and whose image is not whole. It is in the way of
  nothing when the terminal sends it again, and is listed by a start if its image is whole then.
* ``damaged-STREAM-SEGMENT-START`` are bytes of a segment that are no whole frame; it is empty where they are gone.
* A file may hold a face. It goes with the quarantine's retention, counted from when it was made. An erasure deletes
  those that are about the person, and those that cannot be searched.
* A file has its name when its content is on disk. To make it again does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

from gatepost.errors import JournalUnavailable
from gatepost.journal.files import Files
from gatepost.journal.reader import Damage

__all__ = ["DAMAGED", "DOUBTFUL", "UNLISTED", "SetAside"]

UNLISTED, DOUBTFUL, DAMAGED = "unlisted", "doubtful", "damaged"
_NAME = re.compile(rf"(?:{UNLISTED}|{DOUBTFUL}|{DAMAGED})-[0-9a-z-]+")


class SetAside:
    """The files of one journal. Thread-safe."""

    def __init__(self, folder: Path, files: Files) -> None:
        self._folder = folder
        self._files = files

    def list(self, kind: str) -> list[Path]:
        """Return the files of a kind, :data:`UNLISTED`, :data:`DOUBTFUL` or :data:`DAMAGED`, by name."""
        return sorted(path for path in self._folder.glob(f"{kind}-*") if _NAME.fullmatch(path.name))

    def keep_body(self, body: bytes, kind: str = UNLISTED) -> str:
        """Set the body of a frame aside, and return the file's name. Raises ``JournalUnavailable``."""
        return self._keep(f"{kind}-{blake2b(body, digest_size=16).hexdigest()}", body)

    def keep_damage(self, damage: Damage, segment: Path) -> str:
        """Set aside what is left of a damaged stretch of a segment. Raises ``JournalUnavailable``."""
        try:
            with segment.open("rb") as file:
                file.seek(damage.start)
                data = file.read(damage.end - damage.start if damage.end else -1)
        except OSError:
            data = b""
        return self._keep(f"{DAMAGED}-{damage.stream}-{damage.segment:06d}-{damage.start}", data)

    def damages(self) -> tuple[int, str]:
        """Return how many damaged places have a file, and which is the last one; ``""``: there is none."""
        paths = self.list(DAMAGED)
        return len(paths), max(paths, key=_written, default=Path()).name

    def _keep(self, name: str, data: bytes) -> str:
        files, path = self._files, self._folder / name
        partial = path.with_name(f"{name}.partial")
        try:
            if not path.exists():
                files.remove(partial)
                handle = files.create(partial)
                try:
                    files.write(handle, data, 0)
                    files.sync(handle)
                finally:
                    files.close(handle)
                files.link(partial, path)
            files.remove(partial)
            files.sync_folder(self._folder)
        except OSError as error:
            raise JournalUnavailable(
                f"an event that cannot be listed could not be set aside: {error.strerror}; make room on the disk"
            ) from error
        return name

    def remove(self, path: Path) -> None:
        """Delete a file. Raises ``JournalUnavailable``."""
        try:
            self._files.remove(path)
        except OSError as error:
            raise JournalUnavailable(f"{path.name} cannot be deleted: {error.strerror}") from error

    def forget(self, is_about: Callable[[bytes], bool]) -> int:
        """Delete damaged places, and the bodies of which ``is_about`` says so; return how many files.

        Raises ``JournalUnavailable``.
        """
        return self._delete(lambda path: path.name.startswith(DAMAGED) or is_about(path.read_bytes()))

    def oldest(self) -> float | None:
        """Return when the oldest of the files was written, in Unix seconds. Raises ``JournalUnavailable``."""
        times = []
        for path in [path for kind in (UNLISTED, DOUBTFUL, DAMAGED) for path in self.list(kind)]:
            try:
                times.append(path.stat().st_mtime)
            except FileNotFoundError:  # it was listed meanwhile
                continue
            except OSError as error:
                raise JournalUnavailable(f"{path.name} cannot be read: {error.strerror}") from error
        return min(times, default=None)

    def expire(self, before: float) -> int:
        """Delete what was set aside before a moment in Unix seconds; return how many files.

        Raises ``JournalUnavailable``.
        """
        return self._delete(lambda path: path.stat().st_mtime < before)

    def _delete(self, wanted: Callable[[Path], bool]) -> int:
        count = 0
        for path in [path for kind in (UNLISTED, DOUBTFUL, DAMAGED) for path in self.list(kind)]:
            try:
                if not wanted(path):
                    continue
            except FileNotFoundError:  # it was listed meanwhile
                continue
            except OSError as error:
                raise JournalUnavailable(f"{path.name} cannot be read: {error.strerror}") from error
            self.remove(path)
            count += 1
        return count


def _written(path: Path) -> tuple[float, str]:
    try:
        return path.stat().st_mtime, path.name
    except OSError:  # it is deleted just now
        return 0.0, path.name
