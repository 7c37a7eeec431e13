"""Keep the spans of terminals' histories that are fetched, what the daily audit counted, and what is here of a span.

Rules:

* A job's progress is the last second that is fetched whole. What a killed process had begun after it is fetched again.
* A proposal is a job that a person starts. One that was made once, is not made again for the same span.
* Only the process that has the lease moves a job on, and only while a person has not paused or cancelled it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import Connection, Row, delete, func, select, update

from gatepost.store.conversion.values import moment, text
from gatepost.store.dialect import insert
from gatepost.store.interface import Transactions
from gatepost.store.receivers.leases import is_held
from gatepost.store.schema import tables as t
from gatepost.store.write import backfilled

__all__ = ["AuditRow", "FleetJobs", "JobRow", "JobState", "LEASE", "NewJob", "Origin", "Step"]

LEASE = "back-fill"
"""The lease of the process that fetches."""

KEEP_DAYS = 60
"""Days of the audit that are kept of a terminal."""

MAX_TEXT = 500

JobState = Literal["proposed", "waiting", "running", "paused", "done", "failed", "cancelled"]

Origin = Literal["person", "audit", "outage"]


class NewJob(Struct, frozen=True, kw_only=True):
    """A span to be fetched, in seconds by the terminal's clock, both included."""

    terminal_id: int
    since_s: int
    until_s: int
    origin: Origin = "person"
    by: str = ""
    is_proposal: bool = False
    there: int | None = None
    here: int | None = None


class JobRow(Struct, frozen=True, kw_only=True):
    """A span that is fetched, and how far it is."""

    id: int
    terminal_id: int
    serial: str | None
    terminal_name: str | None
    site_id: int
    timezone: str
    state: JobState
    since_s: int
    until_s: int
    done_s: int
    origin: Origin
    there: int | None
    here: int | None
    reason: str
    failures: int
    created_at: datetime
    created_by: str
    finished_at: datetime | None
    fetched: int
    added: int
    unreadable: int


class Step(Struct, frozen=True, kw_only=True):
    """Hold what a window of a job brought."""

    done_s: int
    fetched: int
    added: int
    unreadable: int


class AuditRow(Struct, frozen=True, kw_only=True):
    """How many records a terminal has of a local day, against how many are here."""

    terminal_id: int
    day: str
    there: int | None
    """``None``: it could not be asked."""
    here: int
    at: datetime
    reason: str


class FleetJobs:
    """Every job and audit, on either database. Every method blocks; any thread may call it.

    Raises :class:`~gatepost.errors.StoreUnavailable`.
    """

    def __init__(self, store: Transactions) -> None:
        self._store = store

    # --- by people --------------------------------------------------------------------------------------------

    def make(self, new: NewJob, *, now_ms: int) -> JobRow:
        """Store a job; one of the same terminal and span that is not over is returned instead."""
        c = t.fleet_jobs.c
        same = (c.terminal_id == new.terminal_id, c.since_s == new.since_s, c.until_s == new.until_s)
        with self._store.changing() as db:
            found = _rows(db, *same, c.state.in_(("waiting", "running", "paused")))
            return found[0] if found else _made(db, new, now_ms)

    def propose(self, new: Sequence[NewJob], *, now_ms: int) -> list[JobRow]:
        """Store those proposals whose span was never asked for; return them."""
        c = t.fleet_jobs.c
        made = []
        with self._store.changing() as db:
            for one in new:
                covers = (
                    c.terminal_id == one.terminal_id,
                    c.since_s <= one.since_s,
                    c.until_s >= one.until_s,
                )
                if db.execute(select(c.id).where(*covers).limit(1)).first() is None:
                    made.append(_made(db, one, now_ms))
        return made

    def page(
        self,
        *,
        terminal_id: int | None = None,
        site_ids: Collection[int] | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[JobRow]:
        """Return jobs, the latest first. ``site_ids``: of the terminals of these sites alone."""
        c = t.fleet_jobs.c
        where: list[Any] = [] if terminal_id is None else [c.terminal_id == terminal_id]
        if before is not None:
            where.append(c.id < before)
        if site_ids is not None:
            where.append(t.terminals.c.site_id.in_(sorted(site_ids)))
        with self._store.reading() as db:
            return _rows(db, *where, limit=limit, order=c.id.desc())

    def one(self, job_id: int) -> JobRow | None:
        """Return a job."""
        with self._store.reading() as db:
            found = _rows(db, t.fleet_jobs.c.id == job_id)
        return found[0] if found else None

    def turn(
        self, job_id: int, state: JobState, *, of: Collection[JobState], now_ms: int, by: str | None = None
    ) -> JobRow | None:
        """Bring a job into a state, if it is in one of some others; ``None`` if it is in none of them."""
        c = t.fleet_jobs.c
        finished_at_ms = now_ms if state == "cancelled" else None
        values: dict[str, Any] = {"state": state, "due_ms": now_ms, "failures": 0, "reason": ""}
        values["finished_at_ms"] = finished_at_ms
        if by is not None:  # who begins a proposal, has made the job
            values["created_by"] = func.coalesce(func.nullif(c.created_by, ""), text(by))
        with self._store.changing() as db:
            mine = update(t.fleet_jobs).where(c.id == job_id, c.state.in_(list(of)))
            if not db.execute(mine.values(values)).rowcount:
                return None
            return _rows(db, c.id == job_id)[0]

    # --- by who fetches ---------------------------------------------------------------------------------------

    def due(self, limit: int, *, now_ms: int, leave_out: Collection[int] = ()) -> list[JobRow]:
        """Return jobs that wait, or whose process ended, the oldest first, one of each terminal.

        ``leave_out``: terminals.
        """
        c = t.fleet_jobs.c
        wanted = (
            c.state.in_(("waiting", "running")),
            c.due_ms <= now_ms,
            c.terminal_id.not_in(list(leave_out)),
        )
        first = select(func.min(c.id)).where(*wanted).group_by(c.terminal_id)
        with self._store.reading() as db:
            return _rows(db, c.id.in_(first), limit=limit, order=c.id)

    def advance(self, job_id: int, step: Step, *, fence: int) -> bool:
        """Store that a window is fetched whole; False if the job is not to go on here."""
        c = t.fleet_jobs.c
        counts = {name: c[name] + getattr(step, name) for name in ("fetched", "added", "unreadable")}
        values = {"state": "running", "done_s": step.done_s, "failures": 0, "reason": "", **counts}
        return self._moved(job_id, values, fence)

    def finish(self, job_id: int, *, now_ms: int, fence: int) -> bool:
        """Store that everything of a job is fetched."""
        return self._moved(job_id, {"state": "done", "finished_at_ms": now_ms, "reason": ""}, fence)

    def fail(self, job_id: int, reason: str, *, now_ms: int, fence: int) -> bool:
        """Store that a job cannot go on until a person has looked."""
        values = {"state": "failed", "finished_at_ms": now_ms, "reason": text(reason)[:MAX_TEXT]}
        return self._moved(job_id, values, fence)

    def later(self, job_id: int, reason: str, *, due_ms: int, fence: int) -> bool:
        """Store why a job has to wait, and until when."""
        c = t.fleet_jobs.c
        values = {"due_ms": due_ms, "failures": c.failures + 1, "reason": text(reason)[:MAX_TEXT]}
        return self._moved(job_id, values, fence)

    def _moved(self, job_id: int, values: Mapping[str, Any], fence: int) -> bool:
        c = t.fleet_jobs.c
        with self._store.changing() as db:
            if not is_held(db, LEASE, fence):
                return False
            mine = update(t.fleet_jobs).where(c.id == job_id, c.state.in_(("waiting", "running")))
            return bool(db.execute(mine.values(values)).rowcount)

    # --- audit ------------------------------------------------------------------------------------------------

    def keep_audits(self, found: Sequence[AuditRow]) -> None:
        """Store what was counted; the latest days are kept."""
        c = t.fleet_audits.c
        rows = [
            {
                "terminal_id": one.terminal_id,
                "day": one.day,
                "there": one.there,
                "here": one.here,
                "at_ms": round(one.at.timestamp() * 1000),
                "reason": text(one.reason)[:MAX_TEXT],
            }
            for one in found
        ]
        with self._store.changing() as db:
            for row in rows:
                again = {name: row[name] for name in ("there", "here", "at_ms", "reason")}
                db.execute(
                    insert(db, t.fleet_audits)
                    .values(row)
                    .on_conflict_do_update(index_elements=["terminal_id", "day"], set_=again)
                )
            for terminal_id in sorted({one.terminal_id for one in found}):
                days = (
                    select(c.day).where(c.terminal_id == terminal_id).order_by(c.day.desc()).limit(KEEP_DAYS)
                )
                edge = min(db.execute(days).scalars(), default="")
                db.execute(delete(t.fleet_audits).where(c.terminal_id == terminal_id, c.day < edge))

    def audits(self, terminal_id: int) -> list[AuditRow]:
        """Return what was counted of a terminal, the latest day first."""
        c = t.fleet_audits.c
        with self._store.reading() as db:
            rows = db.execute(
                select(t.fleet_audits).where(c.terminal_id == terminal_id).order_by(c.day.desc())
            )
            return [
                AuditRow(
                    terminal_id=row.terminal_id,
                    day=row.day,
                    there=row.there,
                    here=row.here,
                    at=moment(row.at_ms),
                    reason=row.reason,
                )
                for row in rows
            ]

    def audited(self, first: str) -> dict[int, set[str]]:
        """Return which days from a day on are counted, by terminal."""
        c = t.fleet_audits.c
        found: dict[int, set[str]] = {}
        with self._store.reading() as db:
            rows = db.execute(select(c.terminal_id, c.day).where(c.day >= first, c.there.is_not(None)))
            for row in rows:
                found.setdefault(row.terminal_id, set()).add(row.day)
        return found

    # --- what is here -----------------------------------------------------------------------------------------

    def here(self, terminal_id: int, since_s: int, until_s: int) -> list[backfilled.Here]:
        """Return the records of a terminal that have a time in a span of seconds, both included."""
        with self._store.reading() as db:
            return backfilled.here_between(
                _Driver(db), "%s" if db.dialect.name == "postgresql" else "?", terminal_id, since_s, until_s
            )

    def count(self, terminal_id: int, since_s: int, until_s: int) -> int:
        """Count them."""
        with self._store.reading() as db:
            return backfilled.count_between(
                _Driver(db), "%s" if db.dialect.name == "postgresql" else "?", terminal_id, since_s, until_s
            )


class _Driver:
    """A connection as the matching uses it: statements of the driver."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def execute(self, statement: str, values: Sequence[object]) -> backfilled.Found:
        return self._db.exec_driver_sql(statement, tuple(values))


def _made(db: Connection, new: NewJob, now_ms: int) -> JobRow:
    values = {
        "terminal_id": new.terminal_id,
        "state": "proposed" if new.is_proposal else "waiting",
        "since_s": new.since_s,
        "until_s": new.until_s,
        "done_s": new.since_s - 1,
        "origin": new.origin,
        "there": new.there,
        "here": new.here,
        "reason": "",
        "failures": 0,
        "due_ms": now_ms,
        "created_at_ms": now_ms,
        "created_by": text(new.by),
        "fetched": 0,
        "added": 0,
        "unreadable": 0,
    }
    made = db.execute(t.fleet_jobs.insert().values(values).returning(t.fleet_jobs.c.id)).scalar_one()
    return _rows(db, t.fleet_jobs.c.id == made)[0]


def _rows(db: Connection, *where: Any, limit: int | None = None, order: Any = None) -> list[JobRow]:
    x = t.terminals.c
    asked = (
        select(
            t.fleet_jobs,
            x.serial,
            x.name.label("terminal_name"),
            x.site_id,
            func.coalesce(x.timezone, t.sites.c.timezone).label("timezone"),
        )
        .join(t.terminals, x.id == t.fleet_jobs.c.terminal_id)
        .join(t.sites, t.sites.c.id == x.site_id)
        .where(*where)
        .order_by(t.fleet_jobs.c.id if order is None else order)
        .limit(limit)
    )
    return [_row(row) for row in db.execute(asked)]


def _row(row: Row[Any]) -> JobRow:
    same = (
        "id",
        "terminal_id",
        "serial",
        "terminal_name",
        "site_id",
        "timezone",
        "state",
        "since_s",
        "until_s",
    )
    more = (
        "done_s",
        "origin",
        "there",
        "here",
        "reason",
        "failures",
        "created_by",
        "fetched",
        "added",
        "unreadable",
    )
    return JobRow(
        created_at=moment(row.created_at_ms),
        finished_at=moment(row.finished_at_ms),
        **{name: row._mapping[name] for name in (*same, *more)},
    )
