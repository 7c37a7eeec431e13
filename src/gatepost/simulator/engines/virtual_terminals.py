"""Keep the fast engine's terminals: which request each sends next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from gatepost.dialect_faults.classes import MOST
from gatepost.simulator.engines.faulty import Faults, is_several, of_requests
from gatepost.simulator.engines.prepared import RequestSeries
from gatepost.simulator.meter import Count
from gatepost.simulator.world.passages import Door
from gatepost.simulator.world.rng import rng
from gatepost.simulator.world.scenario import Plan

__all__ = ["VirtualTerminal", "shares", "spread"]


class NextRequest(Struct, frozen=True):
    """A request to send: its number of events, whether it is sent twice, and the class of its dialect fault."""

    request: bytes
    events: int = 1
    twice: bool = False
    fault: str = ""


class VirtualTerminal:
    """One virtual terminal: its series of requests, and how many of them it may send."""

    __slots__ = ("_faults", "_lots", "_next", "count", "door", "left", "series")

    def __init__(self, door: Door, series: RequestSeries, count: Count, plan: Plan, left: int) -> None:
        self.door = door
        self.series = series
        self.count = count
        self.left = left
        self._next = 0
        self._lots = rng("again", plan.seed, door.serial)
        self._faults = Faults(plan, door.serial) if plan.dialect_faults else None

    def take(self) -> NextRequest | None:
        """Return the next request; ``None`` if there is none left."""
        if self._next >= self.left:
            return None
        first = self._next
        rand = None if self._faults is None else self._faults.rng_of(first)
        self._next += 1 if rand is None or not is_several(rand) else min(MOST, self.left - first)
        twice = self.door.duplicates > 0 and self._lots.random() < self.door.duplicates
        if rand is None:
            return NextRequest(self.series.request(first), twice=twice)
        requests = [self.series.request(number) for number in range(first, self._next)]
        fault, request = of_requests(requests, rand)
        return NextRequest(request, len(requests), twice, fault)


def shares(events: int | None, terminals: int) -> list[int]:
    """Return how many events each terminal sends; without a total, more than it ever will."""
    if events is None:
        return [1 << 32] * terminals
    return [events // terminals + (index < events % terminals) for index in range(terminals)]


def spread(terminals: Sequence[VirtualTerminal], connections: int) -> Iterator[list[VirtualTerminal]]:
    """Yield the terminals of each connection; with fewer terminals than connections, several connections share one."""
    for line in range(connections):
        mine = list(terminals[line::connections])
        yield mine or [terminals[line % len(terminals)]]
