"""Help on every page: what the page is for, the guide that tells more, and the keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gatepost.console.words import Words

__all__ = ["GUIDES", "KEYS", "PageHelp", "every_page", "help_of"]

GUIDES: Mapping[str, str] = {
    "live": "console", "records": "console", "record": "console", "alarms": "console", "alarm": "console",
    "people": "console", "person": "console", "attendance": "console", "schedules": "console",
    "corrections": "console", "statistics": "console", "audit": "console", "account": "console",
    "welcome": "receiver", "terminals": "receiver", "terminal": "receiver", "terminal_new": "receiver",
    "quarantine": "receiver", "refusals": "receiver", "fleet": "fleet", "fleet_adopt": "fleet",
    "fleet_import": "fleet", "fleet_find": "fleet", "fleet_history": "fleet", "why": "fleet",
    "destinations": "destinations", "destination": "destinations", "destination_new": "destinations",
    "destination_setup": "destinations", "inside": "people", "alarms_acknowledge": "console", "views": "console",
    "settings": "deploy", "users": "deploy", "system": "deploy",
}  # fmt: skip
"""The guide of a page in ``docs/how-to``, by the page's template."""

KEYS: Sequence[tuple[str, str]] = (
    ("?", "help"),
    ("/", "search"),
    ("j", "next"),
    ("k", "previous"),
    ("Enter", "open"),
    ("Esc", "close"),
)
"""Each key, and the name of its text."""

TITLES: Mapping[str, str] = {
    "users": "settings.users",
    "account": "account.title",
    "welcome": "welcome.title",
    "schedules": "schedules.title",
    "corrections": "corrections.title",
    "refusals": "refusals.title",
    "fleet": "fleet.title",
}
"""Titles of pages that are not in the navigation and have a place in the help of all pages."""


class PageHelp(Struct, frozen=True):
    """The help of one page."""

    name: str
    """Of its template."""
    title: str
    text: str
    guide: str
    """The path of the guide in the reader's language; empty for none."""


def help_of(template: str, words: Words) -> PageHelp:
    """Return the help of a page."""
    name = template.removesuffix(".html")
    name = name if words.has(f"help.{name}") else "error"
    guide = GUIDES.get(name, "")
    ending = ".zh.md" if words.language == "zh" else ".md"
    title = TITLES.get(name, f"nav.{name}")
    return PageHelp(
        name,
        words(title) if words.has(title) else "",
        words(f"help.{name}"),
        f"docs/how-to/{guide}{ending}" if guide else "",
    )


def every_page(names: Sequence[str], words: Words) -> list[PageHelp]:
    """Return the help of the pages in the navigation, and of others that have a title."""
    return [help_of(name, words) for name in (*names, *TITLES)]
