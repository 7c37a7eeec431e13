"""Process quarantined pushes again: what this version understands is appended to the journal, as if pushed now.

There is one way into the list: a stream of the desk's own, which the projector reads like those of the ingests. After a
crash in between a push may be processed twice; its key makes the second a duplicate. Only what is listed leaves the
quarantine: the store may still refuse an event.

Flow: quarantine → ``decode_again`` → journal → listed → out of the quarantine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import structlog
from msgspec import Struct

from gatepost.errors import ImageUnavailable, StoreError
from gatepost.receiver.jobs.desk_writer import DeskWriter, Encoded
from gatepost.store.interface import Arrival, QuarantineRow, Store
from gatepost.store.query.reprocess import decode_again
from gatepost.store.questions import Questions

__all__ = ["ProcessedAgain", "Reprocessing"]

log = structlog.get_logger(__name__)

GROUP_BYTES = 16 * 1024 * 1024
"""Bytes of pushes that are decoded at once; a single one may be larger."""


class ProcessedAgain(Struct, frozen=True, kw_only=True):
    """Count the quarantined pushes that were decoded again, by result."""

    stored: int
    duplicates: int
    """The terminal had pushed it again in the meantime."""
    still_unknown: int


class Reprocessing:
    """Processes quarantined pushes again. Any thread; one after the other."""

    def __init__(self, store: Store, writer: DeskWriter, catch_up: Callable[[], None]) -> None:
        """``catch_up`` returns when everything is listed that the journal has, and raises ``StoreUnavailable``."""
        self._store = store
        self._writer = writer
        self._catch_up = catch_up
        self._lock = threading.Lock()

    def process(self, seen: Questions, ids: Sequence[int]) -> ProcessedAgain:
        """Decode them anew; what is understood is listed like any push, and leaves the quarantine.

        ``seen``: the store as it is seen by who asks; what it does not show stays.

        Raises :class:`~gatepost.errors.StoreError`: then do it again.
        """
        stored = duplicates = unknown = 0
        with self._lock:
            for rows in _groups(seen.quarantined_by_id(ids)):
                done = self._process(rows)
                stored += done.stored
                duplicates += done.duplicates
                unknown += done.still_unknown
        return ProcessedAgain(stored=stored, duplicates=duplicates, still_unknown=unknown)

    def _process(self, rows: Sequence[QuarantineRow]) -> ProcessedAgain:
        understood: list[tuple[int, Encoded]] = []
        there: set[tuple[int, bytes]] = set()
        duplicates: set[int] = set()
        for row in rows:
            arrival = self._decoded(row)
            if arrival is None:
                continue
            same = (arrival.terminal_id, arrival.key)
            if same in there or self._is_listed(arrival):
                duplicates.add(row.id)
            there.add(same)
            understood.append((row.id, self._writer.encoded(arrival)))
        if understood:
            self._writer.append([one for _, one in understood])
            self._catch_up()
        done = {number for number, one in understood if self._is_listed(one.arrival)}
        self._store.discard_quarantined(sorted(done))
        self._store.tried_quarantined([row.id for row in rows if row.id not in done])
        return ProcessedAgain(
            stored=len(done - duplicates),
            duplicates=len(done & duplicates),
            still_unknown=len(rows) - len(done),
        )

    def _is_listed(self, arrival: Arrival) -> bool:
        """Return whether an event is stored, if need be for the terminal that it was attributed to."""
        return self._store.has(arrival) or bool(self._store.holders(arrival.event, arrival.key, arrival.peer))

    def _decoded(self, row: QuarantineRow) -> Arrival | None:
        terminal = self._store.terminal(row.terminal_id)
        timezone = "UTC" if terminal is None else terminal.timezone
        try:
            whole = self._store.pushed(row)
            return decode_again(row, whole, self._store.secret, timezone=timezone)
        except ImageUnavailable as error:
            log.warning("quarantine.not_processed", why=str(error), quarantine_id=row.id)
            return None
        except StoreError:
            raise
        except Exception as error:
            # It may be here because of a defect of ours: the others have their turn all the same.
            log.error("quarantine.not_processed", kind=type(error).__name__, quarantine_id=row.id)
            return None


def _groups(rows: Sequence[QuarantineRow]) -> Iterator[Sequence[QuarantineRow]]:
    """Yield rows, as many at once as are not too large together."""
    group: list[QuarantineRow] = []
    size = 0
    for row in rows:
        if group and size + row.size > GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(row)
        size += row.size
    if group:
        yield group
