"""Define the tables of accounts, of what they do, and of the views that they save."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from gatepost.store.schema.metadata import Id, metadata

__all__ = ["accounts", "sessions", "api_tokens", "audit", "saved_views", "view_starts"]

accounts = Table(
    "accounts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    # In the form in which names are compared.
    Column("folded_name", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("password", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("disabled_at_ms", BigInteger),
    # 1: the program made the password up, and it is good for a change of it only.
    Column("must_change", Integer, nullable=False),
    Column("unlocked_at_ms", BigInteger),
    # JSON, the ids of the sites that are seen; without, every site is.
    Column("sites", Text),
    # Issuer and subject at an identity provider; without, the account has a password.
    Column("subject", Text, unique=True),
    CheckConstraint("role IN ('guard', 'viewer', 'operator', 'admin')", name="role"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("last_used_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("address", Text, nullable=False),
    # Of a login at an identity provider, which knows the session by it at a logout.
    Column("id_token", Text),
    Index(None, "account_id"),
    Index(None, "expires_at_ms"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    # Whose account it came from, also by way of another token; empty: from the command line.
    Column("account_id", Id, ForeignKey("accounts.id")),
    Column("expires_at_ms", BigInteger),
    Column("last_used_ms", BigInteger),
    Column("revoked_at_ms", BigInteger),
    Column("sites", Text),
    Index(None, "account_id"),
    CheckConstraint("role IN ('guard', 'viewer', 'operator', 'admin')", name="role"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("action", Text, nullable=False),
    # What it was done to, and with which settings. Never a name, a number or a secret.
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    # Of the line before and this one: store/accounts/audit_chain.py, which gives the ids, too.
    Column("digest", LargeBinary, nullable=False),
    Index(None, "at_ms"),
)

# Filters of a page of the console, under a name.
saved_views = Table(
    "saved_views",
    metadata,
    Column("id", Id, primary_key=True),
    # Whose own it is; without, it is shared.
    Column("account_id", Id, ForeignKey("accounts.id", ondelete="CASCADE")),
    # Who made it, and may change it when it is shared.
    Column("maker_id", Id, ForeignKey("accounts.id", ondelete="SET NULL")),
    Column("page", Text, nullable=False),
    Column("name", Text, nullable=False),
    # In the form in which names are compared.
    Column("folded_name", Text, nullable=False),
    # JSON, by the names of the filters.
    Column("filters", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at_ms", BigInteger, nullable=False),
    Index(None, "account_id"),
    Index(None, "page"),
)

# With which view a page begins, for a user.
view_starts = Table(
    "view_starts",
    metadata,
    Column("account_id", Id, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("page", Text, primary_key=True),
    Column("view_id", Id, ForeignKey("saved_views.id", ondelete="CASCADE"), nullable=False),
    Index(None, "view_id"),
)
