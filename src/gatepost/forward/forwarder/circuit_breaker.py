"""Decide whether a destination can be reached. Pure: no I/O, no clock, no randomness of its own.

While it cannot, one attempt at a time is made, after a growing time with jitter. Failures of attempts that began before
the last failure are not counted.
"""

from __future__ import annotations

from collections.abc import Callable

from gatepost.retry import Backoff

__all__ = ["CircuitBreaker"]


class CircuitBreaker:
    """The circuit of one destination. Times are of a clock that is never set, in seconds."""

    def __init__(self, policy: Backoff, rand: Callable[[], float], *, is_away: bool = False) -> None:
        """``rand``: as for :meth:`~gatepost.retry.Backoff.delay`; ``is_away``: the last attempt did not reach it."""
        self._policy = policy
        self._rand = rand
        self.failures = int(is_away)
        """Failures in a row to reach it; 0 while it can be reached."""
        self.epoch = 0
        """Raised by each failure that counts. Failures of an earlier epoch are not counted."""
        self._tries_at = 0.0

    def room(self, free: int, under_way: int, tick: float) -> int:
        """Return how many attempts may begin. ``free``: how many while it can be reached."""
        if not self.failures:
            return free
        return 1 if not under_way and tick >= self._tries_at else 0

    def wait(self, tick: float) -> float:
        """Return the seconds until the next attempt may begin; 0: now."""
        return max(0.0, self._tries_at - tick) if self.failures else 0.0

    def failed(self, epoch: int, retry_after_s: float | None, tick: float) -> None:
        """Note that an attempt which began in ``epoch`` did not reach it."""
        if epoch != self.epoch:
            return
        self.epoch += 1
        self.failures += 1
        delay = self._policy.delay(self.failures, self._rand)
        if retry_after_s is not None:
            delay = max(delay, min(retry_after_s, self._policy.max_retry_after))
        self._tries_at = tick + delay

    def reached(self) -> bool:
        """Note that it replied; return whether it could not be reached before."""
        was_away, self.failures = self.failures > 0, 0
        return was_away
