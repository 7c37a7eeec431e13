"""Every table, the first site, and the store's own secret.

It is changed, and no second one is made, until a version is published. It is as long as there are tables: a migration
makes a database by itself and imports none of today's tables, so that it stays the same when they change.
"""

from secrets import token_hex

import sqlalchemy as sa
from alembic import op

revision = "0001_initial"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


_PARTITIONS = 8
_LARGE = (
    "autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_insert_scale_factor=0.05,"
    " autovacuum_analyze_scale_factor=0.02"
)
_CHANGED = "fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000"


def upgrade() -> None:
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "accounts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded_name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("must_change", sa.Integer(), nullable=False),
        sa.Column("unlocked_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("sites", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.CheckConstraint("role IN ('guard', 'viewer', 'operator', 'admin')", name=op.f("ck_accounts_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("folded_name", name=op.f("uq_accounts_folded_name")),
        sa.UniqueConstraint("subject", name=op.f("uq_accounts_subject")),
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("account_id", _ID, nullable=True),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_used_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("sites", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "role IN ('guard', 'viewer', 'operator', 'admin')", name=op.f("ck_api_tokens_role")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_api_tokens_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_tokens_digest")),
    )
    op.create_index(op.f("ix_api_tokens_account_id"), "api_tokens", ["account_id"])
    op.create_table(
        "audit",
        sa.Column("id", _ID, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at_ms"), "audit", ["at_ms"])
    op.create_table(
        "facets",
        sa.Column("id", _ID, nullable=False),
        sa.Column("recognition_type", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("abnormal_type", sa.Integer(), nullable=False),
        sa.Column("entry_mode", sa.Integer(), nullable=False),
        sa.Column("has_image", sa.Integer(), nullable=False),
        sa.Column("outside_time", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_facets")),
        sa.UniqueConstraint(
            "recognition_type",
            "passed",
            "abnormal_type",
            "entry_mode",
            "has_image",
            "outside_time",
            name="uq_facets_combination",
        ),
    )
    op.create_table(
        "deleted_events",
        sa.Column("last_id", _ID, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("first_id", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("gaps", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("last_id", name=op.f("pk_deleted_events")),
    )
    op.create_table(
        "journal_positions",
        sa.Column("journal", sa.LargeBinary(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("segment", sa.BigInteger(), nullable=False),
        sa.Column("byte_offset", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journal", "stream", name=op.f("pk_journal_positions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "receivers",
        sa.Column("journal", sa.LargeBinary(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journal", name=op.f("pk_receivers")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "receipt_days",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_receipt_days")),
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )
    op.create_table(
        "refusal_samples",
        sa.Column("id", _ID, nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("sample", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refusal_samples")),
        sa.UniqueConstraint("peer", "reason", name=op.f("uq_refusal_samples_peer_reason")),
    )
    op.create_index(op.f("ix_refusal_samples_at_ms"), "refusal_samples", ["at_ms"])
    op.create_table(
        "refusals",
        sa.Column("terminal_id", _ID, nullable=False),
        sa.Column("writer", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("terminal_id", "writer", "reason", name=op.f("pk_refusals")),
    )
    op.create_table(
        "refused_pushes",
        sa.Column("id", _ID, nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refused_pushes")),
        sa.UniqueConstraint(
            "peer", "reason", "path", "serial", name=op.f("uq_refused_pushes_peer_reason_path_serial")
        ),
    )
    op.create_index(op.f("ix_refused_pushes_last_at_ms"), "refused_pushes", ["last_at_ms"])
    op.create_table(
        "sites",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sites")),
        sa.UniqueConstraint("name", name=op.f("uq_sites_name")),
    )
    op.create_table(
        "identities",
        sa.Column("id", _ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("site_id", _ID, nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.BigInteger(), nullable=True),
        sa.Column("job_number", sa.Text(), nullable=False),
        sa.Column("ic_number", sa.Text(), nullable=False),
        sa.Column("id_number", sa.Text(), nullable=False),
        sa.Column("remark", sa.Text(), nullable=False),
        sa.Column("guest_from_ms", sa.BigInteger(), nullable=True),
        sa.Column("guest_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("groups", sa.Text(), nullable=False),
        sa.Column("first_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("erased_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_identities_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint("digest", name=op.f("uq_identities_digest")),
    )
    op.create_index("ix_identities_person", "identities", ["user_id", "site_id", "type", "id"])
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_used_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("id_token", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_sessions_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_account_id"), "sessions", ["account_id"])
    op.create_index(op.f("ix_sessions_expires_at_ms"), "sessions", ["expires_at_ms"])
    op.create_table(
        "terminals",
        sa.Column("id", _ID, nullable=False),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.Column("anonymous_peer", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("site_id", _ID, nullable=False),
        sa.Column("timezone", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), server_default="both", nullable=False),
        sa.Column("token_digest", sa.LargeBinary(), nullable=True),
        sa.Column("next_token_digest", sa.LargeBinary(), nullable=True),
        sa.Column("networks", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("dialect", sa.Text(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("token_used_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("token_required_since_ms", sa.BigInteger(), nullable=True),
        sa.Column("backfilled", sa.SmallInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "state IN ('new', 'approved', 'held', 'retired')", name=op.f("ck_terminals_state")
        ),
        sa.CheckConstraint("direction IN ('in', 'out', 'both')", name=op.f("ck_terminals_direction")),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_terminals_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_terminals")),
        sa.UniqueConstraint("anonymous_peer", name=op.f("uq_terminals_anonymous_peer")),
        sa.UniqueConstraint("next_token_digest", name=op.f("uq_terminals_next_token_digest")),
        sa.UniqueConstraint("serial", name=op.f("uq_terminals_serial")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_terminals_token_digest")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "alarm_events",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("terminal_id", _ID, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.BigInteger(), nullable=True),
        sa.Column("event_time_ms", sa.BigInteger(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("has_image", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("dialect", sa.Text(), nullable=True),
        sa.Column("peer", sa.Text(), nullable=True),
        sa.Column("problems", sa.Text(), nullable=True),
        sa.Column("original", sa.LargeBinary(), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("alarm_id", _ID, nullable=True),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_alarm_events_terminal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_events")),
        sa.UniqueConstraint("terminal_id", "key", name=op.f("uq_alarm_events_terminal_id_key")),
    )
    op.create_index(op.f("ix_alarm_events_alarm_id_at_ms"), "alarm_events", ["alarm_id", "at_ms"])
    op.create_index(op.f("ix_alarm_events_received_at_ms"), "alarm_events", ["received_at_ms"])
    op.create_index("ix_alarm_events_trace", "alarm_events", ["terminal_id", "trace_id", "code", "at_ms"])
    op.create_table(
        "alarms",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("terminal_id", _ID, nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=True),
        sa.Column("first_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("own_status", sa.BigInteger(), nullable=False),
        sa.Column("opened_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("tie", sa.BigInteger(), nullable=False),
        sa.Column("timed", sa.SmallInteger(), nullable=False),
        sa.Column("opener_received_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("opener_id", sa.BigInteger(), nullable=False),
        sa.Column("closed_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("closed_note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_alarms_terminal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
        sa.UniqueConstraint("terminal_id", "trace_id", "opened_at_ms", "tie", name="uq_alarms_occurrence"),
    )
    op.create_index(op.f("ix_alarms_first_at_ms"), "alarms", ["first_at_ms"])
    op.create_index(op.f("ix_alarms_status_first_at_ms"), "alarms", ["status", "first_at_ms"])
    op.create_index(
        "ix_alarms_trace_code", "alarms", ["terminal_id", "trace_id", "code", "opened_at_ms", "tie"]
    )
    op.create_table(
        "disagreements",
        sa.Column("terminal_id", _ID, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_disagreements_terminal_id")),
        sa.PrimaryKeyConstraint("terminal_id", "source", "said", name=op.f("pk_disagreements")),
    )
    op.create_table(
        "peers",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("terminal_id", _ID, autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_peers_terminal_id")),
        sa.PrimaryKeyConstraint("address", "terminal_id", name=op.f("pk_peers")),
    )
    op.create_index(op.f("ix_peers_at_ms"), "peers", ["at_ms"])
    op.create_table(
        "quarantine",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("terminal_id", _ID, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=True),
        sa.Column("problems", sa.Text(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("original", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_quarantine_terminal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint("terminal_id", "key", name=op.f("uq_quarantine_terminal_id_key")),
    )
    op.create_index(op.f("ix_quarantine_received_at_ms"), "quarantine", ["received_at_ms"])
    op.create_table(
        "records",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("terminal_id", _ID, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("recognition_type", sa.BigInteger(), nullable=True),
        sa.Column("passed", sa.SmallInteger(), nullable=True),
        sa.Column("entry_mode", sa.BigInteger(), nullable=True),
        sa.Column("abnormal_type", sa.BigInteger(), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("temperature", sa.Float(), nullable=True),
        sa.Column("mask", sa.BigInteger(), nullable=True),
        sa.Column("mode", sa.BigInteger(), nullable=True),
        sa.Column("uuid", sa.Text(), nullable=True),
        sa.Column("facet_id", _ID, nullable=False),
        sa.Column("identity_id", _ID, nullable=True),
        sa.Column("has_image", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("dialect", sa.Text(), nullable=True),
        sa.Column("peer", sa.Text(), nullable=True),
        sa.Column("problems", sa.Text(), nullable=True),
        sa.Column("original", sa.LargeBinary(), nullable=True),
        sa.Column("backfilled", sa.SmallInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["facet_id"], ["facets.id"], name=op.f("fk_records_facet_id")),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"], name=op.f("fk_records_identity_id")),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_records_terminal_id")),
        *([] if on_postgresql else [sa.PrimaryKeyConstraint("id", name=op.f("pk_records"))]),
        sa.UniqueConstraint("terminal_id", "key", name=op.f("uq_records_terminal_id_key")),
        postgresql_partition_by="HASH (terminal_id)",
    )
    op.create_index(op.f("ix_records_facet_id_at_ms"), "records", ["facet_id", "at_ms"])
    op.create_index(op.f("ix_records_received_at_ms"), "records", ["received_at_ms"])
    op.create_index(
        "ix_records_person",
        "records",
        ["identity_id", "at_ms", "terminal_id", "facet_id"],
        sqlite_where=sa.text("identity_id IS NOT NULL"),
        postgresql_where=sa.text("identity_id IS NOT NULL"),
    )
    for name, where in (
        ("ix_records_backfilled", "backfilled = 1"),
        ("ix_records_clock_ahead", "recorded_at_ms != at_ms"),
    ):
        op.create_index(
            name,
            "records",
            ["terminal_id", "recorded_at_ms"],
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )
    op.create_index(
        op.f("ix_records_terminal_id_facet_id_at_ms"), "records", ["terminal_id", "facet_id", "at_ms"]
    )
    op.create_table(
        "tallies",
        sa.Column("terminal_id", _ID, nullable=False),
        sa.Column("writer", sa.Integer(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("alarms", sa.BigInteger(), nullable=False),
        sa.Column("quarantined", sa.BigInteger(), nullable=False),
        sa.Column("duplicates", sa.BigInteger(), nullable=False),
        sa.Column("with_problems", sa.BigInteger(), nullable=False),
        sa.Column("late", sa.BigInteger(), nullable=False),
        sa.Column("first_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_recorded_ms", sa.BigInteger(), nullable=True),
        sa.Column("clock_error_ms", sa.BigInteger(), nullable=True),
        sa.Column("least_lag_ms", sa.BigInteger(), nullable=True),
        sa.Column("lag_day", sa.Integer(), nullable=True),
        sa.Column("interval_ms", sa.BigInteger(), nullable=True),
        sa.Column("peer", sa.Text(), nullable=True),
        sa.Column("late_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("tokenless_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("repeated_ids", sa.BigInteger(), nullable=False),
        sa.Column("unusable_ids", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_tallies_terminal_id")),
        sa.PrimaryKeyConstraint("terminal_id", "writer", name=op.f("pk_tallies")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tombstones",
        sa.Column("id", _ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("site_id", _ID, nullable=True),
        sa.Column("terminal_id", _ID, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tombstones")),
    )
    op.create_index(op.f("ix_tombstones_at_ms"), "tombstones", ["at_ms"])
    op.create_table(
        "packs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_packs")),
        sa.UniqueConstraint("name", name=op.f("uq_packs_name")),
    )
    op.create_table(
        "images",
        sa.Column("event_id", _ID, autoincrement=False, nullable=False),
        sa.Column("part", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("pack_id", _ID, nullable=False),
        sa.Column("byte_offset", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["pack_id"], ["packs.id"], name=op.f("fk_images_pack_id")),
        sa.PrimaryKeyConstraint("event_id", "part", name=op.f("pk_images")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_images_pack", "images", ["pack_id", "byte_offset"])
    op.create_table(
        "destinations",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded_name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("secrets", sa.Text(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.Column("steps", sa.BigInteger(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("replay_of", _ID, nullable=True),
        sa.Column("rate", sa.Float(), nullable=True),
        sa.Column("since_ms", sa.BigInteger(), nullable=True),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("finished_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("paused_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("closed_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("closed_why", sa.Text(), nullable=True),
        sa.Column("is_away", sa.Integer(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("filtered", sa.BigInteger(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.Column("dropped_why", sa.Text(), nullable=False),
        sa.Column("left_out_why", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("failed_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["replay_of"],
            ["destinations.id"],
            name=op.f("fk_destinations_replay_of"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destinations")),
        sa.UniqueConstraint("folded_name", name=op.f("uq_destinations_folded_name")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_destinations_replay_of"), "destinations", ["replay_of"])
    op.create_table(
        "destination_places",
        sa.Column("destination_id", _ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("begin_id", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("until_id", sa.BigInteger(), nullable=True),
        sa.Column("tried_id", sa.BigInteger(), nullable=False),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["destination_id"],
            ["destinations.id"],
            name=op.f("fk_destination_places_destination_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("destination_id", "kind", name=op.f("pk_destination_places")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "destination_exceptions",
        sa.Column("destination_id", _ID, nullable=False),
        sa.Column("event_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.BigInteger(), nullable=False),
        sa.Column("alarm_id", sa.BigInteger(), nullable=True),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("is_dead", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("mark", sa.BigInteger(), nullable=True),
        sa.Column("attempted_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("dead_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["destination_id"],
            ["destinations.id"],
            name=op.f("fk_destination_exceptions_destination_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("destination_id", "event_id", name=op.f("pk_destination_exceptions")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_destination_exceptions_destination_id_is_dead_event_id"),
        "destination_exceptions",
        ["destination_id", "is_dead", "event_id"],
    )
    op.create_table(
        "destination_asides",
        sa.Column("destination_id", _ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("after_id", sa.BigInteger(), nullable=False),
        sa.Column("until_id", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["destination_id"],
            ["destinations.id"],
            name=op.f("fk_destination_asides_destination_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("destination_id", "kind", "terminal_id", name=op.f("pk_destination_asides")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "destination_attempts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("destination_id", _ID, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("took_ms", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["destination_id"],
            ["destinations.id"],
            name=op.f("fk_destination_attempts_destination_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destination_attempts")),
    )
    op.create_index(
        op.f("ix_destination_attempts_destination_id_id"), "destination_attempts", ["destination_id", "id"]
    )
    op.create_table(
        "notices",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.BigInteger(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    op.create_table(
        "conditions",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "subject", name=op.f("pk_conditions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "adoptions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("ours", sa.Text(), nullable=False),
        sa.Column("finished_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adoptions")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "fleet_jobs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("terminal_id", _ID, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since_s", sa.BigInteger(), nullable=False),
        sa.Column("until_s", sa.BigInteger(), nullable=False),
        sa.Column("done_s", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("there", sa.BigInteger(), nullable=True),
        sa.Column("here", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("finished_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("fetched", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("unreadable", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_fleet_jobs_terminal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fleet_jobs")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_fleet_jobs_state_due_ms"), "fleet_jobs", ["state", "due_ms"])
    op.create_index(op.f("ix_fleet_jobs_terminal_id_id"), "fleet_jobs", ["terminal_id", "id"])
    op.create_table(
        "fleet_audits",
        sa.Column("terminal_id", _ID, autoincrement=False, nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("there", sa.BigInteger(), nullable=True),
        sa.Column("here", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_fleet_audits_terminal_id")),
        sa.PrimaryKeyConstraint("terminal_id", "day", name=op.f("pk_fleet_audits")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "adoption_rows",
        sa.Column("adoption_id", _ID, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("site_id", sa.BigInteger(), nullable=True),
        sa.Column("secrets", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.Column("terminal_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["adoption_id"], ["adoptions.id"], name=op.f("fk_adoption_rows_adoption_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("adoption_id", "number", name=op.f("pk_adoption_rows")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_adoption_rows_state_adoption_id"), "adoption_rows", ["state", "adoption_id"], unique=False
    )
    op.create_table(
        "adopted_terminals",
        sa.Column("terminal_id", _ID, autoincrement=False, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("ours", sa.Text(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=True),
        sa.Column("certificate", sa.LargeBinary(), nullable=True),
        sa.Column("previous", sa.LargeBinary(), nullable=True),
        sa.Column("previous_shown", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("sets", sa.Text(), nullable=False),
        sa.Column("must_set", sa.SmallInteger(), nullable=False),
        sa.Column("shows", sa.SmallInteger(), nullable=False),
        sa.Column("set_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("looked_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("reached_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("found", sa.Text(), nullable=True),
        sa.Column("shown", sa.Text(), nullable=True),
        sa.Column("said", sa.Text(), nullable=True),
        sa.Column("clock_error_ms", sa.BigInteger(), nullable=True),
        sa.Column("pushed_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("adopted_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("adopted_by", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["terminal_id"], ["terminals.id"], name=op.f("fk_adopted_terminals_terminal_id")
        ),
        sa.PrimaryKeyConstraint("terminal_id", name=op.f("pk_adopted_terminals")),
    )
    op.create_index(op.f("ix_adopted_terminals_due_ms"), "adopted_terminals", ["due_ms"], unique=False)
    op.create_table(
        "schedules",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded_name", sa.Text(), nullable=False),
        sa.Column("start_min", sa.Integer(), nullable=False),
        sa.Column("end_min", sa.Integer(), nullable=False),
        sa.Column("grace_min", sa.Integer(), nullable=False),
        sa.Column("break_min", sa.Integer(), nullable=False),
        sa.Column("days", sa.Text(), nullable=False),
        sa.Column("half_days", sa.Text(), nullable=False),
        sa.Column("half_end_min", sa.Integer(), nullable=True),
        sa.Column("on_holidays", sa.SmallInteger(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("folded_name", name=op.f("uq_schedules_folded_name")),
    )
    op.create_table(
        "holidays",
        sa.Column("id", _ID, nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("site_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_half", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holidays")),
        sa.UniqueConstraint("day", "site_id", name=op.f("uq_holidays_day_site_id")),
    )
    op.create_table(
        "assignments",
        sa.Column("id", _ID, nullable=False),
        sa.Column("schedule_id", _ID, nullable=True),
        sa.Column("group_key", sa.Text(), nullable=True),
        sa.Column("group_name", sa.Text(), nullable=True),
        sa.Column("identity_id", _ID, nullable=True),
        sa.Column("since", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedules.id"], name=op.f("fk_assignments_schedule_id")),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name=op.f("fk_assignments_identity_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignments")),
    )
    op.create_index(op.f("ix_assignments_schedule_id"), "assignments", ["schedule_id"])
    op.create_index(op.f("ix_assignments_identity_id"), "assignments", ["identity_id"])
    op.create_table(
        "corrections",
        sa.Column("id", _ID, nullable=False),
        sa.Column("identity_id", _ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("terminal_id", sa.BigInteger(), nullable=True),
        sa.Column("record_id", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_by", sa.Text(), nullable=True),
        sa.Column("withdrawn_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name=op.f("fk_corrections_identity_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corrections")),
    )
    op.create_index(op.f("ix_corrections_identity_id"), "corrections", ["identity_id"])
    op.create_index(op.f("ix_corrections_at_ms"), "corrections", ["at_ms"])
    op.create_table(
        "joined_people",
        sa.Column("id", _ID, nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("identity_id", _ID, nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name=op.f("fk_joined_people_identity_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_joined_people")),
    )
    op.create_index(op.f("ix_joined_people_identity_id"), "joined_people", ["identity_id"])
    op.create_table(
        "marked_people",
        sa.Column("id", _ID, nullable=False),
        sa.Column("identity_id", _ID, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name=op.f("fk_marked_people_identity_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_marked_people")),
    )
    op.create_index(op.f("ix_marked_people_identity_id"), "marked_people", ["identity_id"])
    op.create_table(
        "staff",
        sa.Column("id", _ID, nullable=False),
        sa.Column("site_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
        sa.UniqueConstraint("user_id", "site_id", name=op.f("uq_staff_user_id_site_id")),
    )
    op.create_index(op.f("ix_staff_group_key"), "staff", ["group_key"])
    op.create_table(
        "saved_views",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account_id", _ID, nullable=True),
        sa.Column("maker_id", _ID, nullable=True),
        sa.Column("page", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded_name", sa.Text(), nullable=False),
        sa.Column("filters", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_saved_views_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["maker_id"], ["accounts.id"], name=op.f("fk_saved_views_maker_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
    )
    op.create_index(op.f("ix_saved_views_account_id"), "saved_views", ["account_id"])
    op.create_index(op.f("ix_saved_views_page"), "saved_views", ["page"])
    op.create_table(
        "view_starts",
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("page", sa.Text(), nullable=False),
        sa.Column("view_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_view_starts_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["view_id"], ["saved_views.id"], name=op.f("fk_view_starts_view_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "page", name=op.f("pk_view_starts")),
    )
    op.create_index(op.f("ix_view_starts_view_id"), "view_starts", ["view_id"])
    # Every terminal belongs to a site; until somebody makes more there is this one.
    op.execute("INSERT INTO sites (id, name, timezone, created_at_ms) VALUES (1, 'default', 'UTC', 0)")
    secret = sa.text("INSERT INTO meta (name, value) VALUES ('key:identity', :value)")
    op.get_bind().execute(secret, {"value": token_hex(32)})
    if on_postgresql:
        op.execute("ALTER TABLE records ADD CONSTRAINT pk_records PRIMARY KEY (id, terminal_id)")
        for number in range(_PARTITIONS):
            op.execute(
                f"CREATE TABLE records_{number} PARTITION OF records"
                f" FOR VALUES WITH (MODULUS {_PARTITIONS}, REMAINDER {number}) WITH ({_LARGE})"
            )
        for name in ("images", "identities", "alarm_events"):
            op.execute(f"ALTER TABLE {name} SET ({_LARGE})")
        for name in ("tallies", "journal_positions", "leases"):
            op.execute(f"ALTER TABLE {name} SET ({_CHANGED})")
        op.execute("SELECT setval(pg_get_serial_sequence('sites', 'id'), 1)")
