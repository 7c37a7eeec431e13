"""Hold terminals, their sites, and the receivers that write to a database."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from gatepost.store.versions import version_of

__all__ = ["Direction", "TerminalState", "TerminalRow", "DisagreementRow", "SiteRow", "ReceiverRow"]

Direction = Literal["in", "out", "both"]
"""Which way people go who pass a terminal."""


TerminalState = Literal["new", "approved", "held", "retired"]


class TerminalRow(Struct, frozen=True, kw_only=True):
    """A terminal, and the counts of what it sent."""

    id: int
    serial: str | None
    anonymous_peer: str | None
    name: str | None
    site_id: int
    site: str
    timezone: str
    """Its own, or else its site's."""
    state: TerminalState
    direction: Direction = "both"
    """Which way people go who pass there."""
    has_token: bool
    networks: tuple[str, ...]
    """Where it may push from; empty: anywhere that is allowed at all."""
    model: str | None
    dialect: str | None
    created_at: datetime
    token_used_at: datetime | None = None
    """When the token that it has now was first used."""
    token_required_since: datetime | None = None
    """When it first used a token, whichever it was; ``None`` after its token was taken away."""
    tokenless_at: datetime | None = None
    """When it last pushed without its token."""
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    last_recorded_at: datetime | None = None
    clock_error_ms: int | None = None
    """How far its clock is ahead; negative where it is behind."""
    interval_ms: int | None = None
    """The usual time between two arrivals, so that silence can be told from quiet."""
    peer: str | None = None
    records: int = 0
    alarms: int = 0
    quarantined: int = 0
    duplicates: int = 0
    with_problems: int = 0
    late: int = 0
    """How many arrived over ten minutes after they happened: a backlog, or a clock that is wrong."""
    repeated_ids: int = 0
    """How many records bore the id of another record of this terminal. Each is listed."""
    unusable_ids: int = 0
    """How many events bore an id that tells nothing apart: a placeholder, or one of at most 8 characters."""
    refused: int = 0
    disagreements: int = 0
    late_at: datetime | None = None
    """When the last of the late ones arrived."""

    @property
    def version(self) -> str:
        """Return the version of what a person changes of it."""
        names = ("serial", "name", "site_id", "timezone", "state", "direction", "networks")
        return version_of({name: getattr(self, name) for name in names})


class DisagreementRow(Struct, frozen=True, kw_only=True):
    """Something that was pushed as one terminal's said that it was another one's."""

    source: str
    """``header`` or ``body``."""
    said: str
    count: int
    first_at: datetime
    last_at: datetime


class SiteRow(Struct, frozen=True):
    """Where terminals stand: a building, a campus. People are told apart within a site."""

    id: int
    name: str
    timezone: str
    created_at: datetime

    @property
    def version(self) -> str:
        """Return the version of what a person changes of it."""
        return version_of({"name": self.name, "timezone": self.timezone})


class ReceiverRow(Struct, frozen=True):
    """A receiver that writes to this database."""

    journal: bytes
    """The id of its journal, sixteen bytes."""
    host: str
    """The name of its machine."""
    seen_at: datetime
    """When it last said that it was there."""
    events: int
    """How many it had acknowledged then that were not listed."""
