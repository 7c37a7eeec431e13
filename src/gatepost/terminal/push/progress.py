"""Decide when a push that is under way is given up: by what gets through, however long it takes.

Pure: counts and times are passed in. Rules:

- *Progress* is another `STEP` bytes that the peer acknowledged or that came of its reply, and the moment from which
  the whole push is acknowledged. Fewer bytes are none: at a byte a second a push would stay for hours.
- Until the whole push is acknowledged, ``send_s`` without progress end it.
- From then on ``reply_s`` without progress do, and an allowance for what is under way. A modem or a proxy
  acknowledges what it keeps and sends on later, so that the end of a push may still be far from the receiver.
- A connection is being made for ``connect_s`` at most until the receiver is reached, and an allowance for what is under
  way on other connections, for the first packet waits behind it. From then on ``connect_s`` without progress end it,
  however long the handshake takes, and the allowance: another `LEAST` bytes in either direction are progress.
- The allowance goes by the *pace*, in seconds per byte: that of the last push with a reply that had `SMALL` bytes or
  more, for a smaller one shows how long the way is and not how fast. Before the first one, and after a time-out, it
  is the slowest, `SLOWEST` bytes in ``reply_s``. So a receiver that is known to be quick and
  hangs is given up after ``reply_s``, and one that is not known gets a second more for each KB.
"""

from __future__ import annotations

__all__ = ["LEAST", "LOOKS", "SLOWEST", "SMALL", "STEP", "Handshake", "Pace", "Progress"]

STEP = 1024
"""Bytes that are progress: less than 1 KB in 30 s is no link on which an image arrives."""

LEAST = 128
"""Bytes that are progress of a handshake: it has some KB, and shares a slow link with pushes."""

SLOWEST = 30 * 1024
"""Bytes that the slowest pace gets through in ``reply_s``: 1 KB/s with the default of 30 s."""

SMALL = 8 * 1024
"""Bytes of a push that shows how fast the link is."""

LOOKS = 4
"""How often at least a limit is looked at before it ends; a push may last longer by one part of so many."""


class Pace:
    """How fast pushes get through to a receiver, and how many bytes of them are under way."""

    def __init__(self, reply_s: float) -> None:
        self._slowest = reply_s / SLOWEST
        self._pace = self._slowest
        self._under_way = 0

    def begun(self, size: int) -> None:
        """Count a push that begins, in bytes."""
        self._under_way += size

    def ended(self, size: int) -> None:
        """Count a push that has ended, whatever came of it."""
        self._under_way -= size

    def replied(self, size: int, seconds: float) -> None:
        """Learn from a push that got a reply after so many seconds."""
        if size >= SMALL:
            self._pace = min(self._slowest, seconds / size)

    def forget(self) -> None:
        """Begin again with the slowest: after a time-out or at another address the link is another one."""
        self._pace = self._slowest

    def allowance(self) -> float:
        """Return the seconds in which all that is under way gets through."""
        return self._under_way * self._pace


class Progress:
    """One push: how much of it got through, and since when no more did.

    ``acknowledged`` is a count that goes on from one push of a connection to the next; ``tick`` is in seconds of a
    clock that is never set.
    """

    __slots__ = ("_allowance", "_end", "_moved", "_reply_s", "_send_s", "_sent", "_since")

    def __init__(self, size: int, *, acknowledged: int, tick: float, send_s: float, reply_s: float) -> None:
        self._end = acknowledged + size
        self._moved = acknowledged
        self._since = tick
        self._send_s = send_s
        self._reply_s = reply_s
        self._sent = False
        self._allowance = 0.0

    @property
    def reason(self) -> str:
        """Return a few words about what it waits for, for the log and the status."""
        return "time-out while waiting for the reply" if self._sent else "time-out while sending"

    def first_look(self) -> float:
        """Return the seconds after which to look for the first time."""
        return min(self._send_s, self._reply_s) / LOOKS

    def look(self, acknowledged: int, received: int, tick: float, *, allowance: float) -> float:
        """Take in what got through by now; return the seconds after which to look again, 0 to give the push up."""
        sent = acknowledged >= self._end
        moved = acknowledged + received
        if sent != self._sent or moved - self._moved >= STEP:
            self._sent, self._moved, self._since = sent, moved, tick
        limit = self._send_s
        if sent:
            # The most that it was: pushes that end meanwhile have used up time of this one's.
            self._allowance = max(self._allowance, allowance)
            limit = self._reply_s + self._allowance
        return max(0.0, min(limit / LOOKS, self._since + limit - tick))


class Handshake:
    """One handshake, of a proxy or of TLS: since when no more of it got through."""

    __slots__ = ("_allowance", "_limit_s", "_moved", "_since")

    def __init__(self, *, moved: int, tick: float, limit_s: float) -> None:
        self._moved, self._since, self._limit_s = moved, tick, limit_s
        self._allowance = 0.0

    def look(self, moved: int, tick: float, *, allowance: float) -> float:
        """Take in the bytes that got through by now; return the seconds after which to look again, 0 to give it up."""
        if moved - self._moved >= LEAST:
            self._moved, self._since = moved, tick
        self._allowance = max(self._allowance, allowance)
        limit = self._limit_s + self._allowance
        return max(0.0, min(limit / LOOKS, self._since + limit - tick))
