"""Attendance of a month that was simulated, compared with the roster of who worked when."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC

from tests import month, schedule_judge

from gatepost.simulator.world.roster import pattern_of
from gatepost.simulator.world.scenario import SITE_TIME
from gatepost.store.attendance.attendance import Attendance
from gatepost.store.attendance.schedules import Schedule
from gatepost.store.attendance.stored_schedules import Schedules
from gatepost.store.base import BaseStore
from gatepost.store.local_days import month_of
from gatepost.store.people.person import PeopleQuery, Rules
from gatepost.store.query.statistics import StatisticsQuery, statistics
from gatepost.wire import Record

FIRST, LAST = month_of(month.MONTH)


def test_every_shift_of_the_roster_is_found_and_no_other(open_store: Callable[[], BaseStore]) -> None:
    store = open_store()
    records = month.stock(store)
    _assert_statistics_count_records(store, records)
    attendance = Attendance(store, Rules())
    everyone = attendance.page(PeopleQuery(kind="employees", limit=1000), FIRST, LAST).items
    found = {
        item.person.user_id: [(f"{one.day}", one.first_in, one.last_out) for one in item.shifts]
        for item in everyone
    }
    expected = {
        user_id: [
            (day, first_in.astimezone(UTC), None if last_out is None else last_out.astimezone(UTC))
            for day, first_in, last_out in worked
        ]
        for user_id, worked in month.expected().items()
    }
    assert found == expected
    hours = {
        item.person.user_id: [
            None if one.seconds is None else round(one.seconds / 3600, 2) for one in item.shifts
        ]
        for item in everyone
    }
    assert hours == {user: [month.hours(one) for one in worked] for user, worked in month.expected().items()}
    # Every kind of work is among them, and a forgotten passage.
    assert {pattern_of(person) for person in month.SITE.employees} == {"day", "night", "turns", "guard"}
    assert any(one[2] is None for worked in expected.values() for one in worked)
    # Groups count the same people on the same days.
    present = {
        group.group.ids: {f"{one.day}": one.present for one in group.days}
        for group in attendance.groups(FIRST, LAST, kind="employees")
    }
    assert present
    for ids, by_day in present.items():
        members = [item.person for item in everyone if any(g["id"] in ids for g in item.person.groups)]
        days = [day for person in members for day in {one[0] for one in expected[person.user_id]}]
        assert by_day == {day: days.count(day) for day in set(days)}
    _assert_schedules_are_judged(store)


def _assert_schedules_are_judged(store: BaseStore) -> None:
    """Every mark, absence and worked hour is what is worked out from the roster without the receiver's code."""
    schedules = Schedules(store)
    made = {name: schedules.create(_schedule(name), now_ms=0).id for name in schedule_judge.HOURS}
    attendance = Attendance(store, Rules())
    query = PeopleQuery(kind="employees", limit=1000)
    identities = {
        item.person.user_id: item.person.identities for item in attendance.page(query, FIRST, LAST).items
    }
    for person in month.SITE.employees:
        forms = identities[str(person.number)]
        for since, name in schedule_judge.assigned(person):
            schedules.assign(made[name], since, identities=forms, by="office", now_ms=0)
    schedules.add_holiday(schedule_judge.HOLIDAY, "Day of rest", site_id=None, is_half=False)
    schedules.add_holiday(schedule_judge.HALF_HOLIDAY, "Half of it", site_id=1, is_half=True)
    found: dict[str, list[schedule_judge.Judged]] = {}
    for item in attendance.page(query, FIRST, LAST).items:
        rows = [(f"{one.day}", one.marks, _hours(one.worked_seconds)) for one in item.shifts]
        rows += [(f"{one.day}", ("absent",), None) for one in item.absences]
        found[item.person.user_id] = sorted(rows)
    assert found == {user: sorted(rows) for user, rows in schedule_judge.judged().items()}
    every = Counter(mark for rows in found.values() for _, marks, _ in rows for mark in marks)
    assert min(every[mark] for mark in ("late", "early", "missing", "absent", "holiday", "no_out")) > 0


def _schedule(name: str) -> Schedule:
    begin, end = schedule_judge.HOURS[name]
    by_day = name == "day"
    return Schedule(
        name=name,
        start_min=begin,
        end_min=end % 1440,
        grace_min=schedule_judge.GRACE,
        break_min=schedule_judge.BREAK if by_day else 0,
        days=frozenset(range(1, 8 if name == "guard" else 6)),
        half_end_min=schedule_judge.HALF_END if by_day else None,
        on_holidays=name == "guard",
    )


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / 3600, 2)


def _assert_statistics_count_records(store: BaseStore, records: list[Record]) -> None:
    """Statistics count records by the day on which they happened, and no people: a night has records on two days."""
    passed = Counter(
        f"{record.recorded_at.astimezone(SITE_TIME):%Y-%m-%d}"
        for record in records
        if record.passed and record.recorded_at
    )
    days = statistics(store, StatisticsQuery(first=FIRST, last=LAST)).days
    assert {f"{one.day}": one.counts.passed for one in days} == {
        f"{one.day}": passed[f"{one.day}"] for one in days
    }
