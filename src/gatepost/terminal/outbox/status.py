"""Return the status of an outbox: the ledger, and other figures.

It is the same for an outbox with a writer and for that of a stopped terminal, which is only read.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from gatepost.journal.files import Files
from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.segments.segments import Segments
from gatepost.terminal.outbox.state.state import State
from gatepost.terminal.outbox.types import ALARMS, RECORDS, OutboxStatus

__all__ = ["EVENT_BYTES", "capacity_bytes", "free_bytes", "segment_bytes", "status_of"]

EVENT_BYTES = 31_000
"""Bytes of a record with an image of 30 KB, in a segment."""

_LARGEST, _SMALLEST = 4 * 1024 * 1024, 64 * 1024
_OF_CAPACITY = 16
"""A segment takes at most one part in 16 of the outbox's limit."""


def status_of(
    state: State,
    segments: Segments,
    *,
    settings: TerminalSettings,
    files: Files,
    now: float,
    shortened: int = 0,
    unsaved: int = 0,
    storage_error: str | None = None,
) -> OutboxStatus:
    """Return the status. Only a writer knows the last three values."""
    cursor = state.cursor
    first = cursor.first_waiting()
    facts = None if first is None else segments.facts(first)
    set_aside, set_aside_bytes = segments.aside.count()
    return OutboxStatus(
        accepted=cursor.taken,
        delivered=cursor.done,
        pending=len(cursor.waiting),
        dead=len(cursor.dead),
        dropped=cursor.dropped,
        oldest_pending_s=None if facts is None else max(0.0, now - facts.accepted_at),
        bytes=sum(state.waiting_bytes) + sum(state.dead_bytes),
        last_error=state.last_error,
        last_error_at=state.last_error_at,
        last_success_at=state.last_success_at,
        pending_records=cursor.count(RECORDS),
        pending_alarms=cursor.count(ALARMS),
        in_flight=len(cursor.in_flight),
        history=len(state.history),
        history_bytes=state.history_bytes,
        history_shortened=shortened,
        file_bytes=segments.size(),
        refused_full=state.refused_full,
        unsaved=unsaved,
        storage_error=storage_error,
        set_aside=set_aside,
        set_aside_bytes=set_aside_bytes,
        set_aside_gone=segments.aside.gone,
        drops=state.drops,
        capacity=settings.capacity,
        capacity_bytes=capacity_bytes(segments, settings, files),
        subscription=state.subscription,
    )


def capacity_bytes(segments: Segments, settings: TerminalSettings, files: Files) -> int:
    """Return how many bytes the outbox may have: the setting, and at most what the file system allows."""
    path = segments.folder.path
    spare = 2 * segment_bytes(path, settings, files)
    allowed = max(0, segments.size() + free_bytes(path, files) - spare)
    setting = settings.capacity_bytes
    return allowed if setting is None else min(setting, allowed)


def segment_bytes(path: Path, settings: TerminalSettings, files: Files) -> int:
    """Return the size at which a segment is closed."""
    whole = 0
    with contextlib.suppress(OSError):
        whole, _ = files.space(path)
    capacity = whole if settings.capacity_bytes is None else min(settings.capacity_bytes, whole)
    return max(_SMALLEST, min(_LARGEST, capacity // _OF_CAPACITY))


def free_bytes(path: Path, files: Files) -> int:
    """Return the free bytes of the disk for this user."""
    try:
        return files.space(path)[1]
    except OSError:
        return 0
