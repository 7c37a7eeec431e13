"""Fill in the templates of topics and subjects from an event. Pure."""

from __future__ import annotations

from string import Formatter

from gatepost.errors import SettingsError
from gatepost.store.interface import Forwarded, Notice

__all__ = ["check_template", "filled", "place_of"]

FIELDS = ("terminal", "site", "kind", "id")
"""The names that a template of a topic or subject may have in braces."""


def check_template(where: str, template: str, forbidden: str) -> None:
    """Raise :class:`~gatepost.errors.SettingsError` for an invalid template, or one that makes no topic."""
    try:
        fields = [each[1:] for each in Formatter().parse(template) if each[1] is not None]
    except ValueError:
        raise SettingsError(where, "has a brace without its other one") from None
    for name, spec, conversion in fields:
        if name not in FIELDS or spec or conversion:
            shown = " ".join(f"{{{field}}}" for field in FIELDS)
            raise SettingsError(where, f"can have {shown} and no other field; it has {{{name}}}")
    if any(letter in forbidden for letter in template) or not template.isprintable():
        raise SettingsError(
            where, f"cannot have {' '.join(filter(str.isprintable, forbidden.replace(' ', '')))} or blanks"
        )
    if template.startswith("$"):
        raise SettingsError(where, "cannot begin with $, which is the broker's own")


def place_of(row: Forwarded) -> str:
    """Return one name for the terminal of an event; for a notice without a terminal its subject."""
    if row.serial is not None:
        return row.serial
    if isinstance(row, Notice) and row.terminal_id is None:
        return row.subject
    return f"terminal-{row.terminal_id}"


def filled(template: str, row: Forwarded, id: str, separators: str) -> str:
    """Fill in a template; ``separators`` in values, blanks, and what cannot be printed become ``_``."""

    def plain(value: str) -> str:
        kept = (letter if letter.isprintable() and letter not in separators else "_" for letter in value)
        return "".join(kept).replace(" ", "_")[:128] or "_"

    return template.format(
        terminal=plain(place_of(row)),
        site=plain(row.site or ""),
        kind=id.partition("-")[0],
        id=plain(id),
    )
