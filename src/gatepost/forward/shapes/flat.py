"""The shape ``flat``: an event on one level, for spreadsheets and low-code tools. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gatepost.forward.shapes.data import AlarmData, Data, NoticeData, event_id
from gatepost.items import PersonItem, RecordItem
from gatepost.store.interface import Forwarded, received_at

__all__ = ["Flat", "flat"]

_JSON = msgspec.json.Encoder()
_Fields = dict[str, Any]


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
    mode: int | None = None
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


def flat(row: Forwarded, data: Data, *, is_replay: bool) -> Flat:
    """Return an event on one level."""
    place: _Fields = {
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
        return Flat(**place, **_notice(data))
    problems = "; ".join(f"{one.where}: {one.why}" for one in data.problems) or None
    fields = _alarm(data) if isinstance(data, AlarmData) else _record(data)
    return Flat(**place, image=data.image, problems=problems, **fields)


def _notice(data: NoticeData) -> _Fields:
    return {
        "event": "notice",
        "notice": data.kind,
        "notice_subject": data.subject,
        "notice_detail": _JSON.encode(data.detail).decode(),
    }


def _alarm(data: AlarmData) -> _Fields:
    return {
        "event": "alarm",
        "user_id": data.user_id,
        "alarm_id": data.alarm_id,
        "trace_id": data.trace_id,
        "alarm_code": data.code,
        "alarm_status": data.status,
        "description": data.description,
    }


def _record(data: RecordItem) -> _Fields:
    return {
        "event": "record",
        "uuid": data.uuid,
        "passed": data.passed,
        "recognition_type": data.recognition_type,
        "entry_mode": data.entry_mode,
        "abnormal_type": data.abnormal_type,
        "score": data.score,
        "temperature": data.temperature,
        "mask": data.mask,
        "mode": data.mode,
        "backfilled": data.backfilled,
        **({} if data.person is None else _person(data.person)),
    }


def _person(person: PersonItem) -> _Fields:
    names = [str(group.get("name", "")) for group in person.groups]
    return {
        "person_id": person.id,
        "user_id": person.user_id,
        "name": person.name,
        "job_number": person.job_number,
        "ic_number": person.ic_number,
        "id_number": person.id_number,
        "person_type": person.type,
        "groups": ", ".join(filter(None, names)) or None,
    }
