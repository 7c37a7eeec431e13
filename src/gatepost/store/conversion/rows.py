"""From arrivals to rows: what both databases do alike before they write a batch.

Pure: no database, no clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from gatepost.store.conversion.coded_fields import Facet, facet
from gatepost.store.conversion.occurrences import Step
from gatepost.store.conversion.values import DAY_MS, indexable, ms, text
from gatepost.store.fold import fold_person
from gatepost.store.types.arrivals import SIGHTING_MS, Arrival
from gatepost.wire import (
    AbnormalType,
    Alarm,
    Event,
    Problem,
    Record,
    User,
    without_pins,
)

__all__ = [
    "RECORD_COLUMNS",
    "ALARM_COLUMNS",
    "QUARANTINE_COLUMNS",
    "IDENTITY_COLUMNS",
    "RECORD",
    "ALARM",
    "UNKNOWN",
    "AHEAD_MS",
    "LATE_MS",
    "Person",
    "Lessons",
    "Referred",
    "referred",
    "kind",
    "listed_at",
    "clock_problems",
    "is_outside_time",
    "is_stranger",
    "person",
    "person_digest",
    "person_number",
    "identity_row",
    "encode_problems",
    "decode_problems",
    "repeated_problems",
    "ID_BYTES",
    "REPEATED",
    "record_row",
    "alarm_row",
    "alarm_steps",
    "quarantine_row",
    "learn",
    "receipt_days",
    "CLOCK_RIGHT_MS",
]

RECORD, ALARM, UNKNOWN = range(3)

LATE_MS = 600_000
"""What arrives longer after it happened than this counts as late."""

AHEAD_MS = DAY_MS
"""How far a terminal's time may be ahead of its receipt and is believed: any time zone set wrong, and not a wrong year.
What is later is listed by its receipt."""

CLOCK_RIGHT_MS = 10_000
"""How far a clock may be ahead and counts as right. One that was further ahead is followed back."""

_NEVER = -(1 << 62)

ID_BYTES = 8
"""Of a key these first bytes stand for the event's id alone: :func:`gatepost.wire.key_digest`."""

REPEATED = "is the id of another record of this terminal, with another time or person"

Person = tuple[Any, ...]
"""site_id, then the columns of ``identities`` from ``user_id`` to ``groups``."""

_GUEST_TIME = slice(8, 10)
"""Of a :data:`Person`: ``guest_from_ms`` and ``guest_until_ms``."""

_encoder = msgspec.json.Encoder()


def encode_problems(problems: Iterable[Problem]) -> str | None:
    found = [[text(problem.where), text(problem.why)] for problem in problems]
    return _encoder.encode(found).decode() if found else None


def repeated_problems(arrival: Arrival) -> str | None:
    """Return the problems of a record that bears the id of another one, as they are stored."""
    return encode_problems((*arrival.problems, Problem("data.uuid", REPEATED)))


def decode_problems(stored: str | None) -> tuple[Problem, ...]:
    return tuple(Problem(where, why) for where, why in msgspec.json.decode(stored)) if stored else ()


def kind(arrival: Arrival) -> int:
    if isinstance(arrival.event, Record):
        return RECORD
    return ALARM if isinstance(arrival.event, Alarm) else UNKNOWN


def listed_at(happened_ms: int | None, received_at_ms: int) -> int:
    """Return the time by which an event is listed, and to whose day it belongs.

    It is the terminal's, unless that is unknown or more than :data:`AHEAD_MS` after the receipt.
    """
    if happened_ms is None or happened_ms > received_at_ms + AHEAD_MS:
        return received_at_ms
    return happened_ms


def clock_problems(event: Event, received_at_ms: int) -> tuple[Problem, ...]:
    """Return the note for an event that is listed by its receipt though the terminal said a time."""
    if isinstance(event, Record):
        where, happened = "data.timestamp", event.recorded_at
    elif isinstance(event, Alarm):
        where, happened = "data.event_time", event.event_time
    else:
        return ()
    said = ms(happened)
    if said is None or listed_at(said, received_at_ms) == said:
        return ()
    return (Problem(where, "is over a day after the time of receipt, by which this is listed"),)


def is_outside_time(record: Record, who: Person | None, received_at_ms: int) -> bool:
    """Return whether a visitor was there before or after their time, or was refused for it by the terminal."""
    if record.abnormal_type == AbnormalType.VISITOR_EXPIRED:
        return True
    begins, ends = (None, None) if who is None else who[_GUEST_TIME]
    if begins is None and ends is None:
        return False
    at_ms = listed_at(ms(record.recorded_at), received_at_ms)
    return (begins is not None and at_ms < begins) or (ends is not None and at_ms > ends)


def is_stranger(user: User | None) -> bool:
    """Return whether somebody has no name and no number."""
    return user is None or not (
        _number(user) or user.name or user.job_number or user.ic_number or user.id_number
    )


def _number(user: User) -> str:
    """Return the ``user_id``. Firmware that has an integer there writes 0 for none: those are not one person."""
    return "" if user.user_id == "0" and user.type is None else user.user_id


def person_number(user: User | None) -> str:
    """Return the first of a person's numbers as it is stored, or else the name; empty for a stranger."""
    if user is None or is_stranger(user):
        return ""
    first = _number(user)
    if first:
        return indexable(first)
    rest = (user.job_number, user.ic_number, user.id_number, user.name)
    return next((text(one) for one in rest if one), "")


def person(user: User | None, site_id: int) -> Person | None:
    """Return who it was, or ``None`` for a stranger."""
    if user is None or is_stranger(user):
        return None
    number = _number(user)
    groups = ""
    if user.groups:
        named = _encoder.encode([{**g.extra, "id": g.id, "name": g.name} for g in user.groups])
        groups = text(without_pins(named).decode())
    return (
        site_id,
        indexable(number),
        text(user.name),
        user.type,
        text(user.job_number),
        text(user.ic_number),
        text(user.id_number),
        text(user.remark),
        ms(user.guest_from),
        ms(user.guest_until),
        groups,
    )


class Referred(NamedTuple):
    """Hold the facets and people that the records of a batch refer to."""

    of_records: list[tuple[Facet, Person | None]]
    """In their order."""
    facets: set[Facet]
    people: dict[Person, int]
    """When each was received first, in milliseconds."""


def referred(batch: Iterable[Arrival], sites: Mapping[int, int]) -> Referred:
    """Return what a batch refers to. ``sites``: by terminal.

    Raises ``LookupError`` for an event of a terminal that is not there; the whole batch is then refused.
    """
    found = Referred([], set(), {})
    for arrival in batch:
        site_id = sites.get(arrival.terminal_id)
        if site_id is None:
            raise LookupError(f"no terminal {arrival.terminal_id}")
        record = arrival.event
        if isinstance(record, Record):
            who = person(record.user, site_id)
            outside = is_outside_time(record, who, arrival.received_at_ms)
            codes = facet(record, has_image=arrival.image is not None, outside_time=outside)
            found.of_records.append((codes, who))
            found.facets.add(codes)
            if who is not None:
                found.people.setdefault(who, arrival.received_at_ms)
    return found


IDENTITY_COLUMNS = (
    "digest, site_id, user_id, name, type, job_number, ic_number, id_number, remark, guest_from_ms,"
    ' guest_until_ms, "groups", first_at_ms, folded'
)
"""What :func:`identity_row` returns."""


def person_digest(who: Person, secret: bytes) -> bytes:
    """Return what makes a person the same one, keyed with the store's secret: nobody else can compute it."""
    return blake2b(_encoder.encode(who), digest_size=16, key=secret).digest()


def identity_row(who: Person, first_at_ms: int, secret: bytes) -> tuple[Any, ...]:
    """Return the values of :data:`IDENTITY_COLUMNS`."""
    _, user_id, name, _, job_number, ic_number, id_number, *_ = who
    folded = fold_person((name, user_id, job_number, ic_number, id_number))
    return (person_digest(who, secret), *who, first_at_ms, folded)


RECORD_COLUMNS = (
    "terminal_id", "key", "received_at_ms", "at_ms", "recorded_at_ms", "recognition_type", "passed", "entry_mode",
    "abnormal_type", "score", "temperature", "mask", "mode", "uuid", "facet_id", "identity_id", "dialect", "peer",
    "original", "problems",
)  # fmt: skip

ALARM_COLUMNS = (
    "terminal_id", "key", "trace_id", "status", "code", "event_time_ms", "at_ms", "description", "user_id",
    "received_at_ms", "dialect", "peer", "problems", "original",
)  # fmt: skip

QUARANTINE_COLUMNS = ("terminal_id", "key", "received_at_ms", "peer", "problems", "tries", "original")


def record_row(arrival: Arrival, record: Record, facet_id: int, identity_id: int | None) -> tuple[Any, ...]:
    """Return the values of :data:`RECORD_COLUMNS`."""
    recorded = ms(record.recorded_at)
    return (
        arrival.terminal_id,
        arrival.key,
        arrival.received_at_ms,
        listed_at(recorded, arrival.received_at_ms),
        recorded,
        record.recognition_type,
        None if record.passed is None else int(record.passed),
        record.entry_mode,
        record.abnormal_type,
        None if record.score is None else float(record.score),
        None if record.temperature is None else float(record.temperature),
        record.mask,
        record.mode,
        None if record.uuid is None else text(record.uuid),
        facet_id,
        identity_id,
        arrival.dialect and arrival.dialect._value_,
        arrival.peer,
        arrival.original,
        encode_problems(arrival.problems) if arrival.problems else None,
    )


def alarm_row(arrival: Arrival, alarm: Alarm) -> tuple[Any, ...]:
    """Return the values of :data:`ALARM_COLUMNS`."""
    event_time = ms(alarm.event_time)
    return (
        arrival.terminal_id,
        arrival.key,
        indexable(alarm.trace_id),
        alarm.status,
        alarm.code,
        event_time,
        listed_at(event_time, arrival.received_at_ms),
        None if alarm.description is None else text(alarm.description),
        None if alarm.user_id is None else text(str(alarm.user_id)),
        arrival.received_at_ms,
        arrival.dialect and arrival.dialect.value,
        arrival.peer,
        encode_problems(arrival.problems),
        arrival.original,
    )


def quarantine_row(arrival: Arrival) -> tuple[Any, ...]:
    """Return the values of :data:`QUARANTINE_COLUMNS`."""
    return (
        arrival.terminal_id,
        arrival.key,
        arrival.received_at_ms,
        arrival.peer,
        encode_problems(arrival.problems),
        0,
        arrival.original,
    )


def alarm_steps(batch: Sequence[Arrival], ids: Sequence[int], new: Sequence[bool]) -> list[Step]:
    """Return the steps of alarms that were stored just now."""
    found: list[Step] = []
    for arrival, number, fresh in zip(batch, ids, new, strict=True):
        alarm = arrival.event
        if not fresh or not isinstance(alarm, Alarm):
            continue
        event_time = ms(alarm.event_time)
        found.append(
            Step(
                id=number,
                terminal_id=arrival.terminal_id,
                trace_id=indexable(alarm.trace_id),
                status=alarm.status,
                code=alarm.code,
                event_time_ms=event_time,
                at_ms=listed_at(event_time, arrival.received_at_ms),
                received_at_ms=arrival.received_at_ms,
            )
        )
    return found


class Lessons(Struct):
    """Hold what a batch says about terminals, apart from its events."""

    peers: list[tuple[str, int, int]]
    """address, terminal_id, at_ms"""
    disagreements: list[tuple[int, str, str, int, int, int]]
    """terminal_id, source, said, count, first_at_ms, last_at_ms"""
    seen: list[tuple[str | None, str | None, int]]
    """model, dialect, terminal_id"""


def learn(
    batch: Iterable[Arrival],
    *,
    peers: dict[tuple[str, int], int],
    seen: dict[int, tuple[str | None, str | None]],
) -> Lessons:
    """Return what is not known yet. ``peers`` and ``seen`` are what is, and are brought up to date."""
    lessons = Lessons([], [], [])
    for arrival in batch:
        number, at = arrival.terminal_id, arrival.received_at_ms
        if arrival.bind_peer and at - peers.get((arrival.peer, number), _NEVER) >= SIGHTING_MS:
            peers[arrival.peer, number] = at
            lessons.peers.append((arrival.peer, number, at))
        for source, said in arrival.disagreements:
            lessons.disagreements.append((number, source, text(said), 1, at, at))
        model, dialect = arrival.model, arrival.dialect and arrival.dialect._value_
        before = seen.get(number, (None, None))
        if (model is None or model == before[0]) and (dialect is None or dialect == before[1]):
            continue
        now = (before[0] if model is None else text(model), dialect or before[1])
        if now != before:
            seen[number] = now
            lessons.seen.append((*now, number))
    return lessons


def receipt_days(batch: Sequence[Arrival]) -> list[int]:
    """Return the days (UTC, since 1970) on which a batch was received, in order."""
    return sorted({arrival.received_at_ms // DAY_MS for arrival in batch})
