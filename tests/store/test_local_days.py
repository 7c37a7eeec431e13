import re
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import BigInteger, bindparam, create_engine, select

from gatepost.store.local_days import (
    MAX_DAYS,
    Days,
    UnknownZone,
    days_between,
    month_of,
    parse_day,
    parse_time,
    zone,
)
from gatepost.store.query.statistics import day_in_sql

HOUR = 3_600_000
DATABASE = create_engine("sqlite://")


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def lengths(days: Days) -> list[float]:
    return [(end - start) / HOUR for start, end in zip(days.starts, days.starts[1:], strict=False)]


def test_a_day_begins_at_midnight_on_the_wall() -> None:
    days = Days.of(date(2024, 5, 6), date(2024, 5, 7), "Asia/Shanghai")
    assert days.begin_ms == at("2024-05-06T00:00+08:00")
    assert days.end_ms == at("2024-05-08T00:00+08:00")
    assert len(days) == 2
    assert [days.day(0), days.day(1)] == [date(2024, 5, 6), date(2024, 5, 7)]


@pytest.mark.parametrize(
    ("zone_name", "day", "hours"),
    [
        ("Europe/Berlin", date(2024, 3, 31), 23),
        ("Europe/Berlin", date(2024, 10, 27), 25),
        ("Australia/Lord_Howe", date(2024, 4, 7), 24.5),
        ("Africa/Cairo", date(2024, 4, 26), 23),  # midnight itself is jumped over
        ("Asia/Kathmandu", date(2024, 3, 31), 24),
        ("Pacific/Apia", date(2011, 12, 30), 0),  # which was no day at all
    ],
)
def test_a_day_is_as_long_as_the_clocks_have_it(zone_name: str, day: date, hours: float) -> None:
    assert lengths(Days.of(day, day, zone_name)) == [hours]


@given(
    name=st.sampled_from(sorted(available_timezones())),
    first=st.dates(date(1971, 1, 1), date(2040, 1, 1)),
    count=st.integers(1, 40),
    moment=st.floats(0, 1, exclude_max=True),
)
@example(name="Europe/Berlin", first=date(2024, 3, 1), count=31, moment=0.999)
@example(name="Pacific/Apia", first=date(2011, 12, 28), count=5, moment=0.5)
def test_the_database_cuts_days_like_python(name: str, first: date, count: int, moment: float) -> None:
    days = Days.of(first, first + timedelta(days=count - 1), name)
    assert list(days.starts) == sorted(days.starts)
    at_ms = days.begin_ms + int((days.end_ms - days.begin_ms) * moment)
    with DATABASE.connect() as db:
        found = db.execute(select(day_in_sql(days, bindparam("at", at_ms, BigInteger)))).scalar_one()
    assert found == days.index(at_ms)


def test_a_month_of_even_days_is_one_division() -> None:
    at_ms = bindparam("at", 0, BigInteger)
    even = day_in_sql(Days.of(date(2024, 5, 1), date(2024, 5, 31), "Europe/Berlin"), at_ms)
    changed = day_in_sql(Days.of(date(2024, 3, 1), date(2024, 4, 30), "Europe/Berlin"), at_ms)
    assert "CASE" not in str(even)
    assert str(changed).count("WHEN") == 2


def test_days_and_months_are_read_from_text() -> None:
    assert parse_day("2024-02-29") == date(2024, 2, 29)
    assert month_of("2024-02") == (date(2024, 2, 1), date(2024, 2, 29))
    assert month_of("2023-12") == (date(2023, 12, 1), date(2023, 12, 31))


@pytest.mark.parametrize(
    "text", ["", "2024-02-30", "2024-2-3", "20240203", "0001-01-01", "９９９９-01-01", "x"]
)
def test_what_is_no_day_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"2024-05-06|from 1900"):
        parse_day(text)


@pytest.mark.parametrize("text", ["", "2024-13", "2024-00", "2024", "2024-1", "0000-01", "9999-12"])
def test_what_is_no_month_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"2024-05|from 1900"):
        month_of(text)


def test_a_stretch_of_days_has_an_order_and_an_end() -> None:
    day = date(2024, 5, 6)
    assert days_between(day, day) == 1
    assert days_between(day, day + timedelta(days=MAX_DAYS - 1)) == MAX_DAYS
    with pytest.raises(ValueError, match="before"):
        days_between(day, day - timedelta(days=1))
    with pytest.raises(ValueError, match=f"at most {MAX_DAYS}"):
        days_between(day, day + timedelta(days=MAX_DAYS))


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "Europe", "a\0b", "\ud800"])
def test_a_zone_that_there_is_not_is_named(name: str) -> None:
    with pytest.raises(UnknownZone, match="no time zone"):
        zone(name)


def test_a_zone_is_found_by_its_name() -> None:
    assert datetime(2024, 1, 1, tzinfo=zone("Asia/Tokyo")) == datetime(2023, 12, 31, 15, tzinfo=UTC)


EIGHT = datetime(2024, 5, 1, 0, 0, tzinfo=UTC)
"""Eight o'clock in China."""


@pytest.mark.parametrize("decimals", ["", ".1", ".12", ".123", ".123456", ".123456789", ",5"])
@pytest.mark.parametrize("between", ["T", " ", "t"])
@pytest.mark.parametrize(
    "offset", ["+08:00", "+0800", "+08", " 08:00", " 0800", " 08", " +0800", "  08:00", " +08:00"]
)
def test_a_time_of_a_query_has_any_number_of_decimals_and_an_offset_in_any_form(
    decimals: str, between: str, offset: str
) -> None:
    parts = int(f"{decimals[1:7]:0<6}")
    found = parse_time(f"2024-05-01{between}08:00:00{decimals}{offset}")
    assert found == EIGHT + timedelta(microseconds=parts)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1)),  # noqa: DTZ001 - the zone is added below
    st.integers(-14 * 60, 14 * 60),
    st.booleans(),
)
def test_what_python_writes_is_read_back_whether_its_plus_was_escaped_or_not(
    naive: datetime, minutes: int, escaped: bool
) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    written = moment.isoformat()
    assert parse_time(written if escaped else written.replace("+", " ")) == moment


@pytest.mark.parametrize("number", [0, 1, 1_714_521_600, 99_999_999_999])
def test_a_unix_time_is_read_by_its_size(number: int) -> None:
    moment = datetime.fromtimestamp(number, UTC)
    assert parse_time(str(number)) == moment
    assert parse_time(f"{number}.25") == moment + timedelta(seconds=0.25)
    for zeros in ("000", "000000", "000000000") if number > 1000 else ():
        if len(f"{number}{zeros}") <= 19:
            assert parse_time(f"{number}{zeros}") == moment


def test_before_1970_is_a_negative_number() -> None:
    assert parse_time("-1.5") == datetime(1969, 12, 31, 23, 59, 58, 500_000, UTC)


@pytest.mark.parametrize("written", ["2024-05-01", "2024-05-01T00:00", "2024-05-01 00:00:00.0"])
def test_without_a_zone_a_time_is_of_the_clocks_that_are_given(written: str) -> None:
    assert parse_time(written) == datetime(2024, 5, 1, tzinfo=UTC)
    assert parse_time(written, local=zone("Asia/Shanghai")) == datetime(2024, 4, 30, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "Yesterday",
        "",
        "2024-13-01",
        "2024-05-01T08:00 8",
        "2024-05-01T08:00:00Z0800",
        "2024-05-01T08:00:00+25:00",
        "2024-05-01T08:00:00 +",
        "1e9",
        "٣",
        "0x10",
        "9" * 20,
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59-01:00",
    ],
)
def test_what_is_no_time_is_said_as_it_was_written(written: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{written!r} is no time")):
        parse_time(written)
