"""Tell a change to the audit log: each value as it is now, and under ``was_`` and its name what it was."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["WAS", "changes"]

WAS = "was_"


def changes(before: object, after: object, names: Iterable[str]) -> dict[str, Any]:
    """Return what differs between two objects, of the attributes with these names."""
    found: dict[str, Any] = {}
    for name in names:
        old, new = getattr(before, name, None), getattr(after, name, None)
        if old != new:
            found |= {name: _plain(new), WAS + name: _plain(old)}
    return found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | set | frozenset) else value
