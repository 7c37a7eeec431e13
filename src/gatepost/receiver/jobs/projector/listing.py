"""List a batch: store its events, or find the one that the store refuses."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from gatepost.errors import JournalError, StoreError
from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Place
from gatepost.journal.streams import Position
from gatepost.receiver.ingest.event_keys import kept_raw
from gatepost.receiver.jobs.projector.attribution import Attribution, Terminals
from gatepost.receiver.jobs.projector.batches import UnlistedBatch
from gatepost.store.images.places import pack_names, parts_of
from gatepost.store.interface import Arrival, Progress, Stored
from gatepost.store.write.set_aside import SetAside

__all__ = ["Listing", "Rows"]

log = structlog.get_logger(__name__)


class Rows(Terminals, Protocol):
    """The part of a store that the projector uses."""

    secret: bytes

    def write(self, batch: Sequence[Arrival], progress: Progress | None = None) -> Sequence[Stored]: ...
    def positions(self, journal: bytes) -> Mapping[str, Position]: ...
    def forget_streams(self, journal: bytes, streams: Sequence[str]) -> None: ...
    def unused(self, places: Sequence[Place]) -> Sequence[Place]: ...


class Listing:
    """Writes batches into the store. For the projector's thread."""

    def __init__(
        self, store: Rows, packs: Packs, files: SetAside, attribution: Attribution, *, archives_first: bool
    ) -> None:
        """``archives_first``: images are in their archive before their events are listed."""
        self._store = store
        self._packs = packs
        self._files = files
        self._attribution = attribution
        self._archives_first = archives_first

    def list(self, batch: UnlistedBatch) -> bool:
        """Store a batch; False if one of its events is refused, and has to be found.

        Raises :class:`~gatepost.errors.StoreError` and :class:`~gatepost.errors.JournalError`.
        """
        arrivals = batch.arrivals
        if self._archives_first:
            self._packs.bring(pack_names(arrivals))
        try:
            arrivals = self._attribution.attributed(self._attribution.with_terminals(arrivals))
            self._drop_unused(arrivals, self._store.write(arrivals, batch.progress))
        except StoreError:
            raise
        except Exception as error:
            if len(arrivals) > 1:
                return False
            if isinstance(error, MemoryError):
                raise
            # The kind only: a database's message quotes the values, and those are people.
            log.error("projector.event_refused", kind=type(error).__name__)
            self._quarantine(arrivals, batch, f"the store could not take this event ({type(error).__name__})")
        return True

    def is_listed(self, batch: UnlistedBatch) -> bool:
        """Return whether the store has committed a batch after all, and the word of its commit was lost."""
        stored = self._store.positions(batch.progress.journal)
        return batch.progress.positions.items() <= stored.items()

    def confirm(self, batch: UnlistedBatch) -> None:
        """Commit once more behind a batch whose word was lost.

        A standby of the server may lack that commit, but not what this one follows.
        """
        self._store.write([], batch.progress)

    def _drop_unused(self, arrivals: Sequence[Arrival], stored: Sequence[Stored]) -> None:
        """Give back the room of images that came with events which were stored before."""
        places = [
            place
            for arrival, found in zip(arrivals, stored, strict=True)
            if not found.new
            for _, place in parts_of(arrival)
        ]
        if places:
            with contextlib.suppress(JournalError, StoreError):  # what is not done leaves with its pack
                self._packs.punch(self._store.unused(places))

    def _quarantine(self, arrivals: Sequence[Arrival], batch: UnlistedBatch, why: str) -> None:
        """Keep the one event of a batch as it came."""
        try:
            kept = [kept_raw(one, why, self._store.secret) for one in arrivals]
            self._store.write(kept, batch.progress)
        except StoreError:
            raise
        except Exception:
            batch.set_aside.extend((self._files.keep_body(body), why) for body in batch.frames)
            self._store.write([], batch.progress)
