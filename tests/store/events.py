"""Arrivals to test with."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from gatepost import wire
from gatepost.errors import EncodeError
from gatepost.store.interface import Arrival, RefusalSample, RefusedPush, RefusedTimes

NOON = datetime(2024, 5, 6, 12, 0, tzinfo=UTC)
RECEIVED_MS = 1_714_996_800_000
"""Noon, too."""
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 100 + b"\xff\xd9"


def record(number: int = 1, **fields: Any) -> wire.Record:
    """The ``number``-th passage of person ``number % 5``, a second after the one before."""
    who = str(number % 5)
    values: dict[str, Any] = {
        "serial": "SN-1",
        "uuid": f"uuid-{number:06d}",
        "recorded_at": NOON + timedelta(seconds=number),
        "recognition_type": 1,
        "passed": True,
        "entry_mode": 1,
        "abnormal_type": 0,
        "score": 0.93,
        "temperature": 36.5,
        "mask": 1,
        "mode": 3,
        "user": wire.User(user_id=who, name=f"王{who}", type=1, job_number=f"J{who}"),
    }
    return wire.Record(**(values | fields))


def alarm(trace_id: str = "trace-0001", status: int | None = 1, **fields: Any) -> wire.Alarm:
    values: dict[str, Any] = {"code": 10001, "event_time": NOON + timedelta(seconds=status or 0)}
    return wire.Alarm(trace_id=trace_id, status=status, **(values | fields))


def unknown(number: int = 1) -> wire.Unknown:
    return wire.Unknown({"type": 7, "data": {"number": number}})


def arrival(event: wire.Event, terminal_id: int = 1, *, image: bytes | None = None, **fields: Any) -> Arrival:
    """Return an arrival whose event has its image still, for ``tests.packing``; its original has none, as is due."""
    if image is not None:
        assert not isinstance(event, wire.Unknown)
        event = replace(event, image=image)
    if isinstance(event, wire.Unknown):
        original = msgspec.json.encode(event.raw)
        key = wire.digest("h:" + original.decode())
    else:
        original = fields.pop("original", None) or _encoded(replace(event, image=None))
        key = fields.pop("key", None) or wire.key_digest(wire.key(event))
    values: dict[str, Any] = {
        "terminal_id": terminal_id,
        "key": key,
        "event": event,
        "received_at_ms": RECEIVED_MS,
        "original": original,
        "dialect": wire.Dialect.V1_3_0,
        "peer": "10.0.0.9",
    }
    return Arrival(**(values | fields))


def _encoded(event: wire.Record | wire.Alarm) -> bytes:
    try:
        return wire.encode(event)
    except EncodeError:  # as a terminal would never send it, which is what some tests are about
        return repr(event).encode()


def refused(
    path: str = "/Record",
    *,
    peer: str = "10.0.0.9",
    serial: str = "",
    reason: str = "no JSON",
    status: int = 400,
) -> RefusedPush:
    return RefusedPush(peer=peer, reason=reason, status=status, path=path, serial=serial)


def times(count: int = 1, at_ms: int = RECEIVED_MS, detail: str = "is no JSON") -> RefusedTimes:
    return RefusedTimes(count=count, first_at_ms=at_ms, last_at_ms=at_ms, detail=detail)


def sample(content: bytes = b'{"name":', at_ms: int = RECEIVED_MS, status: int = 400) -> RefusalSample:
    return RefusalSample(status=status, at_ms=at_ms, content=content)
