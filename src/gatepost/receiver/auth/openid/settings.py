"""Read the settings of the identity provider: its address, the secret that it gave, and what its groups may do."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from gatepost.errors import SettingsError
from gatepost.receiver.auth.principal import ROLES
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts.rows import Role

__all__ = ["Grant", "client_secret_of", "grants_of", "issuer_of", "tls_of"]

_ENTRY = re.compile(rf"(.+)=({'|'.join(ROLES)})(?:@(.+))?", re.DOTALL)


class Grant(Struct, frozen=True):
    """Role and site that a group is given."""

    group: str
    role: Role
    site: str | None
    """``None``: every site."""


def issuer_of(text: str) -> str:
    """Return the address of the issuer as it is given, if it is one. Raises :class:`~gatepost.errors.SettingsError`."""
    try:
        parts = urlsplit(text)
    except ValueError:  # no address in the brackets
        parts = urlsplit("")
    try:
        is_here = parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        is_here = False
    if not parts.hostname or parts.query or parts.fragment or parts.username is not None:
        raise SettingsError("oidc_issuer", "must be an address such as https://id.example.com/realms/company")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_here):
        raise SettingsError("oidc_issuer", "must begin with https://; plain HTTP is for this machine only")
    return text


def client_secret_of(settings: ReceiverSettings) -> str:
    """Return the secret that is set, or that of the file. Raises :class:`~gatepost.errors.SettingsError`."""
    file = settings.oidc_client_secret_file
    if not file:
        return settings.oidc_client_secret
    if settings.oidc_client_secret:
        raise SettingsError(
            "oidc_client_secret", "and oidc_client_secret_file are both given; give one of them"
        )
    try:
        secret = Path(file).read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError("oidc_client_secret_file", f"cannot be read: {file}: {why}") from None
    if not secret:
        raise SettingsError("oidc_client_secret_file", f"has no secret in its first line: {file}")
    return secret


def grants_of(entries: Sequence[str]) -> Sequence[Grant]:
    """Return what each of these entries of ``oidc_roles`` grants. Raises :class:`~gatepost.errors.SettingsError`."""
    if not entries:
        raise SettingsError(
            "oidc_roles", "is needed with oidc_issuer; give GROUP=ROLE, such as door-staff=guard"
        )
    found = []
    for entry in entries:
        parts = _ENTRY.fullmatch(entry)
        if parts is None:
            raise SettingsError(
                "oidc_roles",
                f"has {entry!r}; write GROUP=ROLE or GROUP=ROLE@SITE with a role of {', '.join(ROLES)}",
            )
        found.append(Grant(parts[1], parts[2], parts[3]))  # type: ignore[arg-type]  # a role, by the pattern
    return found


def tls_of(ca_file: str | None) -> ssl.SSLContext:
    """Return how the provider's certificate is verified. Raises :class:`~gatepost.errors.SettingsError`."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError("oidc_ca_file", f"cannot be read: {ca_file}: {error.strerror}") from None
