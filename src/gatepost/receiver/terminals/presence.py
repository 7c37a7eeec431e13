"""Tell whether a terminal is there, by its own usual interval: one door has a passage a second, another one a day.

Terminals push when something happens and not otherwise, so silence is no proof; what is told here is how unusual
it is. Pure: ``now`` comes from the caller.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal

__all__ = ["Presence", "backlog_arriving", "last_heard", "presence"]

Presence = Literal["online", "late", "offline", "never"]
"""``late``: silent for longer than usual; ``offline``: for much longer; ``never``: nothing has ever come."""

LATE_AFTER = 3
OFFLINE_AFTER = 10
"""Usual intervals."""

LATE_FLOOR = timedelta(minutes=10)
OFFLINE_FLOOR = timedelta(hours=1)
"""However dense its events were: in a rush there is one a second, and a quarter of an hour later none."""

BACKLOG_FOR = timedelta(minutes=5)
"""How long after the last late event a backlog counts as arriving."""


def presence(last_seen: datetime | None, interval_ms: int | None, *, now: datetime) -> Presence:
    """Tell how a terminal fares by when it was last heard of and the usual time between its arrivals.

    A clock that went back, so that ``last_seen`` lies ahead, makes it online.
    """
    if last_seen is None:
        return "never"
    silent = now - last_seen
    usual = timedelta(milliseconds=interval_ms or 0)
    if silent <= max(LATE_FLOOR, usual * LATE_AFTER):
        return "online"
    return "late" if silent <= max(OFFLINE_FLOOR, usual * OFFLINE_AFTER) else "offline"


def last_heard(last_seen: datetime | None, heard_ms: int | None) -> datetime | None:
    """Return when a terminal last pushed: as it is listed, or later as the ingest says, in milliseconds."""
    if heard_ms is None:
        return last_seen
    heard = datetime.fromtimestamp(heard_ms / 1000, UTC)
    return heard if last_seen is None or heard > last_seen else last_seen


def backlog_arriving(late_at: datetime | None, *, now: datetime) -> bool:
    """Return whether old events are coming in at the moment: the terminal was away, and catches up.

    ``late_at``: when the last event arrived that had happened long before.
    """
    return late_at is not None and now - late_at <= BACKLOG_FOR
