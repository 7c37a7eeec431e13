"""Define the tables of what terminals send, of its images, and of the people in it."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from gatepost.store.schema.metadata import Id, metadata

__all__ = [
    "facets",
    "identities",
    "records",
    "alarm_events",
    "alarms",
    "quarantine",
    "deleted_events",
    "refused_pushes",
    "refusal_samples",
    "packs",
    "images",
]

facets = Table(
    "facets",
    metadata,
    Column("id", Id, primary_key=True),
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
    Column("id", Id, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    # Where the terminals of their records stand: store/people/moving.py.
    Column("site_id", Id, ForeignKey("sites.id"), nullable=False),
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
    Column("id", Id, autoincrement=False, nullable=False),
    Column("terminal_id", Id, ForeignKey("terminals.id"), nullable=False),
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
    Column("facet_id", Id, ForeignKey("facets.id"), nullable=False),
    Column("identity_id", Id, ForeignKey("identities.id")),
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
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("terminal_id", Id, ForeignKey("terminals.id"), nullable=False),
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
    Column("alarm_id", Id),
    UniqueConstraint("terminal_id", "key"),
    Index("ix_alarm_events_trace", "terminal_id", "trace_id", "code", "at_ms"),
    Index(None, "alarm_id", "at_ms"),
    Index(None, "received_at_ms"),
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("terminal_id", Id, ForeignKey("terminals.id"), nullable=False),
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
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("terminal_id", Id, ForeignKey("terminals.id"), nullable=False),
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
    Column("last_id", Id, primary_key=True, autoincrement=False),
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
    Column("id", Id, primary_key=True),
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
    Column("id", Id, primary_key=True),
    Column("peer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("sample", LargeBinary, nullable=False),
    UniqueConstraint("peer", "reason"),
    Index(None, "at_ms"),
)

# Where each image is, and its key: store/images/.
packs = Table(
    "packs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    # What its name says: the kind of its images (store/images/images.py), and the day on which they were received, UTC.
    Column("kind", Text, nullable=False),
    Column("day", Integer, nullable=False),
)

images = Table(
    "images",
    metadata,
    # Of the record, the step of an alarm or the quarantined push: no foreign key, as their ids are of one sequence.
    Column("event_id", Id, primary_key=True, autoincrement=False),
    # 0: its image; 1: the long texts of its original (store/conversion/long_texts.py).
    Column("part", SmallInteger, primary_key=True, autoincrement=False),
    Column("pack_id", Id, ForeignKey("packs.id"), nullable=False),
    Column("byte_offset", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    # Of this image alone: who deletes it deletes the image. With image_keys it is encrypted.
    Column("key", LargeBinary, nullable=False),
    Index("ix_images_pack", "pack_id", "byte_offset"),
    sqlite_with_rowid=False,
)
