"""The counts of a run: events per terminal, and the receiver's reply times.

Rules:

- Counting is cheap (no allocation, one logarithm per reply), because the fast engine counts ten thousand a second.
- A reply time is from the first byte of the request to the last byte of the reply, in seconds.
- `backlog` is the events that a terminal has recorded and that were not acknowledged yet.

Flow: the engines write `Count`'s fields and call `Meter.answered`; the view and the report read.
"""

from __future__ import annotations

import math
from collections import Counter

from msgspec import Struct

_PER_DOUBLING = 16  # buckets: two neighbours differ by 4.4 %
_SMALLEST = 1e-6
_BUCKETS = 30 * _PER_DOUBLING  # up to some 18 minutes


class Latency:
    """A histogram of durations with logarithmic buckets; a percentile is at most 4.4 % too high."""

    __slots__ = ("buckets", "count", "longest", "total")

    def __init__(self) -> None:
        self.buckets = [0] * _BUCKETS
        self.count = 0
        self.total = 0.0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration. Less than a microsecond counts as one microsecond."""
        at = int(math.log2(seconds / _SMALLEST) * _PER_DOUBLING) if seconds > _SMALLEST else 0
        self.buckets[min(at, _BUCKETS - 1)] += 1
        self.count += 1
        self.total += seconds
        if seconds > self.longest:
            self.longest = seconds

    def percentile(self, share: float) -> float:
        """Return the seconds that `share` (0 to 1) of the durations did not exceed; 0.0 without any."""
        wanted = math.ceil(self.count * share)
        seen = 0
        for at, number in enumerate(self.buckets):
            seen += number
            if number and seen >= wanted:
                return min(_SMALLEST * 2 ** ((at + 1) / _PER_DOUBLING), self.longest)
        return 0.0


class Count(Struct):
    """The counts of one terminal: events, and requests in `attempts`."""

    serial: str
    place: str = ""
    firmware: str = ""
    recorded: int = 0
    acknowledged: int = 0
    again: int = 0
    """Recorded events that were sent a second time on purpose."""
    attempts: int = 0
    refused: int = 0
    """Refusals."""
    unanswered: int = 0
    """Requests without a usable reply."""
    unheard: int = 0
    """Events before the first subscription, which a terminal does not keep."""
    dead: int = 0
    """Dead letters, by the terminal's ledger."""
    dropped: int = 0
    """Events dropped at the limit of the outbox, by the terminal's ledger."""
    away: bool = False
    """An outage at present."""

    @property
    def backlog(self) -> int:
        return self.recorded - self.acknowledged - self.dead - self.dropped


class FaultCount(Struct):
    """The counts of one class of dialect faults, in events."""

    sent: int = 0
    acknowledged: int = 0


class Meter:
    """All counts of one run. `now`: a monotonic clock in seconds."""

    def __init__(self, counts: list[Count]) -> None:
        self.counts = counts
        self.latency = Latency()
        self.errors: Counter[str] = Counter()
        """Counts of the reasons for failures, from `gatepost.wire.classify` and the transport."""
        self.faults: dict[str, FaultCount] = {}
        """Events with a dialect fault, by class. An event that is sent again counts once."""

    def answered(self, count: Count, seconds: float, *, events: int = 1) -> None:
        """Count the events of one request, acknowledged after `seconds`."""
        count.acknowledged += events
        self.latency.add(seconds)

    def fault(self, name: str, *, sent: int = 0, acknowledged: int = 0) -> None:
        """Count events with a dialect fault of the class `name`."""
        found = self.faults.setdefault(name, FaultCount())
        found.sent += sent
        found.acknowledged += acknowledged

    def failed(self, count: Count, reason: str, *, refused: bool) -> None:
        """Count a request that failed. `reason` is from the wire or the transport, never from an event."""
        if refused:
            count.refused += 1
        else:
            count.unanswered += 1
        self.errors[reason if len(self.errors) < 50 or reason in self.errors else "others"] += 1

    @property
    def recorded(self) -> int:
        return sum(count.recorded for count in self.counts)

    @property
    def acknowledged(self) -> int:
        return sum(count.acknowledged for count in self.counts)

    @property
    def backlog(self) -> int:
        return sum(count.backlog for count in self.counts)


class Rate:
    """Events per second over a sliding window of some seconds."""

    def __init__(self, *, window: float = 3.0) -> None:
        self.window = window
        self._points: list[tuple[float, int]] = []

    def at(self, now: float, total: int) -> float:
        """Note that `total` events had happened by `now`, and return the rate over the window that ends there."""
        self._points.append((now, total))
        while len(self._points) > 2 and self._points[1][0] <= now - self.window:
            self._points.pop(0)
        began, before = self._points[0]
        return (total - before) / (now - began) if now > began else 0.0
