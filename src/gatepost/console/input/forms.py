"""Read what a form sends (``application/x-www-form-urlencoded``, HTML § 4.10.21.7).

A field that is missing is the empty text; blanks around a text are left out, as they are where somebody typed.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from litestar.exceptions import ClientException

from gatepost.store.versions import Versions

__all__ = ["VERSION", "Form"]

VERSION = "version"
"""The field of a form with the version of what it changes: see :mod:`gatepost.store.versions`."""

MAX_FIELDS = 2000
"""A thousand boxes to tick, and some more."""


class Form:
    """The fields of a form."""

    def __init__(self, body: bytes) -> None:
        """Read the fields. Raises 400 for what is no form."""
        try:
            self._fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
        except ValueError:
            raise ClientException("this is no form; go back and send it again") from None

    def __call__(self, name: str) -> str:
        return self._fields.get(name, [""])[-1].strip()

    @property
    def versions(self) -> Versions:
        """Return the version of what the form changes, as its page showed it; ``None``: it changes what is there."""
        return [self(VERSION)] if self.has(VERSION) else None

    def has(self, name: str) -> bool:
        """Return whether the form has a field."""
        return name in self._fields

    def secret(self, name: str) -> str:
        """As it was typed."""
        return self._fields.get(name, [""])[-1]

    def many(self, name: str) -> list[str]:
        return self._fields.get(name, [])

    def numbers(self, name: str) -> list[int]:
        """Return the ids that were ticked; any other text is left out."""
        values = self.many(name)
        return [int(value) for value in values if value.isascii() and value.isdigit() and len(value) < 19]

    def ticked(self, name: str) -> bool:
        return bool(self._fields.get(name))
