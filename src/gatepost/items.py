"""What the receiver's API answers, as values: the receiver makes them, :mod:`gatepost.client` reads them.

Both ends import them from here, so that neither can mean something else. Times are aware UTC. Codes are those of the
protocol page; :mod:`gatepost.wire.codes` puts them into words.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

__all__ = [
    "AcknowledgedItem",
    "AlarmItem",
    "AttemptItem",
    "DeadLetterItem",
    "DestinationDetail",
    "DestinationItem",
    "DestinationState",
    "DisagreementItem",
    "DoneItem",
    "ErasedItem",
    "FindingItem",
    "Listing",
    "PersonItem",
    "Presence",
    "PreviewItem",
    "ProblemItem",
    "RecordItem",
    "RefusalItem",
    "NameItem",
    "RemovedItem",
    "ReplayItem",
    "RotatedItem",
    "SampleItem",
    "SomeoneItem",
    "FaultItem",
    "StaffImportItem",
    "JournalItem",
    "ViewItem",
    "LedgerItem",
    "StatsItem",
    "StepItem",
    "NameThereItem",
    "TerminalDetail",
    "TerminalItem",
    "Direction",
    "TerminalState",
    "TrialItem",
    "WhyItem",
    "WouldMoveItem",
    "WouldRefuseItem",
    "InsideItem",
    "JoinedNumberItem",
    "MarkedPersonItem",
    "PersonInsideItem",
    "PersonMarkItem",
    "SiteInsideItem",
]

T = TypeVar("T")

Direction = Literal["in", "out", "both"]
TerminalState = Literal["new", "approved", "held", "retired"]
"""``held``: stored, but not listed until it is approved."""

Presence = Literal["online", "late", "offline", "never"]
"""By the terminal's own usual interval."""


class Listing(Struct, Generic[T], frozen=True):
    """A stretch of a list."""

    items: list[T]
    next_cursor: str | None
    """Give it back as ``cursor`` for the next stretch; ``null`` at the end."""


class ProblemItem(Struct, frozen=True):
    """What was wrong with an event that was stored all the same."""

    where: str
    why: str


class PersonItem(Struct, frozen=True, kw_only=True):
    """Whom a record is about, as the terminal knew them then."""

    id: str
    """Of the person, for ``/api/v1/people/ID``; the same in all their records."""
    user_id: str
    name: str
    type: int | None
    job_number: str
    ic_number: str
    id_number: str
    remark: str
    guest_from: datetime | None
    guest_until: datetime | None
    groups: list[dict[str, Any]]


class RecordItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A passage, or an attempt at one. Codes are those of the protocol page."""

    id: int
    terminal: str | None
    """The serial; ``null`` where the terminal never said it."""
    terminal_id: int
    terminal_name: str | None
    site_id: int
    site: str
    timezone: str
    """Of the terminal: where the event happened."""
    uuid: str | None
    recorded_at: datetime | None
    """By the terminal's clock."""
    listed_at: datetime
    """When it happened: ``recorded_at``, or ``received_at`` where that is missing or over a day in the future."""
    received_at: datetime
    recognition_type: int | None
    passed: bool | None
    entry_mode: int | None
    abnormal_type: int | None
    score: float | None
    temperature: float | None
    mask: int | None
    mode: int | None
    person: PersonItem | None
    image: str | None
    """Path of the image in the API; the image is a JPEG, PNG, WebP or BMP."""
    dialect: str | None
    backfilled: bool
    """It was fetched from the terminal's history, with the person as the terminal knew them at that time."""
    problems: list[ProblemItem]
    original: str | None = None
    """The JSON as it was pushed, without image and pin; only with ``include=original``."""


class StepItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One report in the life of an alarm."""

    id: int
    status: int | None
    code: int | None
    at: datetime | None
    """By the terminal's clock."""
    listed_at: datetime
    """When it happened: ``at``, or ``received_at`` where that is missing or over a day in the future."""
    received_at: datetime
    description: str | None
    user_id: str | None
    image: str | None
    problems: list[ProblemItem]
    original: str | None = None
    """The JSON as it was pushed, without image and pin; only with ``include=original``."""


class AlarmItem(Struct, frozen=True, kw_only=True):
    """An occurrence of an alarm, from when it was raised to when it was cleared.

    A terminal may use a ``trace_id`` again: each occurrence is an alarm with an ``id`` of its own.
    """

    id: int
    terminal: str | None
    terminal_id: int
    terminal_name: str | None
    site_id: int
    site: str
    timezone: str
    """Of the terminal: where the event happened."""
    trace_id: str
    code: int | None
    state: Literal["open", "clear_failed", "cleared"]
    """An alarm is open until it is ``cleared``: ``clear_failed`` is open, too."""
    first_at: datetime
    last_at: datetime
    history: list[StepItem]
    acknowledged: bool
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None
    closed_at: datetime | None = None
    """When an operator closed it, because its terminal did not clear it; ``null``: no operator did."""
    closed_by: str | None = None
    closed_note: str | None = None


class TerminalItem(Struct, frozen=True, kw_only=True):
    """A terminal, and the counts of what it sent."""

    id: int
    serial: str | None
    anonymous_peer: str | None
    """The address that stands for it, where it never said its serial."""
    name: str | None
    site_id: int
    site: str
    timezone: str
    state: TerminalState
    direction: Direction
    """Which way people go who pass there."""
    presence: Presence
    """Whether it is heard of as usual: see ``interval_ms``."""
    backlog: bool
    """Events that are old are coming in from it at the moment."""
    has_token: bool
    token_used_at: datetime | None
    """When the token that it has now was first used; ``null``: it still pushes without its address, or not at all."""
    token_required_since: datetime | None
    """Since when it is bound to its token: where ``require_token`` is ``when-used`` it is taken only with it."""
    tokenless_at: datetime | None
    """When it last pushed without its token."""
    networks: list[str]
    """From where it may push; empty: from anywhere."""
    model: str | None
    dialect: str | None
    """The firmware's version of the protocol, by what it sends."""
    created_at: datetime
    first_seen: datetime | None
    last_seen: datetime | None
    last_recorded_at: datetime | None
    clock_error_ms: int | None
    """How far its clock is ahead."""
    interval_ms: int | None
    """The usual time between two arrivals."""
    peer: str | None
    records: int
    alarms: int
    quarantined: int
    duplicates: int
    with_problems: int
    late: int
    """How many arrived over ten minutes after they happened."""
    repeated_ids: int
    """How many records bore the id of another record of this terminal. Each is listed."""
    unusable_ids: int
    """How many events bore an id that tells nothing apart: a placeholder, or one of at most 8 characters."""
    refused: int
    disagreements: int
    address: str | None = None
    """Where it is to push, with its secret token: told once, when the token is made."""


class WouldRefuseItem(Struct, frozen=True, kw_only=True):
    """A terminal whose pushes of the last week a stricter setting or state would refuse."""

    terminal_id: int
    serial: str | None
    name: str | None
    reason: str
    message: str
    """What the reply would say."""
    peer: str
    last_at: datetime
    """When it last pushed so."""


class NameThereItem(Struct, frozen=True, kw_only=True):
    """A number that has one name at a terminal and another one at the site that it would move to."""

    user_id: str
    name: str
    name_there: str


class WouldMoveItem(Struct, frozen=True, kw_only=True):
    """The change about people if a terminal moved to another site."""

    terminal_id: int
    site_id: int
    site: str
    timezone: str
    """By the clock of which their days are read then, unless the terminal has a time zone of its own."""
    records: int
    """Records of people that go along."""
    people: int
    """People who have these records."""
    divided: int
    """Of them, those who have other records at the site that the terminal leaves: one person at each site then."""
    joining: int
    """Of them, those whose ``user_id`` the new site has already: they become one person with it."""
    different: int
    """Of those, the ones whose name differs at the new site: perhaps two people with one number."""
    names: list[NameThereItem]
    """Their names; at most 20."""


class DisagreementItem(Struct, frozen=True, kw_only=True):
    """Something that was pushed as this terminal's said that it was another one's."""

    source: str
    """``header`` or ``body``."""
    said: str
    count: int
    first_at: datetime
    last_at: datetime


class TerminalDetail(TerminalItem, frozen=True, kw_only=True):
    """One terminal, and what was wrong with what it pushed."""

    refusals: dict[str, int]
    """By reason."""
    disagreed: list[DisagreementItem]


class FaultItem(Struct, frozen=True):
    """Say what is wrong with a line of an imported file."""

    line: int
    why: str


class StaffImportItem(Struct, frozen=True, kw_only=True):
    """Say what an import of names and departments does, or did."""

    rows: int
    new: int
    changed: int
    same: int
    faults: list[FaultItem]
    """At most the first hundred; with any of them nothing is stored."""
    stored: bool


class PersonMarkItem(Struct, frozen=True, kw_only=True):
    """A mark: guards are told to look out for a person."""

    reason: str
    until: datetime | None
    """``null``: until it is taken away."""
    made_by: str
    made_at: datetime


class MarkedPersonItem(Struct, frozen=True, kw_only=True):
    """A marked person."""

    person_id: str
    user_id: str
    name: str
    site_id: int
    site: str
    mark: PersonMarkItem


class SomeoneItem(Struct, frozen=True, kw_only=True):
    """A person, as they were last seen."""

    id: str
    """Of the person, not of their ``user_id``: safe to stand in addresses and logs."""
    user_id: str
    name: str
    type: int | None
    job_number: str
    ic_number: str
    id_number: str
    remark: str
    guest_from: datetime | None
    guest_until: datetime | None
    groups: list[dict[str, Any]]
    site_id: int
    site: str
    timezone: str
    terminal_id: int | None
    """Only where ``people_scope`` is ``terminal``: within which one they are this person."""
    first_seen: datetime
    last_seen: datetime
    last_terminal_id: int
    mark: PersonMarkItem | None = None
    """In lists of people and of a person: why guards are told to look out for them."""


class PersonInsideItem(Struct, frozen=True, kw_only=True):
    """A person who is inside, and their latest passage."""

    person_id: str
    user_id: str
    name: str
    type: int | None
    job_number: str
    groups: list[dict[str, Any]]
    site_id: int
    site: str
    timezone: str
    at: datetime
    terminal_id: int
    terminal_name: str
    """What the terminal is called: its name, or else its serial."""
    direction: Direction


class SiteInsideItem(Struct, frozen=True, kw_only=True):
    """How many are inside at a site."""

    site_id: int
    site: str
    timezone: str
    people: int
    strangers: int
    """Records of strangers who were let in within 13 hours before: they are counted, and not named."""


class InsideItem(Struct, frozen=True, kw_only=True):
    """The people who are inside at a moment."""

    at: datetime
    sites: list[SiteInsideItem]
    items: list[PersonInsideItem]
    next_cursor: str | None = None


class JoinedNumberItem(Struct, frozen=True, kw_only=True):
    """A number of a joined person."""

    number_id: int
    """For ``DELETE /api/v1/people/ID/joined/NUMBER``."""
    user_id: str
    name: str
    site_id: int
    site: str
    made_by: str
    made_at: datetime


class ErasedItem(Struct, frozen=True, kw_only=True):
    """What was erased, in numbers."""

    identities: int
    """Forms that their data had."""
    records: int
    """They still count, as nobody's."""
    alarm_steps: int
    quarantined: int
    """Pushes that were deleted from the quarantine."""


class NameItem(Struct, frozen=True, kw_only=True):
    """A line of a list of names, and what it does."""

    line: int
    serial: str
    name: str
    terminal_id: int | None
    direction: Literal["in", "out", "both"] | None
    """Which way people go there; ``None``: the line does not say."""
    problem: Literal["unknown", "twice", "nameless", "long", "direction"] | None
    """Why it changes nothing."""
    changes: bool
    """It gives a terminal another name or direction."""


class RemovedItem(Struct, frozen=True, kw_only=True):
    """Count what was deleted with a terminal."""

    records: int
    alarm_steps: int
    quarantined: int
    """Pushes that were in the quarantine."""


class JournalItem(Struct, frozen=True, kw_only=True):
    """Events that this receiver has acknowledged and does not list yet."""

    events: int
    """0: everything that was acknowledged before is listed."""
    bytes: int
    oldest_s: float
    """How long the oldest of them waits, in seconds."""


class StatsItem(Struct, frozen=True, kw_only=True):
    """Counts of the store, over all time and all processes; ``process`` is of this one, since its start."""

    records: int
    alarms: int
    open_alarms: int
    """Alarms that are not cleared."""
    unacknowledged_alarms: int
    """Open alarms that are not acknowledged."""
    duplicates: int
    quarantined: int
    refused: int
    terminals: int
    refusals: dict[str, int]
    journal: JournalItem
    process: dict[str, int]


class RefusalItem(Struct, frozen=True, kw_only=True):
    """Pushes of one peer that were refused alike."""

    peer: str
    """The address that they came from, behind any trusted proxy."""
    status: int
    """The HTTP status of the reply."""
    reason: str
    """The short name under which refusals are counted, such as ``no JSON``."""
    detail: str
    """The message of the last reply."""
    path: str
    """Of a token in it, the first four characters. Empty where no head could be read."""
    serial: str | None
    """As the push said."""
    count: int
    first_at: datetime
    last_at: datetime
    sample: int | None
    """Ask for ``/api/v1/refusals/samples/ID`` to see the beginning of such a body."""


class SampleItem(Struct, frozen=True, kw_only=True):
    """The beginning of a refused body, without pins, tokens and pictures."""

    id: int
    peer: str
    status: int
    reason: str
    at: datetime
    content: str


DestinationState = Literal["running", "waiting", "paused", "closed", "broken", "finished"]
"""``waiting``: it cannot be reached; ``closed``: it said that it wants no more; ``broken``: its settings cannot be
used; ``finished``: of a replay."""


class LedgerItem(Struct, frozen=True, kw_only=True):
    """Count what became of the events that a destination is to be sent: ``seen`` is the sum of the next five."""

    seen: int
    filtered: int
    """Left out by its filter, or by its rules."""
    delivered: int
    waiting: int
    """Not settled; what the filter leaves out is among it until it is read."""
    dead: int
    """Dead letters: refused for good, until a person retries or drops them."""
    dropped: int
    dropped_why: dict[str, int]
    """How many of them for which reason."""
    left_out_why: dict[str, int]
    """How many of the filtered its rules left out, of which rule and for which reason."""
    attempts: int
    """How many were begun, in all."""
    lag_s: float | None
    """How long ago the oldest event was received that waits; ``null``: none waits."""
    state: DestinationState
    next_attempt_at: datetime | None
    """Of a destination that cannot be reached, where it is known."""
    last_error: str | None
    """Why the last attempt failed that did, or why nothing is sent."""
    last_error_at: datetime | None
    last_delivered_at: datetime | None


class DestinationItem(LedgerItem, frozen=True, kw_only=True):
    """A destination of forwarding, with its ledger. Further fields are options of its kind."""

    id: int
    name: str
    kind: str
    url: str
    filter: dict[str, Any]
    shape: str
    order: str
    images: str
    enabled: bool
    created_at: datetime
    secrets_set: list[str]
    """Which secrets it has; none is shown again."""
    secret: str | None = None
    """Where one was made just now: the signing secret, told this once."""


class ReplayItem(LedgerItem, frozen=True, kw_only=True):
    """Show a span of events that is sent once more, next to what arrives."""

    id: int
    """Where destinations are addressed by their ids, a replay is too: to pause, resume or delete it."""
    created_at: datetime
    filter: dict[str, Any]
    rate: float | None
    """Events a second, at most; ``null``: as fast as it goes."""


class DestinationDetail(DestinationItem, frozen=True, kw_only=True):
    """A destination with its replays, the latest first."""

    replays: list[ReplayItem]


class AttemptItem(Struct, frozen=True, kw_only=True):
    """An attempt to send."""

    at: datetime
    took_ms: int
    event: int
    """The id of the event, the first one where several were sent together."""
    events: int
    outcome: Literal["delivered", "refused", "unreachable", "closed"]
    status: str
    """Such as ``HTTP 503``; empty where there was none."""
    reply: str


class DeadLetterItem(Struct, frozen=True, kw_only=True):
    """An event that a destination refused for good."""

    event: int
    """Its id, for ``retry`` and ``drop``."""
    kind: Literal["record", "alarm", "notice"]
    """``alarm``: a step of one."""
    terminal_id: int
    received_at: datetime
    dead_at: datetime | None
    attempts: int
    refusals: int
    reason: str


class TrialItem(Struct, frozen=True, kw_only=True):
    """Show what came of a test event."""

    outcome: Literal["delivered", "refused", "unreachable", "closed"]
    status: str
    took_ms: int
    reply: str


class PreviewItem(Struct, frozen=True, kw_only=True):
    """Show the latest event that a filter chooses, as it would be sent, without its image; ``null``: there is none."""

    id: str | None
    content_type: str | None
    body: str | None


class RotatedItem(Struct, frozen=True, kw_only=True):
    """Show the new secret where it was made here; it is not told again."""

    secret: str | None


class AcknowledgedItem(Struct, frozen=True, kw_only=True):
    """Count the alarms that were acknowledged at once, or would be."""

    alarms: int
    up_to: int | None = None
    """Of a check: the alarm up to which it counted. Send it to acknowledge these and none that arrive later."""


class ViewItem(Struct, frozen=True, kw_only=True):
    """Hold the filters of a page, saved under a name."""

    id: int
    page: str
    """``live``, ``records``, ``alarms``, ``people``, ``attendance``, ``statistics``, ``terminals``, ``quarantine`` or
    ``audit``."""
    name: str
    filters: dict[str, str]
    """As the address of the page has them."""
    shared: bool
    """Every user sees it whose rights allow; otherwise its owner alone."""
    start: bool
    """The page begins with it, for the user who asks."""
    may_change: bool
    made_by: str
    made_at: datetime
    link: str
    """Its address in the console, without host."""


class DoneItem(Struct, frozen=True, kw_only=True):
    """Count the dead letters that were retried or dropped."""

    events: int


class FindingItem(Struct, frozen=True, kw_only=True):
    """Hold what one check has found."""

    check: str
    """``known``, ``reachable``, ``subscribed``, ``refused``, ``heard``, ``clock``, ``ids`` or ``listed``."""
    level: Literal["good", "unknown", "look", "bad"]
    code: str
    text: str
    """The finding in English."""
    do: str
    """The next thing to do; empty where there is none."""
    values: dict[str, Any]
    """The kind of the value that is filled in: ``when`` a time, ``span`` seconds."""


class WhyItem(Struct, frozen=True, kw_only=True):
    """Say why nothing arrives of a terminal."""

    asked: str
    terminal_id: int | None
    """``null``: none is known."""
    serial: str | None
    name: str | None
    next: FindingItem | None
    """The fault that has to be mended first; ``null``: there is none."""
    findings: list[FindingItem]
