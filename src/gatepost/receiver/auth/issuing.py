"""Make tokens, the first account, and passwords by chance: secrets that are returned once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

import argon2

from gatepost.receiver.auth.passwords import check_password
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.names import PROGRAM
from gatepost.store.accounts.rows import Role, TokenRow
from gatepost.store.terminals.registry import Conflict

__all__ = ["FIRST_ACCOUNT", "first_administrator", "issue_token", "made_up_password", "secret_digest"]

FIRST_ACCOUNT = "admin"
"""The account that the first start makes."""


def secret_digest(secret: str) -> bytes:
    """Return what the store has of the secret of a session or a token."""
    return hashlib.sha256(secret.encode()).digest()


def issue_token(
    accounts: Accounts,
    name: str,
    role: Role,
    *,
    by: str,
    owner_id: int | None = None,
    now_ms: int,
    expires_at_ms: int | None = None,
    sites: Sequence[int] | None = None,
) -> tuple[str, TokenRow]:
    """Make an API token; the secret is returned once and kept nowhere.

    ``owner_id``: the account that it comes from, with which it is withdrawn. Raises as :meth:`Accounts.create_token`.
    """
    secret = f"gp_{secrets.token_urlsafe(32)}"
    row = accounts.create_token(
        name,
        role,
        secret_digest(secret),
        by=by,
        account_id=owner_id,
        now_ms=now_ms,
        expires_at_ms=expires_at_ms,
        sites=sites,
    )
    return secret, row


def made_up_password() -> str:
    """Return a password by chance, to be changed at the first login."""
    return secrets.token_urlsafe(12)


def first_administrator(accounts: Accounts, *, password: str | None, now_ms: int) -> str | None:
    """Make the account ``admin`` if there is no account; return its password if it was made up here.

    Of several receivers that start on an empty database one makes it.
    """
    if accounts.accounts():
        return None
    made = password or made_up_password()
    encoded = argon2.PasswordHasher().hash(
        check_password(made, name=FIRST_ACCOUNT, setting="GATEPOST_ADMIN_PASSWORD")
    )
    try:
        accounts.create(FIRST_ACCOUNT, "admin", encoded, now_ms=now_ms, must_change=not password)
    except Conflict:
        return None
    accounts.note(now_ms=now_ms, actor=PROGRAM, address="", action="account.created", subject=FIRST_ACCOUNT)
    return None if password else made
