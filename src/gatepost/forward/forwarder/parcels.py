"""Events that are sent together, and the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from gatepost.forward.progress.progress import Item
from gatepost.forward.sinks import LeftOut, Outgoing, Result
from gatepost.store.forwarding.destinations import AttemptRow
from gatepost.wire import Delivered, Refused, Unreachable

__all__ = ["Parcel", "Sent", "attempt_row"]


BATCH_BYTES = 1024 * 1024
"""Bytes of the events that are sent together. A single one may be larger."""


class Parcel(Struct):
    """Events that are sent together."""

    items: list[Item]
    outgoing: list[Outgoing]
    epoch: int
    size: int
    """In bytes."""
    is_alone: bool = False
    """It was refused, alone or in a batch, so it is sent alone."""
    note: str = ""
    """The missing parts of the event, and why."""

    def has_place(self, size: int, batch: int) -> bool:
        """Return whether an event of this size may be added; ``batch``: events of a parcel, at most."""
        return not self.is_alone and len(self.items) < batch and self.size + size <= BATCH_BYTES

    def add(self, item: Item, outgoing: Outgoing, size: int, note: str) -> None:
        """Add an event."""
        self.note = self.note or note
        self.items.append(item)
        self.outgoing.append(outgoing)
        self.size += size


class Sent(Struct, frozen=True):
    """The result of sending a parcel."""

    parcel: Parcel
    results: Sequence[Result]
    at_ms: int
    took_ms: int

    @property
    def was_made(self) -> bool:
        """Return whether any event was sent."""
        return not all(isinstance(result.outcome, LeftOut) for result in self.results)

    @property
    def is_delivered(self) -> bool:
        """Return whether all sent events are delivered."""
        return all(isinstance(result.outcome, (Delivered, LeftOut)) for result in self.results)


def attempt_row(sent: Sent) -> AttemptRow:
    """Return the row of an attempt; ``None`` if no event was sent."""
    made = [
        (item, result)
        for item, result in zip(sent.parcel.items, sent.results, strict=True)
        if not isinstance(result.outcome, LeftOut)
    ]
    worst = max((result for _, result in made), key=_badness)
    outcome = worst.outcome
    why = "" if isinstance(outcome, Delivered) else outcome.reason
    said = "; ".join(filter(None, (sent.parcel.note, worst.reply or why)))
    return AttemptRow(
        at_ms=sent.at_ms,
        took_ms=sent.took_ms,
        event_id=made[0][0].event_id,
        events=len(made),
        outcome=_NAMES[_badness(worst)],
        status=worst.status,
        reply=said,
    )


_NAMES: tuple[Literal["delivered", "refused", "unreachable", "closed"], ...] = (
    "delivered",
    "refused",
    "unreachable",
    "closed",
)


def _badness(result: Result) -> int:
    if isinstance(result.outcome, Delivered):
        return 0
    if isinstance(result.outcome, Refused):
        return 1
    return 2 if isinstance(result.outcome, Unreachable) else 3
