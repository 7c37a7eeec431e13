"""Join new steps of alarms to their occurrences, in either database and in the transaction that stored them.

The rules are those of :mod:`gatepost.store.conversion.occurrences`. Each step costs a few look-ups of its neighbours in
time, however often its ``trace_id`` was used. Only what changes is read besides: a status 1 that arrives late takes
steps from the occurrence before it, and a clear ends the open ones of its code before it.

Two processes must not join steps of one trace at once: see :func:`lock`, for PostgreSQL.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Any

from msgspec.structs import replace

from gatepost.store.conversion.occurrences import (
    UNOPENED,
    Occurrence,
    Step,
    contribution,
    effective,
    may_join,
    moves,
    tie,
)
from gatepost.wire import AlarmStatus, digest

__all__ = ["Joining", "lock"]

_LOCKS = 0x6763
"""Class of the advisory locks by which processes take turns at a trace."""

_BUCKETS = 64
"""Locks that there are. A server has room for some thousands in all, and a batch may bring as many traces."""

_CHUNKS = (1, 16, 256)
"""Occurrences that are read at once. Mostly the first one needs no change."""

_OCCURRENCE = "id, code, opened_at_ms, tie, timed, own_status, status, opener_received_at_ms, opener_id"
_STEP = "id, terminal_id, trace_id, status, code, event_time_ms, at_ms, received_at_ms"
_OF_TRACE = f"SELECT {_OCCURRENCE} FROM alarms WHERE terminal_id = ? AND trace_id = ?"
_RECEIPT = "(opener_received_at_ms, opener_id)"
_NEWEST = "ORDER BY opened_at_ms DESC, tie DESC LIMIT 1"
_UP_TO = f"{_OF_TRACE} AND (opened_at_ms, tie) <= (?, ?) {_NEWEST}"
_BEFORE = f"{_OF_TRACE} AND (opened_at_ms, tie) < (?, ?) {_NEWEST}"
_LAST = f"{_OF_TRACE} AND opened_at_ms <= ? AND {_RECEIPT} < (?, ?) {_NEWEST}"
_LAST_OF_CODE = f"{_OF_TRACE} AND code = ? AND opened_at_ms <= ? AND {_RECEIPT} < (?, ?) {_NEWEST}"
_NEXT_OF_CODE = (
    f"{_OF_TRACE} AND code = ? AND (opened_at_ms, tie) > (?, ?) AND {_RECEIPT} < (?, ?)"
    " ORDER BY opened_at_ms, tie LIMIT 1"
)
_STEPS_SINCE = f"SELECT {_STEP}, alarm_id FROM alarm_events WHERE alarm_id = ? AND at_ms >= ?"
_STEPS_OF_CODE = (
    f"SELECT {', '.join(f'e.{name}' for name in _STEP.split(', '))}, e.alarm_id"
    " FROM alarm_events AS e JOIN alarms AS a ON a.id = e.alarm_id"
    " WHERE e.terminal_id = ? AND e.trace_id = ? AND e.code = ? AND e.at_ms >= ? AND e.at_ms < ?"
    " AND (e.status IS NULL OR e.status <> 1)"
    " AND (a.code IS NULL OR a.code <> e.code OR (a.opened_at_ms, a.tie) < (?, ?))"
)
_ANY = "SELECT 1 FROM alarm_events WHERE alarm_id = ?"
_SUM = (
    "SELECT max(CASE WHEN status BETWEEN 1 AND 3 AND (status = 1 OR (received_at_ms, id) > (?, ?)) THEN status"
    " ELSE 0 END), min(at_ms), max(at_ms) FROM alarm_events WHERE alarm_id = ?"
)
_BY_ID = f"SELECT {_OCCURRENCE} FROM alarms WHERE id = ?"
_INSERT = (
    "INSERT INTO alarms (id, terminal_id, trace_id, code, opened_at_ms, tie, timed, own_status, status,"
    " opener_received_at_ms, opener_id, first_at_ms, last_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_OPEN = (
    "UPDATE alarms SET code = ?, opened_at_ms = ?, tie = ?, timed = ?, own_status = ?, status = ?,"
    " opener_received_at_ms = ?, opener_id = ?, first_at_ms = ?, last_at_ms = ? WHERE id = ?"
)
_GROW = (
    "UPDATE alarms SET own_status = ?, status = ?,"
    " first_at_ms = CASE WHEN ? < first_at_ms THEN ? ELSE first_at_ms END,"
    " last_at_ms = CASE WHEN ? > last_at_ms THEN ? ELSE last_at_ms END WHERE id = ?"
)
_EARLIER_RECEIPT = "UPDATE alarms SET opener_received_at_ms = ?, opener_id = ? WHERE id = ?"
_DELETE = "DELETE FROM alarms WHERE id = ?"
_SHRINK = "UPDATE alarms SET own_status = ?, first_at_ms = ?, last_at_ms = ? WHERE id = ?"
_LINK = "UPDATE alarm_events SET alarm_id = ? WHERE id = ?"
_CLEARED = int(AlarmStatus.CLEARED)
_END_OF_TIME = 1 << 62
_ALWAYS = (_END_OF_TIME, 0)
"""A receipt after all others."""


class Joining:
    """Joins steps on one connection, in the caller's transaction."""

    def __init__(self, db: Any, mark: str) -> None:
        """``db``: a connection of ``sqlite3`` or psycopg. ``mark``: how it writes a parameter, ``?`` or ``%s``."""
        self._db = db
        self._mark = mark

    def join(self, steps: Iterable[Step]) -> None:
        """Join steps that are stored and belong to no occurrence yet."""
        for step in sorted(steps, key=lambda one: (one.terminal_id, one.trace_id, one.at_ms, one.id)):
            number = self._open(step) if step.opens else self._report(step)
            self._do(_LINK, number, step.id)

    def _report(self, step: Step) -> int:
        """Return the id of the occurrence that a step joins which opens none."""
        found = None
        up_to = (step.at_ms, *(_ALWAYS if step.is_timed else step.receipt))
        if step.code is not None:
            found = self._one(_LAST_OF_CODE, step.terminal_id, step.trace_id, step.code, *up_to)
        found = found or self._one(_LAST, step.terminal_id, step.trace_id, *up_to)
        if found is None:
            unopened = Occurrence(
                step.id, None, UNOPENED, 0, True, 0, 0, opener_received_at_ms=0, opener_id=0
            )
            alone = replace(unopened, own_status=contribution(step, unopened))
            alone = replace(alone, status=effective(alone, self._following(step, alone)))
            self._insert(step, alone, step.at_ms, step.at_ms)
            return step.id
        own = max(found.own_status, contribution(step, found))
        joined = replace(found, own_status=own, status=max(found.status, own))
        # Only the unopened one may begin with a step that is not the first to arrive.
        begins = step.at_ms if found.opened_at_ms == UNOPENED else _END_OF_TIME
        self._do(_GROW, own, joined.status, begins, begins, step.at_ms, step.at_ms, found.id)
        if joined.status != found.status:
            self._pass_on(step, joined)
        return found.id

    def _open(self, step: Step) -> int:
        """Return the id of the occurrence that a step with status 1 opens, or that is there already."""
        place = (step.at_ms, tie(step))
        before = self._one(_UP_TO, step.terminal_id, step.trace_id, *place)
        there = before if before is not None and before.place == place else None
        if there is None:
            opened = Occurrence(step.id, step.code, *place, step.is_timed, 1, 1, *step.receipt)
        elif there.receipt < step.receipt:
            return there.id
        else:
            opened = replace(there, opener_received_at_ms=step.received_at_ms, opener_id=step.id)
            before = self._one(_BEFORE, step.terminal_id, step.trace_id, *place)
        taken = self._taken(step, opened, before)
        own = max([opened.own_status, *(contribution(each, opened) for each, _ in taken)])
        last_at_ms = max([step.at_ms, *(each.at_ms for each, _ in taken)])
        opened = replace(opened, own_status=own)
        opened = replace(opened, status=effective(opened, self._following(step, opened)))
        losers = {alarm_id for _, alarm_id in taken}
        if there is not None:
            self._do(_EARLIER_RECEIPT, *opened.receipt, opened.id)
            self._do(_GROW, own, opened.status, step.at_ms, step.at_ms, last_at_ms, last_at_ms, opened.id)
        elif (emptied := self._emptied(step, taken)) is not None:
            opened = replace(opened, id=emptied)
            losers.discard(emptied)
            values = (step.code, *place, int(opened.timed), own, opened.status, *opened.receipt)
            self._do(_OPEN, *values, step.at_ms, last_at_ms, emptied)
        else:
            self._insert(step, opened, step.at_ms, last_at_ms)
        if taken:
            self._update("alarm_events", f"alarm_id = {opened.id:d}", [each.id for each, _ in taken])
        self._settle(step, opened, losers)
        return opened.id

    def _taken(self, step: Step, opened: Occurrence, before: Occurrence | None) -> list[tuple[Step, int]]:
        """Return the steps that belong to a new occurrence, each with the one in which it is so far.

        ``before``: the latest one before it. Earlier ones have such steps only where they skipped one that was received
        later: steps without a usable time.
        """
        found: dict[int, tuple[Step, int]] = {}
        while before is not None:
            for *values, alarm_id in self._rows(_STEPS_SINCE, before.id, opened.opened_at_ms):
                each = Step(*values)
                if moves(each, opened, before):
                    found[each.id] = (each, alarm_id)
            if before.receipt < opened.receipt:
                break
            before = self._one(_BEFORE, step.terminal_id, step.trace_id, *before.place)
        if opened.code is not None:
            of_code = (step.terminal_id, step.trace_id, opened.code)
            following = self._one(_NEXT_OF_CODE, *of_code, *opened.place, *opened.receipt)
            until = _END_OF_TIME if following is None else following.opened_at_ms
            for *values, alarm_id in self._rows(
                _STEPS_OF_CODE, *of_code, opened.opened_at_ms, until, *opened.place
            ):
                each = Step(*values)
                if may_join(each, opened):
                    found[each.id] = (each, alarm_id)
        return list(found.values())

    def _emptied(self, step: Step, taken: Sequence[tuple[Step, int]]) -> int | None:
        """Return the id of the unopened occurrence if all of its steps are taken."""
        if not taken:
            return None
        unopened = self._one(_LAST, step.terminal_id, step.trace_id, UNOPENED, *_ALWAYS)
        if unopened is None:
            return None
        lost = sum(alarm_id == unopened.id for _, alarm_id in taken)
        held = self._rows(f"{_ANY} LIMIT {lost + 1:d}", unopened.id)
        return unopened.id if len(held) <= lost else None

    def _settle(self, step: Step, opened: Occurrence, losers: set[int]) -> None:
        """Bring those up to date that lost steps to a new occurrence, and those of its code before it."""
        changed: dict[int, Occurrence] = {}
        for number in losers:
            lost = self._one(_BY_ID, number)
            if lost is None:
                continue
            counts_from = (-_END_OF_TIME, 0) if lost.timed else lost.receipt
            ((own, first_at_ms, last_at_ms),) = self._rows(_SUM, *counts_from, number)
            if own is None:
                # Of an unopened one, all steps are another's.
                self._do(_DELETE, number)
                continue
            if lost.opened_at_ms != UNOPENED:
                first_at_ms = lost.opened_at_ms
            self._do(_SHRINK, own, first_at_ms, last_at_ms, number)
            changed[number] = replace(lost, own_status=own)
        for lost in sorted(changed.values(), key=lambda each: each.place, reverse=True):
            status = effective(lost, self._following(step, lost))
            if status != lost.status:
                self._show([lost.id], status)
                self._pass_on(step, replace(lost, status=status))
        self._pass_on(step, opened)

    def _pass_on(self, step: Step, occurrence: Occurrence) -> None:
        """Show those of the same code before an occurrence as its status has it, back to the first that stays."""
        following = occurrence
        for size in chain(_CHUNKS, repeat(_CHUNKS[-1])):
            earlier = self._earlier(step, following, size)
            shown: dict[int, list[int]] = {}
            stays = len(earlier) < size
            for each in earlier:
                status = effective(each, following)
                if status == each.status:
                    stays = True
                    break
                shown.setdefault(status, []).append(each.id)
                following = replace(each, status=status)
            for status, ids in shown.items():
                self._show(ids, status)
            if stays:
                return

    def _earlier(self, step: Step, occurrence: Occurrence, limit: int) -> list[Occurrence]:
        code, values = _of_code(occurrence)
        rows = self._rows(
            f"{_OF_TRACE} AND {code} AND (opened_at_ms, tie) < (?, ?)"
            f" ORDER BY opened_at_ms DESC, tie DESC LIMIT {limit:d}",
            step.terminal_id,
            step.trace_id,
            *values,
            *occurrence.place,
        )
        return [_occurrence(row) for row in rows]

    def _following(self, step: Step, occurrence: Occurrence) -> Occurrence | None:
        code, values = _of_code(occurrence)
        return self._one(
            f"{_OF_TRACE} AND {code} AND (opened_at_ms, tie) > (?, ?) ORDER BY opened_at_ms, tie LIMIT 1",
            step.terminal_id,
            step.trace_id,
            *values,
            *occurrence.place,
        )

    def _insert(self, step: Step, occurrence: Occurrence, first_at_ms: int, last_at_ms: int) -> None:
        self._do(
            _INSERT,
            step.id,
            step.terminal_id,
            step.trace_id,
            occurrence.code,
            *occurrence.place,
            int(occurrence.timed),
            occurrence.own_status,
            occurrence.status,
            *occurrence.receipt,
            first_at_ms,
            last_at_ms,
        )

    def _show(self, ids: Sequence[int], status: int) -> None:
        # What is open again has not been looked at since.
        reset = "".join(
            f", {name} = CASE WHEN status = {_CLEARED} AND closed_at_ms IS NULL THEN NULL ELSE {name} END"
            for name in ("acknowledged_at_ms", "acknowledged_by")
        )
        again = "" if status == _CLEARED else reset
        self._update("alarms", f"status = {status:d}{again}", ids)

    def _update(self, table: str, values: str, ids: Sequence[int]) -> None:
        for start in range(0, len(ids), 500):
            written = ", ".join(f"{number:d}" for number in ids[start : start + 500])
            self._do(f"UPDATE {table} SET {values} WHERE id IN ({written})")

    def _one(self, statement: str, *values: Any) -> Occurrence | None:
        rows = self._rows(statement, *values)
        return _occurrence(rows[0]) if rows else None

    def _rows(self, statement: str, *values: Any) -> list[Any]:
        rows: list[Any] = self._db.execute(statement.replace("?", self._mark), values).fetchall()
        return rows

    def _do(self, statement: str, *values: Any) -> None:
        self._db.execute(statement.replace("?", self._mark), values)


def _occurrence(row: Sequence[Any]) -> Occurrence:
    number, code, opened_at_ms, place, timed, *rest = row
    return Occurrence(number, code, opened_at_ms, place, bool(timed), *rest)


def _of_code(occurrence: Occurrence) -> tuple[str, tuple[int, ...]]:
    """Return the condition on the code, as an index can answer it, and its parameters."""
    return ("code IS NULL", ()) if occurrence.code is None else ("code = ?", (occurrence.code,))


def lock(steps: Iterable[Step]) -> tuple[str, list[Any]]:
    """Return the statement by which a transaction in PostgreSQL waits for its turn at the traces of these steps.

    Every process takes the locks in the same order, so that none waits for another one in a circle.
    """
    traces = {(step.terminal_id, step.trace_id) for step in steps}
    buckets = sorted({digest(f"{terminal} {trace}")[0] % _BUCKETS for terminal, trace in traces})
    return (
        f"SELECT pg_advisory_xact_lock({_LOCKS}, bucket) FROM unnest(%s::int[]) AS bucket",
        [buckets],
    )
