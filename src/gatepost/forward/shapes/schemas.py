"""Describe what destinations are sent as JSON Schemas, one for each shape and for batches of it.

Those of ``cloudevents`` and ``flat`` are made from the structs that are written. What a terminal pushes is described as
the protocol's page has it: every field may be missing, and further ones are passed on.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from gatepost.forward.shapes.data import AlarmData, NoticeData
from gatepost.forward.shapes.flat import Flat
from gatepost.forward.shapes.shape import CloudEvent
from gatepost.items import RecordItem

__all__ = ["schemas"]


class RecordEvent(CloudEvent, frozen=True, kw_only=True, omit_defaults=True):
    """A record, or what was made up to test a destination."""

    type: Literal["gatepost.record", "gatepost.test"]
    data: RecordItem


class AlarmEvent(CloudEvent, frozen=True, kw_only=True, omit_defaults=True):
    """A step of an alarm."""

    type: Literal["gatepost.alarm"]
    data: AlarmData


class NoticeEvent(CloudEvent, frozen=True, kw_only=True, omit_defaults=True):
    """A notice."""

    type: Literal["gatepost.notice"]
    data: NoticeData


class PushedGroup(Struct, frozen=True, kw_only=True):
    """A group that a person belongs to."""

    id: str | None = None
    name: str | None = None


class PushedUser(Struct, frozen=True, kw_only=True):
    """A person, as the terminal knows them. The PIN is passed on to no destination."""

    name: str | None = None
    user_id: str | None = None
    type: int | None = None
    ic_number: str | None = None
    job_number: str | None = None
    id_number: str | None = None
    guest_time_start: int | None = None
    """Unix milliseconds."""
    guest_time_end: int | None = None
    """Unix milliseconds."""
    remark: str | None = None
    groups: list[PushedGroup] | None = None


class PushedRecord(Struct, frozen=True, kw_only=True):
    """A record, by the names of the protocol."""

    serial: str | None = msgspec.field(name="deviceSN", default=None)
    recognition_type: int | None = msgspec.field(name="recognitionType", default=None)
    uuid: str | None = None
    score: float | None = msgspec.field(name="recognizeScore", default=None)
    mask: int | None = None
    mode: int | None = None
    rgb_image: str | None = None
    """In base64; empty where the destination is sent no images."""
    passed: bool | None = msgspec.field(name="pass", default=None)
    timestamp: int | None = None
    """Unix seconds, by the terminal's clock."""
    temperature: float | None = msgspec.field(name="bodyTemperature", default=None)
    entry_mode: int | None = None
    abnormal_type: int | None = None
    user: PushedUser | None = None


class PushedAlarm(Struct, frozen=True, kw_only=True):
    """A step of an alarm, by the names of the protocol."""

    serial: str | None = msgspec.field(name="deviceSN", default=None)
    """Of the terminal, from firmware or a gateway that adds it."""
    trace_id: str
    description: str | None = None
    code: int | None = None
    user_id: int | str | None = None
    event_time: int | None = None
    """Unix milliseconds."""
    status: int | None = None
    """1: it occurred, 2: it could not be cleared, 3: it was cleared."""
    alarm_photo: str | None = None
    """In base64; empty where the destination is sent no images."""


class PushedRecordEvent(Struct, frozen=True, kw_only=True):
    """Hold what a terminal pushes of a record."""

    type: Literal[0]
    data: PushedRecord


class PushedAlarmEvent(Struct, frozen=True, kw_only=True):
    """Hold what a terminal pushes of an alarm."""

    type: Literal[1]
    data: PushedAlarm


class PushedTest(Struct, frozen=True, kw_only=True):
    """Hold what was made up to test a destination."""

    type: Literal["gatepost.test"]
    data: PushedRecord


def schemas() -> dict[str, Any]:
    """Return the JSON Schemas of the shapes, by name; those of batches end in ``_batch``."""
    cloud = _schema(RecordEvent, AlarmEvent, NoticeEvent)
    flat = _schema(Flat)
    return {
        "cloudevents": cloud,
        "cloudevents_batch": _batch(cloud),
        "flat": flat,
        "flat_batch": _batch(flat),
        "push": _schema(PushedRecordEvent, PushedAlarmEvent, PushedTest),
    }


def _schema(*kinds: type[Struct]) -> dict[str, Any]:
    made, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **(made[0] if len(made) == 1 else {"oneOf": list(made)}),
        "$defs": components,
    }


def _batch(one: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of several events that are sent together."""
    head = {name: one[name] for name in ("$schema", "$defs")}
    items = {name: value for name, value in one.items() if name not in head}
    return {**head, "type": "array", "minItems": 1, "items": items}
