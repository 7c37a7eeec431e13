"""Shifts: which passages of a person belong together, without any schedule.

A passage begins a new shift if

* nothing was seen of the person for :data:`REST_MS`, or
* nothing was seen of them for :data:`PAUSE_MS`, and their shift began at least :data:`LONG_MS` ago.

So people who work by day and people who work by night are told apart without being listed: a break is shorter than
six hours, a rest is longer, and hardly anybody works for fifteen hours. What the rule cannot know is in
``docs/concepts/people-and-days.md``.

Whether a passage begins a shift depends on the passages before it, back to the latest rest. Somebody of whom there is
no rest for :data:`BLOCK_MS` (four weeks) begins a new shift at the first passage of a block, counted from 1970, so that
no question has to look back further than two blocks: :func:`look_back`.

Pure: no database, no clock.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

__all__ = [
    "BLOCK_MS",
    "LONG_MS",
    "PAUSE_MS",
    "REST_MS",
    "Seen",
    "Shift",
    "is_anchored",
    "look_back",
    "shifts",
]

_HOUR_MS = 3_600_000

REST_MS = 13 * _HOUR_MS
"""So long without a passage always ends a shift."""

PAUSE_MS = 6 * _HOUR_MS
"""So long without a passage ends a shift that is long already. A break is shorter."""

LONG_MS = 15 * _HOUR_MS
"""How long a shift is when a pause ends it."""

BLOCK_MS = 28 * 24 * _HOUR_MS

Seen = tuple[int, int, int]
"""A passage: when in milliseconds since 1970 UTC, at which terminal, as which identity."""


class Shift(Struct, frozen=True):
    """Passages of one person that belong together."""

    first_ms: int
    last_ms: int | None
    """When the person was last seen; ``None`` where there is one passage only, or all are at one moment: then it is
    unknown when they left."""
    end_ms: int
    """When the person was last seen."""
    passages: int
    identity: int
    """The form of the person's data when they were last seen."""
    begun_as: int
    """The form of the person's data when it began, which tells at which site."""


def shifts(seen: Iterable[Seen], repeat_ms: int) -> list[Shift]:
    """Group passages, in order of time, into shifts.

    Passages at one terminal that follow each other within ``repeat_ms`` are one. The last repeat counts as the last
    time that the person was seen, if it came later than ``repeat_ms`` after the first passage.
    """
    found: list[Shift] = []
    latest: dict[int, int] = {}
    begin = before = rested = -1
    block_end = 0  # of the block of the passage before
    passages = identity = begun_as = 0
    for at_ms, terminal_id, form in seen:
        gap = at_ms - before
        # Most passages follow each other at once: nothing has to be looked at more closely.
        is_near = gap < PAUSE_MS and at_ms < block_end
        if before < 0 or (not is_near and _begins(at_ms, before, begin, rested)):
            if before >= 0:
                found.append(_shift(begin, before, passages, identity, begun_as, repeat_ms))
            if before < 0 or gap >= REST_MS:
                rested = at_ms
            begin, passages, begun_as = at_ms, 0, form
            latest.clear()
        if at_ms >= block_end:
            block_end = at_ms - at_ms % BLOCK_MS + BLOCK_MS
        # After a longer gap it repeats none, at whichever terminal.
        repeated = 0 < repeat_ms >= gap and at_ms - latest.get(terminal_id, -1 << 62) <= repeat_ms
        latest[terminal_id] = at_ms
        passages += not repeated
        before, identity = at_ms, form
    if before >= 0:
        found.append(_shift(begin, before, passages, identity, begun_as, repeat_ms))
    return found


def look_back(at_ms: int) -> int:
    """Return from when on a person's passages decide which shift one at ``at_ms`` belongs to."""
    return at_ms - at_ms % BLOCK_MS - BLOCK_MS


def is_anchored(times: Sequence[int], since_ms: int, at_ms: int) -> bool:
    """Return whether there is a rest between two moments, so that what was before it does not matter afterwards."""
    before = since_ms
    for moment in times:
        if moment > at_ms:
            break
        if moment - before >= REST_MS:
            return True
        before = moment
    return at_ms - before >= REST_MS


def _begins(at_ms: int, before: int, begin: int, rested: int) -> bool:
    gap = at_ms - before
    if gap >= REST_MS or (gap >= PAUSE_MS and at_ms - begin >= LONG_MS):
        return True
    block = at_ms - at_ms % BLOCK_MS
    return before < block and block - rested >= BLOCK_MS


def _shift(first: int, end: int, passages: int, identity: int, begun_as: int, repeat_ms: int) -> Shift:
    # Two terminals may see a person at the same moment, which is no time at work.
    known = end > first and (passages > 1 or end - first > repeat_ms)
    return Shift(first, end if known else None, end, passages, identity, begun_as)
