"""How much may be under way to a receiver: everything, one try, or nothing yet. Pure: times are passed in.

Rules:

- *Unreachable* is said of the receiver. The gate closes for the back-off (full jitter, ``Retry-After``
  honoured); then one event at a time is tried, and the first that is delivered opens the window at once.
- Of attempts that were under way together and fail together, one counts: the others began before the gate
  closed, in an earlier *epoch*.
- An event for which there was no connection keeps its place: it is tried first again, so that after an outage
  the oldest comes first. One that failed on a connection goes to the back of the line, so that the next try is
  another one. When others get through and it fails again, it is to *blame*: it waits by itself, longer each
  time, and closes no gate. An event that makes a receiver answer 500 therefore holds up nobody.
- *Refused* is said of the event and closes no gate. But a receiver that has refused `REFUSES_ALL` different
  events and delivered none in between says nothing about events any more: it is treated as one that is away,
  or a broken receiver would be asked about a whole backlog again and again. That no event becomes a dead letter
  meanwhile is the rule of `gatepost.retry`.

::

             unreachable                    a try is delivered or refused
    open ─────────────────▶ closed ──▶ trying ─────────────────▶ open
                               ▲         │
                               └─────────┘ unreachable: a longer back-off
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from msgspec import Struct

from gatepost.retry import Backoff, RetryAt, next_step
from gatepost.wire import Refused, Unreachable

__all__ = ["Gate", "REFUSES_ALL", "SUSPECTS"]

SUSPECTS = 1000
"""Events whose failures are remembered one by one."""

REFUSES_ALL = 64
"""Different events refused in a row: eight windows full."""


class _Suspect(Struct):
    """An event that failed: how often although others got through, and how many answers there were when it
    last did."""

    blame: int
    answers: int


class Gate:
    """What is known about the receiver. ``tick`` is in seconds, of a clock that is never set."""

    def __init__(self, policy: Backoff, rand: Callable[[], float]) -> None:
        self._policy = policy
        self._rand = rand
        self.failures = 0
        """How often in a row the receiver was found to be away; 0 while it is there."""
        self.reason: str | None = None
        """Why it is taken to be away."""
        self.epoch = 0
        """Attempts that begin now belong to this one."""
        self._opens_at = 0.0
        self._answers = 0
        self._suspects: dict[int, _Suspect] = {}
        self._refused: set[int] = set()

    # -- what may begin

    def room(self, free: int, epochs: Collection[int], tick: float) -> int:
        """How many attempts may begin, of ``free`` places, with attempts of these epochs under way."""
        if not self.failures:
            return free
        return 0 if self._trying(epochs) or self._opens_at > tick else min(free, 1)

    def wait(self, epochs: Collection[int], tick: float) -> float | None:
        """Seconds until an attempt may begin, 0 if one may now; None while it is for a try under way to
        decide."""
        if self.failures and self._trying(epochs):
            return None
        return self.backoff(tick)

    def backoff(self, tick: float) -> float:
        """Seconds for which the gate stays closed."""
        return max(0.0, self._opens_at - tick) if self.failures else 0.0

    def knock(self) -> None:
        """Allow the next attempt at once, and keep the count of failures. Called when the receiver may be back."""
        self._opens_at = 0.0

    def readdress(self) -> None:
        """Start afresh: what was found out about one address says nothing about the next."""
        self._open()
        self.epoch += 1
        self._suspects.clear()
        self._refused.clear()

    def _trying(self, epochs: Collection[int]) -> bool:
        return self.epoch in epochs

    # -- what came of it

    def delivered(self, event_id: int) -> None:
        """The receiver took this event."""
        self._answers += 1
        self._suspects.pop(event_id, None)
        self._refused.clear()
        self._open()

    def refused(self, event_id: int, epoch: int, outcome: Refused, tick: float) -> None:
        """The receiver does not take this event."""
        self._answers += 1
        self._suspects.pop(event_id, None)
        if len(self._refused) < REFUSES_ALL:
            self._refused.add(event_id)
        if len(self._refused) < REFUSES_ALL:
            self._open()
        elif epoch == self.epoch:
            self._close(Unreachable(f"every event is refused, {outcome.kind}"), tick)

    def unreachable(self, event_id: int, epoch: int, outcome: Unreachable, tick: float) -> float:
        """The receiver was not there for this event. Answer the seconds after which the event may be tried
        again."""
        blame = self._blame(event_id)
        if blame:
            return self._delay(outcome, blame)
        if epoch == self.epoch:
            self._close(outcome, tick)
        # Behind those that did not fail, but no longer than the cap: a Retry-After is for the gate to keep
        return min(self.backoff(tick), self._policy.cap) + self._policy.first / 10

    def absent(self, epoch: int, outcome: Unreachable, tick: float) -> None:
        """There was not even a connection, whatever the event."""
        if epoch == self.epoch:
            self._close(outcome, tick)

    def _open(self) -> None:
        self.failures, self._opens_at, self.reason = 0, 0.0, None

    def _close(self, outcome: Unreachable, tick: float) -> None:
        self._opens_at = tick + self._delay(outcome, self.failures)
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

    def _blame(self, event_id: int) -> int:
        """How often this event has failed although the receiver answers others; 0 while it answers nobody."""
        suspect = self._suspects.get(event_id)
        if suspect is None:
            if len(self._suspects) >= SUSPECTS:
                del self._suspects[next(iter(self._suspects))]
            suspect = self._suspects[event_id] = _Suspect(0, self._answers)
        elif not self.failures and self._answers > suspect.answers:
            suspect.blame += 1
        suspect.answers = self._answers
        return 0 if self.failures else suspect.blame
