"""Try a destination out: a test event that is sent to it, and a real event as it would be sent.

Neither counts in a ledger. A test event is marked: its ``type`` is ``gatepost.test``, its ``event`` in the shape
``flat`` is ``test``, and its id is no event's. A receiver is asked whether it would take a push of the terminal whose
event comes next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gatepost.errors import ImageUnavailable, SettingsError
from gatepost.forward.options.destination import Destination
from gatepost.forward.options.filters import queries
from gatepost.forward.options.secrets import Secrets
from gatepost.forward.shapes.data import event_id
from gatepost.forward.shapes.shape import CONTENT_TYPES, Shaper
from gatepost.forward.sinks import Closed, Outgoing, Result, Sink, hidden
from gatepost.store.forwarding.destinations import Destinations
from gatepost.store.interface import (
    AlarmStepRow,
    FeedKind,
    Forwarded,
    ForwardQuery,
    Notice,
    PersonRow,
    RecordRow,
    Store,
)
from gatepost.store.people.people import People
from gatepost.wire import Delivered, Refused, Unreachable

__all__ = ["Example", "Trial", "example", "made_up", "send_test"]

TEST_S = 20.0
"""Longest time of a test in seconds, whatever the destination's own time-out."""

SERIAL = "GATEPOST-TEST"


class Trial(Struct, frozen=True, kw_only=True):
    """The result of a test."""

    outcome: Literal["delivered", "refused", "unreachable", "closed"]
    status: str
    """Such as ``HTTP 503``; empty where there was none."""
    took_ms: int
    reply: str
    """Its reply, or why it could not be reached."""


class Example(Struct, frozen=True, kw_only=True):
    """A real event as a destination would be sent it."""

    id: str
    event_id: int
    content_type: str
    body: str


def made_up(told: Destination, *, source: str, now: float, serial: str = SERIAL) -> Outgoing:
    """Return an event that never happened, in the shape of a destination. ``now``: Unix seconds.

    ``serial``: of the terminal that it says it is of.
    """
    row = _row(datetime.fromtimestamp(now, UTC), serial)
    name = f"test-{int(now * 1000)}"
    if told.shape == "push":
        value: dict[str, Any] = {"type": "gatepost.test", "data": {"deviceSN": serial, "timestamp": int(now)}}
    else:
        value = msgspec.json.decode(Shaper(told.shape, source).body(row, person_id="0"))
        value["id"] = name
        value["type" if told.shape == "cloudevents" else "event"] = (
            "gatepost.test" if told.shape == "cloudevents" else "test"
        )
    return Outgoing(
        id=name,
        event_id=0,
        kind="record",
        body=msgspec.json.encode(value),
        content_type=CONTENT_TYPES[told.shape],
        row=row,
        image=None,
        is_replay=False,
        is_test=True,
    )


async def send_test(
    sink: Sink,
    told: Destination,
    secrets: Secrets,
    *,
    source: str,
    now: Callable[[], float],
    monotonic: Callable[[], float],
    serial: str | None = None,
) -> Trial:
    """Send a made-up event, once, and close the sink.

    ``serial``: of the terminal whose event the destination would be sent last. Raises
    :class:`~gatepost.errors.SettingsError` for a receiver where there is none: it would be asked about a terminal that
    there is not.
    """
    outgoing, began = made_up(told, source=source, now=now(), serial=serial or SERIAL), monotonic()
    try:
        if told.kind == "receiver" and serial is None:
            raise SettingsError(
                "filter",
                "chooses no event yet; a receiver is tried with the serial of the latest one, so push one first",
            )
        async with asyncio.timeout(min(told.timeout_s, TEST_S)):
            (result,) = await sink.send([outgoing])
            result = hidden(result, secrets.values())
    except TimeoutError:
        result = Result(outcome=Unreachable(f"no reply within {min(told.timeout_s, TEST_S):g} s"))
    finally:
        await sink.close()
    outcome = result.outcome
    why = "" if isinstance(outcome, Delivered) else outcome.reason
    return Trial(
        outcome=_name(result),
        status=result.status,
        took_ms=round((monotonic() - began) * 1000),
        reply=result.reply or why,
    )


def example(
    destinations: Destinations, store: Store, people: People, told: Destination, *, source: str
) -> Example | None:
    """Return the latest event that a filter chooses, without its image; ``None`` where there is none. Blocks.

    A record if it chooses one, else a step of an alarm, else a notice.
    """
    row = _latest(destinations, store, told)
    if row is None:
        return None
    person_id, original, number = "", None, row.step.id if isinstance(row, AlarmStepRow) else row.id
    if isinstance(row, RecordRow) and row.person is not None and told.shape != "push":
        key = (row.person.identity_id, row.terminal_id)
        person_id = people.ids([key]).get(key, "")
    if told.shape == "push" and not isinstance(row, Notice):
        shortened = (row.original if isinstance(row, RecordRow) else row.step.original) or b""
        try:
            original = store.original(number, shortened)
        except ImageUnavailable:
            original = shortened
    body = Shaper(told.shape, source).body(row, person_id=person_id, original=original)
    return Example(
        id=event_id(row),
        event_id=number,
        content_type=CONTENT_TYPES[told.shape],
        body=body.decode("utf-8", "replace"),
    )


def _latest(destinations: Destinations, store: Store, told: Destination) -> Forwarded | None:
    of_records, of_alarms, of_notices = queries(told.filter, store.sites())
    asked: list[tuple[FeedKind, ForwardQuery | None]] = [("record", of_records), ("alarm", of_alarms)]
    if told.shape != "push":  # no terminal pushes a notice
        asked.append(("notice", of_notices))
    for kind, query in asked:
        number = None if query is None else destinations.latest_event(query)
        row = None if number is None else store.forwarded_again(kind, [number]).get(number)
        if row is not None:
            return row
    return None


def _name(result: Result) -> Literal["delivered", "refused", "unreachable", "closed"]:
    if isinstance(result.outcome, Delivered):
        return "delivered"
    if isinstance(result.outcome, Closed):
        return "closed"
    return "refused" if isinstance(result.outcome, Refused) else "unreachable"


def _row(now: datetime, serial: str) -> RecordRow:
    person = PersonRow(
        identity_id=0,
        user_id="0",
        name="Test 测试",
        type=1,
        job_number="0",
        ic_number="",
        id_number="",
        remark="",
        guest_from=None,
        guest_until=None,
        groups=(),
    )
    return RecordRow(
        id=0,
        terminal_id=0,
        serial=serial,
        terminal_name="gatepost test",
        site_id=0,
        site="gatepost test",
        timezone="UTC",
        uuid=None,
        at=now,
        recorded_at=now,
        received_at=now,
        recognition_type=1,
        passed=True,
        entry_mode=1,
        abnormal_type=0,
        score=90.0,
        temperature=None,
        mask=None,
        mode=None,
        person=person,
        has_image=False,
        dialect=None,
        peer=None,
        problems=(),
        original=None,
    )
