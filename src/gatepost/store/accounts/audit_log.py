"""Keep the audit log: who did what, to what, from where.

It only grows. Nothing changes a line of it; the retention that its owner set takes whole lines off its old end. Its
lines are chained: :mod:`gatepost.store.accounts.audit_chain`.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, cast

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Row, func, select

from gatepost.store.accounts import audit_chain
from gatepost.store.accounts.audit_chain import Link, Verified
from gatepost.store.conversion.values import moment
from gatepost.store.interface import Counted, Page, Transactions
from gatepost.store.page_bytes import bytes_of, fitting
from gatepost.store.query.counting import COUNT_MOST, counted
from gatepost.store.schema import tables as t

__all__ = ["AuditLog", "AuditRow"]


class AuditRow(Struct, frozen=True, kw_only=True):
    """Describe who did what, to what, from where."""

    id: int
    at: datetime
    actor: str
    address: str
    action: str
    subject: str
    detail: dict[str, Any]


class AuditLog:
    """The audit log, on either database. Every method blocks; any thread may call it."""

    def __init__(self, store: Transactions) -> None:
        self._store = store

    def note(
        self,
        *,
        now_ms: int,
        actor: str,
        address: str,
        action: str,
        subject: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down what was done. ``detail`` has no name of a person, no number and no secret in it."""
        row = {
            "at_ms": now_ms,
            "actor": actor,
            "address": address,
            "action": action,
            "subject": subject,
            "detail": msgspec.json.encode(detail or {}).decode(),
        }
        with self._store.changing() as db:
            audit_chain.append(db, row)

    def verify_audit(self, known: Link | None = None) -> Verified:
        """Verify the audit log: see :func:`gatepost.store.accounts.audit_chain.verify`."""
        return audit_chain.verify(self._store, known)

    def audit_lines(self) -> Iterator[tuple[Link, Row[Any] | None]]:
        """Yield the audit log as :func:`gatepost.store.accounts.audit_chain.lines` does."""
        return audit_chain.lines(self._store)

    def count_audit(self, **filters: Any) -> Counted:
        """Count the lines of :meth:`audit` with these filters, up to 10,000."""
        lines = select(t.audit.c.id).where(*_audited(**filters)).limit(COUNT_MOST + 1).subquery()
        with self._store.reading() as db:
            return counted(db.execute(select(func.count()).select_from(lines)).scalar_one())

    def audit(
        self,
        *,
        limit: int = 100,
        cursor: str | None = None,
        action: str | None = None,
        actor: str | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
    ) -> Page[AuditRow]:
        """Latest first, from ``since_ms`` to before ``until_ms``. Raises ``ValueError`` for a cursor that is none."""
        c = t.audit.c
        size = bytes_of(c.detail, texts=(c.actor, c.subject))
        statement = select(c.id, size).order_by(c.id.desc()).limit(limit + 1)
        if cursor is not None:
            if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
                raise ValueError("cursor is none that this list gave; leave it out to begin with the latest")
            statement = statement.where(c.id < int(cursor))
        wanted = _audited(action=action, actor=actor, since_ms=since_ms, until_ms=until_ms)
        statement = statement.where(*wanted)
        with self._store.reading() as db:
            sized = db.execute(statement).all()
            ids = [row.id for row in sized[: fitting([row.size for row in sized[:limit]])]]
            shown = select(t.audit).where(c.id.in_(ids)).order_by(c.id.desc())
            items = tuple(_audit(row) for row in db.execute(shown)) if ids else ()
        return Page(items, str(ids[-1]) if len(sized) > len(ids) else None)

    def latest(self, actions: Collection[str], subject: str | None = None) -> AuditRow | None:
        """Return the latest line of one of these actions, about a subject where one is given."""
        c = t.audit.c
        about = [] if subject is None else [c.subject == subject]
        wanted = select(t.audit).where(c.action.in_(actions), *about).order_by(c.id.desc()).limit(1)
        with self._store.reading() as db:
            row = db.execute(wanted).one_or_none()
        return None if row is None else _audit(row)


def _audit(row: Row[Any]) -> AuditRow:
    return AuditRow(
        id=row.id,
        at=moment(row.at_ms),
        actor=row.actor,
        address=row.address,
        action=row.action,
        subject=row.subject,
        detail=cast("dict[str, Any]", msgspec.json.decode(row.detail)),
    )


def _audited(
    *,
    action: str | None = None,
    actor: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> list[ColumnElement[bool]]:
    """Return what is wanted of lines of the audit log."""
    c = t.audit.c
    wanted = {c.action: action, c.actor: actor}
    found = [column == value for column, value in wanted.items() if value is not None]
    found += [c.at_ms >= since_ms] if since_ms is not None else []
    return found + ([c.at_ms < until_ms] if until_ms is not None else [])
