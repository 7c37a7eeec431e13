"""Receivers of one database that are silent: events that they acknowledged may wait in their journals."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from gatepost.store.types.terminals import ReceiverRow

__all__ = ["SILENT_AFTER", "silent"]

SILENT_AFTER = timedelta(seconds=30)
"""A receiver says every five seconds that it is there. One that stops with all of its events listed is forgotten."""


def silent(receivers: Iterable[ReceiverRow], *, now: datetime) -> list[ReceiverRow]:
    """Return those of which nothing was heard for a while, the longest silent first."""
    found = [row for row in receivers if now - row.seen_at > SILENT_AFTER]
    return sorted(found, key=lambda row: row.seen_at)
