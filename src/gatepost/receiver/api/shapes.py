"""Functions and types that several resources share: times in queries, lists in replies, reads of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Literal, TypeVar

from litestar.di import NamedDependency
from litestar.exceptions import ClientException, HTTPException
from litestar.params import FromQuery, SkipValidation

from gatepost.items import Listing
from gatepost.receiver.jobs.projector.projector import Projector
from gatepost.receiver.people_rules import Meaning
from gatepost.receiver.processes.ingests import Ingests
from gatepost.receiver.terminals.admin import Registrar
from gatepost.receiver.terminals.preview import Preview
from gatepost.store.cursor import BadCursor
from gatepost.store.local_days import UnknownZone, month_of, parse_day, parse_time
from gatepost.store.questions import UserStore
from gatepost.store.terminals.registry import Conflict

__all__ = [
    "MAX_ID",
    "MAX_LIMIT",
    "Include",
    "Listing",
    "TheIngests",
    "TheMeaning",
    "ThePreview",
    "TheProjector",
    "TheRegistrar",
    "TheStore",
    "answering",
    "days",
    "moment",
    "read",
    "text",
    "word",
]

MAX_LIMIT = 1000
"""Items in one answer."""

MAX_ID = (1 << 63) - 1
"""The largest that a database has."""

T = TypeVar("T")

Include = FromQuery[Literal["original"] | None]
"""What an event has only if it is asked for."""

TheStore = NamedDependency[SkipValidation[UserStore]]
"""The store as the user sees it, handed in by :mod:`gatepost.receiver.api.application`."""

TheIngests = NamedDependency[SkipValidation[Ingests]]

TheProjector = NamedDependency[SkipValidation[Projector]]

TheMeaning = NamedDependency[SkipValidation[Meaning]]

TheRegistrar = NamedDependency[SkipValidation[Registrar]]
ThePreview = NamedDependency[SkipValidation[Preview]]


def moment(name: str, value: str | None) -> datetime | None:
    """Read a time of a query, as :func:`gatepost.store.local_days.parse_time` has it. 400 names the parameter."""
    if value is None or not value.strip():
        return None
    try:
        return parse_time(value)
    except ValueError:
        why = "is no time; write 2024-05-01T08:00:00+08:00, or Unix seconds or milliseconds"
        raise ClientException(f"{name} {why}") from None


def text(original: bytes | None) -> str | None:
    """Return JSON text as it was received."""
    return None if original is None else original.decode("utf-8", "replace")


def word(name: str, value: str | None) -> str | None:
    """Return a text to filter by; ``None`` for an empty field of a form, which filters nothing.

    400 for a NUL: it is in no stored text, and PostgreSQL refuses it.
    """
    if value and "\0" in value:
        raise ClientException(f"{name} contains a NUL character; leave it out")
    return value or None


def days(*, day: str | None, month: str | None, first: str | None, last: str | None) -> tuple[date, date]:
    """Return the days that a query asks for, in one of three ways: ``day``, ``month``, or ``first`` and ``last``."""
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
    """Turn errors of the store into statuses: 400 for a wrong cursor, order or zone, 409 for a contradiction."""
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
