"""Define the tables of destinations of forwarding."""

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, SmallInteger, Table, Text

from gatepost.store.schema.metadata import Id, metadata

__all__ = [
    "destinations",
    "destination_places",
    "destination_exceptions",
    "destination_asides",
    "destination_attempts",
]

destinations = Table(
    "destinations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    # In the form in which names are compared. Of a replay: with its number, so that it takes none.
    Column("folded_name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    # JSON, without secrets: gatepost.forward.options.destination.
    Column("config", Text, nullable=False),
    # JSON; no backup has it.
    Column("secrets", Text),
    # How often config, secrets or the state by hand were changed.
    Column("revision", BigInteger, nullable=False),
    # How often someone retried or dropped dead letters.
    Column("changes", BigInteger, nullable=False),
    # How many steps of its forwarders are stored: none is stored twice.
    Column("steps", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    # Of a replay: the destination that it is of, and how many events a second it sends at most.
    Column("replay_of", Id, ForeignKey("destinations.id", ondelete="CASCADE")),
    Column("rate", Float),
    # Of a replay: what was received from the one moment on, and before the other.
    Column("since_ms", BigInteger),
    Column("until_ms", BigInteger),
    Column("finished_at_ms", BigInteger),
    Column("paused_at_ms", BigInteger),
    # It said that it wants no more.
    Column("closed_at_ms", BigInteger),
    Column("closed_why", Text),
    # 1 from when it could not be reached, or wanted no more, until it replies again.
    Column("is_away", Integer, nullable=False),
    # What is settled up to its places; what waits and what is dead has rows of its own.
    Column("seen", BigInteger, nullable=False),
    Column("filtered", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    # JSON: how many were dropped, and how many of the filtered its own rules left out, by reason.
    Column("dropped_why", Text, nullable=False),
    Column("left_out_why", Text, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("delivered_at_ms", BigInteger),
    Column("failed_at_ms", BigInteger),
    Column("failure", Text),
    # The process that sends, and until when no other may; each owner has another fence.
    Column("owner", Text),
    Column("fence", BigInteger, nullable=False),
    Column("lease_until_ms", BigInteger, nullable=False),
    Index(None, "replay_of"),
    # The id of one that was deleted is no other one's: links to images and late commits name it.
    sqlite_autoincrement=True,
)

destination_places = Table(
    "destination_places",
    metadata,
    Column("destination_id", Id, ForeignKey("destinations.id", ondelete="CASCADE"), primary_key=True),
    # "record" or "alarm": as in the feed.
    Column("kind", Text, primary_key=True),
    # Where it began, and up to where everything is settled or has a row of its own.
    Column("begin_id", BigInteger, nullable=False),
    Column("place", BigInteger, nullable=False),
    # Of a replay: where it ends.
    Column("until_id", BigInteger),
    # The highest id that was tried.
    Column("tried_id", BigInteger, nullable=False),
    # How many of this kind were accepted: what a refusal is judged by.
    Column("accepted", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Events behind the place of a destination that wait for another attempt, or are dead letters.
destination_exceptions = Table(
    "destination_exceptions",
    metadata,
    Column("destination_id", Id, ForeignKey("destinations.id", ondelete="CASCADE"), primary_key=True),
    # Of a record or of a step of an alarm: their ids are of one sequence.
    Column("event_id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("terminal_id", BigInteger, nullable=False),
    # Of a step of an alarm: steps of one leave in their order.
    Column("alarm_id", BigInteger),
    Column("received_at_ms", BigInteger, nullable=False),
    # 1: a dead letter.
    Column("is_dead", SmallInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("refusals", Integer, nullable=False),
    # How many had been accepted when it was refused first: of its kind, or of any where order is kept.
    Column("mark", BigInteger),
    Column("attempted_at_ms", BigInteger),
    Column("due_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("dead_at_ms", BigInteger),
    Index(None, "destination_id", "is_dead", "event_id"),
    sqlite_with_rowid=False,
)

# Events behind the place that were left aside: of a terminal that is held, or behind one that waits.
destination_asides = Table(
    "destination_asides",
    metadata,
    Column("destination_id", Id, ForeignKey("destinations.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("terminal_id", BigInteger, primary_key=True, autoincrement=False),
    # They have ids above the first and up to the second.
    Column("after_id", BigInteger, nullable=False),
    Column("until_id", BigInteger, nullable=False),
    # How many there were that are not settled.
    Column("events", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The latest attempts of each destination.
destination_attempts = Table(
    "destination_attempts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("destination_id", Id, ForeignKey("destinations.id", ondelete="CASCADE"), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("took_ms", BigInteger, nullable=False),
    # The first of the events that were sent together, and how many these were.
    Column("event_id", BigInteger, nullable=False),
    Column("events", Integer, nullable=False),
    # "delivered", "refused", "unreachable" or "closed".
    Column("outcome", Text, nullable=False),
    Column("status", Text, nullable=False),
    # What the destination said, shortened: it may be about a person.
    Column("reply", Text, nullable=False),
    Index(None, "destination_id", "id"),
)
