"""Keep notices: what happened to the installation itself, such as a terminal that fell silent.

Rules:

* A notice that something is wrong has a *condition*, which stands until a second notice ends it. So it is told once,
  however many receivers of a database see it, and whichever of them sees the end.
* Ids follow each other without a gap, in the order in which notices are committed: an id is a place, as in the feed.
* The latest :data:`MAX_NOTICES` are kept.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, delete, func, select, text

from gatepost.store.conversion import rows as conversion
from gatepost.store.cursor import decode_cursor, encode_cursor
from gatepost.store.dialect import insert
from gatepost.store.interface import Page, Transactions
from gatepost.store.schema import tables as t

__all__ = ["MAX_NOTICES", "ENDS", "NewNotice", "Notice", "NoticeKind", "Notices"]

NoticeKind = Literal[
    "terminal.new",
    "terminal.offline",
    "terminal.back",
    "terminal.clock_wrong",
    "terminal.clock_right",
    "journal.behind",
    "journal.caught_up",
    "disk.low",
    "disk.enough",
    "login.locked",
    "login.unlocked",
    "destination.closed",
    "destination.resumed",
]

ENDS: Mapping[NoticeKind, NoticeKind] = {
    "terminal.back": "terminal.offline",
    "terminal.clock_right": "terminal.clock_wrong",
    "journal.caught_up": "journal.behind",
    "disk.enough": "disk.low",
    "login.unlocked": "login.locked",
    "destination.resumed": "destination.closed",
}
"""Which notice ends the condition of which."""

MAX_NOTICES = 100_000

_LOCK = 1_784_003_117
"""Of PostgreSQL: one transaction at a time adds notices, so that ids are committed in order."""

_ORDER = "notices"


class NewNotice(Struct, frozen=True, kw_only=True):
    """Hold what is to be told, if it was not told yet."""

    kind: NoticeKind
    subject: str
    """Of what, so that it is told from others: an id, or the name of a machine."""
    terminal_id: int | None = None
    detail: Mapping[str, str | int | float] = {}
    """Numbers and names, as the texts have them."""


class Notice(Struct, frozen=True, kw_only=True):
    """Hold what happened to the installation itself."""

    id: int
    at: datetime
    kind: NoticeKind
    subject: str
    terminal_id: int | None
    serial: str | None
    terminal_name: str | None
    site_id: int | None
    site: str | None
    timezone: str | None
    detail: Mapping[str, Any]


_SELECT = (
    select(
        t.notices,
        t.terminals.c.serial,
        t.terminals.c.name.label("terminal_name"),
        t.terminals.c.site_id,
        t.sites.c.name.label("site"),
        func.coalesce(t.terminals.c.timezone, t.sites.c.timezone).label("timezone"),
    )
    .outerjoin(t.terminals, t.terminals.c.id == t.notices.c.terminal_id)
    .outerjoin(t.sites, t.sites.c.id == t.terminals.c.site_id)
)


class Notices:
    """Every notice, on either database. Every method blocks; any thread may call it.

    Raises :class:`~gatepost.errors.StoreUnavailable`.
    """

    def __init__(self, store: Transactions) -> None:
        self._store = store

    def standing(self) -> frozenset[tuple[NoticeKind, str]]:
        """Return the conditions that stand, by kind and subject."""
        c = t.conditions.c
        with self._store.reading() as db:
            return frozenset((row.kind, row.subject) for row in db.execute(select(c.kind, c.subject)))

    def tell(self, found: Sequence[NewNotice], *, now_ms: int) -> int:
        """Add the notices whose conditions are new, or stood until now; return how many these are."""
        if not found:
            return 0
        told = 0
        with self._store.changing() as db:
            if db.dialect.name == "postgresql":
                db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            for one in found:
                if _takes_effect(db, one, now_ms):
                    _add(db, one, now_ms)
                    told += 1
            if told:
                _trim(db)
        return told

    def page(self, *, limit: int = 100, cursor: str | None = None) -> Page[Notice]:
        """Return notices, the latest first. Raises :class:`~gatepost.store.cursor.BadCursor`."""
        c = t.notices.c
        wanted = _SELECT.order_by(c.id.desc()).limit(limit + 1)
        if cursor is not None:
            wanted = wanted.where(c.id < decode_cursor(cursor, _ORDER)[0])
        with self._store.reading() as db:
            rows = [_notice(row) for row in db.execute(wanted)]
        shown = tuple(rows[:limit])
        return Page(shown, encode_cursor(_ORDER, shown[-1].id, 0) if len(rows) > limit else None)

    def closed_destinations(self) -> dict[int, str]:
        """Return the names of the destinations that want no more events, by id."""
        c = t.destinations.c
        with self._store.reading() as db:
            rows = db.execute(select(c.id, c.name).where(c.closed_at_ms.is_not(None), c.replay_of.is_(None)))
            return {row.id: row.name for row in rows}

    def end(self) -> int:
        """Return the id of the latest notice; 0 for none."""
        with self._store.reading() as db:
            return last_id(db)


def last_id(db: Connection) -> int:
    """Return the id of the latest notice; 0 for none."""
    return int(db.execute(select(func.max(t.notices.c.id))).scalar() or 0)


def after(db: Connection, place: int, limit: int) -> list[Notice]:
    """Return the notices with ids above a place, in order."""
    c = t.notices.c
    return [_notice(row) for row in db.execute(_SELECT.where(c.id > place).order_by(c.id).limit(limit))]


def by_id(db: Connection, ids: Sequence[int]) -> list[Notice]:
    """Return those of these notices that there are, in no order."""
    return [_notice(row) for row in db.execute(_SELECT.where(t.notices.c.id.in_(ids)))]


def count(db: Connection, place: int, until: int) -> int:
    """Return how many notices there are with ids above a place and up to another one."""
    c = t.notices.c
    wanted = select(func.count()).where(c.id > place, c.id <= until)
    return int(db.execute(wanted).scalar_one())


def _takes_effect(db: Connection, one: NewNotice, now_ms: int) -> bool:
    """Begin or end the condition of a notice; return whether that changed anything."""
    c = t.conditions.c
    begins = ENDS.get(one.kind)
    if begins is not None:
        gone = db.execute(delete(t.conditions).where(c.kind == begins, c.subject == one.subject))
        return gone.rowcount == 1
    row = {"kind": one.kind, "subject": one.subject, "since_ms": now_ms}
    statement = insert(db, t.conditions).values(row)
    made = statement.on_conflict_do_nothing(index_elements=["kind", "subject"]).returning(c.kind)
    return db.execute(made).first() is not None


def _add(db: Connection, one: NewNotice, now_ms: int) -> None:
    row = {
        "id": last_id(db) + 1,
        "at_ms": now_ms,
        "kind": one.kind,
        "subject": one.subject,
        "terminal_id": one.terminal_id,
        "detail": msgspec.json.encode(one.detail).decode(),
    }
    db.execute(t.notices.insert().values(row))


def _trim(db: Connection) -> None:
    db.execute(delete(t.notices).where(t.notices.c.id <= last_id(db) - MAX_NOTICES))


def _notice(row: Row[Any]) -> Notice:
    return Notice(
        id=row.id,
        at=conversion.moment(row.at_ms),
        kind=row.kind,
        subject=row.subject,
        terminal_id=row.terminal_id,
        serial=row.serial,
        terminal_name=row.terminal_name,
        site_id=row.site_id,
        site=row.site,
        timezone=row.timezone,
        detail=msgspec.json.decode(row.detail),
    )


KINDS: tuple[NoticeKind, ...] = get_args(NoticeKind)
