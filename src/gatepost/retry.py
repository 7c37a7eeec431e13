"""Decide what happens to an event after an attempt to push it. Pure: no I/O, no clock, no randomness of its own.

Rules:

* *Delivered* ends the terminal's care: :class:`Done`.
* *Unreachable* says nothing about the event: it is tried again for ever, however often it failed.
* *Refused* is said of this event: it is tried again while others go on. It becomes a :class:`DeadLetter`, kept and
  retryable by hand, only when it was refused ``max_refusals`` times and :data:`ACCEPTED_SINCE` events of its kind were
  accepted since its first refusal. A receiver that accepts nothing says nothing about an event, for however long; no
  clock decides.
* Between attempts lies an exponentially growing time with full jitter: a thousand terminals that lost the same
  receiver must not come back in the same second.

Flow: ``wire.classify(…)`` → outcome → :func:`next_step` → what the outbox writes.
"""

from collections.abc import Callable

from msgspec import Struct

from gatepost.errors import SettingsError
from gatepost.wire import Delivered, Outcome, Refused

__all__ = ["ACCEPTED_SINCE", "Done", "RetryAt", "DeadLetter", "Step", "Backoff", "doubled", "next_step"]

ACCEPTED_SINCE = 3
"""Events of its kind (record or alarm; with an image if it has one) that the receiver must accept after it refused
one, before that one is given up: one could be chance, and a quiet terminal has no hundreds."""

_LAST_DOUBLING = 32
"""Doubling a second this often exceeds any cap; more would only make the integers large."""


def doubled(times: int, *, first_s: float, longest_s: float) -> float:
    """Return ``first_s``, doubled so many times, and at most ``longest_s``."""
    return min(longest_s, first_s * 2.0 ** min(times, _LAST_DOUBLING))


class Done(Struct, frozen=True):
    """The receiver has the event; nothing more is to be done."""


class RetryAt(Struct, frozen=True):
    """Try the event again."""

    at: float
    """Not before this moment, in Unix seconds of the clock that ``now`` was read from."""
    refused: bool = False
    """Whether this attempt counts as a refusal."""
    reason: str = ""
    """Why the attempt failed, for the people who look at the status."""

    @property
    def kind(self) -> str:
        """Status and code of a refusal, without the receiver's text, which may be about a person."""
        return self.reason.partition(":")[0]


class DeadLetter(Struct, frozen=True):
    """The receiver does not take this event. Keep it for a person to decide."""

    reason: str = ""


Step = Done | RetryAt | DeadLetter


class Backoff(Struct, frozen=True, kw_only=True):
    """How long to wait, and how often to be refused."""

    first: float = 1.0
    """Seconds: no wait is shorter, and the first is at most twice as long."""
    cap: float = 60.0
    """Seconds: no wait is longer, unless the receiver itself asks for more time."""
    max_refusals: int = 10
    """After this many refusals an event may become a dead letter."""
    max_retry_after: float = 3600.0
    """Seconds: what a ``Retry-After`` is cut to, so that a wrong one does not strand a terminal."""

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.cap:
            raise SettingsError("backoff_first", "must be more than 0 and at most backoff_cap")
        if self.max_refusals < 1:
            raise SettingsError("max_refusals", "must be at least 1")

    def delay(self, failures: int, rand: Callable[[], float]) -> float:
        """Seconds to wait after the ``failures``-th failure in a row (1 is the first).

        Uniform between ``first`` and ``first × 2^failures``, never more than ``cap``. ``rand`` returns a number
        in [0, 1), as ``random.Random(seed).random`` does.
        """
        longest = doubled(max(failures, 1), first_s=self.first, longest_s=self.cap)
        return self.first + (longest - self.first) * rand()


def next_step(
    outcome: Outcome,
    *,
    refusals: int,
    delivered_since: int,
    failures: int,
    now: float,
    rand: Callable[[], float],
    policy: Backoff,
) -> Step:
    """Tell what to do with an event after one more attempt.

    ``refusals`` and ``failures`` are what came *before* this attempt: how often this event was refused, and how
    often in a row the receiver was unreachable. ``delivered_since`` is how many events of its kind were delivered
    since it was first refused. ``now`` is in Unix seconds; ``rand`` as for
    :meth:`Backoff.delay`. A ``Retry-After`` lengthens the wait, and never shortens it.
    """
    if isinstance(outcome, Delivered):
        return Done()
    if isinstance(outcome, Refused):
        if refusals + 1 >= policy.max_refusals and delivered_since >= ACCEPTED_SINCE:
            return DeadLetter(outcome.reason)
        return RetryAt(now + policy.delay(refusals + 1, rand), refused=True, reason=outcome.reason)
    delay = policy.delay(failures + 1, rand)
    if outcome.retry_after_s is not None:
        delay = max(delay, min(outcome.retry_after_s, policy.max_retry_after))
    return RetryAt(now + delay, reason=outcome.reason)
