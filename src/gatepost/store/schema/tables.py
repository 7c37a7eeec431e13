"""The tables of the receiver's store: one ``MetaData`` for SQLite and PostgreSQL.

Rules:

* Times are integers, milliseconds since 1970 UTC, in columns that end in ``_ms``. Nothing depends on a session's
  time zone, and both databases sort them alike.
* The ids of ``records``, ``alarm_events`` and ``quarantine`` come out of **one** sequence and grow in commit
  order, so that an id is a place in the stream of everything that arrived (``docs/decisions/cursor.md``).
* What makes an event the same event is ``UNIQUE (terminal_id, key)``; ``key`` is sixteen bytes of
  :func:`gatepost.wire.digest`. There is no time window (``docs/decisions/event-identity.md``).
* Names and numbers of people stand in ``identities`` (and in ``original``) and nowhere else: search, filters by
  person and erasure work on thousands of rows, not on millions. What was written about a person (``assignments``,
  ``corrections``) refers to a form of their data, and is deleted with the last one. ``staff`` has imported names.
  ``pin`` stands nowhere. What stands for a person or an event (``identities.digest``, ``key``) is a digest keyed with
  the store's own secret
  (:mod:`gatepost.store.server_keys`), so nobody can try out on a copy of the database whom it stands for.
* ``facets`` names every combination of the coded fields that has occurred; a record points to its own. The
  indexes that begin with it then answer any combination of filters on those fields, newest first: one short
  read per facet that fits, merged (``docs/decisions/facets.md``). There are dozens, not millions.
* In PostgreSQL ``records`` is partitioned by terminal, and tables have settings for autovacuum that fit them
  (``docs/decisions/partitions.md``).
* ``deleted_events`` has the ids of records and steps that retention has deleted, and nothing else of them, so that a
  reader of the feed knows how many there were (``docs/decisions/feed.md``).
* Images are in packs beside the journal (:mod:`gatepost.journal.packs`); ``images`` has the place and the key of each.
* ``destinations`` and what begins with it keep how far each destination of forwarding is: a place, and a row for each
  event behind it that waits or is dead (``docs/decisions/forwarding.md``).
* ``adopted_terminals``: those whose own HTTP service the receiver manages. What opens a terminal is sealed, and in no
  backup (:mod:`gatepost.store.terminals.fleet`).
* ``journal_positions`` is written in the transaction of the events that were read up to there, so that a crash
  neither loses events nor stores them twice.
* ``tallies`` has one row per terminal and *writer* (a process of the receiver), so that processes which store
  events of one terminal at once do not wait for each other's row; the sum is the terminal's count.

``migrations/`` brings a database here; a test proves that both ways end alike.
"""

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    event,
)

__all__ = [
    "metadata",
    "meta",
    "sites",
    "terminals",
    "peers",
    "tallies",
    "refusals",
    "disagreements",
    "facets",
    "identities",
    "records",
    "alarm_events",
    "alarms",
    "quarantine",
    "deleted_events",
    "refused_pushes",
    "refusal_samples",
    "accounts",
    "sessions",
    "api_tokens",
    "audit",
    "journal_positions",
    "receivers",
    "tombstones",
    "packs",
    "images",
    "receipt_days",
    "tables",
    "TERMINAL_STATES",
    "notices",
    "conditions",
    "schedules",
    "holidays",
    "assignments",
    "corrections",
    "joined_people",
    "marked_people",
    "staff",
    "saved_views",
    "view_starts",
    "destinations",
    "destination_places",
    "destination_exceptions",
    "destination_asides",
    "destination_attempts",
    "adopted_terminals",
    "adoptions",
    "adoption_rows",
    "fleet_jobs",
    "fleet_audits",
    "leases",
]

TERMINAL_STATES = ("new", "approved", "held", "retired")
"""``new``: seen, not yet looked at; ``approved``; ``held``: stored, hidden until approved; ``retired``."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# SQLite gives its fast row id only to a column that is declared INTEGER.
_Id = BigInteger().with_variant(Integer(), "sqlite")

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

sites = Table(
    "sites",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("timezone", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

terminals = Table(
    "terminals",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("serial", Text, unique=True),
    # Where nothing said which terminal it is, a peer address stands for one.
    Column("anonymous_peer", Text, unique=True),
    Column("name", Text),
    Column("site_id", _Id, ForeignKey("sites.id"), nullable=False),
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
    Column("terminal_id", _Id, ForeignKey("terminals.id"), primary_key=True, autoincrement=False),
    # When it last pushed from there and said who it was, to the hour.
    Column("at_ms", BigInteger, nullable=False),
    Index(None, "at_ms"),
)

tallies = Table(
    "tallies",
    metadata,
    Column("terminal_id", _Id, ForeignKey("terminals.id"), primary_key=True),
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
    Column("terminal_id", _Id, primary_key=True),
    Column("writer", Integer, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_at_ms", BigInteger, nullable=False),
)

disagreements = Table(
    "disagreements",
    metadata,
    Column("terminal_id", _Id, ForeignKey("terminals.id"), primary_key=True),
    Column("source", Text, primary_key=True),
    Column("said", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("first_at_ms", BigInteger, nullable=False),
    Column("last_at_ms", BigInteger, nullable=False),
)

facets = Table(
    "facets",
    metadata,
    Column("id", _Id, primary_key=True),
    # -1 stands for "not sent", -2 for a code that no table of the page knows: NULLs would not be unique.
    Column("recognition_type", Integer, nullable=False),
    Column("passed", Integer, nullable=False),
    Column("abnormal_type", Integer, nullable=False),
    Column("entry_mode", Integer, nullable=False),
    Column("has_image", Integer, nullable=False),
    # A visitor before or after their time as it was then, or refused for it: conversion/rows.py.
    Column("outside_time", Integer, nullable=False),
    UniqueConstraint(
        "recognition_type",
        "passed",
        "abnormal_type",
        "entry_mode",
        "has_image",
        "outside_time",
        name="uq_facets_combination",
    ),
)

identities = Table(
    "identities",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    # Where the terminals of their records stand: people/moving.py.
    Column("site_id", _Id, ForeignKey("sites.id"), nullable=False),
    Column("user_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("type", BigInteger),
    Column("job_number", Text, nullable=False),
    Column("ic_number", Text, nullable=False),
    Column("id_number", Text, nullable=False),
    Column("remark", Text, nullable=False),
    Column("guest_from_ms", BigInteger),
    Column("guest_until_ms", BigInteger),
    Column("groups", Text, nullable=False),
    Column("first_at_ms", BigInteger, nullable=False),
    Column("erased_at_ms", BigInteger),
    # Name and numbers as search compares them: fold.py.
    Column("folded", Text, nullable=False),
    # With all that a list of people asks for: without a search it looks only at the rows of those whom it shows.
    Index("ix_identities_person", "user_id", "site_id", "type", "id"),
)

records = Table(
    "records",
    metadata,
    Column("id", _Id, autoincrement=False, nullable=False),
    Column("terminal_id", _Id, ForeignKey("terminals.id"), nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("received_at_ms", BigInteger, nullable=False),
    # When it happened; where the terminal did not say, when it arrived. What is listed is sorted by this.
    Column("at_ms", BigInteger, nullable=False),
    Column("recorded_at_ms", BigInteger),
    Column("recognition_type", BigInteger),
    Column("passed", SmallInteger),
    Column("entry_mode", BigInteger),
    Column("abnormal_type", BigInteger),
    Column("score", Float),
    Column("temperature", Float),
    Column("mask", BigInteger),
    Column("mode", BigInteger),
    Column("uuid", Text),
    Column("facet_id", _Id, ForeignKey("facets.id"), nullable=False),
    Column("identity_id", _Id, ForeignKey("identities.id")),
    Column("has_image", SmallInteger, nullable=False, server_default="0"),
    Column("dialect", Text),
    Column("peer", Text),
    Column("problems", Text),
    Column("original", LargeBinary),
    # 1: fetched from the terminal's history; 2: it was pushed later, too; 0: it was pushed.
    Column("backfilled", SmallInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("id").ddl_if(dialect="sqlite"),
    UniqueConstraint("terminal_id", "key"),
    Index(None, "facet_id", "at_ms"),
    Index(None, "terminal_id", "facet_id", "at_ms"),
    # What is due, also where a clock in the past received it: ids do not tell.
    Index(None, "received_at_ms"),
    postgresql_partition_by="HASH (terminal_id)",
)
# By person, with all that a filter or a day of attendance asks for: none of them has to look at the record.
Index(
    "ix_records_person",
    records.c.identity_id,
    records.c.at_ms,
    records.c.terminal_id,
    records.c.facet_id,
    sqlite_where=records.c.identity_id.is_not(None),
    postgresql_where=records.c.identity_id.is_not(None),
)

# What a push may be that was fetched before it came.
Index(
    "ix_records_backfilled",
    records.c.terminal_id,
    records.c.recorded_at_ms,
    sqlite_where=records.c.backfilled == 1,
    postgresql_where=records.c.backfilled == 1,
)
# What is listed by another time than the terminal's: by that one nothing else finds it.
Index(
    "ix_records_clock_ahead",
    records.c.terminal_id,
    records.c.recorded_at_ms,
    sqlite_where=records.c.recorded_at_ms != records.c.at_ms,
    postgresql_where=records.c.recorded_at_ms != records.c.at_ms,
)

alarm_events = Table(
    "alarm_events",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("terminal_id", _Id, ForeignKey("terminals.id"), nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("status", BigInteger),
    Column("code", BigInteger),
    Column("event_time_ms", BigInteger),
    Column("description", Text),
    Column("user_id", Text),
    Column("received_at_ms", BigInteger, nullable=False),
    Column("has_image", SmallInteger, nullable=False, server_default="0"),
    Column("dialect", Text),
    Column("peer", Text),
    Column("problems", Text),
    Column("original", LargeBinary),
    # When it happened, or, without a usable time, when it arrived: conversion/rows.py.
    Column("at_ms", BigInteger, nullable=False),
    # Of the occurrence that it is a step of; empty only within the transaction that stores it.
    Column("alarm_id", _Id),
    UniqueConstraint("terminal_id", "key"),
    Index("ix_alarm_events_trace", "terminal_id", "trace_id", "code", "at_ms"),
    Index(None, "alarm_id", "at_ms"),
    Index(None, "received_at_ms"),
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("terminal_id", _Id, ForeignKey("terminals.id"), nullable=False),
    Column("trace_id", Text, nullable=False),
    # The one that is shown.
    Column("status", BigInteger, nullable=False),
    # Of the step with status 1 that opened it, as are those from ``opened_at_ms`` to ``opener_id``.
    Column("code", BigInteger),
    Column("first_at_ms", BigInteger, nullable=False),
    Column("last_at_ms", BigInteger, nullable=False),
    Column("acknowledged_at_ms", BigInteger),
    Column("acknowledged_by", Text),
    Column("note", Text),
    # The highest of its steps: conversion/occurrences.py.
    Column("own_status", BigInteger, nullable=False),
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("tie", BigInteger, nullable=False),
    Column("timed", SmallInteger, nullable=False),
    Column("opener_received_at_ms", BigInteger, nullable=False),
    Column("opener_id", BigInteger, nullable=False),
    # Of an operator who closed it because its terminal did not clear it.
    Column("closed_at_ms", BigInteger),
    Column("closed_by", Text),
    Column("closed_note", Text),
    UniqueConstraint("terminal_id", "trace_id", "opened_at_ms", "tie", name="uq_alarms_occurrence"),
    Index("ix_alarms_trace_code", "terminal_id", "trace_id", "code", "opened_at_ms", "tie"),
    Index(None, "status", "first_at_ms"),
    Index(None, "first_at_ms"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("terminal_id", _Id, ForeignKey("terminals.id"), nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("received_at_ms", BigInteger, nullable=False),
    Column("peer", Text),
    Column("problems", Text),
    Column("tries", Integer, nullable=False),
    Column("original", LargeBinary, nullable=False),
    UniqueConstraint("terminal_id", "key"),
    Index(None, "received_at_ms"),
)

# A row for each step of retention.
deleted_events = Table(
    "deleted_events",
    metadata,
    Column("last_id", _Id, primary_key=True, autoincrement=False),
    # "record" or "alarm": as in the feed.
    Column("kind", Text, nullable=False),
    Column("first_id", BigInteger, nullable=False),
    # How many.
    Column("events", Integer, nullable=False),
    # From each id to the next one: a list in msgpack.
    Column("gaps", LargeBinary, nullable=False),
)

refused_pushes = Table(
    "refused_pushes",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("peer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("first_at_ms", BigInteger, nullable=False),
    Column("last_at_ms", BigInteger, nullable=False),
    UniqueConstraint("peer", "reason", "path", "serial"),
    Index(None, "last_at_ms"),
)

# Content of people, for administrators: the only rows here that an erasure and the retention delete.
refusal_samples = Table(
    "refusal_samples",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("peer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("sample", LargeBinary, nullable=False),
    UniqueConstraint("peer", "reason"),
    Index(None, "at_ms"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", _Id, primary_key=True),
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
    Column("account_id", _Id, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
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
    Column("id", _Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    # Whose account it came from, also by way of another token; empty: from the command line.
    Column("account_id", _Id, ForeignKey("accounts.id")),
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
    Column("id", _Id, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("action", Text, nullable=False),
    # What it was done to, and with which settings. Never a name, a number or a secret.
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    # Of the line before and this one: query/audit_chain.py, which gives the ids, too.
    Column("digest", LargeBinary, nullable=False),
    Index(None, "at_ms"),
)

journal_positions = Table(
    "journal_positions",
    metadata,
    # The id of a journal, made with its folder: another folder begins without positions.
    Column("journal", LargeBinary, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("segment", BigInteger, nullable=False),
    Column("byte_offset", BigInteger, nullable=False),
    # How many events of the stream lie before it.
    Column("events", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

receivers = Table(
    "receivers",
    metadata,
    # The id of its journal.
    Column("journal", LargeBinary, primary_key=True),
    Column("host", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    # How many it had acknowledged then that were not listed.
    Column("events", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    # Empty: at every site, of every terminal.
    Column("site_id", _Id),
    Column("terminal_id", _Id),
    Index(None, "at_ms"),
)

packs = Table(
    "packs",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    # What its name says: the kind of its images (images/images.py), and the day on which they were received, UTC.
    Column("kind", Text, nullable=False),
    Column("day", Integer, nullable=False),
)

images = Table(
    "images",
    metadata,
    # Of the record, the step of an alarm or the quarantined push: no foreign key, as their ids are of one sequence.
    Column("event_id", _Id, primary_key=True, autoincrement=False),
    # 0: its image; 1: the long texts of its original (conversion/long_texts.py).
    Column("part", SmallInteger, primary_key=True, autoincrement=False),
    Column("pack_id", _Id, ForeignKey("packs.id"), nullable=False),
    Column("byte_offset", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    # Of this image alone: who deletes it deletes the image. With image_keys it is encrypted.
    Column("key", LargeBinary, nullable=False),
    Index("ix_images_pack", "pack_id", "byte_offset"),
    sqlite_with_rowid=False,
)

receipt_days = Table(
    "receipt_days",
    metadata,
    # A day, UTC, counted since 1970, on which anything was received.
    Column("day", Integer, primary_key=True, autoincrement=False),
)


destinations = Table(
    "destinations",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", Text, nullable=False),
    # In the form in which names are compared. Of a replay: with its number, so that it takes none.
    Column("folded_name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    # JSON, without secrets: gatepost.forward.options.destination.
    Column("config", Text, nullable=False),
    # JSON; no backup has it.
    Column("secrets", Text),
    # How often config, secrets or the state by hand were changed.
    Column("revision", BigInteger, nullable=False),
    # How often someone retried or dropped dead letters.
    Column("changes", BigInteger, nullable=False),
    # How many steps of its forwarders are stored: none is stored twice.
    Column("steps", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    # Of a replay: the destination that it is of, and how many events a second it sends at most.
    Column("replay_of", _Id, ForeignKey("destinations.id", ondelete="CASCADE")),
    Column("rate", Float),
    # Of a replay: what was received from the one moment on, and before the other.
    Column("since_ms", BigInteger),
    Column("until_ms", BigInteger),
    Column("finished_at_ms", BigInteger),
    Column("paused_at_ms", BigInteger),
    # It said that it wants no more.
    Column("closed_at_ms", BigInteger),
    Column("closed_why", Text),
    # 1 from when it could not be reached, or wanted no more, until it replies again.
    Column("is_away", Integer, nullable=False),
    # What is settled up to its places; what waits and what is dead has rows of its own.
    Column("seen", BigInteger, nullable=False),
    Column("filtered", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    # JSON: how many were dropped, and how many of the filtered its own rules left out, by reason.
    Column("dropped_why", Text, nullable=False),
    Column("left_out_why", Text, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("delivered_at_ms", BigInteger),
    Column("failed_at_ms", BigInteger),
    Column("failure", Text),
    # The process that sends, and until when no other may; each owner has another fence.
    Column("owner", Text),
    Column("fence", BigInteger, nullable=False),
    Column("lease_until_ms", BigInteger, nullable=False),
    Index(None, "replay_of"),
    # The id of one that was deleted is no other one's: links to images and late commits name it.
    sqlite_autoincrement=True,
)

destination_places = Table(
    "destination_places",
    metadata,
    Column("destination_id", _Id, ForeignKey("destinations.id", ondelete="CASCADE"), primary_key=True),
    # "record" or "alarm": as in the feed.
    Column("kind", Text, primary_key=True),
    # Where it began, and up to where everything is settled or has a row of its own.
    Column("begin_id", BigInteger, nullable=False),
    Column("place", BigInteger, nullable=False),
    # Of a replay: where it ends.
    Column("until_id", BigInteger),
    # The highest id that was tried.
    Column("tried_id", BigInteger, nullable=False),
    # How many of this kind were accepted: what a refusal is judged by.
    Column("accepted", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Events behind the place of a destination that wait for another attempt, or are dead letters.
destination_exceptions = Table(
    "destination_exceptions",
    metadata,
    Column("destination_id", _Id, ForeignKey("destinations.id", ondelete="CASCADE"), primary_key=True),
    # Of a record or of a step of an alarm: their ids are of one sequence.
    Column("event_id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("terminal_id", BigInteger, nullable=False),
    # Of a step of an alarm: steps of one leave in their order.
    Column("alarm_id", BigInteger),
    Column("received_at_ms", BigInteger, nullable=False),
    # 1: a dead letter.
    Column("is_dead", SmallInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("refusals", Integer, nullable=False),
    # How many had been accepted when it was refused first: of its kind, or of any where order is kept.
    Column("mark", BigInteger),
    Column("attempted_at_ms", BigInteger),
    Column("due_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("dead_at_ms", BigInteger),
    Index(None, "destination_id", "is_dead", "event_id"),
    sqlite_with_rowid=False,
)

# Events behind the place that were left aside: of a terminal that is held, or behind one that waits.
destination_asides = Table(
    "destination_asides",
    metadata,
    Column("destination_id", _Id, ForeignKey("destinations.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("terminal_id", BigInteger, primary_key=True, autoincrement=False),
    # They have ids above the first and up to the second.
    Column("after_id", BigInteger, nullable=False),
    Column("until_id", BigInteger, nullable=False),
    # How many there were that are not settled.
    Column("events", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The latest attempts of each destination.
destination_attempts = Table(
    "destination_attempts",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("destination_id", _Id, ForeignKey("destinations.id", ondelete="CASCADE"), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("took_ms", BigInteger, nullable=False),
    # The first of the events that were sent together, and how many these were.
    Column("event_id", BigInteger, nullable=False),
    Column("events", Integer, nullable=False),
    # "delivered", "refused", "unreachable" or "closed".
    Column("outcome", Text, nullable=False),
    Column("status", Text, nullable=False),
    # What the destination said, shortened: it may be about a person.
    Column("reply", Text, nullable=False),
    Index(None, "destination_id", "id"),
)

# What happened to the installation itself: query/notices.py.
notices = Table(
    "notices",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    # Of a terminal that may be deleted since: no foreign key.
    Column("terminal_id", BigInteger),
    # JSON.
    Column("detail", Text, nullable=False),
)

# What a notice said and no later one has ended.
conditions = Table(
    "conditions",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("since_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Terminals whose own HTTP service is managed: query/fleet.py.
adopted_terminals = Table(
    "adopted_terminals",
    metadata,
    Column("terminal_id", _Id, ForeignKey("terminals.id"), primary_key=True, autoincrement=False),
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
    Column("id", _Id, primary_key=True),
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
    Column("adoption_id", _Id, ForeignKey("adoptions.id", ondelete="CASCADE"), primary_key=True),
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

# Spans of a terminal's history that are fetched, or that it is proposed to fetch: query/fleet_jobs.py.
fleet_jobs = Table(
    "fleet_jobs",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("terminal_id", _Id, ForeignKey("terminals.id"), nullable=False),
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
    Column("terminal_id", _Id, ForeignKey("terminals.id"), primary_key=True, autoincrement=False),
    Column("day", Text, primary_key=True),
    # NULL: it could not be asked.
    Column("there", BigInteger),
    Column("here", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_with_rowid=False,
)

# What one process alone does, on a server with several receivers.
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text),
    # Each owner has another one.
    Column("fence", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# When people are to be there: people/schedules.py.
schedules = Table(
    "schedules",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", Text, nullable=False),
    # In the form in which names are compared.
    Column("folded_name", Text, nullable=False, unique=True),
    # Minutes since midnight.
    Column("start_min", Integer, nullable=False),
    Column("end_min", Integer, nullable=False),
    Column("grace_min", Integer, nullable=False),
    Column("break_min", Integer, nullable=False),
    # Days of the week, a digit each: Monday is 1.
    Column("days", Text, nullable=False),
    Column("half_days", Text, nullable=False),
    Column("half_end_min", Integer),
    Column("on_holidays", SmallInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

holidays = Table(
    "holidays",
    metadata,
    Column("id", _Id, primary_key=True),
    # As ISO 8601 writes it: days are compared as texts.
    Column("day", Text, nullable=False),
    # 0: at every site.
    Column("site_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("is_half", SmallInteger, nullable=False),
    UniqueConstraint("day", "site_id"),
)

# Whose schedule it is, from a day on: of a group, or of a person by a form of their data.
assignments = Table(
    "assignments",
    metadata,
    Column("id", _Id, primary_key=True),
    # Empty: without a schedule from that day on.
    Column("schedule_id", _Id, ForeignKey("schedules.id")),
    # What is the same of groups that are one (people/groups.py), and how it was written.
    Column("group_key", Text),
    Column("group_name", Text),
    Column("identity_id", _Id, ForeignKey("identities.id", ondelete="CASCADE")),
    Column("since", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Index(None, "schedule_id"),
    Index(None, "identity_id"),
)

# Names and departments for numbers, as they were imported: people/staff.py.
staff = Table(
    "staff",
    metadata,
    Column("id", _Id, primary_key=True),
    # 0: at every site.
    Column("site_id", BigInteger, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("department", Text, nullable=False),
    # Name as search compares it, and the key of the department as groups are compared.
    Column("folded", Text, nullable=False),
    Column("group_key", Text, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
    UniqueConstraint("user_id", "site_id"),
    Index(None, "group_key"),
)

# Numbers that are one person: people/joined.py.
joined_people = Table(
    "joined_people",
    metadata,
    Column("id", _Id, primary_key=True),
    # The same of all numbers of one person.
    Column("person", BigInteger, nullable=False),
    Column("identity_id", _Id, ForeignKey("identities.id", ondelete="CASCADE"), nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at_ms", BigInteger, nullable=False),
    Index(None, "identity_id"),
)

# People whom guards are told to look out for: people/marked.py.
marked_people = Table(
    "marked_people",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("identity_id", _Id, ForeignKey("identities.id", ondelete="CASCADE"), nullable=False),
    Column("reason", Text, nullable=False),
    # NULL: until it is taken away.
    Column("until_ms", BigInteger),
    Column("made_by", Text, nullable=False),
    Column("made_at_ms", BigInteger, nullable=False),
    Index(None, "identity_id"),
)

# Passages that a person added or struck: records stay as they are.
corrections = Table(
    "corrections",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("identity_id", _Id, ForeignKey("identities.id", ondelete="CASCADE"), nullable=False),
    # "added" or "struck".
    Column("kind", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    # Of a struck passage: when its last repeat came.
    Column("until_ms", BigInteger, nullable=False),
    # Where a struck passage was; of an added one, where people are told apart by terminal: whose person it is.
    Column("terminal_id", BigInteger),
    Column("record_id", BigInteger),
    Column("note", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at_ms", BigInteger, nullable=False),
    Column("withdrawn_by", Text),
    Column("withdrawn_at_ms", BigInteger),
    Index(None, "identity_id"),
    Index(None, "at_ms"),
)

# Filters of a page of the console, under a name.
saved_views = Table(
    "saved_views",
    metadata,
    Column("id", _Id, primary_key=True),
    # Whose own it is; without, it is shared.
    Column("account_id", _Id, ForeignKey("accounts.id", ondelete="CASCADE")),
    # Who made it, and may change it when it is shared.
    Column("maker_id", _Id, ForeignKey("accounts.id", ondelete="SET NULL")),
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
    Column("account_id", _Id, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("page", Text, primary_key=True),
    Column("view_id", _Id, ForeignKey("saved_views.id", ondelete="CASCADE"), nullable=False),
    Index(None, "view_id"),
)


PARTITIONS = 8
"""Of ``records``, in PostgreSQL."""

_LARGE = (
    "autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_insert_scale_factor=0.05,"
    " autovacuum_analyze_scale_factor=0.02"
)
_CHANGED = "fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000"

ON_POSTGRESQL = (
    "ALTER TABLE records ADD CONSTRAINT pk_records PRIMARY KEY (id, terminal_id)",
    *(
        f"CREATE TABLE records_{number} PARTITION OF records"
        f" FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number}) WITH ({_LARGE})"
        for number in range(PARTITIONS)
    ),
    # Of many rows, of which a few are deleted each day.
    *(f"ALTER TABLE {name} SET ({_LARGE})" for name in ("images", "identities", "alarm_events")),
    # Of few rows, some of which change with every batch.
    *(f"ALTER TABLE {name} SET ({_CHANGED})" for name in ("tallies", "journal_positions", "leases")),
)
"""What SQLAlchemy has no words for, after the tables are made."""

for _statement in ON_POSTGRESQL:
    _made = DDL(_statement)  # type: ignore[no-untyped-call]  # SQLAlchemy has no types for it
    event.listen(metadata, "after_create", _made.execute_if(dialect="postgresql"))


def tables() -> list[Table]:
    """Return the tables, each after those that it refers to."""
    return list(metadata.sorted_tables)
