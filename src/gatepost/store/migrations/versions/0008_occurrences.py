"""Alarms by occurrence: one trace id may have several, and each step belongs to one. A user id of an alarm is text."""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("alarm_events", sa.Column("at_ms", sa.BigInteger(), nullable=True))
    op.add_column("alarm_events", sa.Column("alarm_id", _ID, nullable=True))
    op.execute(
        "UPDATE alarm_events SET at_ms = CASE WHEN event_time_ms <= received_at_ms + 86400000"
        " THEN event_time_ms ELSE received_at_ms END"
    )
    op.execute(
        "UPDATE alarm_events SET alarm_id = (SELECT alarms.id FROM alarms"
        " WHERE alarms.terminal_id = alarm_events.terminal_id AND alarms.trace_id = alarm_events.trace_id)"
    )
    op.drop_index("ix_alarm_events_terminal_id_trace_id", "alarm_events")
    for name, kind in (
        ("own_status", sa.BigInteger()),
        ("opened_at_ms", sa.BigInteger()),
        ("tie", sa.BigInteger()),
        ("timed", sa.SmallInteger()),
    ):
        op.add_column("alarms", sa.Column(name, kind, nullable=True))
    op.execute("UPDATE alarms SET own_status = status, opened_at_ms = first_at_ms, tie = 0, timed = 1")
    for name in ("ix_alarms_status_first_at_ms", "ix_alarms_first_at_ms"):
        op.drop_index(name, "alarms")
    recreate: Literal["always", "never"] = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("alarm_events", recreate=recreate) as steps:
        steps.alter_column("at_ms", nullable=False)
        steps.alter_column(
            "user_id", type_=sa.Text(), existing_type=sa.BigInteger(), postgresql_using="user_id::text"
        )
    with op.batch_alter_table("alarms", recreate=recreate) as alarms:
        for name in ("own_status", "opened_at_ms", "tie", "timed"):
            alarms.alter_column(name, nullable=False)
        alarms.drop_constraint("uq_alarms_terminal_id_trace_id", type_="unique")
        alarms.create_unique_constraint(
            "uq_alarms_occurrence", ["terminal_id", "trace_id", "opened_at_ms", "tie"]
        )
    trace = ["terminal_id", "trace_id", "code"]
    op.create_index("ix_alarm_events_trace", "alarm_events", [*trace, "at_ms"])
    op.create_index("ix_alarm_events_alarm_id_at_ms", "alarm_events", ["alarm_id", "at_ms"])
    op.create_index("ix_alarms_trace_code", "alarms", [*trace, "opened_at_ms", "tie"])
    op.create_index("ix_alarms_status_first_at_ms", "alarms", ["status", "first_at_ms"])
    op.create_index("ix_alarms_first_at_ms", "alarms", ["first_at_ms"])
