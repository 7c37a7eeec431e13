"""Learn how many pushes may be under way to a receiver at once. Pure: times are passed in.

Rules:

- The window begins with one, grows by one with each push that gets a reply within `SLOW_S`, and halves at a time-out.
  For a receiver on the local network it is fully open after some milliseconds.
- A push that took longer shrinks it by one, because the link or the receiver is saturated. More pushes at once would
  not arrive sooner, each would only arrive later, and an alarm would share the link with them.
- If a push among others takes no longer than one alone, the receiver is slow and not the link. Up to `STEADY` times as
  long, the window grows by one, once for all that were under way together. If a push takes longer, the window shrinks
  to the number that this implies. At one, the window tries a second push after some replies that all took equally long:
  at first after `FIRST_TRY` of them, after each failed try twice as many, at most `LAST_TRY`.
- A push without an image says little about a slow link. Unless an image would arrive within `SLOW_S` at its pace, it
  opens the window only to `FEW`, so that after a burst of small events no eight images share the link.
- Pushes that were under way together and time out together halve it once.
"""

from __future__ import annotations

__all__ = ["FEW", "FIRST_TRY", "IMAGE", "LAST_TRY", "SLOW_S", "STEADY", "Window"]

SLOW_S = 5.0
"""Seconds for a push and its reply. A 30 KB image takes as long on a link of 8 KB/s."""

IMAGE = 40 * 1024
"""Bytes of a push with an image of 30 KB."""

FEW = 2
"""Largest window while it is not known how long an image takes."""

STEADY = 1.5
"""Time of a push among others by that of one alone, at most. Two that share a full link take twice as long."""

FIRST_TRY, LAST_TRY = 8, 64
"""Slow replies in a row after which a second push is tried: the first time, and at most."""


class Window:
    """How many pushes may be under way.

    ``most``: the limit; ``size``: the number at the beginning; ``slow_s``: as `SLOW_S`. Ticks are in seconds, of a
    clock that is never set.
    """

    def __init__(self, most: int, *, size: int = 1, slow_s: float = SLOW_S) -> None:
        self.most = most
        self._first = size
        self._slow_s = slow_s
        self.readdress()

    def readdress(self) -> None:
        """Begin again, because the next address is another link."""
        self.size = self._first
        self._halved_at = self._changed_at = float("-inf")
        self._alone: dict[bool, float] = {}
        """The least recent seconds of a push, by whether it is as large as one with an image."""
        self._steady = 0
        """Slow replies in a row to single pushes that all took equally long."""
        self._try_after = FIRST_TRY

    def replied(self, size: int, began: float, tick: float) -> None:
        """Note that the receiver replied to a push of ``size`` bytes that began at ``began``."""
        seconds, is_large = tick - began, 2 * size >= IMAGE
        alone = self._alone.get(is_large)
        if alone is not None:
            # A push among others is not faster than one alone.
            alone = self._alone[is_large] = min(alone, seconds)
        if seconds <= self._slow_s:
            self._grow(tick, is_large=seconds * IMAGE <= self._slow_s * size)
        elif alone is None and self.size > 1:
            self._shrink(self.size - 1, tick)
        elif began >= self._changed_at:
            self._compare(seconds, alone, tick, is_large=is_large)

    def timed_out(self, began: float, tick: float) -> None:
        """Note that a push that began at ``began`` timed out."""
        self._steady = 0
        if began > self._halved_at:
            self._halved_at = tick
            self._shrink(self.size // 2, tick)

    def _compare(self, seconds: float, alone: float | None, tick: float, *, is_large: bool) -> None:
        """Compare the time of a slow push, with as many others as allowed now, with one alone."""
        is_steady = alone is not None and seconds <= STEADY * alone
        if self.size > 1 and is_steady:
            self._grow(tick, is_large=is_large)
        elif self.size > 1 and alone is not None:
            self._shrink(min(self.size - 1, int(self.size * alone / seconds)), tick)
        else:
            self._steady = self._steady + 1 if is_steady else 0
            if not is_steady:
                self._alone[is_large] = seconds
            if self._steady >= self._try_after:
                self._steady = 0
                self._grow(tick, is_large=is_large)

    def _grow(self, tick: float, *, is_large: bool) -> None:
        most = self.most if is_large else min(self.most, FEW)
        if self.size < most:
            self.size += 1
            self._changed_at = tick
        if self.size > FEW:
            self._try_after = FIRST_TRY

    def _shrink(self, size: int, tick: float) -> None:
        if self.size > 1 >= size:
            self._try_after = min(LAST_TRY, 2 * self._try_after)
        self.size = max(1, size)
        self._changed_at = tick
