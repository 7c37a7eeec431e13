"""What it means: the index by person answers attendance and filters alone, and a backlog is seen while it arrives."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_HAS_PERSON = sa.text("identity_id IS NOT NULL")


def upgrade() -> None:
    op.drop_index("ix_records_identity_id_at_ms", "records")
    op.create_index(
        "ix_records_person",
        "records",
        ["identity_id", "at_ms", "terminal_id", "facet_id"],
        sqlite_where=_HAS_PERSON,
        postgresql_where=_HAS_PERSON,
    )
    if op.get_bind().dialect.name == "sqlite":
        _make_tallies_anew()
    else:
        op.add_column("tallies", sa.Column("late_at_ms", sa.BigInteger(), nullable=True))


def _make_tallies_anew() -> None:
    """SQLite writes an added column behind the constraints, where nobody who creates the table has it."""
    op.rename_table("tallies", "tallies_before")
    columns: list[sa.Column[Any]] = [
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
    ]
    op.create_table(
        "tallies",
        *columns,
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_tallies_terminal_id")),
        sa.PrimaryKeyConstraint("terminal_id", "writer", name=op.f("pk_tallies")),
        sqlite_with_rowid=False,
    )
    names = ", ".join(f'"{column.name}"' for column in columns[:-1])
    op.execute(f"INSERT INTO tallies ({names}) SELECT {names} FROM tallies_before")
    op.drop_table("tallies_before")
