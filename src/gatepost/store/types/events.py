"""Hold records and alarms as they are stored."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from gatepost.wire import Problem

__all__ = ["PersonRow", "RecordRow", "AlarmStep", "AlarmStepRow", "AlarmRow"]


class PersonRow(Struct, frozen=True, kw_only=True):
    """Whom a record is about, as the terminal knew them then."""

    identity_id: int
    user_id: str
    name: str
    type: int | None
    job_number: str
    ic_number: str
    id_number: str
    remark: str
    guest_from: datetime | None
    guest_until: datetime | None
    groups: tuple[dict[str, Any], ...]


class RecordRow(Struct, frozen=True, kw_only=True):
    """A stored passage."""

    id: int
    terminal_id: int
    serial: str | None
    terminal_name: str | None
    site_id: int
    site: str
    timezone: str
    """The terminal's own, or else its site's."""
    uuid: str | None
    at: datetime
    """When it happened; the time of receipt where the terminal's is missing or lies in the future."""
    recorded_at: datetime | None
    received_at: datetime
    recognition_type: int | None
    passed: bool | None
    entry_mode: int | None
    abnormal_type: int | None
    score: float | None
    temperature: float | None
    mask: int | None
    mode: int | None
    person: PersonRow | None
    has_image: bool
    dialect: str | None
    peer: str | None
    problems: tuple[Problem, ...]
    original: bytes | None
    backfilled: bool = False
    """It was fetched from the terminal's history."""


class AlarmStep(Struct, frozen=True, kw_only=True):
    """One report of an alarm: it occurred, it could not be cleared, it was cleared."""

    id: int
    status: int | None
    code: int | None
    at: datetime | None
    """By the terminal's clock."""
    listed_at: datetime
    """When it happened; the time of receipt where the terminal's is missing or lies in the future."""
    received_at: datetime
    description: str | None
    user_id: str | None
    has_image: bool
    problems: tuple[Problem, ...]
    original: bytes | None


class AlarmStepRow(Struct, frozen=True, kw_only=True):
    """A step of an alarm with where it is from, to be told by itself."""

    alarm_id: int
    terminal_id: int
    serial: str | None
    terminal_name: str | None
    site_id: int
    site: str
    timezone: str
    trace_id: str
    step: AlarmStep


class AlarmRow(Struct, frozen=True, kw_only=True):
    """An occurrence of an alarm, joined from steps of one ``trace_id`` in whatever order they arrived."""

    id: int
    terminal_id: int
    serial: str | None
    terminal_name: str | None
    site_id: int
    site: str
    timezone: str
    """The terminal's own, or else its site's."""
    trace_id: str
    code: int | None
    state: Literal["open", "clear_failed", "cleared"]
    """``clear_failed`` is open, too. ``cleared``: by its terminal or, where ``closed_at`` is set, by an operator."""
    first_at: datetime
    last_at: datetime
    history: tuple[AlarmStep, ...]
    """By the time that each step happened."""
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None
    closed_at: datetime | None
    """When an operator closed it, because no terminal cleared it."""
    closed_by: str | None
    closed_note: str | None
