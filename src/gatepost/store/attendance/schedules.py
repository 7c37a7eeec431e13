"""Schedules: when people are to be there, and what a shift is like compared with it.

Rules:

* A schedule has one start and one end by the clocks of the person's site, on some days of the week. An end that is not
  after the start is on the next day; both alike are 24 hours.
* On a half day, and on a half holiday, work ends at ``half_end_min`` and has no break. A schedule without one works
  whole days then.
* On a holiday nothing is planned, unless the schedule says so. A shift that begins on a holiday is marked.
* A shift belongs to the planned one that it has most time in common with, of the day before, its own day and the day
  after. Where it has none in common, to the nearest one within :data:`MARGIN_MS`.
* The first shift of a planned one is late, the last one is early, each by more than the grace. Where there is one
  passage only, it is an arrival in the first half of the planned time, and a departure in the second half.
* Early, missing and absent are decided :data:`MARGIN_MS` after the planned end, when no more passage can count.
* Where the clocks show a time twice or leave it out, a start is the later reading and an end the earlier one
  (PEP 495), so that no person is marked for a change of the clocks.

Pure: no database, no clock.
"""

import re
from collections.abc import Container, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from gatepost.store.local_days import zone
from gatepost.store.people.shifts import Shift

__all__ = [
    "MARGIN_MS",
    "MAX_NAME",
    "WEEK",
    "Judgement",
    "Mark",
    "Off",
    "Planned",
    "Schedule",
    "checked",
    "judge",
    "minutes_of",
    "planned",
    "time_of_day",
]

Mark = Literal["no_out", "late", "early", "missing", "absent", "holiday", "corrected"]
"""``no_out``: there is one passage only, so last out and hours are unknown. ``late``, ``early``: compared with the
schedule. ``missing``: the schedule asks for two passages, and there is one. ``absent``: planned, and no passage.
``holiday``: it began on a holiday. ``corrected``: a passage of that day was added or struck."""

Off = Literal["whole", "half"]
"""How much of a day is a holiday."""

DAY_MIN = 24 * 60

MAX_NAME = 64
"""Characters."""

MAX_GRACE_MIN = 240

WEEK = frozenset(range(1, 8))

MARGIN_MS = 4 * 3_600_000
"""Time before and after a planned shift in which a passage still counts for it."""


class Schedule(Struct, frozen=True, kw_only=True):
    """Say when people are to be there: minutes since midnight, days of the week from Monday (1) to Sunday (7)."""

    name: str
    start_min: int
    end_min: int
    grace_min: int = 0
    """Minutes that a person may be late, or leave early, without a mark."""
    break_min: int = 0
    """Minutes of a shift that are no work."""
    days: frozenset[int] = frozenset({1, 2, 3, 4, 5})
    half_days: frozenset[int] = frozenset()
    """Days among ``days`` on which work ends at ``half_end_min``."""
    half_end_min: int | None = None
    on_holidays: bool = False
    """Whether people work on holidays as on other days."""


class Planned(Struct, frozen=True, gc=False):
    """Hold a shift as it is to be."""

    day: date
    begin_ms: int
    end_ms: int
    grace_ms: int
    break_ms: int
    schedule: str
    """Name of the schedule."""

    @property
    def work_ms(self) -> int:
        """Return the time at work, without the break."""
        return self.end_ms - self.begin_ms - self.break_ms

    def worked_ms(self, present_ms: int) -> int:
        """Return how much of a shift is work: a shift of less than half the planned time has no break."""
        has_break = 2 * present_ms >= self.end_ms - self.begin_ms
        return present_ms - (self.break_ms if has_break else 0)


class Judgement(Struct, frozen=True):
    """Hold the marks of a person's shifts, and the absences."""

    marks: tuple[tuple[Mark, ...], ...]
    """Those of each shift, without ``no_out``."""
    planned: tuple[Planned | None, ...]
    """The planned one that each shift belongs to."""
    absent: tuple[Planned, ...]
    """Planned shifts without any passage."""


@lru_cache(100_000)
def planned(schedule: Schedule, day: date, zone_name: str, off: Off | None = None) -> Planned | None:
    """Return what a schedule plans for a day; ``None`` for a free day. Raises ``UnknownZone``."""
    weekday = day.isoweekday()
    if weekday not in schedule.days:
        return None
    if schedule.on_holidays:
        off = None
    if off == "whole":
        return None
    end_min, break_min = schedule.end_min, schedule.break_min
    if schedule.half_end_min is not None and (off == "half" or weekday in schedule.half_days):
        end_min, break_min = schedule.half_end_min, 0
    if end_min <= schedule.start_min:
        end_min += DAY_MIN
    _, begin_ms = _at(day, schedule.start_min, zone_name)
    end_ms = max(begin_ms, _at(day, end_min, zone_name)[0])
    return Planned(day, begin_ms, end_ms, schedule.grace_min * 60_000, break_min * 60_000, schedule.name)


def _at(day: date, minutes: int, zone_name: str) -> tuple[int, int]:
    """Return when the clocks show a time, in milliseconds: by the earlier and the later reading, mostly the same."""
    wall = datetime.combine(day, datetime.min.time()) + timedelta(minutes=minutes)
    where = zone(zone_name)
    earlier, later = sorted(
        round(wall.replace(tzinfo=where, fold=fold).timestamp() * 1000) for fold in (0, 1)
    )
    return earlier, later


def judge(
    found: Sequence[tuple[date, Shift]],
    plan: Sequence[Planned],
    *,
    holidays: Container[date] = frozenset(),
    now_ms: int | None = None,
) -> Judgement:
    """Compare the shifts of a person with the planned ones, both in order of time.

    ``now_ms`` is the present; without it everything planned is over.
    """
    place_of = {one.day.toordinal(): place for place, one in enumerate(plan)}
    of_shift = [_nearest(day, shift, plan, place_of) for day, shift in found]
    marks: list[list[Mark]] = [[] for _ in found]
    places = sorted((place, number) for number, place in enumerate(of_shift) if place is not None)
    for place, numbered in groupby(places, key=lambda pair: pair[0]):
        numbers = [number for _, number in numbered]
        first, last = numbers[0], numbers[-1]
        one = plan[place]
        is_over = now_ms is None or now_ms >= one.end_ms + MARGIN_MS
        begin_ms, end_ms = found[first][1].first_ms, max(found[number][1].end_ms for number in numbers)
        is_single = first == last and found[first][1].last_ms is None
        is_departure = is_single and 2 * begin_ms > one.begin_ms + one.end_ms
        if not is_departure and begin_ms > one.begin_ms + one.grace_ms:
            marks[first].append("late")
        if is_over and (is_departure or not is_single) and end_ms < one.end_ms - one.grace_ms:
            marks[last].append("early")
        if is_over and is_single:
            marks[first].append("missing")
    for of_day, (day, _) in zip(marks, found, strict=True):
        if day in holidays:
            of_day.append("holiday")
    attended = {place for place, _ in places}
    absent = [
        one
        for place, one in enumerate(plan)
        if place not in attended and (now_ms is None or now_ms >= one.end_ms + MARGIN_MS)
    ]
    belongs = [None if place is None else plan[place] for place in of_shift]
    return Judgement(tuple(map(tuple, marks)), tuple(belongs), tuple(absent))


def _nearest(day: date, shift: Shift, plan: Sequence[Planned], place_of: Mapping[int, int]) -> int | None:
    """Return the place of the planned shift that a shift belongs to; ``place_of`` has places by day."""
    best: tuple[int, int] | None = None
    ordinal = day.toordinal()
    for near in (ordinal - 1, ordinal, ordinal + 1):
        place = place_of.get(near)
        if place is not None:
            one = plan[place]
            common = min(shift.end_ms, one.end_ms) - max(shift.first_ms, one.begin_ms)
            if common >= -MARGIN_MS and (best is None or common > best[0]):
                best = common, place
    return None if best is None else best[1]


def checked(schedule: Schedule) -> Schedule:
    """Return a schedule as it may be stored. Raises ``ValueError`` that names the field."""
    name = " ".join(schedule.name.split())
    length = (schedule.end_min - schedule.start_min) % DAY_MIN or DAY_MIN
    wrong = {
        f"name: use 1 to {MAX_NAME} characters": not 1 <= len(name) <= MAX_NAME,
        "start: write a time of day, such as 08:00": not 0 <= schedule.start_min < DAY_MIN,
        "end: write a time of day, such as 17:00": not 0 <= schedule.end_min < DAY_MIN,
        f"grace_min: use 0 to {MAX_GRACE_MIN} minutes": not 0 <= schedule.grace_min <= MAX_GRACE_MIN,
        "break_min: a break is shorter than the shift": not 0 <= schedule.break_min < length,
        "days: choose at least one day of the week, 1 for Monday to 7 for Sunday": not schedule.days
        or not schedule.days <= WEEK,
        "half_days: choose among the days of the schedule": not schedule.half_days <= schedule.days,
        "half_end: say when work ends on half days": bool(schedule.half_days)
        and schedule.half_end_min is None,
        "half_end: write a time of day, such as 12:00": schedule.half_end_min is not None
        and not 0 <= schedule.half_end_min < DAY_MIN,
    }
    for why, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(why)
    return replace(schedule, name=name)


def minutes_of(text: str) -> int:
    """Return the minutes since midnight of ``08:00``; ``24:00`` is midnight. Raises ``ValueError`` with a sentence."""
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)|24:00", text.strip(), re.ASCII)
    if found is None:
        raise ValueError(f"{text!r} is no time of day; write it like 08:00")
    return 0 if found[1] is None else int(found[1]) * 60 + int(found[2])


def time_of_day(minutes: int) -> str:
    """Return minutes since midnight as ``08:00``."""
    return f"{minutes // 60:02}:{minutes % 60:02}"
