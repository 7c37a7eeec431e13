"""Where terminals are: what is said beside an event, without the counts that :mod:`gatepost.store.registry` sums.

Functions on a connection, in the caller's transaction.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, select

from gatepost.store import schema as t
from gatepost.store.store import TerminalState

__all__ = ["Place", "held_terminals", "place_of", "places"]


class Place(Struct, frozen=True, kw_only=True):
    """A terminal, and where it stands."""

    id: int
    serial: str | None
    anonymous_peer: str | None
    name: str | None
    site_id: int
    site: str
    timezone: str
    """Its own, or else its site's."""
    state: TerminalState

    @property
    def label(self) -> str:
        """What to call it: its name, its serial, or the address that stands for it."""
        return self.name or self.serial or self.anonymous_peer or f"#{self.id}"


def held_terminals(db: Connection) -> list[int]:
    """The terminals whose events are not shown."""
    return [row.id for row in db.execute(select(t.terminals.c.id).where(t.terminals.c.state == "held"))]


def places(db: Connection, ids: Iterable[int]) -> dict[int, Place]:
    """The terminals with these ids, as far as there are any."""
    wanted = sorted(set(ids))
    found: dict[int, Place] = {}
    for start in range(0, len(wanted), 500):
        rows = db.execute(_select().where(t.terminals.c.id.in_(wanted[start : start + 500])))
        found |= {row.id: _place(row) for row in rows}
    return found


def place_of(db: Connection, terminal: str) -> Place | None:
    """The terminal with this serial, or else with this id."""
    found = db.execute(_select().where(t.terminals.c.serial == terminal)).one_or_none()
    if found is None and terminal.isascii() and terminal.isdigit() and len(terminal) < 19:
        found = db.execute(_select().where(t.terminals.c.id == int(terminal))).one_or_none()
    return None if found is None else _place(found)


def _select() -> Any:
    c = t.terminals.c
    columns = (c.id, c.serial, c.anonymous_peer, c.name, c.site_id, c.timezone, c.state)
    return select(*columns, t.sites.c.name.label("site"), t.sites.c.timezone.label("site_timezone")).join(
        t.sites, t.sites.c.id == c.site_id
    )


def _place(row: Any) -> Place:
    return Place(
        id=row.id,
        serial=row.serial,
        anonymous_peer=row.anonymous_peer,
        name=row.name,
        site_id=row.site_id,
        site=row.site,
        timezone=row.timezone or row.site_timezone,
        state=row.state,
    )
