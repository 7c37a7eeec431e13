"""Hold what lists are asked for: filters, order, page. ``None`` does not filter."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

__all__ = [
    "RecordQuery",
    "QuarantineQuery",
    "AlarmQuery",
    "StepQuery",
]


class RecordQuery(Struct, frozen=True, kw_only=True):
    """Which records, in which order. ``None`` does not filter."""

    since: datetime | None = None
    """At or after; by when it happened."""
    until: datetime | None = None
    """Before."""
    terminal: str | int | None = None
    """An id as a number, or what :func:`gatepost.store.terminals.terminal_labels.terminals_named` reads."""
    without_serial: bool = False
    """Only events of terminals of which no serial is known."""
    site_id: int | None = None
    person: str | None = None
    """A ``user_id``."""
    name: str | None = None
    """Contained in the name; this and the next, and ``q``, as :mod:`gatepost.store.fold` compares text."""
    job_number: str | None = None
    recognition_type: int | None = None
    passed: bool | None = None
    abnormal_type: int | None = None
    entry_mode: int | None = None
    has_image: bool | None = None
    q: str | None = None
    """Contained in the name or any of the numbers."""
    strangers: bool = False
    """Only records without a person, of faces that the terminal did not know."""
    outside_time: bool = False
    """Only those of visitors before or after their time, or whom a terminal refused for it."""
    order: Literal["newest", "oldest", "received"] = "newest"
    """``received``: by arrival; a cursor of this order continues with what arrives later, without a gap."""
    limit: int = 100
    cursor: str | None = None
    include_held: bool = False


class AlarmQuery(Struct, frozen=True, kw_only=True):
    """Which alarms, newest first."""

    state: Literal["open", "clear_failed", "cleared"] | None = None
    """``open``: not cleared, ``clear_failed`` among them."""
    terminal: str | int | None = None
    without_serial: bool = False
    site_id: int | None = None
    code: int | None = None
    """The kind that is shown: ``AlarmCode``."""
    acknowledged: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    up_to: int | None = None
    """Ids up to this one: those that there were when a person was asked."""
    limit: int = 100
    cursor: str | None = None
    include_held: bool = False


class StepQuery(Struct, frozen=True, kw_only=True):
    """Which steps of alarms."""

    terminal: str | int | None = None
    without_serial: bool = False
    site_id: int | None = None
    code: int | None = None
    state: Literal["open", "clear_failed", "cleared"] | None = None
    """What the step reported: that the alarm occurred, could not be cleared, was cleared."""


class QuarantineQuery(Struct, frozen=True, kw_only=True):
    """Which pushes of the quarantine, newest first."""

    terminal: str | int | None = None
    without_serial: bool = False
    site_id: int | None = None
    limit: int = 100
    cursor: str | None = None
