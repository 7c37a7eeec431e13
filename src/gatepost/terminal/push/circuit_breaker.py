"""A circuit breaker for one receiver. Pure: times are passed in.

Rules:

- *Unreachable* concerns the receiver. The circuit opens for the back-off (full jitter, ``Retry-After`` honoured).
  Then it is half-open: one event at a time is tried, and the first that is delivered or refused closes it.
- Of attempts that were under way together and fail together, one counts. The others began before the circuit opened,
  in an earlier *epoch*.
- An event without a connection keeps its place and is tried first again, so that after an outage the oldest comes
  first. An event that failed on a connection waits after the others, so that the next trial is another event.
- When others are delivered and the same event fails again, a *strike* is counted: it waits alone, longer each time, and
  opens no circuit. So an event that makes a receiver reply with 500 delays no other.
- *Refused* concerns the event and opens no circuit. But a receiver that refuses `REFUSES_ALL` different events in a row
  is treated as unreachable, so that it does not get the whole backlog again and again. The rule of `gatepost.retry`
  keeps these events from becoming dead letters.

::

               unreachable            back-off ends             a trial is delivered or refused
    closed ─────────────────▶ open ─────────────────▶ half-open ───────────────────────────────▶ closed
                               ▲                          │
                               └──────────────────────────┘ unreachable: a longer back-off
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from msgspec import Struct

from gatepost.retry import Backoff, RetryAt, next_step
from gatepost.wire import Refused, Unreachable

__all__ = ["FAILING_EVENTS", "REFUSES_ALL", "CircuitBreaker"]

FAILING_EVENTS = 1000
"""Events whose failures are counted one by one."""

REFUSES_ALL = 64
"""Different events refused in a row. Eight full windows."""


class _Failing(Struct):
    """An event that failed."""

    strikes: int
    """Failures while others were delivered."""
    replies: int
    """Number of replies at its last failure."""


class CircuitBreaker:
    """The circuit of one receiver. ``tick``: seconds of a clock that is never set."""

    def __init__(self, policy: Backoff, rand: Callable[[], float]) -> None:
        self._policy = policy
        self._rand = rand
        self.failures = 0
        """Failures in a row to reach the receiver; 0 while the circuit is closed."""
        self.reason: str | None = None
        """Why the circuit is not closed."""
        self.epoch = 0
        """The epoch of attempts that begin now."""
        self._open_until = 0.0
        self._replies = 0
        self._failing: dict[int, _Failing] = {}
        self._refused: set[int] = set()

    # -- what may begin

    def allowed(self, free: int, epochs: Collection[int], tick: float) -> int:
        """Return how many attempts may begin, of ``free`` places. ``epochs``: of the attempts under way."""
        if not self.failures:
            return free
        return 0 if self._is_trying(epochs) or self._open_until > tick else min(free, 1)

    def wait(self, epochs: Collection[int], tick: float) -> float | None:
        """Return the seconds until an attempt may begin; ``None`` while a trial is under way."""
        if self.failures and self._is_trying(epochs):
            return None
        return self.backoff(tick)

    def backoff(self, tick: float) -> float:
        """Return the seconds for which the circuit stays open."""
        return max(0.0, self._open_until - tick) if self.failures else 0.0

    def retry_now(self) -> None:
        """Allow the next attempt at once, and keep the count of failures. For a receiver that may be back."""
        self._open_until = 0.0

    def reset(self) -> None:
        """Forget everything. For a new address."""
        self._close()
        self.epoch += 1
        self._failing.clear()
        self._refused.clear()

    def _is_trying(self, epochs: Collection[int]) -> bool:
        return self.epoch in epochs

    # -- results

    def delivered(self, event_id: int) -> None:
        """Note that the receiver acknowledged this event."""
        self._replies += 1
        self._failing.pop(event_id, None)
        self._refused.clear()
        self._close()

    def refused(self, event_id: int, epoch: int, outcome: Refused, tick: float) -> None:
        """Note that the receiver refused this event."""
        self._replies += 1
        self._failing.pop(event_id, None)
        if len(self._refused) < REFUSES_ALL:
            self._refused.add(event_id)
        if len(self._refused) < REFUSES_ALL:
            self._close()
        elif epoch == self.epoch:
            self._open(Unreachable(f"every event is refused, {outcome.kind}"), tick)

    def unreachable(self, event_id: int, epoch: int, outcome: Unreachable, tick: float) -> float:
        """Note that this event failed; return the seconds after which it may be tried again."""
        strikes = self._strikes(event_id)
        if strikes:
            return self._delay(outcome, strikes)
        if epoch == self.epoch:
            self._open(outcome, tick)
        # After those that did not fail, within the cap. Retry-After applies to the circuit.
        return min(self.backoff(tick), self._policy.cap) + self._policy.first / 10

    def connect_failed(self, epoch: int, outcome: Unreachable, tick: float) -> None:
        """Note that there was no connection."""
        if epoch == self.epoch:
            self._open(outcome, tick)

    def _close(self) -> None:
        self.failures, self._open_until, self.reason = 0, 0.0, None

    def _open(self, outcome: Unreachable, tick: float) -> None:
        self._open_until = tick + self._delay(outcome, self.failures)
        self.failures += 1
        self.epoch += 1
        self.reason = outcome.reason

    def _delay(self, outcome: Unreachable, failures: int) -> float:
        step = next_step(
            outcome,
            refusals=0,
            delivered_since=0,
            failures=failures,
            now=0.0,
            rand=self._rand,
            policy=self._policy,
        )
        assert isinstance(step, RetryAt)  # noqa: S101 - the unreachable are retried for ever
        return step.at

    def _strikes(self, event_id: int) -> int:
        """Count a failure; return how often this event failed although the receiver replies to others, else 0."""
        failing = self._failing.get(event_id)
        if failing is None:
            if len(self._failing) >= FAILING_EVENTS:
                del self._failing[next(iter(self._failing))]
            failing = self._failing[event_id] = _Failing(0, self._replies)
        elif not self.failures and self._replies > failing.replies:
            failing.strikes += 1
        failing.replies = self._replies
        return 0 if self.failures else failing.strikes
