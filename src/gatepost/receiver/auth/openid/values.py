"""Values of a login at the identity provider: what it says, who comes back, and why a login came to nothing."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gatepost.errors import GatepostError

__all__ = ["Begun", "Description", "Identity", "NotBegun", "ProviderRefused", "Reason", "Tokens", "expect"]

Reason = Literal[
    "away", "stale", "denied", "untrusted", "no_group", "no_name", "name_taken", "account_disabled"
]


class ProviderRefused(GatepostError):
    """A login at the provider came to nothing. ``reason`` is a key of the console's words; the text is for the log."""

    def __init__(self, reason: Reason, why: str, *, name: str = "") -> None:
        super().__init__(why)
        self.reason = reason
        self.name = name


class NotBegun(ProviderRefused):
    """A request came back without a cookie of a login that began here: anyone can send it, and it says nothing."""


class Identity(Struct, frozen=True, kw_only=True):
    """Say who a person is, by the word of the provider."""

    subject: str
    """Issuer and subject, which no other person has."""
    name: str
    groups: tuple[str, ...]
    id_token: str
    next: str
    """The page that was asked for before the login."""


class Description(Struct, frozen=True):
    """The description that the provider gives of itself (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Tokens(Struct, frozen=True):
    """Tokens that the provider gives for a code."""

    id_token: str
    access_token: str


class Begun(Struct, frozen=True):
    """A login that was begun, as its cookie has it."""

    id: str
    until_s: float
    redirect_uri: str
    next: str


def expect(holds: bool, why: str) -> None:
    """Raise :class:`ProviderRefused` for what cannot be trusted, unless what is expected of it holds."""
    if not holds:
        raise ProviderRefused("untrusted", why)
