"""One JSON object of a push, read field by field.

Every reading answers ``None`` for a field that is absent or null. A field of the wrong type raises
:class:`~gatepost.errors.DecodeError`, or becomes a :class:`Problem` where a list for problems is given: the
difference between a strict and a lenient decoding is here and nowhere else.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pybase64
from msgspec import Struct

from gatepost.errors import DecodeError

__all__ = ["EPOCH", "Problem", "Fields"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_FIRST_MILLISECOND = 100_000_000_000
"""A time from here on is in milliseconds: as seconds it would be the year 5138."""

_LAST_MILLISECOND = 253_402_300_799_999
"""The end of the year 9999, where ``datetime`` ends."""


class Problem(Struct, frozen=True):
    """What a lenient decoding had to pass over."""

    where: str
    """The path to the field, in wire names."""
    why: str


class Fields:
    """Takes the known fields out of one JSON object; what is left over is unknown to the page.

    ``path`` is where the object stands, in wire names, with a dot behind it; ``rest`` what was not taken yet.
    """

    __slots__ = ("path", "problems", "rest")

    def __init__(self, value: dict[str, Any], path: str, problems: list[Problem] | None) -> None:
        self.rest = dict(value)
        self.path = path
        self.problems = problems

    def wrong(self, name: str, why: str) -> None:
        where = f"{self.path}{name}"
        if self.problems is None:
            raise DecodeError(where, why)
        self.problems.append(Problem(where, why))

    def object(self, name: str) -> Self | None:
        value = self.rest.pop(name, None)
        if isinstance(value, dict):
            return type(self)(value, f"{self.path}{name}.", self.problems)
        if value is not None:
            self.wrong(name, "must be an object")
        return None

    def identifier(self, name: str) -> str | None:
        """A string; integers are identifiers too, in older firmware."""
        value = self.rest.pop(name, None)
        if isinstance(value, str) or value is None:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        self.wrong(name, "must be a string")
        return None

    def integer(self, name: str) -> int | None:
        value = self.rest.pop(name, None)
        if type(value) is int:
            if -(1 << 63) <= value < 1 << 63:
                return value
            self.wrong(name, "does not fit into 64 bits")
            return None
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
            return int(value)
        self.wrong(name, "must be an integer")
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            return int(value)
        return None

    def number(self, name: str) -> float | None:
        value = self.rest.pop(name, None)
        if type(value) is float or value is None:
            return value
        if type(value) is int and abs(value) < 1 << 53:
            return float(value)
        self.wrong(name, "must be a number")
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,17})?", value):
            return float(value)
        return None

    def truth(self, name: str) -> bool | None:
        value = self.rest.pop(name, None)
        if type(value) is bool or value is None:
            return value
        self.wrong(name, "must be true or false")
        return {0: False, 1: True, "0": False, "1": True, "false": False, "true": True}.get(
            value if isinstance(value, int | str) else ""
        )

    def time(self, name: str, *, unset: int | None = None) -> datetime | None:
        """Unix time, in seconds or milliseconds by its size; ``unset`` is a value that means "none"."""
        value = self.integer(name)
        if value is None or value == unset:
            return None
        milliseconds = value if abs(value) >= _FIRST_MILLISECOND else value * 1000
        if 0 <= milliseconds <= _LAST_MILLISECOND:
            return EPOCH + timedelta(milliseconds=milliseconds)
        self.wrong(name, "is no time between 1970 and 9999")
        return None

    def image(self, name: str) -> bytes | None:
        """Base64 of a JPEG; the empty string and blanks mean that there is none."""
        value = self.rest.pop(name, None)
        if value is None:
            return None
        if not isinstance(value, str):
            self.wrong(name, "must be a string of base64")
            return None
        try:
            image = pybase64.b64decode(value, validate=True)
        except ValueError:
            text = "".join(value.rpartition("base64,")[2].split()).rstrip("=")
            try:
                image = pybase64.b64decode(text + "=" * (-len(text) % 4), validate=True)
            except ValueError:
                self.wrong(name, "is no base64")
                return None
        if not image:
            return None
        if self.problems is not None and image[:2] != b"\xff\xd8":
            self.wrong(name, "is no JPEG")
            return None
        return image
