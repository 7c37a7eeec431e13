"""Keep adopted terminals: those whose own HTTP service is managed, and what opens it.

Rules:

* Account and token of a terminal, and where it pushed to before, are sealed, and in no backup. A restored store has
  none of them: its terminals are stopped until a person gives their accounts again.
* What a look at a terminal found is stored only if no person changed the terminal meanwhile (``revision``), and only by
  the process that has the lease.
* A terminal has two valid tokens while it is given another address: the one before stays until the terminal has taken
  the new one, so that nothing is refused in between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, Row, delete, func, select, update

from gatepost.store.conversion.terminal_counters import HISTORY
from gatepost.store.conversion.values import moment, ms, text
from gatepost.store.dialect import insert
from gatepost.store.interface import NoticeKind, Transactions
from gatepost.store.receivers.leases import is_held
from gatepost.store.schema import tables as t
from gatepost.store.terminals.adopted import MAX_TEXT, AdoptedRow, Credentials, Looked, NewAdopted, Previous
from gatepost.store.terminals.registry import has_token
from gatepost.store.terminals.sealed import Seal

__all__ = [
    "CONDITIONS",
    "LEASE",
    "Adopted",
]

LEASE = "tending"
"""The lease of the process that looks at the terminals."""


class Adopted:
    """Every adopted terminal, on either database. Every method blocks; any thread may call it.

    Raises :class:`~gatepost.errors.StoreUnavailable`.
    """

    def __init__(self, store: Transactions) -> None:
        self._store = store
        self._seal = Seal(store)

    # --- by people --------------------------------------------------------------------------------------------

    def adopt(self, new: NewAdopted, *, now_ms: int) -> AdoptedRow:
        """Store what is needed to manage a terminal; it is due at once."""
        which = new.terminal_id
        values: dict[str, Any] = {
            "address": new.address,
            "ours": new.ours,
            "secrets": self._sealed(which, new.credentials),
            "certificate": new.certificate,
            **_BEGUN,
            "due_ms": now_ms,
            "must_set": int(new.must_set),
            "looked_at_ms": now_ms,
            "reached_at_ms": now_ms,
            "clock_error_ms": new.clock_error_ms,
            "adopted_at_ms": now_ms,
            "adopted_by": text(new.by),
        }
        if new.previous is not None:
            values["previous"] = self._seal.close(msgspec.json.encode(new.previous), f"previous {which}")
            values["previous_shown"] = None if new.previous_shown is None else text(new.previous_shown)
        c = t.adopted_terminals.c
        row = {"terminal_id": which, "revision": 1, **values}
        with self._store.changing() as db:
            statement = insert(db, t.adopted_terminals).values(row)
            again = {**values, "revision": c.revision + 1}
            db.execute(statement.on_conflict_do_update(index_elements=["terminal_id"], set_=again))
            if new.next_token is not None:
                _give_token(db, which, new.next_token)
            return _rows(db, c.terminal_id == which)[0]

    def all(self) -> list[AdoptedRow]:
        """Return every adopted terminal, by id."""
        with self._store.reading() as db:
            return _rows(db)

    def one(self, terminal_id: int) -> AdoptedRow | None:
        """Return an adopted terminal."""
        with self._store.reading() as db:
            found = _rows(db, t.adopted_terminals.c.terminal_id == terminal_id)
        return found[0] if found else None

    def opened(self, row: AdoptedRow) -> Credentials | None:
        """Return what opens a terminal; ``None`` where that is not known."""
        if row.secrets is None:
            return None
        data = self._seal.open(row.secrets, f"account {row.terminal_id}")
        return msgspec.json.decode(data, type=Credentials)

    def previous(self, terminal_id: int) -> Previous | None:
        """Return where a terminal pushed to before it was adopted."""
        wanted = select(t.adopted_terminals.c.previous)
        with self._store.reading() as db:
            mine = wanted.where(t.adopted_terminals.c.terminal_id == terminal_id)
            sealed = db.execute(mine).scalar_one_or_none()
        if sealed is None:
            return None
        return msgspec.json.decode(self._seal.open(bytes(sealed), f"previous {terminal_id}"), type=Previous)

    def resume(self, terminal_id: int, *, now_ms: int) -> AdoptedRow | None:
        """Have a terminal looked at again after a person has looked; ``None`` if it is not adopted."""
        c = t.adopted_terminals.c
        again = {**_BEGUN, "due_ms": now_ms, "revision": c.revision + 1}
        with self._store.changing() as db:
            db.execute(update(t.adopted_terminals).where(c.terminal_id == terminal_id).values(again))
            found = _rows(db, c.terminal_id == terminal_id)
        return found[0] if found else None

    def release(self, terminal_id: int, *, token: bytes | UnsetType | None = UNSET) -> bool:
        """Forget what opens a terminal, and manage it no more; False if it was not adopted.

        ``token``: digest of the one with which it pushes from now on, ``None`` for none; unset: that which it has.
        """
        c, x = t.adopted_terminals.c, t.terminals.c
        with self._store.changing() as db:
            gone = db.execute(delete(t.adopted_terminals).where(c.terminal_id == terminal_id)).rowcount
            values: dict[str, Any] = {"next_token_digest": None}
            if token is not UNSET:
                values |= {"token_digest": token, "token_used_at_ms": None, "token_required_since_ms": None}
            db.execute(update(t.terminals).where(x.id == terminal_id).values(values))
            own = t.conditions.c.subject == str(terminal_id)
            db.execute(delete(t.conditions).where(own, t.conditions.c.kind.in_(CONDITIONS)))
        return bool(gone)

    # --- by who tends them ------------------------------------------------------------------------------------

    def due(self, limit: int, *, now_ms: int, leave_out: Collection[int] = ()) -> list[AdoptedRow]:
        """Return those that are to be looked at, the longest due first; stopped and retired ones never are."""
        c = t.adopted_terminals.c
        wanted = (c.due_ms <= now_ms, c.state != "stopped", c.terminal_id.not_in(list(leave_out)))
        with self._store.reading() as db:
            return _rows(db, *wanted, t.terminals.c.state != "retired", limit=limit, order=c.due_ms)

    def keep(self, looked: Iterable[Looked], *, fence: int | None = None) -> int:
        """Store what looks have found; return for how many it counts. ``fence``: of the lease, if one is asked for."""
        c = t.adopted_terminals.c
        kept = 0
        with self._store.changing() as db:
            if fence is not None and not is_held(db, LEASE, fence):
                return 0
            for one in sorted(looked, key=lambda each: each.terminal_id):
                which = (c.terminal_id == one.terminal_id, c.revision == one.revision)
                kept += db.execute(update(t.adopted_terminals).where(*which).values(_values(one))).rowcount
        return kept

    def away(self) -> set[int]:
        """Return the terminals that could not be reached when they were looked at."""
        c = t.adopted_terminals.c
        with self._store.reading() as db:
            return set(db.execute(select(c.terminal_id).where(c.state == "away")).scalars())

    def note_pushed(self, at: Mapping[int, datetime]) -> None:
        """Note when terminals had last pushed, for the next look for long silences."""
        c = t.adopted_terminals.c
        if at:
            with self._store.changing() as db:
                for which, when in sorted(at.items()):
                    mine = update(t.adopted_terminals).where(c.terminal_id == which)
                    db.execute(mine.values(pushed_at_ms=ms(when)))

    def came_back(self, terminals: Collection[int], *, now_ms: int) -> None:
        """Have terminals looked at now that pushed again after a silence."""
        c = t.adopted_terminals.c
        if terminals:
            with self._store.changing() as db:
                waits = (c.terminal_id.in_(terminals), c.state != "stopped", c.due_ms > now_ms)
                db.execute(update(t.adopted_terminals).where(*waits).values(due_ms=now_ms))

    def give_token(self, terminal_id: int, credentials: Credentials, digest: bytes) -> None:
        """Give a terminal another token, next to the one that it has; its address has to be set then."""
        c = t.adopted_terminals.c
        sealed = self._sealed(terminal_id, credentials)
        with self._store.changing() as db:
            mine = update(t.adopted_terminals).where(c.terminal_id == terminal_id)
            db.execute(mine.values(secrets=sealed))
            _give_token(db, terminal_id, digest)

    def took_token(self, terminal_id: int, digest: bytes) -> bool:
        """Note that a terminal has taken its next token: the one before is nobody's. False if it had it already."""
        c = t.terminals.c
        values = {"token_digest": digest, "next_token_digest": None, "token_used_at_ms": None}
        with self._store.changing() as db:
            mine = (c.id == terminal_id, c.next_token_digest == digest)
            return bool(db.execute(update(t.terminals).where(*mine).values(values)).rowcount)

    def owner(self, digest: bytes) -> int | None:
        """Return the terminal that may push with a token."""
        with self._store.reading() as db:
            return db.execute(select(t.terminals.c.id).where(has_token(digest))).scalar_one_or_none()

    def counts(self) -> Mapping[str, int]:
        """Count the adopted terminals by state."""
        c = t.adopted_terminals.c
        with self._store.reading() as db:
            rows = db.execute(select(c.state, func.count().label("terminals")).group_by(c.state))
            return {row.state: int(row.terminals) for row in rows}

    # --- within -----------------------------------------------------------------------------------------------

    def _sealed(self, terminal_id: int, credentials: Credentials) -> bytes:
        return self._seal.close(msgspec.json.encode(credentials), f"account {terminal_id}")


CONDITIONS: tuple[NoticeKind, ...] = ("terminal.contested", "terminal.stopped")
"""The kinds of notices of an adopted terminal."""

_BEGUN: Mapping[str, Any] = {
    "state": "adopted",
    "reason": "",
    "failures": 0,
    "sets": "[]",
    "must_set": 0,
    "shows": 0,
    "found": None,
    "shown": None,
    "said": None,
}


def _give_token(db: Connection, terminal_id: int, digest: bytes) -> None:
    mine = update(t.terminals).where(t.terminals.c.id == terminal_id)
    db.execute(mine.values(next_token_digest=digest))


def _values(one: Looked) -> dict[str, Any]:
    values: dict[str, Any] = {
        "state": one.state,
        "reason": text(one.reason)[:MAX_TEXT],
        "due_ms": one.due_ms,
        "failures": one.failures,
        "sets": msgspec.json.encode(one.sets).decode(),
        "must_set": int(one.must_set),
        "shows": int(one.shows),
        "looked_at_ms": one.looked_at_ms,
        "found": one.found,
        "shown": None if one.shown is None else text(one.shown)[:MAX_TEXT],
        "said": None if one.said is None else text(one.said)[:MAX_TEXT],
    }
    if_known = {name: getattr(one, name) for name in ("set_at_ms", "reached_at_ms", "clock_error_ms")}
    return values | {name: value for name, value in if_known.items() if value is not None}


def _rows(db: Connection, *where: Any, limit: int | None = None, order: Any = None) -> list[AdoptedRow]:
    c, x = t.adopted_terminals.c, t.terminals.c
    seen = (
        select(func.max(t.tallies.c.last_at_ms))
        .where(t.tallies.c.terminal_id == c.terminal_id, t.tallies.c.writer != HISTORY)
        .scalar_subquery()
    )
    asked = (
        select(
            t.adopted_terminals,
            x.serial,
            x.name,
            x.site_id,
            x.token_digest,
            x.next_token_digest,
            x.state.label("terminal_state"),
            t.sites.c.name.label("site"),
            seen.label("last_seen_ms"),
        )
        .join(t.terminals, x.id == c.terminal_id)
        .join(t.sites, t.sites.c.id == x.site_id)
        .where(*where)
        .order_by(c.terminal_id if order is None else order)
        .limit(limit)
    )
    return [_row(row) for row in db.execute(asked)]


def _row(row: Row[Any]) -> AdoptedRow:
    digests = (row.token_digest, row.next_token_digest)
    return AdoptedRow(
        terminal_id=row.terminal_id,
        serial=row.serial,
        name=row.name,
        site_id=row.site_id,
        site=row.site,
        terminal_state=row.terminal_state,
        token_digests=frozenset(bytes(each) for each in digests if each is not None),
        address=row.address,
        ours=row.ours,
        secrets=None if row.secrets is None else bytes(row.secrets),
        certificate=None if row.certificate is None else bytes(row.certificate),
        previous_shown=row.previous_shown,
        state=row.state,
        reason=row.reason,
        due_ms=row.due_ms,
        failures=row.failures,
        sets=tuple(msgspec.json.decode(row.sets, type=list[float])),
        must_set=bool(row.must_set),
        shows=bool(row.shows),
        set_at=moment(row.set_at_ms),
        looked_at=moment(row.looked_at_ms),
        reached_at=moment(row.reached_at_ms),
        found=row.found,
        shown=row.shown,
        said=row.said,
        clock_error_ms=row.clock_error_ms,
        last_seen=moment(row.last_seen_ms),
        pushed_at=moment(row.pushed_at_ms),
        adopted_at=moment(row.adopted_at_ms),
        adopted_by=row.adopted_by,
        revision=row.revision,
    )
