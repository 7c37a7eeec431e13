"""Passages that are added and struck: attendance counts with them, and records stay as they are. On both databases."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from tests.store.events import NOON, arrival, record

from gatepost.store.attendance.attendance import Attendance, PersonAttendance
from gatepost.store.attendance.corrections import CorrectionQuery, Corrections
from gatepost.store.attendance.person_day import day_of
from gatepost.store.attendance.schedules import Schedule
from gatepost.store.attendance.stored_schedules import Schedules
from gatepost.store.base import BaseStore
from gatepost.store.interface import RecordQuery, Visible
from gatepost.store.people import moving
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Person, Rules
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.privacy.retention import Limits, Retention
from gatepost.store.terminals.registry import Conflict
from gatepost.wire import User

DAY = date(2024, 5, 6)
NOW_MS = round(datetime(2024, 5, 10, tzinfo=UTC).timestamp() * 1000)
ANNA = User(user_id="5", name="Anna")
BY = {"by": "office", "now_ms": NOW_MS}


def at(hour: int, minute: int = 0, second: int = 0, day: int = 6) -> datetime:
    return datetime(2024, 5, day, hour, minute, second, tzinfo=UTC)


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    """Anna is seen at 3:00, 8:00 with two repeats, and 12:00."""
    store = open_store()
    store.create_site("Hamburg", "UTC", now_ms=0)
    for serial in ("SN-1", "SN-2"):
        store.create_terminal(now_ms=0, serial=serial, site_id=1)
    times = [at(3), at(8), at(8, 0, 8), at(8, 0, 16), at(12)]
    store.write([seen(number, moment) for number, moment in enumerate(times)])
    return store


def seen(number: int, moment: datetime, terminal_id: int = 1, user: User = ANNA, **fields: object):  # type: ignore[no-untyped-def]
    event = record(number, recorded_at=moment, user=user, **fields)
    return arrival(event, terminal_id, received_at_ms=round(moment.timestamp() * 1000))


def anna(store: BaseStore) -> Person:
    (person,) = (one for one in People(store, Rules()).page(PeopleQuery()).items if one.user_id == "5")
    return person


def of_day(store: BaseStore, day: date = DAY) -> PersonAttendance:
    return Attendance(store, Rules()).of(anna(store), day, day)


def record_at(store: BaseStore, moment: datetime) -> int:
    return next(row.id for row in store.records(RecordQuery()).items if row.at == moment)


def test_an_added_passage_ends_a_shift(store: BaseStore) -> None:
    before = store.records(RecordQuery())
    corrections = Corrections(store, Rules())
    made = corrections.add(anna(store), at(17), note=" left by the gate ", **BY)
    assert (made.kind, made.at, made.note, made.made_by, made.user_id) == (
        "added", at(17), "left by the gate", "office", "5"
    )  # fmt: skip
    item = of_day(store)
    (shift,) = item.shifts
    assert (shift.first_in, shift.last_out, shift.passages) == (at(3), at(17), 4)
    assert shift.marks == ("corrected",)
    assert item.corrections == (made,)
    assert store.records(RecordQuery()) == before


def test_a_struck_passage_counts_no_more_and_neither_do_its_repeats(store: BaseStore) -> None:
    before = store.records(RecordQuery())
    corrections = Corrections(store, Rules())
    first = corrections.strike(anna(store), record_at(store, at(3)), note="someone else", **BY)
    assert (first.at, first.until, first.terminal_id) == (at(3), at(3), 1)
    (shift,) = of_day(store).shifts
    assert (shift.first_in, shift.last_out, shift.passages) == (at(8), at(12), 2)
    assert shift.marks == ("corrected",)
    # By its last repeat.
    second = corrections.strike(anna(store), record_at(store, at(8, 0, 16)), note="not her", **BY)
    assert (second.at, second.until) == (at(8), at(8, 0, 16))
    (shift,) = of_day(store).shifts
    assert (shift.first_in, shift.last_out, shift.marks) == (at(12), None, ("no_out", "corrected"))
    corrections.strike(anna(store), record_at(store, at(12)), note="not her", **BY)
    item = of_day(store)
    assert (item.shifts, len(item.corrections)) == ((), 3)
    assert store.records(RecordQuery()) == before


def test_a_correction_is_withdrawn_and_stays_listed(store: BaseStore) -> None:
    corrections = Corrections(store, Rules())
    before = of_day(store)
    made = corrections.add(anna(store), at(17), note="x", **BY)
    withdrawn = corrections.withdraw(made.id, by="boss", now_ms=NOW_MS + 1)
    assert withdrawn is not None
    assert withdrawn.withdrawn_by == "boss"
    assert corrections.withdraw(made.id, by="other", now_ms=NOW_MS + 2) == withdrawn
    assert of_day(store) == before
    assert corrections.page(CorrectionQuery()).items == (withdrawn,)
    assert corrections.withdraw(99, by="boss", now_ms=NOW_MS) is None
    # It may be made again.
    corrections.add(anna(store), at(17), note="x", **BY)


def test_what_cannot_be_corrected_is_said(store: BaseStore) -> None:
    corrections = Corrections(store, Rules())
    person = anna(store)
    store.write([seen(7, at(13), passed=False), seen(8, at(13), user=User(user_id="6", name="Bert"))])
    (refused, other) = sorted(row.id for row in store.records(RecordQuery()).items if row.at == at(13))
    for number in (refused, other, 10**9):
        with pytest.raises(ValueError, match="record_id: this is no passage of this person"):
            corrections.strike(person, number, note="x", **BY)
    with pytest.raises(ValueError, match="at: a passage is added for a time that is past"):
        corrections.add(person, at(0, day=11), note="x", **BY)
    for note in ("", "  ", "x" * 501):
        with pytest.raises(ValueError, match="note: say why, in 1 to 500 characters"):
            corrections.add(person, at(17), note=note, **BY)
    corrections.add(person, at(17), note="x", **BY)
    with pytest.raises(Conflict, match="added already; withdraw that correction first"):
        corrections.add(person, at(17), note="x", **BY)
    number = record_at(store, at(8))
    corrections.strike(person, number, note="x", **BY)
    with pytest.raises(Conflict, match="struck already"):
        corrections.strike(person, record_at(store, at(8, 0, 8)), note="x", **BY)


def test_each_question_finds_the_same_shifts_with_corrections(store: BaseStore) -> None:
    """An added passage joins two shifts over a rest that would part them."""
    first = NOON - timedelta(hours=12)
    batch = [seen(100 + n, first + timedelta(hours=14 * n), user=User(user_id="7")) for n in range(20)]
    store.write(batch)
    (person,) = (one for one in People(store, Rules()).page(PeopleQuery()).items if one.user_id == "7")
    later = {"by": "x", "now_ms": NOW_MS * 2}
    corrections = Corrections(store, Rules())
    for number in (0, 1, 2, 5, 6, 9):
        corrections.add(person, first + timedelta(hours=14 * number + 7, minutes=1), note="x", **later)
    attendance = Attendance(store, Rules())
    whole = attendance.shifts(person, DAY, DAY + timedelta(20))
    by_day = [attendance.shifts(person, DAY + timedelta(n), DAY + timedelta(n)) for n in range(21)]
    assert tuple(shift for shifts in by_day for shift in shifts) == whole
    assert sum(shift.passages for shift in whole) == 26
    assert {"corrected" in shift.marks for shift in whole} == {True, False}


def test_a_schedule_is_compared_with_the_corrected_shift(store: BaseStore) -> None:
    schedules = Schedules(store)
    day = schedules.create(Schedule(name="Day", start_min=480, end_min=1020, grace_min=1), now_ms=0)
    schedules.assign(day.id, DAY, identities=anna(store).identities, by="x", now_ms=1)
    (shift,) = of_day(store).shifts
    assert shift.marks == ("early",)
    Corrections(store, Rules()).add(anna(store), at(17), note="x", **BY)
    (shift,) = of_day(store).shifts
    assert shift.marks == ("corrected",)
    Corrections(store, Rules()).add(anna(store), at(8, day=7), note="out", **BY)
    (shift,) = of_day(store, date(2024, 5, 7)).shifts
    assert shift.marks == ("no_out", "missing", "corrected")


def test_a_day_shows_what_was_struck_and_what_was_added(store: BaseStore) -> None:
    corrections = Corrections(store, Rules())
    struck = corrections.strike(anna(store), record_at(store, at(3)), note="x", **BY)
    added = corrections.add(anna(store), at(17), note="x", **BY)
    day = day_of(store, anna(store), DAY, Rules())
    assert [(item.at, item.is_struck) for item in day.items] == [
        (at(3), True),
        (at(8), False),
        (at(12), False),
    ]
    assert day.corrections == (struck, added)
    assert [shift.marks for shift in day.shifts] == [("corrected",)]


def test_corrections_are_listed_page_by_page_and_by_site(store: BaseStore) -> None:
    corrections = Corrections(store, Rules())
    made = [corrections.add(anna(store), at(13, minute), note="x", **BY) for minute in range(5)]
    page = corrections.page(CorrectionQuery(limit=3))
    rest = corrections.page(CorrectionQuery(limit=3, cursor=page.next_cursor))
    assert [*page.items, *rest.items] == made[::-1]
    assert rest.next_cursor is None
    since = CorrectionQuery(since=at(13, 1), until=at(13, 3), identities=anna(store).identities)
    assert corrections.page(since).items == (made[2], made[1])
    assert corrections.page(CorrectionQuery(identities=[10**6])).items == ()
    elsewhere = Corrections(store.seen_by(Visible(sites=frozenset({2}))), Rules())
    assert elsewhere.page(CorrectionQuery()).items == ()
    assert elsewhere.withdraw(made[0].id, by="x", now_ms=1) is None


def written(store: BaseStore) -> tuple[int, int]:
    """Return how many corrections and assignments there are, of whomever."""
    return (
        len(Corrections(store, Rules()).page(CorrectionQuery()).items),
        len(Schedules(store).assignments(Visible())),
    )


def assigned(store: BaseStore) -> None:
    schedules = Schedules(store)
    day = schedules.create(Schedule(name="Day", start_min=480, end_min=1020), now_ms=0)
    schedules.assign(day.id, DAY, identities=anna(store).identities, by="x", now_ms=1)
    Corrections(store, Rules()).add(anna(store), at(17), note="x", **BY)


def test_erasing_a_person_erases_what_was_written_about_them(store: BaseStore) -> None:
    assigned(store)
    assert written(store) == (1, 1)
    erase(store, Whom(user_id="5", site_id=1), now_ms=NOW_MS)
    assert written(store) == (0, 0)


def test_who_was_erased_meanwhile_is_written_about_no_more(store: BaseStore) -> None:
    """The person is as they were read, before another user erased them."""
    person, number = anna(store), record_at(store, at(8))
    schedules, corrections = Schedules(store), Corrections(store, Rules())
    day = schedules.create(Schedule(name="Day", start_min=480, end_min=1020), now_ms=0)
    erase(store, Whom(user_id="5", site_id=1), now_ms=NOW_MS)
    with pytest.raises(Conflict, match="this person was erased"):
        corrections.add(person, at(17), note="x", **BY)
    with pytest.raises(ValueError, match="record_id"):
        corrections.strike(person, number, note="x", **BY)
    for schedule_id in (day.id, None):
        with pytest.raises(Conflict, match="this person was erased"):
            schedules.assign(schedule_id, DAY, identities=person.identities, by="x", now_ms=1)
    assert written(store) == (0, 0)


def test_what_was_written_goes_to_a_form_that_stays_and_leaves_with_the_last_one(store: BaseStore) -> None:
    """Retention deletes the records of a person's first name, and later the others."""
    assigned(store)
    store.write([seen(9, at(12, day=9), user=User(user_id="5", name="Anna Meier"))])
    for days, left in ((2, (1, 1)), (1, (0, 0))):
        while Retention(store, Limits(records_days=days)).once(NOW_MS + 86_400_000).more:
            pass
        assert written(store) == left


def test_what_was_written_goes_along_when_a_terminal_moves(store: BaseStore) -> None:
    assigned(store)
    struck = Corrections(store, Rules()).strike(anna(store), record_at(store, at(3)), note="x", **BY)
    # Hamburg knows the same person already, in the same form.
    store.update_terminal(2, site_id=2)
    store.write([seen(9, at(9), 2)])
    store.update_terminal(1, site_id=2)
    while moving.finish(store):
        pass
    (person,) = People(store, Rules()).page(PeopleQuery()).items
    assert person.site == "Hamburg"
    item = Attendance(store, Rules()).of(person, DAY, DAY)
    assert [one.id for one in item.corrections] == [struck.id, struck.id - 1]
    assert [shift.planned is not None for shift in item.shifts] == [True]
