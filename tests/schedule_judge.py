"""What the simulated month is like by schedules, worked out from the roster alone.

It shares no code with the receiver's comparison: minutes since midnight of one day, one planned shift and one worked
shift a day. This is enough for people who come within a quarter of an hour of what is planned.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from tests import month

from gatepost.simulator.world.people import Person
from gatepost.simulator.world.roster import pattern_of
from gatepost.simulator.world.scenario import SITE_TIME

FIRST = date(2028, 2, 1)
DAYS = 29
HOLIDAY, HALF_HOLIDAY = date(2028, 2, 21), date(2028, 2, 14)

HOURS = {
    "day": (510, 1065),
    "early": (360, 840),
    "late": (840, 1320),
    "night": (1320, 1800),
    "guard": (480, 1920),
}
"""Minutes since midnight, after midnight on from 1440; in the middle of what the roster draws."""

GRACE, BREAK, HALF_END = 5, 60, 720
"""Break and half days are of those who work by day."""

TURNS = ("early", "late", "night")

Judged = tuple[str, tuple[str, ...], float | None]
"""Day, marks, worked hours."""


def schedule_on(person: Person, day: date) -> str:
    """Return whose hours a person has on a day; in turns another one each week."""
    kind = pattern_of(person)
    if kind != "turns":
        return kind
    week = (day - date(1970, 1, 5)).days // 7
    return TURNS[(week + person.number // 10) % 3]


def assigned(person: Person) -> Iterator[tuple[date, str]]:
    """Yield what is to be assigned to a person, and from which day on."""
    before = None
    for number in range(-7, DAYS + 7):
        day = FIRST + timedelta(number)
        now = schedule_on(person, day)
        if now != before:
            yield day, now
        before = now


def planned(person: Person, day: date) -> tuple[int, int, int] | None:
    """Return begin, end and break of a day, in minutes; ``None`` where nothing is planned."""
    kind = schedule_on(person, day)
    begin, end = HOURS[kind]
    if kind == "guard":
        return begin, end, 0
    if day.weekday() > 4 or day == HOLIDAY:
        return None
    if kind != "day":
        return begin, end, 0
    return (begin, HALF_END, 0) if day == HALF_HOLIDAY else (begin, end, BREAK)


def judged() -> dict[str, list[Judged]]:
    """Return what attendance has to say of each employee, by ``user_id``."""
    worked = {user: {one[0]: one for one in shifts} for user, shifts in month.expected().items()}
    found: dict[str, list[Judged]] = {}
    for person in month.SITE.employees:
        user_id = str(person.number)
        for number in range(DAYS):
            day = FIRST + timedelta(number)
            plan, came = planned(person, day), worked.get(user_id, {}).get(f"{day}")
            if came is not None:
                found.setdefault(user_id, []).append(_came(day, plan, came))
            elif plan is not None:
                found.setdefault(user_id, []).append((f"{day}", ("absent",), None))
    return found


def _came(day: date, plan: tuple[int, int, int] | None, came: month.Worked) -> Judged:
    _, first, last = came
    begins, leaves = _minutes(day, first), None if last is None else _minutes(day, last)
    marks = []
    if leaves is None:
        marks.append("no_out")
    if plan is not None:
        begin, end, _ = plan
        is_departure = leaves is None and begins - begin > end - begins
        if not is_departure and begins - begin > GRACE:
            marks.append("late")
        if (leaves is not None and end - leaves > GRACE) or (is_departure and end - begins > GRACE):
            marks.append("early")
        if leaves is None:
            marks.append("missing")
    if day == HOLIDAY:
        marks.append("holiday")
    if last is None:
        return f"{day}", tuple(marks), None
    seconds = (last - first).total_seconds()
    if plan is not None and seconds >= 30 * (plan[1] - plan[0]):
        seconds -= 60 * plan[2]
    return f"{day}", tuple(marks), round(seconds / 3600, 2)


def _minutes(day: date, at: datetime) -> float:
    """Return the minutes since midnight of a day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=SITE_TIME)
    return (at - midnight).total_seconds() / 60
