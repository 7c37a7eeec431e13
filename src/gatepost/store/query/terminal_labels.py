"""Where terminals are: what is said beside an event, without the counts that :mod:`gatepost.store.query.registry` sums.

Functions on a connection, in the caller's transaction.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, select

from gatepost.store.fold import alike
from gatepost.store.interface import TerminalState
from gatepost.store.schema import tables as t

__all__ = ["TerminalLabel", "all_places", "held_terminals", "places", "terminals_asked", "terminals_named"]


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

    @property
    def label(self) -> str:
        """What to call it: its name, its serial, or the address that stands for it."""
        return self.name or self.serial or self.anonymous_peer or f"#{self.id}"


def held_terminals(db: Connection) -> list[int]:
    """The terminals whose events are not shown."""
    return [row.id for row in db.execute(select(t.terminals.c.id).where(t.terminals.c.state == "held"))]


def places(db: Connection, ids: Iterable[int]) -> dict[int, TerminalLabel]:
    """The terminals with these ids, as far as there are any."""
    wanted = sorted(set(ids))
    found: dict[int, TerminalLabel] = {}
    for start in range(0, len(wanted), 500):
        rows = db.execute(_select().where(t.terminals.c.id.in_(wanted[start : start + 500])))
        found |= {row.id: _place(row) for row in rows}
    return found


def all_places(db: Connection) -> list[TerminalLabel]:
    """Return every terminal, by id."""
    return [_place(row) for row in db.execute(_select().order_by(t.terminals.c.id))]


def terminals_named(db: Connection, terminal: str | int) -> list[int]:
    """Return the ids of the terminals that a filter means.

    A serial means one terminal. Text that is no serial is a name, which several terminals may have: written so, or
    else written alike. Text that is neither is an id, ``17`` or ``#17``. The list is empty where there is no such
    terminal (yet).
    """
    c = t.terminals.c
    if isinstance(terminal, int):
        return [terminal]
    for named in (c.serial == terminal, c.name == terminal):
        if found := list(db.execute(select(c.id).where(named).order_by(c.id)).scalars()):
            return found
    if name := alike(terminal):
        named_so = db.execute(select(c.id, c.name).where(c.name.is_not(None)).order_by(c.id))
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


def terminals_asked(db: Connection, query: _Asked) -> Sequence[ColumnElement[bool]]:
    """Return what a query wants of terminals, as conditions on their table."""
    c = t.terminals.c
    found: list[ColumnElement[bool]] = []
    if query.terminal is not None:
        found.append(c.id.in_(terminals_named(db, query.terminal)))
    if query.without_serial:
        found.append(c.serial.is_(None))
    if query.site_id is not None:
        found.append(c.site_id == query.site_id)
    return found


def _select() -> Any:
    c = t.terminals.c
    columns = (c.id, c.serial, c.anonymous_peer, c.name, c.site_id, c.timezone, c.state)
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
    )
