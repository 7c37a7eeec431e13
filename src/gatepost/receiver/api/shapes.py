"""What several resources share: times as they come in, lists as they go out, and the reading of a store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TypeVar

from litestar.di import NamedDependency
from litestar.exceptions import ClientException, HTTPException
from litestar.params import SkipValidation

from gatepost.items import Listing, ProblemItem
from gatepost.receiver.gauges import Gauges
from gatepost.receiver.meaning import Meaning
from gatepost.receiver.registrar import Registrar
from gatepost.store.days import UnknownZone, month_of, parse_day
from gatepost.store.pages import BadCursor
from gatepost.store.registry import Conflict
from gatepost.store.store import Store
from gatepost.wire import Problem

__all__ = [
    "MAX_ID",
    "MAX_LIMIT",
    "Listing",
    "ProblemItem",
    "TheGauges",
    "TheMeaning",
    "TheRegistrar",
    "TheStore",
    "answering",
    "days",
    "moment",
    "problems",
    "read",
    "text",
    "word",
]

MAX_LIMIT = 1000
"""Items in one answer."""

MAX_ID = (1 << 63) - 1
"""The largest that a database has."""

_UNESCAPED = re.compile(r"(?<=:\d\d) (?=\d\d:\d\d$)|(?<=:\d\d\.\d{3}) (?=\d\d:\d\d$)")
"""Where the plus of a zone was, behind the minutes, seconds or milliseconds."""

T = TypeVar("T")

TheStore = NamedDependency[SkipValidation[Store]]
"""The store, handed in by :mod:`gatepost.receiver.app`; a Protocol cannot be checked for."""

TheGauges = NamedDependency[SkipValidation[Gauges]]

TheMeaning = NamedDependency[SkipValidation[Meaning]]

TheRegistrar = NamedDependency[SkipValidation[Registrar]]


def problems(found: tuple[Problem, ...]) -> list[ProblemItem]:
    """Shape problems for an answer."""
    return [ProblemItem(problem.where, problem.why) for problem in found]


def moment(name: str, value: str | None) -> datetime | None:
    """Read a time: ISO 8601 (without a zone: UTC) or Unix seconds. 400 names the parameter."""
    if value is None or not value.strip():
        return None
    # In a query a plus means a blank, and many forget to escape it.
    text = _UNESCAPED.sub("+", value.strip())
    try:
        if text.lstrip("-").replace(".", "", 1).isdigit():
            return datetime.fromtimestamp(float(text), UTC)
        parsed = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise ClientException(f"{name} is no time; write 2024-05-01T08:00:00Z or Unix seconds") from None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


def text(original: bytes | None) -> str | None:
    """JSON text as it was received."""
    return None if original is None else original.decode("utf-8", "replace")


def word(name: str, value: str | None) -> str | None:
    """An empty field of a form filters nothing. A NUL is in no stored text, and PostgreSQL will not hear of it."""
    if value and "\0" in value:
        raise ClientException(f"{name} contains a NUL character; leave it out")
    return value or None


def days(*, day: str | None, month: str | None, first: str | None, last: str | None) -> tuple[date, date]:
    """The days that a query asks for, in one of three ways: ``day``, ``month``, or ``first`` and ``last``."""
    asked = [
        name for name, value in (("day", day), ("month", month), ("first and last", first or last)) if value
    ]
    if len(asked) != 1:
        raise ClientException("say which days: either day=2024-05-06, or month=2024-05, or first= and last=")
    try:
        if day:
            return (found := parse_day(day)), found
        if month:
            return month_of(month)
        if not first or not last:
            raise ValueError("first and last belong together; give both, both are included")
        return parse_day(first), parse_day(last)
    except ValueError as error:
        raise ClientException(str(error)) from None


@contextmanager
def answering() -> Iterator[None]:
    """What a client asked wrongly (a cursor, an order, a zone) becomes a 400, what contradicts something a 409."""
    try:
        yield
    except HTTPException:
        raise  # a ValueError, some of them
    except (ValueError, BadCursor, UnknownZone) as error:
        raise ClientException(str(error)) from None
    except Conflict as error:
        raise ClientException(str(error), status_code=409) from None


def read(what: Callable[[], T]) -> T:
    """Ask the store, :func:`answering`."""
    with answering():
        return what()
