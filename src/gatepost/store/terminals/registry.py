"""Terminals and sites: who may push, where they stand, and what each one has sent so far.

Functions on a connection, in the caller's transaction; :class:`gatepost.store.base.BaseStore` opens those.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from gatepost.errors import StoreError
from gatepost.store.conversion.rows import LATE_MS
from gatepost.store.conversion.terminal_counters import HISTORY
from gatepost.store.conversion.values import moment, text
from gatepost.store.cursor import decode_cursor, encode_cursor
from gatepost.store.dialect import insert
from gatepost.store.interface import (
    EVERYTHING,
    DisagreementRow,
    NewTerminal,
    Page,
    SiteRow,
    TerminalRow,
    TerminalState,
    Visible,
)
from gatepost.store.page_bytes import bytes_of, fitting
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import at_sites
from gatepost.store.turns import take_turns
from gatepost.store.versions import Versions, check_version

__all__ = [
    "Conflict",
    "terminals",
    "terminal",
    "terminals_page",
    "refusals",
    "disagreements",
    "peers",
    "has_token",
    "tokens",
    "use_token",
    "ensure_terminals",
    "create_terminal",
    "update_terminal",
    "sites",
    "create_site",
    "update_site",
]

_COUNTS = (
    "records", "alarms", "quarantined", "duplicates", "with_problems", "late", "repeated_ids", "unusable_ids",
)  # fmt: skip


class Conflict(StoreError):
    """Two terminals cannot have one serial, nor two sites one name."""


def terminals(db: Connection, *conditions: Any) -> list[TerminalRow]:
    """Return the terminals that fit, by id, each with the sum of its counts."""
    rows = db.execute(
        select(t.terminals, t.sites.c.name.label("site"), t.sites.c.timezone.label("site_timezone"))
        .join(t.sites, t.sites.c.id == t.terminals.c.site_id)
        .where(*conditions)
        .order_by(t.terminals.c.id)
    ).all()
    some = [row.id for row in rows] if len(rows) <= 100 else None
    tallies: dict[int, list[Row[Any]]] = {}
    for tally in db.execute(_of(t.tallies, some)):
        tallies.setdefault(tally.terminal_id, []).append(tally)
    refused = _sums(db, t.refusals, some)
    disagreed = _sums(db, t.disagreements, some)
    return [
        _terminal(row, tallies.get(row.id, []), refused.get(row.id, 0), disagreed.get(row.id, 0))
        for row in rows
    ]


def terminal(db: Connection, terminal_id: int) -> TerminalRow | None:
    found = terminals(db, t.terminals.c.id == terminal_id)
    return found[0] if found else None


def terminals_page(
    db: Connection,
    visible: Visible,
    *,
    state: TerminalState | None = None,
    site_id: int | None = None,
    limit: int = 1000,
    cursor: str | None = None,
) -> Page[TerminalRow]:
    """Terminals by id. Raises :class:`~gatepost.store.cursor.BadCursor`."""
    c = t.terminals.c
    size = bytes_of(texts=(c.serial, c.name, c.networks))
    which = select(c.id, size).where(*at_sites(visible)).order_by(c.id).limit(limit + 1)
    if state is not None:
        which = which.where(c.state == state)
    if site_id is not None:
        which = which.where(c.site_id == site_id)
    if cursor is not None:
        which = which.where(c.id > decode_cursor(cursor, "terminals")[1])
    sized = db.execute(which).all()
    ids = [row.id for row in sized[: fitting([row.size for row in sized[:limit]])]]
    items = tuple(terminals(db, c.id.in_(ids))) if ids else ()
    return Page(items, encode_cursor("terminals", 0, ids[-1]) if len(sized) > len(ids) else None)


def refusals(db: Connection, terminal_id: int) -> dict[str, int]:
    """How often a terminal's pushes were refused, by reason."""
    c = t.refusals.c
    statement = select(c.reason, func.sum(c.count).label("sum")).where(c.terminal_id == terminal_id)
    return {row.reason: int(row.sum) for row in db.execute(statement.group_by(c.reason).order_by(c.reason))}


def disagreements(db: Connection, terminal_id: int) -> list[DisagreementRow]:
    """Whose else a terminal's pushes said that they were, the latest first; at most 100."""
    c = t.disagreements.c
    statement = select(t.disagreements).where(c.terminal_id == terminal_id)
    return [
        DisagreementRow(
            source=row.source,
            said=row.said,
            count=row._mapping["count"],
            first_at=moment(row.first_at_ms),
            last_at=moment(row.last_at_ms),
        )
        for row in db.execute(statement.order_by(c.last_at_ms.desc(), c.source, c.said).limit(100))
    ]


def _of(table: Any, some: Sequence[int] | None) -> Any:
    statement = select(table)
    return statement if some is None else statement.where(table.c.terminal_id.in_(some))


def _sums(db: Connection, table: Any, some: Sequence[int] | None) -> dict[int, int]:
    c = table.c
    statement = select(c.terminal_id, func.sum(c.count).label("sum")).group_by(c.terminal_id)
    if some is not None:
        statement = statement.where(c.terminal_id.in_(some))
    return {row.terminal_id: int(row.sum) for row in db.execute(statement)}


def _terminal(row: Row[Any], tallies: Sequence[Row[Any]], refused: int, disagreed: int) -> TerminalRow:
    counted, tallies = tallies, [tally for tally in tallies if tally.writer != HISTORY]
    last = max(tallies, key=lambda tally: tally.last_at_ms, default=None)
    return TerminalRow(
        id=row.id,
        serial=row.serial,
        anonymous_peer=row.anonymous_peer,
        name=row.name,
        site_id=row.site_id,
        site=row.site,
        timezone=row.timezone or row.site_timezone,
        state=row.state,
        direction=row.direction,
        has_token=row.token_digest is not None,
        networks=tuple(msgspec.json.decode(row.networks)) if row.networks else (),
        model=row.model,
        dialect=row.dialect,
        created_at=moment(row.created_at_ms),
        token_used_at=moment(row.token_used_at_ms),
        token_required_since=moment(row.token_required_since_ms),
        tokenless_at=_latest(tally.tokenless_at_ms for tally in tallies),
        first_seen=moment(min((tally.first_at_ms for tally in tallies), default=None)),
        last_seen=None if last is None else moment(last.last_at_ms),
        last_recorded_at=_last_recorded(tallies, last),
        clock_error_ms=_clock_error(last),
        interval_ms=None if last is None else last.interval_ms,
        peer=None if last is None else last.peer,
        **{name: sum(getattr(tally, name) for tally in counted) for name in _COUNTS},
        refused=refused,
        disagreements=disagreed,
        late_at=_latest(tally.late_at_ms for tally in tallies),
    )


def _latest(times_ms: Iterable[int | None]) -> datetime | None:
    return moment(max((at_ms for at_ms in times_ms if at_ms is not None), default=None))


def _last_recorded(tallies: Sequence[Row[Any]], last: Row[Any] | None) -> datetime | None:
    """Return when the last event happened. One in the future counts only if the latest writer has it."""
    if last is None:
        return None
    until_ms: int = last.last_at_ms + LATE_MS
    if last.last_recorded_ms is not None:
        until_ms = max(until_ms, last.last_recorded_ms)
    known = (tally.last_recorded_ms for tally in tallies if tally.last_recorded_ms is not None)
    return _latest(at_ms for at_ms in known if at_ms <= until_ms)


def _clock_error(last: Row[Any] | None) -> int | None:
    if last is None or last.clock_error_ms is not None:
        return None if last is None else int(last.clock_error_ms)
    return None if last.least_lag_ms is None else -int(last.least_lag_ms)


def peers(db: Connection) -> dict[tuple[str, int], int]:
    """Return when each terminal was last seen at each address, the longest unseen first."""
    rows = db.execute(select(t.peers).order_by(t.peers.c.at_ms))
    return {(row.address, row.terminal_id): row.at_ms for row in rows}


def tokens(db: Connection) -> dict[bytes, int]:
    c = t.terminals.c
    both = (c.token_digest, c.next_token_digest)
    return {
        bytes(row.digest): row.id
        for each in both
        for row in db.execute(select(each.label("digest"), c.id).where(each.is_not(None)))
    }


def use_token(db: Connection, digest: bytes, *, now_ms: int) -> TerminalRow | None:
    c = t.terminals.c
    used = {name: func.coalesce(c[name], now_ms) for name in ("token_used_at_ms", "token_required_since_ms")}
    db.execute(update(t.terminals).where(has_token(digest)).values(used))
    found = terminals(db, has_token(digest))
    return found[0] if found else None


def has_token(digest: bytes) -> ColumnElement[bool]:
    """Return the condition that a terminal may push with a token."""
    return or_(t.terminals.c.token_digest == digest, t.terminals.c.next_token_digest == digest)


def ensure_terminals(db: Connection, new: Sequence[NewTerminal]) -> list[TerminalRow]:
    """Make those terminals that are not there; return all of them, in order."""
    serials = {text(one.serial): one for one in new if one.serial is not None}
    addresses = {one.peer: one for one in new if one.serial is None}
    by_serial = {row.serial: row for row in _ensure(db, "serial", serials)}
    by_address = {row.anonymous_peer: row for row in _ensure(db, "anonymous_peer", addresses)}
    return [by_address[one.peer] if one.serial is None else by_serial[text(one.serial)] for one in new]


def _ensure(db: Connection, column: str, new: Mapping[str, NewTerminal]) -> list[TerminalRow]:
    if not new:
        return []
    sites = _ensure_sites(db, [one for one in new.values() if one.site])
    db.execute(
        insert(db, t.terminals).on_conflict_do_nothing(index_elements=[column]),
        # In one order in every process, so that no two of them wait for each other's rows.
        [
            {
                column: value,
                "site_id": sites.get(text(one.site), 1),
                "state": one.state,
                "created_at_ms": one.at_ms,
            }
            for value, one in sorted(new.items())
        ],
    )
    return terminals(db, t.terminals.c[column].in_(list(new)))


def _ensure_sites(db: Connection, new: Sequence[NewTerminal]) -> Mapping[str, int]:
    """Make the sites of new terminals that are not there; return the id of each by its name."""
    if not new:
        return {}
    first = db.execute(select(t.sites.c.timezone).where(t.sites.c.id == 1)).scalar_one()
    named = {text(one.site): one for one in new}
    db.execute(
        insert(db, t.sites).on_conflict_do_nothing(index_elements=["name"]),
        [
            {"name": name, "timezone": one.timezone or first, "created_at_ms": one.at_ms}
            for name, one in sorted(named.items())
        ],
    )
    there = select(t.sites.c.name, t.sites.c.id).where(t.sites.c.name.in_(list(named)))
    return {row.name: row.id for row in db.execute(there)}


def create_terminal(db: Connection, *, now_ms: int, values: Mapping[str, Any]) -> TerminalRow:
    """``values`` are columns of ``terminals``; ``networks`` a sequence of strings."""
    row = {"site_id": 1, "state": "approved", "created_at_ms": now_ms, **_columns(values)}
    try:
        new = db.execute(t.terminals.insert().values(row).returning(t.terminals.c.id)).scalar_one()
    except IntegrityError:
        raise Conflict(f"there is already a terminal with serial {values.get('serial')}") from None
    return terminals(db, t.terminals.c.id == new)[0]


def update_terminal(db: Connection, terminal_id: int, values: Mapping[str, Any]) -> TerminalRow | None:
    try:
        if values:
            db.execute(update(t.terminals).where(t.terminals.c.id == terminal_id).values(**_columns(values)))
    except IntegrityError:
        raise Conflict(
            f"terminal {terminal_id} cannot be changed so: the serial is another one's,"
            " or there is no such site or state"
        ) from None
    found = terminals(db, t.terminals.c.id == terminal_id)
    return found[0] if found else None


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    allowed = {"serial", "name", "site_id", "timezone", "state", "direction", "token_digest", "networks"}
    if unknown := values.keys() - allowed:
        raise StoreError(f"a terminal has no {min(unknown)} that could be set")
    row = {name: text(value) if isinstance(value, str) else value for name, value in values.items()}
    if row.get("networks") is not None:
        row["networks"] = msgspec.json.encode(list(row["networks"])).decode() if row["networks"] else None
    if "token_digest" in row:
        row |= {"token_used_at_ms": None, "next_token_digest": None}
        if row["token_digest"] is None:
            row["token_required_since_ms"] = None
    return row


def sites(db: Connection, visible: Visible) -> list[SiteRow]:
    here = [] if visible.sites is None else [t.sites.c.id.in_(sorted(visible.sites))]
    rows = db.execute(select(t.sites).where(*here).order_by(t.sites.c.id))
    return [SiteRow(row.id, row.name, row.timezone, moment(row.created_at_ms)) for row in rows]


def create_site(db: Connection, name: str, timezone: str, *, now_ms: int) -> SiteRow:
    values = {"name": text(name), "timezone": timezone, "created_at_ms": now_ms}
    try:
        new = db.execute(t.sites.insert().values(values).returning(t.sites.c.id)).scalar_one()
    except IntegrityError:
        raise Conflict(f"there is already a site called {name}") from None
    return SiteRow(new, text(name), timezone, moment(now_ms))


def update_site(
    db: Connection, site_id: int, *, name: str | None, timezone: str | None, versions: Versions = None
) -> None:
    if versions is not None:
        take_turns(db)
        for row in sites(db, EVERYTHING):
            if row.id == site_id:
                check_version(versions, row.version)
    values = {"name": None if name is None else text(name), "timezone": timezone}
    values = {key: value for key, value in values.items() if value is not None}
    try:
        if values:
            db.execute(update(t.sites).where(t.sites.c.id == site_id).values(values))
    except IntegrityError:
        raise Conflict(f"there is already a site called {name}") from None
