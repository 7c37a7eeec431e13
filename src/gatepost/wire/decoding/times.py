"""Read a time as a terminal wrote it: a number of seconds or less, or a text. Pure.

Source: the protocol page has Unix seconds (``timestamp``) and milliseconds (``event_time``). Firmware and gateways also
send fractions, microseconds, nanoseconds, digits in a text, and ISO 8601 with and without a zone.

A text of 14 digits that is a date of this or the next century is local time without separators: as milliseconds it
would be of the year 2600 or later. A number stays a number.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation

from msgspec import Struct

__all__ = ["EPOCH", "FIRST_KNOWN", "Moment", "read_time"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FIRST_KNOWN = datetime(2000, 1, 1, tzinfo=UTC)
"""A clock that shows an earlier time was never set."""

_UNITS = (
    (Decimal(10) ** 11, 1_000_000_000),  # seconds, until the year 5138
    (Decimal(10) ** 14, 1_000_000),  # milliseconds, from 1973 on
    (Decimal(10) ** 17, 1_000),  # microseconds
    (Decimal(10) ** 21, 1),  # nanoseconds
)
"""Limits of absolute values, each with the nanoseconds of the unit of numbers below it."""

_LAST_NS = 253_402_300_799_999_999_999
"""The end of the year 9999, where ``datetime`` ends."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?")
_ZONE = r"\s?(?:(?P<zone>Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)(?:\[[A-Za-z0-9/_+-]{1,64}\])?)?"  # as Java adds a name
_TEXT = re.compile(
    r"(?P<year>[0-9]{4})(?P<dash>[-/.])(?P<month>[0-9]{1,2})(?P=dash)(?P<day>[0-9]{1,2})(?:[T ]|T\s|\s+)"
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,30}))?)?"
    + _ZONE,
    re.IGNORECASE,
)
_BASIC = re.compile(
    r"(?P<year>20[0-9]{2}|21[0-9]{2})(?P<month>[0-9]{2})(?P<day>[0-9]{2})(?:[T ])?"
    r"(?P<hour>[0-9]{2})(?P<minute>[0-9]{2})(?P<second>[0-9]{2})(?:[.,]?(?P<fraction>(?<=[.,])[0-9]{1,30}|[0-9]{3}))?"
    + _ZONE,
    re.IGNORECASE,
)


class Moment(Struct, frozen=True):
    """A time that was read."""

    at: datetime | None
    """Aware, in UTC, to the microsecond; ``None`` if the text has no zone."""
    local: datetime | None
    """Naive, if the text has no zone."""
    exact: str
    """The time to the nanosecond, the same for every spelling."""
    plain: bool
    """It is written as on the page: an integer of seconds or milliseconds."""


def read_time(value: object) -> Moment | None:
    """Read a time between 1970 and 9999; return ``None`` if it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        plain = not isinstance(value, float) or value.is_integer()
        return _of_number(Decimal(repr(value)), plain=plain)
    if not isinstance(value, str):
        return None
    text = value.strip(" \t\r\n\0")
    found = _TEXT.fullmatch(text) or _BASIC.fullmatch(text)
    moment = None if found is None else _of_text(found)
    if moment is None and _NUMBER.fullmatch(text):
        return _of_number(Decimal(text), plain=False)
    return moment


def _of_number(number: Decimal, *, plain: bool) -> Moment | None:
    try:
        for limit, unit in _UNITS:
            if abs(number) < limit:
                return _at(int(number * unit), plain=plain and unit >= 1_000_000)
    except (InvalidOperation, OverflowError):
        pass
    return None


def _at(nanoseconds: int, *, plain: bool) -> Moment | None:
    if not 0 <= nanoseconds <= _LAST_NS:
        return None
    return Moment(EPOCH + timedelta(microseconds=nanoseconds // 1000), None, str(nanoseconds), plain)


def _of_text(found: re.Match[str]) -> Moment | None:
    year, month, day, hour, minute, second = (
        int(found[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")
    )
    nanoseconds = int(((found["fraction"] or "") + "0" * 9)[:9])
    leap, second = divmod(second, 60) if second == 60 else (0, second)
    if hour == 24 and not (minute or second or leap or nanoseconds):
        hour, leap = 0, 24 * 60  # midnight at the end of the day
    try:
        naive = datetime(year, month, day, hour, minute, second) + timedelta(  # noqa: DTZ001 - its zone is not told
            microseconds=nanoseconds // 1000, minutes=leap
        )
        if found["zone"] is None:
            return Moment(None, naive, f"local {naive.isoformat()} {nanoseconds}", False)
        at = naive.replace(tzinfo=_zone(found["zone"])).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    since = at - EPOCH
    whole = (since.days * 86_400 + since.seconds) * 1_000_000_000
    return _at(whole + nanoseconds, plain=False)


def _zone(text: str) -> timezone:
    if text[0] not in "+-":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
