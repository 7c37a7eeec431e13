"""What the receiver's store promises, and the values that go in and out of it.

Two stores keep these promises: :class:`gatepost.store.sqlite.SqliteStore` (a data folder, one process) and
:class:`gatepost.store.postgres.PostgresStore` (a server, several processes at once). One suite,
``tests/store/store_suite.py``, runs on both.

Promises:

* When :meth:`Store.write` returns, every event of the batch and every image is on disk, and is listed exactly
  once, however often it was written: in one batch, by two processes, or a year later.
* When it raises :class:`~gatepost.errors.StoreUnavailable`, nothing of the batch may be acknowledged; writing
  it again later does no harm.
* The counts of a terminal are part of the same transaction.

Every method blocks, and may be called from any thread.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Generic, Literal, Protocol, TypeVar

from msgspec import Struct, field
from sqlalchemy import Connection

from gatepost.wire import Dialect, Event, Problem

__all__ = [
    "Arrival",
    "Stored",
    "TerminalState",
    "TerminalRow",
    "DisagreementRow",
    "RecordRow",
    "AlarmRow",
    "AlarmStep",
    "PersonRow",
    "SiteRow",
    "QuarantineRow",
    "MisdirectedRow",
    "FeedItem",
    "ProcessedAgain",
    "Page",
    "RecordQuery",
    "AlarmQuery",
    "Stats",
    "Transactions",
    "Leaving",
    "Store",
]

T = TypeVar("T")

TerminalState = Literal["new", "approved", "held", "retired"]


class Arrival(Struct, frozen=True, kw_only=True):
    """One event as it came in, and all that was found out about where it came from."""

    terminal_id: int
    key: bytes
    """Sixteen bytes, :func:`gatepost.wire.digest` of :func:`gatepost.wire.key`."""
    event: Event
    """A record and an alarm are listed; what is neither goes to the quarantine."""
    received_at_ms: int
    original: bytes
    """The JSON text without the image and without any ``pin``."""
    image: bytes | None = None
    """The JPEG, as it is to be stored; ``event.image`` is not looked at."""
    problems: tuple[Problem, ...] = ()
    dialect: Dialect | None = None
    peer: str = ""
    """The address that it came from, behind any trusted proxy."""
    bind_peer: bool = False
    """True where a serial or a token said which terminal it is: later events from ``peer`` without any are its."""
    sent_at_ms: int | None = None
    """The ``timestamp`` header: the terminal's clock when it pushed. The clock error is derived from it."""
    model: str | None = None
    disagreements: tuple[tuple[str, str], ...] = ()
    """Who else it could have been: (source, what it said), such as ``("header", "SN-2")``."""


class Stored(Struct, frozen=True):
    """What became of one arrival."""

    new: bool
    """False: it was there already, and was counted as a duplicate."""
    id: int
    """Of the row that holds it, which for a duplicate is the first one's."""


class TerminalRow(Struct, frozen=True, kw_only=True):
    """A terminal, and the counts of what it sent."""

    id: int
    serial: str | None
    anonymous_peer: str | None
    name: str | None
    site_id: int
    site: str
    timezone: str
    """Its own, or else its site's."""
    state: TerminalState
    has_token: bool
    networks: tuple[str, ...]
    """Where it may push from; empty: anywhere that is allowed at all."""
    model: str | None
    dialect: str | None
    created_at: datetime
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    last_recorded_at: datetime | None = None
    clock_error_ms: int | None = None
    """How far its clock is ahead; negative where it is behind."""
    interval_ms: int | None = None
    """The usual time between two arrivals, so that silence can be told from quiet."""
    peer: str | None = None
    records: int = 0
    alarms: int = 0
    quarantined: int = 0
    duplicates: int = 0
    with_problems: int = 0
    late: int = 0
    """How many arrived over ten minutes after they happened: a backlog, or a clock that is wrong."""
    refused: int = 0
    disagreements: int = 0
    late_at: datetime | None = None
    """When the last of the late ones arrived."""


class DisagreementRow(Struct, frozen=True, kw_only=True):
    """Something that was pushed as one terminal's said that it was another one's."""

    source: str
    """``header`` or ``body``."""
    said: str
    count: int
    first_at: datetime
    last_at: datetime


class PersonRow(Struct, frozen=True, kw_only=True):
    """Whom a record is about, as the terminal knew them then."""

    identity_id: int
    user_id: str
    name: str
    type: int | None
    job_number: str
    ic_number: str
    id_number: str
    remark: str
    guest_from: datetime | None
    guest_until: datetime | None
    groups: tuple[dict[str, Any], ...]


class RecordRow(Struct, frozen=True, kw_only=True):
    """A stored passage."""

    id: int
    terminal_id: int
    serial: str | None
    uuid: str | None
    at: datetime
    """When it happened; where the terminal did not say, when it arrived."""
    recorded_at: datetime | None
    received_at: datetime
    recognition_type: int | None
    passed: bool | None
    entry_mode: int | None
    abnormal_type: int | None
    score: float | None
    temperature: float | None
    mask: int | None
    mode: int | None
    person: PersonRow | None
    has_image: bool
    dialect: str | None
    peer: str | None
    problems: tuple[Problem, ...]
    original: bytes | None


class AlarmStep(Struct, frozen=True, kw_only=True):
    """One report of an alarm: it occurred, it could not be cleared, it was cleared."""

    id: int
    status: int | None
    code: int | None
    at: datetime | None
    received_at: datetime
    description: str | None
    user_id: int | None
    has_image: bool
    problems: tuple[Problem, ...]
    original: bytes | None


class AlarmRow(Struct, frozen=True, kw_only=True):
    """An alarm, joined from its steps by ``trace_id`` in whatever order they arrived."""

    id: int
    terminal_id: int
    serial: str | None
    trace_id: str
    code: int | None
    state: Literal["open", "clear_failed", "cleared"]
    first_at: datetime
    last_at: datetime
    history: tuple[AlarmStep, ...]
    """By the time that each step happened."""
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None


class RecordQuery(Struct, frozen=True, kw_only=True):
    """Which records, in which order. ``None`` does not filter."""

    since: datetime | None = None
    """At or after; by when it happened."""
    until: datetime | None = None
    """Before."""
    terminal: str | int | None = None
    """A serial, or a terminal's id."""
    site_id: int | None = None
    person: str | None = None
    """A ``user_id``."""
    name: str | None = None
    """Contained in the name."""
    job_number: str | None = None
    recognition_type: int | None = None
    passed: bool | None = None
    abnormal_type: int | None = None
    entry_mode: int | None = None
    has_image: bool | None = None
    q: str | None = None
    """Contained in the name or any of the numbers."""
    strangers: bool = False
    """Only records without a person, of faces that the terminal did not know."""
    outside_time: bool = False
    """Only those of visitors before or after their time, or whom a terminal refused for it."""
    order: Literal["newest", "oldest", "received"] = "newest"
    """``received``: by arrival; a cursor of this order continues with what arrives later, without a gap."""
    limit: int = 100
    cursor: str | None = None
    include_held: bool = False


class AlarmQuery(Struct, frozen=True, kw_only=True):
    """Which alarms, newest first."""

    state: Literal["open", "clear_failed", "cleared"] | None = None
    terminal: str | int | None = None
    acknowledged: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 100
    cursor: str | None = None
    include_held: bool = False


class Page(Struct, Generic[T], frozen=True):
    """A stretch of a list, and where the next one begins."""

    items: tuple[T, ...]
    next_cursor: str | None


class SiteRow(Struct, frozen=True):
    """Where terminals stand: a building, a campus. People are told apart within a site."""

    id: int
    name: str
    timezone: str
    created_at: datetime


class QuarantineRow(Struct, frozen=True, kw_only=True):
    """A push that was a JSON object but no event that this version knows."""

    id: int
    terminal_id: int
    serial: str | None
    received_at: datetime
    peer: str
    problems: tuple[Problem, ...]
    tries: int
    """How often it was processed again without success."""
    original: bytes
    """What was pushed, image and all, without any ``pin``."""


class MisdirectedRow(Struct, frozen=True, kw_only=True):
    """Pushes that went to a path which nobody serves."""

    peer: str
    path: str
    serial: str | None
    count: int
    first_at: datetime
    last_at: datetime


class FeedItem(Struct, frozen=True):
    """Something that arrived: ask for the record, or for the alarm, by its id."""

    id: int
    kind: Literal["record", "alarm"]
    event_id: int
    """The record's id; the alarm's, of which this was a step."""


class ProcessedAgain(Struct, frozen=True, kw_only=True):
    """What became of quarantined pushes that were decoded anew."""

    stored: int
    duplicates: int
    """The terminal had pushed it again in the meantime."""
    still_unknown: int


class Stats(Struct, frozen=True, kw_only=True):
    """Everything that was ever counted."""

    records: int
    alarms: int
    """Alarms, not their steps."""
    duplicates: int
    quarantined: int
    refused: int
    terminals: int
    refusals: Mapping[str, int] = field(default_factory=dict)
    """By reason."""


class Transactions(Protocol):
    """The two ways into a database; each is a transaction, and sees one state of the store."""

    def reading(self) -> AbstractContextManager[Connection]: ...

    def changing(self, *, forget: bool = ...) -> AbstractContextManager[Connection]: ...


class Leaving(Transactions, Protocol):
    """How things leave a store: what :mod:`~gatepost.store.retention` and :mod:`~gatepost.store.erase` need.

    Images are deleted by place: the day of receipt (days since 1970) and their number. References to them are the
    caller's: an image may go before its reference, and nothing may be found by one that is gone.
    """

    def image_days(self) -> list[int]:
        """The days of which there are images, in order."""

    def remove_images(self, places: Sequence[tuple[int, int]]) -> int:
        """Delete single images, at most some hundred; answer how many there were."""

    def drop_images(self, before_day: int, *, limit: int) -> int:
        """Delete the images of the first day before ``before_day``, or ``limit`` of them; 0 when none is left.

        SQLite: the day's file. PostgreSQL: rows.
        """

    def opened(self, data: bytes, place: bytes) -> bytes:
        """What is stored at a place, decrypted: see :mod:`gatepost.store.sealing`."""

    def image_at(self, day: int, image_id: int) -> bytes | None:
        """An image as it is stored, by its place."""

    def image_heads(self, day: int, after: int, *, limit: int) -> list[tuple[int, bytes]]:
        """How the images of a day above a number begin, by number: enough to tell the key they are sealed with."""

    def replace_images(self, day: int, rows: Sequence[tuple[int, bytes]]) -> None:
        """Write other bytes in the place of images that are still there; what stood there is overwritten."""

    def scrub(self) -> bool:
        """Let go of the bytes of what was deleted, as far as the database can; False: not now, try again.

        SQLite: the log is brought into the database, where deleted content is overwritten, and emptied.
        PostgreSQL: the space is given back (VACUUM) and overwritten as it is used again.
        """

    def forget_people(self) -> None:
        """Let go of whoever is remembered in memory, by the libraries that lead to the database too.

        What is needed again is read again; nothing of what is stored changes.
        """

    def sizes(self) -> dict[str, int]:
        """Bytes on disk of ``events`` and ``images``."""


class Store(Leaving, Protocol):
    """See the module."""

    def write(self, batch: Sequence[Arrival]) -> list[Stored]:
        """Store a batch in one transaction, and answer for each arrival, in order.

        Any exception means that nothing of the batch is stored. Besides ``StoreUnavailable`` it is whatever one
        impossible event raises, ``LookupError`` for a terminal that nobody made; halve the batch to find it.
        """

    # Terminals

    def ensure_terminal(
        self, serial: str | None, *, peer: str = "", now_ms: int, state: TerminalState = "new"
    ) -> TerminalRow:
        """The terminal of this serial, made if it is unknown; without serial, the one that ``peer`` stands for."""

    def create_terminal(self, *, now_ms: int, **values: Any) -> TerminalRow:
        """Make a terminal that has not pushed yet; ``values`` as in :meth:`update_terminal`."""

    def update_terminal(self, terminal_id: int, **values: Any) -> TerminalRow | None:
        """Set any of ``serial``, ``name``, ``site_id``, ``timezone``, ``state``, ``token_digest``, ``networks``.

        ``None`` if there is no such terminal.
        """

    def terminal(self, terminal_id: int) -> TerminalRow | None: ...

    def terminal_by_token(self, digest: bytes) -> TerminalRow | None:
        """The terminal whose address bears a token with this digest."""

    def alarm_holder(self, key: bytes, peer: str) -> int | None:
        """The terminal for which this step of an alarm was stored when it came from this address before.

        An alarm bears no serial, and an address may stand for another terminal by the time that it is pushed
        again: without this it would be stored twice.
        """

    def terminals(self) -> list[TerminalRow]:
        """Every terminal, by id."""

    def peers(self) -> dict[str, int]:
        """Which terminal last pushed from which address, by a serial or a token."""

    def sites(self) -> list[SiteRow]: ...

    def create_site(self, name: str, timezone: str, *, now_ms: int) -> SiteRow: ...

    def update_site(self, site_id: int, *, name: str | None = None, timezone: str | None = None) -> None: ...

    # What arrived

    def records(self, query: RecordQuery) -> Page[RecordRow]: ...

    def record(self, record_id: int) -> RecordRow | None: ...

    def alarms(self, query: AlarmQuery) -> Page[AlarmRow]: ...

    def alarm(self, alarm_id: int) -> AlarmRow | None: ...

    def acknowledge_alarm(self, alarm_id: int, *, by: str, note: str, now_ms: int) -> bool:
        """Note that somebody looked at it. False if there is no such alarm; the latest note counts."""

    def image(self, event_id: int) -> bytes | None:
        """The JPEG of a record, or of an alarm's step: their ids are of one sequence."""

    def feed(self, after: int, limit: int = 500) -> tuple[list[FeedItem], int]:
        """What arrived after a place in the stream, in order, and the place to continue from.

        Never skips: what is not settled yet is not shown, and neither is anything behind it. Held terminals'
        events are left out.
        """

    def happened(
        self, after: int, limit: int = 100
    ) -> tuple[list[tuple[FeedItem, RecordRow | AlarmRow]], int]:
        """:meth:`feed` with what each item is about, in one transaction; an alarm as it is after all its steps."""

    def end_of_feed(self) -> int:
        """The place in the stream after which :meth:`feed` shows what arrives from now on."""

    def stats(self) -> Stats: ...

    # What did not go straight through

    def count_refused(self, counts: Mapping[tuple[int, str], int], *, now_ms: int) -> None:
        """Add to the refusals of terminals, by (terminal id or 0, reason)."""

    def note_misdirected(self, counts: Mapping[tuple[str, str, str], int], *, now_ms: int) -> None:
        """Add to the pushes to wrong paths, by (peer, path, serial or the empty string)."""

    def misdirected(self) -> list[MisdirectedRow]:
        """The latest first, at most 1,000."""

    def quarantined(self, *, limit: int = 100, cursor: str | None = None) -> Page[QuarantineRow]:
        """The latest first."""

    def quarantined_by_id(self, ids: Sequence[int]) -> list[QuarantineRow]: ...

    def discard_quarantined(self, ids: Sequence[int]) -> int:
        """Delete from the quarantine; answer how many there were."""

    def process_quarantined(self, ids: Sequence[int]) -> ProcessedAgain:
        """Decode them anew; what is understood now is stored like any arrival, and leaves the quarantine."""

    def close(self) -> None:
        """Let go of everything. May be called twice."""
