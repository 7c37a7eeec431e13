"""Roles, what they include, and the sender of a request who has one.

Rules:

* Without a role nothing is read: ``guard`` sees the live page and alarms, ``viewer`` looks at everything, ``operator``
  also acknowledges, approves and exports, ``admin`` also administrates and erases. Each sees what the ones before see.
* A ``guard`` acknowledges alarms, which a ``viewer`` does not, and sees no card and identity numbers.
* A user who is given some sites sees these only, and does nothing that concerns every site.
"""

from __future__ import annotations

from msgspec import Struct

from gatepost.store.accounts.rows import AccountRow, Role
from gatepost.store.interface import Visible

__all__ = ["ROLES", "Principal", "may", "person_of", "sites_of"]

ROLES: tuple[Role, ...] = ("guard", "viewer", "operator", "admin")
"""From the least to the most."""


class Principal(Struct, frozen=True):
    """Name the sender of a request, with its rights."""

    name: str
    """As the audit log writes it: ``anna``, or ``token:payroll``."""
    role: Role
    account_id: int | None = None
    """``None`` for a token."""
    sites: frozenset[int] | None = None
    """The sites that they see; ``None``: every site."""
    token_id: int | None = None
    """``None`` for a person."""
    made_by: str = ""
    """The account that made the token."""
    owner_id: int | None = None
    """The account that the token came from, or the person's own."""
    must_change: bool = False
    """The password was made up by the program: it opens nothing but the change of it."""
    has_password: bool = True
    """Otherwise they log in at the identity provider alone."""

    @property
    def visible(self) -> Visible:
        """Return what they may see of the store."""
        return Visible(sites=self.sites, numbers=self.role != "guard", held=False)


def may(role: Role, needed: Role, *, also: Role | None = None) -> bool:
    """Tell whether a role includes what is needed. ``also``: a lesser role that may do it as well."""
    return role == also or ROLES.index(role) >= ROLES.index(needed)


def person_of(account: AccountRow) -> Principal:
    """Return a person with the rights of their account."""
    return Principal(
        account.name,
        account.role,
        account.id,
        sites=sites_of(account.sites),
        owner_id=account.id,
        must_change=account.must_change,
        has_password=account.subject is None,
    )


def sites_of(sites: tuple[int, ...] | None) -> frozenset[int] | None:
    """Return the sites that an account or a token is given; ``None``: every site."""
    return None if sites is None else frozenset(sites)
