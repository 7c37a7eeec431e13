"""One list of everything that was refused, in place of the pushes to wrong paths; samples of what could not be read."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
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
    op.execute(
        "INSERT INTO refused_pushes"
        ' (peer, reason, path, serial, status, detail, "count", first_at_ms, last_at_ms)'
        " SELECT peer, 'path', path, serial, 404, '', \"count\", first_at_ms, last_at_ms FROM misdirected"
    )
    op.drop_table("misdirected")
