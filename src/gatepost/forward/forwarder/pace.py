"""Decide how many events of a destination may be sent now, by its rate and after gathering. Pure."""

from __future__ import annotations

__all__ = ["Pace"]


class Pace:
    """The pace of one destination. Times are of a clock that is never set, in seconds."""

    def __init__(self, tick: float, *, rate: float | None, gather_s: float = 0.0, full: int = 1) -> None:
        """``rate``: events per second at most; ``gather_s``: seconds to gather events, unless there are ``full``."""
        self._rate = rate
        self._gather_s = gather_s
        self._full = full
        self._allowance = 0.0
        self._at = tick
        self._gathering_since: float | None = None

    def room(self, room: int, tick: float) -> int:
        """Return how many of ``room`` may be sent."""
        if self._rate is None:
            return room
        most = max(1.0, self._rate / 4)
        self._allowance = min(most, self._allowance + (tick - self._at) * self._rate)
        self._at = tick
        return min(room, int(self._allowance))

    def spend(self, events: int) -> None:
        """Note that ``events`` are sent."""
        self._allowance -= events

    def has_gathered(self, waiting: int, tick: float) -> bool:
        """Return whether the waiting events have gathered for long enough, or are enough."""
        if not self._gather_s or not waiting:
            self._gathering_since = None
            return True
        if self._gathering_since is None:
            self._gathering_since = tick
        return waiting >= self._full or not self._gathers_for(tick)

    def wait(self, tick: float) -> float:
        """Return the seconds until an event may be sent."""
        allowed = 0.0 if self._rate is None else (1.0 - self._allowance) / self._rate
        return max(allowed, self._gathers_for(tick))

    def _gathers_for(self, tick: float) -> float:
        if self._gathering_since is None:
            return 0.0
        return max(0.0, self._gathering_since + self._gather_s - tick)
