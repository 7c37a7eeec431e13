"""Events that were acknowledged and cannot be listed: tried again, erased, expired."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import structlog

from gatepost.errors import JournalError, JournalUnavailable, StoreUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.receiver.ingest.commit.frames import Frames
from gatepost.receiver.jobs.projector.batches import UnlistedBatch, is_whole
from gatepost.receiver.jobs.projector.listing import Listing
from gatepost.store.conversion.long_texts import put_back
from gatepost.store.interface import Progress
from gatepost.store.privacy.person_matcher import PersonMatcher
from gatepost.store.write.set_aside import DOUBTFUL, UNLISTED, SetAside

__all__ = ["UnlistedEvents"]

log = structlog.get_logger(__name__)

_TRY_AGAIN_S = 60.0
"""After so long an event is looked at again whose image the disk did not give."""


class UnlistedEvents:
    """Works on the files of :class:`~gatepost.store.write.set_aside.SetAside`."""

    def __init__(
        self,
        folder: Folder,
        files: SetAside,
        frames: Frames,
        packs: Packs,
        listing: Listing,
        *,
        on_listed: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._files = files
        self._frames = frames
        self._packs = packs
        self._listing = listing
        self._on_listed = on_listed
        self._monotonic = monotonic
        self.is_due = True
        """Events that were set aside have to be tried."""
        self._due_at = -math.inf
        self.damages = files.damages()
        """How many damaged places have a file, also from before the start, and which is the last one."""

    def look_again(self) -> None:
        """Read how many damaged places have a file."""
        self.damages = self._files.damages()

    def try_again(self) -> None:
        """List what was set aside, if that is due and its cause is gone. In the projector's thread.

        What is listed leaves its file. A kill in between leaves the file too; then it is counted as a duplicate.
        """
        if self.is_due and self._monotonic() >= self._due_at:
            self.is_due = not self._try_all()

    def forget(self, traces: PersonMatcher, terminals: Collection[int]) -> int:
        """Delete what may be about a person who is erased; return how many files. Any thread.

        ``terminals``: of those alone. Raises :class:`~gatepost.errors.StoreUnavailable`.
        """

        def is_about(body: bytes) -> bool:
            try:
                arrival = self._frames.decode(body)
                texts = b"" if arrival.texts is None else self._packs.read(arrival.texts)
                original = put_back(arrival.original, texts)
            except Exception:  # it cannot be searched
                return True
            # A terminal that was new at the reply may be any of them.
            return (arrival.terminal_id < 0 or arrival.terminal_id in terminals) and traces.found_in(original)

        try:
            return self._files.forget(is_about)
        except JournalUnavailable as error:
            raise StoreUnavailable(str(error)) from error
        finally:
            self.look_again()

    def expire(self, before: float) -> int:
        """Delete what was set aside before a moment in Unix seconds; return how many files. Any thread.

        Raises :class:`~gatepost.errors.JournalUnavailable`.
        """
        try:
            return self._files.expire(before)
        finally:
            self.look_again()

    def _try_all(self) -> bool:
        """Try every file; False: the journal is pinned or cannot be read, so later."""
        can_be_read = True
        with self._folder.unpinned() as may_remove:
            if not may_remove:
                return False
            for path in [*self._files.list(UNLISTED), *self._files.list(DOUBTFUL)]:
                try:
                    body = path.read_bytes()
                    arrival = self._frames.decode(body)
                except Exception as error:
                    log.info("projector.still_unreadable", file=path.name, kind=type(error).__name__)
                    continue
                try:
                    if not is_whole(arrival, self._packs):
                        continue  # it may come again, with its image
                except JournalError:
                    can_be_read = False
                    self._due_at = self._monotonic() + _TRY_AGAIN_S
                    continue
                batch = UnlistedBatch([arrival], [body], Progress(self._folder.id, {}))
                self._listing.list(batch)
                if not batch.set_aside:
                    self._files.remove(path)
                    log.info("projector.listed_after_all", file=path.name)
                    self._on_listed()
        return can_be_read
