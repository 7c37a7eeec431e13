"""Tell a disk that an outbox has filled from one whose space another program takes.

Rules, where the disk is full of what waits and the overflow policy gives up the oldest:

* A whole segment is given up only where the files have grown by then to what they were when one was given up before.
  Else another program has taken that space, and would take the next segment's as well.
* Then each new event takes the place of as many old ones as it needs, and no more.
* Where an event is refused all the same, for the space of these was taken as well, nothing more is given up until one
  is stored: those that wait are kept, and new ones are refused.
"""

from __future__ import annotations

__all__ = ["Shortage"]


class Shortage:
    """Remember what was given up since the disk had space to spare."""

    def __init__(self) -> None:
        self._held: int | None = None
        """Bytes of all files when a segment was last given up."""
        self._has_given = False
        """Events were given up for one that is not stored yet."""
        self.is_in_vain = False
        """An event was refused although others were given up for it."""

    def given_up(self, held: int) -> None:
        """Note that a segment is about to be given up, and the bytes of all files before."""
        self._held = held

    def others_take(self, held: int, *, slack: int) -> bool:
        """Return whether the files have not grown back to what they were, but for so many bytes."""
        return self._held is not None and held + slack < self._held

    def gave(self) -> None:
        """Note that events were given up for a new one, no more than it needs."""
        self._has_given = True

    def refused(self) -> None:
        """Note that an event was refused."""
        self.is_in_vain |= self._has_given

    def stored(self) -> None:
        """Note that an event was stored."""
        self._has_given = self.is_in_vain = False

    def ended(self) -> None:
        """Note that the disk has space to spare, so that any event can be stored."""
        self._held = None
        self.stored()
