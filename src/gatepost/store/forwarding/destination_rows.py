"""Define what is kept of destinations of forwarding, as values, and read it from rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, select

from gatepost.store.conversion.values import moment
from gatepost.store.interface import FeedKind
from gatepost.store.schema import tables as t
from gatepost.store.versions import version_of

__all__ = [
    "NEW_COUNTS",
    "AsideRow",
    "AttemptRow",
    "DestinationRow",
    "ExceptionRow",
    "Ledger",
    "Loaded",
    "PlaceRow",
    "Recount",
    "State",
    "Step",
    "aside_of",
    "attempt_of",
    "destination_of",
    "exception_of",
    "places_of",
    "version_of_destination",
]

NEW_COUNTS: dict[str, Any] = {
    **dict.fromkeys(("seen", "filtered", "delivered", "dropped", "attempts", "fence", "steps"), 0),
    "revision": 1,
    "changes": 0,
    "dropped_why": "{}",
    "left_out_why": "{}",
    "is_away": 0,
    "lease_until_ms": 0,
}
"""The counts of a destination that nothing was sent to yet, and what else is the same of all new ones."""


class Ledger(Struct, frozen=True, kw_only=True):
    """Count what became of the events that a destination is to be sent: ``seen`` is the sum of the others."""

    seen: int
    filtered: int
    """Left out by its filter, or by its rules."""
    delivered: int
    waiting: int
    """Not settled; whether the filter leaves them out is not known of those that were not read yet."""
    dead: int
    """Refused for good: to be retried or dropped by a person."""
    dropped: int
    """Deleted by retention, older than ``max_age``, or dropped by a person."""


class PlaceRow(Struct, frozen=True, kw_only=True):
    """How far a destination is in the feed of one kind."""

    kind: FeedKind
    begin: int
    """Where it began."""
    place: int
    """Up to here everything is settled, or has a row."""
    tried: int
    """The highest id that was tried."""
    accepted: int
    """How many of this kind were accepted."""
    until: int | None = None
    """Where it ends; ``None``: never."""


class ExceptionRow(Struct, frozen=True, kw_only=True):
    """An event behind the place that waits for another attempt, or is dead. Times are in Unix milliseconds."""

    event_id: int
    kind: FeedKind
    terminal_id: int
    received_at_ms: int
    alarm_id: int | None = None
    """Of a step of an alarm."""
    is_dead: bool
    attempts: int
    refusals: int
    mark: int | None
    attempted_at_ms: int | None
    due_ms: int
    reason: str
    dead_at_ms: int | None


class AsideRow(Struct, frozen=True, kw_only=True):
    """Events of one terminal behind the place that were left aside: with ids above ``after`` and up to ``until``."""

    kind: FeedKind
    terminal_id: int
    after: int
    until: int
    events: int
    """How many there were that are not settled."""


class AttemptRow(Struct, frozen=True, kw_only=True):
    """An attempt to send."""

    at_ms: int
    took_ms: int
    event_id: int
    """The first of the events that were sent together."""
    events: int
    outcome: Literal["delivered", "refused", "unreachable", "closed"]
    status: str
    """Such as ``HTTP 503``; empty where there was none."""
    reply: str
    """Its reply, shortened."""


class DestinationRow(Struct, frozen=True, kw_only=True):
    """A destination, or a replay to one."""

    id: int
    name: str
    kind: str
    config: bytes
    """JSON."""
    secrets: bytes
    """JSON; ``{}`` for none, and empty where it comes from a backup, which has none."""
    revision: int
    changes: int
    created_at: datetime
    replay_of: int | None
    rate: float | None
    """Events a second, at most."""
    span: tuple[int, int] | None
    """Of a replay: what was received in it, Unix milliseconds, from and until, exclusive."""
    finished_at: datetime | None
    paused_at: datetime | None
    closed_at: datetime | None
    closed_why: str | None
    is_away: bool
    """It could not be reached last, or wanted no more, and has not replied since."""
    ledger: Ledger
    dropped_why: Mapping[str, int]
    left_out_why: Mapping[str, int]
    """Of the filtered: what its own rules left out, by reason."""
    attempts: int
    delivered_at: datetime | None
    failed_at: datetime | None
    failure: str | None
    owner: str | None
    places: tuple[PlaceRow, ...]

    @property
    def version(self) -> str:
        """Return the version of what a person changes of it, secrets apart."""
        return version_of_destination(self.name, self.config.decode())


def version_of_destination(name: str, config: str) -> str:
    """Return the version of a destination."""
    return version_of({"name": name, "config": config})


class State(Struct, frozen=True):
    """Hold what of a destination is looked at again and again."""

    id: int
    revision: int
    changes: int
    is_finished: bool
    is_closed: bool
    """It said that it wants no more."""
    delivered: int
    is_free: bool
    """No other process has its lease."""


class Recount(Struct, frozen=True, kw_only=True):
    """Hold what is stored of a destination, and what the events say, of one moment."""

    row: DestinationRow
    """Its ledger leaves out what was not read yet."""
    counted: Mapping[FeedKind, int]
    """How many events of each kind were ever stored between where it began and its place."""
    asides: tuple[tuple[AsideRow, int], ...]
    """Hold a stretch that is left aside, and how many of its events there are still."""
    ahead: int
    """How many of its exceptions are not behind its place."""


class Loaded(Struct, frozen=True, kw_only=True):
    """All that a forwarder has to know of its destination to go on."""

    changes: int
    steps: int
    is_away: bool
    """As of its row."""
    places: tuple[PlaceRow, ...]
    exceptions: tuple[ExceptionRow, ...]
    asides: tuple[AsideRow, ...]


class Step(Struct, kw_only=True):
    """Hold what a forwarder has done since its last commit. Numbers are added to what is stored."""

    places: dict[FeedKind, tuple[int, int, int]] = {}
    """Place, highest id that was tried, and how many more were accepted."""
    seen: int = 0
    filtered: int = 0
    delivered: int = 0
    dropped: dict[str, int] = {}
    """By reason."""
    left_out: dict[str, int] = {}
    """Of the filtered: what its own rules left out, by reason."""
    attempts: int = 0
    put: dict[int, ExceptionRow] = {}
    """Of these events the rows as they are now."""
    gone: set[int] = set()
    """These events have no row any more."""
    asides: dict[tuple[FeedKind, int], AsideRow | None] = {}
    """The stretches that are left aside now, by kind and terminal; ``None``: there are none."""
    tries: list[AttemptRow] = []
    delivered_at_ms: int | None = None
    failure: tuple[int, str] | None = None
    """When an attempt failed last, and why."""
    is_away: bool | None = None
    """Whether it can be reached, where that has changed."""
    closed: tuple[int, str] | None = None
    """When it said that it wants no more, and what."""
    finished_at_ms: int | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to be committed."""
        return self == Step()


def aside_of(row: Row[Any]) -> AsideRow:
    """Return what is left aside, from its row."""
    return AsideRow(
        kind=row.kind,
        terminal_id=row.terminal_id,
        after=row.after_id,
        until=row.until_id,
        events=row.events,
    )


def places_of(db: Connection, numbers: Sequence[int]) -> dict[int, tuple[PlaceRow, ...]]:
    """Return the places of some destinations, by destination."""
    c = t.destination_places.c
    found: dict[int, tuple[PlaceRow, ...]] = {}
    for row in db.execute(
        select(t.destination_places).where(c.destination_id.in_(numbers)).order_by(c.destination_id, c.kind)
    ):
        place = PlaceRow(
            kind=row.kind,
            begin=row.begin_id,
            place=row.place,
            until=row.until_id,
            tried=row.tried_id,
            accepted=row.accepted,
        )
        found[row.destination_id] = (*found.get(row.destination_id, ()), place)
    return found


def attempt_of(row: Row[Any]) -> AttemptRow:
    """Return an attempt, from its row."""
    return AttemptRow(
        at_ms=row.at_ms,
        took_ms=row.took_ms,
        event_id=row.event_id,
        events=row.events,
        outcome=row.outcome,
        status=row.status,
        reply=row.reply,
    )


def exception_of(row: Row[Any]) -> ExceptionRow:
    """Return an exception, from its row."""
    return ExceptionRow(
        event_id=row.event_id,
        kind=row.kind,
        terminal_id=row.terminal_id,
        received_at_ms=row.received_at_ms,
        alarm_id=row.alarm_id,
        is_dead=bool(row.is_dead),
        attempts=row.attempts,
        refusals=row.refusals,
        mark=row.mark,
        attempted_at_ms=row.attempted_at_ms,
        due_ms=row.due_ms,
        reason=row.reason,
        dead_at_ms=row.dead_at_ms,
    )


def destination_of(row: Row[Any], ledger: Ledger, places: tuple[PlaceRow, ...]) -> DestinationRow:
    """Return a destination, from its row."""
    return DestinationRow(
        id=row.id,
        name=row.name,
        kind=row.kind,
        config=row.config.encode(),
        secrets=(row.secrets or "").encode(),
        revision=row.revision,
        changes=row.changes,
        created_at=moment(row.created_at_ms),
        replay_of=row.replay_of,
        rate=row.rate,
        span=None if row.since_ms is None else (row.since_ms, row.until_ms),
        finished_at=moment(row.finished_at_ms),
        paused_at=moment(row.paused_at_ms),
        closed_at=moment(row.closed_at_ms),
        closed_why=row.closed_why,
        is_away=bool(row.is_away),
        ledger=ledger,
        dropped_why=msgspec.json.decode(row.dropped_why),
        left_out_why=msgspec.json.decode(row.left_out_why),
        attempts=row.attempts,
        delivered_at=moment(row.delivered_at_ms),
        failed_at=moment(row.failed_at_ms),
        failure=row.failure,
        owner=row.owner,
        places=places,
    )
