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

from sqlalchemy import Table

from gatepost.store.schema.account_tables import (
    accounts,
    api_tokens,
    audit,
    saved_views,
    sessions,
    view_starts,
)
from gatepost.store.schema.event_tables import (
    alarm_events,
    alarms,
    deleted_events,
    facets,
    identities,
    images,
    packs,
    quarantine,
    records,
    refusal_samples,
    refused_pushes,
)
from gatepost.store.schema.fleet_tables import (
    adopted_terminals,
    adoption_rows,
    adoptions,
    fleet_audits,
    fleet_jobs,
)
from gatepost.store.schema.forwarding_tables import (
    destination_asides,
    destination_attempts,
    destination_exceptions,
    destination_places,
    destinations,
)
from gatepost.store.schema.metadata import metadata
from gatepost.store.schema.people_tables import (
    assignments,
    corrections,
    holidays,
    joined_people,
    marked_people,
    schedules,
    staff,
    tombstones,
)
from gatepost.store.schema.postgresql import ON_POSTGRESQL, PARTITIONS, tell_postgresql
from gatepost.store.schema.receiver_tables import (
    conditions,
    journal_positions,
    leases,
    meta,
    notices,
    receipt_days,
    receivers,
)
from gatepost.store.schema.terminal_tables import (
    TERMINAL_STATES,
    disagreements,
    peers,
    refusals,
    sites,
    tallies,
    terminals,
)

__all__ = [
    "tables",
    "accounts",
    "api_tokens",
    "audit",
    "saved_views",
    "sessions",
    "view_starts",
    "alarm_events",
    "alarms",
    "deleted_events",
    "facets",
    "identities",
    "quarantine",
    "records",
    "refusal_samples",
    "refused_pushes",
    "adopted_terminals",
    "adoption_rows",
    "adoptions",
    "fleet_audits",
    "fleet_jobs",
    "destination_asides",
    "destination_attempts",
    "destination_exceptions",
    "destination_places",
    "destinations",
    "images",
    "packs",
    "metadata",
    "assignments",
    "corrections",
    "holidays",
    "joined_people",
    "marked_people",
    "schedules",
    "staff",
    "tombstones",
    "ON_POSTGRESQL",
    "PARTITIONS",
    "conditions",
    "journal_positions",
    "leases",
    "meta",
    "notices",
    "receipt_days",
    "receivers",
    "TERMINAL_STATES",
    "disagreements",
    "peers",
    "refusals",
    "sites",
    "tallies",
    "terminals",
]

tell_postgresql(metadata)


def tables() -> list[Table]:
    """Return the tables, each after those that it refers to."""
    return list(metadata.sorted_tables)
