"""When the status 1 of an alarm was received: a clear without a usable time that came before it is not its own."""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Of an alarm from before, 0 stands for "before any clear"."""
    # SQLite would write an added column behind the constraints, where nobody who creates the table has it.
    recreate: Literal["always", "never"] = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("alarms", recreate=recreate) as alarms:
        for name in ("opener_received_at_ms", "opener_id"):
            alarms.add_column(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
