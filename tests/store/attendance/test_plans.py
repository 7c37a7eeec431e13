"""Whose schedule is which on which day, and what attendance says of it; on both databases."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from tests.store.events import arrival, record

from gatepost.store.attendance.attendance import Attendance, PersonAttendance
from gatepost.store.attendance.schedules import WEEK, Schedule
from gatepost.store.attendance.stored_schedules import Schedules
from gatepost.store.base import BaseStore
from gatepost.store.interface import Visible
from gatepost.store.people.person import PeopleQuery, Rules
from gatepost.store.terminals.registry import Conflict
from gatepost.wire import Group, User

BERLIN = ZoneInfo("Europe/Berlin")
FIRST, LAST = date(2024, 5, 6), date(2024, 5, 12)
"""Monday to Sunday."""

HOUR = timedelta(hours=1)

OFFICE = Schedule(name="Office", start_min=480, end_min=1020, break_min=60)
NIGHT = Schedule(name="Night", start_min=1320, end_min=360)
ANNA = User(user_id="5", name="Anna", groups=(Group(id="1", name="Sales"),))
BERT = User(user_id="6", name="Bert", groups=(Group(id="2", name="Works"),))


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    """Anna comes at 8:00 on Monday and at 9:00 on Tuesday, Bert on Tuesday night and on Friday for once."""
    store = open_store()
    store.update_site(1, timezone="Europe/Berlin")
    store.create_site("Hamburg", "Europe/Berlin", now_ms=0)
    for serial, site_id in (("SN-1", 1), ("SN-2", 2)):
        store.create_terminal(now_ms=0, serial=serial, site_id=site_id)
    came = [(ANNA, 6, 8, 9), (ANNA, 7, 9, 7), (BERT, 7, 22, 8), (BERT, 10, 12, 0)]
    batch = []
    for user, day, hour, hours in came:
        at = datetime(2024, 5, day, hour, tzinfo=BERLIN)
        for moment in sorted({at, at + timedelta(hours=hours)}):
            event = record(len(batch), recorded_at=moment, user=user)
            batch.append(arrival(event, 1, received_at_ms=round(moment.timestamp() * 1000)))
    store.write(batch)
    return store


def asked(
    store: BaseStore, first: date = FIRST, last: date = LAST, now_ms: int | None = None
) -> dict[str, PersonAttendance]:
    page = Attendance(store, Rules(), now_ms).page(PeopleQuery(), first, last)
    return {item.person.name: item for item in page.items}


def marks(item: PersonAttendance) -> dict[int, tuple[str, ...]]:
    """Return the marks by day of the month, of shifts and absences."""
    found = {one.day.day: tuple(one.marks) for one in item.shifts}
    return found | {one.day.day: ("absent",) for one in item.absences}


def identity(store: BaseStore, name: str, day: date = FIRST) -> tuple[int, ...]:
    return asked(store, min(day, FIRST), LAST)[name].person.identities


def test_nothing_is_marked_without_an_assignment(store: BaseStore) -> None:
    Schedules(store).create(OFFICE, now_ms=0)
    found = asked(store)
    assert marks(found["Anna"]) == {6: (), 7: ()}
    assert marks(found["Bert"]) == {7: (), 10: ("no_out",)}


def test_a_group_has_a_schedule_from_a_day_on(store: BaseStore) -> None:
    office = Schedules(store).create(OFFICE, now_ms=0)
    row = Schedules(store).assign(office.id, date(2024, 5, 7), group="sales", by="anna", now_ms=1)
    assert (row.group, row.schedule, row.person, row.since) == ("sales", "Office", None, date(2024, 5, 7))
    found = asked(store)
    assert marks(found["Anna"]) == {
        6: (), 7: ("late", "early"), 8: ("absent",), 9: ("absent",), 10: ("absent",)
    }  # fmt: skip
    assert marks(found["Bert"]) == {7: (), 10: ("no_out",)}
    (_, tuesday) = found["Anna"].shifts
    assert tuesday.planned is not None
    assert (tuesday.planned.schedule, tuesday.seconds, tuesday.worked_seconds) == ("Office", 25_200, 21_600)


def test_each_question_finds_the_same_marks(store: BaseStore) -> None:
    schedules = Schedules(store)
    schedules.assign(schedules.create(OFFICE, now_ms=0).id, FIRST, group="Sales", by="x", now_ms=1)
    schedules.assign(schedules.create(NIGHT, now_ms=0).id, FIRST, group="Works", by="x", now_ms=1)
    whole = asked(store)
    for name in ("Anna", "Bert"):
        by_day = {
            day: found
            for number in range(7)
            for day, found in marks(
                asked(store, FIRST + timedelta(number), FIRST + timedelta(number))[name]
            ).items()
        }
        assert by_day == marks(whole[name])
    # Bert was not known before Tuesday; on Friday he came at noon, and not at night.
    assert marks(whole["Bert"]) == {7: (), 8: ("absent",), 9: ("absent",), 10: ("absent",)}
    assert [one.marks for one in whole["Bert"].shifts] == [(), ("no_out",)]


def test_the_assignment_of_a_person_goes_before_that_of_their_group(store: BaseStore) -> None:
    schedules = Schedules(store)
    office, night = schedules.create(OFFICE, now_ms=0), schedules.create(NIGHT, now_ms=0)
    schedules.assign(night.id, date(2024, 5, 1), group="Sales", by="x", now_ms=1)
    own = schedules.assign(office.id, date(2024, 5, 7), identities=identity(store, "Anna"), by="x", now_ms=1)
    assert (own.person, own.user_id, own.group) == ("Anna", "5", None)
    schedules.assign(None, date(2024, 5, 9), identities=identity(store, "Anna"), by="x", now_ms=1)
    found = asked(store)["Anna"]
    # On Monday the night was planned, from Thursday on nothing is.
    assert [(one.day.day, one.schedule) for one in found.absences] == [(6, "Night"), (8, "Office")]
    assert marks(found)[7] == ("late", "early")
    assert schedules.unassign(own.id) == own
    # On Tuesday she came three hours after Monday's night.
    assert [one.day.day for one in asked(store)["Anna"].absences] == [7, 8]


def test_holidays_of_the_site_and_of_every_site(store: BaseStore) -> None:
    schedules = Schedules(store)
    schedules.assign(schedules.create(OFFICE, now_ms=0).id, FIRST, group="Sales", by="x", now_ms=1)
    whole = schedules.add_holiday(date(2024, 5, 9), "Ascension", site_id=None, is_half=False)
    schedules.add_holiday(date(2024, 5, 8), "Elsewhere", site_id=2, is_half=False)
    here = schedules.add_holiday(date(2024, 5, 6), "Founding", site_id=1, is_half=False)
    assert marks(asked(store)["Anna"]) == {
        6: ("holiday",), 7: ("late", "early"), 8: ("absent",), 10: ("absent",)
    }  # fmt: skip
    everywhere = schedules.holidays(Visible())
    assert [one.name for one in everywhere] == ["Founding", "Elsewhere", "Ascension"]
    assert [one.name for one in schedules.holidays(Visible(sites=frozenset({1})))] == [
        "Founding",
        "Ascension",
    ]
    with pytest.raises(Conflict, match="2024-05-09 is a holiday there already"):
        schedules.add_holiday(date(2024, 5, 9), "Again", site_id=None, is_half=True)
    assert schedules.delete_holiday(here.id) == here
    assert schedules.delete_holiday(here.id) is None
    assert schedules.delete_holiday(whole.id) == whole
    assert marks(asked(store)["Anna"])[6] == ()


def test_a_night_is_of_the_month_in_which_it_begins_also_where_the_clocks_change(store: BaseStore) -> None:
    """In Berlin the last Sunday of March 2024 is the 31st, and has 23 hours; that of October, the 27th, has 25."""
    dora = User(user_id="8", name="Dora")
    batch = []
    for month, day, month_after, day_after in (
        (3, 30, 3, 31),
        (3, 31, 4, 1),
        (10, 26, 10, 27),
        (10, 31, 11, 1),
    ):
        for moment in (
            datetime(2024, month, day, 22, tzinfo=BERLIN),
            datetime(2024, month_after, day_after, 6, tzinfo=BERLIN),
        ):
            event = record(100 + len(batch), recorded_at=moment, user=dora)
            batch.append(arrival(event, 1, received_at_ms=round(moment.timestamp() * 1000)))
    store.write(batch)
    schedules = Schedules(store)
    every_night = schedules.create(replace(NIGHT, days=WEEK), now_ms=0)
    schedules.assign(
        every_night.id,
        date(2024, 1, 1),
        identities=identity(store, "Dora", date(2024, 3, 31)),
        by="x",
        now_ms=1,
    )
    months = [(3, 31), (4, 30), (10, 31), (11, 30)]
    found = [asked(store, date(2024, month, 1), date(2024, month, last))["Dora"] for month, last in months]
    hours = [{one.day.day: (one.last_out - one.first_in) / HOUR for one in item.shifts} for item in found]
    assert hours == [{30: 7, 31: 8}, {}, {26: 9, 31: 8}, {}]
    assert [one.marks for item in found for one in item.shifts] == [()] * 4
    assert [len(item.absences) for item in found] == [29, 30, 29, 30]


def test_people_of_another_site_or_kind_have_no_absences_in_a_question(store: BaseStore) -> None:
    schedules = Schedules(store)
    schedules.assign(schedules.create(OFFICE, now_ms=0).id, FIRST, group="Sales", by="x", now_ms=1)
    attendance = Attendance(store, Rules())
    for query, count in ((PeopleQuery(site_id=1), 3), (PeopleQuery(kind="employees"), 3)):
        (anna,) = (one for one in attendance.page(query, FIRST, LAST).items if one.person.name == "Anna")
        assert len(anna.absences) == count
    assert [
        one for one in attendance.page(PeopleQuery(kind="visitors"), FIRST, LAST).items if one.absences
    ] == []


def test_nobody_is_absent_before_the_planned_time_is_over(store: BaseStore) -> None:
    schedules = Schedules(store)
    schedules.assign(schedules.create(OFFICE, now_ms=0).id, FIRST, group="Sales", by="x", now_ms=1)
    noon = round(datetime(2024, 5, 8, 12, tzinfo=BERLIN).timestamp() * 1000)
    assert asked(store, now_ms=noon)["Anna"].absences == ()


def test_schedules_are_changed_and_deleted(store: BaseStore) -> None:
    schedules = Schedules(store)
    office = schedules.create(OFFICE, now_ms=0)
    with pytest.raises(Conflict, match="already a schedule called Office"):
        schedules.create(OFFICE, now_ms=0)
    night = schedules.create(NIGHT, now_ms=0)
    with pytest.raises(Conflict, match="already a schedule called Office"):
        schedules.change(night.id, OFFICE)
    with pytest.raises(ValueError, match="break_min"):
        schedules.change(night.id, Schedule(name="x", start_min=0, end_min=60, break_min=60))
    renamed = schedules.change(night.id, Schedule(name="  Late  shift ", start_min=0, end_min=60))
    assert renamed is not None
    assert [row.schedule.name for row in renamed] == ["Night", "Late shift"]
    assert schedules.change(99, OFFICE) is None
    schedules.assign(office.id, FIRST, group="Sales", by="x", now_ms=1)
    assert [(one.schedule.name, one.assignments) for one in schedules.schedules()] == [
        ("Late shift", 0), ("Office", 1)
    ]  # fmt: skip
    with pytest.raises(Conflict, match="delete its assignments first"):
        schedules.delete(office.id)
    deleted = schedules.delete(night.id)
    assert deleted is not None
    assert schedules.delete(night.id) is None


def test_an_assignment_is_of_a_schedule_that_there_is_and_once_from_a_day_on(store: BaseStore) -> None:
    schedules = Schedules(store)
    with pytest.raises(ValueError, match="schedule_id: there is no such schedule"):
        schedules.assign(7, FIRST, group="Sales", by="x", now_ms=1)
    office = schedules.create(OFFICE, now_ms=0).id
    schedules.assign(office, FIRST, group="Sales", by="x", now_ms=1)
    with pytest.raises(Conflict, match="from 2024-05-06 on already"):
        schedules.assign(None, FIRST, group=" SALES", by="x", now_ms=1)
    anna = identity(store, "Anna")
    schedules.assign(office, FIRST, identities=anna, by="x", now_ms=1)
    with pytest.raises(Conflict, match="from 2024-05-06 on already"):
        schedules.assign(None, FIRST, identities=anna, by="x", now_ms=1)
    other = Visible(sites=frozenset({2}))
    assert schedules.assignments(other) == []
    assert {one.person for one in schedules.assignments(Visible())} == {None, "Anna"}
