"""Keep two people from changing one thing at once without knowing it.

Rules:

* A version is a digest of the values that a change replaces. Equal values have equal versions.
* A change may name the versions that it is meant for. Where what is stored has none of them, nothing is changed, and
  :class:`ChangedMeanwhile` is raised. They are compared in the transaction of the change.
* Such changes take turns: see :mod:`gatepost.store.turns`.

Flow: read → :func:`version_of` → a person → change with the version → :func:`check_version` → stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec

from gatepost.errors import StoreError

__all__ = ["ChangedMeanwhile", "Versions", "check_version", "version_of"]

Versions = Collection[str] | None
"""The versions that a change is meant for; ``None``: any."""

_LETTERS = 16


class ChangedMeanwhile(StoreError):
    """Another person changed it after it was read."""

    def __init__(self, by: str | None = None, at: datetime | None = None) -> None:
        """Take who changed it and when, where the store knows it."""
        super().__init__("this was changed meanwhile; read it again")
        self.by = by
        self.at = at


def version_of(values: Mapping[str, Any]) -> str:
    """Return the version of some values."""
    return hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()[:_LETTERS]


def check_version(wanted: Versions, found: str, *, by: str | None = None, at: datetime | None = None) -> None:
    """Raise :class:`ChangedMeanwhile` for a version that is not wanted."""
    if wanted is not None and found not in wanted:
        raise ChangedMeanwhile(by, at)
