"""Define what the API says of destinations, and of what became of the events for them."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

__all__ = [
    "DestinationState",
    "LedgerItem",
    "DestinationItem",
    "ReplayItem",
    "DestinationDetail",
    "AttemptItem",
    "DeadLetterItem",
    "TrialItem",
    "PreviewItem",
    "RotatedItem",
    "DoneItem",
]

DestinationState = Literal["running", "waiting", "paused", "closed", "broken", "finished"]
"""``waiting``: it cannot be reached; ``closed``: it said that it wants no more; ``broken``: its settings cannot be
used; ``finished``: of a replay."""


class LedgerItem(Struct, frozen=True, kw_only=True):
    """Count what became of the events that a destination is to be sent: ``seen`` is the sum of the next five."""

    seen: int
    filtered: int
    """Left out by its filter, or by its rules."""
    delivered: int
    waiting: int
    """Not settled; what the filter leaves out is among it until it is read."""
    dead: int
    """Dead letters: refused for good, until a person retries or drops them."""
    dropped: int
    dropped_why: dict[str, int]
    """How many of them for which reason."""
    left_out_why: dict[str, int]
    """How many of the filtered its rules left out, of which rule and for which reason."""
    attempts: int
    """How many were begun, in all."""
    lag_s: float | None
    """How long ago the oldest event was received that waits; ``null``: none waits."""
    state: DestinationState
    next_attempt_at: datetime | None
    """Of a destination that cannot be reached, where it is known."""
    last_error: str | None
    """Why the last attempt failed that did, or why nothing is sent."""
    last_error_at: datetime | None
    last_delivered_at: datetime | None


class DestinationItem(LedgerItem, frozen=True, kw_only=True):
    """A destination of forwarding, with its ledger. Further fields are options of its kind."""

    id: int
    name: str
    kind: str
    url: str
    filter: dict[str, Any]
    shape: str
    order: str
    images: str
    enabled: bool
    created_at: datetime
    version: str = ""
    """Of what is set here, secrets apart: a change with it as ``If-Match`` is refused where another one came first."""
    secrets_set: list[str]
    """Which secrets it has; none is shown again."""
    secret: str | None = None
    """Where one was made just now: the signing secret, told this once."""


class ReplayItem(LedgerItem, frozen=True, kw_only=True):
    """Show a span of events that is sent once more, next to what arrives."""

    id: int
    """Where destinations are addressed by their ids, a replay is too: to pause, resume or delete it."""
    created_at: datetime
    filter: dict[str, Any]
    rate: float | None
    """Events a second, at most; ``null``: as fast as it goes."""


class DestinationDetail(DestinationItem, frozen=True, kw_only=True):
    """A destination with its replays, the latest first."""

    replays: list[ReplayItem]


class AttemptItem(Struct, frozen=True, kw_only=True):
    """An attempt to send."""

    at: datetime
    took_ms: int
    event: int
    """The id of the event, the first one where several were sent together."""
    events: int
    outcome: Literal["delivered", "refused", "unreachable", "closed"]
    status: str
    """Such as ``HTTP 503``; empty where there was none."""
    reply: str


class DeadLetterItem(Struct, frozen=True, kw_only=True):
    """An event that a destination refused for good."""

    event: int
    """Its id, for ``retry`` and ``drop``."""
    kind: Literal["record", "alarm", "notice"]
    """``alarm``: a step of one."""
    terminal_id: int
    received_at: datetime
    dead_at: datetime | None
    attempts: int
    refusals: int
    reason: str


class TrialItem(Struct, frozen=True, kw_only=True):
    """Show what came of a test event."""

    outcome: Literal["delivered", "refused", "unreachable", "closed"]
    status: str
    took_ms: int
    reply: str


class PreviewItem(Struct, frozen=True, kw_only=True):
    """Show the latest event that a filter chooses, as it would be sent, without its image; ``null``: there is none."""

    id: str | None
    content_type: str | None
    body: str | None


class RotatedItem(Struct, frozen=True, kw_only=True):
    """Show the new secret where it was made here; it is not told again."""

    secret: str | None


class DoneItem(Struct, frozen=True, kw_only=True):
    """Count the dead letters that were retried or dropped."""

    events: int
