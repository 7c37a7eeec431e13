"""Define what the API says of records and alarms."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

__all__ = ["ProblemItem", "PersonItem", "RecordItem", "StepItem", "AlarmItem", "AcknowledgedItem"]


class ProblemItem(Struct, frozen=True):
    """Name what was wrong with an event that was stored all the same."""

    where: str
    why: str


class PersonItem(Struct, frozen=True, kw_only=True):
    """Whom a record is about, as the terminal knew them then."""

    id: str
    """Of the person, for ``/api/v1/people/ID``; the same in all their records."""
    user_id: str
    name: str
    type: int | None
    job_number: str
    ic_number: str
    id_number: str
    remark: str
    guest_from: datetime | None
    guest_until: datetime | None
    groups: list[dict[str, Any]]


class RecordItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A passage, or an attempt at one. Codes are those of the protocol page."""

    id: int
    terminal: str | None
    """The serial; ``null`` where the terminal never said it."""
    terminal_id: int
    terminal_name: str | None
    site_id: int
    site: str
    timezone: str
    """Of the terminal: where the event happened."""
    uuid: str | None
    recorded_at: datetime | None
    """By the terminal's clock."""
    listed_at: datetime
    """When it happened: ``recorded_at``, or ``received_at`` where that is missing or over a day in the future."""
    received_at: datetime
    recognition_type: int | None
    passed: bool | None
    entry_mode: int | None
    abnormal_type: int | None
    score: float | None
    temperature: float | None
    mask: int | None
    mode: int | None
    person: PersonItem | None
    image: str | None
    """Path of the image in the API; the image is a JPEG, PNG, WebP or BMP."""
    dialect: str | None
    backfilled: bool
    """It was fetched from the terminal's history, with the person as the terminal knew them at that time."""
    problems: list[ProblemItem]
    original: str | None = None
    """The JSON as it was pushed, without image and pin; only with ``include=original``."""


class StepItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One report in the life of an alarm."""

    id: int
    status: int | None
    code: int | None
    at: datetime | None
    """By the terminal's clock."""
    listed_at: datetime
    """When it happened: ``at``, or ``received_at`` where that is missing or over a day in the future."""
    received_at: datetime
    description: str | None
    user_id: str | None
    image: str | None
    problems: list[ProblemItem]
    original: str | None = None
    """The JSON as it was pushed, without image and pin; only with ``include=original``."""


class AlarmItem(Struct, frozen=True, kw_only=True):
    """An occurrence of an alarm, from when it was raised to when it was cleared.

    A terminal may use a ``trace_id`` again: each occurrence is an alarm with an ``id`` of its own.
    """

    id: int
    terminal: str | None
    terminal_id: int
    terminal_name: str | None
    site_id: int
    site: str
    timezone: str
    """Of the terminal: where the event happened."""
    trace_id: str
    code: int | None
    state: Literal["open", "clear_failed", "cleared"]
    """An alarm is open until it is ``cleared``: ``clear_failed`` is open, too."""
    first_at: datetime
    last_at: datetime
    history: list[StepItem]
    acknowledged: bool
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None
    closed_at: datetime | None = None
    """When an operator closed it, because its terminal did not clear it; ``null``: no operator did."""
    closed_by: str | None = None
    closed_note: str | None = None


class AcknowledgedItem(Struct, frozen=True, kw_only=True):
    """Count the alarms that were acknowledged at once, or would be."""

    alarms: int
    up_to: int | None = None
    """Of a check: the alarm up to which it counted. Send it to acknowledge these and none that arrive later."""
