"""Local days: where each one begins and ends, in a site's time zone.

A day begins when the clocks on the wall there show midnight, and lasts until they show it again: 23 or 25 hours where
they are put forward or back in between.

Pure: the zones come from the IANA database, the time from the caller.
"""

import calendar
import re
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from gatepost.errors import StoreError

__all__ = [
    "DAY_MS",
    "MAX_DAYS",
    "Days",
    "UnknownZone",
    "days_between",
    "month_of",
    "parse_day",
    "parse_time",
    "zone",
]

MAX_DAYS = 400
"""The longest stretch that is looked at in one question: a year and a bit."""

_HOUR_MS = 3_600_000
DAY_MS = 24 * _HOUR_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_UNIX = re.compile(r"(-?)([0-9]{1,19})(?:\.([0-9]*))?")

_UNITS = ((10**11, 1), (10**14, 1000), (10**17, 10**6), (10**20, 10**9))
"""Below which number a Unix time is of how many parts a second: 10¹¹ seconds are the year 5138, 10¹¹ ms are 1973."""

_ZONED = re.compile(
    r"([0-9]{4}-?[0-9]{2}-?[0-9]{2}[T ][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2}(?:[.,][0-9]+)?)?)?)"
    r"(?: ?(Z)| ?([+-])|  ?)([0-9]{2}(?::?[0-9]{2})?)?"
)
"""A time with a zone: ``Z``, or an offset with its sign, or with a blank where a query had the plus."""


class UnknownZone(StoreError):
    """The IANA database has no such time zone."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"there is no time zone {self.name!r}; use a name such as Europe/Berlin or Asia/Shanghai"


def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name. Raises :class:`UnknownZone`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UnknownZone(name) from None


def parse_day(text: str) -> date:
    """``2024-05-06``. Raises ``ValueError`` with a sentence."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        try:
            found = date.fromisoformat(text)
        except ValueError:
            pass
        else:
            return _checked(found, text)
    raise ValueError(f"{text!r} is no day; write it like 2024-05-06")


def parse_time(text: str, *, local: tzinfo = UTC) -> datetime:
    """Return the moment that a query means, in UTC: ISO 8601, or a Unix time as a number.

    A number counts seconds, milliseconds, microseconds or nanoseconds, by its size. An ISO time may have any number of
    decimals, a blank for its ``T``, and the zones ``Z``, ``+hh``, ``+hhmm`` and ``+hh:mm``. A plus that became a blank
    in a query is a plus. Without a zone it is of the clocks of ``local``. Raises ``ValueError`` for anything else.
    """
    written = text.strip().upper()
    try:
        if (number := _UNIX.fullmatch(written)) is not None:
            return _EPOCH + _since_1970(*number.groups())
        if (zoned := _ZONED.fullmatch(written)) is not None:
            begin, utc, sign, offset = zoned.groups()
            if bool(utc) == bool(offset):
                raise ValueError
            written = begin + (utc or f"{sign or '+'}{offset}")
        found = datetime.fromisoformat(written)
        return (found if found.tzinfo is not None else found.replace(tzinfo=local)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time; write 2024-05-01T08:00:00+08:00, or Unix seconds or milliseconds"
        ) from None


def _since_1970(sign: str, whole: str, decimals: str | None) -> timedelta:
    parts = next(parts for below, parts in _UNITS if int(whole) < below)
    micros = int(f"{whole}{(decimals or '')[:6]:0<6}") // parts
    return timedelta(microseconds=-micros if sign else micros)


def month_of(text: str) -> tuple[date, date]:
    """Return the first and the last day of ``2024-05``. Raises ``ValueError`` with a sentence."""
    if re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        year, month = int(text[:4]), int(text[5:])
        if year > 0:
            first = _checked(date(year, month, 1), text)
            return first, first.replace(day=calendar.monthrange(year, month)[1])
    raise ValueError(f"{text!r} is no month; write it like 2024-05")


def _checked(day: date, text: str) -> date:
    # Beyond these, a zone's offset could leave what a datetime can hold.
    if not 1900 <= day.year <= 9000:
        raise ValueError(f"{text!r} is out of the calendar; use a year from 1900 to 9000")
    return day


def days_between(first: date, last: date) -> int:
    """How many days, both included. Raises ``ValueError`` if they are in the wrong order or too many."""
    count = (last - first).days + 1
    if count < 1:
        raise ValueError("the last day is before the first one")
    if count > MAX_DAYS:
        raise ValueError(f"{count} days are too many at once; ask for at most {MAX_DAYS}")
    return count


class Days(Struct, frozen=True):
    """Consecutive local days of one time zone."""

    first: date
    zone: str
    starts: tuple[int, ...]
    """When each begins, in milliseconds since 1970 UTC, and behind them when the last one ends."""

    @classmethod
    def of(cls, first: date, last: date, zone_name: str, *, more: int = 0) -> "Days":
        """Return the days from ``first`` to ``last``, both included, and ``more`` on either side.

        Raises :class:`UnknownZone`.
        """
        return _days(first - timedelta(more), days_between(first, last) + 2 * more, zone_name)

    @property
    def begin_ms(self) -> int:
        return self.starts[0]

    @property
    def end_ms(self) -> int:
        return self.starts[-1]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def day(self, index: int) -> date:
        """Return the date of a day by its place."""
        return self.first + timedelta(days=index)

    def index(self, at_ms: int) -> int | None:
        """Return the place of the day that a moment belongs to; ``None`` if it is none of these."""
        place = bisect_right(self.starts, at_ms) - 1
        return place if 0 <= place < len(self) else None

    def runs(self) -> list[tuple[int, int, int]]:
        """Return stretches of days that last 24 hours: the place of the first, how many, when it begins (ms)."""
        runs: list[tuple[int, int, int]] = []
        for index, (start, end) in enumerate(pairwise(self.starts)):
            even = end - start == DAY_MS
            if even and runs and runs[-1][1] > 0 and self._even(runs[-1][0]):
                before = runs[-1]
                runs[-1] = (before[0], before[1] + 1, before[2])
            else:
                runs.append((index, 1, start))
        return runs

    def _even(self, index: int) -> bool:
        return self.starts[index + 1] - self.starts[index] == DAY_MS


@lru_cache(512)
def _days(first: date, count: int, zone_name: str) -> Days:
    return Days(first, zone_name, tuple(_starts(first, count, zone(zone_name))))


def _starts(first: date, count: int, tz: ZoneInfo) -> Sequence[int]:
    found: list[int] = []
    for number in range(count + 1):
        wall = datetime.combine(first + timedelta(days=number), datetime.min.time())
        # Where midnight is shown twice, the first time counts (PEP 495, fold 0). Where it is jumped over, PEP 495
        # gives the moment at which the clocks before the jump would have shown it, which is as far after the jump as
        # it was skipped: the day begins with the jump or just after it.
        found.append(round(wall.replace(tzinfo=tz).timestamp() * 1000))
    return found
