"""Lines of the audit log in the reader's language: what each detail is called, and from what to what it changed.

Rules:

* A detail has its name in ``words/detail.toml``; one of another version, which has none there, is shown by its key.
* A value under ``was_`` and a name, or ``was`` next to ``now``, is what it was before; both are shown as one change.
* Roles, states, directions, sites, parts, days of the week and times are shown in words.
* A detail whose name tells of a secret is never shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from msgspec import Struct

from gatepost.console.show import Show
from gatepost.console.words import Words
from gatepost.receiver.auth.audit_changes import WAS

__all__ = ["Told", "told"]

SECRET = frozenset({"password", "secret", "secrets", "token_digest", "key"})

_PAIRS = {"now": "was", "host": "host_before"}
"""Of details that are not called ``was_``: under which name the value before is."""

_NUMBERS = frozenset({"id", "ids", "token", "status", "terminal_id", "first", "last"})
"""Numbers that name something, and are written without separators."""

_WORDS = {
    "role": "frame.role_",
    "state": "terminals.",
    "direction": "terminals.direction_",
    "part": "settings.part_",
    "why": "settings.asks_",
}
"""Values that have words of their own."""

_MONDAY = date(2024, 1, 1)


class Told(Struct, frozen=True):
    """A detail in words."""

    name: str
    value: str
    before: str | None = None
    """The value before the change; ``None``: it is not known."""


def told(detail: Mapping[str, Any], words: Words, show: Show, sites: Mapping[int, str]) -> list[Told]:
    """Return the details of a line, in its order. ``sites``: the names of those that there are."""
    found = []
    for key, value in detail.items():
        if key in SECRET or _is_before(key, detail):
            continue
        was = next(
            (name for name in (WAS + key, _PAIRS.get(key)) if name is not None and name in detail), None
        )
        if value is None and was is None and key not in ("sites",):
            continue
        before = None if was is None else _value(key, detail[was], words, show, sites)
        found.append(Told(words.may_be(f"detail.{key}", key), _value(key, value, words, show, sites), before))
    return found


def _is_before(key: str, detail: Mapping[str, Any]) -> bool:
    """Return whether a detail is what another one was before."""
    if key.startswith(WAS):
        return key.removeprefix(WAS) in detail
    return any(key == before and now in detail for now, before in _PAIRS.items())


def _value(key: str, value: Any, words: Words, show: Show, sites: Mapping[int, str]) -> str:
    if key == "sites" and value is None:
        return words("users.every_site")
    if value is None or value in ("", []):
        return "–"
    if isinstance(value, bool):
        return show.yes(value)
    if key in ("sites", "site_id"):
        ids = value if isinstance(value, list) else [value]
        return ", ".join(sites.get(one, f"#{one}") for one in ids)
    if key in ("weekdays", "half_days"):
        return " ".join(show.weekday(_MONDAY + timedelta(int(day) - 1)) for day in str(value).split())
    if key in ("changed", "fields"):
        return ", ".join(words.may_be(f"detail.{one}", str(one)) for one in value)
    if isinstance(value, list):
        return " ".join(map(str, value))
    if key in _WORDS:
        return words.may_be(f"{_WORDS[key]}{value}", str(value))
    if isinstance(value, int | float) and key not in _NUMBERS:
        return show.number(value)
    return _moment(str(value), show)


def _moment(text: str, show: Show) -> str:
    """Return a time of the log as the reader's clock has it, and every other text as it is."""
    if len(text) < 20 or text[4:5] != "-" or text[10:11] != "T":
        return text
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if at.tzinfo is None else f"{show.local(at):%Y-%m-%d %H:%M:%S}"
