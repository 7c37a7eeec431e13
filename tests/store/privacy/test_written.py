"""What was written about people (marks, joins, corrections, assignments): when it leaves. On both databases."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.store.events import arrival, record

from gatepost.store.attendance.corrections import CorrectionQuery, Corrections
from gatepost.store.attendance.schedules import Schedule
from gatepost.store.attendance.stored_schedules import Schedules
from gatepost.store.base import BaseStore
from gatepost.store.interface import RecordQuery
from gatepost.store.people.joined import Joins
from gatepost.store.people.marked import MarkedPeople
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Person, Rules
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.privacy.retention import Limits, Retention
from gatepost.store.schema import tables as t
from gatepost.wire import User

DAY = date(2024, 5, 6)
RULES = Rules()
WRITTEN = (t.assignments, t.corrections, t.joined_people, t.marked_people)


def at(day: int, hour: int = 8) -> datetime:
    return datetime(2024, 5, day, hour, tzinfo=UTC)


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def seen(number: int, user_id: str, name: str, day: int) -> Any:
    event = record(number, recorded_at=at(day), user=User(user_id=user_id, name=name, type=1))
    return arrival(event, 1, received_at_ms=ms(at(day)))


def named(store: BaseStore, name: str) -> Person:
    return next(one for one in People(store, RULES).page(PeopleQuery()).items if one.name == name)


def counts(store: BaseStore) -> tuple[int, ...]:
    """Return the rows of :data:`WRITTEN`."""
    with store.reading() as db:
        return tuple(db.execute(select(func.count()).select_from(table)).scalar_one() for table in WRITTEN)


def keep_records(store: BaseStore, days: int, *, on: int) -> None:
    """Delete what is due on a day of May."""
    retention = Retention(store, Limits(records_days=days))
    while retention.once(ms(at(on))).more:
        pass


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    """Of Anna (5 and 70) and of Bert is something in every table; a schedule, and a view of the page of records."""
    store = open_store()
    store.create_terminal(now_ms=0, serial="SN-1", site_id=1)
    store.write([seen(1, "5", "Anna", 6), seen(2, "70", "A. Anna", 7), seen(3, "9", "Bert", 9)])
    schedules = Schedules(store)
    plan = schedules.create(Schedule(name="Day", start_min=480, end_min=1020), now_ms=0)
    for name in ("Anna", "Bert"):
        person = named(store, name)
        by = {"by": "office", "now_ms": ms(at(9))}
        schedules.assign(plan.id, DAY, identities=person.identities, **by)
        MarkedPeople(store, RULES).mark(person, reason=name, until=None, **by)
        Corrections(store, RULES).add(person, at(6, 17), note=name, **by)
    Joins(store, RULES).join(named(store, "Anna"), named(store, "A. Anna"), by="office", now_ms=0)
    assert counts(store) == (2, 2, 2, 2)
    return store


def test_erasing_a_person_leaves_nothing_that_was_written_about_them(store: BaseStore) -> None:
    erase(store, Whom(user_id="5", site_id=1), now_ms=ms(at(10)))
    # Nothing says of 70 alone that it is joined with a number that is gone.
    assert counts(store) == (1, 1, 0, 1)
    assert [one.note for one in Corrections(store, RULES).page(CorrectionQuery()).items] == ["Bert"]
    assert [one.reason for one in MarkedPeople(store, RULES).listed(0)] == ["Bert"]
    assert [one.schedule.name for one in Schedules(store).schedules()] == ["Day"]


def test_it_leaves_with_the_last_record_of_the_person(store: BaseStore) -> None:
    keep_records(store, 1, on=9)
    assert counts(store) == (1, 1, 0, 1)
    keep_records(store, 1, on=12)
    assert counts(store) == (0, 0, 0, 0)
    assert [one.schedule.name for one in Schedules(store).schedules()] == ["Day"]


def test_a_join_of_three_stays_a_join_of_two(store: BaseStore) -> None:
    Joins(store, RULES).join(named(store, "A. Anna"), named(store, "Bert"), by="office", now_ms=0)
    erase(store, Whom(user_id="5", site_id=1), now_ms=ms(at(10)))
    (rest,) = People(store, RULES).page(PeopleQuery()).items
    assert [one.user_id for one in Joins(store, RULES).numbers(rest)] == ["70", "9"]


def test_a_correction_leaves_with_the_records_of_when_it_was_made(store: BaseStore) -> None:
    """Of a person who goes on coming: no time of a passage is kept for longer than records are."""
    corrections, bert = Corrections(store, RULES), named(store, "Bert")
    (of_day_9,) = (row.id for row in store.records(RecordQuery(person="9")).items)
    corrections.strike(bert, of_day_9, note="struck", by="office", now_ms=ms(at(10)))
    store.write([seen(4, "9", "Bert", 11), seen(5, "9", "Bert", 12), seen(6, "9", "Bert", 20)])
    # Of Anna's records goes what was written about her; of Bert's none is due.
    keep_records(store, 3, on=12)
    assert counts(store)[1] == 2
    keep_records(store, 3, on=15)
    assert counts(store)[1] == 0
    assert named(store, "Bert").user_id == "9"


def test_a_mark_that_ended_leaves_with_the_records_of_that_day(store: BaseStore) -> None:
    marks, bert = MarkedPeople(store, RULES), named(store, "Bert")
    marks.mark(bert, reason="until then", until=at(10), by="office", now_ms=ms(at(9)))
    store.write([seen(4, "9", "Bert", 11), seen(5, "9", "Bert", 20)])
    assert marks.listed(ms(at(10) + timedelta(hours=1))) == [
        one for one in marks.listed(ms(at(9))) if one.reason == "Anna"
    ]
    keep_records(store, 3, on=13)
    assert counts(store)[3] == 1
    keep_records(store, 3, on=15)
    assert counts(store)[3] == 0
    assert named(store, "Bert").user_id == "9"
