"""Read what a form says of which events a destination is sent, and of which of them people are told. Pure.

What is read is as it is stored, so that the same template shows what is stored and what was typed. What a form does not
have stays as it was: a filter of the API can say more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gatepost.console.input.forms import Form
from gatepost.errors import SettingsError
from gatepost.forward.options.destination import Destination
from gatepost.forward.options.notify import NotifyOptions
from gatepost.store.interface import NOTICE_KINDS, SiteRow
from gatepost.wire import AbnormalType, AlarmCode, RecognitionType
from gatepost.wire.codes import Code, Language, label

__all__ = ["Options", "filter_of", "rules_of", "shown_filter", "shown_rules", "telling_of"]

STATES = ("open", "clear_failed", "cleared")

MOST_RULES = 20
"""Rules in a form; a destination with more of them is changed over the API."""

_SPANS = ("repeat_s", "gather_s")
"""Of what people are told: the fields with a number of seconds."""

_PASSED: Mapping[str, bool] = {"yes": True, "no": False}


class Options:
    """Hold what can be chosen from, in the words of a language."""

    states = STATES
    notices = NOTICE_KINDS

    def __init__(
        self,
        language: Language,
        sites: Sequence[SiteRow],
        terminals: Sequence[tuple[str, Sequence[tuple[str, str]]]],
    ) -> None:
        """``terminals``: of each site, the values and names of its terminals."""
        self._language = language
        self.sites = sites
        self.terminals = terminals

    def has_terminal(self, value: str) -> bool:
        """Return whether a terminal is among those to choose from."""
        return any(value == one for _, terminals in self.terminals for one, _ in terminals)

    def codes(self, chosen: Sequence[int] = ()) -> list[tuple[int, str]]:
        """Return the codes of alarms; those that were chosen and have no words among them."""
        return self._of(AlarmCode, chosen)

    def abnormal(self, chosen: Sequence[int] = ()) -> list[tuple[int, str]]:
        return self._of(AbnormalType, chosen)

    def types(self, chosen: Sequence[int] = ()) -> list[tuple[int, str]]:
        return self._of(RecognitionType, chosen)

    def _of(self, table: type[Code], chosen: Sequence[int]) -> list[tuple[int, str]]:
        known = [int(one) for one in table]
        return [
            (one, label(table, one, self._language))
            for one in (*known, *(code for code in chosen if code not in known))
        ]


def shown_filter(told: Destination) -> dict[str, Any]:
    """Return the filter of a destination as the form shows it."""
    found: dict[str, Any] = msgspec.to_builtins(told.filter)
    return found


def filter_of(before: Destination, form: Form) -> dict[str, Any]:
    """Return the filter that a form says."""
    place = {
        "terminal": form("terminal") or None,
        "terminal_id": None,
        "site_id": int(form("site")) if form.numbers("site") else None,
        "site": None,
    }
    kept = shown_filter(before)
    records = alarms = None
    if form.ticked("records"):
        records = {
            **(kept["records"] or {}),
            **place,
            "passed": _PASSED.get(form("passed")),
            "recognition_type": _code(form("recognition_type")),
            "abnormal_type": _code(form("abnormal_type")),
        }
    if form.ticked("alarms"):
        state = form("state")
        alarms = {
            **(kept["alarms"] or {}),
            **place,
            "code": _code(form("code")),
            "state": state if state in STATES else None,
        }
    notices = kept["notices"] if before.kind == "receiver" else form.many("notices") or None
    return {"records": records, "alarms": alarms, "notices": notices}


def shown_rules(told: Destination) -> dict[str, Any]:
    """Return of what people are told as the form shows it."""
    options = told.notify or NotifyOptions()
    found: dict[str, Any] = msgspec.to_builtins(options)
    return {**found, **{name: f"{found[name]:g}" for name in _SPANS}}


def rules_of(form: Form) -> dict[str, Any]:
    """Return of what people are told as a form says it, whether it can be or not."""
    count = int(form("rules")) if form.numbers("rules") else 0
    rules = [_rule(form, f"rule.{at}.") for at in range(min(count, MOST_RULES))]
    begin, end = form("quiet.begin"), form("quiet.end")
    quiet = {"begin": begin, "end": end, "alarms": form.ticked("quiet.alarms")}
    return {
        "rules": [rule for rule in rules if rule["event"]],
        "quiet": quiet if begin or end else None,
        **{name: form(name) for name in _SPANS},
    }


def _rule(form: Form, at: str) -> dict[str, Any]:
    event = form(f"{at}event")
    if event == "alarm":
        own: dict[str, Any] = {"codes": form.numbers(f"{at}codes"), "states": form.many(f"{at}states")}
    elif event == "notice":
        own = {"kinds": form.many(f"{at}kinds")}
    else:
        own = {
            "codes": form.numbers(f"{at}abnormal"),
            "recognition_types": form.numbers(f"{at}types"),
            "passed": _PASSED.get(form(f"{at}passed")),
            "users": _words(form(f"{at}users")),
            "marked": form.ticked(f"{at}marked"),
            "person": form(f"{at}person") or "none",
        }
    return {
        "event": event,
        **own,
        "terminals": _lines(form(f"{at}terminals")),
        "sites": form.many(f"{at}sites"),
    }


def telling_of(before: Destination, form: Form) -> dict[str, Any]:
    """Return the filter and the rules that a form says; the filter leaves out what no rule is about.

    Raises :class:`~gatepost.errors.SettingsError`.
    """
    said = rules_of(form)
    if not said["rules"]:
        raise SettingsError("notify.rules", "are missing; choose in at least one what it is about")
    spans = {name: _number(name, said[name]) for name in _SPANS if said[name]}
    events = {rule["event"] for rule in said["rules"]}
    kept = shown_filter(before)
    chosen = {
        "records": (kept["records"] or {}) if "passage" in events else None,
        "alarms": (kept["alarms"] or {}) if "alarm" in events else None,
        "notices": None,  # those that the rules name
    }
    options = msgspec.to_builtins(before.notify or NotifyOptions())
    return {
        "filter": chosen,
        "notify": {**options, **{name: said[name] for name in ("rules", "quiet")}, **spans},
    }


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SettingsError(f"notify.{name}", "must be a number") from None


def _code(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _words(text: str) -> list[str]:
    return [one for one in re.split(r"[\s,;，；]+", text) if one]


def _lines(text: str) -> list[str]:
    """Return the lines: a name may have blanks in it."""
    return [line.strip() for line in text.splitlines() if line.strip()]
