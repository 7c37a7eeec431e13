import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.store.events import NOON, arrival, record

from gatepost.store.attendance.attendance import MAX_CELLS, Attendance
from gatepost.store.attendance.attended import Attended
from gatepost.store.attendance.person_day import day_of
from gatepost.store.base import BaseStore
from gatepost.store.interface import Arrival
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Rules, Scope
from gatepost.wire import Dialect, Group, User

FIRST, LAST = date(2024, 3, 1), date(2024, 3, 31)
BERLIN, SHANGHAI = (1, "default", "Europe/Berlin"), (2, "Shanghai", "Asia/Shanghai")


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    """Terminals 1 and 2 stand in Berlin, terminal 3 in Shanghai."""
    store = open_store()
    store.update_site(1, timezone="Europe/Berlin")
    store.create_site("Shanghai", "Asia/Shanghai", now_ms=0)
    for serial, site_id in (("SN-1", 1), ("SN-2", 1), ("SN-3", 2)):
        store.create_terminal(now_ms=0, serial=serial, site_id=site_id)
    return store


def passage(number: int, at: datetime, terminal_id: int = 1, user: User | None = None) -> Arrival:
    event = record(number, recorded_at=at, user=user or User(user_id="5", name="王五"))
    return arrival(event, terminal_id)


def test_a_shift_is_of_the_day_on_which_it_begins_at_the_site(store: BaseStore) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    times = [
        datetime(2024, 2, 29, 23, 59, tzinfo=berlin),  # a shift of February
        datetime(2024, 3, 1, 6, 0, tzinfo=berlin),
        datetime(2024, 3, 1, 22, 0, tzinfo=berlin),
        datetime(2024, 3, 2, 6, 0, tzinfo=berlin),
        datetime(2024, 3, 30, 22, 0, tzinfo=berlin),  # the night has seven hours
        datetime(2024, 3, 31, 6, 0, tzinfo=berlin),
        datetime(2024, 3, 31, 23, 30, tzinfo=berlin),
        datetime(2024, 4, 1, 5, 0, tzinfo=berlin),
    ]
    store.write([passage(number, at) for number, at in enumerate(times)])
    (found,) = Attendance(store, Rules()).page(PeopleQuery(), FIRST, LAST).items
    utc = [at.astimezone(UTC) for at in times]
    assert found.shifts == (
        Attended(FIRST, utc[2], utc[3], 2, "王五", None, *BERLIN),
        Attended(date(2024, 3, 30), utc[4], utc[5], 2, "王五", None, *BERLIN),
        Attended(LAST, utc[6], utc[7], 2, "王五", None, *BERLIN),
    )
    assert [shift.seconds for shift in found.shifts] == [8 * 3600, 7 * 3600, 5.5 * 3600]


def test_who_works_by_day_and_who_by_night_are_right_at_one_site(store: BaseStore) -> None:
    batch = []
    for number in range(20):
        day = datetime(2024, 3, 4, tzinfo=ZoneInfo("Europe/Berlin")) + timedelta(days=number)
        for place, hour in enumerate((9, 12, 13, 18)):
            who = User(user_id="5", name="Day")
            batch.append(passage(number * 10 + place, day.replace(hour=hour), 1, who))
        for place, hour in enumerate((22, 26, 30)):
            who = User(user_id="6", name="Night")
            batch.append(passage(1000 + number * 10 + place, day + timedelta(hours=hour), 2, who))
    store.write(batch)
    page = Attendance(store, Rules()).page(PeopleQuery(), FIRST, LAST)
    found = {item.person.name: item.shifts for item in page.items}
    assert {shift.seconds for shift in found["Day"]} == {9 * 3600}
    assert {shift.seconds for shift in found["Night"]} == {8 * 3600}
    for shifts in found.values():
        assert [shift.day.day for shift in shifts] == list(range(4, 24))


def test_who_is_never_away_for_a_rest_has_the_same_shifts_whatever_is_asked(store: BaseStore) -> None:
    first = datetime(2024, 1, 1, tzinfo=UTC)
    store.write([passage(number, first + timedelta(hours=5 * number)) for number in range(600)])
    (person,) = People(store, Rules()).page(PeopleQuery()).items
    attendance = Attendance(store, Rules())
    whole = attendance.shifts(person, date(2024, 1, 1), date(2024, 5, 5))
    assert sum(shift.passages for shift in whole) == 600
    assert len(whole) > 1
    by_day = [
        attendance.shifts(person, day, day)
        for day in (date(2024, 1, 1) + timedelta(days=number) for number in range(126))
    ]
    assert tuple(shift for shifts in by_day for shift in shifts) == whole


def test_each_person_has_the_days_of_their_own_site(store: BaseStore) -> None:
    at = datetime(2024, 3, 5, 20, 0, tzinfo=UTC)
    store.write([passage(1, at, 1), passage(2, at, 3, User(user_id="6", name="李六"))])
    page = Attendance(store, Rules()).page(PeopleQuery(), FIRST, LAST)
    assert {item.person.user_id: [one.day.day for one in item.shifts] for item in page.items} == {
        "5": [5],
        "6": [6],
    }


def test_a_number_at_two_sites_is_two_people_or_one_with_one_shift(store: BaseStore) -> None:
    """From Berlin at 08:00 to Shanghai, where it is 18:00, three hours later."""
    seven = datetime(2024, 3, 5, 7, 0, tzinfo=UTC)
    ten = seven + timedelta(hours=3)
    store.write([passage(1, seven, 1), passage(2, ten, 3)])
    apart = Attendance(store, Rules()).page(PeopleQuery(), FIRST, LAST)
    day = date(2024, 3, 5)
    assert {item.person.site: item.shifts for item in apart.items} == {
        "default": (Attended(day, seven, None, 1, "王五", None, *BERLIN),),
        "Shanghai": (Attended(day, ten, None, 1, "王五", None, *SHANGHAI),),
    }
    (one,) = Attendance(store, Rules(scope="everywhere")).page(PeopleQuery(), FIRST, LAST).items
    assert (one.person.site, one.shifts) == (
        "Shanghai",
        (Attended(day, seven, ten, 2, "王五", None, *BERLIN),),
    )


def test_a_number_everywhere_has_each_shift_by_the_clocks_of_where_it_began(store: BaseStore) -> None:
    """At 01:00 in Shanghai it is still the day before in Berlin, where the person is seen later."""
    one, four = (datetime(2024, 3, 5, hour, tzinfo=ZoneInfo("Asia/Shanghai")) for hour in (1, 4))
    store.write([passage(1, one, 3), passage(2, four, 3), passage(3, datetime(2024, 3, 9, 9, tzinfo=UTC), 1)])
    attendance = Attendance(store, Rules(scope="everywhere"))
    (found,) = attendance.page(PeopleQuery(), FIRST, LAST).items
    assert found.person.site == "default"
    assert [(shift.day.day, shift.site, shift.timezone) for shift in found.shifts] == [
        (5, "Shanghai", "Asia/Shanghai"),
        (9, "default", "Europe/Berlin"),
    ]
    for day, count in ((4, 0), (5, 1), (6, 0)):
        shifts = attendance.shifts(found.person, date(2024, 3, day), date(2024, 3, day))
        of_day = day_of(store, found.person, date(2024, 3, day), attendance.rules)
        assert (len(shifts), of_day.shifts, len(of_day.items)) == (count, shifts, 2 * count)
    for site_id, days in ((1, [9]), (2, [5])):
        (found,) = attendance.page(PeopleQuery(site_id=site_id), FIRST, LAST).items
        assert [shift.day.day for shift in found.shifts] == days


def test_people_who_were_not_there_are_listed_without_days(store: BaseStore) -> None:
    store.write([passage(1, NOON)])
    (found,) = Attendance(store, Rules()).page(PeopleQuery(), FIRST, LAST).items
    assert (found.person.user_id, found.shifts) == ("5", ())


def test_refusals_and_held_terminals_do_not_count(store: BaseStore) -> None:
    at = datetime(2024, 3, 5, 12, 0, tzinfo=UTC)
    refused = record(
        1, recorded_at=at - timedelta(hours=1), passed=False, user=User(user_id="5", name="王五")
    )
    store.write([arrival(refused), passage(2, at, 1), passage(3, at + timedelta(hours=1), 2)])
    store.update_terminal(2, state="held")
    (found,) = Attendance(store, Rules()).page(PeopleQuery(), FIRST, LAST).items
    assert found.shifts == (Attended(date(2024, 3, 5), at, None, 1, "王五", None, *BERLIN),)


def test_somebody_in_view_from_nine_to_five_was_there_for_eight_hours_in_one_passage(
    store: BaseStore,
) -> None:
    nine = datetime(2024, 3, 5, 9, 0, tzinfo=UTC)
    store.write([passage(number, nine + timedelta(minutes=number)) for number in range(8 * 60 + 1)])
    (found,) = Attendance(store, Rules(repeat_ms=60_000)).page(PeopleQuery(), FIRST, LAST).items
    assert found.shifts == (
        Attended(date(2024, 3, 5), nine, nine + timedelta(hours=8), 1, "王五", None, *BERLIN),
    )


def test_who_is_only_refused_or_of_whom_nothing_is_said_was_not_there(store: BaseStore) -> None:
    at = datetime(2024, 3, 5, 12, 0, tzinfo=UTC)
    who = User(user_id="5", name="王五")
    for number, passed in enumerate((False, None)):
        store.write([arrival(record(number, recorded_at=at, user=who, passed=passed))])
    (found,) = Attendance(store, Rules()).page(PeopleQuery(), FIRST, LAST).items
    assert found.shifts == ()


def test_a_passage_of_a_clock_in_the_future_is_of_the_day_of_its_receipt(store: BaseStore) -> None:
    received = datetime(2024, 3, 5, 12, 0, tzinfo=UTC)
    who = User(user_id="5", name="王五")
    event = record(1, recorded_at=datetime(2110, 8, 20, tzinfo=UTC), user=who)
    store.write([arrival(event, received_at_ms=round(received.timestamp() * 1000))])
    (found,) = Attendance(store, Rules()).page(PeopleQuery(), FIRST, LAST).items
    assert found.shifts == (Attended(date(2024, 3, 5), received, None, 1, "王五", None, *BERLIN),)


@pytest.mark.parametrize("scope", ["site", "everywhere", "terminal"])
def test_each_day_has_the_name_as_it_was_then_and_search_finds_both(store: BaseStore, scope: Scope) -> None:
    fourth, fifth, sixth = (datetime(2024, 3, day, 9, 0, tzinfo=UTC) for day in (4, 5, 6))
    before, after = User(user_id="5", name="Anna Schmidt"), User(user_id="5", name="Anna Weber")
    store.write([
        passage(1, fourth, user=before),
        passage(2, fifth, user=before),
        passage(3, fifth + timedelta(hours=8), user=after),
        passage(4, sixth, user=after),
    ])  # fmt: skip
    for q in ("schmidt", "weber"):
        (found,) = Attendance(store, Rules(scope=scope)).page(PeopleQuery(q=q), FIRST, LAST).items
        assert found.person.name == "Anna Weber"
        assert found.names == ("Anna Schmidt", "Anna Weber")
        assert [(day.name, day.passages, day.seconds) for day in found.shifts] == [
            ("Anna Schmidt", 1, None),
            ("Anna Weber", 2, 8 * 3600),
            ("Anna Weber", 1, None),
        ]


def test_a_group_is_counted_by_day(store: BaseStore) -> None:
    lab, zoo = Group(id="1", name="Lab"), Group(id="2", name="Zoo")
    at = datetime(2024, 3, 5, 12, 0, tzinfo=UTC)
    anna = User(user_id="1", name="Anna", groups=(lab, zoo))
    bert = User(user_id="2", name="Bert", groups=(lab,))
    away = User(user_id="3", name="Away", groups=(zoo,))
    store.write(
        [passage(1, at, 1, anna), passage(2, at + timedelta(hours=1), 2, bert), passage(3, NOON, 1, away)]
    )
    groups = Attendance(store, Rules()).groups(FIRST, LAST)
    assert [
        (group.group.name, group.people, [(d.day.day, d.present) for d in group.days]) for group in groups
    ] == [
        ("Lab", 2, [(5, 2)]),
        ("Zoo", 2, [(5, 1)]),
    ]
    assert (groups[0].days[0].first_in, groups[0].days[0].last_out) == (at, None)
    assert Attendance(store, Rules()).groups(FIRST, LAST, site_id=2) == []


def test_groups_count_everybody_however_many_pages_they_fill(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatepost.store.attendance.attendance.MAX_CELLS", 31 * 2)
    at = datetime(2024, 3, 5, 12, 0, tzinfo=UTC)
    lab = (Group(id="1", name="Lab"),)
    store.write([passage(n, at, 1, User(user_id=str(n), name="x", groups=lab)) for n in range(7)])
    (group,) = Attendance(store, Rules()).groups(FIRST, LAST)
    assert (group.people, group.days[0].present) == (7, 7)


def test_too_much_at_once_says_what_to_ask_for(store: BaseStore) -> None:
    attendance = Attendance(store, Rules())
    with pytest.raises(ValueError, match=f"at most {MAX_CELLS // 366} people"):
        attendance.page(PeopleQuery(limit=1000), date(2024, 1, 1), date(2024, 12, 31))
    with pytest.raises(ValueError, match="before the first"):
        attendance.page(PeopleQuery(), LAST, FIRST)


@pytest.mark.parametrize("scope", ["site", "terminal", "everywhere"])
@pytest.mark.parametrize("rules", [{}, {"repeat_ms": 0}, {"repeat_ms": 3_600_000}])
def test_a_month_is_the_sum_of_its_days(store: BaseStore, scope: Scope, rules: dict[str, int]) -> None:
    rand = random.Random(f"{scope}{rules}")
    batch = []
    for number in range(400):
        at = datetime(2024, 3, 29, tzinfo=UTC) + timedelta(
            seconds=rand.choice((1, 60, 3600)) * rand.randrange(80)
        )
        who = User(user_id=str(rand.randrange(3)), name=rand.choice(("Anna", "Bert")))
        passed = rand.choice((True, True, True, False, None))
        dialect = rand.choice((Dialect.V1_3_0, Dialect.V1_0, Dialect.BEFORE_1_0))
        codes = {} if dialect is Dialect.V1_3_0 else {"entry_mode": None, "abnormal_type": None}
        event = record(number, recorded_at=at, user=who, passed=passed, **codes)
        batch.append(arrival(event, 1 + number % 3, dialect=dialect))
    store.write(batch)
    read = Rules(scope=scope, **rules)
    attendance = Attendance(store, read)
    people = People(store, read).page(PeopleQuery()).items
    assert people
    first = date(2024, 3, 27)  # two empty days, and the last ones of the month
    for person in people:
        one_by_one = [day_of(store, person, first + timedelta(days=number), read) for number in range(5)]
        found = attendance.shifts(person, first, LAST)
        assert [shift for one in one_by_one for shift in one.shifts] == list(found)
        for one in one_by_one:
            went = [item for item in one.items if not (item.refused or item.unsaid)]
            assert len(went) == sum(shift.passages for shift in one.shifts)
        shown = [item.record_id for one in one_by_one for item in one.items]
        assert len(shown) == len(set(shown))
