"""Do what both stores do alike: everything but writing a batch.

A store brings two ways to a database, :meth:`BaseStore.reading` and :meth:`BaseStore.changing`; every method here
opens one of them and asks a function of ``records``, ``registry`` or ``quarantine``.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any

import structlog
from msgspec.structs import replace
from sqlalchemy import Table, func, select, update
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gatepost.errors import ImageUnavailable, JournalError, StoreError, StoreUnavailable
from gatepost.journal.folder import Position
from gatepost.journal.packs import Packs, Place
from gatepost.store.conversion.long_texts import put_back
from gatepost.store.conversion.rows import text
from gatepost.store.images import images
from gatepost.store.images.encryption import ImageKeys, sample_place
from gatepost.store.interface import (
    FEED_KINDS,
    AlarmCounts,
    AlarmQuery,
    AlarmRow,
    AlarmStepRow,
    Arrival,
    DisagreementRow,
    FeedItem,
    FeedKind,
    FeedPage,
    NewTerminal,
    Page,
    Progress,
    QuarantineQuery,
    QuarantineRow,
    ReceiverRow,
    RecordQuery,
    RecordRow,
    RefusalSample,
    RefusedPush,
    RefusedRow,
    RefusedTimes,
    SampleRow,
    SiteRow,
    Stats,
    Stored,
    TerminalRow,
)
from gatepost.store.people import moving
from gatepost.store.people.move_preview import WouldMove, would_move
from gatepost.store.people.people import Scope
from gatepost.store.query import dashboard, feed, quarantine, receivers, registry
from gatepost.store.query import records as queries
from gatepost.store.query import terminal_labels as places
from gatepost.store.query.terminal_labels import TerminalLabel
from gatepost.store.schema import tables as t
from gatepost.store.write import positions
from gatepost.wire import Alarm, Event, Record, Unknown, decode
from gatepost.wire.decoder import with_image

__all__ = ["BaseStore"]

log = structlog.get_logger(__name__)

_WHOLE_QUARANTINE = QuarantineQuery()

_AWAY = ("OperationalError", "InterfaceError", "InternalError", "DatabaseError")
_OTHER_TABLES = ("ProgrammingError", "NotSupportedError")
"""Classes of errors; the latter, where a server says so, and not the driver."""


class BaseStore(ABC):
    """See :class:`gatepost.store.interface.Store`."""

    writer = 0
    """Which of the receiver's processes this is, among those of one database."""

    secret: bytes

    def __init__(self, engine: Engine, keys: ImageKeys | None, packs: Packs | None) -> None:
        """``keys``: those of images are encrypted with them. ``packs``: with the images."""
        self._engine = engine
        self._keys = keys or ImageKeys()
        self.packs = packs

    @abstractmethod
    def write(self, batch: Sequence[Arrival], progress: Progress | None = None) -> list[Stored]: ...

    @abstractmethod
    def changing(self) -> AbstractContextManager[Connection]:
        """Begin a transaction that may write."""

    @abstractmethod
    def horizon(self, db: Connection) -> int:
        """Return the id below which everything is settled: committed or never to come."""

    @abstractmethod
    def scrub(self) -> bool: ...

    @abstractmethod
    def forget_people(self) -> None: ...

    @abstractmethod
    def sizes(self) -> dict[str, int]: ...

    @abstractmethod
    def close(self) -> None: ...

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection that sees one state of the store until it is given back."""
        with unavailable(), self._engine.connect() as connection:
            yield connection

    def positions(self, journal: bytes) -> dict[str, Position]:
        with self.reading() as db:
            return positions.read(db, journal)

    def forget_streams(self, journal: bytes, streams: Sequence[str]) -> None:
        if streams:
            with self.changing() as db:
                positions.forget(db, journal, streams)

    # Terminals

    def ensure_terminals(self, new: Sequence[NewTerminal]) -> list[TerminalRow]:
        try:
            with self.changing() as db:
                return registry.ensure_terminals(db, new)
        except IntegrityError as error:  # such as a site that is gone: not what these terminals are
            raise StoreUnavailable("terminals cannot be made now; run gatepost check-store") from error

    def create_terminal(self, *, now_ms: int, **values: Any) -> TerminalRow:
        with self.changing() as db:
            return registry.create_terminal(db, now_ms=now_ms, values=values)

    def update_terminal(self, terminal_id: int, **values: Any) -> TerminalRow | None:
        with self.changing() as db:
            moving.note(db, terminal_id, values.get("site_id"))
            return registry.update_terminal(db, terminal_id, values)

    def terminal(self, terminal_id: int) -> TerminalRow | None:
        with self.reading() as db:
            found = registry.terminals(db, t.terminals.c.id == terminal_id)
        return found[0] if found else None

    def terminal_by_token(self, digest: bytes) -> TerminalRow | None:
        with self.reading() as db:
            found = registry.terminals(db, t.terminals.c.token_digest == digest)
        return found[0] if found else None

    def use_token(self, digest: bytes, *, now_ms: int) -> TerminalRow | None:
        with self.changing() as db:
            return registry.use_token(db, digest, now_ms=now_ms)

    def tokens(self) -> dict[bytes, int]:
        with self.reading() as db:
            return registry.tokens(db)

    def holders(self, event: Event, key: bytes, peer: str) -> list[int]:
        c = _table_of(event).c
        # The terminals are named so that each is one look into UNIQUE (terminal_id, key); the key has no index.
        query = select(c.terminal_id).where(
            c.terminal_id.in_(select(t.terminals.c.id)), c.key == key, c.peer == peer
        )
        with self.reading() as db:
            return [int(found) for found in db.execute(query.order_by(c.terminal_id)).scalars()]

    def terminals(self) -> list[TerminalRow]:
        with self.reading() as db:
            return registry.terminals(db)

    def terminals_page(self, **asked: Any) -> Page[TerminalRow]:
        with self.reading() as db:
            return registry.terminals_page(db, **asked)

    def refusals(self, terminal_id: int) -> dict[str, int]:
        with self.reading() as db:
            return registry.refusals(db, terminal_id)

    def disagreements(self, terminal_id: int) -> list[DisagreementRow]:
        with self.reading() as db:
            return registry.disagreements(db, terminal_id)

    def labels(self, ids: Iterable[int]) -> dict[int, TerminalLabel]:
        with self.reading() as db:
            return places.places(db, ids)

    def all_labels(self) -> list[TerminalLabel]:
        with self.reading() as db:
            return places.all_places(db)

    def terminals_named(self, terminal: str | int) -> list[int]:
        with self.reading() as db:
            return places.terminals_named(db, terminal)

    def would_move(self, terminal_id: int, site_id: int, scope: Scope) -> WouldMove:
        with self.reading() as db:
            return would_move(db, terminal_id, site_id, scope)

    def peers(self) -> dict[tuple[str, int], int]:
        with self.reading() as db:
            return registry.peers(db)

    def sites(self) -> list[SiteRow]:
        with self.reading() as db:
            return registry.sites(db)

    def create_site(self, name: str, timezone: str, *, now_ms: int) -> SiteRow:
        with self.changing() as db:
            return registry.create_site(db, name, timezone, now_ms=now_ms)

    def update_site(self, site_id: int, *, name: str | None = None, timezone: str | None = None) -> None:
        with self.changing() as db:
            registry.update_site(db, site_id, name=name, timezone=timezone)

    # Receivers

    def note_receiver(self, journal: bytes, *, host: str, events: int, now_ms: int) -> None:
        with self.changing() as db:
            receivers.note(db, journal, host=host, events=events, now_ms=now_ms)

    def receivers(self) -> list[ReceiverRow]:
        with self.reading() as db:
            return receivers.rows(db)

    def forget_receiver(self, journal: bytes) -> bool:
        with self.changing() as db:
            return receivers.forget(db, journal)

    # What arrived

    def records(self, query: RecordQuery) -> Page[RecordRow]:
        with self.reading() as db:
            horizon = self.horizon(db) if query.order == "received" else 0
            return queries.records_page(db, query, horizon=horizon)

    def record(self, record_id: int) -> RecordRow | None:
        with self.reading() as db:
            return queries.record(db, record_id)

    def records_by_id(self, ids: Sequence[int]) -> list[RecordRow]:
        with self.reading() as db:
            return queries.records_by_id(db, ids)

    def latest_records(self, limit: int) -> list[RecordRow]:
        with self.reading() as db:
            rows = queries.records_by_id(db, dashboard.latest(db, limit))
        return sorted(rows, key=lambda row: -row.id)

    def portrait(self, identities: Sequence[int]) -> int | None:
        with self.reading() as db:
            return dashboard.portrait(db, identities)

    def alarm_counts(self) -> AlarmCounts:
        with self.reading() as db:
            return queries.alarm_counts(db)

    def glance(self, since: datetime) -> dashboard.Glance:
        with self.reading() as db:
            return dashboard.glance(db, since)

    def alarms(self, query: AlarmQuery) -> Page[AlarmRow]:
        with self.reading() as db:
            return queries.alarms_page(db, query)

    def alarm(self, alarm_id: int) -> AlarmRow | None:
        with self.reading() as db:
            return queries.alarm(db, alarm_id)

    def acknowledge_alarm(self, alarm_id: int, *, by: str, note: str, now_ms: int) -> bool:
        statement = update(t.alarms).where(t.alarms.c.id == alarm_id)
        with self.changing() as db:
            done = db.execute(
                statement.values(acknowledged_at_ms=now_ms, acknowledged_by=by, note=text(note))
            )
            return done.rowcount == 1

    def close_alarm(self, alarm_id: int, *, by: str, note: str, now_ms: int) -> bool:
        c = t.alarms.c
        values = {
            "closed_at_ms": now_ms,
            "closed_by": by,
            "closed_note": text(note),
            "acknowledged_at_ms": func.coalesce(c.acknowledged_at_ms, now_ms),
            "acknowledged_by": func.coalesce(c.acknowledged_by, by),
        }
        with self.changing() as db:
            done = db.execute(update(t.alarms).where(c.id == alarm_id, queries.is_open()).values(values))
            return done.rowcount == 1

    def read_feed(self, after: int, limit: int = 500, kinds: Collection[FeedKind] = FEED_KINDS) -> FeedPage:
        with self.reading() as db:
            return feed.page(db, after, limit, kinds, horizon=self.horizon(db))

    def read_feed_of(
        self,
        terminal_id: int,
        after: int,
        until: int,
        limit: int = 500,
        kinds: Collection[FeedKind] = FEED_KINDS,
    ) -> tuple[FeedItem, ...]:
        with self.reading() as db:
            return feed.items(db, after, until, limit, kinds, terminal_id=terminal_id)

    def alarm_steps_by_id(self, ids: Sequence[int]) -> list[AlarmStepRow]:
        with self.reading() as db:
            return queries.alarm_steps_by_id(db, ids)

    def happened(
        self, after: int, limit: int = 100
    ) -> tuple[list[tuple[FeedItem, RecordRow | AlarmRow]], int]:
        with self.reading() as db:
            page = feed.page(db, after, limit, FEED_KINDS, horizon=self.horizon(db))
            return feed.rows_of(db, page.items), page.place

    def end_of_feed(self) -> int:
        with self.reading() as db:
            return self.horizon(db) - 1

    def image(self, event_id: int) -> bytes | None:
        return self._part(event_id, images.IMAGE)

    def original(self, event_id: int, shortened: bytes) -> bytes:
        return put_back(shortened, self._part(event_id, images.TEXTS) or b"")

    def _part(self, event_id: int, part: int) -> bytes | None:
        """Return the image or the long texts of an event. Raises as :meth:`~gatepost.store.interface.Store.image`."""
        with self.reading() as db:
            place = images.place(db, event_id, part)
        if place is None:
            return None
        if self.packs is None:
            raise ImageUnavailable(
                "the images of this store are not here; give the data folder with its packs"
            )
        try:
            opened = images.open_place(place, self._keys)
        except StoreError as error:  # its image key is not given
            raise ImageUnavailable(str(error)) from error
        try:
            return self.packs.read(opened)
        except JournalError as error:
            with self.reading() as db:
                if images.place(db, event_id, part) != place:
                    return None  # it has left meanwhile, as its time was over
            raise ImageUnavailable(str(error)) from error

    def unused(self, places: Sequence[Place]) -> list[Place]:
        with self.reading() as db:
            used = images.used(db, places)
        return [place for place in places if (place.pack, place.offset) not in used]

    def _image_bytes(self) -> int:
        """Return how many bytes the packs take that can be seen from here."""
        try:
            return 0 if self.packs is None else sum(pack.disk_bytes for pack in self.packs.all())
        except JournalError as error:
            raise StoreUnavailable(str(error)) from error

    def stats(self) -> Stats:
        with self.reading() as db:
            return queries.stats(db)

    # What did not go straight through

    def count_refused(self, counts: Mapping[tuple[int, str], int], *, now_ms: int) -> None:
        with self.changing() as db:
            quarantine.count_refused(db, counts, writer=self.writer, now_ms=now_ms)

    def note_refused(
        self,
        pushes: Mapping[RefusedPush, RefusedTimes],
        samples: Mapping[tuple[str, str], RefusalSample],
    ) -> None:
        sealed = {
            place: replace(sample, content=self._keys.seal(sample.content, sample_place(*place)))
            for place, sample in samples.items()
        }
        with self.changing() as db:
            quarantine.note_refused(db, pushes, sealed)

    def refused(self) -> list[RefusedRow]:
        with self.reading() as db:
            return quarantine.refused(db)

    def refusal_sample(self, sample_id: int) -> SampleRow | None:
        with self.reading() as db:
            row = quarantine.refusal_sample(db, sample_id)
        if row is None:
            return None
        return replace(row, content=self._keys.open(row.content, sample_place(row.peer, row.reason)))

    def drop_refusal_samples(self) -> int:
        with self.changing() as db:
            return quarantine.drop_samples(db)

    def quarantined(self, query: QuarantineQuery = _WHOLE_QUARANTINE) -> Page[QuarantineRow]:
        with self.reading() as db:
            return quarantine.quarantined(db, query)

    def quarantined_by_id(self, ids: Sequence[int]) -> list[QuarantineRow]:
        with self.reading() as db:
            return quarantine.quarantined_by_id(db, ids)

    def pushed(self, row: QuarantineRow) -> bytes:
        original = self.original(row.id, row.original)
        image = self.image(row.id)
        if image is None:
            return original
        event = decode(original, lenient=True).event
        return original if isinstance(event, Unknown) else with_image(original, replace(event, image=image))

    def discard_quarantined(self, ids: Sequence[int]) -> int:
        with self.changing() as db:
            return quarantine.discard_quarantined(db, ids)

    def has(self, arrival: Arrival) -> bool:
        c = _table_of(arrival.event).c
        with self.reading() as db:
            here = select(c.id).where(c.terminal_id == arrival.terminal_id, c.key == arrival.key)
            return db.execute(here).first() is not None

    def tried_quarantined(self, ids: Sequence[int]) -> None:
        with self.changing() as db:
            quarantine.tried_quarantined(db, ids)


def _table_of(event: Event) -> Table:
    if isinstance(event, Record):
        return t.records
    return t.alarm_events if isinstance(event, Alarm) else t.quarantine


@contextmanager
def unavailable() -> Iterator[None]:
    """Say of whatever a database raises when it is away, full or busy: not now.

    Also of a server whose tables are others. What a row itself does wrong (a constraint, a value that does not fit) is
    not of that kind and passes.
    """
    try:
        yield
    except IntegrityError:
        raise
    except PoolTimeout as error:
        raise StoreUnavailable("the store has too many readers at once; try again") from error
    except DBAPIError as error:
        kind = type(error).__name__
        away = kind in _AWAY or (kind in _OTHER_TABLES and getattr(error.orig, "sqlstate", None) is not None)
        if away and type(error.orig).__name__ != "ProgramLimitExceeded":
            # The first line only: a server's detail quotes values, and those are people.
            why = str(error.orig).partition("\n")[0]
            raise StoreUnavailable(f"the store cannot be used now: {why}") from error
        raise
