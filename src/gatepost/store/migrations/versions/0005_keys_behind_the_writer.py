"""Behind the writer, too: the index that makes a record unique. SQLite has those in it that are in the others."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INDEXED = sa.text("facet_id IS NOT NULL")
_HAS_PERSON = sa.text("identity_id IS NOT NULL")
_INDEXES = {
    "ix_records_facet_id_at_ms": (["facet_id", "at_ms"], _INDEXED),
    "ix_records_terminal_id_facet_id_at_ms": (["terminal_id", "facet_id", "at_ms"], _INDEXED),
    "ix_records_person": (["identity_id", "at_ms", "terminal_id", "facet_id"], _HAS_PERSON),
}


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute(
        "UPDATE records SET facet_id = unindexed_facet_id, identity_id = unindexed_identity_id,"
        " unindexed_facet_id = NULL, unindexed_identity_id = NULL WHERE facet_id IS NULL"
    )
    for name in _INDEXES:
        op.drop_index(name, "records")
    # SQLite cannot take a constraint away: the table is written anew.
    with op.batch_alter_table("records", recreate="always") as records:
        records.drop_constraint("uq_records_terminal_id_key", type_="unique")
    for name, (columns, where) in _INDEXES.items():
        op.create_index(name, "records", columns, sqlite_where=where)
    op.create_index(
        "uq_records_terminal_id_key", "records", ["terminal_id", "key"], unique=True, sqlite_where=_INDEXED
    )
