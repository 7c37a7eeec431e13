"""Define the tables of what the receivers of one database share."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text

from gatepost.store.schema.metadata import Id, metadata

__all__ = ["meta", "journal_positions", "receivers", "receipt_days", "notices", "conditions", "leases"]

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

journal_positions = Table(
    "journal_positions",
    metadata,
    # The id of a journal, made with its folder: another folder begins without positions.
    Column("journal", LargeBinary, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("segment", BigInteger, nullable=False),
    Column("byte_offset", BigInteger, nullable=False),
    # How many events of the stream lie before it.
    Column("events", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

receivers = Table(
    "receivers",
    metadata,
    # The id of its journal.
    Column("journal", LargeBinary, primary_key=True),
    Column("host", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    # How many it had acknowledged then that were not listed.
    Column("events", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

receipt_days = Table(
    "receipt_days",
    metadata,
    # A day, UTC, counted since 1970, on which anything was received.
    Column("day", Integer, primary_key=True, autoincrement=False),
)

# What happened to the installation itself: store/query/notices.py.
notices = Table(
    "notices",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    # Of a terminal that may be deleted since: no foreign key.
    Column("terminal_id", BigInteger),
    # JSON.
    Column("detail", Text, nullable=False),
)

# What a notice said and no later one has ended.
conditions = Table(
    "conditions",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("since_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What one process alone does, on a server with several receivers.
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text),
    # Each owner has another one.
    Column("fence", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
