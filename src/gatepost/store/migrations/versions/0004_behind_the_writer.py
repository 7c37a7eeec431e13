"""Behind the writer: a record may get its facet and its person a little later, and is in the indexes only then."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INDEXED = sa.text("facet_id IS NOT NULL")
_HAS_PERSON = sa.text("identity_id IS NOT NULL")


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _make_records_anew()
        return
    op.alter_column("records", "facet_id", nullable=True)
    for name in ("unindexed_facet_id", "unindexed_identity_id"):
        op.add_column("records", sa.Column(name, _ID, nullable=True))


def _make_records_anew() -> None:
    """SQLite cannot take a NOT NULL away."""
    for name in ("facet_id_at_ms", "terminal_id_facet_id_at_ms", "person"):
        op.drop_index(f"ix_records_{name}", "records")
    op.rename_table("records", "records_before")
    columns: list[sa.Column[Any]] = [
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
        sa.Column("facet_id", _ID, nullable=True),
        sa.Column("identity_id", _ID, nullable=True),
        sa.Column("image_day", sa.Integer(), nullable=True),
        sa.Column("image_id", sa.BigInteger(), nullable=True),
        sa.Column("dialect", sa.Text(), nullable=True),
        sa.Column("peer", sa.Text(), nullable=True),
        sa.Column("problems", sa.Text(), nullable=True),
        sa.Column("original", sa.LargeBinary(), nullable=True),
    ]
    later = [sa.Column(name, _ID, nullable=True) for name in ("unindexed_facet_id", "unindexed_identity_id")]
    op.create_table(
        "records",
        *columns,
        *later,
        sa.ForeignKeyConstraint(["facet_id"], ["facets.id"], name=op.f("fk_records_facet_id")),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"], name=op.f("fk_records_identity_id")),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_records_terminal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records")),
        sa.UniqueConstraint("terminal_id", "key", name=op.f("uq_records_terminal_id_key")),
    )
    names = ", ".join(f'"{column.name}"' for column in columns)
    op.execute(f"INSERT INTO records ({names}) SELECT {names} FROM records_before ORDER BY id")
    op.drop_table("records_before")
    op.create_index(
        op.f("ix_records_facet_id_at_ms"), "records", ["facet_id", "at_ms"], sqlite_where=_INDEXED
    )
    op.create_index(
        op.f("ix_records_terminal_id_facet_id_at_ms"),
        "records",
        ["terminal_id", "facet_id", "at_ms"],
        sqlite_where=_INDEXED,
    )
    op.create_index(
        "ix_records_person",
        "records",
        ["identity_id", "at_ms", "terminal_id", "facet_id"],
        sqlite_where=_HAS_PERSON,
    )
