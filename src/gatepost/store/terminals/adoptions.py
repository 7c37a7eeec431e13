"""Keep adoptions of many terminals: a row for each, so that a restart goes on where it was.

Rules:

* An account is sealed, and is deleted as soon as its row is over.
* A row is marked as *trying* before anything is sent to its terminal. One that is found so after a restart has failed:
  whether the terminal has refused the password is not known, and a wrong one is not tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, delete, func, select, update

from gatepost.store.conversion.values import moment, text
from gatepost.store.interface import Transactions
from gatepost.store.schema import tables as t
from gatepost.store.terminals.sealed import Seal

__all__ = ["KEPT", "Adoption", "AdoptionRow", "Adoptions", "Ordered", "RowState", "ToAdopt"]

KEPT = 100
"""The latest adoptions are kept; of those that are over, older ones are deleted."""

MAX_REASON = 500
"""Characters."""

RowState = Literal["waiting", "trying", "adopted", "failed"]


class ToAdopt(Struct, frozen=True, kw_only=True):
    """One of the terminals that are to be adopted together."""

    address: str
    username: str
    password: str
    name: str | None = None
    site_id: int | None = None
    """``None``: where it is, or the first site."""


class AdoptionRow(Struct, frozen=True, kw_only=True):
    """How it went with one terminal."""

    number: int
    """Its place among those that were given, from 1."""
    address: str
    name: str | None
    site_id: int | None
    state: RowState
    serial: str | None
    terminal_id: int | None
    reason: str
    """Why it failed, and what to do."""


class Adoption(Struct, frozen=True, kw_only=True):
    """Terminals that are adopted together, and how far that is."""

    id: int
    created_at: datetime
    created_by: str
    ours: str
    """Our address up to the token."""
    finished_at: datetime | None
    counts: dict[str, int]
    """Terminals by state."""


class Ordered(Struct, frozen=True, kw_only=True):
    """A row that is to be done now."""

    adoption_id: int
    number: int
    ours: str
    by: str
    what: ToAdopt


class Adoptions:
    """Every adoption of many, on either database. Every method blocks; any thread may call it."""

    def __init__(self, store: Transactions) -> None:
        self._store = store
        self._seal = Seal(store)

    def create(self, rows: Sequence[ToAdopt], *, ours: str, by: str, now_ms: int) -> Adoption:
        """Order terminals to be adopted."""
        a = t.adoptions.c
        # Before the transaction: the first seal makes its key in one of its own.
        sealed = [
            self._seal.close(msgspec.json.encode(row), _place(number, row.address))
            for number, row in enumerate(rows, 1)
        ]
        with self._store.changing() as db:
            head = {"created_at_ms": now_ms, "created_by": text(by), "ours": ours}
            which = int(db.execute(t.adoptions.insert().values(head).returning(a.id)).scalar_one())
            db.execute(
                t.adoption_rows.insert(),
                [
                    {
                        "adoption_id": which,
                        "number": number,
                        "address": row.address,
                        "name": None if row.name is None else text(row.name),
                        "site_id": row.site_id,
                        "secrets": sealed[number - 1],
                        "state": "waiting",
                        "reason": "",
                    }
                    for number, row in enumerate(rows, 1)
                ],
            )
            _trim(db)
            return _adoptions(db, a.id == which)[0]

    def one(self, which: int) -> Adoption | None:
        """Return an adoption."""
        with self._store.reading() as db:
            found = _adoptions(db, t.adoptions.c.id == which)
        return found[0] if found else None

    def latest(self) -> list[Adoption]:
        """Return the adoptions, the latest first."""
        with self._store.reading() as db:
            return _adoptions(db)

    def rows(self, which: int, *, after: int = 0, limit: int = 1000) -> list[AdoptionRow]:
        """Return rows of an adoption in their order, those behind number ``after``."""
        c = t.adoption_rows.c
        asked = select(t.adoption_rows).where(c.adoption_id == which, c.number > after)
        with self._store.reading() as db:
            return [_row(row) for row in db.execute(asked.order_by(c.number).limit(limit))]

    def begin(self, limit: int) -> list[Ordered]:
        """Mark the next rows as trying, and return them."""
        c, a = t.adoption_rows.c, t.adoptions.c
        asked = (
            select(t.adoption_rows, a.ours, a.created_by)
            .join(t.adoptions, a.id == c.adoption_id)
            .where(c.state == "waiting")
            .order_by(c.adoption_id, c.number)
            .limit(limit)
        )
        with self._store.reading() as db:
            if db.execute(asked.limit(1)).first() is None:
                return []
        with self._store.changing() as db:
            found = db.execute(asked).all()
            for row in found:
                mine = (c.adoption_id == row.adoption_id, c.number == row.number)
                db.execute(update(t.adoption_rows).where(*mine).values(state="trying"))
        return [self._ordered(row) for row in found]

    def end(
        self, row: Ordered, *, now_ms: int, serial: str | None, terminal_id: int | None, reason: str = ""
    ) -> bool:
        """Store how it went with a terminal: without ``terminal_id`` it failed. Return whether all are over now."""
        c = t.adoption_rows.c
        values = {
            "state": "failed" if terminal_id is None else "adopted",
            "serial": None if serial is None else text(serial),
            "terminal_id": terminal_id,
            "reason": text(reason)[:MAX_REASON],
            "secrets": None,
        }
        with self._store.changing() as db:
            mine = (c.adoption_id == row.adoption_id, c.number == row.number)
            db.execute(update(t.adoption_rows).where(*mine).values(values))
            return bool(_finish(db, now_ms))

    def fail_interrupted(self, reason: str, *, now_ms: int) -> int:
        """End the rows that were being tried when the process that did so ended; return how many."""
        c = t.adoption_rows.c
        values = {"state": "failed", "reason": reason, "secrets": None}
        with self._store.changing() as db:
            done = db.execute(update(t.adoption_rows).where(c.state == "trying").values(values)).rowcount
            _finish(db, now_ms)
        return done

    def _ordered(self, row: Row[Any]) -> Ordered:
        data = self._seal.open(bytes(row.secrets), _place(row.number, row.address))
        what = msgspec.json.decode(data, type=ToAdopt)
        return Ordered(
            adoption_id=row.adoption_id, number=row.number, ours=row.ours, by=row.created_by, what=what
        )


def _place(number: int, address: str) -> str:
    return f"adoption {number} {address}"


def _finish(db: Connection, now_ms: int) -> int:
    """Mark the adoptions as finished that have nothing left to do; return how many."""
    c, a = t.adoption_rows.c, t.adoptions.c
    left = select(c.adoption_id).where(c.state.in_(("waiting", "trying")))
    over = update(t.adoptions).where(a.finished_at_ms.is_(None), a.id.not_in(left))
    return db.execute(over.values(finished_at_ms=now_ms)).rowcount


def _trim(db: Connection) -> None:
    a = t.adoptions.c
    edge = db.execute(select(a.id).order_by(a.id.desc()).offset(KEPT).limit(1)).scalar_one_or_none()
    if edge is not None:
        gone = list(
            db.execute(select(a.id).where(a.id <= edge, a.finished_at_ms.is_not(None))).scalars().all()
        )
        db.execute(delete(t.adoption_rows).where(t.adoption_rows.c.adoption_id.in_(gone)))
        db.execute(delete(t.adoptions).where(a.id.in_(gone)))


def _adoptions(db: Connection, *where: Any) -> list[Adoption]:
    a, c = t.adoptions.c, t.adoption_rows.c
    heads = db.execute(select(t.adoptions).where(*where).order_by(a.id.desc())).all()
    numbers = [row.id for row in heads]
    counts: dict[int, dict[str, int]] = {}
    counted = select(c.adoption_id, c.state, func.count().label("terminals"))
    counted = counted.where(c.adoption_id.in_(numbers)).group_by(c.adoption_id, c.state)
    for row in db.execute(counted):
        counts.setdefault(row.adoption_id, {})[row.state] = int(row.terminals)
    return [
        Adoption(
            id=row.id,
            created_at=moment(row.created_at_ms),
            created_by=row.created_by,
            ours=row.ours,
            finished_at=moment(row.finished_at_ms),
            counts=counts.get(row.id, {}),
        )
        for row in heads
    ]


def _row(row: Row[Any]) -> AdoptionRow:
    return AdoptionRow(
        number=row.number,
        address=row.address,
        name=row.name,
        site_id=row.site_id,
        state=row.state,
        serial=row.serial,
        terminal_id=row.terminal_id,
        reason=row.reason,
    )
