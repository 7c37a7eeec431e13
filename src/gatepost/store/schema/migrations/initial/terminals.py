"""The tables of terminals, their sites and their counts."""

import sqlalchemy as sa
from alembic import op

from gatepost.store.schema.migrations.initial.ids import ID

__all__ = ["create"]


def create() -> None:
    """Create the tables, each after those that it refers to."""
    sites()
    terminals()
    tallies()
    disagreements()
    peers()
    refusals()


def sites() -> None:
    op.create_table(
        "sites",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sites")),
        sa.UniqueConstraint("name", name=op.f("uq_sites_name")),
    )


def terminals() -> None:
    op.create_table(
        "terminals",
        sa.Column("id", ID, nullable=False),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.Column("anonymous_peer", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("site_id", ID, nullable=False),
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


def tallies() -> None:
    op.create_table(
        "tallies",
        sa.Column("terminal_id", ID, nullable=False),
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


def disagreements() -> None:
    op.create_table(
        "disagreements",
        sa.Column("terminal_id", ID, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_disagreements_terminal_id")),
        sa.PrimaryKeyConstraint("terminal_id", "source", "said", name=op.f("pk_disagreements")),
    )


def peers() -> None:
    op.create_table(
        "peers",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("terminal_id", ID, autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_peers_terminal_id")),
        sa.PrimaryKeyConstraint("address", "terminal_id", name=op.f("pk_peers")),
    )
    op.create_index(op.f("ix_peers_at_ms"), "peers", ["at_ms"])


def refusals() -> None:
    op.create_table(
        "refusals",
        sa.Column("terminal_id", ID, nullable=False),
        sa.Column("writer", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("terminal_id", "writer", "reason", name=op.f("pk_refusals")),
    )
