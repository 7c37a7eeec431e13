"""Define what the receiver's API says of managed terminals, as values: see :mod:`gatepost.items`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

__all__ = ["AdoptionItem", "AdoptionRowItem", "ManagedItem", "ManagedState", "SeenItem"]

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
    """What the last look found, such as ``ours``, ``differs``, ``away`` or ``wrong account``."""
    shown: str | None
    """The address that it showed then, where it is not ours."""
    said: str | None
    """What it said then, or why it could not be reached."""
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
