"""The tables of adopted terminals and their histories."""

import sqlalchemy as sa
from alembic import op

from gatepost.store.schema.migrations.initial.ids import ID

__all__ = ["create"]


def create() -> None:
    """Create the tables, each after those that it refers to."""
    adopted_terminals()
    adoptions()
    adoption_rows()
    fleet_jobs()
    fleet_audits()


def adopted_terminals() -> None:
    op.create_table(
        "adopted_terminals",
        sa.Column("terminal_id", ID, autoincrement=False, nullable=False),
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


def adoptions() -> None:
    op.create_table(
        "adoptions",
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("ours", sa.Text(), nullable=False),
        sa.Column("finished_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adoptions")),
        sqlite_autoincrement=True,
    )


def adoption_rows() -> None:
    op.create_table(
        "adoption_rows",
        sa.Column("adoption_id", ID, nullable=False),
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


def fleet_jobs() -> None:
    op.create_table(
        "fleet_jobs",
        sa.Column("id", ID, nullable=False),
        sa.Column("terminal_id", ID, nullable=False),
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


def fleet_audits() -> None:
    op.create_table(
        "fleet_audits",
        sa.Column("terminal_id", ID, autoincrement=False, nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("there", sa.BigInteger(), nullable=True),
        sa.Column("here", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_fleet_audits_terminal_id")),
        sa.PrimaryKeyConstraint("terminal_id", "day", name=op.f("pk_fleet_audits")),
        sqlite_with_rowid=False,
    )
