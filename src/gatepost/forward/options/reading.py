"""Read the settings of a destination from JSON or values, and check its headers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from gatepost.errors import SettingsError

__all__ = ["MAX_HEADERS", "check_headers", "read_as"]

T = TypeVar("T")

MAX_HEADERS = 20

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
"""The name of a header: RFC 9110, section 5.6.2."""

_OURS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "te", "trailer", "upgrade"}
)


def read_as(text: bytes | Mapping[str, object], kind: type[T]) -> T:
    """Return a value of a kind. Raises :class:`~gatepost.errors.SettingsError`, which names the field."""
    try:
        if isinstance(text, bytes):
            return msgspec.json.decode(text, type=kind)
        return msgspec.convert(text, kind)
    except msgspec.ValidationError as error:
        # Such as "Expected `int` >= 1 - at `$.filter.records.site_id`": of a value it says nothing but its type.
        why, _, where = str(error).partition(" - at `$")
        raise SettingsError(where.strip("`").lstrip(".") or "the destination", f"is wrong: {why}") from None


def check_headers(where: str, headers: Mapping[str, str]) -> None:
    """Raise :class:`~gatepost.errors.SettingsError` for headers that a request must not have."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise SettingsError(where, f"has a name that is no header's: {name!r}")
        if name.lower() in _OURS or name.lower().startswith("webhook-"):
            raise SettingsError(where, f"cannot set {name}, which each request has already")
        if len(value) > 4096 or not value.isascii() or not value.isprintable():
            raise SettingsError(f"{where}.{name}", "must be of at most 4,096 printable ASCII characters")
