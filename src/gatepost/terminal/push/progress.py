"""Decide when a push under way is given up: when there is no more progress, however long it takes.

Pure: counts and times are passed in. Rules:

- *Progress* is another `STEP` bytes that the peer acknowledged or sent of its reply, and the moment from which the
  whole push is acknowledged. Fewer bytes do not count: at a byte per second a push would last for hours.
- Until the whole push is acknowledged, ``send_s`` without progress end it.
- After that, ``reply_s`` without progress end it, plus an allowance for the bytes under way. A modem or a proxy
  acknowledges bytes that it sends on later, so the end of a push may still be far from the receiver.
- A connection attempt ends ``connect_s`` without reaching the receiver, plus an allowance for the bytes of other
  connections, which delay its first packet. After that, ``connect_s`` without progress, plus the allowance, end it,
  however long the handshake takes. Here `LEAST` bytes in either direction are progress.
- The allowance depends on the *pace*, in seconds per byte: that of the last push with a reply that had `SMALL` bytes or
  more, because a smaller one shows the latency and not the speed. Before the first one, and after a time-out, it is the
  slowest, `SLOWEST` bytes in ``reply_s``. So a receiver that is known to be fast and hangs is given up after
  ``reply_s``, and an unknown one gets a second more per KB.
"""

from __future__ import annotations

__all__ = ["LEAST", "LOOKS", "SLOWEST", "SMALL", "STEP", "Handshake", "Pace", "Progress"]

STEP = 1024
"""Bytes that are progress. On a link with less than 1 KB in 30 s no image arrives."""

LEAST = 128
"""Bytes that are progress of a handshake, which has some KB and shares a slow link with pushes."""

SLOWEST = 30 * 1024
"""Bytes in ``reply_s`` at the slowest pace: 1 KB/s with the default of 30 s."""

SMALL = 8 * 1024
"""Least bytes of a push that shows the speed of the link."""

LOOKS = 4
"""Least number of checks within a limit. A push may last longer by one part of these."""


class Pace:
    """How fast pushes reach a receiver, and how many bytes of them are under way."""

    def __init__(self, reply_s: float) -> None:
        self._slowest = reply_s / SLOWEST
        self._pace = self._slowest
        self._under_way = 0

    def begun(self, size: int) -> None:
        """Count a push that begins, in bytes."""
        self._under_way += size

    def ended(self, size: int) -> None:
        """Count a push that has ended, with any result."""
        self._under_way -= size

    def replied(self, size: int, seconds: float) -> None:
        """Learn from a push that got a reply after ``seconds``."""
        if size >= SMALL:
            self._pace = min(self._slowest, seconds / size)

    def forget(self) -> None:
        """Return to the slowest pace: after a time-out or at another address the link may be different."""
        self._pace = self._slowest

    def allowance(self) -> float:
        """Return the seconds in which all bytes under way arrive."""
        return self._under_way * self._pace


class Progress:
    """The progress of one push.

    ``acknowledged`` is a count that goes on from one push of a connection to the next. ``tick``: seconds of a clock
    that is never set.
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
        """Return the seconds until the first check."""
        return min(self._send_s, self._reply_s) / LOOKS

    def look(self, acknowledged: int, received: int, tick: float, *, allowance: float) -> float:
        """Note the bytes that arrived by now; return the seconds until the next check, 0 to give the push up."""
        sent = acknowledged >= self._end
        moved = acknowledged + received
        if sent != self._sent or moved - self._moved >= STEP:
            self._sent, self._moved, self._since = sent, moved, tick
        limit = self._send_s
        if sent:
            # The largest so far: pushes that ended meanwhile have used this one's time.
            self._allowance = max(self._allowance, allowance)
            limit = self._reply_s + self._allowance
        return max(0.0, min(limit / LOOKS, self._since + limit - tick))


class Handshake:
    """The progress of a handshake, of a proxy or of TLS."""

    __slots__ = ("_allowance", "_limit_s", "_moved", "_since")

    def __init__(self, *, moved: int, tick: float, limit_s: float) -> None:
        self._moved, self._since, self._limit_s = moved, tick, limit_s
        self._allowance = 0.0

    def look(self, moved: int, tick: float, *, allowance: float) -> float:
        """Note the bytes that passed by now; return the seconds until the next check, 0 to give it up."""
        if moved - self._moved >= LEAST:
            self._moved, self._since = moved, tick
        self._allowance = max(self._allowance, allowance)
        limit = self._limit_s + self._allowance
        return max(0.0, min(limit / LOOKS, self._since + limit - tick))
