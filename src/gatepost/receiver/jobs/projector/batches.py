"""Read batches of events from the journal that are not listed yet."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from gatepost.errors import JournalError, StoreError, StoreInUse
from gatepost.journal.folder import Folder
from gatepost.journal.format import KEY_BYTES
from gatepost.journal.packs.packs import Packs
from gatepost.journal.reader import Damage, Reader
from gatepost.journal.streams import Position
from gatepost.receiver.ingest.commit.frames import Frames
from gatepost.store.images.places import parts_of
from gatepost.store.interface import Arrival, Progress
from gatepost.store.write.set_aside import DOUBTFUL, UNLISTED, SetAside

__all__ = ["NOT_WHOLE", "BatchReader", "UnlistedBatch", "is_whole", "lock_for_reading"]

MAX_BATCH_BYTES = 16 * 1024 * 1024
"""Bytes of frames of one transaction; one event may be larger."""

NOT_WHOLE = "its image is not whole, so it was perhaps never acknowledged"
"""Why an event is doubtful."""


class UnlistedBatch(Struct, frozen=True):
    """A batch that was read, and is not listed."""

    arrivals: Sequence[Arrival]
    frames: Sequence[bytes]
    """Their bodies."""
    progress: Progress
    damages: Sequence[Damage] = ()
    set_aside: list[tuple[str, str]] = []
    """The file of each event that has no place in the store, and why."""


class BatchReader:
    """Reads, and sets aside what cannot be decoded. For the projector's thread."""

    def __init__(
        self,
        folder: Folder,
        frames: Frames,
        packs: Packs,
        files: SetAside,
        positions: Mapping[str, Position],
        *,
        on_waiting: Callable[[Mapping[str, JournalError]], None],
    ) -> None:
        """``positions``: from where to read. ``on_waiting`` is told the streams that cannot be read now, and why."""
        self._folder = folder
        self._frames = frames
        self._packs = packs
        self._files = files
        self._on_waiting = on_waiting
        self._reader = Reader(folder, positions)
        self.rewind = self._reader.rewind
        self.close = self._reader.close
        self.has_doubts = False
        """An event was set aside because the disk did not tell whether its image is whole; it has to be tried again."""

    def read(self, positions: Mapping[str, Position], *, max_bodies: int) -> UnlistedBatch:
        """Return what is behind the last batch; without positions if there is nothing.

        ``positions``: up to where every event is listed; a read that fails begins there again. Raises
        :class:`~gatepost.errors.JournalError`.
        """
        arrivals, frames, set_aside = [], [], []
        try:
            batch = self._reader.read(max_bodies=max_bodies, max_bytes=MAX_BATCH_BYTES)
            self._on_waiting(batch.waiting)
            uncommitted = set(batch.uncommitted)
            for place, body in enumerate(batch.bodies):
                try:
                    arrival = self._frames.decode(body)
                    why = NOT_WHOLE if place in uncommitted and not is_whole(arrival, self._packs) else ""
                except JournalError:
                    why = NOT_WHOLE  # the disk does not tell now; it is asked again
                    self.has_doubts = True
                except Exception as error:
                    why = str(error) if isinstance(error, StoreError) else type(error).__name__
                if why:
                    kind = DOUBTFUL if why == NOT_WHOLE else UNLISTED
                    set_aside.append((self._files.keep_body(body, kind), why))
                else:
                    arrivals.append(arrival)
                    frames.append(body)
            for damage in batch.damages:
                self._files.keep_damage(damage, self._folder.segment(damage.stream, damage.segment))
        except BaseException:
            self.rewind(positions)
            raise
        progress = Progress(self._folder.id, batch.positions)
        return UnlistedBatch(arrivals, frames, progress, batch.damages, set_aside)


def is_whole(arrival: Arrival, packs: Packs) -> bool:
    """Return whether the images of an event are whole, of which it is not known that they were synced."""
    places = [place for _, place in parts_of(arrival) if len(place.key) == KEY_BYTES]
    return not places or packs.confirm(places)


def lock_for_reading(folder: Folder) -> int:
    """Return the handle of the lock that the one process holds which reads a journal. Raises ``StoreInUse``."""
    handle = os.open(folder.path / "reader", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise StoreInUse(
            f"another process lists the journal {folder.path}; stop it, or give this one a data folder of its own"
        ) from None
    return handle
