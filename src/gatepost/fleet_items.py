"""Define what the receiver's API says of managed terminals, as values: see :mod:`gatepost.items`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

__all__ = [
    "AdoptionItem",
    "AdoptionRowItem",
    "AuditItem",
    "JobItem",
    "JobOrigin",
    "JobState",
    "DiscoveryItem",
    "FoundItem",
    "ImportItem",
    "ImportProblemItem",
    "ImportRowItem",
    "ManagedItem",
    "ManagedState",
    "ScanItem",
    "SeenItem",
]

ManagedState = Literal["adopted", "ours", "away", "contested", "stopped"]
"""``adopted``: its address was set, or is about to be; ``ours``: it pushes here; ``away``: it cannot be reached;
``contested``: another tool sets its address, too; ``stopped``: a person has to look, see ``reason``."""


class SeenItem(Struct, frozen=True, kw_only=True):
    """A terminal as it shows itself to anyone: nothing was sent to it but the question who it is."""

    address: str
    serial: str
    model: str
    certificate: str | None
    """SHA-256 of its certificate, hexadecimal; ``null`` for plain HTTP."""
    clock_error_s: float | None
    """How far its clock is ahead; ``null`` where it does not tell the time."""


class ManagedItem(Struct, frozen=True, kw_only=True):
    """An adopted terminal, without what opens it."""

    terminal_id: int
    serial: str | None
    name: str | None
    site_id: int
    site: str
    address: str
    """Of its own service."""
    event_dest: str
    """Our address that it is given, without the token."""
    certificate: str | None
    """SHA-256 of the certificate that was pinned, hexadecimal; ``null`` for plain HTTP."""
    previous: str | None
    """Where it pushed to before, without what may be secret in it."""
    has_account: bool
    """``false`` after a restore: a backup has no passwords."""
    state: ManagedState
    reason: str
    """Why it is stopped or contested, and what to do."""
    found: str | None
    """The finding of the last look, such as ``ours``, ``differs``, ``away`` or ``wrong account``."""
    shown: str | None
    """The address that it showed then, where it is not ours."""
    said: str | None
    """Its reply at that look, or why it could not be reached."""
    clock_error_s: float | None
    set_at: datetime | None
    """When its address was set last."""
    looked_at: datetime | None
    reached_at: datetime | None
    next_look_at: datetime | None
    last_event_at: datetime | None
    """When it last pushed."""
    has_arrived: bool
    """It has pushed since its address was set."""
    adopted_at: datetime
    adopted_by: str


class AdoptionItem(Struct, frozen=True, kw_only=True):
    """Terminals that are adopted together, and how far that is."""

    id: int
    created_at: datetime
    created_by: str
    finished_at: datetime | None
    total: int
    waiting: int
    adopted: int
    failed: int


class AdoptionRowItem(Struct, frozen=True, kw_only=True):
    """How it went with one terminal of an adoption."""

    number: int
    address: str
    name: str | None
    site_id: int | None
    state: Literal["waiting", "trying", "adopted", "failed"]
    serial: str | None
    terminal_id: int | None
    reason: str
    """Why it failed, and what to do."""


JobState = Literal["proposed", "waiting", "running", "paused", "done", "failed", "cancelled"]
"""``proposed``: it is not begun before a person resumes it; ``failed``: a person has to look, see ``reason``."""

JobOrigin = Literal["person", "audit", "outage"]
"""``audit``: the terminal had more records of a day; ``outage``: it was silent too long for its cache."""


class JobItem(Struct, frozen=True, kw_only=True):
    """A span of a terminal's history that is fetched, and how far that is. Alarms are in no history."""

    id: int
    terminal_id: int
    serial: str | None
    name: str | None
    state: JobState
    origin: JobOrigin
    since: datetime
    until: datetime
    """Exclusive. Both by the terminal's clock, as its records are listed."""
    done_until: datetime
    """Before this moment everything is fetched."""
    progress: float
    """From 0 to 1, by time."""
    fetched: int
    """How many records the terminal gave."""
    added: int
    """How many of them were not here."""
    unreadable: int
    """How many items were no records, and went to the quarantine."""
    there: int | None
    """Of a proposal of the audit: how many records the terminal had."""
    here: int | None
    reason: str
    """Why it failed, or waits, and what to do."""
    created_at: datetime
    created_by: str
    """Empty: the receiver itself."""
    finished_at: datetime | None


class AuditItem(Struct, frozen=True, kw_only=True):
    """How many records a terminal had of a local day when it was asked, against how many were here."""

    day: str
    there: int | None
    """``null``: it could not be asked, see ``reason``."""
    here: int
    missing: int
    at: datetime
    reason: str


class FoundItem(Struct, frozen=True, kw_only=True):
    """A terminal that was found. Nothing was stored, and no password was sent."""

    address: str
    """Of its own service."""
    serial: str
    model: str
    certificate: str | None
    """SHA-256 of its certificate, hexadecimal; ``null`` where it was announced only."""
    clock_error_s: float | None
    terminal_id: int | None
    """The adopted terminal with this serial; ``null``: it is not adopted."""
    managed_address: str | None
    """The address by which that is managed; another one than ``address``: it has moved, or it is not that terminal."""


class DiscoveryItem(Struct, frozen=True, kw_only=True):
    """Terminals that announce themselves. It is listened for some seconds after each time that it was asked for."""

    listening_s: float
    """For how long, unless it is asked for again."""
    elsewhere: int
    """Announcements of addresses to which no request may go; see ``fleet_networks``."""
    items: list[FoundItem]


class ScanItem(Struct, frozen=True, kw_only=True):
    """A scan, and what it found so far."""

    state: Literal["running", "over"]
    total: int
    """Addresses to be asked."""
    asked: int
    others: int
    """Addresses where something replies that is no terminal."""
    items: list[FoundItem]


class ImportRowItem(Struct, frozen=True, kw_only=True):
    """A terminal of a file, without its password."""

    line: int
    address: str
    name: str | None
    site: str | None
    username: str


class ImportProblemItem(Struct, frozen=True, kw_only=True):
    """Hold what is wrong in a line of a file, and what to write."""

    line: int
    column: str | None
    """``null``: the file as a whole."""
    why: str


class ImportItem(Struct, frozen=True, kw_only=True):
    """A file of terminals: every line is an item or has a problem."""

    items: list[ImportRowItem]
    problems: list[ImportProblemItem]
    adoption: AdoptionItem | None
    """The adoption that was ordered; ``null``: it was only checked."""
