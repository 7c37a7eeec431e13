from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.store.events import RECEIVED_MS, arrival, record

from gatepost.store.base import BaseStore
from gatepost.store.conversion.values import ms
from gatepost.store.local_days import UnknownZone
from gatepost.store.query.statistics import (
    MAX_HOURS_DAYS,
    Bin,
    CodeCount,
    Counts,
    Statistics,
    StatisticsQuery,
    statistics,
)

DAY = date(2024, 5, 6)
NOON = datetime(2024, 5, 6, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    """Terminals 1 and 2 stand at site 1, in UTC, terminal 3 in Berlin."""
    store = open_store()
    store.create_site("Berlin", "Europe/Berlin", now_ms=0)
    for serial, site_id in (("SN-1", 1), ("SN-2", 1), ("SN-3", 2)):
        store.create_terminal(now_ms=0, serial=serial, site_id=site_id, name=f"Gate {serial[-1]}")
    return store


def happened(store: BaseStore, at: datetime, terminal_id: int = 1, times: int = 1, **fields: Any) -> None:
    store.write(
        [
            arrival(
                record(uuid=f"{at}-{terminal_id}-{fields}-{number}", recorded_at=at, **fields),
                terminal_id,
                received_at_ms=max(RECEIVED_MS, ms(at)),
            )
            for number in range(times)
        ]
    )


def counted(store: BaseStore, first: date = DAY, last: date | None = None, **query: Any) -> Statistics:
    return statistics(store, StatisticsQuery(first=first, last=last or first, **query))


def test_a_day_is_counted_by_outcome_hour_and_terminal(store: BaseStore) -> None:
    happened(store, NOON, times=3)
    happened(store, NOON + timedelta(minutes=59, seconds=59), 2, passed=False, abnormal_type=20002)
    happened(store, NOON + timedelta(hours=1), 2, passed=None)
    happened(store, NOON + timedelta(hours=2), recognition_type=3, passed=False, user=None)
    happened(store, NOON + timedelta(days=1))
    found = counted(store)
    assert found.total == Counts(records=6, passed=3, refused=2, unsaid=1, strangers=1)
    assert [(hour.hour, hour.counts.records) for hour in found.hours if hour.counts.records] == [
        (12, 4),
        (13, 1),
        (14, 1),
    ]
    assert [hour.hour for hour in found.hours] == list(range(24))
    assert [(day.day, day.counts) for day in found.days] == [(DAY, found.total)]
    assert [(one.serial, one.name, one.counts.records, one.counts.refused) for one in found.terminals] == [
        ("SN-1", "Gate 1", 4, 1),
        ("SN-2", "Gate 2", 2, 1),
    ]
    assert found.recognition_types == (CodeCount(code=1, count=5), CodeCount(code=3, count=1))
    assert found.abnormal_types == (CodeCount(code=0, count=5), CodeCount(code=20002, count=1))


def test_a_quiet_day_has_all_its_hours_and_nothing_in_them(store: BaseStore) -> None:
    found = counted(store)
    assert found.total == Counts()
    assert [hour.counts for hour in found.hours] == [Counts()] * 24
    assert (found.terminals, found.recognition_types) == ((), ())
    assert sum(bar.count for bar in (*found.scores, *found.temperatures)) == 0


def test_scores_and_temperatures_fall_into_bins(store: BaseStore) -> None:
    for score, temperature in [
        (0.0, 0.0),
        (0.15, 36.5),
        (0.1499, 36.99),
        (1.0, 37.0),
        (None, None),
        (0.999, 33.9),
        (-1.0, 55.0),
    ]:
        happened(store, NOON, score=score, temperature=temperature)
    found = counted(store)
    assert [(bar.low, bar.count) for bar in found.scores if bar.count] == [
        (None, 1),
        (0.0, 1),
        (0.1, 1),
        (0.15, 1),
        (0.95, 1),
        (1.0, 1),
    ]
    assert [(bar.low, bar.high, bar.count) for bar in found.temperatures if bar.count] == [
        (None, 34.0, 1),
        (36.5, 37.0, 2),
        (37.0, 37.5, 1),
        (42.0, None, 1),
    ]
    assert Bin(low=0.5, high=0.55, count=0) in found.scores


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2024, 3, 31), 23), (date(2024, 10, 27), 25), (date(2024, 5, 6), 24)]
)
def test_hours_are_those_on_the_wall_when_clocks_change(store: BaseStore, day: date, hours: int) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=2)
    for quarter in range(4 * 28):
        happened(store, midnight + timedelta(minutes=15 * quarter), 3)
    found = counted(store, day, site_id=2)
    assert found.timezone == "Europe/Berlin"
    assert [hour.counts.records for hour in found.hours] == [4] * hours
    assert found.total.records == 4 * hours
    shown = [hour.hour for hour in found.hours]
    assert (2 in shown) == (hours != 23)
    assert shown.count(2) == {23: 0, 24: 1, 25: 2}[hours]
    begins = [hour.at for hour in found.hours]
    assert begins == [found.begins_at + timedelta(hours=number) for number in range(hours)]


def test_hours_of_a_zone_that_is_off_by_less_than_an_hour_are_its_own(store: BaseStore) -> None:
    happened(store, datetime.fromisoformat("2024-05-06T10:44:59+05:45"))
    happened(store, datetime.fromisoformat("2024-05-06T11:00:00+05:45"))
    found = counted(store, timezone="Asia/Kathmandu")
    assert [hour.hour for hour in found.hours if hour.counts.records] == [10, 11]
    assert len(found.hours) == 24


def test_a_change_of_half_an_hour_makes_one_hour_longer(store: BaseStore) -> None:
    first = datetime(2024, 4, 6, 13, 0, tzinfo=UTC)  # midnight on Lord Howe
    for quarter in range(98):
        happened(store, first + timedelta(minutes=15 * quarter))
    found = counted(store, date(2024, 4, 7), timezone="Australia/Lord_Howe")
    assert sum(hour.counts.records for hour in found.hours) == found.total.records == 98
    assert sorted(hour.counts.records for hour in found.hours)[-1] <= 6


def test_a_long_stretch_has_days_but_no_hours(store: BaseStore) -> None:
    for number in range(MAX_HOURS_DAYS + 1):
        happened(store, NOON + timedelta(days=number), times=1 + number % 2)
    found = counted(store, DAY, DAY + timedelta(days=MAX_HOURS_DAYS))
    assert found.hours == ()
    assert [day.counts.records for day in found.days] == [1, 2] * ((MAX_HOURS_DAYS + 1) // 2)
    short = counted(store, DAY, DAY + timedelta(days=MAX_HOURS_DAYS - 1))
    assert [day.counts for day in short.days] == [day.counts for day in found.days[:-1]]
    assert len(short.hours) == 24 * MAX_HOURS_DAYS


def test_a_site_or_a_terminal_is_counted_alone_in_its_own_time(store: BaseStore) -> None:
    for terminal_id in (1, 2, 3):
        happened(store, NOON, terminal_id, times=terminal_id)
    store.update_terminal(2, timezone="Asia/Shanghai")
    cases: list[tuple[dict[str, Any], int, str, int | None]] = [
        ({"site_id": 1}, 3, "UTC", 12),
        ({"site_id": 2}, 3, "Europe/Berlin", 14),
        ({"terminal": 2}, 2, "Asia/Shanghai", 20),
        ({"terminal": 9}, 0, "UTC", None),
        ({"site_id": 9}, 0, "UTC", None),
        ({"site_id": 2, "terminal": 1}, 0, "Europe/Berlin", None),
        ({"terminal": "Gate 2"}, 2, "Asia/Shanghai", 20),
        ({"without_serial": True}, 0, "UTC", None),
    ]
    for query, count, zone, hour in cases:
        found = counted(store, **query)
        assert (found.total.records, found.timezone) == (count, zone)
        assert sum(bar.count for bar in found.scores) == count
        assert sum(one.counts.records for one in found.terminals) == count
        assert [one.hour for one in found.hours if one.counts.records] == ([] if hour is None else [hour])


def test_held_terminals_do_not_count(store: BaseStore) -> None:
    for terminal_id in (1, 2):
        happened(store, NOON, terminal_id)
    store.update_terminal(2, state="held")
    found = counted(store)
    assert (found.total.records, [one.serial for one in found.terminals]) == (1, ["SN-1"])


def test_the_busiest_terminals_come_first_and_are_few(store: BaseStore) -> None:
    for number in range(4, 26):
        store.create_terminal(now_ms=0, serial=f"SN-{number}")
        happened(store, NOON, number, times=number % 5 + 1)
    found = counted(store)
    counts = [one.counts.records for one in found.terminals]
    assert counts == sorted(counts, reverse=True)
    assert len(counts) == 20


def test_what_cannot_be_counted_says_why(store: BaseStore) -> None:
    with pytest.raises(UnknownZone, match="Mars"):
        counted(store, timezone="Mars/Olympus")
    with pytest.raises(ValueError, match="before"):
        counted(store, DAY, DAY - timedelta(days=1))
