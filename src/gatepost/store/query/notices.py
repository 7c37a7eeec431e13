"""Keep notices: what happened to the installation itself, such as a terminal that fell silent.

Rules:

* A notice that something is wrong has a *condition*, which stands until a second notice ends it. So it is told once,
  however many receivers of a database see it, and whichever of them sees the end.
* Ids are of the one sequence of everything that arrives, so that a notice has its place in the feed.
* The latest :data:`MAX_NOTICES` are kept; of others the feed knows that they were there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, delete, func, select

from gatepost.store.conversion import values
from gatepost.store.cursor import decode_cursor, encode_cursor
from gatepost.store.dialect import insert, take_ids
from gatepost.store.interface import Notice, NoticeKind, Page, Transactions
from gatepost.store.query import feed
from gatepost.store.schema import tables as t

__all__ = ["MAX_NOTICES", "ENDS", "NewNotice", "Notice", "NoticeKind", "Notices"]

ENDS: Mapping[NoticeKind, NoticeKind] = {
    "terminal.back": "terminal.offline",
    "terminal.clock_right": "terminal.clock_wrong",
    "terminal.ours": "terminal.contested",
    "terminal.managed": "terminal.stopped",
    "journal.caught_up": "journal.behind",
    "disk.enough": "disk.low",
    "login.unlocked": "login.locked",
    "destination.resumed": "destination.closed",
    "destination.repaired": "destination.broken",
}
"""Which notice ends the condition of which."""

MAX_NOTICES = 100_000

_ORDER = "notices"


class NewNotice(Struct, frozen=True, kw_only=True):
    """Hold what is to be told, if it was not told yet."""

    kind: NoticeKind
    subject: str
    """Of what, so that it is told from others: an id, or the name of a machine."""
    terminal_id: int | None = None
    detail: Mapping[str, str | float] = {}
    """Numbers and names, as the texts have them."""


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
        with self._store.changing() as db:
            told = [one for one in found if _takes_effect(db, one, now_ms)]
            if told:
                first = take_ids(db, len(told))
                db.execute(t.notices.insert(), [_row(one, first + at, now_ms) for at, one in enumerate(told)])
                _trim(db)
        return len(told)

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


def by_id(db: Connection, ids: Sequence[int]) -> list[Notice]:
    """Return those of these notices that there are, in no order."""
    return [_notice(row) for row in db.execute(_SELECT.where(t.notices.c.id.in_(ids)))]


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


def _row(one: NewNotice, number: int, now_ms: int) -> dict[str, Any]:
    return {
        "id": number,
        "at_ms": now_ms,
        "kind": one.kind,
        "subject": one.subject,
        "terminal_id": one.terminal_id,
        "detail": msgspec.json.encode(one.detail).decode(),
    }


def _trim(db: Connection) -> None:
    c = t.notices.c
    edge = db.execute(select(c.id).order_by(c.id.desc()).offset(MAX_NOTICES).limit(1)).scalar_one_or_none()
    if edge is not None:
        gone = list(db.execute(delete(t.notices).where(c.id <= edge).returning(c.id)).scalars())
        feed.keep_deleted(db, "notice", gone)


def _notice(row: Row[Any]) -> Notice:
    return Notice(
        id=row.id,
        at=values.moment(row.at_ms),
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
