"""Write an event as a destination is sent it. Pure.

An event has the same id in every shape, on every attempt, and in a replay: ``record-17``, ``alarm-18``.

* ``cloudevents``: CloudEvents 1.0 in JSON. ``data`` is the record as the API lists it, or the step of the alarm.
* ``flat``: one level, for spreadsheets and low-code tools: the same names with underscores, no lists.
* ``push``: as the terminal sent it; there are no notices in it, with its image where the destination is sent images.

Their JSON Schemas: :mod:`gatepost.forward.shapes.schemas`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
import pybase64
from msgspec import Struct
from msgspec.structs import replace

from gatepost.forward.options.templates import place_of
from gatepost.items import ProblemItem, RecordItem
from gatepost.store.as_items import record_item, step_item
from gatepost.store.interface import (
    AlarmStepRow,
    Forwarded,
    Notice,
    NoticeKind,
    RecordRow,
    received_at,
)
from gatepost.wire import Unknown, decode
from gatepost.wire.decoding.decoder import with_image

__all__ = ["CONTENT_TYPES", "AlarmData", "CloudEvent", "Flat", "NoticeData", "Shaper", "event_id"]

CONTENT_TYPES: Mapping[str, str] = {
    "cloudevents": "application/cloudevents+json",
    "flat": "application/json",
    "push": "application/json",
}

_JSON = msgspec.json.Encoder()


class AlarmData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step of an alarm, as it was reported."""

    id: int
    alarm_id: int
    """Of the alarm that it is a step of, in the API."""
    terminal: str | None
    """The serial; ``null`` where the terminal never said it."""
    terminal_id: int
    terminal_name: str | None
    site_id: int
    site: str
    timezone: str
    trace_id: str
    status: int | None
    """1: it occurred, 2: it could not be cleared, 3: it was cleared."""
    code: int | None
    recorded_at: datetime | None
    """By the terminal's clock."""
    listed_at: datetime
    """When it happened: ``recorded_at``, or ``received_at`` where that is missing or over a day in the future."""
    received_at: datetime
    description: str | None
    user_id: str | None
    problems: list[ProblemItem]
    image: str | None = None
    """In base64, or a link to it."""


class NoticeData(Struct, frozen=True, kw_only=True):
    """Tell what happened to the installation itself, such as that a terminal fell silent."""

    id: int
    kind: NoticeKind
    subject: str
    """Of what it tells: the id of a terminal or a destination, the name of a machine, of an account."""
    terminal: str | None
    """The serial, where it is about a terminal."""
    terminal_id: int | None
    terminal_name: str | None
    site_id: int | None
    site: str | None
    timezone: str | None
    listed_at: datetime
    """When it was told."""
    detail: dict[str, str | float]
    """Numbers and names, such as ``silent_s``."""


Data = RecordItem | AlarmData | NoticeData


EventType = Literal["gatepost.record", "gatepost.alarm", "gatepost.notice", "gatepost.test"]


class CloudEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """CloudEvents 1.0, JSON event format, section 3."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: EventType
    subject: str
    """The serial of the terminal, or ``terminal-`` and its id; of a notice about none, what it is about."""
    time: datetime
    """When it happened."""
    datacontenttype: Literal["application/json"]
    data: Data
    replay: bool = False
    """It was sent before, or could have been: a person asked for the events of a span."""


_TYPES: Mapping[type, EventType] = {
    RecordRow: "gatepost.record",
    AlarmStepRow: "gatepost.alarm",
    Notice: "gatepost.notice",
}


class Flat(Struct, frozen=True, kw_only=True):
    """An event on one level. What does not apply to its kind is ``null``."""

    id: str
    event: Literal["record", "alarm", "notice", "test"]
    replay: bool
    time: datetime
    received_at: datetime
    timezone: str | None
    terminal: str | None
    terminal_id: int | None
    terminal_name: str | None
    site: str | None
    site_id: int | None
    uuid: str | None = None
    person_id: str | None = None
    user_id: str | None = None
    name: str | None = None
    job_number: str | None = None
    ic_number: str | None = None
    id_number: str | None = None
    person_type: int | None = None
    groups: str | None = None
    """Their names, with commas between."""
    passed: bool | None = None
    recognition_type: int | None = None
    entry_mode: int | None = None
    abnormal_type: int | None = None
    score: float | None = None
    temperature: float | None = None
    mask: int | None = None
    backfilled: bool = False
    """It was fetched from the terminal's history."""
    alarm_id: int | None = None
    trace_id: str | None = None
    alarm_code: int | None = None
    alarm_status: int | None = None
    description: str | None = None
    notice: str | None = None
    """Its kind."""
    notice_subject: str | None = None
    notice_detail: str | None = None
    """JSON."""
    image: str | None = None
    """In base64, or a link to it."""
    problems: str | None = None


def event_id(row: Forwarded) -> str:
    """Return the id of an event, which never changes."""
    if isinstance(row, AlarmStepRow):
        return f"alarm-{row.step.id}"
    return f"record-{row.id}" if isinstance(row, RecordRow) else f"notice-{row.id}"


class Shaper:
    """Writes events in the shape of one destination."""

    def __init__(self, shape: Literal["cloudevents", "flat", "push"], source: str) -> None:
        """``source``: which receiver it is, as a URI: the same for every process on its database."""
        self._shape = shape
        self._source = source
        self.content_type = CONTENT_TYPES[shape]

    def body(
        self,
        row: Forwarded,
        *,
        person_id: str = "",
        image: bytes | None = None,
        link: str | None = None,
        original: bytes | None = None,
        is_replay: bool = False,
    ) -> bytes:
        """Return an event as bytes. ``original``: the whole of it, for the shape ``push``.

        ``image``, ``link``: only where the destination is sent images, or links to them.
        """
        if self._shape == "push":
            return _pushed(original or b"", image)
        data = _data(row, person_id, link if image is None else _base64(image))
        if self._shape == "flat":
            return _JSON.encode(_flat(row, data, is_replay=is_replay))
        return _JSON.encode(self._cloud_event(row, data, is_replay=is_replay))

    def _cloud_event(self, row: Forwarded, data: Data, *, is_replay: bool) -> CloudEvent:
        return CloudEvent(
            specversion="1.0",
            id=event_id(row),
            source=self._source,
            type=_TYPES[type(row)],
            subject=place_of(row),
            time=data.listed_at,
            datacontenttype="application/json",
            data=data,
            replay=is_replay,
        )


def _data(row: Forwarded, person_id: str, image: str | None) -> Data:
    if isinstance(row, Notice):
        return _notice_data(row)
    if isinstance(row, RecordRow):
        return record_item(row, person_id, image=image)
    step = step_item(row.step, image=image)
    return AlarmData(
        id=step.id,
        alarm_id=row.alarm_id,
        terminal=row.serial,
        terminal_id=row.terminal_id,
        terminal_name=row.terminal_name,
        site_id=row.site_id,
        site=row.site,
        timezone=row.timezone,
        trace_id=row.trace_id,
        status=step.status,
        code=step.code,
        recorded_at=step.at,
        listed_at=step.listed_at,
        received_at=step.received_at,
        description=step.description,
        user_id=step.user_id,
        problems=step.problems,
        image=step.image,
    )


def _notice_data(row: Notice) -> NoticeData:
    return NoticeData(
        id=row.id,
        kind=row.kind,
        subject=row.subject,
        terminal=row.serial,
        terminal_id=row.terminal_id,
        terminal_name=row.terminal_name,
        site_id=row.site_id,
        site=row.site,
        timezone=row.timezone,
        listed_at=row.at,
        detail=dict(row.detail),
    )


def _flat(row: Forwarded, data: Data, *, is_replay: bool) -> Flat:
    place: dict[str, Any] = {
        "id": event_id(row),
        "replay": is_replay,
        "time": data.listed_at,
        "received_at": received_at(row),
        "timezone": data.timezone,
        "terminal": data.terminal,
        "terminal_id": data.terminal_id,
        "terminal_name": data.terminal_name,
        "site": data.site,
        "site_id": data.site_id,
    }
    if isinstance(data, NoticeData):
        return Flat(
            **place,
            event="notice",
            notice=data.kind,
            notice_subject=data.subject,
            notice_detail=_JSON.encode(data.detail).decode(),
        )
    problems = "; ".join(f"{one.where}: {one.why}" for one in data.problems) or None
    place |= {"image": data.image, "problems": problems}
    if isinstance(data, AlarmData):
        return Flat(
            **place,
            event="alarm",
            user_id=data.user_id,
            alarm_id=data.alarm_id,
            trace_id=data.trace_id,
            alarm_code=data.code,
            alarm_status=data.status,
            description=data.description,
        )
    person = data.person
    who: dict[str, Any] = {}
    if person is not None:
        names = [str(group.get("name", "")) for group in person.groups]
        who = {
            "person_id": person.id,
            "user_id": person.user_id,
            "name": person.name,
            "job_number": person.job_number,
            "ic_number": person.ic_number,
            "id_number": person.id_number,
            "person_type": person.type,
            "groups": ", ".join(filter(None, names)) or None,
        }
    return Flat(
        **place,
        event="record",
        uuid=data.uuid,
        **who,
        passed=data.passed,
        recognition_type=data.recognition_type,
        entry_mode=data.entry_mode,
        abnormal_type=data.abnormal_type,
        score=data.score,
        temperature=data.temperature,
        mask=data.mask,
        backfilled=data.backfilled,
    )


def _pushed(original: bytes, image: bytes | None) -> bytes:
    if image is None:
        return original
    event = decode(original, lenient=True).event
    return original if isinstance(event, Unknown) else with_image(original, replace(event, image=image))


def _base64(image: bytes) -> str:
    return pybase64.b64encode(image).decode()
