"""Values of the decision which terminal a push is of: what it says, what is known, what the settings say. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from gatepost.receiver.terminals.networks import Networks
from gatepost.receiver.terminals.sources import BETWEEN, Source, sources_of
from gatepost.settings import ReceiverSettings
from gatepost.store.types.terminals import TerminalRow, TerminalState
from gatepost.wire import Problem

__all__ = [
    "Claim",
    "Decision",
    "Introduced",
    "Known",
    "Policy",
    "Rejected",
    "RequireToken",
    "Taken",
    "Unknowns",
]


class Unknowns(StrEnum):
    """Ways to treat a terminal that the store has never seen.

    List what it sends, hide that until the terminal is approved, or take nothing.
    """

    ACCEPT = "accept"
    HOLD = "hold"
    REFUSE = "refuse"


class RequireToken(StrEnum):
    """Which terminals are taken only with their token: those that have used it once, all, or none."""

    WHEN_USED = "when-used"
    ALWAYS = "always"
    NEVER = "never"


class Claim(Struct, frozen=True):
    """Hold what a push says of its origin; ``None`` where it says nothing."""

    token: bytes | None
    """The :func:`token_digest` of the token in the path or in ``X-Gatepost-Token``."""
    header: str | None
    body: str | None
    peer: str
    site: str | None = None
    """The site of its terminal, as the receiver calls it that passes the push on (``X-Gatepost-Site``)."""
    timezone: str | None = None
    """Of that site (``X-Gatepost-Timezone``)."""


class Known(Struct, frozen=True, kw_only=True):
    """A terminal, as far as it matters to a decision."""

    id: int
    serial: str | None
    anonymous_peer: str | None = None
    """The address that stands for it, where it has no serial."""
    state: TerminalState = "new"
    networks: tuple[str, ...] = ()
    """From where it may push. Empty: from anywhere."""
    timezone: str = "UTC"
    """Its own, or else its site's."""
    has_token: bool = False
    token_used: bool = False
    """Whether it has pushed with the token that it has now."""
    token_required: bool = False
    """Whether it has pushed with a token at all, since it was last given up to its serial alone."""
    site_id: int | None = None
    """Where it stands; ``None`` before the store knows it."""

    @classmethod
    def of(cls, row: TerminalRow) -> Known:
        """Take from the store's row what is needed here."""
        return cls(
            id=row.id,
            serial=row.serial,
            anonymous_peer=row.anonymous_peer,
            state=row.state,
            networks=row.networks,
            timezone=row.timezone,
            has_token=row.has_token,
            token_used=row.token_used_at is not None,
            token_required=row.token_required_since is not None,
            site_id=row.site_id,
        )


class Policy(Struct, frozen=True, kw_only=True):
    """The settings that decide."""

    sources: Mapping[bytes, Source] = {}
    """By the digest of the token."""
    apart: tuple[str, ...] = ()
    """How the serials of those sources begin whose terminals are their own."""

    unknowns: Unknowns = Unknowns.ACCEPT
    require_token: RequireToken = RequireToken.WHEN_USED
    allowed: Networks | None = None
    """From where anyone may push; ``None`` or empty: from anywhere."""
    max_new_terminals_per_hour: int = 5_000
    """Of one ingest."""
    max_terminals: int = 20_000
    """So many may introduce themselves, without the retired ones; whoever makes serials up does not fill the disk."""

    @classmethod
    def of(cls, settings: ReceiverSettings) -> Policy:
        """Take what decides from the settings. Raises :class:`~gatepost.errors.SettingsError`."""
        sources = sources_of(settings.source_tokens)
        return cls(
            apart=tuple(source.name + BETWEEN for source in sources.values() if source.apart),
            unknowns=Unknowns(settings.unknown_terminals),
            require_token=RequireToken(settings.require_token),
            allowed=Networks(settings.allowed_networks, setting="allowed_networks"),
            sources=sources,
            max_new_terminals_per_hour=max(
                1, settings.max_new_terminals_per_hour // settings.ingest_processes
            ),
            max_terminals=settings.max_terminals,
        )


class Taken(Struct, frozen=True, kw_only=True):
    """The push is stored for this terminal."""

    terminal_id: int
    bind_peer: bool = False
    """Something better than the peer address said so: the terminal was seen at that address."""
    first_use: bool = False
    """It bore the terminal's token, of which the store does not know yet that it is used. Tell the store first."""
    problems: tuple[Problem, ...] = ()
    disagreements: tuple[tuple[str, str], ...] = ()
    """Who else it could have been: (source, what it said)."""


class Introduced(Struct, frozen=True):
    """A terminal that the directory does not have yet."""

    serial: str | None
    state: TerminalState
    site: str = ""
    """The name of the site at which it is made; empty: the first one."""
    timezone: str = ""
    """Of that site, where it has to be made."""


class Rejected(Struct, frozen=True, kw_only=True):
    """The push is not taken; ``status`` is HTTP's."""

    status: int
    message: str
    reason: str
    """By which refusals are counted."""
    serial: str | None = None
    terminal_id: int | None = None


Decision = Taken | Introduced | Rejected
