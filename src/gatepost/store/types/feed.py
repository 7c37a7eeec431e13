"""Hold what is read of the feed, and what may be passed on: frozen values."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, get_args

from msgspec import Struct

from gatepost.store.types.events import AlarmStepRow, RecordRow
from gatepost.store.types.queries import RecordQuery, StepQuery

__all__ = [
    "FEED_KINDS",
    "FORWARD_KINDS",
    "ForwardQuery",
    "received_at",
    "happened_at",
    "Forwarded",
    "Notice",
    "NOTICE_KINDS",
    "NoticeKind",
    "NoticeQuery",
    "FeedItem",
    "FeedKind",
    "FeedPage",
    "ToForward",
]

FeedKind = Literal["record", "alarm", "notice"]

FEED_KINDS: tuple[FeedKind, ...] = ("record", "alarm")
"""What terminals send."""

FORWARD_KINDS: tuple[FeedKind, ...] = ("record", "alarm", "notice")
"""What may be passed on."""

NoticeKind = Literal[
    "terminal.new",
    "terminal.offline",
    "terminal.back",
    "terminal.clock_wrong",
    "terminal.clock_right",
    "terminal.contested",
    "terminal.ours",
    "terminal.stopped",
    "terminal.managed",
    "terminal.backfilled",
    "journal.behind",
    "journal.caught_up",
    "disk.low",
    "disk.enough",
    "login.locked",
    "login.unlocked",
    "destination.closed",
    "destination.resumed",
    "destination.broken",
    "destination.repaired",
]

NOTICE_KINDS: tuple[NoticeKind, ...] = get_args(NoticeKind)


class Notice(Struct, frozen=True, kw_only=True):
    """Tell what happened to the installation itself."""

    id: int
    """Of the one sequence of everything that arrives."""
    at: datetime
    kind: NoticeKind
    subject: str
    """Of what it tells: the id of a terminal or a destination, the name of a machine, of an account."""
    terminal_id: int | None
    serial: str | None
    terminal_name: str | None
    site_id: int | None
    site: str | None
    timezone: str | None
    detail: Mapping[str, Any]


class NoticeQuery(Struct, frozen=True, kw_only=True):
    """Which notices."""

    kinds: tuple[NoticeKind, ...] = ()


class FeedItem(Struct, frozen=True):
    """Something that arrived: a record, or a step of an alarm; or a notice."""

    id: int
    """The record's, the step's, the notice's."""
    kind: FeedKind
    event_id: int
    """The record's id, or the notice's; the alarm's, of which this is a step as far as is known now."""
    terminal_id: int
    """0 for a notice of no terminal."""
    is_held: bool
    """The terminal is held: nothing of it is shown or passed on until it is approved."""


class FeedPage(Struct, frozen=True):
    """A page of the feed, as it is at one moment."""

    items: tuple[FeedItem, ...]
    """Those that are there, by id."""
    place: int
    """Up to where that is; to go on from."""
    deleted: Mapping[FeedKind, int]
    """How many there were besides, which retention has deleted; no zeros."""


Forwarded = RecordRow | AlarmStepRow | Notice
"""What may be passed on: a record, a step of an alarm, a notice."""

ForwardQuery = RecordQuery | StepQuery | NoticeQuery


def received_at(row: Forwarded) -> datetime:
    """Return when an event was received; of a notice, when it was told."""
    if isinstance(row, Notice):
        return row.at
    return row.received_at if isinstance(row, RecordRow) else row.step.received_at


def happened_at(row: Forwarded) -> datetime:
    """Return when an event happened: never later than it was received, whatever the terminal's clock said."""
    if isinstance(row, Notice):
        return row.at
    at, received = (
        (row.at, row.received_at)
        if isinstance(row, RecordRow)
        else (row.step.listed_at, row.step.received_at)
    )
    return min(at, received)


class ToForward(Struct, frozen=True):
    """A page of one kind of the feed, with the events that a filter chooses."""

    items: tuple[FeedItem, ...]
    chosen: Mapping[int, Forwarded]
    """Those of them that fit, by id; held terminals' are left out."""
    place: int
    """Up to where that is."""
    deleted: tuple[tuple[int, int], ...] = ()
    """What retention has deleted: up to which place how many, between that item and the one before it."""
