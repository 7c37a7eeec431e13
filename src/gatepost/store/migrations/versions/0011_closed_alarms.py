"""An operator may close an alarm that its terminal does not clear."""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. No alarm from before is closed."""
    # SQLite would write an added column behind the constraints, where nobody who creates the table has it.
    recreate: Literal["always", "never"] = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("alarms", recreate=recreate) as alarms:
        alarms.add_column(sa.Column("closed_at_ms", sa.BigInteger(), nullable=True))
        alarms.add_column(sa.Column("closed_by", sa.Text(), nullable=True))
        alarms.add_column(sa.Column("closed_note", sa.Text(), nullable=True))
