"""What shifts are like by a schedule; every right value is written by hand."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from gatepost.store.attendance.schedules import Mark, Off, Planned, Schedule, judge, planned
from gatepost.store.people.shifts import Shift

EVERY_DAY = frozenset(range(1, 8))
BERLIN, SHANGHAI, LORD_HOWE = "Europe/Berlin", "Asia/Shanghai", "Australia/Lord_Howe"

OFFICE = Schedule(
    name="Office",
    start_min=8 * 60,
    end_min=17 * 60,
    grace_min=5,
    break_min=60,
    days=frozenset({1, 2, 3, 4, 5, 6}),
    half_days=frozenset({6}),
    half_end_min=12 * 60,
)
NIGHT = Schedule(name="Night", start_min=22 * 60, end_min=6 * 60, grace_min=10, days=EVERY_DAY)
GUARDS = Schedule(name="Guards", start_min=7 * 60, end_min=7 * 60, days=EVERY_DAY, on_holidays=True)
EARLY = Schedule(name="Early", start_min=0, end_min=8 * 60, days=EVERY_DAY)
LATE = Schedule(name="Late", start_min=16 * 60, end_min=0, days=EVERY_DAY)
AT_HALF_PAST_TWO = Schedule(name="Odd", start_min=150, end_min=10 * 60, days=EVERY_DAY)
UNTIL_HALF_PAST_TWO = Schedule(name="Odd", start_min=18 * 60, end_min=150, days=EVERY_DAY)


def ms(text: str, zone: str = BERLIN, fold: int = 0) -> int:
    """Return the moment at which the clocks of a zone show a time."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


@pytest.mark.parametrize(
    ("schedule", "day", "off", "zone", "begin", "end", "hours"),
    [
        (OFFICE, "2024-05-06", None, BERLIN, "2024-05-06T08:00+02:00", "2024-05-06T17:00+02:00", 8.0),
        (OFFICE, "2024-05-06", None, SHANGHAI, "2024-05-06T08:00+08:00", "2024-05-06T17:00+08:00", 8.0),
        # A Saturday is a half day without a break, a Sunday is free.
        (OFFICE, "2024-05-11", None, BERLIN, "2024-05-11T08:00+02:00", "2024-05-11T12:00+02:00", 4.0),
        (OFFICE, "2024-05-12", None, BERLIN, None, None, None),
        # Christmas Eve is a half holiday, Christmas Day a whole one.
        (OFFICE, "2024-12-24", "half", BERLIN, "2024-12-24T08:00+01:00", "2024-12-24T12:00+01:00", 4.0),
        (OFFICE, "2024-12-25", "whole", BERLIN, None, None, None),
        # A schedule without half days works whole ones; one that works on holidays works.
        (NIGHT, "2024-12-24", "half", BERLIN, "2024-12-24T22:00+01:00", "2024-12-25T06:00+01:00", 8.0),
        (GUARDS, "2024-12-25", "whole", BERLIN, "2024-12-25T07:00+01:00", "2024-12-26T07:00+01:00", 24.0),
        # Over midnight, up to it, and from it on.
        (NIGHT, "2024-05-06", None, BERLIN, "2024-05-06T22:00+02:00", "2024-05-07T06:00+02:00", 8.0),
        (LATE, "2024-05-06", None, BERLIN, "2024-05-06T16:00+02:00", "2024-05-07T00:00+02:00", 8.0),
        (EARLY, "2024-05-06", None, BERLIN, "2024-05-06T00:00+02:00", "2024-05-06T08:00+02:00", 8.0),
        (NIGHT, "2024-12-31", None, BERLIN, "2024-12-31T22:00+01:00", "2025-01-01T06:00+01:00", 8.0),
        # The night in which the clocks are put forward has seven hours, the one in which they are put back nine.
        (NIGHT, "2024-03-30", None, BERLIN, "2024-03-30T22:00+01:00", "2024-03-31T06:00+02:00", 7.0),
        (NIGHT, "2024-10-26", None, BERLIN, "2024-10-26T22:00+02:00", "2024-10-27T06:00+01:00", 9.0),
        # Half an hour there.
        (NIGHT, "2024-10-05", None, LORD_HOWE, "2024-10-05T22:00+10:30", "2024-10-06T06:00+11:00", 7.5),
        # 02:30 is left out on 31 March, and comes twice on 27 October.
        (AT_HALF_PAST_TWO, "2024-03-31", None, BERLIN, "2024-03-31T03:30+02:00", "2024-03-31T10:00+02:00", 6.5),
        (AT_HALF_PAST_TWO, "2024-10-27", None, BERLIN, "2024-10-27T02:30+01:00", "2024-10-27T10:00+01:00", 7.5),
        (
            UNTIL_HALF_PAST_TWO, "2024-03-30", None, BERLIN,
            "2024-03-30T18:00+01:00", "2024-03-31T01:30+01:00", 7.5,
        ),
        (
            UNTIL_HALF_PAST_TWO, "2024-10-26", None, BERLIN,
            "2024-10-26T18:00+02:00", "2024-10-27T02:30+02:00", 8.5,
        ),
    ],
)  # fmt: skip
def test_a_day_is_planned(
    schedule: Schedule,
    day: str,
    off: Off | None,
    zone: str,
    begin: str | None,
    end: str | None,
    hours: float | None,
) -> None:
    found = planned(schedule, date.fromisoformat(day), zone, off)
    if begin is None or end is None:
        assert found is None
    else:
        assert found is not None
        assert (found.begin_ms, found.end_ms) == (
            round(datetime.fromisoformat(begin).timestamp() * 1000),
            round(datetime.fromisoformat(end).timestamp() * 1000),
        )
        assert (found.day.isoformat(), found.work_ms / 3_600_000) == (day, hours)


def shift(first: str, last: str | None) -> tuple[date, Shift]:
    begin, end = ms(first), None if last is None else ms(last)
    return date.fromisoformat(first[:10]), Shift(begin, end, end or begin, 1 if last is None else 2, 1, 1)


def plan(schedule: Schedule, *days: str) -> list[Planned]:
    found = [planned(schedule, date.fromisoformat(day), BERLIN) for day in days]
    return [one for one in found if one is not None]


MONDAY, TUESDAY, WEDNESDAY = "2024-05-06", "2024-05-07", "2024-05-08"


@pytest.mark.parametrize(
    ("schedule", "first", "last", "marks"),
    [
        (OFFICE, "2024-05-06T07:50", "2024-05-06T17:10", ()),
        (OFFICE, "2024-05-06T08:05", "2024-05-06T16:55", ()),  # both within the grace
        (OFFICE, "2024-05-06T08:05:01", "2024-05-06T17:00", ("late",)),
        (OFFICE, "2024-05-06T08:00", "2024-05-06T16:54:59", ("early",)),
        (OFFICE, "2024-05-06T09:00", "2024-05-06T12:00", ("late", "early")),
        # One passage alone: before the middle of the day, 12:30, it is an arrival.
        (OFFICE, "2024-05-06T07:55", None, ("missing",)),
        (OFFICE, "2024-05-06T09:00", None, ("late", "missing")),
        (OFFICE, "2024-05-06T12:30", None, ("late", "missing")),
        (OFFICE, "2024-05-06T12:31", None, ("early", "missing")),
        (OFFICE, "2024-05-06T17:05", None, ("missing",)),
        # The night shift: in before midnight, out after it; late after midnight is a shift of the next day.
        (NIGHT, "2024-05-06T21:45", "2024-05-07T06:05", ()),
        (NIGHT, "2024-05-07T00:30", "2024-05-07T06:05", ("late",)),
        (NIGHT, "2024-05-06T21:45", "2024-05-07T03:00", ("early",)),
        # From midnight on: in at the end of the day before.
        (EARLY, "2024-05-05T23:50", "2024-05-06T08:10", ()),
        (EARLY, "2024-05-06T00:01", "2024-05-06T08:00", ("late",)),
        (LATE, "2024-05-06T15:50", "2024-05-07T00:05", ()),
        (LATE, "2024-05-06T15:50", "2024-05-06T23:59", ("early",)),
        # No time in common with the planned one: up to four hours before and after it counts for it.
        (OFFICE, "2024-05-06T04:00", "2024-05-06T07:00", ("early",)),
        (OFFICE, "2024-05-06T20:59", "2024-05-06T22:00", ("late",)),
        (OFFICE, "2024-05-06T21:01", "2024-05-06T22:00", None),
        (OFFICE, "2024-05-06T03:00", "2024-05-06T03:59", None),
    ],
)
def test_a_shift_is_marked(
    schedule: Schedule, first: str, last: str | None, marks: tuple[Mark, ...] | None
) -> None:
    one = plan(schedule, MONDAY)
    found = judge([shift(first, last)], one)
    if marks is None:  # it belongs to none
        assert (found.marks, found.planned, found.absent) == (((),), (None,), tuple(one))
    else:
        assert (found.marks, found.planned, found.absent) == ((marks,), tuple(one), ())


@pytest.mark.parametrize(
    ("first", "last", "marks"),
    [
        # 30 March to 31 March 2024: 02:00 to 03:00 is left out.
        ("2024-03-30T22:10", "2024-03-31T05:50", ()),
        ("2024-03-30T22:11", "2024-03-31T05:49", ("late", "early")),
        # 26 October to 27 October 2024: 02:00 to 03:00 comes twice.
        ("2024-10-26T22:10", "2024-10-27T05:50", ()),
        ("2024-10-26T22:11", "2024-10-27T05:49", ("late", "early")),
    ],
)
def test_a_night_in_which_the_clocks_are_changed(first: str, last: str, marks: tuple[Mark, ...]) -> None:
    assert judge([shift(first, last)], plan(NIGHT, first[:10])).marks == (marks,)


def test_planned_days_without_a_passage_are_absences_and_free_days_are_none() -> None:
    week = plan(OFFICE, *(f"2024-05-{day:02}" for day in range(6, 13)))
    found = judge([shift("2024-05-07T08:00", "2024-05-07T17:00")], week)
    assert [one.day.day for one in found.absent] == [6, 8, 9, 10, 11]


def test_without_a_schedule_there_are_no_marks() -> None:
    found = judge([shift("2024-05-06T10:00", None), shift("2024-05-07T10:00", "2024-05-07T11:00")], [])
    assert (found.marks, found.planned, found.absent) == (((), ()), (None, None), ())


def test_of_two_shifts_of_one_planned_the_first_is_late_and_the_last_is_early() -> None:
    found = judge(
        [shift("2024-05-06T08:30", "2024-05-06T11:00"), shift("2024-05-06T14:00", "2024-05-06T16:00")],
        plan(OFFICE, MONDAY),
    )
    assert found.marks == (("late",), ("early",))


def test_a_shift_over_two_planned_ones_belongs_to_the_one_with_most_of_it() -> None:
    days = plan(NIGHT, MONDAY, TUESDAY)
    found = judge(
        [shift("2024-05-07T01:00", "2024-05-08T05:00")], days
    )  # five hours of one, seven of the other
    assert found.planned == (days[1],)
    assert found.absent == (days[0],)


def test_a_shift_of_another_day_counts_for_its_neighbours_only() -> None:
    (wednesday,) = plan(OFFICE, WEDNESDAY)
    found = judge([shift("2024-05-06T08:00", "2024-05-08T12:00")], [wednesday])
    assert (found.planned, found.absent) == ((None,), (wednesday,))


def test_a_shift_that_begins_on_a_holiday_is_marked_with_and_without_a_schedule() -> None:
    holidays = {date(2024, 5, 6)}
    came = [shift("2024-05-06T09:00", "2024-05-06T12:00")]
    assert judge(came, [], holidays=holidays).marks == (("holiday",),)
    of_guards = judge(came, plan(GUARDS, MONDAY), holidays=holidays)
    assert of_guards.marks == (("late", "early", "holiday"),)
    assert judge(came, [], holidays={date(2024, 5, 7)}).marks == ((),)


@pytest.mark.parametrize(
    ("now", "marks", "absences"),
    [
        ("2024-05-06T07:00", (), 0),
        ("2024-05-06T15:00", ("late",), 0),
        ("2024-05-06T20:59", ("late",), 0),
        ("2024-05-06T21:00", ("late", "early"), 1),
    ],
)
def test_early_and_absent_are_known_four_hours_after_the_end(
    now: str, marks: tuple[Mark, ...], absences: int
) -> None:
    came = [shift("2024-05-06T09:00", "2024-05-06T13:00")] if now > "2024-05-06T09" else []
    day = plan(OFFICE, MONDAY)
    assert judge(came, day, now_ms=ms(now)).marks == ((marks,) if came else ())
    assert len(judge([], day, now_ms=ms(now)).absent) == absences


def test_a_departure_is_not_missing_while_it_may_still_come() -> None:
    came, day = [shift("2024-05-06T08:00", None)], plan(OFFICE, MONDAY)
    assert judge(came, day, now_ms=ms("2024-05-06T20:59")).marks == ((),)
    assert judge(came, day, now_ms=ms("2024-05-06T21:00")).marks == (("missing",),)


@pytest.mark.parametrize(
    ("schedule", "day", "present", "worked"),
    [
        (OFFICE, MONDAY, 9.0, 8.0),
        (OFFICE, MONDAY, 10.5, 9.5),
        (OFFICE, MONDAY, 4.5, 3.5),  # half of the nine planned hours
        (OFFICE, MONDAY, 4.4, 4.4),  # too short for a break
        (OFFICE, "2024-05-11", 4.0, 4.0),  # a half day has none
        (NIGHT, MONDAY, 8.0, 8.0),
    ],
)
def test_a_break_is_taken_off_a_shift_that_is_long_enough(
    schedule: Schedule, day: str, present: float, worked: float
) -> None:
    (one,) = plan(schedule, day)
    assert one.worked_ms(round(present * 3_600_000)) == round(worked * 3_600_000)
