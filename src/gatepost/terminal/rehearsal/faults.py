"""The faults that a terminal can be given, and how their options are read. Pure.

Rules:

- Each is a fault that terminals, their networks or their owners really cause.
- An option is ``NAME`` or ``NAME=VALUE``. The error for an unknown name or a wrong value names it.

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
"""Replies in place of the right one: codes of the protocol, a page of HTML, and one that never ends."""

HISTORY = ("no-uuid", "totals", "repeat", "overlap", "paths")
"""The faults of a history."""

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
"""Names of the faults, each with its default value."""

LONGEST_S = 86_400.0
MOST_HOURS = 24 * 366.0


class Faults(Struct, frozen=True, kw_only=True):
    """The faults of one terminal. Times are in seconds; 0: without the fault."""

    forget: float = 0.0
    """Seconds between two reboots, each of which loses the subscription."""
    contested: float = 0.0
    """Seconds after which another tool sets another address again."""
    move: float = 0.0
    """Seconds between two changes of the service's port."""
    swap: float = 0.0
    """Seconds between two exchanges of addresses with a neighbour."""
    certificate: float = 0.0
    """Seconds between two changes of the certificate."""
    token: float = 0.0
    """Seconds for which a login is valid, whatever the client asks for."""
    slow: float = 0.0
    """Seconds before each reply."""
    clock: float = 0.0
    """Hours by which the clock is ahead."""
    reply: str = ""
    """One of :data:`REPLIES`, in place of every right reply."""
    history: tuple[str, ...] = ()
    """Faults of the history, of :data:`HISTORY`."""
    other_serial: str = ""
    """The serial of the terminal that took its address."""
    silent: bool = False
    """The subscription is not shown."""


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
    """Return the query for a page of the history, with the faults."""
    if "repeat" in faults.history:
        return replace(query, offset=0)
    if "overlap" in faults.history:
        return replace(query, offset=max(0, query.offset - 1))
    return query


def item_instead(item: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """Return a record of the history, with the faults."""
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
