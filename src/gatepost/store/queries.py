"""What both databases are asked in the same words: pages of records and alarms, terminals, counts.

Pages are cut by *keyset*: a cursor says after which row the page begins, so nothing is skipped or repeated while
events arrive, and the thousandth page costs what the first one does.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, and_, func, or_, select, tuple_

from gatepost.errors import StoreError
from gatepost.store import schema as t
from gatepost.store.arrivals import decode_problems, moment, ms
from gatepost.store.store import (
    AlarmQuery,
    AlarmRow,
    AlarmStep,
    Page,
    PersonRow,
    RecordQuery,
    RecordRow,
    Stats,
    TerminalRow,
)

__all__ = ["BadCursor", "terminals", "records_page", "record", "alarms_page", "image_place", "stats", "peers"]


class BadCursor(StoreError):
    """The cursor is none that this list gave out."""

    def __str__(self) -> str:
        return "cursor is not one that this list gave out; start again without it"


def _encode_cursor(order: str, *place: int) -> str:
    return urlsafe_b64encode(msgspec.msgpack.encode([order, *place])).decode().rstrip("=")


def _decode_cursor(cursor: str, order: str) -> tuple[int, ...]:
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        said, *place = msgspec.msgpack.decode(raw, type=tuple[str, int, int])
    except (ValueError, msgspec.MsgspecError):
        raise BadCursor from None
    if said != order:
        raise BadCursor
    return tuple(place)


def _terminals() -> Select[Any]:
    """One row a terminal, with the sum over its writers' tallies."""
    c = t.tallies.c
    total = (
        select(
            c.terminal_id,
            *(func.sum(c[name]).label(name) for name in _COUNTS),
            func.min(c.first_at_ms).label("first_at_ms"),
            func.max(c.last_at_ms).label("last_at_ms"),
            func.max(c.last_recorded_ms).label("last_recorded_ms"),
            func.max(c.clock_error_ms).label("clock_error_ms"),
            func.min(c.interval_ms).label("interval_ms"),
            func.max(c.peer).label("peer"),
        )
        .group_by(c.terminal_id)
        .subquery("total")
    )
    refused = (
        select(t.refusals.c.terminal_id, func.sum(t.refusals.c.count).label("refused"))
        .group_by(t.refusals.c.terminal_id)
        .subquery("refused")
    )
    disagreed = (
        select(t.disagreements.c.terminal_id, func.sum(t.disagreements.c.count).label("disagreed"))
        .group_by(t.disagreements.c.terminal_id)
        .subquery("disagreed")
    )
    return (
        select(
            t.terminals,
            t.sites.c.name.label("site"),
            t.sites.c.timezone.label("site_timezone"),
            *(total.c[name] for name in (*_COUNTS, *_TIMES)),
            refused.c.refused,
            disagreed.c.disagreed,
        )
        .join(t.sites, t.sites.c.id == t.terminals.c.site_id)
        .outerjoin(total, total.c.terminal_id == t.terminals.c.id)
        .outerjoin(refused, refused.c.terminal_id == t.terminals.c.id)
        .outerjoin(disagreed, disagreed.c.terminal_id == t.terminals.c.id)
    )


_COUNTS = ("records", "alarms", "quarantined", "duplicates", "with_problems", "late")
_TIMES = ("first_at_ms", "last_at_ms", "last_recorded_ms", "clock_error_ms", "interval_ms", "peer")


def terminals(db: Connection, *conditions: Any) -> list[TerminalRow]:
    rows = db.execute(_terminals().where(*conditions).order_by(t.terminals.c.id))
    return [_terminal(row) for row in rows]


def _terminal(row: Row[Any]) -> TerminalRow:
    created = moment(row.created_at_ms)
    return TerminalRow(
        id=row.id,
        serial=row.serial,
        anonymous_peer=row.anonymous_peer,
        name=row.name,
        site_id=row.site_id,
        site=row.site,
        timezone=row.timezone or row.site_timezone,
        state=row.state,
        has_token=row.token_digest is not None,
        networks=tuple(msgspec.json.decode(row.networks)) if row.networks else (),
        model=row.model,
        dialect=row.dialect,
        created_at=created,
        first_seen=moment(row.first_at_ms),
        last_seen=moment(row.last_at_ms),
        last_recorded_at=moment(row.last_recorded_ms),
        clock_error_ms=row.clock_error_ms,
        interval_ms=row.interval_ms,
        peer=row.peer,
        **{name: int(getattr(row, name) or 0) for name in _COUNTS},
        refused=int(row.refused or 0),
        disagreements=int(row.disagreed or 0),
    )


def peers(db: Connection) -> dict[str, int]:
    return {row.address: row.terminal_id for row in db.execute(select(t.peers))}


_RECORD = (
    select(t.records, t.terminals.c.serial, *(c.label(f"person_{c.name}") for c in t.identities.c))
    .join(t.terminals, t.terminals.c.id == t.records.c.terminal_id)
    .outerjoin(t.identities, t.identities.c.id == t.records.c.identity_id)
)


def _which(column: Any, terminal: str | int) -> Any:
    if isinstance(terminal, int):
        return column == terminal
    return column.in_(select(t.terminals.c.id).where(t.terminals.c.serial == terminal))


def _conditions(query: RecordQuery) -> list[Any]:
    c = t.records.c
    who = t.identities.c
    found: list[Any] = []
    if query.since is not None:
        found.append(c.at_ms >= ms(query.since))
    if query.until is not None:
        found.append(c.at_ms < ms(query.until))
    if query.terminal is not None:
        found.append(_which(c.terminal_id, query.terminal))
    if query.site_id is not None:
        found.append(
            c.terminal_id.in_(select(t.terminals.c.id).where(t.terminals.c.site_id == query.site_id))
        )
    if not query.include_held:
        found.append(c.terminal_id.not_in(select(t.terminals.c.id).where(t.terminals.c.state == "held")))
    for name in ("recognition_type", "abnormal_type", "entry_mode"):
        if (value := getattr(query, name)) is not None:
            found.append(c[name] == value)
    if query.passed is not None:
        found.append(c.passed == int(query.passed))
    if query.has_image is not None:
        found.append(c.image_id.is_not(None) if query.has_image else c.image_id.is_(None))
    people = []
    if query.person is not None:
        people.append(who.user_id == query.person)
    if query.job_number is not None:
        people.append(who.job_number == query.job_number)
    if query.name is not None:
        people.append(who.name.contains(query.name, autoescape=True))
    if query.q is not None:
        columns = (who.name, who.user_id, who.job_number, who.ic_number, who.id_number)
        people.append(or_(*(column.contains(query.q, autoescape=True) for column in columns)))
    if people:
        found.append(c.identity_id.in_(select(who.id).where(*people)))
    return found


def records_page(db: Connection, query: RecordQuery, *, horizon: int | None = None) -> Page[RecordRow]:
    """``horizon``: only ids below it are settled; what has a lower id can no longer appear."""
    c = t.records.c
    statement = _RECORD.where(*_conditions(query)).limit(query.limit + 1)
    if query.order == "received":
        statement = statement.order_by(c.id)
        if horizon is not None:
            statement = statement.where(c.id < horizon)
        after = 0
        if query.cursor is not None:
            after = _decode_cursor(query.cursor, "received")[1]
            statement = statement.where(c.id > after)
    elif query.order == "newest":
        statement = statement.order_by(c.at_ms.desc(), c.id.desc())
        if query.cursor is not None:
            statement = statement.where(tuple_(c.at_ms, c.id) < _decode_cursor(query.cursor, "newest"))
    else:
        statement = statement.order_by(c.at_ms, c.id)
        if query.cursor is not None:
            statement = statement.where(tuple_(c.at_ms, c.id) > _decode_cursor(query.cursor, "oldest"))
    rows = db.execute(statement).all()
    items = tuple(_record(row) for row in rows[: query.limit])
    cursor = None
    if query.order == "received":  # there is always more to come
        cursor = _encode_cursor("received", 0, items[-1].id if items else after)
    elif len(rows) > query.limit:
        cursor = _encode_cursor(query.order, rows[query.limit - 1].at_ms, rows[query.limit - 1].id)
    return Page(items, cursor)


def record(db: Connection, record_id: int) -> RecordRow | None:
    row = db.execute(_RECORD.where(t.records.c.id == record_id)).one_or_none()
    return None if row is None else _record(row)


def _record(row: Row[Any]) -> RecordRow:
    at, received = moment(row.at_ms), moment(row.received_at_ms)
    return RecordRow(
        id=row.id,
        terminal_id=row.terminal_id,
        serial=row.serial,
        uuid=row.uuid,
        at=at,
        recorded_at=moment(row.recorded_at_ms),
        received_at=received,
        recognition_type=row.recognition_type,
        passed=None if row.passed is None else bool(row.passed),
        entry_mode=row.entry_mode,
        abnormal_type=row.abnormal_type,
        score=row.score,
        temperature=row.temperature,
        mask=row.mask,
        mode=row.mode,
        person=None if row.person_id is None else _person(row),
        has_image=row.image_id is not None,
        dialect=row.dialect,
        peer=row.peer,
        problems=decode_problems(row.problems),
        original=row.original,
    )


def _person(row: Row[Any]) -> PersonRow:
    return PersonRow(
        identity_id=row.person_id,
        user_id=row.person_user_id,
        name=row.person_name,
        type=row.person_type,
        job_number=row.person_job_number,
        ic_number=row.person_ic_number,
        id_number=row.person_id_number,
        remark=row.person_remark,
        guest_from=moment(row.person_guest_from_ms),
        guest_until=moment(row.person_guest_until_ms),
        groups=tuple(msgspec.json.decode(row.person_groups)) if row.person_groups else (),
    )


_STATES = {0: "open", 1: "open", 2: "clear_failed", 3: "cleared"}
_STATUSES = {"open": (0, 1), "clear_failed": (2,), "cleared": (3,)}


def alarms_page(db: Connection, query: AlarmQuery) -> Page[AlarmRow]:
    c = t.alarms.c
    statement = (
        select(t.alarms, t.terminals.c.serial)
        .join(t.terminals, t.terminals.c.id == c.terminal_id)
        .order_by(c.first_at_ms.desc(), c.id.desc())
        .limit(query.limit + 1)
    )
    if query.state is not None:
        statement = statement.where(c.status.in_(_STATUSES[query.state]))
    if query.terminal is not None:
        statement = statement.where(_which(c.terminal_id, query.terminal))
    if query.acknowledged is not None:
        known = c.acknowledged_at_ms
        statement = statement.where(known.is_not(None) if query.acknowledged else known.is_(None))
    if query.since is not None:
        statement = statement.where(c.first_at_ms >= ms(query.since))
    if query.until is not None:
        statement = statement.where(c.first_at_ms < ms(query.until))
    if not query.include_held:
        statement = statement.where(t.terminals.c.state != "held")
    if query.cursor is not None:
        statement = statement.where(tuple_(c.first_at_ms, c.id) < _decode_cursor(query.cursor, "alarms"))
    rows = db.execute(statement).all()
    shown = rows[: query.limit]
    history = _history(db, shown)
    items = tuple(_alarm(row, history.get((row.terminal_id, row.trace_id), ())) for row in shown)
    cursor = None
    if len(rows) > query.limit:
        cursor = _encode_cursor("alarms", shown[-1].first_at_ms, shown[-1].id)
    return Page(items, cursor)


def _history(db: Connection, alarms: Sequence[Row[Any]]) -> dict[tuple[int, str], tuple[AlarmStep, ...]]:
    c = t.alarm_events.c
    keys = [(row.terminal_id, row.trace_id) for row in alarms]
    found: dict[tuple[int, str], list[AlarmStep]] = {}
    for start in range(0, len(keys), 100):
        wanted = [and_(c.terminal_id == a, c.trace_id == b) for a, b in keys[start : start + 100]]
        for row in db.execute(select(t.alarm_events).where(or_(*wanted))):
            received = moment(row.received_at_ms)
            step = AlarmStep(
                id=row.id,
                status=row.status,
                code=row.code,
                at=moment(row.event_time_ms),
                received_at=received,
                description=row.description,
                user_id=row.user_id,
                has_image=row.image_id is not None,
                problems=decode_problems(row.problems),
                original=row.original,
            )
            found.setdefault((row.terminal_id, row.trace_id), []).append(step)
    return {
        key: tuple(sorted(steps, key=lambda s: (s.at or s.received_at, s.status or 0, s.id)))
        for key, steps in found.items()
    }


def _alarm(row: Row[Any], history: tuple[AlarmStep, ...]) -> AlarmRow:
    first, last = moment(row.first_at_ms), moment(row.last_at_ms)
    return AlarmRow(
        id=row.id,
        terminal_id=row.terminal_id,
        serial=row.serial,
        trace_id=row.trace_id,
        code=row.code,
        state=_STATES[row.status],  # type: ignore[arg-type]  # the values are the three literals
        first_at=first,
        last_at=last,
        history=history,
        acknowledged_at=moment(row.acknowledged_at_ms),
        acknowledged_by=row.acknowledged_by,
        note=row.note,
    )


def image_place(db: Connection, event_id: int) -> tuple[int, int] | None:
    """The day and the id of the image of a record or of an alarm's step."""
    for table in (t.records, t.alarm_events):
        row = db.execute(
            select(table.c.image_day, table.c.image_id).where(table.c.id == event_id)
        ).one_or_none()
        if row is not None:
            return None if row.image_id is None else (row.image_day, row.image_id)
    return None


def stats(db: Connection) -> Stats:
    c = t.tallies.c
    total = db.execute(select(*(func.sum(c[name]) for name in _COUNTS))).one()
    refused = db.execute(
        select(t.refusals.c.reason, func.sum(t.refusals.c.count)).group_by(t.refusals.c.reason)
    ).all()
    by_reason = {reason: int(count) for reason, count in refused}
    return Stats(
        records=int(total[0] or 0),
        alarms=db.execute(select(func.count()).select_from(t.alarms)).scalar_one(),
        duplicates=int(total[3] or 0),
        quarantined=int(total[2] or 0),
        refused=sum(by_reason.values()),
        terminals=db.execute(select(func.count()).select_from(t.terminals)).scalar_one(),
        refusals=by_reason,
    )
