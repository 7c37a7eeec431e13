"""Store when a terminal used its token, and every terminal that was seen at an address."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _make_anew()
        return
    op.add_column("terminals", sa.Column("token_used_at_ms", sa.BigInteger(), nullable=True))
    op.add_column("terminals", sa.Column("token_required_since_ms", sa.BigInteger(), nullable=True))
    op.add_column("tallies", sa.Column("tokenless_at_ms", sa.BigInteger(), nullable=True))
    op.drop_constraint("pk_peers", "peers", type_="primary")
    op.create_primary_key("pk_peers", "peers", ["address", "terminal_id"])


def _make_anew() -> None:
    """SQLite writes an added column behind the constraints, and cannot change a primary key."""
    terminals: list[sa.Column[Any]] = [
        sa.Column("id", _ID, nullable=False),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.Column("anonymous_peer", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("site_id", _ID, nullable=False),
        sa.Column("timezone", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("token_digest", sa.LargeBinary(), nullable=True),
        sa.Column("networks", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("dialect", sa.Text(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("token_used_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("token_required_since_ms", sa.BigInteger(), nullable=True),
    ]
    _replace(
        "terminals",
        terminals,
        [
            sa.CheckConstraint(
                "state IN ('new', 'approved', 'held', 'retired')", name=op.f("ck_terminals_state")
            ),
            sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_terminals_site_id")),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_terminals")),
            sa.UniqueConstraint("anonymous_peer", name=op.f("uq_terminals_anonymous_peer")),
            sa.UniqueConstraint("serial", name=op.f("uq_terminals_serial")),
            sa.UniqueConstraint("token_digest", name=op.f("uq_terminals_token_digest")),
        ],
        added=2,
    )
    names = "records alarms quarantined duplicates with_problems late first_at_ms last_at_ms"
    tallies: list[sa.Column[Any]] = [
        sa.Column("terminal_id", _ID, nullable=False),
        sa.Column("writer", sa.Integer(), nullable=False),
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in names.split()],
        sa.Column("last_recorded_ms", sa.BigInteger(), nullable=True),
        sa.Column("clock_error_ms", sa.BigInteger(), nullable=True),
        sa.Column("least_lag_ms", sa.BigInteger(), nullable=True),
        sa.Column("lag_day", sa.Integer(), nullable=True),
        sa.Column("interval_ms", sa.BigInteger(), nullable=True),
        sa.Column("peer", sa.Text(), nullable=True),
        sa.Column("late_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("tokenless_at_ms", sa.BigInteger(), nullable=True),
    ]
    _replace(
        "tallies",
        tallies,
        [
            sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_tallies_terminal_id")),
            sa.PrimaryKeyConstraint("terminal_id", "writer", name=op.f("pk_tallies")),
        ],
        added=1,
        with_rowid=False,
    )
    peers: list[sa.Column[Any]] = [
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("terminal_id", _ID, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
    ]
    _replace(
        "peers",
        peers,
        [
            sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_peers_terminal_id")),
            sa.PrimaryKeyConstraint("address", "terminal_id", name=op.f("pk_peers")),
        ],
    )


def _replace(
    table: str,
    columns: list[sa.Column[Any]],
    constraints: list[sa.Constraint],
    *,
    added: int = 0,
    with_rowid: bool = True,
) -> None:
    """Write a table anew, with ``added`` columns at its end that it did not have before.

    The new one gets the name last: to rename the old one would change what refers to it.
    """
    new = f"{table}_after"
    kept = ", ".join(f'"{column.name}"' for column in columns[: len(columns) - added])
    op.create_table(new, *columns, *constraints, sqlite_with_rowid=with_rowid)
    op.execute(f"INSERT INTO {new} ({kept}) SELECT {kept} FROM {table}")
    op.drop_table(table)
    op.rename_table(new, table)
