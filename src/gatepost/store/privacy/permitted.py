"""Decide how much a round of retention may delete: a wrong clock, or a slip in a setting, must delete nothing.

What is due is computed from the clock. Where the clock is wrong by months, everything is due. So a round may take as
many *receipt days* (days, UTC, on which anything was received) as have passed since the last finished round, and one.
It asks an administrator, and deletes nothing of that part until one has confirmed it, when

* more is due than that (of samples of refused bodies and of tombstones, days of the calendar count, for they are
  there where nothing was received), or anything before a first round has finished;
* the clock was set forward between two rounds by more than that, and anything is due;
* something is due of a day that a finished round had deleted already: a clock in the past has received it since;
* a receiver starts and finds that the last finished round is longer ago than :func:`longest_gap`;
* the limit of the part was shortened, and something is due.

How many days have passed is told by the time that this process has been running, and only at its first round by the
clock. A clock that lies before the last finished round deletes nothing and asks nothing: it is not set yet. If it
still lies there after a day, it is the last round that had the wrong clock; what is due then is asked about.
What a process itself finished comes before what is shared: another receiver's clock may be the wrong one.

Once asked, it goes on asking until it is confirmed, or nothing is due any more because the clock was put right or the
setting was. All receivers of a database share what was finished, asked and confirmed: rows of ``meta``.
"""

from collections.abc import Mapping
from datetime import date
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, func, select

from gatepost.store.conversion.values import DAY_MS
from gatepost.store.dialect import insert
from gatepost.store.interface import Transactions
from gatepost.store.privacy.retention import PARTS, Limits, oldest_ms
from gatepost.store.schema import tables as t

__all__ = ["Ask", "Finished", "Plan", "Why", "confirm", "finish_round", "longest_gap", "plan_round"]

Why = Literal["days", "past", "gap", "shortened"]
"""More days are due than have passed, a clock in the past received what is due, nothing was deleted for long, or the
setting was shortened."""

_NAME = "retention:"
"""Rows of ``meta``, one a part."""

_BY_CALENDAR = ("refusal_samples", "tombstones")

_DAY_S = 86_400
_LEAST_GAP, _MOST_GAP = 7, 30
_HOUR_MS = 3_600_000
_EPOCH = date(1970, 1, 1).toordinal()


class Ask(Struct, frozen=True, kw_only=True):
    """Name what a round would delete, and does not until it is confirmed."""

    part: str
    why: Why
    first: date
    last: date
    """The receipt days: of the oldest that is due, and the last that would be deleted."""
    days: int
    """Receipt days in between, both included; of samples and tombstones, days."""


class _State(Struct, frozen=True):
    """How it stands with a part."""

    at_ms: int = 0
    """When a round last finished it."""
    limit: int = 0
    """The limit in days that was in force then."""
    before: int = 0
    """That round deleted what was received before this day (days since 1970)."""
    asked: Why | None = None
    confirmed: int = 0
    """What was received before this day, since 1970, may be deleted."""


class Plan(Struct, frozen=True):
    """Say what a round may delete, and what it asks; both by part."""

    at_ms: int
    before: dict[str, int]
    """Before which day, since 1970."""
    asks: dict[str, Ask]


class Finished(Struct, frozen=True):
    """Name what this process finished of a part."""

    ago_s: float
    """How long ago the round was planned, by a clock that is never set."""
    before: int
    """Before which day, since 1970, it deleted."""


def plan_round(
    store: Transactions,
    limits: Limits,
    *,
    now_ms: int,
    up_s: float,
    finished: Mapping[str, Finished],
    unlisted_ms: int | None = None,
) -> Plan:
    """Plan a round.

    ``up_s``: for how long this process plans rounds, by a clock that is never set. ``finished``: by part, what it
    finished last. ``unlisted_ms``: when the oldest was set aside that cannot be listed; it leaves with the quarantine.
    Raises :class:`~gatepost.errors.StoreUnavailable`, as do the others.
    """
    plan = Plan(now_ms, {}, {})
    with store.reading() as db:
        for part, limit in _limited(limits):
            oldest = oldest_ms(db, part, now_ms)
            if part == "quarantine" and unlisted_ms is not None:
                oldest = unlisted_ms if oldest is None else min(oldest, unlisted_ms)
            plan.before[part], ask = decide(
                db, part, limit, oldest, now_ms=now_ms, up_s=up_s, finished=finished.get(part)
            )
            if ask is not None:
                plan.asks[part] = ask
    return plan


def finish_round(store: Transactions, limits: Limits, plan: Plan, *, up_s: float) -> list[str]:
    """Note that a round is done; return the parts of which all is deleted that was due when it was planned."""
    with store.changing() as db:
        return [part for part, limit in _limited(limits) if finish(db, part, limit, plan, up_s=up_s)]


def confirm(store: Transactions, limits: Limits, ask: Ask, *, now_ms: int) -> None:
    """Permit that what is asked is deleted."""
    state = _State(now_ms, limits.days(ask.part), confirmed=_day(ask.last) + 1)
    with store.changing() as db:
        _write(db, ask.part, state)


def _limited(limits: Limits) -> list[tuple[str, int]]:
    return [(part, days) for part in PARTS if (days := limits.days(part))]


def longest_gap(limit: int) -> int:
    """Return for how many days a receiver with this limit may be off and delete what is due without asking."""
    return min(max(limit, _LEAST_GAP), _MOST_GAP)


def decide(
    db: Connection,
    part: str,
    limit: int,
    oldest_ms: int | None,
    *,
    now_ms: int,
    up_s: float,
    finished: Finished | None,
) -> tuple[int, Ask | None]:
    """Return before which day, since 1970, a part may be deleted, and what has to be asked.

    ``limit`` in days. ``oldest_ms``: of what is there, when the oldest was received. ``up_s`` as of
    :func:`plan_round`. ``finished``: what this process finished of the part; ``None``: nothing yet.
    """
    state = _read(db, part)
    before = now_ms // DAY_MS - limit
    if oldest_ms is None or oldest_ms >= before * DAY_MS:
        return before, None
    if finished is None and _is_not_set(now_ms, state, up_s):
        return 0, None
    first = max(oldest_ms // DAY_MS, state.confirmed)
    due = max(before - first, 0)
    if due and part not in _BY_CALENDAR:
        due = _receipt_days(db, first, before)
    gap = _MOST_GAP if part == "refusal_samples" else longest_gap(limit)
    why = _why(state, limit, first, due, gap, now_ms=now_ms, finished=finished)
    if why is None or not due:
        return before, None
    ask = Ask(part=part, why=why, first=_date(first), last=_date(before - 1), days=due)
    return min(before, state.confirmed), ask


def _why(
    state: _State, limit: int, first: int, due: int, gap: int, *, now_ms: int, finished: Finished | None
) -> Why | None:
    today = now_ms // DAY_MS
    if state.asked is not None:
        return state.asked
    if state.at_ms and (limit < state.limit or not state.limit):
        return "shortened"
    if finished is not None:
        passed, gone = int(finished.ago_s // _DAY_S), max(finished.before, state.confirmed)
        is_set_forward = today - limit - gone > passed + 1
    else:
        passed, gone = today - state.at_ms // DAY_MS, state.before
        is_set_forward = not state.at_ms
        if state.at_ms and passed > gap:
            return "gap"
    if first < gone:
        return "past"
    return "days" if is_set_forward or due > passed + 1 else None


def _is_not_set(now_ms: int, state: _State, up_s: float) -> bool:
    """Return whether the clock seems to be set still: a day is enough for that."""
    return now_ms < state.at_ms - _HOUR_MS and up_s < _DAY_S


def finish(db: Connection, part: str, limit: int, plan: Plan, *, up_s: float) -> bool:
    """Note that a round has deleted of a part what it may; return whether that was all that was due."""
    before, ask = _read(db, part), plan.asks.get(part)
    if _is_not_set(plan.at_ms, before, up_s):
        return False
    if ask is not None and before.confirmed > _day(ask.last):
        return False  # it was confirmed meanwhile
    done = _State(plan.at_ms, limit, plan.before[part])
    after = done if ask is None else replace(before, asked=ask.why)
    if after != replace(before, at_ms=after.at_ms) or abs(after.at_ms - before.at_ms) >= _HOUR_MS:
        _write(db, part, after)
    return ask is None


def _receipt_days(db: Connection, first: int, before: int) -> int:
    c = t.receipt_days.c
    count = select(func.count()).select_from(t.receipt_days).where(c.day >= first, c.day < before)
    return max(1, int(db.execute(count).scalar_one()))


def _read(db: Connection, part: str) -> _State:
    value = db.execute(select(t.meta.c.value).where(t.meta.c.name == _NAME + part)).scalar()
    return _State() if value is None else msgspec.json.decode(value, type=_State)


def _write(db: Connection, part: str, state: _State) -> None:
    row: Mapping[str, str] = {"name": _NAME + part, "value": msgspec.json.encode(state).decode()}
    new = insert(db, t.meta).values(row)
    db.execute(new.on_conflict_do_update(index_elements=["name"], set_={"value": new.excluded.value}))


def _day(of: date) -> int:
    return of.toordinal() - _EPOCH


def _date(day: int) -> date:
    return date.fromordinal(_EPOCH + day)
