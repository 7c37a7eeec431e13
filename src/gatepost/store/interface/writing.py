"""Write batches of events, and keep how far the journals are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gatepost.journal.places import Place
from gatepost.journal.streams import Position
from gatepost.store.types.arrivals import Arrival, Progress, Stored
from gatepost.wire import Event

__all__ = ["WritableStore"]


class WritableStore(Protocol):
    """See the module and :class:`~gatepost.store.interface.Store`."""

    def write(self, batch: Sequence[Arrival], progress: Progress | None = None) -> list[Stored]:
        """Store a batch in one transaction; return what became of each arrival, in order.

        Any exception means that nothing of the batch is stored. Besides ``StoreUnavailable`` it is whatever one
        impossible event raises, ``LookupError`` for a terminal that was not made; halve the batch to find it.

        ``progress``: the positions are stored in the same transaction, also with an empty batch. Raises
        :class:`~gatepost.errors.StoreError` if a stored position lies further in its stream than the given one,
        because another process reads the same journal. ``StoreUnavailable`` does not tell whether the transaction was
        committed, if the server was lost during the commit: read :meth:`positions` before the next batch.

        PostgreSQL takes at most 4096 arrivals, and raises ``ValueError`` for more.
        """

    def positions(self, journal: bytes) -> dict[str, Position]:
        """Return the stored positions of a journal, by stream."""

    def forget_streams(self, journal: bytes, streams: Sequence[str]) -> None:
        """Delete the positions of streams that the journal has deleted for good."""

    def has(self, arrival: Arrival) -> bool:
        """Return whether this event is stored already."""

    def holders(self, event: Event, key: bytes, peer: str) -> list[int]:
        """Return the terminals for which an event with this key was stored when it came from this address before.

        An alarm bears no serial, nor need anything else, and an address may stand for another terminal by the time
        that it is pushed again: without this it would be stored twice.
        """

    def unused(self, places: Sequence[Place]) -> list[Place]:
        """Return those places of images that no event has."""
