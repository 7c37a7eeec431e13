"""Define the tables of what the office says of people, and of who was erased."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from gatepost.store.schema.metadata import Id, metadata

__all__ = [
    "tombstones",
    "schedules",
    "holidays",
    "assignments",
    "staff",
    "joined_people",
    "marked_people",
    "corrections",
]

tombstones = Table(
    "tombstones",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    # Empty: at every site, of every terminal.
    Column("site_id", Id),
    Column("terminal_id", Id),
    Index(None, "at_ms"),
)

# When people are to be there: store/attendance/schedules.py.
schedules = Table(
    "schedules",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    # In the form in which names are compared.
    Column("folded_name", Text, nullable=False, unique=True),
    # Minutes since midnight.
    Column("start_min", Integer, nullable=False),
    Column("end_min", Integer, nullable=False),
    Column("grace_min", Integer, nullable=False),
    Column("break_min", Integer, nullable=False),
    # Days of the week, a digit each: Monday is 1.
    Column("days", Text, nullable=False),
    Column("half_days", Text, nullable=False),
    Column("half_end_min", Integer),
    Column("on_holidays", SmallInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

holidays = Table(
    "holidays",
    metadata,
    Column("id", Id, primary_key=True),
    # As ISO 8601 writes it: days are compared as texts.
    Column("day", Text, nullable=False),
    # 0: at every site.
    Column("site_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("is_half", SmallInteger, nullable=False),
    UniqueConstraint("day", "site_id"),
)

# Whose schedule it is, from a day on: of a group, or of a person by a form of their data.
assignments = Table(
    "assignments",
    metadata,
    Column("id", Id, primary_key=True),
    # Empty: without a schedule from that day on.
    Column("schedule_id", Id, ForeignKey("schedules.id")),
    # What is the same of groups that are one (people/groups.py), and how it was written.
    Column("group_key", Text),
    Column("group_name", Text),
    Column("identity_id", Id, ForeignKey("identities.id", ondelete="CASCADE")),
    Column("since", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Index(None, "schedule_id"),
    Index(None, "identity_id"),
)

# Names and departments for numbers, as they were imported: store/people/staff.py.
staff = Table(
    "staff",
    metadata,
    Column("id", Id, primary_key=True),
    # 0: at every site.
    Column("site_id", BigInteger, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("department", Text, nullable=False),
    # Name as search compares it, and the key of the department as groups are compared.
    Column("folded", Text, nullable=False),
    Column("group_key", Text, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
    UniqueConstraint("user_id", "site_id"),
    Index(None, "group_key"),
)

# Numbers that are one person: store/people/joined.py.
joined_people = Table(
    "joined_people",
    metadata,
    Column("id", Id, primary_key=True),
    # The same of all numbers of one person.
    Column("person", BigInteger, nullable=False),
    Column("identity_id", Id, ForeignKey("identities.id", ondelete="CASCADE"), nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at_ms", BigInteger, nullable=False),
    Index(None, "identity_id"),
)

# People whom guards are told to look out for: store/people/marked.py.
marked_people = Table(
    "marked_people",
    metadata,
    Column("id", Id, primary_key=True),
    Column("identity_id", Id, ForeignKey("identities.id", ondelete="CASCADE"), nullable=False),
    Column("reason", Text, nullable=False),
    # NULL: until it is taken away.
    Column("until_ms", BigInteger),
    Column("made_by", Text, nullable=False),
    Column("made_at_ms", BigInteger, nullable=False),
    Index(None, "identity_id"),
)

# Passages that a person added or struck: records stay as they are.
corrections = Table(
    "corrections",
    metadata,
    Column("id", Id, primary_key=True),
    Column("identity_id", Id, ForeignKey("identities.id", ondelete="CASCADE"), nullable=False),
    # "added" or "struck".
    Column("kind", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    # Of a struck passage: when its last repeat came.
    Column("until_ms", BigInteger, nullable=False),
    # Where a struck passage was; of an added one, where people are told apart by terminal: whose person it is.
    Column("terminal_id", BigInteger),
    Column("record_id", BigInteger),
    Column("note", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at_ms", BigInteger, nullable=False),
    Column("withdrawn_by", Text),
    Column("withdrawn_at_ms", BigInteger),
    Index(None, "identity_id"),
    Index(None, "at_ms"),
)
