"""Accounts and tokens as they are read, and how rows become them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, select

from gatepost.store.conversion.values import moment
from gatepost.store.page_bytes import weight
from gatepost.store.schema import tables as t
from gatepost.store.versions import version_of

__all__ = [
    "TOKENS",
    "AccountRow",
    "Role",
    "TokenRow",
    "account_of",
    "sites_column",
    "size_of",
    "token_of",
]

Role = Literal["guard", "viewer", "operator", "admin"]


class AccountRow(Struct, frozen=True, kw_only=True):
    """Describe a user who can log in."""

    id: int
    name: str
    role: Role
    password: str
    """Its Argon2 hash; empty for an account of an identity provider."""
    created_at: datetime
    disabled: bool
    must_change: bool
    """The program made the password up: it is good for a change of it only."""
    unlocked_at: datetime | None
    """When a command on the machine unlocked it."""
    sites: tuple[int, ...] | None = None
    """The sites that they see; ``None``: every site."""
    subject: str | None = None
    """Issuer and subject at an identity provider, where they log in; ``None``: they have a password here."""

    @property
    def version(self) -> str:
        """Return the version of what an administrator changes of it, its password apart."""
        return version_of({"role": self.role, "sites": self.sites, "disabled": self.disabled})


class TokenRow(Struct, frozen=True, kw_only=True):
    """A program that can ask, with the rights that it has now: at most those of its account."""

    id: int
    name: str
    role: Role
    created_at: datetime
    created_by: str
    account_id: int | None
    """Whose account it came from, also by way of another token; ``None``: from the command line."""
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    sites: tuple[int, ...] | None = None
    """As of an account; empty: its account has none of its sites any more."""


def sites_column(db: Connection, sites: Sequence[int] | None) -> str | None:
    """Return the column of sites. Raises ``ValueError`` for one that there is not, and for none at all."""
    if sites is None:
        return None
    known = set(db.execute(select(t.sites.c.id)).scalars())
    if missing := sorted(set(sites) - known):
        raise ValueError(f"sites: there is no site {missing[0]}; see /api/v1/sites")
    if not sites:
        raise ValueError("sites: give one site at least, or leave it out for every site")
    return msgspec.json.encode(sorted(set(sites))).decode()


def _sites(row: Row[Any]) -> tuple[int, ...] | None:
    return None if row.sites is None else msgspec.json.decode(row.sites, type=tuple[int, ...])


def account_of(row: Row[Any]) -> AccountRow:
    """Return an account."""
    return AccountRow(
        id=row.id,
        name=row.name,
        role=row.role,
        password=row.password,
        created_at=moment(row.created_at_ms),
        disabled=row.disabled_at_ms is not None,
        must_change=bool(row.must_change),
        unlocked_at=moment(row.unlocked_at_ms),
        sites=_sites(row),
        subject=row.subject,
    )


TOKENS = select(
    t.api_tokens, t.accounts.c.role.label("account_role"), t.accounts.c.sites.label("account_sites")
).outerjoin(t.accounts, t.accounts.c.id == t.api_tokens.c.account_id)
"""Selects what :func:`token_of` takes."""

_LADDER: tuple[Role, ...] = get_args(Role)


def token_of(row: Row[Any]) -> TokenRow:
    """Return a token with the rights that it has now: at most those of its account."""
    role, sites = row.role, _sites(row)
    if row.account_role is not None:
        role = min(role, row.account_role, key=_LADDER.index)
    if row.account_sites is not None:
        own = msgspec.json.decode(row.account_sites, type=tuple[int, ...])
        sites = own if sites is None else tuple(site for site in sites if site in own)
    return TokenRow(
        id=row.id,
        name=row.name,
        role=role,
        created_at=moment(row.created_at_ms),
        created_by=row.created_by,
        account_id=row.account_id,
        expires_at=moment(row.expires_at_ms),
        last_used_at=moment(row.last_used_ms),
        revoked_at=moment(row.revoked_at_ms),
        sites=sites,
    )


def size_of(row: AccountRow | TokenRow) -> int:
    """Return what one counts with on a page: see page_bytes.py."""
    by = row.created_by if isinstance(row, TokenRow) else None
    return weight(row.name, by) + 20 * len(row.sites or ())
