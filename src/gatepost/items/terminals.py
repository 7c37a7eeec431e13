"""Define what the API says of terminals."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

__all__ = [
    "Direction",
    "TerminalState",
    "Presence",
    "TerminalItem",
    "WouldRefuseItem",
    "NameThereItem",
    "WouldMoveItem",
    "DisagreementItem",
    "TerminalDetail",
    "NameItem",
    "RemovedItem",
]

Direction = Literal["in", "out", "both"]

TerminalState = Literal["new", "approved", "held", "retired"]
"""``held``: stored, but not listed until it is approved."""

Presence = Literal["online", "late", "offline", "never"]
"""By the terminal's own usual interval."""


class TerminalItem(Struct, frozen=True, kw_only=True):
    """A terminal, and the counts of what it sent."""

    id: int
    serial: str | None
    anonymous_peer: str | None
    """The address that stands for it, where it never said its serial."""
    name: str | None
    site_id: int
    site: str
    timezone: str
    state: TerminalState
    direction: Direction
    version: str = ""
    """Of what is set here: a change with it as ``If-Match`` is refused where another one came first."""
    """Which way people go who pass there."""
    presence: Presence
    """Whether it is heard of as usual: see ``interval_ms``."""
    backlog: bool
    """Events that are old are coming in from it at the moment."""
    has_token: bool
    token_used_at: datetime | None
    """When the token that it has now was first used; ``null``: it still pushes without its address, or not at all."""
    token_required_since: datetime | None
    """Since when it is bound to its token: where ``require_token`` is ``when-used`` it is taken only with it."""
    tokenless_at: datetime | None
    """When it last pushed without its token."""
    networks: list[str]
    """From where it may push; empty: from anywhere."""
    model: str | None
    dialect: str | None
    """The firmware's version of the protocol, by what it sends."""
    created_at: datetime
    first_seen: datetime | None
    last_seen: datetime | None
    last_recorded_at: datetime | None
    clock_error_ms: int | None
    """How far its clock is ahead."""
    interval_ms: int | None
    """The usual time between two arrivals."""
    peer: str | None
    records: int
    alarms: int
    quarantined: int
    duplicates: int
    with_problems: int
    late: int
    """How many arrived over ten minutes after they happened."""
    repeated_ids: int
    """How many records bore the id of another record of this terminal. Each is listed."""
    unusable_ids: int
    """How many events bore an id that tells nothing apart: a placeholder, or one of at most 8 characters."""
    refused: int
    disagreements: int
    address: str | None = None
    """Where it is to push, with its secret token: told once, when the token is made."""


class WouldRefuseItem(Struct, frozen=True, kw_only=True):
    """A terminal whose pushes of the last week a stricter setting or state would refuse."""

    terminal_id: int
    serial: str | None
    name: str | None
    reason: str
    message: str
    """What the reply would say."""
    peer: str
    last_at: datetime
    """When it last pushed so."""


class NameThereItem(Struct, frozen=True, kw_only=True):
    """A number that has one name at a terminal and another one at the site that it would move to."""

    user_id: str
    name: str
    name_there: str


class WouldMoveItem(Struct, frozen=True, kw_only=True):
    """The change about people if a terminal moved to another site."""

    terminal_id: int
    site_id: int
    site: str
    timezone: str
    """By the clock of which their days are read then, unless the terminal has a time zone of its own."""
    records: int
    """Records of people that go along."""
    people: int
    """People who have these records."""
    divided: int
    """Of them, those who have other records at the site that the terminal leaves: one person at each site then."""
    joining: int
    """Of them, those whose ``user_id`` the new site has already: they become one person with it."""
    different: int
    """Of those, the ones whose name differs at the new site: perhaps two people with one number."""
    names: list[NameThereItem]
    """Their names; at most 20."""


class DisagreementItem(Struct, frozen=True, kw_only=True):
    """Something that was pushed as this terminal's said that it was another one's."""

    source: str
    """``header`` or ``body``."""
    said: str
    count: int
    first_at: datetime
    last_at: datetime


class TerminalDetail(TerminalItem, frozen=True, kw_only=True):
    """One terminal, and what was wrong with what it pushed."""

    refusals: dict[str, int]
    """By reason."""
    disagreed: list[DisagreementItem]


class NameItem(Struct, frozen=True, kw_only=True):
    """A line of a list of names, and what it does."""

    line: int
    serial: str
    name: str
    terminal_id: int | None
    direction: Literal["in", "out", "both"] | None
    """Which way people go there; ``None``: the line does not say."""
    problem: Literal["unknown", "twice", "nameless", "long", "direction"] | None
    """Why it changes nothing."""
    changes: bool
    """It gives a terminal another name or direction."""


class RemovedItem(Struct, frozen=True, kw_only=True):
    """Count what was deleted with a terminal."""

    records: int
    alarm_steps: int
    quarantined: int
    """Pushes that were in the quarantine."""
