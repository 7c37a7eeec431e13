"""The data of an event, as it is sent: a record as the API lists it, a step of an alarm, or a notice. Pure."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from gatepost.items import ProblemItem, RecordItem
from gatepost.store.as_items import record_item, step_item
from gatepost.store.interface import AlarmStepRow, Forwarded, Notice, NoticeKind, RecordRow

__all__ = ["AlarmData", "Data", "NoticeData", "data_of", "event_id"]


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
    """Something that happened to the installation itself, such as a terminal that fell silent."""

    id: int
    kind: NoticeKind
    subject: str
    """The id of a terminal or a destination, or the name of a machine or an account: the notice is about it."""
    terminal: str | None
    """The serial, where it is about a terminal."""
    terminal_id: int | None
    terminal_name: str | None
    site_id: int | None
    site: str | None
    timezone: str | None
    listed_at: datetime
    """When it was given."""
    detail: dict[str, str | float]
    """Numbers and names, such as ``silent_s``."""


Data = RecordItem | AlarmData | NoticeData


def event_id(row: Forwarded) -> str:
    """Return the id of an event, which never changes."""
    if isinstance(row, AlarmStepRow):
        return f"alarm-{row.step.id}"
    return f"record-{row.id}" if isinstance(row, RecordRow) else f"notice-{row.id}"


def data_of(row: Forwarded, person_id: str, image: str | None) -> Data:
    """Return the data of an event. ``image``: in base64, or a link to it."""
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
