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

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import sub
from typing import NamedTuple

from msgspec import Struct

__all__ = [
    "BLOCK_MS",
    "LONG_MS",
    "PAUSE_MS",
    "REST_MS",
    "Seen",
    "Shift",
    "in_order",
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


class Seen(NamedTuple):
    """The passages of a person in order of time, in columns: hundreds of thousands are grouped for one question."""

    times: list[int]
    """Milliseconds since 1970 UTC."""
    terminals: list[int]
    forms: list[int]
    """The form of the person's data: an identity."""


# Without the garbage collector, as all that tens of thousands of are made for one question: it holds only values.
class Shift(Struct, frozen=True, gc=False):
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


def in_order(parts: Iterable[Seen]) -> Seen:
    """Join passages of one person, each part in any order."""
    joined = Seen([], [], [])
    for part in sorted(part for part in parts if part.times):
        joined = Seen(*map(list.__add__, joined, part)) if joined.times else part
    # Most parts are in order already. Of one form, passages at one moment are alike, whatever their order.
    if len(set(joined.forms)) > 1 or sorted(joined.times) != joined.times:
        joined = Seen(*map(list, zip(*sorted(zip(*joined, strict=True)), strict=True)))
    return joined


def shifts(seen: Seen, repeat_ms: int) -> list[Shift]:
    """Group passages into shifts.

    Passages at one terminal that follow each other within ``repeat_ms`` are one. The last repeat counts as the last
    time that the person was seen, if it came later than ``repeat_ms`` after the first passage.
    """
    times, terminals, forms = seen
    if not times:
        return []
    gaps = list(map(sub, times[1:], times))
    begins = _begins(times, gaps)
    repeats = _repeats(times, terminals, gaps, begins, repeat_ms)
    found: list[Shift] = []
    for begin, end in pairwise((*begins, len(times))):
        passages = end - begin - (bisect_left(repeats, end) - bisect_left(repeats, begin))
        found.append(_shift(times[begin], times[end - 1], passages, forms[end - 1], forms[begin], repeat_ms))
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


def _begins(times: Sequence[int], gaps: Sequence[int]) -> list[int]:
    """Return the places of the passages that begin a shift. A gap is that between a passage and the next one."""
    pauses = [place for place, gap in enumerate(gaps, 1) if gap >= PAUSE_MS]
    blocks = range(times[0] - times[0] % BLOCK_MS + BLOCK_MS, times[-1] + 1, BLOCK_MS)
    borders = {bisect_left(times, block): block for block in blocks}  # a passage, and when its block begins
    found = [0]
    begin = rested = times[0]
    # All others follow the passage before at once.
    for place in sorted({*pauses, *borders}):
        at_ms, gap = times[place], gaps[place - 1]
        if (
            gap >= REST_MS
            or (gap >= PAUSE_MS and at_ms - begin >= LONG_MS)
            or (place in borders and borders[place] - rested >= BLOCK_MS)
        ):
            found.append(place)
            begin = at_ms
            if gap >= REST_MS:
                rested = at_ms
    return found


def _repeats(
    times: Sequence[int], terminals: Sequence[int], gaps: Sequence[int], begins: Sequence[int], repeat_ms: int
) -> list[int]:
    """Return the places of the passages that repeat one of their shift at the same terminal."""
    near = [place for place, gap in enumerate(gaps, 1) if gap <= repeat_ms] if repeat_ms > 0 else []
    found: list[int] = []
    latest: dict[int, int] = {}
    before = -1
    begun = set(begins) if near else set()
    for place in near:
        if place in begun:
            latest = {}
        elif place - 1 != before:  # what was before the passage before is out of reach
            latest = {terminals[place - 1]: times[place - 1]}
        terminal, at_ms = terminals[place], times[place]
        if terminal in latest and at_ms - latest[terminal] <= repeat_ms:
            found.append(place)
        latest[terminal] = at_ms
        before = place
    return found


def _shift(first: int, end: int, passages: int, identity: int, begun_as: int, repeat_ms: int) -> Shift:
    # Two terminals may see a person at the same moment, which is no time at work.
    known = end > first and (passages > 1 or end - first > repeat_ms)
    return Shift(first, end if known else None, end, passages, identity, begun_as)
