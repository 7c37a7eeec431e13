"""Hold what is kept of an adopted terminal, as values."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from gatepost.store.interface import TerminalState

__all__ = [
    "AdoptedRow",
    "Credentials",
    "Looked",
    "NewAdopted",
    "Previous",
    "MAX_TEXT",
]

MAX_TEXT = 500
"""Characters of what a terminal said, and of a reason."""


class Credentials(Struct, frozen=True):
    """Hold what opens a terminal, and the token in its own address."""

    username: str
    password: str
    token: str


class Previous(Struct, frozen=True):
    """Where a terminal pushed to before it was adopted, as it showed it."""

    event_dest: str
    enabled: bool


class NewAdopted(Struct, frozen=True, kw_only=True):
    """A terminal that is adopted, or adopted again."""

    terminal_id: int
    address: str
    ours: str
    """Our address up to the token."""
    credentials: Credentials
    certificate: bytes | None
    previous: Previous | None
    """``None``: it pushed nowhere; what is kept of an adoption before stays then."""
    previous_shown: str | None
    must_set: bool
    clock_error_ms: int | None
    by: str
    next_token: bytes | None = None
    """Digest of the token that it gets."""


class AdoptedRow(Struct, frozen=True, kw_only=True):
    """An adopted terminal, without what is secret."""

    terminal_id: int
    serial: str | None
    name: str | None
    site_id: int
    site: str
    terminal_state: TerminalState
    token_digests: frozenset[bytes]
    """Of the tokens with which it may push."""
    address: str
    ours: str
    secrets: bytes | None
    """Sealed: :meth:`Adopted.opened`. ``None`` where they are not known, as after a restore."""
    certificate: bytes | None
    previous_shown: str | None
    state: str
    reason: str
    due_ms: int
    failures: int
    sets: tuple[float, ...]
    must_set: bool
    shows: bool
    """It has shown the address that we set."""
    set_at: datetime | None
    looked_at: datetime | None
    reached_at: datetime | None
    found: str | None
    """The result of the last look."""
    shown: str | None
    """The address that it showed then, where that is not ours, without what may be secret in it."""
    said: str | None
    """Its reply, or why it could not be reached."""
    clock_error_ms: int | None
    last_seen: datetime | None
    """When it last pushed, as far as that is stored."""
    pushed_at: datetime | None = None
    """When it had last pushed at the last look for long silences."""
    adopted_at: datetime
    adopted_by: str
    revision: int


class Looked(Struct, frozen=True, kw_only=True):
    """Hold what a look at a terminal found, and when it is looked at next. Times are in Unix milliseconds."""

    terminal_id: int
    revision: int
    state: str
    reason: str
    due_ms: int
    failures: int
    sets: tuple[float, ...]
    must_set: bool
    shows: bool = False
    set_at_ms: int | None = None
    """``None``: as before; so are the two below."""
    reached_at_ms: int | None = None
    clock_error_ms: int | None = None
    looked_at_ms: int
    found: str
    shown: str | None = None
    said: str | None = None
