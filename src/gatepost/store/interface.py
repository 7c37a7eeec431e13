"""Define the receiver's store by its promises; its values are in the modules of types next to it.

Two stores keep these promises: :class:`gatepost.store.sqlite.store.SqliteStore` (a data folder, one process) and
:class:`gatepost.store.postgres.store.PostgresStore` (a server, several processes at once). One suite,
``tests/store/store_suite.py``, runs on both.

Promises:

* When :meth:`Store.write` returns, every event of the batch and every image is on disk, and is listed exactly
  once, however often it was written: in one batch, by two processes, or a year later.
* When it raises :class:`~gatepost.errors.StoreUnavailable`, nothing of the batch may be acknowledged; writing
  it again later does no harm.
* The counts of a terminal are part of the same transaction, and so is how far a journal is read.

Every method blocks, and may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Place
from gatepost.journal.streams import Position
from gatepost.store.feed_types import (
    FEED_KINDS,
    FORWARD_KINDS,
    NOTICE_KINDS,
    FeedItem,
    FeedKind,
    FeedPage,
    Forwarded,
    ForwardQuery,
    Notice,
    NoticeKind,
    NoticeQuery,
    ToForward,
    happened_at,
    received_at,
)
from gatepost.store.query_types import AlarmQuery, QuarantineQuery, RecordQuery, StepQuery
from gatepost.store.refusal_types import (
    QuarantineRow,
    RefusalSample,
    RefusedPush,
    RefusedRow,
    RefusedTimes,
    SampleRow,
)
from gatepost.store.types import (
    EVERYTHING,
    PEER_ADDRESS,
    SIGHTING_MS,
    AlarmCounts,
    AlarmRow,
    AlarmStep,
    AlarmStepRow,
    Arrival,
    Counted,
    Direction,
    DisagreementRow,
    NewTerminal,
    Page,
    PersonRow,
    Progress,
    ReceiverRow,
    RecordRow,
    SiteRow,
    Stats,
    Stored,
    TerminalRow,
    TerminalState,
    ToAcknowledge,
    Visible,
)
from gatepost.wire import Event

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from gatepost.store.people.move_preview import WouldMove
    from gatepost.store.people.person import Scope
    from gatepost.store.query.dashboard import Glance
    from gatepost.store.questions import UserStore
    from gatepost.store.terminals.terminal_labels import TerminalLabel
    from gatepost.store.versions import Versions

__all__ = [
    "EVERYTHING",
    "PEER_ADDRESS",
    "SIGHTING_MS",
    "Arrival",
    "NewTerminal",
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
    "QuarantineRow",
    "RefusedPush",
    "RefusedTimes",
    "RefusedRow",
    "RefusalSample",
    "SampleRow",
    "FEED_KINDS",
    "FORWARD_KINDS",
    "ForwardQuery",
    "received_at",
    "happened_at",
    "Forwarded",
    "Notice",
    "NOTICE_KINDS",
    "NoticeKind",
    "NoticeQuery",
    "FeedItem",
    "FeedKind",
    "FeedPage",
    "Counted",
    "ToAcknowledge",
    "ToForward",
    "Page",
    "RecordQuery",
    "AlarmCounts",
    "AlarmQuery",
    "StepQuery",
    "QuarantineQuery",
    "Stats",
    "Transactions",
    "ForUser",
    "Visible",
    "Leaving",
    "Store",
]


class Transactions(Protocol):
    """The two ways into a database; each is a transaction, and sees one state of the store. For this package alone.

    Why :class:`Store` shows them all the same: ``docs/decisions/store-interface.md``.
    """

    def reading(self) -> AbstractContextManager[Connection]: ...

    def changing(self) -> AbstractContextManager[Connection]: ...


class ForUser(Protocol):
    """Open a transaction to read, and tell what the user may see who asks. For this package alone."""

    @property
    def visible(self) -> Visible: ...

    def reading(self) -> AbstractContextManager[Connection]: ...


class Leaving(Transactions, Protocol):
    """The side of a store that deletes: what ``retention`` and ``erasure`` need.

    Images leave as :mod:`gatepost.store.images.images` says.
    """

    secret: bytes
    """What digests that stand for a person or an event are keyed with: the same for every process on this store."""

    packs: Packs | None
    """With the images; ``None`` where they are not at hand."""

    def original(self, event_id: int, shortened: bytes) -> bytes:
        """Return an original with its long texts in their places. Raises as :meth:`image`."""

    def scrub(self) -> bool:
        """Let go of the bytes of what was deleted, as far as the database can; False: not now, try again.

        SQLite: the log is brought into the database, where deleted content is overwritten, and emptied.
        PostgreSQL: the space is given back (VACUUM) and overwritten as it is used again.
        """

    def analyze(self) -> None:
        """Have the database count how its large tables are filled, if nothing did so for a day.

        A server counts the parts of a partitioned table by itself, and not the whole. SQLite has nothing to do.
        """

    def forget_people(self) -> None:
        """Let go of the people who are remembered in memory, by the libraries that lead to the database.

        What is needed again is read again; nothing of what is stored changes.
        """

    def server_version(self) -> str:
        """Version of the database."""

    def sizes(self) -> dict[str, int]:
        """Bytes on disk of ``events`` and ``images``."""


class Store(Leaving, Protocol):
    """See the module."""

    def horizon(self, db: Connection) -> int:
        """Return the id below which everything is settled: committed or never to come. For this package alone."""

    @property
    def visible(self) -> Visible:
        """Return everything: what a user may not see, :meth:`seen_by` leaves out."""

    def seen_by(self, visible: Visible) -> UserStore:
        """Return the store as a user sees it. It costs nothing: each request has its own."""

    def write(self, batch: Sequence[Arrival], progress: Progress | None = None) -> list[Stored]:
        """Store a batch in one transaction, and answer for each arrival, in order.

        Any exception means that nothing of the batch is stored. Besides ``StoreUnavailable`` it is whatever one
        impossible event raises, ``LookupError`` for a terminal that nobody made; halve the batch to find it.

        ``progress``: the positions are stored in the same transaction, also with an empty batch. Raises
        :class:`~gatepost.errors.StoreError` if a stored position lies further in its stream than the given one,
        because another process reads the same journal. ``StoreUnavailable`` does not tell whether the transaction was
        committed, if the server was lost during the commit: read :meth:`positions` before the next batch.

        PostgreSQL takes at most 4096 arrivals, and raises ``ValueError`` for more.
        """

    def positions(self, journal: bytes) -> dict[str, Position]:
        """Return the stored positions of a journal, by stream."""

    def forget_streams(self, journal: bytes, streams: Sequence[str]) -> None:
        """Delete the positions of streams that the journal has deleted for good."""

    # Terminals

    def ensure_terminals(self, new: Sequence[NewTerminal]) -> list[TerminalRow]:
        """Make those terminals that are not there, in one transaction; return all of them, in order."""

    def create_terminal(self, *, now_ms: int, **values: Any) -> TerminalRow:
        """Make a terminal that has not pushed yet; ``values`` as in :meth:`update_terminal`."""

    def update_terminal(
        self, terminal_id: int, *, versions: Versions = None, **values: Any
    ) -> TerminalRow | None:
        """Set any of ``serial``, ``name``, ``site_id``, ``timezone``, ``state``, ``token_digest``, ``networks``.

        ``None`` if there is no such terminal. Another ``token_digest`` has not been used yet; without any, the
        terminal is not bound to a token any more. Raises ``ChangedMeanwhile`` where it has none of the versions.
        """

    def terminal(self, terminal_id: int) -> TerminalRow | None: ...

    def terminal_by_token(self, digest: bytes) -> TerminalRow | None:
        """The terminal whose address bears a token with this digest."""

    def use_token(self, digest: bytes, *, now_ms: int) -> TerminalRow | None:
        """Note that a terminal pushed with this token, the first time, and return it; ``None`` if it is nobody's."""

    def tokens(self) -> dict[bytes, int]:
        """Return the terminal of each token, by the token's digest."""

    def holders(self, event: Event, key: bytes, peer: str) -> list[int]:
        """Return the terminals for which an event with this key was stored when it came from this address before.

        An alarm bears no serial, nor need anything else, and an address may stand for another terminal by the time
        that it is pushed again: without this it would be stored twice.
        """

    def terminals(self) -> list[TerminalRow]:
        """Every terminal, by id."""

    def terminals_page(
        self,
        *,
        state: TerminalState | None = None,
        site_id: int | None = None,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Page[TerminalRow]:
        """Return terminals by id. Raises :class:`~gatepost.store.cursor.BadCursor`."""

    def refusals(self, terminal_id: int) -> dict[str, int]:
        """Return how often pushes of a terminal were refused, by reason."""

    def disagreements(self, terminal_id: int) -> list[DisagreementRow]:
        """Return whose else pushes of a terminal said that they were, the latest first; at most 100."""

    def labels(self, ids: Iterable[int]) -> dict[int, TerminalLabel]:
        """Return what to call these terminals, and where they stand."""

    def all_labels(self) -> list[TerminalLabel]:
        """Return the same of every terminal, by what it is called."""

    def terminals_named(self, terminal: str | int) -> list[int]:
        """Return the terminals that a filter means by a serial, a name or an id."""

    def would_move(self, terminal_id: int, site_id: int, scope: Scope) -> WouldMove:
        """Return what it changes about people to move a terminal to a site."""

    def peers(self) -> dict[tuple[str, int], int]:
        """Return by address and terminal when the terminal last pushed from there by a serial or a token.

        In milliseconds, up to an hour too early.
        """

    def sites(self) -> list[SiteRow]: ...

    def create_site(self, name: str, timezone: str, *, now_ms: int) -> SiteRow: ...

    def update_site(
        self,
        site_id: int,
        *,
        name: str | None = None,
        timezone: str | None = None,
        versions: Versions = None,
    ) -> None:
        """Change what is given. Raises ``Conflict``, and ``ChangedMeanwhile`` where it has none of the versions."""

    # Receivers

    def note_receiver(self, journal: bytes, *, host: str, events: int, now_ms: int) -> None:
        """Store that the receiver with this journal is there, and how many of its events are not listed yet."""

    def receivers(self) -> list[ReceiverRow]:
        """Return every receiver of this database, by host."""

    def forget_receiver(self, journal: bytes) -> bool:
        """Delete what is known of a receiver. False if there is none with this journal."""

    # What arrived

    def records(self, query: RecordQuery) -> Page[RecordRow]: ...

    def count_records(self, query: RecordQuery) -> Counted:
        """Count the records of a query, up to 10,000; ``more`` also where not all that may fit were looked at."""

    def count_quarantined(self, query: QuarantineQuery) -> Counted:
        """Count the quarantined pushes of a query, up to 10,000."""

    def record(self, record_id: int) -> RecordRow | None: ...

    def records_by_id(self, ids: Sequence[int]) -> list[RecordRow]:
        """Return those of them that there are, in no order."""

    def latest_records(self, limit: int) -> list[RecordRow]:
        """Return the records that arrived last, the latest first; those of held terminals are left out."""

    def portrait(self, identities: Sequence[int]) -> int | None:
        """Return the latest record with an image that has one of these identities."""

    def alarms(self, query: AlarmQuery) -> Page[AlarmRow]: ...

    def alarm_counts(self) -> AlarmCounts:
        """Count the open alarms of terminals that are not held."""

    def alarm(self, alarm_id: int) -> AlarmRow | None: ...

    def acknowledge_alarm(self, alarm_id: int, *, by: str, note: str, now_ms: int) -> bool:
        """Note that somebody looked at it. False if there is no such alarm; the latest note counts."""

    def count_alarms(self, query: AlarmQuery) -> Counted:
        """Count the alarms of a query, up to 10,000."""

    def alarms_to_acknowledge(self, query: AlarmQuery) -> ToAcknowledge:
        """Count the alarms of a query that are not acknowledged."""

    def acknowledge_alarms(
        self, which: AlarmQuery | Sequence[int], *, by: str, note: str, now_ms: int
    ) -> int:
        """Acknowledge those alarms that are not acknowledged, of a query or with these ids; return how many.

        Raises ``ValueError`` for a query that chooses more than may be acknowledged at once.
        """

    def close_alarm(self, alarm_id: int, *, by: str, note: str, now_ms: int) -> bool:
        """Close an alarm whose terminal does not clear it. It is cleared then, and acknowledged.

        False if there is no such alarm, or it is not open. What its terminal reports later joins its history.
        """

    def image(self, event_id: int) -> bytes | None:
        """Return the image of a record, or of an alarm's step: their ids are of one sequence.

        Raises :class:`~gatepost.errors.ImageUnavailable` where its pack is on another machine, gone or damaged.
        """

    def unused(self, places: Sequence[Place]) -> list[Place]:
        """Return those places of images that no event has."""

    def read_feed(self, after: int, limit: int = 500, kinds: Collection[FeedKind] = FEED_KINDS) -> FeedPage:
        """Return what arrived after a place in the stream, in order, and how much of that is deleted by now.

        Never skips: what is not settled yet is not shown, and neither is anything behind it. Behind any place, items
        and deleted are together what was ever stored there. Held terminals' events are marked. A page with another
        place than ``after`` may be followed by more, also where it has no items.
        """

    def read_feed_of(
        self,
        terminal_id: int,
        after: int,
        until: int,
        limit: int = 500,
        kinds: Collection[FeedKind] = FEED_KINDS,
    ) -> tuple[FeedItem, ...]:
        """Return what there is of one terminal with ids above ``after`` and up to ``until``, in order.

        For what was left aside while the terminal was held. ``until`` is a place that :meth:`read_feed` returned.
        """

    def alarm_steps_by_id(self, ids: Sequence[int]) -> list[AlarmStepRow]:
        """Return those of them that there are, in no order."""

    def to_forward(
        self, after: int, query: ForwardQuery, limit: int = 256, *, until: int | None = None
    ) -> ToForward:
        """Return the events of one kind after a place, in order, and those of them that a query chooses.

        As :meth:`read_feed`, in one transaction. Of a query nothing but its filters counts. The page ends early before
        it has more bytes than a page of a list. ``until``: nothing with a higher id.
        """

    def to_forward_of(
        self, terminal_id: int, after: int, until: int, query: ForwardQuery, limit: int = 256
    ) -> ToForward:
        """Return the same of one terminal, as :meth:`read_feed_of`; what is deleted is not counted.

        Its ``place`` is ``until`` at the end.
        """

    def forwarded_again(self, kind: FeedKind, ids: Sequence[int]) -> Mapping[int, Forwarded]:
        """Return those of these events that there are, by id."""

    def happened(
        self, after: int, limit: int = 100
    ) -> tuple[list[tuple[FeedItem, RecordRow | AlarmRow]], int]:
        """Return what arrived after a place with what it is about, and the place to continue from.

        In one transaction; an alarm as it is after all its steps. Held terminals' events are left out.
        """

    def end_of_feed(self) -> int:
        """Return the place behind which :meth:`read_feed` returns what arrives from now on."""

    def stats(self) -> Stats: ...

    def glance(self, since: datetime) -> Glance:
        """Count what a page shows at a glance; records from a moment on. A few milliseconds, however much is stored."""

    # What did not go straight through

    def count_refused(self, counts: Mapping[tuple[int, str], int], *, now_ms: int) -> None:
        """Add to the refusals of terminals, by (terminal id or 0, reason)."""

    def note_refused(
        self,
        pushes: Mapping[RefusedPush, RefusedTimes],
        samples: Mapping[tuple[str, str], RefusalSample],
    ) -> None:
        """Add to the list of refused pushes; keep samples by (peer, reason), each in place of the one before."""

    def refused(self) -> list[RefusedRow]:
        """Return the list of refused pushes, the latest first, at most 1,000."""

    def refusal_sample(self, sample_id: int) -> SampleRow | None: ...

    def drop_refusal_samples(self) -> int:
        """Delete every sample of a refused body. Return how many there were."""

    def quarantined(self, query: QuarantineQuery = ...) -> Page[QuarantineRow]:
        """The latest first."""

    def quarantined_by_id(self, ids: Sequence[int]) -> list[QuarantineRow]: ...

    def pushed(self, row: QuarantineRow) -> bytes:
        """Return what was pushed, with its image and long texts in their places. Raises as :meth:`image`."""

    def discard_quarantined(self, ids: Sequence[int]) -> int:
        """Delete from the quarantine; answer how many there were."""

    def tried_quarantined(self, ids: Sequence[int]) -> None:
        """Count that they were decoded again and are still no event."""

    def has(self, arrival: Arrival) -> bool:
        """Return whether this event is stored already."""

    def close(self) -> None:
        """Let go of everything. May be called twice."""
