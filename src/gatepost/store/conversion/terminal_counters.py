"""Count what a batch adds to the counts of terminals."""

from collections.abc import Container, Sequence
from typing import Any

from msgspec import Struct

from gatepost.store.conversion.rows import AHEAD_MS, CLOCK_RIGHT_MS, LATE_MS
from gatepost.store.conversion.values import DAY_MS, ms
from gatepost.store.types.arrivals import Arrival
from gatepost.wire import (
    Alarm,
    Record,
)
from gatepost.wire.decoding.decoded import NO_REAL_ID

__all__ = [
    "TALLY_COLUMNS",
    "Tally",
    "add_up",
    "tally_rows",
    "HISTORY",
]


class Tally(Struct):
    """Hold what one batch adds to the counts of one terminal."""

    records: int = 0
    alarms: int = 0
    quarantined: int = 0
    duplicates: int = 0
    with_problems: int = 0
    late: int = 0
    first_at_ms: int = 0
    last_at_ms: int = 0
    last_recorded_ms: int | None = None
    clock_error_ms: int | None = None
    least_lag_ms: int | None = None
    peer: str = ""
    late_at_ms: int | None = None
    tokenless_at_ms: int | None = None
    repeated_ids: int = 0
    unusable_ids: int = 0

    def row(self, terminal_id: int, writer: int) -> tuple[Any, ...]:
        """Return the values of :data:`TALLY_COLUMNS`."""
        return (
            terminal_id,
            writer,
            self.records,
            self.alarms,
            self.quarantined,
            self.duplicates,
            self.with_problems,
            self.late,
            self.first_at_ms,
            self.last_at_ms,
            self.last_recorded_ms,
            self.clock_error_ms,
            self.least_lag_ms,
            self.last_at_ms // DAY_MS,
            self.peer,
            self.late_at_ms,
            self.tokenless_at_ms,
            self.repeated_ids,
            self.unusable_ids,
        )


def _least_lag(before: int | None, lag: int) -> int:
    """Return the shortest lag, which tells a clock's error.

    A clock that was ahead is followed back: by what is not late, because a backlog says nothing of the clock. As
    :data:`gatepost.store.write.upserts`.
    """
    if before is None or before < -AHEAD_MS or (before < -CLOCK_RIGHT_MS and lag <= LATE_MS):
        return lag
    return min(before, lag)


TALLY_COLUMNS = (
    "terminal_id", "writer", "records", "alarms", "quarantined", "duplicates", "with_problems", "late",
    "first_at_ms", "last_at_ms", "last_recorded_ms", "clock_error_ms", "least_lag_ms", "lag_day", "peer",
    "late_at_ms", "tokenless_at_ms", "repeated_ids", "unusable_ids",
)  # fmt: skip


def add_up(batch: Sequence[Arrival], new: Sequence[bool], repeated: Container[int] = ()) -> dict[int, Tally]:
    """Return what the pushes of a batch add, per terminal; what was fetched is left out.

    ``new`` says of each arrival whether it was stored just now. ``repeated``: the places in the batch of new records
    that bear the id of another one.
    """
    tallies: dict[int, Tally] = {}
    for place, (arrival, fresh) in enumerate(zip(batch, new, strict=True)):
        if arrival.alike:
            continue
        number, at = arrival.terminal_id, arrival.received_at_ms
        tally = tallies.get(number)
        if tally is None:
            tally = tallies[number] = Tally(first_at_ms=at, last_at_ms=at)
        elif at > tally.last_at_ms:
            tally.last_at_ms = at
        elif at < tally.first_at_ms:
            tally.first_at_ms = at
        tally.peer = arrival.peer
        if arrival.tokenless:
            tally.tokenless_at_ms = at
        if arrival.sent_at_ms is not None:
            tally.clock_error_ms = arrival.sent_at_ms - at
        if not fresh:
            tally.duplicates += 1
            continue
        if arrival.problems:
            tally.with_problems += 1
            tally.unusable_ids += any(problem.why == NO_REAL_ID for problem in arrival.problems)
        if place in repeated:
            tally.repeated_ids += 1
            tally.with_problems += not arrival.problems
        event = arrival.event
        if isinstance(event, Record):
            tally.records += 1
            recorded = ms(event.recorded_at)
        elif isinstance(event, Alarm):
            tally.alarms += 1
            recorded = ms(event.event_time)
        else:
            tally.quarantined += 1
            continue
        if recorded is not None:
            lag = at - recorded
            if lag > LATE_MS:
                tally.late += 1
                tally.late_at_ms = max(tally.late_at_ms or at, at)
            tally.least_lag_ms = _least_lag(tally.least_lag_ms, lag)
            latest = tally.last_recorded_ms
            # The last one follows a clock that is put back.
            is_ahead = latest is not None and latest > tally.last_at_ms + LATE_MS
            if lag >= -AHEAD_MS and (latest is None or recorded > latest or is_ahead):
                tally.last_recorded_ms = recorded
    return tallies


HISTORY = -1
"""The writer of the tallies of what was fetched from terminals: it says nothing of when they pushed, or from where."""


def tally_rows(
    batch: Sequence[Arrival], new: Sequence[bool], repeated: Container[int], writer: int
) -> list[tuple[Any, ...]]:
    """Return what a batch adds to the counts, with the values of :data:`TALLY_COLUMNS`; the rest as :func:`add_up`."""
    counted = add_up(batch, new, repeated)
    rows = [tally.row(number, writer) for number, tally in counted.items()]
    if any(arrival.alike for arrival in batch):
        fetched = _fetched(batch, new, repeated)
        rows += [tally.row(number, HISTORY) for number, tally in fetched.items()]
    return rows


def _fetched(batch: Sequence[Arrival], new: Sequence[bool], repeated: Container[int]) -> dict[int, Tally]:
    tallies: dict[int, Tally] = {}
    for place, (arrival, fresh) in enumerate(zip(batch, new, strict=True)):
        if not (arrival.alike and fresh):
            continue
        at = arrival.received_at_ms
        tally = tallies.setdefault(arrival.terminal_id, Tally(first_at_ms=at, last_at_ms=at))
        tally.records += 1
        tally.with_problems += bool(arrival.problems) or place in repeated
        tally.unusable_ids += any(problem.why == NO_REAL_ID for problem in arrival.problems)
        tally.repeated_ids += place in repeated
    return tallies
