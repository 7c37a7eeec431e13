"""Counts that every page shows, asked for once in a while and not by every request."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Generic, TypeVar

from msgspec import Struct

from gatepost.receiver.terminals.presence import Presence, last_heard, presence
from gatepost.store.interface import AlarmCounts, TerminalState
from gatepost.store.query import dashboard
from gatepost.store.questions import Questions

__all__ = ["Counts", "Remembered", "count"]

T = TypeVar("T")


class Counts(Struct, frozen=True, kw_only=True):
    """Hold the counts of the dashboard."""

    today: dashboard.Since
    """Since midnight of the first site that the user sees."""
    alarms: AlarmCounts
    presence: Mapping[Presence, int]
    """Of terminals that are in use."""
    states: Mapping[TerminalState, int]

    @property
    def in_use(self) -> int:
        return sum(self.presence.values())

    @property
    def to_approve(self) -> int:
        return self.states.get("new", 0) + self.states.get("held", 0)


class Remembered(Generic[T]):
    """A value that is asked for anew when it is older than ``keep_s``; any thread may read it.

    While one thread asks, the others are given what was known before.
    """

    def __init__(self, ask: Callable[[], T], *, keep_s: float, monotonic: Callable[[], float]) -> None:
        self._ask = ask
        self._keep_s = keep_s
        self._monotonic = monotonic
        self._turn = threading.Lock()
        self._known: tuple[float, T] | None = None

    def __call__(self) -> T:
        known = self._known
        if known is not None and self._monotonic() - known[0] < self._keep_s:
            return known[1]
        if self._turn.acquire(blocking=known is None):
            try:
                if self._known is not known and self._known is not None:
                    return self._known[1]
                value = self._ask()
                self._known = (self._monotonic(), value)
                return value
            finally:
                self._turn.release()
        return known[1] if known is not None else self._ask()

    def forget(self) -> None:
        """Something was changed here: ask anew."""
        self._known = None


def count(store: Questions, heard: Mapping[int, int], *, midnight: datetime, now: datetime) -> Counts:
    """Ask the store. A few milliseconds, however much it holds.

    ``heard``: when terminals last pushed, in milliseconds, by their ids.
    """
    counted = store.glance(midnight.astimezone(UTC))
    return Counts(
        today=counted.since,
        alarms=counted.alarms,
        presence=Counter(
            presence(last_heard(one.last_seen, heard.get(one.id)), one.interval_ms, now=now)
            for one in counted.heard
        ),
        states=counted.states,
    )
