"""Batches that wait until they are listed: ``acknowledge_after = "store"``.

Rules:

* A batch is listed when the desk says that its stream is listed up to the place behind it.
* A word of the desk is *in doubt* where a place may have been passed without rows: the first word of a desk, and one
  that tells of damage. What it covers is refused. It comes again, and is listed then, or a duplicate.
* A stream keeps its order. Streams do not wait for each other, so an alarm does not wait for records.
* After :data:`PATIENCE_S` a batch is refused, whatever became of desk, store or stream.

Pure: words and time go in, who is told comes out.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from msgspec import Struct

from gatepost.journal.streams import START, Position

__all__ = ["PATIENCE_S", "StreamPlace", "UntilListed"]

PATIENCE_S = 20.0
"""As long as any push waits for the database. A database that hangs is found out sooner; our terminal waits longer."""

Batch = TypeVar("Batch")


class StreamPlace(Struct, frozen=True):
    """The place behind what was appended."""

    stream: str
    position: Position

    def is_covered(self, listed: Mapping[str, Position]) -> bool:
        """Return whether its stream is listed up to here."""
        return not listed.get(self.stream, START).is_before(self.position)


class UntilListed(Generic[Batch]):
    """Tells which batches are listed, and which are refused. One thread."""

    def __init__(
        self, *, patience_s: float = PATIENCE_S, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._patience_s = patience_s
        self._monotonic = monotonic
        self._waiting: dict[str, deque[tuple[StreamPlace, float, Batch]]] = {}
        """StreamPlace, until when it waits, and batch: by stream, in order."""
        self._listed: Mapping[str, Position] = {}
        self._in_doubt: Mapping[str, Position] = {}
        """What the last word in doubt covered."""

    def add(self, place: StreamPlace, batch: Batch) -> None:
        """Let a batch wait that is synced: it ends at this place, behind what waits of its stream."""
        until = self._monotonic() + self._patience_s
        self._waiting.setdefault(place.stream, deque()).append((place, until, batch))

    def hear(self, listed: Mapping[str, Position], *, in_doubt: bool) -> None:
        """Hear from the desk how far each stream is listed. Call :meth:`take` next."""
        self._listed = listed
        if in_doubt:
            self._in_doubt = listed

    def take(self) -> Iterator[tuple[Batch, bool]]:
        """Take the batches that wait no more, and whether each is listed; else it is to be refused."""
        now = self._monotonic()
        for stream, waiting in list(self._waiting.items()):
            while waiting:
                place, until, batch = waiting[0]
                is_listed = place.is_covered(self._listed)
                if not is_listed and now < until:
                    break
                waiting.popleft()
                yield batch, is_listed and not place.is_covered(self._in_doubt)
            if not waiting:
                del self._waiting[stream]

    def take_all(self) -> list[Batch]:
        """Take every batch that waits: it is to be refused."""
        waiting, self._waiting = self._waiting, {}
        return [batch for each in waiting.values() for _, _, batch in each]
