"""What goes into a store and comes out of it: frozen values, without a database behind them.

Times are aware and in UTC; what ends in ``_ms`` is in milliseconds, Unix time unless it says otherwise. ``None``
stands for what a terminal did not say.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct, field

from gatepost.journal.places import Place
from gatepost.journal.streams import Position
from gatepost.store.versions import version_of
from gatepost.wire import Dialect, Event, Problem

__all__ = [
    "PEER_ADDRESS",
    "SIGHTING_MS",
    "EVERYTHING",
    "Visible",
    "Arrival",
    "Stored",
    "Progress",
    "Direction",
    "TerminalState",
    "TerminalRow",
    "DisagreementRow",
    "RecordRow",
    "AlarmRow",
    "AlarmStep",
    "AlarmStepRow",
    "PersonRow",
    "SiteRow",
    "ReceiverRow",
    "Counted",
    "ToAcknowledge",
    "Page",
    "AlarmCounts",
    "Stats",
]

T = TypeVar("T")

PEER_ADDRESS = "peer address"
"""Where the problem of an event stands of which nothing but its address tells the terminal."""

SIGHTING_MS = 3_600_000
"""Milliseconds. How old it may be when a terminal was last seen at an address, before that is noted anew."""


class Visible(Struct, frozen=True):
    """Say what a user may see of a store."""

    sites: frozenset[int] | None = None
    """Only what the terminals of these sites sent; ``None``: of every site."""
    terminals: frozenset[int] | None = None
    """Only what these terminals sent, where a page is narrowed to them; ``None``: all of the sites."""
    numbers: bool = True
    """With card and identity numbers, and with the JSON as it was pushed, which has them, too."""
    held: bool = True
    """With the records and alarms of terminals that are held, where they are asked for by id, and their quarantined
    pushes."""

    @property
    def every_terminal(self) -> bool:
        """Return whether no terminal is left out, save held ones."""
        return self.sites is None and self.terminals is None


EVERYTHING = Visible()

Direction = Literal["in", "out", "both"]
"""Which way people go who pass a terminal."""

TerminalState = Literal["new", "approved", "held", "retired"]


class NewTerminal(Struct, frozen=True):
    """A terminal that pushed and that the store may not have yet."""

    serial: str | None
    at_ms: int
    """When it pushed for the first time."""
    peer: str = ""
    """The address that stands for it, where it has no serial."""
    state: TerminalState = "new"
    """In which it is made; one that is there keeps its own."""
    site: str = ""
    """The name of the site at which it is made, which is made as well if it is not there; empty: the first one."""
    timezone: str = ""
    """Of a site that has to be made; empty: that of the first site."""


class Arrival(Struct, frozen=True, kw_only=True):
    """One event as it came in, and all that was found out about where it came from."""

    terminal_id: int
    """Not positive for a terminal that was not known at the reply; the store takes none of those."""
    key: bytes
    """Sixteen bytes, :func:`gatepost.wire.digest` of :func:`gatepost.wire.key`."""
    event: Event
    """A record and an alarm are listed; what is neither goes to the quarantine."""
    received_at_ms: int
    original: bytes
    """The JSON text without the image, without long texts and without any ``pin``."""
    image: Place | None = None
    """Of the event's image; ``event.image`` is not looked at."""
    texts: Place | None = None
    """Of the long texts of ``original``: see :mod:`gatepost.store.conversion.long_texts`."""
    problems: tuple[Problem, ...] = ()
    dialect: Dialect | None = None
    peer: str = ""
    """The address that it came from, behind any trusted proxy."""
    bind_peer: bool = False
    """True where a serial or a token said which terminal it is: the terminal was seen at ``peer``."""
    tokenless: bool = False
    """It bore no token of its terminal."""
    sent_at_ms: int | None = None
    """The ``timestamp`` header: the terminal's clock when it pushed. The clock error is derived from it."""
    model: str | None = None
    disagreements: tuple[tuple[str, str], ...] = ()
    """Who else it could have been: (source, what it said), such as ``("header", "SN-2")``."""
    new_terminal: NewTerminal | None = None
    """The terminal that it is of, where that one was not known at the reply."""
    alike: int = 0
    """Of a record that was fetched from its terminal's history: how many there are alike, with it. 0: it was pushed."""
    is_backfilled: bool = False
    """A receiver that passed it on had fetched it."""


class Stored(Struct, frozen=True):
    """What became of one arrival."""

    new: bool
    """False: it was there already, and was counted as a duplicate."""
    id: int
    """Of the row that holds it, which for a duplicate is the first one's."""


class Progress(Struct, frozen=True):
    """How far a journal is read once a batch is stored."""

    journal: bytes
    """Its id, sixteen bytes."""
    positions: Mapping[str, Position]
    """The place behind the batch, of each stream that the reader has moved in."""


class ReceiverRow(Struct, frozen=True):
    """A receiver that writes to this database."""

    journal: bytes
    """The id of its journal, sixteen bytes."""
    host: str
    """The name of its machine."""
    seen_at: datetime
    """When it last said that it was there."""
    events: int
    """How many it had acknowledged then that were not listed."""


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
    direction: Direction = "both"
    """Which way people go who pass there."""
    has_token: bool
    networks: tuple[str, ...]
    """Where it may push from; empty: anywhere that is allowed at all."""
    model: str | None
    dialect: str | None
    created_at: datetime
    token_used_at: datetime | None = None
    """When the token that it has now was first used."""
    token_required_since: datetime | None = None
    """When it first used a token, whichever it was; ``None`` after its token was taken away."""
    tokenless_at: datetime | None = None
    """When it last pushed without its token."""
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
    repeated_ids: int = 0
    """How many records bore the id of another record of this terminal. Each is listed."""
    unusable_ids: int = 0
    """How many events bore an id that tells nothing apart: a placeholder, or one of at most 8 characters."""
    refused: int = 0
    disagreements: int = 0
    late_at: datetime | None = None
    """When the last of the late ones arrived."""

    @property
    def version(self) -> str:
        """Return the version of what a person changes of it."""
        names = ("serial", "name", "site_id", "timezone", "state", "direction", "networks")
        return version_of({name: getattr(self, name) for name in names})


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
    terminal_name: str | None
    site_id: int
    site: str
    timezone: str
    """The terminal's own, or else its site's."""
    uuid: str | None
    at: datetime
    """When it happened; the time of receipt where the terminal's is missing or lies in the future."""
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
    backfilled: bool = False
    """It was fetched from the terminal's history."""


class AlarmStep(Struct, frozen=True, kw_only=True):
    """One report of an alarm: it occurred, it could not be cleared, it was cleared."""

    id: int
    status: int | None
    code: int | None
    at: datetime | None
    """By the terminal's clock."""
    listed_at: datetime
    """When it happened; the time of receipt where the terminal's is missing or lies in the future."""
    received_at: datetime
    description: str | None
    user_id: str | None
    has_image: bool
    problems: tuple[Problem, ...]
    original: bytes | None


class AlarmStepRow(Struct, frozen=True, kw_only=True):
    """A step of an alarm with where it is from, to be told by itself."""

    alarm_id: int
    terminal_id: int
    serial: str | None
    terminal_name: str | None
    site_id: int
    site: str
    timezone: str
    trace_id: str
    step: AlarmStep


class AlarmRow(Struct, frozen=True, kw_only=True):
    """An occurrence of an alarm, joined from steps of one ``trace_id`` in whatever order they arrived."""

    id: int
    terminal_id: int
    serial: str | None
    terminal_name: str | None
    site_id: int
    site: str
    timezone: str
    """The terminal's own, or else its site's."""
    trace_id: str
    code: int | None
    state: Literal["open", "clear_failed", "cleared"]
    """``clear_failed`` is open, too. ``cleared``: by its terminal or, where ``closed_at`` is set, by an operator."""
    first_at: datetime
    last_at: datetime
    history: tuple[AlarmStep, ...]
    """By the time that each step happened."""
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None
    closed_at: datetime | None
    """When an operator closed it, because no terminal cleared it."""
    closed_by: str | None
    closed_note: str | None


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

    @property
    def version(self) -> str:
        """Return the version of what a person changes of it."""
        return version_of({"name": self.name, "timezone": self.timezone})


class AlarmCounts(Struct, frozen=True):
    """How many alarms are open, those of held terminals left out."""

    open: int
    unacknowledged: int
    """Open, and not acknowledged."""


class Counted(Struct, frozen=True):
    """Tell how many items a filter leaves."""

    n: int
    more: bool = False
    """There are more: counting ended here."""


class ToAcknowledge(Struct, frozen=True):
    """Tell how many alarms would be acknowledged at once."""

    alarms: int
    up_to: int
    """The highest id among them: what arrives later is not acknowledged with them."""
    too_many: bool
    """There are more than may be acknowledged at once."""


class Stats(Struct, frozen=True, kw_only=True):
    """Everything that was ever counted."""

    records: int
    alarms: int
    """Alarms, not their steps."""
    open_alarms: int
    """Not cleared; those of held terminals do not count."""
    unacknowledged_alarms: int
    """Open, and not acknowledged."""
    duplicates: int
    quarantined: int
    refused: int
    terminals: int
    refusals: Mapping[str, int] = field(default_factory=dict)
    """By reason."""
