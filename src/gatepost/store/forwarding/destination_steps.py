"""Store what a forwarder has done, and what people decide about dead letters.

Functions on a connection, in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, delete, func, select, update

from gatepost.store.conversion.values import text
from gatepost.store.dialect import insert
from gatepost.store.forwarding.destination_rows import AttemptRow, Step
from gatepost.store.schema import tables as t

__all__ = ["MAX_ATTEMPTS", "MAX_DEAD", "Verdict", "commit", "drop_dead", "retry_dead"]

MAX_DEAD = 10_000
"""Dead letters of a destination; beyond so many the oldest are dropped."""

MAX_ATTEMPTS = 1000
"""Of a destination that are kept."""

MAX_REPLY = 2048
"""Characters of what a destination said that are kept of an attempt."""

MAX_REASON = 500
"""Characters of the reason why an event waits."""

Verdict = Literal["done", "changed", "lost"]
"""``changed``: dead letters were retried or dropped since; ``lost``: another process sends, or it is deleted."""


def commit(db: Connection, which: int, fence: int, step: Step, *, changes: int, steps: int) -> Verdict:
    """Store a step, all of it or nothing. ``changes`` as they were loaded, ``steps``: how many came before it.

    To commit one again whose commit was cut off does no harm.
    """
    c = t.destinations.c
    row = db.execute(
        select(c.fence, c.changes, c.steps, c.dropped_why, c.left_out_why)
        .where(c.id == which)
        .with_for_update()
    ).one_or_none()
    if row is None or row.fence != fence:
        return "lost"
    if row.steps > steps:
        return "done"
    if row.changes != changes:
        return "changed"
    db.execute(
        update(t.destinations).where(c.id == which).values(_sums(step, row.dropped_why, row.left_out_why))
    )
    p = t.destination_places.c
    for kind, (place, tried, accepted) in step.places.items():
        db.execute(
            update(t.destination_places)
            .where(p.destination_id == which, p.kind == kind)
            .values(place=place, tried_id=tried, accepted=p.accepted + accepted)
        )
    _store_exceptions(db, which, step)
    if any(row.is_dead for row in step.put.values()):
        _trim_dead(db, which)
    _store_asides(db, which, step)
    _store_attempts(db, which, step.tries)
    return "done"


def retry_dead(db: Connection, which: int, events: Sequence[int] | None = None) -> int:
    """Let dead letters wait again, all or these, as if they had never been refused; return how many."""
    c = t.destination_exceptions.c
    again = {
        "is_dead": 0,
        "refusals": 0,
        "mark": None,
        "attempted_at_ms": None,
        "due_ms": 0,
        "dead_at_ms": None,
    }
    _lock(db, which)
    done = db.execute(
        update(t.destination_exceptions).where(*_dead_ones(c, which, events)).values(again)
    ).rowcount
    if done:
        _change(db, which)
        # A replay that was over goes on.
        db.execute(update(t.destinations).where(t.destinations.c.id == which).values(finished_at_ms=None))
    return done


def drop_dead(db: Connection, which: int, events: Sequence[int] | None = None) -> int:
    """Give dead letters up, all or these; return how many."""
    c = t.destination_exceptions.c
    _lock(db, which)
    done = db.execute(delete(t.destination_exceptions).where(*_dead_ones(c, which, events))).rowcount
    if done:
        _change(db, which)
        _drop(db, which, {"by a person": done})
    return done


def _change(db: Connection, which: int) -> None:
    c = t.destinations.c
    db.execute(update(t.destinations).where(c.id == which).values(changes=c.changes + 1))


def _lock(db: Connection, which: int) -> None:
    c = t.destinations.c
    db.execute(select(c.id).where(c.id == which).with_for_update())


def _dead_ones(c: Any, which: int, events: Sequence[int] | None) -> list[Any]:
    wanted = [c.destination_id == which, c.is_dead == 1]
    return wanted if events is None else [*wanted, c.event_id.in_(events)]


def _drop(db: Connection, which: int, dropped: Mapping[str, int]) -> None:
    c = t.destinations.c
    before = db.execute(select(c.dropped_why).where(c.id == which).with_for_update()).scalar_one()
    values = {"dropped": c.dropped + sum(dropped.values()), "dropped_why": _added(before, dropped)}
    db.execute(update(t.destinations).where(c.id == which).values(values))


def _added(before: str, more: Mapping[str, int]) -> str:
    sums: dict[str, int] = msgspec.json.decode(before)
    for reason, events in more.items():
        sums[reason] = sums.get(reason, 0) + events
    return msgspec.json.encode(sums).decode()


def _sums(step: Step, dropped_why: str, left_out_why: str) -> dict[str, Any]:
    c = t.destinations.c
    values: dict[str, Any] = {
        "seen": c.seen + step.seen,
        "filtered": c.filtered + step.filtered,
        "delivered": c.delivered + step.delivered,
        "dropped": c.dropped + sum(step.dropped.values()),
        "attempts": c.attempts + step.attempts,
        "steps": c.steps + 1,
    }
    if step.dropped:
        values["dropped_why"] = _added(dropped_why, step.dropped)
    if step.left_out:
        values["left_out_why"] = _added(left_out_why, step.left_out)
    if step.is_away is not None:
        values["is_away"] = int(step.is_away)
    if step.delivered_at_ms is not None:
        values["delivered_at_ms"] = step.delivered_at_ms
    if step.failure is not None:
        values |= {"failed_at_ms": step.failure[0], "failure": text(step.failure[1])[:MAX_REASON]}
    if step.closed is not None:
        values |= {"closed_at_ms": step.closed[0], "closed_why": text(step.closed[1])[:MAX_REASON]}
    if step.finished_at_ms is not None:
        values["finished_at_ms"] = step.finished_at_ms
    return values


def _store_exceptions(db: Connection, which: int, step: Step) -> None:
    c = t.destination_exceptions.c
    touched = sorted(step.gone | step.put.keys())
    for start in range(0, len(touched), 500):
        some = touched[start : start + 500]
        db.execute(delete(t.destination_exceptions).where(c.destination_id == which, c.event_id.in_(some)))
    rows = [
        {
            "destination_id": which,
            **msgspec.structs.asdict(row),
            "is_dead": int(row.is_dead),
            "reason": text(row.reason)[:MAX_REASON],
        }
        for _, row in sorted(step.put.items())
    ]
    if rows:
        db.execute(t.destination_exceptions.insert(), rows)


def _trim_dead(db: Connection, which: int) -> None:
    """Drop the oldest dead letters beyond :data:`MAX_DEAD`, as a person would: counted, and told to who sends."""
    c = t.destination_exceptions.c
    dead = (c.destination_id == which, c.is_dead == 1)
    many = int(db.execute(select(func.count()).where(*dead)).scalar_one())
    if many <= MAX_DEAD:
        return
    # Some more than has to be: who sends reads all of them anew after it.
    excess = many - MAX_DEAD + MAX_DEAD // 10
    oldest = select(c.event_id).where(*dead).order_by(c.event_id).offset(excess - 1).limit(1)
    edge = db.execute(oldest).scalar_one()
    gone = db.execute(delete(t.destination_exceptions).where(*dead, c.event_id <= edge)).rowcount
    _drop(db, which, {f"more than {MAX_DEAD:,} dead letters": gone})
    _change(db, which)


def _store_asides(db: Connection, which: int, step: Step) -> None:
    c = t.destination_asides.c
    for (kind, terminal_id), row in step.asides.items():
        mine = (c.destination_id == which, c.kind == kind, c.terminal_id == terminal_id)
        if row is None:
            db.execute(delete(t.destination_asides).where(*mine))
            continue
        told = {"after_id": row.after, "until_id": row.until, "events": row.events}
        statement = insert(db, t.destination_asides).values(
            destination_id=which, kind=kind, terminal_id=terminal_id, **told
        )
        db.execute(
            statement.on_conflict_do_update(
                index_elements=["destination_id", "kind", "terminal_id"], set_=told
            )
        )


def _store_attempts(db: Connection, which: int, tries: Iterable[AttemptRow]) -> None:
    rows = [
        {
            "destination_id": which,
            **msgspec.structs.asdict(row),
            "status": text(row.status)[:MAX_REASON],
            "reply": text(row.reply)[:MAX_REPLY],
        }
        for row in tries
    ]
    if not rows:
        return
    db.execute(t.destination_attempts.insert(), rows)
    c = t.destination_attempts.c
    mine = c.destination_id == which
    oldest = select(c.id).where(mine).order_by(c.id.desc()).offset(MAX_ATTEMPTS - 1).limit(1)
    edge = db.execute(oldest).scalar_one_or_none()
    if edge is not None:
        db.execute(delete(t.destination_attempts).where(mine, c.id < edge))
