"""Learn how many pushes may be under way to a receiver at once. Pure: times are passed in.

Rules:

- It begins with one, grows by one with each push that gets a reply within `SLOW_S`, and halves at a time-out. A
  receiver on the local network has all of it after some milliseconds.
- A push that took longer makes it smaller by one. The link is full then, or the receiver is: more at once would not
  arrive sooner, each would only arrive later, and an alarm would have to share the link with them.
- A push without an image says little about a slow link. Unless an image would have got through within `SLOW_S` at its
  pace, it opens the window to `FEW`: after a burst of small events no eight images share the link.
- Pushes that were under way together and time out together halve it once.
"""

from __future__ import annotations

__all__ = ["FEW", "IMAGE", "SLOW_S", "Window"]

SLOW_S = 5.0
"""Seconds for a push and its reply: a 30 KB image takes as long on a link of 8 KB/s."""

IMAGE = 40 * 1024
"""Bytes of a push with an image of 30 KB."""

FEW = 2
"""To how many pushes the window opens while it is not known how long an image takes."""


class Window:
    """How many pushes may be under way.

    ``most``: never more; ``size``: how many at the beginning; ``slow_s``: as `SLOW_S`. Ticks are in seconds, of a clock
    that is never set.
    """

    def __init__(self, most: int, *, size: int = 1, slow_s: float = SLOW_S) -> None:
        self.most = most
        self.size = size
        self._first = size
        self._slow_s = slow_s
        self._halved_at = float("-inf")

    def replied(self, size: int, seconds: float) -> None:
        """Take in that the receiver replied to a push of so many bytes, after so long."""
        if seconds > self._slow_s:
            self.size = max(1, self.size - 1)
        elif self.size < FEW or seconds * IMAGE <= self._slow_s * size:
            self.size = min(self.most, self.size + 1)

    def timed_out(self, began: float, tick: float) -> None:
        """Take in that a push that began at ``began`` timed out."""
        if began > self._halved_at:
            self.size = max(1, self.size // 2)
            self._halved_at = tick

    def readdress(self) -> None:
        """Begin again: the next address is another link."""
        self.size = self._first
