from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from tests.store.events import NOON, arrival, record

from gatepost.store.attendance.person_day import PersonDay, day_of
from gatepost.store.base import BaseStore
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Rules
from gatepost.wire import AbnormalType, Dialect, User

DAY = date(2024, 5, 6)


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    store = open_store()
    for serial in ("SN-1", "SN-2"):
        store.create_terminal(now_ms=0, serial=serial, name=f"Gate {serial[-1]}")
    return store


def went(
    store: BaseStore,
    at: datetime,
    terminal_id: int = 1,
    *,
    dialect: Dialect = Dialect.V1_3_0,
    **fields: Any,
) -> int:
    user = fields.pop("user", None) or User(user_id="5", name="王五")
    event = record(uuid=f"{at}-{terminal_id}-{fields}", recorded_at=at, user=user, **fields)
    received_at_ms = round(at.timestamp() * 1000)
    return store.write([arrival(event, terminal_id, dialect=dialect, received_at_ms=received_at_ms)])[0].id


def seconds(number: float) -> datetime:
    return NOON + timedelta(seconds=number)


def day(store: BaseStore, when: date = DAY, **rules: Any) -> PersonDay:
    read = Rules(**rules)
    (person,) = People(store, read).page(PeopleQuery()).items
    return day_of(store, person, when, read)


def times(found: PersonDay) -> list[tuple[datetime, datetime | None, int]]:
    return [(shift.first_in, shift.last_out, shift.passages) for shift in found.shifts]


def test_a_day_has_its_first_and_last_passage_and_every_one_between(store: BaseStore) -> None:
    ids = [went(store, seconds(at), terminal_id) for at, terminal_id in ((60, 1), (0, 2), (3600, 1))]
    found = day(store)
    assert times(found) == [(seconds(0), seconds(3600), 3)]
    assert [item.record_id for item in found.items] == [ids[1], ids[0], ids[2]]
    assert [(item.serial, item.terminal) for item in found.items[:2]] == [
        ("SN-2", "Gate 2"),
        ("SN-1", "Gate 1"),
    ]


def test_a_day_on_which_nobody_came_is_empty(store: BaseStore) -> None:
    went(store, seconds(0))
    found = day(store, DAY + timedelta(days=1))
    assert (found.shifts, found.items) == ((), ())
    assert found.begins_at == datetime.fromisoformat("2024-05-07T00:00Z")
    assert found.ends_at == datetime.fromisoformat("2024-05-08T00:00Z")


def test_passages_at_one_terminal_within_the_time_set_count_once(store: BaseStore) -> None:
    for at in (0, 10, 20, 31):  # each within ten seconds of the one before, but the last
        went(store, seconds(at))
    found = day(store, repeat_ms=10_000)
    assert [(item.at, item.repeats) for item in found.items] == [(seconds(0), 2), (seconds(31), 0)]
    assert [item.last_at for item in found.items] == [seconds(20), seconds(31)]
    assert times(found) == [(seconds(0), seconds(31), 2)]
    for repeat_ms in (0, 9_000):
        assert times(day(store, repeat_ms=repeat_ms)) == [(seconds(0), seconds(31), 4)]


def test_somebody_in_view_from_nine_to_five_has_one_passage_and_left_at_five(store: BaseStore) -> None:
    for minute in range(0, 8 * 60 + 1):
        went(store, seconds(60 * minute))
    found = day(store, repeat_ms=60_000)
    assert times(found) == [(seconds(0), seconds(8 * 3600), 1)]


def test_passages_at_two_terminals_are_two(store: BaseStore) -> None:
    for at, terminal_id in ((0, 1), (1, 2), (2, 1), (3, 2)):
        went(store, seconds(at), terminal_id)
    assert [(item.terminal_id, item.repeats) for item in day(store).items] == [(1, 1), (2, 1)]


def test_a_repeat_after_midnight_is_of_the_shift_before(store: BaseStore) -> None:
    midnight = datetime.fromisoformat("2024-05-07T00:00Z")
    went(store, midnight - timedelta(seconds=3))
    went(store, midnight + timedelta(seconds=3))
    assert times(day(store, DAY)) == [(midnight - timedelta(seconds=3), None, 1)]
    assert day(store, DAY + timedelta(days=1)).items == ()


def test_the_night_is_shown_on_the_day_on_which_its_shift_begins(store: BaseStore) -> None:
    store.update_site(1, timezone="Asia/Shanghai")
    evening, morning, next_evening = (
        datetime.fromisoformat(f"2024-05-{text}+08:00") for text in ("06T22:00", "07T06:00", "07T22:00")
    )
    for at in (evening, morning, next_evening):
        went(store, at)
    went(store, evening + timedelta(hours=4), passed=False)
    went(store, morning + timedelta(hours=4), passed=False)
    first, second = day(store, DAY), day(store, DAY + timedelta(days=1))
    assert times(first) == [(evening, morning, 2)]
    assert [item.at - evening for item in first.items] == [timedelta(hours=hours) for hours in (0, 4, 8)]
    assert times(second) == [(next_evening, None, 1)]
    assert [(item.at - evening, item.refused) for item in second.items] == [
        (timedelta(hours=12), True),
        (timedelta(hours=24), False),
    ]
    assert (first.refused, second.refused) == (1, 1)


def test_two_shifts_may_begin_on_one_day(store: BaseStore) -> None:
    store.update_site(1, timezone="Asia/Shanghai")
    moments = [
        datetime.fromisoformat(f"2024-05-{text}+08:00")
        for text in ("06T00:30", "06T08:30", "06T23:50", "07T08:00")
    ]
    for at in moments:
        went(store, at)
    assert times(day(store, DAY)) == [(moments[0], moments[1], 2), (moments[2], moments[3], 2)]


def test_a_refusal_is_no_passage_but_is_told(store: BaseStore) -> None:
    went(store, seconds(0), passed=False)
    went(store, seconds(1))
    went(store, seconds(2), passed=False)
    found = day(store)
    assert [(item.refused, item.repeats) for item in found.items] == [(True, 1), (False, 0)]
    assert (times(found), found.refused) == ([(seconds(1), None, 1)], 1)


def test_a_refusal_during_a_shift_of_many_days_is_told_once(store: BaseStore) -> None:
    for number in range(40):
        went(store, NOON + timedelta(hours=5 * number))
    went(store, NOON + timedelta(days=6, minutes=1), passed=False)
    assert [day(store, DAY + timedelta(days=number)).refused for number in range(9)] == [1, *[0] * 8]


@pytest.mark.parametrize("dialect", [one for one in Dialect if one is not Dialect.BEFORE_1_0])
def test_a_record_without_pass_is_listed_and_no_passage_where_the_dialect_has_pass(
    store: BaseStore, dialect: Dialect
) -> None:
    codes = {} if dialect is Dialect.V1_3_0 else {"entry_mode": None, "abnormal_type": None}
    went(store, seconds(0), passed=None, dialect=dialect, **codes)
    found = day(store)
    assert [(item.refused, item.unsaid) for item in found.items] == [(False, True)]
    assert (found.shifts, found.refused) == ((), 0)


def test_a_record_without_pass_is_a_passage_where_the_dialect_has_none(store: BaseStore) -> None:
    old = {"passed": None, "dialect": Dialect.BEFORE_1_0, "entry_mode": None, "abnormal_type": None}
    went(store, seconds(0), **old)
    found = day(store)
    assert [(item.refused, item.unsaid) for item in found.items] == [(False, False)]
    assert times(found) == [(seconds(0), None, 1)]


def test_a_visitor_outside_their_time_is_marked(store: BaseStore) -> None:
    guest = User(user_id="5", name="Guest", type=2, guest_from=seconds(100), guest_until=seconds(200))
    for at in (99, 100, 200, 201):
        went(store, seconds(at), user=guest)
    went(store, seconds(150), 2, user=guest, abnormal_type=int(AbnormalType.VISITOR_EXPIRED))
    found = day(store, repeat_ms=0)
    assert [item.outside_time for item in found.items] == [True, False, True, False, True]


def test_a_person_of_one_terminal_has_the_passages_there(store: BaseStore) -> None:
    went(store, seconds(0), 1)
    went(store, seconds(60), 2)
    rules = Rules(scope="terminal")
    people = People(store, rules).page(PeopleQuery()).items
    assert [[item.terminal_id for item in day_of(store, one, DAY, rules).items] for one in people] == [
        [2],
        [1],
    ]


def test_what_a_held_terminal_saw_is_not_shown(store: BaseStore) -> None:
    went(store, seconds(0), 1)
    went(store, seconds(60), 2)
    store.update_terminal(2, state="held")
    assert [item.terminal_id for item in day(store).items] == [1]
