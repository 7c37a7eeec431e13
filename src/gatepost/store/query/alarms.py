"""Read alarms and their steps, one by one and in pages."""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    func,
    not_,
    or_,
    select,
    tuple_,
    union_all,
)

from gatepost.store.conversion.rows import decode_problems
from gatepost.store.conversion.values import moment, ms
from gatepost.store.cursor import decode_cursor, encode_cursor
from gatepost.store.interface import (
    EVERYTHING,
    AlarmCounts,
    AlarmQuery,
    AlarmRow,
    AlarmStep,
    AlarmStepRow,
    FeedKind,
    Page,
    Stats,
    Visible,
)
from gatepost.store.page_bytes import PAGE_BYTES, bytes_of, fitting
from gatepost.store.query.records import PLACE, record_sizes, step_without_numbers, without_numbers
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import at_sites, events_of, terminals_asked
from gatepost.wire import AlarmStatus

__all__ = [
    "STEP_BYTES",
    "alarms_page",
    "alarm",
    "alarm_counts",
    "alarm_ids",
    "alarms_by_id",
    "alarm_steps_by_id",
    "is_open",
    "is_visible",
    "MAX_STEPS",
    "sizes_of",
    "stats",
]

STEP_BYTES = bytes_of(
    t.alarm_events.c.original, t.alarm_events.c.problems, texts=[t.alarm_events.c.description]
)
"""What a step of an alarm is counted with."""

MAX_STEPS = 1000
"""Of an alarm that are shown."""

_STATES: dict[int, Literal["open", "clear_failed", "cleared"]] = {
    0: "open",
    1: "open",
    2: "clear_failed",
    3: "cleared",
}

_CLEARED = int(AlarmStatus.CLEARED)


def is_open() -> ColumnElement[bool]:
    """Return the condition that an alarm is open: neither its terminal nor an operator has ended it."""
    c = t.alarms.c
    return and_(c.status < _CLEARED, c.closed_at_ms.is_(None))


def _in_state(state: str) -> ColumnElement[bool]:
    if state == "cleared":
        return not_(is_open())
    return (
        is_open() if state == "open" else and_(is_open(), t.alarms.c.status == int(AlarmStatus.CLEAR_FAILED))
    )


_ALARM = (
    select(t.alarms, *PLACE)
    .join(t.terminals, t.terminals.c.id == t.alarms.c.terminal_id)
    .outerjoin(t.sites, t.sites.c.id == t.terminals.c.site_id)
)


def _has_code(code: int) -> ColumnElement[bool]:
    """Return the condition that an alarm is shown with a code: that of its opener, or the least of its steps."""
    c, step = t.alarms.c, t.alarm_events.c
    least = select(func.min(step.code)).where(step.alarm_id == c.id).scalar_subquery()
    return or_(c.code == code, and_(c.code.is_(None), least == code))


def _alarm_conditions(db: Connection, query: AlarmQuery, visible: Visible) -> list[ColumnElement[bool]]:
    """Return what a query wants of alarms and their terminals."""
    c = t.alarms.c
    found = list(terminals_asked(db, query, visible))
    if query.state is not None:
        found.append(_in_state(query.state))
    if query.code is not None:
        found.append(_has_code(query.code))
    if query.acknowledged is not None:
        known = c.acknowledged_at_ms
        found.append(known.is_not(None) if query.acknowledged else known.is_(None))
    if query.since is not None:
        found.append(c.first_at_ms >= ms(query.since))
    if query.until is not None:
        found.append(c.first_at_ms < ms(query.until))
    if query.up_to is not None:
        found.append(c.id <= query.up_to)
    if not query.include_held:
        found.append(t.terminals.c.state != "held")
    return found


def alarm_ids(db: Connection, query: AlarmQuery, visible: Visible, limit: int) -> list[int]:
    """Return the ids of the alarms that a query chooses, at most ``limit``, in no order."""
    here = t.alarms.join(t.terminals, t.terminals.c.id == t.alarms.c.terminal_id)
    chosen = select(t.alarms.c.id).select_from(here).where(*_alarm_conditions(db, query, visible))
    return list(db.execute(chosen.limit(limit)).scalars())


def alarms_page(db: Connection, query: AlarmQuery, visible: Visible) -> Page[AlarmRow]:
    c = t.alarms.c
    statement = _ALARM.order_by(c.first_at_ms.desc(), c.id.desc()).limit(query.limit + 1)
    statement = statement.where(*_alarm_conditions(db, query, visible))
    if query.cursor is not None:
        statement = statement.where(tuple_(c.first_at_ms, c.id) < decode_cursor(query.cursor, "alarms"))
    rows = db.execute(statement).all()
    sizes = _bytes_of_steps(db, [row.id for row in rows])
    shown = rows[: query.limit]
    shown = shown[: fitting([sizes.get(row.id, 0) for row in shown])]
    cursor = None
    if len(rows) > len(shown):
        cursor = encode_cursor("alarms", shown[-1].first_at_ms, shown[-1].id)
    return Page(_alarms(db, shown, visible), cursor)


def alarm(db: Connection, alarm_id: int, visible: Visible) -> AlarmRow | None:
    found = alarms_by_id(db, [alarm_id], visible)
    return found[0] if found else None


def alarms_by_id(db: Connection, ids: Sequence[int], visible: Visible) -> tuple[AlarmRow, ...]:
    """Return those of them that there are and that are visible, in no order."""
    if not ids:
        return ()
    rows = db.execute(_ALARM.where(t.alarms.c.id.in_(ids), *events_of(visible))).all()
    return _alarms(db, rows, visible)


def _alarms(db: Connection, rows: Sequence[Row[Any]], visible: Visible) -> tuple[AlarmRow, ...]:
    history = _history(db, [row.id for row in rows])
    found = tuple(_alarm(row, history.get(row.id, ())) for row in rows)
    return found if visible.numbers else tuple(map(without_numbers, found))


def _bytes_of_steps(db: Connection, alarms: Sequence[int]) -> dict[int, int]:
    """Return how large each of some alarms is with its steps."""
    c = t.alarm_events.c
    found: dict[int, int] = {}
    for start in range(0, len(alarms), 500):
        size = func.sum(bytes_of(c.original, c.problems).element).label("size")
        of_each = select(c.alarm_id, size).where(c.alarm_id.in_(alarms[start : start + 500]))
        found |= {row.alarm_id: int(row.size) for row in db.execute(of_each.group_by(c.alarm_id))}
    return found


def _history(db: Connection, alarms: Sequence[int]) -> dict[int, tuple[AlarmStep, ...]]:
    """Return the latest :data:`MAX_STEPS` of each alarm; the earlier ones of them without original beyond a page."""
    c = t.alarm_events.c
    latest_first = (c.at_ms.desc(), c.id.desc())
    number = func.row_number().over(partition_by=c.alarm_id, order_by=latest_first).label("number")
    length = func.sum(func.coalesce(func.length(c.original), 0))
    size = length.over(partition_by=c.alarm_id, order_by=latest_first).label("size")
    others: list[Any] = [column for column in c if column is not c.original]
    found: dict[int, list[AlarmStep]] = {}
    for start in range(0, len(alarms), 500):
        some = select(c.id, number, size).where(c.alarm_id.in_(alarms[start : start + 500])).subquery()
        original = case((some.c.size <= PAGE_BYTES, c.original), else_=None).label("original")
        wanted: Any = (
            select(*others, original).join(some, some.c.id == c.id).where(some.c.number <= MAX_STEPS)
        )
        for row in db.execute(wanted.order_by(c.alarm_id, c.at_ms)):
            found.setdefault(row.alarm_id, []).append(_step(row))
    return {
        key: tuple(sorted(steps, key=lambda step: (step.listed_at, step.status or 0, step.id)))
        for key, steps in found.items()
    }


def _step(row: Row[Any]) -> AlarmStep:
    return AlarmStep(
        id=row.id,
        status=row.status,
        code=row.code,
        at=moment(row.event_time_ms),
        listed_at=moment(row.at_ms),
        received_at=moment(row.received_at_ms),
        description=row.description,
        user_id=row.user_id,
        has_image=bool(row.has_image),
        problems=decode_problems(row.problems),
        original=row.original,
    )


def alarm_steps_by_id(db: Connection, ids: Sequence[int], visible: Visible) -> list[AlarmStepRow]:
    """Return those of them that there are and that are visible, in no order."""
    if not ids:
        return []
    c = t.terminals.c
    wanted = (
        select(t.alarm_events, *PLACE)
        .join(t.terminals, c.id == t.alarm_events.c.terminal_id)
        .outerjoin(t.sites, t.sites.c.id == c.site_id)
        .where(t.alarm_events.c.id.in_(ids), *events_of(visible))
    )
    return [
        AlarmStepRow(
            alarm_id=row.alarm_id,
            terminal_id=row.terminal_id,
            serial=row.serial,
            terminal_name=row.terminal_name,
            site_id=row.site_id,
            site=row.site,
            timezone=row.timezone,
            trace_id=row.trace_id,
            step=_step(row) if visible.numbers else step_without_numbers(_step(row)),
        )
        for row in db.execute(wanted)
    ]


def _alarm(row: Row[Any], history: tuple[AlarmStep, ...]) -> AlarmRow:
    first, last = moment(row.first_at_ms), moment(row.last_at_ms)
    code = row.code
    if code is None:
        code = min((step.code for step in history if step.code is not None), default=None)
    return AlarmRow(
        id=row.id,
        terminal_id=row.terminal_id,
        serial=row.serial,
        terminal_name=row.terminal_name,
        site_id=row.site_id,
        site=row.site,
        timezone=row.timezone,
        trace_id=row.trace_id,
        code=code,
        state="cleared" if row.closed_at_ms is not None else _STATES[row.status],
        first_at=first,
        last_at=last,
        history=history,
        acknowledged_at=moment(row.acknowledged_at_ms),
        acknowledged_by=row.acknowledged_by,
        note=row.note,
        closed_at=moment(row.closed_at_ms),
        closed_by=row.closed_by,
        closed_note=row.closed_note,
    )


def alarm_counts(db: Connection, visible: Visible) -> AlarmCounts:
    """Count the open alarms of visible terminals that are not held."""
    acknowledged = t.alarms.c.acknowledged_at_ms
    counted = (
        select(func.count().label("open"), func.count(acknowledged).label("acknowledged"))
        .select_from(t.alarms.join(t.terminals, t.terminals.c.id == t.alarms.c.terminal_id))
        .where(is_open(), t.terminals.c.state != "held", *at_sites(visible))
    )
    row = db.execute(counted).one()
    return AlarmCounts(row.open, row.open - row.acknowledged)


def is_visible(db: Connection, event_id: int, visible: Visible) -> bool:
    """Return whether a record, a step of an alarm or a quarantined push is visible by the terminal that it came from.

    A quarantined push, which has numbers, is not visible without them.
    """
    if visible == EVERYTHING:
        return True
    here = select(t.terminals.c.id).where(*events_of(visible))
    tables = [t.records, t.alarm_events, *([t.quarantine] if visible.numbers else [])]
    found = (
        select(table.c.id).where(table.c.id == event_id, table.c.terminal_id.in_(here)) for table in tables
    )
    return db.execute(union_all(*found)).first() is not None


def sizes_of(
    db: Connection, records: Sequence[int], alarms: Sequence[int]
) -> dict[tuple[FeedKind, int], int]:
    """Return how large records and alarms are, by what they are and their id."""
    found: dict[tuple[FeedKind, int], int] = {}
    found |= {("record", number): size for number, size in record_sizes(db, records).items()}
    found |= {("alarm", number): size for number, size in _bytes_of_steps(db, alarms).items()}
    return found


def stats(db: Connection, visible: Visible) -> Stats:
    c = t.tallies.c
    names = ("records", "duplicates", "quarantined")
    here = at_sites(visible)
    terminals = select(t.terminals.c.id).where(*here)

    def of(column: Any) -> list[ColumnElement[bool]]:
        return [column.in_(terminals)] if here else []

    total = db.execute(select(*(func.sum(c[name]) for name in names)).where(*of(c.terminal_id))).one()
    refused = db.execute(
        select(t.refusals.c.reason, func.sum(t.refusals.c.count))
        .where(*of(t.refusals.c.terminal_id))
        .group_by(t.refusals.c.reason)
    ).all()
    by_reason = {reason: int(count) for reason, count in refused}
    records, duplicates, quarantined = (int(value or 0) for value in total)
    open_alarms = alarm_counts(db, visible)
    alarms = select(func.count()).select_from(t.alarms).where(*of(t.alarms.c.terminal_id))
    return Stats(
        records=records,
        alarms=db.execute(alarms).scalar_one(),
        open_alarms=open_alarms.open,
        unacknowledged_alarms=open_alarms.unacknowledged,
        duplicates=duplicates,
        quarantined=quarantined,
        refused=sum(by_reason.values()),
        terminals=db.execute(select(func.count()).select_from(t.terminals).where(*here)).scalar_one(),
        refusals=by_reason,
    )
