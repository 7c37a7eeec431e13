"""Hold events that are sent together, and what came of it."""

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
"""Of the events that are sent together; a single one may be larger."""


class Parcel(Struct):
    """Events that are sent together."""

    items: list[Item]
    outgoing: list[Outgoing]
    epoch: int
    size: int
    """In bytes."""
    is_alone: bool = False
    """It was refused, by itself or in a batch: nothing is sent together with it."""
    note: str = ""
    """The parts of the event that are missing, and why."""

    def has_place(self, size: int, batch: int) -> bool:
        """Return whether an event of this size may be sent together with these; ``batch``: how many may."""
        return not self.is_alone and len(self.items) < batch and self.size + size <= BATCH_BYTES

    def add(self, item: Item, outgoing: Outgoing, size: int, note: str) -> None:
        """Send an event together with these."""
        self.note = self.note or note
        self.items.append(item)
        self.outgoing.append(outgoing)
        self.size += size


class Sent(Struct, frozen=True):
    """Hold what came of sending a parcel."""

    parcel: Parcel
    results: Sequence[Result]
    at_ms: int
    took_ms: int

    @property
    def was_made(self) -> bool:
        """Return whether anything of it was sent."""
        return not all(isinstance(result.outcome, LeftOut) for result in self.results)

    @property
    def is_delivered(self) -> bool:
        """Return whether all that was sent of it is delivered."""
        return all(isinstance(result.outcome, (Delivered, LeftOut)) for result in self.results)


def attempt_row(sent: Sent) -> AttemptRow:
    """Return what is kept of an attempt, where anything was sent."""
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
