"""Move closed packs to the archive that the setting ``packs`` names, and delete there what no event has.

Rules:

* It has a thread of its own: to move a pack may take minutes, and retention, erasure and a stop do not wait for it.
* While the archive is away, packs stay beside the journal, and one line in the log says so.

Flow: :meth:`Archiving.run` → :meth:`Archiving.once` → the next one at once after a move, else in some seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from gatepost.errors import JournalError, StoreError
from gatepost.journal.packs.packs import Packs
from gatepost.store.images.orphans import delete_orphans
from gatepost.store.interface import PrunableStore

__all__ = ["Archiving"]

log = structlog.get_logger(__name__)

IDLE_S, AWAY_S = 5.0, 30.0
"""Between two looks for closed packs, and after one that could not be moved."""

ORPHANS_S = 3600.0
"""Between two looks for packs that no event has."""


class Archiving:
    """Moves packs. :meth:`once` is for one thread at a time."""

    def __init__(
        self,
        store: PrunableStore,
        packs: Packs,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        """``now`` returns Unix seconds."""
        self._store = store
        self._packs = packs
        self._now = now
        self._monotonic = monotonic
        self._looked_at = -ORPHANS_S
        self._stopping = threading.Event()
        self.moved = 0
        """Packs, since the start."""
        self.trouble = ""
        """Why packs cannot be moved now, in a sentence; nothing: they can."""

    def start(self) -> None:
        """Begin, in a thread of its own that ends with the process."""
        threading.Thread(target=self.run, name="gatepost-archiving", daemon=True).start()

    def stop(self) -> None:
        """Begin nothing more. A pack that is being moved is here until all of it is there."""
        self._stopping.set()

    def run(self) -> None:
        """Go on until :meth:`stop`."""
        pause = IDLE_S
        while not self._stopping.wait(pause):
            pause = self.once()

    def once(self) -> float:
        """Move what is closed; return the seconds until the next call is due."""
        try:
            count = self._packs.move()
            self.moved += count
            if count == 0 and self._monotonic() - self._looked_at >= ORPHANS_S:
                self._looked_at = self._monotonic()
                today = datetime.fromtimestamp(self._now(), UTC).date()
                if deleted := delete_orphans(self._store, self._packs, today=today):
                    log.info("packs.orphans_deleted", packs=deleted)
        except (JournalError, StoreError) as error:
            if not self.trouble:
                log.warning("packs.waiting", why=str(error))
            self.trouble = str(error)
            return AWAY_S
        if self.trouble:
            self.trouble = ""
            log.info("packs.moved_again")
        return IDLE_S
