"""Attendance of a month that was simulated, compared with the roster of who worked when."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC

from tests import month

from gatepost.simulator.roster import pattern_of
from gatepost.simulator.scenario import SITE_TIME
from gatepost.store.base import BaseStore
from gatepost.store.local_days import month_of
from gatepost.store.people.attendance import Attendance
from gatepost.store.people.people import PeopleQuery, Rules
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
