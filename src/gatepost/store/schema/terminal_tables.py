"""Define the tables of terminals and their sites."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
)

from gatepost.store.schema.metadata import Id, metadata

__all__ = ["TERMINAL_STATES", "sites", "terminals", "peers", "tallies", "refusals", "disagreements"]

TERMINAL_STATES = ("new", "approved", "held", "retired")
"""``new``: seen, not yet looked at; ``approved``; ``held``: stored, hidden until approved; ``retired``."""

sites = Table(
    "sites",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("timezone", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

terminals = Table(
    "terminals",
    metadata,
    Column("id", Id, primary_key=True),
    Column("serial", Text, unique=True),
    # Where nothing said which terminal it is, a peer address stands for one.
    Column("anonymous_peer", Text, unique=True),
    Column("name", Text),
    Column("site_id", Id, ForeignKey("sites.id"), nullable=False),
    Column("timezone", Text),
    Column("state", Text, nullable=False),
    # "in", "out" or "both": which way people go who pass there.
    Column("direction", Text, nullable=False, server_default="both"),
    Column("token_digest", LargeBinary, unique=True),
    # Of the token that replaces this one as soon as the terminal has taken its new address: both are valid until then.
    Column("next_token_digest", LargeBinary, unique=True),
    Column("networks", Text),
    Column("model", Text),
    Column("dialect", Text),
    Column("created_at_ms", BigInteger, nullable=False),
    # When the token that it has now was first used.
    Column("token_used_at_ms", BigInteger),
    # Since when it has used a token, whichever it was: it outlives the change of a token, not its removal.
    Column("token_required_since_ms", BigInteger),
    # 1: records of it were fetched from its history.
    Column("backfilled", SmallInteger, nullable=False, server_default="0"),
    CheckConstraint("state IN ('new', 'approved', 'held', 'retired')", name="state"),
    CheckConstraint("direction IN ('in', 'out', 'both')", name="direction"),
    # The id of a terminal that was deleted is no other one's: an ingest may still know it.
    sqlite_autoincrement=True,
)

peers = Table(
    "peers",
    metadata,
    Column("address", Text, primary_key=True),
    Column("terminal_id", Id, ForeignKey("terminals.id"), primary_key=True, autoincrement=False),
    # When it last pushed from there and said who it was, to the hour.
    Column("at_ms", BigInteger, nullable=False),
    Index(None, "at_ms"),
)

tallies = Table(
    "tallies",
    metadata,
    Column("terminal_id", Id, ForeignKey("terminals.id"), primary_key=True),
    Column("writer", Integer, primary_key=True),
    Column("records", BigInteger, nullable=False),
    Column("alarms", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("with_problems", BigInteger, nullable=False),
    Column("late", BigInteger, nullable=False),
    Column("first_at_ms", BigInteger, nullable=False),
    Column("last_at_ms", BigInteger, nullable=False),
    Column("last_recorded_ms", BigInteger),
    # The clock when it pushed, where firmware says so (the ``timestamp`` header), against ours.
    Column("clock_error_ms", BigInteger),
    # Where it does not: the shortest time between passage and arrival on the last day of receipt.
    Column("least_lag_ms", BigInteger),
    Column("lag_day", Integer),
    Column("interval_ms", BigInteger),
    Column("peer", Text),
    # When the last of the late ones arrived: a backlog is coming in, if that was just now.
    Column("late_at_ms", BigInteger),
    # When it last pushed without its token.
    Column("tokenless_at_ms", BigInteger),
    # Records that bear the id of another event of this terminal, and events whose id cannot be one.
    Column("repeated_ids", BigInteger, nullable=False),
    Column("unusable_ids", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

refusals = Table(
    "refusals",
    metadata,
    # 0 where nobody could say which terminal it was: no foreign key.
    Column("terminal_id", Id, primary_key=True),
    Column("writer", Integer, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_at_ms", BigInteger, nullable=False),
)

disagreements = Table(
    "disagreements",
    metadata,
    Column("terminal_id", Id, ForeignKey("terminals.id"), primary_key=True),
    Column("source", Text, primary_key=True),
    Column("said", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("first_at_ms", BigInteger, nullable=False),
    Column("last_at_ms", BigInteger, nullable=False),
)
