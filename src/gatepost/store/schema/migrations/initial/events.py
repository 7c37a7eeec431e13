"""The tables of what terminals send, and of the people in it."""

import sqlalchemy as sa
from alembic import op

from gatepost.store.schema.migrations.initial.ids import ID

__all__ = ["create"]


def create() -> None:
    """Create the tables, each after those that it refers to."""
    facets()
    identities()
    records()
    indexes_of_records()
    alarm_events()
    alarms()
    quarantine()
    deleted_events()
    refused_pushes()
    refusal_samples()
    packs()
    images()


def facets() -> None:
    op.create_table(
        "facets",
        sa.Column("id", ID, nullable=False),
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


def identities() -> None:
    op.create_table(
        "identities",
        sa.Column("id", ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("site_id", ID, nullable=False),
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


def records() -> None:
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "records",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("terminal_id", ID, nullable=False),
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
        sa.Column("facet_id", ID, nullable=False),
        sa.Column("identity_id", ID, nullable=True),
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


def indexes_of_records() -> None:
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


def alarm_events() -> None:
    op.create_table(
        "alarm_events",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("terminal_id", ID, nullable=False),
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
        sa.Column("alarm_id", ID, nullable=True),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_alarm_events_terminal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_events")),
        sa.UniqueConstraint("terminal_id", "key", name=op.f("uq_alarm_events_terminal_id_key")),
    )
    op.create_index(op.f("ix_alarm_events_alarm_id_at_ms"), "alarm_events", ["alarm_id", "at_ms"])
    op.create_index(op.f("ix_alarm_events_received_at_ms"), "alarm_events", ["received_at_ms"])
    op.create_index("ix_alarm_events_trace", "alarm_events", ["terminal_id", "trace_id", "code", "at_ms"])


def alarms() -> None:
    op.create_table(
        "alarms",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("terminal_id", ID, nullable=False),
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


def quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("terminal_id", ID, nullable=False),
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


def deleted_events() -> None:
    op.create_table(
        "deleted_events",
        sa.Column("last_id", ID, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("first_id", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("gaps", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("last_id", name=op.f("pk_deleted_events")),
    )


def refused_pushes() -> None:
    op.create_table(
        "refused_pushes",
        sa.Column("id", ID, nullable=False),
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


def refusal_samples() -> None:
    op.create_table(
        "refusal_samples",
        sa.Column("id", ID, nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("sample", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refusal_samples")),
        sa.UniqueConstraint("peer", "reason", name=op.f("uq_refusal_samples_peer_reason")),
    )
    op.create_index(op.f("ix_refusal_samples_at_ms"), "refusal_samples", ["at_ms"])


def packs() -> None:
    op.create_table(
        "packs",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_packs")),
        sa.UniqueConstraint("name", name=op.f("uq_packs_name")),
    )


def images() -> None:
    op.create_table(
        "images",
        sa.Column("event_id", ID, autoincrement=False, nullable=False),
        sa.Column("part", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("pack_id", ID, nullable=False),
        sa.Column("byte_offset", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["pack_id"], ["packs.id"], name=op.f("fk_images_pack_id")),
        sa.PrimaryKeyConstraint("event_id", "part", name=op.f("pk_images")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_images_pack", "images", ["pack_id", "byte_offset"])
