"""Define the tables of adopted terminals and of their histories."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, SmallInteger, Table, Text

from gatepost.store.schema.metadata import Id, metadata

__all__ = ["adopted_terminals", "adoptions", "adoption_rows", "fleet_jobs", "fleet_audits"]

# Terminals whose own HTTP service is managed: store/terminals/fleet.py.
adopted_terminals = Table(
    "adopted_terminals",
    metadata,
    Column("terminal_id", Id, ForeignKey("terminals.id"), primary_key=True, autoincrement=False),
    # Of its service, and of ours up to the token.
    Column("address", Text, nullable=False),
    Column("ours", Text, nullable=False),
    # Account and token, sealed; no backup has it.
    Column("secrets", LargeBinary),
    # SHA-256 of its certificate; NULL for plain HTTP.
    Column("certificate", LargeBinary),
    # Where it pushed to before, sealed (no backup has it), and as it may be shown.
    Column("previous", LargeBinary),
    Column("previous_shown", Text),
    # gatepost.fleet.tending.decisions.
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    # JSON: when its address was set within the last hour, in Unix seconds.
    Column("sets", Text, nullable=False),
    Column("must_set", SmallInteger, nullable=False),
    # 1: it has shown the address that we set.
    Column("shows", SmallInteger, nullable=False),
    # When its address was set last: what arrives afterwards arrives by it.
    Column("set_at_ms", BigInteger),
    # When it was looked at last, when it was reached, and what it said then.
    Column("looked_at_ms", BigInteger),
    Column("reached_at_ms", BigInteger),
    Column("found", Text),
    Column("shown", Text),
    Column("said", Text),
    Column("clock_error_ms", BigInteger),
    # When it had last pushed, at the last look for silences that were too long for its cache.
    Column("pushed_at_ms", BigInteger),
    Column("adopted_at_ms", BigInteger, nullable=False),
    Column("adopted_by", Text, nullable=False),
    # How often a person changed it: what was found out before counts no more.
    Column("revision", BigInteger, nullable=False),
    Index(None, "due_ms"),
)

# Several terminals that are adopted together.
adoptions = Table(
    "adoptions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("ours", Text, nullable=False),
    Column("finished_at_ms", BigInteger),
    # No number is given twice.
    sqlite_autoincrement=True,
)

adoption_rows = Table(
    "adoption_rows",
    metadata,
    Column("adoption_id", Id, ForeignKey("adoptions.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("address", Text, nullable=False),
    Column("name", Text),
    Column("site_id", BigInteger),
    # The account, sealed, until it is tried; no backup has it.
    Column("secrets", LargeBinary),
    # "waiting", "trying", "adopted" or "failed".
    Column("state", Text, nullable=False),
    Column("serial", Text),
    Column("terminal_id", BigInteger),
    # Why it failed, and what to do.
    Column("reason", Text, nullable=False),
    Index(None, "state", "adoption_id"),
    sqlite_with_rowid=False,
)

# Spans of a terminal's history that are fetched, or that it is proposed to fetch: store/terminals/fleet_jobs.py.
fleet_jobs = Table(
    "fleet_jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("terminal_id", Id, ForeignKey("terminals.id"), nullable=False),
    # "proposed", "waiting", "running", "paused", "done", "failed" or "cancelled".
    Column("state", Text, nullable=False),
    # Seconds by the terminal's clock, both included; and the last of those that are fetched whole.
    Column("since_s", BigInteger, nullable=False),
    Column("until_s", BigInteger, nullable=False),
    Column("done_s", BigInteger, nullable=False),
    # Why it was made: "person", "audit" or "outage".
    Column("origin", Text, nullable=False),
    # Of a proposal: what the terminal had in all when it was made, and what was here.
    Column("there", BigInteger),
    Column("here", BigInteger),
    Column("reason", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("finished_at_ms", BigInteger),
    # How many records the terminal gave, how many of them were not here, and how many could not be read.
    Column("fetched", BigInteger, nullable=False),
    Column("added", BigInteger, nullable=False),
    Column("unreadable", BigInteger, nullable=False),
    Index(None, "state", "due_ms"),
    Index(None, "terminal_id", "id"),
    # No number is given twice.
    sqlite_autoincrement=True,
)

# How many records a terminal has of a local day, against how many are here.
fleet_audits = Table(
    "fleet_audits",
    metadata,
    Column("terminal_id", Id, ForeignKey("terminals.id"), primary_key=True, autoincrement=False),
    Column("day", Text, primary_key=True),
    # NULL: it could not be asked.
    Column("there", BigInteger),
    Column("here", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_with_rowid=False,
)
