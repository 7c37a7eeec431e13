"""An event in the queue of the group commit, and who is told what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from gatepost.errors import StoreUnavailable
from gatepost.journal.places import Image

__all__ = ["Settle", "WaitingEvent"]

Settle = Callable[[StoreUnavailable | None], None]
"""Told ``None`` once the event is to be acknowledged, or why it must not be."""


class WaitingEvent(Struct, frozen=True):
    """An event that waits for its sync, or until it is listed."""

    body: bytes
    images: Sequence[Image]
    lane: str
    settle: Settle

    @property
    def size(self) -> int:
        """Return the bytes of its frame and its images."""
        return len(self.body) + sum([len(image.data) for image in self.images])
