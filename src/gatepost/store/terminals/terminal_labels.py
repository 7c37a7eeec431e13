"""Return terminal labels (name, serial, site, time zone) to show next to an event, without counts.

Functions on a connection, in the caller's transaction.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, not_, or_, select

from gatepost.store.fold import alike
from gatepost.store.interface import Direction, TerminalState, Visible
from gatepost.store.schema import tables as t

__all__ = [
    "TerminalLabel",
    "all_places",
    "at_sites",
    "events_of",
    "hidden_terminals",
    "places",
    "terminals_asked",
    "terminals_named",
]

_IS_HELD = t.terminals.c.state == "held"
_HELD = select(t.terminals.c.id).where(_IS_HELD)
"""Made once: it is asked by most lists."""


class TerminalLabel(Struct, frozen=True, kw_only=True):
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
    direction: Direction = "both"

    @property
    def label(self) -> str:
        """Return what to call it: its name, its serial, or the address that stands for it."""
        return self.name or self.serial or self.anonymous_peer or f"#{self.id}"


def at_sites(visible: Visible) -> list[ColumnElement[bool]]:
    """Return the conditions on terminals that they stand at a visible site and are visible; none where all are."""
    c = t.terminals.c
    found: list[ColumnElement[bool]] = []
    if visible.sites is not None:
        found.append(c.site_id.in_(sorted(visible.sites)))
    if visible.terminals is not None:
        found.append(c.id.in_(sorted(visible.terminals)))
    return found


def events_of(visible: Visible) -> list[ColumnElement[bool]]:
    """Return the condition on terminals that their records and alarms are visible."""
    return [*at_sites(visible), *([] if visible.held else [t.terminals.c.state != "held"])]


def hidden_terminals(db: Connection, visible: Visible) -> list[int]:
    """Return the terminals whose events are not shown: those that are held, and those that are not visible."""
    elsewhere = [not_(condition) for condition in at_sites(visible)]
    hidden = select(t.terminals.c.id).where(or_(_IS_HELD, *elsewhere)) if elsewhere else _HELD
    return list(db.execute(hidden).scalars())


def places(db: Connection, ids: Iterable[int], visible: Visible) -> dict[int, TerminalLabel]:
    """Return the terminals with these ids, as far as there are any that are visible."""
    wanted = sorted(set(ids))
    found: dict[int, TerminalLabel] = {}
    for start in range(0, len(wanted), 500):
        rows = db.execute(
            _select().where(t.terminals.c.id.in_(wanted[start : start + 500]), *at_sites(visible))
        )
        found |= {row.id: _place(row) for row in rows}
    return found


def all_places(db: Connection, visible: Visible) -> list[TerminalLabel]:
    """Return every visible terminal, by id."""
    return [_place(row) for row in db.execute(_select().where(*at_sites(visible)).order_by(t.terminals.c.id))]


def terminals_named(db: Connection, terminal: str | int, visible: Visible) -> list[int]:
    """Return the ids of the visible terminals that a filter means.

    A serial means one terminal. Text that is no serial is a name, which several terminals may have: written so, or
    else written alike. Text that is neither is an id, ``17`` or ``#17``. The list is empty where there is no such
    terminal (yet).
    """
    c = t.terminals.c
    here = at_sites(visible)
    if isinstance(terminal, int):
        return [terminal]
    for named in (c.serial == terminal, c.name == terminal):
        if found := list(db.execute(select(c.id).where(named, *here).order_by(c.id)).scalars()):
            return found
    if name := alike(terminal):
        named_so = db.execute(select(c.id, c.name).where(c.name.is_not(None), *here).order_by(c.id))
        if found := [row.id for row in named_so if alike(row.name) == name]:
            return found
    number = terminal.removeprefix("#")
    return [int(number)] if number.isascii() and number.isdigit() and len(number) < 19 else []


class _Asked(Protocol):
    """The filters that choose among terminals."""

    @property
    def terminal(self) -> str | int | None: ...

    @property
    def without_serial(self) -> bool: ...

    @property
    def site_id(self) -> int | None: ...


def terminals_asked(db: Connection, query: _Asked, visible: Visible) -> Sequence[ColumnElement[bool]]:
    """Return what a query wants of terminals, and that they are visible, as conditions on their table."""
    c = t.terminals.c
    found = at_sites(visible)
    if query.terminal is not None:
        found.append(c.id.in_(terminals_named(db, query.terminal, visible)))
    if query.without_serial:
        found.append(c.serial.is_(None))
    if query.site_id is not None:
        found.append(c.site_id == query.site_id)
    return found


def _select() -> Any:
    c = t.terminals.c
    columns = (c.id, c.serial, c.anonymous_peer, c.name, c.site_id, c.timezone, c.state, c.direction)
    return select(*columns, t.sites.c.name.label("site"), t.sites.c.timezone.label("site_timezone")).join(
        t.sites, t.sites.c.id == c.site_id
    )


def _place(row: Any) -> TerminalLabel:
    return TerminalLabel(
        id=row.id,
        serial=row.serial,
        anonymous_peer=row.anonymous_peer,
        name=row.name,
        site_id=row.site_id,
        site=row.site,
        timezone=row.timezone or row.site_timezone,
        state=row.state,
        direction=row.direction,
    )
