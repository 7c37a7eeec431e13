"""Roster: which employee works when, by day, by night, in turns, or for 24 hours.

Rules:

- A shift depends only on the seed, the date and the person. Days may be asked for in any order.
- Of ten employees six work by day, two by night, one in turns (a week early, a week late, a week at night), and one is
  on duty for 24 hours every third day.
- Every passage of a shift is granted. One day shift in thirty has a single passage, because the others were forgotten.

Flow: `begun_on(seed, person, day)` → `Shift` → its passages at the doors: `gatepost.simulator.world.scenario`.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal

from msgspec import Struct

from gatepost.simulator.world.people import Person
from gatepost.simulator.world.rng import rng

__all__ = ["Pattern", "Shift", "begun_on", "pattern_of"]

Pattern = Literal["day", "night", "turns", "guard"]

_OF_TEN: tuple[Pattern, ...] = ("day", "night", "day", "turns", "day", "guard", "day", "night", "day", "day")

_HOURS: dict[str, tuple[float, ...]] = {
    "day": (8.5, 12.0, 13.0, 17.75),
    "night": (22.0, 26.0, 26.5, 30.0),
    "early": (6.0, 10.0, 10.5, 14.0),
    "late": (14.0, 18.0, 18.5, 22.0),
    "guard": (8.0, 13.0, 18.0, 22.5, 27.0, 32.0),
}
"""By shift: the hours of its passages, from midnight of the day on which it begins."""

_TURNS = ("early", "late", "night")

_MONDAY = date(1970, 1, 5)


class Shift(Struct, frozen=True):
    """The work of one person from first in to last out."""

    person: Person
    day: datetime
    """Midnight of the day on which it begins."""
    times: tuple[datetime, ...]
    """Times at which the person passes a door, in order, to the second."""

    @property
    def first_in(self) -> datetime:
        return self.times[0]

    @property
    def last_out(self) -> datetime | None:
        """Return the last passage; ``None`` if there is only one."""
        return self.times[-1] if len(self.times) > 1 else None


def pattern_of(person: Person) -> Pattern:
    """Return how an employee works."""
    return _OF_TEN[person.number % len(_OF_TEN)]


def begun_on(seed: int, person: Person, day: datetime) -> Shift | None:
    """Return the shift of an employee that begins on `day` (midnight, aware); None on a day off."""
    kind = _kind(person, (day.date() - _MONDAY).days)
    if kind is None:
        return None
    rand = rng("shift", seed, day.date(), person.number)
    times = tuple(
        day + timedelta(seconds=round(hour * 3600 + rand.uniform(-900, 900))) for hour in _HOURS[kind]
    )
    forgotten = kind == "day" and rand.random() < 1 / 30
    return Shift(person, day, times[:1] if forgotten else times)


def _kind(person: Person, days: int) -> str | None:
    """Return which hours a person works on a day, counted from a Monday; None on a day off."""
    pattern = pattern_of(person)
    week, weekday = divmod(days, 7)
    if pattern == "guard":
        return "guard" if (days + person.number // 10) % 3 == 0 else None
    if weekday > 4:
        return None
    return _TURNS[(week + person.number // 10) % 3] if pattern == "turns" else pattern
