"""The values that go into an outbox and come out of it. All are frozen."""

import errno
from enum import StrEnum
from typing import Literal

import pybase64
from msgspec import Struct

from gatepost.errors import EncodeError
from gatepost.wire import Alarm, Record, Subscription, encode_parts

__all__ = [
    "ALARMS",
    "RECORDS",
    "State",
    "NewEvent",
    "Claimed",
    "Dropped",
    "OutboxStatus",
    "Stored",
    "HistoryPage",
    "HistoryQuery",
]

ALARMS = 0
"""The lane that goes first."""
RECORDS = 1

DAMAGE = (errno.EIO, getattr(errno, "EUCLEAN", errno.EIO), errno.EBADMSG)
"""Errors of a disk that does not return bytes. Other errors say nothing about the stored bytes."""

MOST_TEXT_BYTES = 60_000
"""Bytes of all texts by which an event is looked up. They are stored twice."""


class State(StrEnum):
    """The state of an event. Dropped events are gone, and only counted."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class NewEvent(Struct, frozen=True):
    """An event, encoded once: what is pushed a year later is what was recorded."""

    lane: int
    head: bytes
    tail: bytes
    image: bytes | None
    trace: str | None
    happened_at: int | None
    """Unix seconds, by the terminal's clock."""
    user_id: str
    job_number: str
    ic_number: str

    @classmethod
    def of(cls, event: Record | Alarm) -> "NewEvent":
        """Encode an event. Raises :class:`~gatepost.errors.EncodeError` if it cannot be sent."""
        head, tail = encode_parts(event)
        image = bytes(event.image) if event.image else None
        if isinstance(event, Alarm):
            at = event.event_time
            seconds = None if at is None else int(at.timestamp())
            _check_texts(trace_id=event.trace_id)
            return cls(ALARMS, head, tail, image, event.trace_id, seconds, "", "", "")
        user = event.user
        at = event.recorded_at
        if user:
            _check_texts(user_id=user.user_id, job_number=user.job_number, ic_number=user.ic_number)
        return cls(
            RECORDS,
            head,
            tail,
            image,
            None,
            None if at is None else int(at.timestamp()),
            (user.user_id or "") if user else "",
            (user.job_number or "") if user else "",
            (user.ic_number or "") if user else "",
        )

    @property
    def size(self) -> int:
        return len(self.head) + len(self.tail) + len(self.image or b"")


def _check_texts(**texts: str | None) -> None:
    sizes = {name: len((text or "").encode()) for name, text in texts.items()}
    if sum(sizes.values()) > MOST_TEXT_BYTES:
        longest = max(sizes, key=lambda name: sizes[name])
        raise EncodeError(
            f"data.{longest}" if longest == "trace_id" else f"data.user.{longest}",
            f"is too long ({sizes[longest]} bytes); shorten it, for {' and '.join(texts)} may have"
            f" {MOST_TEXT_BYTES} bytes in UTF-8 at most",
        )


class Claimed(Struct, frozen=True):
    """An event to push now. It stays in flight until it is settled or released."""

    id: int
    lane: int
    head: bytes
    image: bytes | None
    """The JPEG, raw."""
    tail: bytes
    attempts: int
    """Attempts, this one included."""
    refusals: int
    """Earlier refusals by the receiver."""
    delivered_since: int
    """Events of its kind that were delivered between its first refusal and this claim."""
    last_attempt_at: float | None
    """Unix seconds of the attempt before this one."""

    @property
    def body(self) -> bytes:
        """Return the push body, as the page has it."""
        return self.head + pybase64.b64encode(self.image or b"") + self.tail


class Stored(Struct, frozen=True):
    """An event in the outbox."""

    id: int
    state: State
    lane: int
    head: bytes
    image: bytes | None
    tail: bytes
    attempts: int
    refusals: int
    accepted_at: float
    """Unix seconds."""
    happened_at: int | None
    settled_at: float | None
    """Unix seconds at which it was delivered or became a dead letter; ``None`` while it waits."""
    reason: str
    """Why the last attempt failed."""

    @property
    def body(self) -> bytes:
        """Return the push body, as the page has it."""
        return self.head + pybase64.b64encode(self.image or b"") + self.tail


class HistoryQuery(Struct, frozen=True, kw_only=True):
    """A choice of the records in the history (``POST /v1/event/records``)."""

    since: int | None = None
    """Unix seconds, inclusive. The time at which the record happened."""
    until: int | None = None
    user_id: str | None = None
    job_number: str | None = None
    ic_number: str | None = None
    offset: int = 0
    limit: int = 100
    newest_first: bool = False


class HistoryPage(Struct, frozen=True):
    """Some records of the history, and the number of all that match."""

    total: int
    items: tuple[Stored, ...]


class Dropped(Struct, frozen=True):
    """A burst of dropped events."""

    reason: str
    """``capacity``, ``capacity_bytes``, ``disk`` (it was full), ``damaged`` (the bytes), ``dead-letters`` (too many of
    them) or ``discarded`` (by a person)."""
    lane: Literal["records", "alarms"]
    count: int
    first_id: int
    last_id: int
    """The events are between these two, inclusive. Not every number between them was dropped."""
    oldest_event_at: int | None
    """Unix seconds at which the oldest of them happened."""
    newest_event_at: int | None
    first_dropped_at: float
    """Unix seconds."""
    last_dropped_at: float


class OutboxStatus(Struct, frozen=True, kw_only=True):
    """The ledger and other figures at one moment.

    ``accepted = delivered + pending + dead + dropped``, always.
    """

    accepted: int
    delivered: int
    pending: int
    dead: int
    dropped: int
    oldest_pending_s: float | None
    """Seconds since the oldest waiting event was accepted."""
    bytes: int
    """Bytes of the push bodies that wait or are dead letters."""
    last_error: str | None
    """Why the last failed attempt failed. It stays after a success; ``last_error_at`` tells which is newer."""
    last_error_at: float | None
    last_success_at: float | None
    pending_records: int
    pending_alarms: int
    in_flight: int
    history: int
    """Delivered records that are kept."""
    history_bytes: int
    history_shortened: int
    """Delivered records that were forgotten early since the start, because the disk was full."""
    file_bytes: int
    """Bytes that the outbox takes on disk."""
    refused_full: int
    """Events that ``record()`` refused because the outbox was full. They were never accepted."""
    unsaved: int
    """Results that could not be written yet, because the disk is full or read-only."""
    storage_error: str | None
    """Why the disk takes no writes now; ``None`` while it does."""
    set_aside: int
    """Files with damaged bytes (``damaged-*``) that are kept for inspection."""
    set_aside_bytes: int
    set_aside_gone: int
    """Such files that were deleted since the start, because there were too many or the disk was full."""
    drops: tuple[Dropped, ...]
    capacity: int
    capacity_bytes: int
    """Bytes that may be stored: the setting, and at most what the file system allows now."""
    subscription: Subscription | None
