"""Tell whether a text that a terminal sent is about a person. Pure.

Rules:

* A ``user_id`` counts where it stands as one. Another one there, and none of theirs, means that it is about another
  person, whatever else fits: people have the same names.
* A name counts wherever it is contained, unless it is a single character: then it must be all there is.
* A number counts wherever it stands alone; a short one (``7`` is many things) only in its own field.
* When in doubt it is about them: what is erased needlessly is less harm than what is kept.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

__all__ = ["NUMBERS", "SHORT", "USER_ID_FIELDS", "PersonMatcher", "plain", "scalars"]

_LETTERS = re.compile(r"[^a-z]")
USER_ID_FIELDS = ("userid", "personid", "employeeid")
NUMBERS = ("job_number", "ic_number", "id_number")
_WRITTEN = re.compile(rb'(?i)"(?:user|person|employee)_?id"\s*:\s*"?([^",}\s]+)')
SHORT = 4
"""Characters up to which a number is too common to be looked for everywhere."""


class PersonMatcher:
    """Matches texts that mention a person."""

    def __init__(self, user_id: str, identities: Iterable[Any]) -> None:
        """``identities``: every form of their data, with the columns of ``identities``."""
        forms = list(identities)
        self._user_ids = {user_id, *(form.user_id for form in forms)} - {""}
        names = {form.name for form in forms} - {""}
        self._within = {name for name in names if len(name) > 1}
        self._exactly = names - self._within
        self._in_field: set[tuple[str, str]] = set()
        for form in forms:
            for field in NUMBERS:
                number = getattr(form, field)
                if len(number) > SHORT:
                    self._exactly.add(number)
                elif number:
                    self._in_field.add((plain(field), number))
        self._hints = [hint for text in self._within | self._exactly for hint in _spellings(text)]

    def is_user_id(self, value: object) -> bool:
        return str(value) in self._user_ids

    def found_in(self, text: bytes) -> bool:
        """Tell whether a JSON text is about the person."""
        lower = text.lower()
        if not (
            any(hint in lower for hint in self._hints)
            or (self._user_ids and (b"id" in lower or b"\\u" in lower))
            or (self._in_field and b"number" in lower)
        ):
            return False
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Some firmware writes what is nearly JSON.
            return any(hint in lower for hint in self._hints) or any(
                found[1].decode("utf-8", "replace") in self._user_ids for found in _WRITTEN.finditer(text)
            )
        pairs = list(scalars("", value))
        told = {text for field, text in pairs if field in USER_ID_FIELDS and text not in ("", "0", "-1")}
        if self._user_ids and told:
            return not self._user_ids.isdisjoint(told)
        return any(
            text in self._exactly
            or (field, text) in self._in_field
            or any(name in text for name in self._within)
            for field, text in pairs
        )


def plain(field: str) -> str:
    """Return the name of a field without case and marks, as it is spelt in different ways."""
    return _LETTERS.sub("", field.lower())


def scalars(field: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield every text and number of a JSON value, each with the plain name of its field."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from scalars(plain(name), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from scalars(field, inner)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield field, str(value).strip()


def _spellings(text: str) -> Iterator[bytes]:
    """How a text may stand in JSON, in lower case: as it is, or escaped."""
    yield text.lower().encode("utf-8", "surrogatepass")
    yield msgspec.json.encode(text)[1:-1].lower()
    units = text.encode("utf-16-be", "surrogatepass")
    yield b"".join(
        bytes([low]).lower() if not high and low < 0x80 else b"\\u%02x%02x" % (high, low)
        for high, low in zip(units[::2], units[1::2], strict=True)
    )
