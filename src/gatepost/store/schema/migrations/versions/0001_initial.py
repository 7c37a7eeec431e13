"""Every table, the first site, and the store's own secret.

It is changed, and no second one is made, until a version is published. The tables are in ``migrations/initial/``: a
migration imports none of today's tables, so that it stays the same when they change.
"""

from secrets import token_hex

import sqlalchemy as sa
from alembic import op

from gatepost.store.schema.migrations.initial import (
    accounts,
    events,
    fleet,
    forwarding,
    people,
    receivers,
    terminals,
)

revision = "0001_initial"
down_revision = None
branch_labels = None
depends_on = None

_PARTITIONS = 8
_LARGE = (
    "autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_insert_scale_factor=0.05,"
    " autovacuum_analyze_scale_factor=0.02"
)
_CHANGED = "fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000"


def upgrade() -> None:
    terminals.create()
    accounts.create()
    events.create()
    people.create()
    forwarding.create()
    fleet.create()
    receivers.create()
    first_site()
    own_secret()
    if op.get_bind().dialect.name == "postgresql":
        tell_postgresql()


def first_site() -> None:
    # Every terminal belongs to a site; until more are made there is this one.
    op.execute("INSERT INTO sites (id, name, timezone, created_at_ms) VALUES (1, 'default', 'UTC', 0)")


def own_secret() -> None:
    secret = sa.text("INSERT INTO meta (name, value) VALUES ('key:identity', :value)")
    op.get_bind().execute(secret, {"value": token_hex(32)})


def tell_postgresql() -> None:
    """Partition the records, say how the tables are vacuumed, and count on from the first site."""
    op.execute("ALTER TABLE records ADD CONSTRAINT pk_records PRIMARY KEY (id, terminal_id)")
    for number in range(_PARTITIONS):
        op.execute(
            f"CREATE TABLE records_{number} PARTITION OF records"
            f" FOR VALUES WITH (MODULUS {_PARTITIONS}, REMAINDER {number}) WITH ({_LARGE})"
        )
    for name in ("images", "identities", "alarm_events"):
        op.execute(f"ALTER TABLE {name} SET ({_LARGE})")
    for name in ("tallies", "journal_positions", "leases"):
        op.execute(f"ALTER TABLE {name} SET ({_CHANGED})")
    op.execute("SELECT setval(pg_get_serial_sequence('sites', 'id'), 1)")
