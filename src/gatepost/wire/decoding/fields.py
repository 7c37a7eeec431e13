"""One JSON object of a push, read field by field.

Every method returns ``None`` for a field that is absent or null. A field of the wrong type raises
:class:`~gatepost.errors.DecodeError`, or becomes a :class:`Problem` if there is a list for problems. Strict and lenient
decoding differ only here.
"""

import re
from datetime import datetime
from typing import Any, Self

from msgspec import Struct

from gatepost.errors import DecodeError
from gatepost.wire.decoding.images import media_type, read_picture
from gatepost.wire.decoding.times import Moment, read_time

__all__ = ["PADDING", "Fields", "Problem"]

PADDING = " \t\r\n\0\xa0\u3000\ufeff"
"""Padding around an identifier, from fixed-size buffers, forms and files."""

_EXACT = 1 << 53
"""From here on a double cannot represent every integer."""

_TRUTHS = {
    **dict.fromkeys(("0", "false", "f", "no", "n", "off", "\u5426", "\u5047"), False),
    **dict.fromkeys(("1", "-1", "true", "t", "yes", "y", "on", "\u662f", "\u771f"), True),
}
"""Booleans as programming languages write them: -1 is True in Visual Basic."""

_WHOLE = re.compile(r"(-?[01])\.0+\Z")


class Problem(Struct, frozen=True):
    """A field that a lenient decoding could not read."""

    where: str
    """The path to the field, in wire names."""
    why: str


class Fields:
    """Reads the known fields of one JSON object; the rest is unknown to the page.

    ``path``: the path of the object, in wire names, with a dot at its end; ``rest``: the fields that were not read yet.
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
        """Read an identifier: a string, or an integer or whole double of older firmware.

        A lenient reading removes padding. Everything else of a text stays: ``"206.0"`` and full-width digits may
        be another person's than ``"206"``.
        """
        value = self.rest.pop(name, None)
        if isinstance(value, str):
            return value if self.problems is None else value.strip(PADDING)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, float) and value.is_integer():
            if abs(value) >= _EXACT:
                self.wrong(name, "is a double that does not hold all its digits")
            return str(int(value))
        self.wrong(name, "must be a string")
        return None

    def text(self, name: str) -> str | None:
        """Read a text; numbers become their digits.

        A lenient reading removes the NULs of a fixed-size buffer.
        """
        value = self.rest.get(name)
        if isinstance(value, str):
            del self.rest[name]
            return value if self.problems is None else value.rstrip("\0")
        return self.identifier(name)

    def integer(self, name: str) -> int | None:
        value = self.rest.pop(name, None)
        if type(value) is int:
            if -(1 << 63) <= value < 1 << 63:
                return value
            self.wrong(name, "does not fit into 64 bits")
            return None
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
            return int(value)
        self.wrong(name, "must be an integer")
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}(?:\.0+)?", value := value.strip(PADDING)):
            return int(value.partition(".")[0])
        return None

    def number(self, name: str) -> float | None:
        value = self.rest.pop(name, None)
        if type(value) is float or value is None:
            return value
        if type(value) is int and abs(value) < _EXACT:
            return float(value)
        self.wrong(name, "must be a number")
        if isinstance(value, str) and re.fullmatch(
            r"-?[0-9]{1,15}(\.[0-9]{1,17})?", value := value.strip(PADDING)
        ):
            return float(value)
        return None

    def truth(self, name: str) -> bool | None:
        value = self.rest.pop(name, None)
        if type(value) is bool or value is None:
            return value
        self.wrong(name, "must be true or false")
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int | str):
            return None
        return _TRUTHS.get(_WHOLE.sub(r"\1", str(value).strip(PADDING).casefold()))

    def moment(self, name: str) -> Moment | None:
        """Read a time in any plain form; every form except the page's is noted."""
        value = self.rest.pop(name, None)
        if value is None:
            return None
        read = read_time(value)
        if read is None:
            self.wrong(name, "is no time between 1970 and 9999")
        elif read.at is None:
            self.wrong(name, "is a time without a zone")
        elif not read.plain:
            self.wrong(name, "is no integer of seconds or milliseconds")
        return read

    def time(self, name: str, *, unset: int | None = None) -> datetime | None:
        """Read :meth:`moment` as an aware time; ``unset`` is a value that means "none"."""
        value = self.rest.get(name)
        if unset is not None and value == unset and not isinstance(value, bool):
            del self.rest[name]
            return None
        read = self.moment(name)
        return None if read is None else read.at

    def image(self, name: str) -> bytes | None:
        """Read an image from base64; an empty or blank string means that there is none."""
        value = self.rest.pop(name, None)
        if value is None:
            return None
        if not isinstance(value, str):
            self.wrong(name, "must be a string of base64")
            return None
        found = read_picture(value)
        if found is None:
            self.wrong(name, "is no base64")
            return None
        image = found.data
        if not image:
            return None
        if self.problems is not None and media_type(image) is None:
            self.wrong(name, "is no image")
            return None
        for why in found.whys:
            self.wrong(name, why)
        return image
