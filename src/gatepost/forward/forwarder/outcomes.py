"""Decide what the results of attempts mean for a destination and its events.

An event that fails while others are delivered is distinguished from a destination that cannot be reached: the circuit
opens only if nothing was delivered between two failures of an event.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice

import structlog

from gatepost.forward.forwarder.circuit_breaker import CircuitBreaker
from gatepost.forward.forwarder.parcels import Parcel, Sent, attempt_row
from gatepost.forward.forwarder.surroundings import Surroundings
from gatepost.forward.progress.progress import Item, Progress
from gatepost.forward.sinks import Closed, LeftOut, Result
from gatepost.retry import Backoff, RetryAt, next_step
from gatepost.wire import Delivered, Unreachable

__all__ = ["Outcomes"]

log = structlog.get_logger(__name__)

KEPT_TRIES = 20
"""Attempts of one commit that are stored, failed ones first."""


class Outcomes:
    """Takes the results of attempts of one destination."""

    def __init__(self, name: str, policy: Backoff, breaker: CircuitBreaker, around: Surroundings) -> None:
        """``name``: of the destination, for the log."""
        self._name = name
        self._policy = policy
        self._breaker = breaker
        self._around = around
        self._delivered = 0
        self._failed: dict[int, int] = {}
        """Failed events, each with the number of deliveries at that time."""
        self.alone: set[int] = set()
        """Waiting events of a refused batch, which are sent alone."""
        self.is_closed = False
        """The destination closed itself."""

    def forget(self, waiting: Collection[int]) -> None:
        """Forget events that no longer wait."""
        self.alone &= set(waiting)
        self._failed = {number: at for number, at in self._failed.items() if number in waiting}

    def note_all(self, progress: Progress, sent: Sequence[Sent], unsent: Sequence[Parcel]) -> None:
        """Note the results of attempts, and the events that were not sent."""
        for parcel in unsent:
            progress.give_back(parcel.items)
        for one in sent:
            for item, result in zip(one.parcel.items, one.results, strict=True):
                self._note(progress, item, result, one)
        waiting = progress.cursor.waiting
        self.alone &= waiting.keys()
        progress.gathered.note_away(is_away=self._breaker.failures > 0)
        _keep_tries(progress, sent)

    def _note(self, progress: Progress, item: Item, result: Result, sent: Sent) -> None:
        outcome = result.outcome
        if isinstance(outcome, Delivered):
            self._note_reached(progress, item)
            self._delivered += 1
            progress.delivered(item, sent.at_ms)
            return
        now = self._around.now()
        if isinstance(outcome, LeftOut):
            progress.left_out(item, outcome.reason)
            self._failed.pop(item.number, None)
            return
        if isinstance(outcome, Closed):
            if not self.is_closed:  # others of it may have been under way
                log.error("forwarder.closed", destination=self._name, why=outcome.reason.partition(":")[0])
            self.is_closed = True
            # Whether it wants more after all is tried with one event, once it is resumed.
            self._breaker.failed(sent.parcel.epoch, None, self._around.monotonic())
            progress.gathered.note_closed(sent.at_ms, outcome.reason)
            progress.retry(item, now, outcome.reason)
            return
        if isinstance(outcome, Unreachable):
            self._note_unreachable(progress, item, outcome, sent.parcel.epoch)
            return
        self._note_reached(progress, item)
        if len(sent.parcel.items) > 1:  # it says nothing of one of them
            self.alone.add(item.number)
            progress.retry(item, now, outcome.reason)
            return
        step = next_step(
            outcome,
            refusals=progress.refusals(item.number),
            delivered_since=progress.accepted_since(item.number),
            failures=0,
            now=now,
            rand=self._around.rand,
            policy=self._policy,
        )
        if isinstance(step, RetryAt):
            progress.retry(item, step.at, step.reason, refusal=outcome.kind)
        else:
            progress.bury(item, outcome.reason, now)
            log.warning("forwarder.dead_letter", destination=self._name, why=outcome.kind)

    def _note_reached(self, progress: Progress, item: Item) -> None:
        if self._breaker.reached():
            progress.cursor.hasten()
            log.info("forwarder.recovered", destination=self._name)
        self._failed.pop(item.number, None)

    def _note_unreachable(self, progress: Progress, item: Item, outcome: Unreachable, epoch: int) -> None:
        # Others were delivered since this one failed, so it is the cause, and nothing else has to wait.
        before = self._failed.get(item.number)
        if before is None or self._delivered == before:
            was_reached = not self._breaker.failures
            self._breaker.failed(epoch, outcome.retry_after_s, self._around.monotonic())
            if was_reached and self._breaker.failures:
                log.warning("forwarder.unreachable", destination=self._name, why=outcome.reason)
        self._failed[item.number] = self._delivered
        attempts = progress.attempts(item.number)
        due = self._around.now() + self._policy.delay(attempts, self._around.rand)
        progress.retry(item, due, outcome.reason)


def _keep_tries(progress: Progress, sent: Sequence[Sent]) -> None:
    made = [one for one in sent if not one.is_delivered][:KEPT_TRIES]
    if len(made) < KEPT_TRIES:
        delivered = (one for one in sent if one.is_delivered and one.was_made)
        made += islice(delivered, KEPT_TRIES - len(made))
    for one in sorted(made, key=lambda one: one.at_ms):
        progress.gathered.note_try(attempt_row(one))
