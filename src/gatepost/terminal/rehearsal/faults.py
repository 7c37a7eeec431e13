"""Which faults a terminal can be told to have, and how their options are read. Pure.

Rules:

- Each is one that terminals of the family, their networks or their owners bring about; none is made up.
- An option is ``NAME`` or ``NAME=VALUE``; a name that is not known, or a value that does not fit, is said by name.

Flow: the options of the command line → :func:`parse` → :class:`Faults` → the service and its rehearsal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gatepost.errors import SettingsError
from gatepost.terminal.outbox.types import HistoryQuery

__all__ = ["HISTORY", "NAMES", "REPLIES", "Faults", "asked_instead", "item_instead", "parse"]

REPLIES = ("1000", "1001", "401", "404", "500", "html", "endless")
"""Replies that stand for the right one: the family's codes, a page, and one that never ends."""

HISTORY = ("no-uuid", "totals", "repeat", "overlap", "paths")
"""The faults that a history may have."""

NAMES: Mapping[str, str] = {
    "forget": "60",
    "contested": "60",
    "move": "60",
    "swap": "60",
    "certificate": "60",
    "token": "5",
    "slow": "5",
    "clock": "8",
    "reply": "",
    "history": "",
    "other-serial": "",
    "silent": "",
}
"""Names of the faults, each with the value that it has where none is given."""

LONGEST_S = 86_400.0
MOST_HOURS = 24 * 366.0


class Faults(Struct, frozen=True, kw_only=True):
    """Hold the faults of one terminal. Times are in seconds; 0 where a fault is not wanted."""

    forget: float = 0.0
    """Seconds between two reboots, each of which forgets where events go."""
    contested: float = 0.0
    """Seconds between two moments at which another tool sets another address."""
    move: float = 0.0
    """Seconds between two changes of the service's port."""
    swap: float = 0.0
    """Seconds between two exchanges of addresses with a neighbour."""
    certificate: float = 0.0
    """Seconds between two certificates."""
    token: float = 0.0
    """Seconds for which a login holds, however long was asked for."""
    slow: float = 0.0
    """Seconds before each reply."""
    clock: float = 0.0
    """Hours by which its clock is ahead."""
    reply: str = ""
    """One of :data:`REPLIES`, in place of the right ones."""
    history: tuple[str, ...] = ()
    """Some of :data:`HISTORY`."""
    other_serial: str = ""
    """The serial of the terminal that took its address."""
    silent: bool = False
    """Whether it keeps to itself where it pushes to."""


def parse(options: Iterable[str]) -> Faults:
    """Return the faults of options such as ``forget=30``. Raises :class:`~gatepost.errors.SettingsError`."""
    faults = Faults()
    for option in options:
        name, given, text = option.partition("=")
        if name not in NAMES:
            raise SettingsError("misbehave", f"knows no {name!r}; it knows {', '.join(NAMES)}")
        value = _value(name, text if given else NAMES[name])
        if name == "history":
            value = (*faults.history, value)
        faults = replace(faults, **{name.replace("-", "_"): value})
    return faults


def asked_instead(query: HistoryQuery, faults: Faults) -> HistoryQuery:
    """Return which records are read for a page of the history."""
    if "repeat" in faults.history:
        return replace(query, offset=0)
    if "overlap" in faults.history:
        return replace(query, offset=max(0, query.offset - 1))
    return query


def item_instead(item: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """Return how a record of the history is shown."""
    shown = dict(item)
    if "no-uuid" in faults.history:
        shown.pop("uuid", None)
    if "paths" in faults.history and str(shown.get("rgb_image") or "").strip():
        shown["rgb_image"] = f"/userdata/capture/{shown.get('timestamp')}.jpg"
    return shown


def _value(name: str, text: str) -> Any:
    if name == "silent":
        if text:
            raise SettingsError("misbehave", "silent takes no value")
        return True
    if name in _CHOICES:
        if text not in _CHOICES[name]:
            raise SettingsError("misbehave", f"{name} must be one of {', '.join(_CHOICES[name])}")
        return text
    if name == "other-serial":
        if not (text and text.isascii() and text.isprintable()):
            raise SettingsError(
                "misbehave", "other-serial needs a serial number, such as other-serial=GP0002"
            )
        return text
    return _number(name, text)


def _number(name: str, text: str) -> float:
    least, most = (-MOST_HOURS, MOST_HOURS) if name == "clock" else (0.01, LONGEST_S)
    unit = "hours" if name == "clock" else "seconds"
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise SettingsError("misbehave", f"{name} must be a number of {unit} from {least:g} to {most:g}")
    return number


_CHOICES = {"reply": REPLIES, "history": HISTORY}
