"""Say what PostgreSQL is told about the tables once they are made."""

from sqlalchemy import DDL, MetaData, event

__all__ = ["PARTITIONS", "ON_POSTGRESQL", "tell_postgresql"]

PARTITIONS = 8
"""Of ``records``, in PostgreSQL."""

_LARGE = (
    "autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_insert_scale_factor=0.05,"
    " autovacuum_analyze_scale_factor=0.02"
)
_CHANGED = "fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000"

ON_POSTGRESQL = (
    "ALTER TABLE records ADD CONSTRAINT pk_records PRIMARY KEY (id, terminal_id)",
    *(
        f"CREATE TABLE records_{number} PARTITION OF records"
        f" FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number}) WITH ({_LARGE})"
        for number in range(PARTITIONS)
    ),
    # Of many rows, of which a few are deleted each day.
    *(f"ALTER TABLE {name} SET ({_LARGE})" for name in ("images", "identities", "alarm_events")),
    # Of few rows, some of which change with every batch.
    *(f"ALTER TABLE {name} SET ({_CHANGED})" for name in ("tallies", "journal_positions", "leases")),
)
"""What SQLAlchemy has no words for, after the tables are made."""


def tell_postgresql(metadata: MetaData) -> None:
    """Execute :data:`ON_POSTGRESQL` after the tables of this ``metadata`` are made."""
    for statement in ON_POSTGRESQL:
        made = DDL(statement)  # type: ignore[no-untyped-call]  # SQLAlchemy has no types for it
        event.listen(metadata, "after_create", made.execute_if(dialect="postgresql"))
