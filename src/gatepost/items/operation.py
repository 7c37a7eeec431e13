"""Define what the API says of the receiver itself: its counts, and the pushes that it refused."""

from datetime import datetime

from msgspec import Struct

__all__ = ["JournalItem", "StatsItem", "RefusalItem", "SampleItem"]


class JournalItem(Struct, frozen=True, kw_only=True):
    """Events that this receiver has acknowledged and does not list yet."""

    events: int
    """0: everything that was acknowledged before is listed."""
    bytes: int
    oldest_s: float
    """How long the oldest of them waits, in seconds."""


class StatsItem(Struct, frozen=True, kw_only=True):
    """Counts of the store, over all time and all processes; ``process`` is of this one, since its start."""

    records: int
    alarms: int
    open_alarms: int
    """Alarms that are not cleared."""
    unacknowledged_alarms: int
    """Open alarms that are not acknowledged."""
    duplicates: int
    quarantined: int
    refused: int
    terminals: int
    refusals: dict[str, int]
    journal: JournalItem
    process: dict[str, int]


class RefusalItem(Struct, frozen=True, kw_only=True):
    """Pushes of one peer that were refused alike."""

    peer: str
    """The address that they came from, behind any trusted proxy."""
    status: int
    """The HTTP status of the reply."""
    reason: str
    """The short name under which refusals are counted, such as ``no JSON``."""
    detail: str
    """The message of the last reply."""
    path: str
    """Of a token in it, the first four characters. Empty where no head could be read."""
    serial: str | None
    """As the push said."""
    count: int
    first_at: datetime
    last_at: datetime
    sample: int | None
    """Ask for ``/api/v1/refusals/samples/ID`` to see the beginning of such a body."""


class SampleItem(Struct, frozen=True, kw_only=True):
    """The beginning of a refused body, without pins, tokens and pictures."""

    id: int
    peer: str
    status: int
    reason: str
    at: datetime
    content: str
