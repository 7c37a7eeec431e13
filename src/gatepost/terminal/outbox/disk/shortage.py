"""Tell a disk that the outbox has filled from one whose space another program takes.

Rules, if the disk is full of waiting events and the overflow policy drops the oldest:

* A whole segment is dropped only if the files have grown back to the size at which one was dropped before. Otherwise
  another program has taken that space, and would take the next segment's, too.
* In that case each new event replaces as many old ones as it needs, and no more.
* If an event is refused all the same, because their space was taken as well, nothing more is dropped until an event is
  stored. Waiting events are kept, and new ones are refused.
"""

from __future__ import annotations

__all__ = ["Shortage"]


class Shortage:
    """Keeps what was dropped since the disk had spare space."""

    def __init__(self) -> None:
        self._held: int | None = None
        """Bytes of all files when a segment was last dropped."""
        self._has_given = False
        """Events were dropped for one that is not stored yet."""
        self.is_in_vain = False
        """An event was refused although others were dropped for it."""

    def given_up(self, held: int) -> None:
        """Note that a segment is about to be dropped. ``held``: the bytes of all files before."""
        self._held = held

    def others_take(self, held: int, *, slack: int) -> bool:
        """Return whether the files have not grown back to their earlier size, except ``slack`` bytes."""
        return self._held is not None and held + slack < self._held

    def gave(self) -> None:
        """Note that events were dropped for a new one, no more than it needs."""
        self._has_given = True

    def refused(self) -> None:
        """Note that an event was refused."""
        self.is_in_vain |= self._has_given

    def stored(self) -> None:
        """Note that an event was stored."""
        self._has_given = self.is_in_vain = False

    def ended(self) -> None:
        """Note that the disk has spare space, so that any event can be stored."""
        self._held = None
        self.stored()
