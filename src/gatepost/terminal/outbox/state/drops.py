"""Dropped events, in bursts. Pure.

Drops come in bursts: during a weekend without a receiver, ten thousand records are dropped one by one. A burst is one
entry (which events, how many, why, when), and one line in the log.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from gatepost.terminal.outbox.types import ALARMS, RECORDS, Dropped

__all__ = ["BURST_S", "DAMAGED", "MAX_BURSTS", "with_drop"]

DAMAGED = "damaged"
"""Reason for an event whose bytes cannot be read."""

BURST_S = 60.0
"""Seconds without a drop after which a burst ends."""

MAX_BURSTS = 1_000
"""Entries that are kept. Further drops are counted in the newest entry of their kind."""

_LANES: dict[int, Literal["records", "alarms"]] = {ALARMS: "alarms", RECORDS: "records"}


def with_drop(
    drops: tuple[Dropped, ...],
    first: int,
    last: int,
    count: int,
    *,
    reason: str,
    lane: int,
    happened_at: int | None,
    at: float,
) -> tuple[tuple[Dropped, ...], bool]:
    """Return the bursts with ``count`` more events, numbered ``first`` to ``last``, and whether a burst began."""
    kind = _LANES[lane]
    same = [place for place, each in enumerate(drops) if (each.reason, each.lane) == (reason, kind)]
    if same and (abs(at - drops[same[-1]].last_dropped_at) <= BURST_S or len(drops) >= MAX_BURSTS):
        burst = drops[same[-1]]
        oldest = [moment for moment in (burst.oldest_event_at, happened_at) if moment is not None]
        newest = [moment for moment in (burst.newest_event_at, happened_at) if moment is not None]
        changed = replace(
            burst,
            count=burst.count + count,
            first_id=min(burst.first_id, first),
            last_id=max(burst.last_id, last),
            oldest_event_at=min(oldest, default=None),
            newest_event_at=max(newest, default=None),
            last_dropped_at=at,
        )
        return (*drops[: same[-1]], changed, *drops[same[-1] + 1 :]), False
    begun = Dropped(
        reason=reason,
        lane=kind,
        count=count,
        first_id=first,
        last_id=last,
        oldest_event_at=happened_at,
        newest_event_at=happened_at,
        first_dropped_at=at,
        last_dropped_at=at,
    )
    return (*drops, begun), True
